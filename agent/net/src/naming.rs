//! The names that udev gives to network interfaces (systemd.net-naming-scheme(7), systemd.link(5)): worked out without udev,
//! so that a word of the command line means the same card here and in the live system (network-field.md kind 5).
//!
//! The rules were compared with udev 252 (Debian 12) and 257 (Debian 13) in QEMU. Where the page and the program differ, the
//! program counts: since 257 a card with several functions has the slot of the bridge that it is behind again.

use std::fmt::Write as _;

use crate::hardware::ETHERNET;

mod sysfs;
#[cfg(test)]
mod tests;

pub use sysfs::read;

/// Bytes of the longest name (`IFNAMSIZ` - 1). A longer one is left out.
const LONGEST: usize = 15;

/// Which version of the rules: the number of the systemd that has them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scheme(u16);

impl Scheme {
    /// The newest that is known, as udev has it without a word.
    pub const LATEST: Self = Self(257);

    /// Reads the value of `net.naming_scheme=`. As with udev, what is unknown means the newest.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let number = text.strip_prefix('v').and_then(|digits| digits.parse().ok());
        number.map_or(Self::LATEST, |number| Self(number).min(Self::LATEST))
    }

    fn since(self, number: u16) -> bool {
        self.0 >= number
    }

    /// Whether a card has the slot of a bridge above it, which others may be behind, too.
    fn takes_slot_of_bridge(self, has_functions: bool) -> bool {
        match self.0 {
            ..=246 => true,
            251..=254 | 257.. => has_functions,
            _ => false,
        }
    }
}

/// What an interface is, in the first two letters of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `en`.
    Ethernet,
    /// `wl`.
    Wlan,
    /// `ww`.
    Wwan,
    /// `ib`.
    Infiniband,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Ethernet => "en",
            Self::Wlan => "wl",
            Self::Wwan => "ww",
            Self::Infiniband => "ib",
        }
    }
}

/// One PCI device on the way from a card to the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The number of its slot, as ACPI has it (`firmware_node/sun`).
    pub sun: Option<u32>,
    /// The number of the slot in which it may be changed (`/sys/bus/pci/slots`).
    pub slot: Option<u32>,
    /// Others may be behind it.
    pub is_bridge: bool,
}

/// A function of a PCI device; of a virtual function the physical one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pci {
    /// PCI domain; 0 where it is not to be in names.
    pub domain: u32,
    /// Bus.
    pub bus: u32,
    /// Device.
    pub device: u32,
    /// Function.
    pub function: u32,
    /// The device says that it has several functions.
    pub has_functions: bool,
    /// Device and function are one number of 8 bits (alternative routing).
    pub ari: bool,
    /// The number that the firmware gives to what is on the board: of ACPI, else of SMBIOS.
    pub onboard: Option<u32>,
    /// It and what it is behind, the card itself first.
    pub hops: Vec<Hop>,
    /// The number of the virtual function.
    pub virtual_function: Option<u32>,
}

/// Where an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On PCI itself, perhaps by virtio.
    Pci(Pci),
    /// On USB.
    Usb {
        /// The controller, if it is on PCI.
        host: Option<Pci>,
        /// Ports of the hubs on the way.
        ports: Vec<u32>,
        /// USB configuration.
        config: u32,
        /// Interface in it.
        interface: u32,
    },
    /// The interface of a Xen guest with this number.
    Xen(u32),
    /// Anywhere that gives no name.
    Elsewhere,
}

/// How an interface came by the name that it has (`name_assign_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// The kernel has counted: `eth0`.
    Counted,
    /// The kernel says that it stays the same.
    Predictable,
    /// Somebody has chosen it.
    Chosen,
}

/// All that names are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// The name it has.
    pub present: Present,
    /// Where it is.
    pub place: Place,
    /// The name of the port on the card (`phys_port_name`).
    pub port_name: Option<String>,
    /// The number of the port on the card, from 0.
    pub port: u32,
    /// The address that the hardware was built with.
    pub permanent: Option<[u8; ETHERNET]>,
    /// The name of a list of devices (udev's hwdb) that know only one.
    pub listed: Option<&'static str>,
}

/// The names that udev knows an interface by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Of the list: `idrac`.
    pub listed: Option<String>,
    /// By the firmware's number: `eno1`.
    pub onboard: Option<String>,
    /// By the slot: `ens3`.
    pub slot: Option<String>,
    /// By the way that leads to it: `enp0s3`.
    pub path: Option<String>,
    /// By the hardware address: `enx525400123456`.
    pub mac: Option<String>,
}

