//! What `/sys` tells of an interface.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Facts, Hop, Kind, Pci, Place, Present};
use crate::hardware::{ETHERNET, HardwareAddress};

/// ARPHRD_ETHER and ARPHRD_INFINIBAND of `linux/if_arp.h`.
const ARP_ETHERNET: u32 = 1;
const ARP_INFINIBAND: u32 = 32;
/// NET_NAME_PREDICTABLE, NET_NAME_USER, NET_NAME_RENAMED of `linux/netdevice.h`.
const NAME_PREDICTABLE: u32 = 2;
const NAME_CHOSEN: [u32; 2] = [3, 4];
/// NET_ADDR_PERM of `linux/netdevice.h`.
const ADDRESS_PERMANENT: u32 = 0;
/// Where the type of its header stands in the configuration of a PCI device, and the bit for several functions.
const HEADER_TYPE: usize = 14;
const HAS_FUNCTIONS: u8 = 0x80;
/// What udev's hwdb lists (20-net-ifname.hwdb): Dell's iDRAC, and Azure's MANA, whose PCI domain changes from boot to boot.
const IDRAC: (&str, &str) = ("413c", "a102");
const MANA: (&str, &str) = ("0x1414", "0x00ba");
/// PCI devices on the way from a card to the processor that are looked at.
const MAX_HOPS: usize = 32;

/// What is known of an interface, from `/sys` below `root`; `None` for one that gets no name.
#[must_use]
pub fn read(root: &Path, name: &str) -> Option<Facts> {
    let net = root.join("sys/class/net").join(name);
    if number::<u32>(&net, "iflink") != number::<u32>(&net, "ifindex") {
        // It is made of another one.
        return None;
    }
    let kind = kind(&net)?;
    let device = fs::canonicalize(net.join("device")).ok();
    let port = number(&net, "dev_port").filter(|port| *port > 0);
    // Older drivers of InfiniBand have the port elsewhere, in hexadecimal.
    let old = || text(&net, "dev_id").and_then(|id| u32::from_str_radix(id.trim_start_matches("0x"), 16).ok());
    let port = port.or_else(|| old().filter(|_| kind == Kind::Infiniband));
    let permanent = (number(&net, "addr_assign_type") == Some(ADDRESS_PERMANENT))
        .then(|| text(&net, "address").and_then(|text| HardwareAddress::parse(&text)?.ethernet()));
    Some(Facts {
        kind,
        present: match number(&net, "name_assign_type") {
            Some(NAME_PREDICTABLE) => Present::Predictable,
            Some(how) if NAME_CHOSEN.contains(&how) => Present::Chosen,
            _ => Present::Counted,
        },
        place: device.as_deref().map_or(Place::Elsewhere, |device| place(root, device)),
        port_name: text(&net, "phys_port_name").filter(|name| !name.is_empty()),
        port: port.unwrap_or(0),
        permanent: permanent.flatten().filter(|mac: &[u8; ETHERNET]| mac.iter().any(|byte| *byte != 0)),
        listed: device.as_deref().filter(|device| is_idrac(device)).map(|_| "idrac"),
    })
}

fn kind(net: &Path) -> Option<Kind> {
    match number(net, "type")? {
        ARP_ETHERNET => {
            let uevent = text(net, "uevent").unwrap_or_default();
            match uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")) {
                Some("wlan") => Some(Kind::Wlan),
                Some("wwan") => Some(Kind::Wwan),
                _ => Some(Kind::Ethernet),
            }
        }
        ARP_INFINIBAND => Some(Kind::Infiniband),
        _ => None,
    }
}

fn place(root: &Path, device: &Path) -> Place {
    let real = above(device).find(|path| subsystem(path).as_deref() != Some("virtio"));
    let Some(real) = real else { return Place::Elsewhere };
    let found = match subsystem(real).as_deref() {
        Some("pci") => pci(root, real).map(Place::Pci),
        Some("usb") => usb(root, real),
        Some("xen") => last(real).strip_prefix("vif-").and_then(|number| number.parse().ok()).map(Place::Xen),
        _ => None,
    };
    found.unwrap_or(Place::Elsewhere)
}

