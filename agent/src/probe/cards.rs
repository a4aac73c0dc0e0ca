//! Network cards that do not work, and what they lack: a driver, or a file of firmware (network-field.md kind 1).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::kmsg;

/// Records of the kernel's log that are looked at; a start writes about two thousand.
const RECORDS: usize = 20_000;
/// How much is told of one machine.
const MOST: usize = 16;
/// What stands in front of the name of a file that is not there: in Linux, and in the kernels of Debian.
const MISSING: [&str; 2] = ["Direct firmware load for ", "firmware: failed to load "];

/// The bus of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// PCI.
    Pci,
    /// USB.
    Usb,
}

/// What a card lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No driver has it.
    Driver {
        /// Where.
        bus: Bus,
        /// Vendor and product, each four hexadecimal digits.
        id: (String, String),
        /// Its place on the bus.
        at: String,
        /// It says that it is a network card; otherwise it says nothing, as many on USB.
        is_card: bool,
    },
    /// Its driver has asked for a file that is not there.
    Firmware {
        /// The file, below `/lib/firmware`.
        file: String,
        /// Its place on the bus.
        at: String,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver { bus, id: (vendor, product), at, is_card } => {
                let bus = match bus {
                    Bus::Pci => "PCI",
                    Bus::Usb => "USB",
                };
                let what = if *is_card { "network card" } else { "perhaps a network card" };
                write!(f, "no driver for {bus} {vendor}:{product} at {at} ({what})")
            }
            Self::Firmware { file, at } => write!(f, "no firmware {file} for {at}"),
        }
    }
}

/// What the cards of this machine lack, as far as `/sys` and the kernel's log tell.
#[must_use]
pub fn lacks(env: &Env) -> Vec<Lack> {
    let mut all: Vec<Lack> = entries(env, "sys/bus/pci/devices").filter_map(|path| pci(&path)).collect();
    all.extend(entries(env, "sys/bus/usb/devices").filter_map(|path| usb(&path)));
    // Of one card with several parts each says the same.
    let mut seen: Vec<Lack> = Vec::new();
    for lack in all.into_iter().chain(firmware(env)) {
        if seen.len() < MOST && !seen.contains(&lack) {
            seen.push(lack);
        }
    }
    seen
}

fn pci(device: &Path) -> Option<Lack> {
    // PCI class 02: network controllers of all kinds.
    let is_card = text(device, "class")?.starts_with("0x02");
    if !is_card || device.join("driver").exists() {
        return None;
    }
    let id = |name: &str| Some(text(device, name)?.trim_start_matches("0x").to_owned());
    let id = (id("vendor")?, id("device")?);
    Some(Lack::Driver { bus: Bus::Pci, id, at: name(device)?, is_card })
}

/// A USB interface: of class 02 those that carry Ethernet, RNDIS in both of its forms, or one of the vendor's own.
fn usb(interface: &Path) -> Option<Lack> {
    let number = |name: &str| text(interface, name);
    let class = number("bInterfaceClass")?;
    let rest = (number("bInterfaceSubClass")?, number("bInterfaceProtocol")?);
    let is_card = match (class.as_str(), rest.0.as_str(), rest.1.as_str()) {
        ("02", "06" | "0c" | "0d" | "0e", _) | ("e0", "01", "03") | ("ef", "04", "01") => true,
        ("ff", _, _) => false,
        _ => return None,
    };
    if interface.join("driver").exists() {
        return None;
    }
    let place = name(interface)?.split(':').next()?.to_owned();
    let device = interface.with_file_name(&place);
    let id = (text(&device, "idVendor")?, text(&device, "idProduct")?);
    Some(Lack::Driver { bus: Bus::Usb, id, at: place, is_card })
}

/// What drivers of network cards have asked for in vain.
fn firmware(env: &Env) -> Vec<Lack> {
    let is_card = |at: &str| {
        let class = env.text(Path::new("sys/bus/pci/devices").join(at).join("class"));
        class.is_some_and(|class| class.starts_with("0x02")) || env.path("sys/bus/usb/devices").join(at).exists()
    };
    let lines = kmsg::since_start(env, RECORDS);
    let asked = lines.iter().filter_map(|line| asked_in_vain(line)).filter(|(_, at)| is_card(at));
    asked.map(|(file, at)| Lack::Firmware { file: file.to_owned(), at: at.to_owned() }).collect()
}