impl Given {
    /// The names of an interface.
    #[must_use]
    pub fn of(facts: &Facts, scheme: Scheme) -> Self {
        let prefix = facts.kind.prefix();
        if facts.kind == Kind::Infiniband && !scheme.since(240) {
            return Self::default();
        }
        let name = |middle: String| Some(format!("{prefix}{middle}")).filter(|name| name.len() <= LONGEST);
        let digits = |mac: [u8; ETHERNET]| mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut given = Self {
            listed: facts.listed.map(str::to_owned),
            mac: facts.permanent.and_then(|mac| name(format!("x{}", digits(mac)))),
            ..Self::default()
        };
        let port = port(facts, scheme);
        match &facts.place {
            Place::Pci(pci) => {
                let function = pci.virtual_function.filter(|_| scheme.since(239));
                let end = port + &function.map(|number| format!("v{number}")).unwrap_or_default();
                let number = pci.onboard.filter(|number| may_be_onboard(*number, scheme));
                given.onboard = number.and_then(|number| name(format!("o{number}{end}")));
                given.slot = by_slot(pci, scheme).and_then(|middle| name(middle + &end));
                given.path = name(by_path(pci, scheme) + &end);
            }
            Place::Usb { host, ports, config, interface } => {
                let mut end = port;
                for number in ports {
                    let _ = write!(end, "u{number}");
                }
                // What nearly all have is left out.
                let rare = [('c', *config, 1), ('i', *interface, 0)];
                rare.iter().filter(|(_, number, usual)| number != usual).for_each(|(letter, number, _)| {
                    let _ = write!(end, "{letter}{number}");
                });
                given.slot = host.as_ref().and_then(|pci| by_slot(pci, scheme)).and_then(|middle| name(middle + &end));
                given.path = match host {
                    Some(pci) => name(by_path(pci, scheme) + &end),
                    None => name(end).filter(|_| scheme.since(253)),
                };
            }
            Place::Xen(number) => given.slot = name(format!("X{number}")).filter(|_| scheme.since(250)),
            Place::Elsewhere => {}
        }
        given
    }

    /// The name that udev chooses (`NamePolicy=keep kernel database onboard slot path`); `None`: it keeps the one it has.
    #[must_use]
    pub fn chosen(&self, present: Present) -> Option<&str> {
        if present != Present::Counted {
            return None;
        }
        [&self.listed, &self.onboard, &self.slot, &self.path].into_iter().flatten().next().map(String::as_str)
    }

    /// All of them, the one that is chosen first.
    pub fn all(self) -> impl Iterator<Item = String> {
        [self.listed, self.onboard, self.slot, self.path, self.mac].into_iter().flatten()
    }
}

/// Some firmware counts in bit patterns; those are no numbers.
fn may_be_onboard(number: u32, scheme: Scheme) -> bool {
    let most = if scheme.since(249) { 0xffff } else { 0x3fff };
    number <= most && (number > 0 || scheme.since(240))
}

/// What tells ports of one card apart.
fn port(facts: &Facts, scheme: Scheme) -> String {
    let name = facts.port_name.as_deref().filter(|name| !name.is_empty());
    match name.map(|name| (name, represented(name).filter(|_| scheme.since(254)))) {
        Some((_, Some(number))) => format!("r{number}"),
        Some((name, None)) => format!("n{name}"),
        None if facts.port > 0 => format!("d{}", facts.port),
        None => String::new(),
    }
}

/// The virtual function that a port stands for: of `pf0vf3` it is 3.
fn represented(port: &str) -> Option<u32> {
    let (physical, number) = port.strip_prefix("pf")?.split_once("vf")?;
    physical.parse::<u32>().ok()?;
    number.parse().ok()
}

fn domain(pci: &Pci) -> String {
    if pci.domain > 0 { format!("P{}", pci.domain) } else { String::new() }
}

fn function(pci: &Pci, scheme: Scheme) -> String {
    let high = if pci.ari && scheme.since(239) { pci.device.saturating_mul(8) } else { 0 };
    let number = pci.function.saturating_add(high);
    if number > 0 || pci.has_functions { format!("f{number}") } else { String::new() }
}

fn by_path(pci: &Pci, scheme: Scheme) -> String {
    format!("{}p{}s{}{}", domain(pci), pci.bus, pci.device, function(pci, scheme))
}

/// The slot of the card, or of what it is behind.
fn by_slot(pci: &Pci, scheme: Scheme) -> Option<String> {
    let number = |hop: &Hop| {
        let sun = hop.sun.filter(|_| scheme.since(257));
        sun.filter(|number| *number > 0).or(hop.slot).filter(|number| *number > 0)
    };
    let (hop, number) = pci.hops.iter().find_map(|hop| Some((hop, number(hop)?)))?;
    if hop.is_bridge && !scheme.takes_slot_of_bridge(pci.has_functions) {
        return None;
    }
    Some(format!("{}s{number}{}", domain(pci), function(pci, scheme)))
}

/// The name that the kernel would have counted up to, had it not seen that names become free: of two cards that both begin as `eth0`,
/// because the first had got another name, the second is `eth1`.
#[must_use]
pub fn counted(name: &str, taken: &[&str]) -> String {
    let stem = name.trim_end_matches(|last: char| last.is_ascii_digit());
    if !taken.contains(&name) || stem.len() == name.len() {
        return name.to_owned();
    }
    (0..=taken.len())
        .map(|number| format!("{stem}{number}"))
        .find(|free| !taken.contains(&free.as_str()))
        .unwrap_or_default()
}