/// A USB interface: `1-1.3:1.0` is interface 0 of configuration 1 of what is at port 3 of the hub at port 1 of bus 1.
fn usb(root: &Path, interface: &Path) -> Option<Place> {
    let (_, rest) = last(interface).split_once('-')?;
    let (ports, which) = rest.split_once(':')?;
    let (config, interface_number) = which.split_once('.')?;
    let host = above(interface).find(|path| subsystem(path).as_deref() == Some("pci"));
    Some(Place::Usb {
        host: host.and_then(|host| pci(root, host)),
        ports: ports.split('.').map(|port| port.parse().ok()).collect::<Option<_>>()?,
        config: config.parse().ok()?,
        interface: interface_number.parse().ok()?,
    })
}

fn pci(root: &Path, device: &Path) -> Option<Pci> {
    let physical = fs::canonicalize(device.join("physfn")).ok();
    let virtual_function = match &physical {
        Some(physical) => Some(virtual_number(physical, device)?),
        None => None,
    };
    let device = physical.as_deref().unwrap_or(device);
    let (domain, rest) = last(device).split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (slot, function) = rest.split_once('.')?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let is_mana =
        text(device, "vendor").as_deref() == Some(MANA.0) && text(device, "device").as_deref() == Some(MANA.1);
    let slots = slots(root);
    let hops = above(device).take_while(|path| subsystem(path).as_deref() == Some("pci")).take(MAX_HOPS);
    Some(Pci {
        domain: if is_mana { 0 } else { hex(domain)? },
        bus: hex(bus)?,
        device: hex(slot)?,
        function: hex(function)?,
        has_functions: header_type(device).is_some_and(|byte| byte & HAS_FUNCTIONS != 0),
        ari: number(device, "ari_enabled") == Some(1_u32),
        onboard: number(device, "acpi_index").or_else(|| number(device, "index")),
        hops: hops.map(|path| hop(path, &slots)).collect(),
        virtual_function,
    })
}

fn hop(device: &Path, slots: &[(String, u32)]) -> Hop {
    let address = last(device).rsplit_once('.').map_or("", |(address, _)| address);
    Hop {
        sun: number(device, "firmware_node/sun"),
        slot: slots.iter().filter(|(of, _)| of == address).map(|(_, number)| *number).min(),
        is_bridge: text(device, "class").is_some_and(|class| class.starts_with("0x0604")),
    }
}

/// The slots in which devices may be changed: the address of the device, and the number, where the name is one.
fn slots(root: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(root.join("sys/bus/pci/slots")).into_iter().flatten().flatten();
    let slot = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((text(&entry.path(), "address")?, number))
    };
    entries.filter_map(slot).filter(|(_, number)| *number > 0).collect()
}

/// Which of the virtual functions of `physical` a device is.
fn virtual_number(physical: &Path, device: &Path) -> Option<u32> {
    let entries = fs::read_dir(physical).ok()?.flatten();
    entries
        .filter(|entry| fs::canonicalize(entry.path()).is_ok_and(|target| target == device))
        .find_map(|entry| entry.file_name().to_str()?.strip_prefix("virtfn")?.parse().ok())
}

fn header_type(device: &Path) -> Option<u8> {
    let mut head = [0; HEADER_TYPE + 1];
    fs::File::open(device.join("config")).ok()?.read_exact(&mut head).ok()?;
    head.last().copied()
}

fn is_idrac(device: &Path) -> bool {
    let ids = |path: &Path| Some((text(path, "idVendor")?, text(path, "idProduct")?));
    above(device).find_map(ids).is_some_and(|(vendor, product)| (vendor.as_str(), product.as_str()) == IDRAC)
}

/// A device and what it is in, as far as that are devices.
fn above(device: &Path) -> impl Iterator<Item = &Path> {
    device.ancestors().take_while(|path| !path.ends_with("sys/devices"))
}

fn subsystem(device: &Path) -> Option<String> {
    let target: PathBuf = fs::read_link(device.join("subsystem")).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

fn last(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn text(directory: &Path, attribute: &str) -> Option<String> {
    let text = fs::read_to_string(directory.join(attribute)).ok()?;
    Some(text.trim_end().to_owned())
}

fn number<T: FromStr>(directory: &Path, attribute: &str) -> Option<T> {
    text(directory, attribute)?.parse().ok()
}