/// The file and the device in a line such as `r8169 0000:03:00.0: Direct firmware load for rtl_nic/x.fw failed with error -2`.
fn asked_in_vain(line: &str) -> Option<(&str, &str)> {
    let (who, rest) = MISSING.iter().find_map(|words| line.split_once(words))?;
    let at = who.trim_end().trim_end_matches(':').rsplit(' ').next()?;
    let is_place = !at.is_empty() && !at.contains('/') && at != "..";
    is_place.then_some((rest.split(' ').next()?, at))
}

fn entries(env: &Env, directory: &str) -> impl Iterator<Item = PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(env.path(directory)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all.into_iter()
}

fn text(directory: &Path, attribute: &str) -> Option<String> {
    Some(fs::read_to_string(directory.join(attribute)).ok()?.trim_end().to_owned())
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(env: &Env, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = env.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn k1_cards_without_a_driver_and_firmware_that_was_asked_for_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        write(
            &env,
            &[
                ("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"),
                ("sys/bus/pci/devices/0000:03:00.0/class", "0x020000\n"),
                ("sys/bus/pci/devices/0000:03:00.0/vendor", "0x8086\n"),
                ("sys/bus/pci/devices/0000:03:00.0/device", "0x15f3\n"),
                ("sys/bus/pci/devices/0000:04:00.0/class", "0x020000\n"),
                ("sys/bus/pci/devices/0000:04:00.0/driver/module", ""),
                ("sys/bus/usb/devices/2-1/idVendor", "0bda\n"),
                ("sys/bus/usb/devices/2-1/idProduct", "8153\n"),
                ("sys/bus/usb/devices/2-1:2.0/bInterfaceClass", "02\n"),
                ("sys/bus/usb/devices/2-1:2.0/bInterfaceSubClass", "06\n"),
                ("sys/bus/usb/devices/2-1:2.0/bInterfaceProtocol", "00\n"),
                ("sys/bus/usb/devices/2-2/idVendor", "0b95\n"),
                ("sys/bus/usb/devices/2-2/idProduct", "1790\n"),
                ("sys/bus/usb/devices/2-2:1.0/bInterfaceClass", "ff\n"),
                ("sys/bus/usb/devices/2-2:1.0/bInterfaceSubClass", "ff\n"),
                ("sys/bus/usb/devices/2-2:1.0/bInterfaceProtocol", "00\n"),
                ("sys/bus/usb/devices/2-3:1.0/bInterfaceClass", "08\n"),
                ("sys/bus/usb/devices/2-3:1.0/bInterfaceSubClass", "06\n"),
                ("sys/bus/usb/devices/2-3:1.0/bInterfaceProtocol", "50\n"),
            ],
        );
        let found: Vec<String> = lacks(&env).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "no driver for PCI 8086:15f3 at 0000:03:00.0 (network card)",
                "no driver for USB 0bda:8153 at 2-1 (network card)",
                "no driver for USB 0b95:1790 at 2-2 (perhaps a network card)",
            ]
        );
        // A file gives all at once; the kernel one record for each read.
        let line = "r8169 0000:04:00.0: Direct firmware load for rtl_nic/rtl8168h-2.fw failed with error -2";
        write(&env, &[("dev/kmsg", &format!("4,12,99,-;{line}\n"))]);
        let file = "rtl_nic/rtl8168h-2.fw".to_owned();
        assert_eq!(lacks(&env).pop(), Some(Lack::Firmware { file, at: "0000:04:00.0".into() }));
    }

    #[test]
    fn k1_a_line_about_firmware_has_the_file_and_the_device() {
        for (line, expected) in [
            (
                "bnx2 0000:03:00.0: Direct firmware load for bnx2/a.fw failed with error -2",
                Some(("bnx2/a.fw", "0000:03:00.0")),
            ),
            ("bnx2 0000:03:00.0: firmware: failed to load bnx2/a.fw (-2)", Some(("bnx2/a.fw", "0000:03:00.0"))),
            (
                "r8152 2-1:1.0: Direct firmware load for rtl_nic/b.fw failed with error -2",
                Some(("rtl_nic/b.fw", "2-1:1.0")),
            ),
            ("firmware: failed to load x (-2)", None),
            ("../..: firmware: failed to load x (-2)", None),
            ("e1000 0000:00:03.0 eth0: link up", None),
        ] {
            assert_eq!(asked_in_vain(line), expected, "{line}");
        }
    }
}
