//! What a system calls the media of a scenario. A scenario names them by their number, since each machine and bus has names
//! of its own: `{0}` is the first medium (`ubda`, `sda`, `vda`, `nvme0n1`, `sr0`), `{0.3}` the third partition on it,
//! `{0:dev}` the device number of the medium (`98:0`, `8:0`, `11:0`), on buses whose kernel numbers are fixed.

use super::{Bus, Drive, Machine};

/// Names of the media, in the order of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

/// The names on this machine, as its kernel gives them.
pub fn names(machine: Machine, drives: &[Drive]) -> Names {
    match machine {
        Machine::Uml => {
            let list = (0..drives.len()).map(|index| format!("ubd{}", letter(index + uml_shift(drives))));
            Names(list.collect())
        }
        Machine::Qemu => {
            let mut list = vec![String::new(); drives.len()];
            let mut counted: Vec<(&str, usize)> = Vec::new();
            // What is plugged in later is found later.
            let mut order: Vec<usize> = (0..drives.len()).collect();
            order.sort_by_key(|index| drives[*index].late);
            for index in order {
                let kind = kind(drives[index].bus.in_qemu());
                let number = counted.iter().filter(|(name, _)| *name == kind).count();
                counted.push((kind, index));
                list[index] = match kind {
                    "sd" | "vd" => format!("{kind}{}", letter(number)),
                    "nvme" => format!("nvme{number}n1"),
                    _ => format!("{kind}{number}"),
                };
            }
            Names(list)
        }
    }
}

/// User-mode Linux always has its first disk from the start, so media that all come later begin with the second.
pub fn uml_shift(drives: &[Drive]) -> usize {
    usize::from(drives.first().is_some_and(|drive| drive.late.is_some()))
}

fn kind(bus: Bus) -> &'static str {
    match bus {
        Bus::IdeCd | Bus::ScsiCd | Bus::UsbCd => "sr",
        Bus::UsbStick | Bus::Ahci | Bus::IdeDisk | Bus::Stick => "sd",
        Bus::Virtio | Bus::Virtio4k | Bus::Disk => "vd",
        Bus::Nvme => "nvme",
        Bus::SdCard => "mmcblk",
        Bus::Nvdimm | Bus::VirtioPmem | Bus::Memmap => "pmem",
    }
}

/// `a` for the first.
pub fn letter(index: usize) -> char {
    char::from(b'a' + u8::try_from(index).unwrap_or(25).min(25))
}

impl Names {
    /// The text with each role replaced; other braces stay.
    pub fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let role = after.split_once('}').and_then(|(role, behind)| Some((self.role(role)?, behind)));
            rest = match role {
                Some((name, behind)) => {
                    out.push_str(&name);
                    behind
                }
                None => {
                    out.push('{');
                    after
                }
            };
        }
        out + rest
    }

    fn role(&self, role: &str) -> Option<String> {
        if let Some(medium) = role.strip_suffix(":dev") {
            return number(self.0.get(medium.parse::<usize>().ok()?)?);
        }
        let (medium, partition) = match role.split_once('.') {
            Some((medium, partition)) => (medium, Some(partition.parse::<u32>().ok()?)),
            None => (role, None),
        };
        let name = self.0.get(medium.parse::<usize>().ok()?)?;
        Some(match partition {
            None => name.clone(),
            // The kernel puts a `p` between two numbers.
            Some(number) if name.ends_with(|last: char| last.is_ascii_digit()) => format!("{name}p{number}"),
            Some(number) => format!("{name}{number}"),
        })
    }
}

/// `MAJ:MIN` of a whole disk (Linux's Documentation/admin-guide/devices.txt). Drivers without a number of their own get one
/// while the system starts, so nothing is known of them before.
fn number(name: &str) -> Option<String> {
    let disk = |prefix: &str| {
        let mut letters = name.strip_prefix(prefix)?.bytes();
        let letter = letters.next().filter(u8::is_ascii_lowercase)?;
        letters.next().is_none().then_some(u32::from(letter - b'a'))
    };
    if let Some(index) = disk("ubd") {
        return Some(format!("98:{}", index * 16));
    }
    if let Some(index) = disk("sd") {
        // The first major has room for sixteen disks.
        return (index < 16).then(|| format!("8:{}", index * 16));
    }
    name.strip_prefix("sr")?.parse::<u32>().ok().map(|index| format!("11:{index}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Trouble;
    use super::*;

    fn drive(bus: Bus, late: Option<u64>) -> Drive {
        let late = late.map(Duration::from_secs);
        Drive { file: "x".into(), bus, late, keep_writes: false, log: None, locked: false, trouble: Trouble::default() }
    }

    #[test]
    fn names_are_those_of_the_kernel() {
        use Bus::*;
        type Media = &'static [(Bus, Option<u64>)];
        let table: &[(Media, &str, &str)] = &[
            (&[(Disk, None), (Disk, None)], "ubda ubdb", "vda vdb"),
            (&[(Stick, None), (Disk, None), (UsbStick, None)], "ubda ubdb ubdc", "sda vda sdb"),
            (&[(Stick, Some(5)), (Stick, None)], "ubdb ubdc", "sdb sda"),
            (&[(IdeCd, None), (UsbCd, None), (Nvme, None)], "ubda ubdb ubdc", "sr0 sr1 nvme0n1"),
            (&[(SdCard, None), (Ahci, None)], "ubda ubdb", "mmcblk0 sda"),
            (&[(Nvdimm, None), (VirtioPmem, None)], "ubda ubdb", "pmem0 pmem1"),
            (&[], "", ""),
        ];
        for (media, uml, qemu) in table {
            let drives: Vec<Drive> = media.iter().map(|(bus, late)| drive(*bus, *late)).collect();
            for (machine, expected) in [(Machine::Uml, uml), (Machine::Qemu, qemu)] {
                assert_eq!(names(machine, &drives).0.join(" "), **expected, "{machine:?} {media:?}");
            }
        }
    }

    #[test]
    fn roles_are_replaced_and_other_braces_stay() {
        let names = Names(vec!["ubda".into(), "nvme0n1".into(), "mmcblk0".into()]);
        for (text, expected) in [
            ("/dev/{0}", "/dev/ubda"),
            ("/dev/{0.3} {1}, {1.12}{2.1}", "/dev/ubda3 nvme0n1, nvme0n1p12mmcblk0p1"),
            ("{\"a\":{0}}", "{\"a\":ubda}"),
            ("{3} {x} {0.} {0.y} {", "{3} {x} {0.} {0.y} {"),
            ("{{0}}", "{ubda}"),
        ] {
            assert_eq!(names.fill(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let names = Names(["ubda", "ubdb", "sdc", "sdz", "sr1", "vda"].map(String::from).to_vec());
        for (text, expected) in [
            ("/dev/block/{0:dev}", "/dev/block/98:0"),
            ("{1:dev} {2:dev} {4:dev}", "98:16 8:32 11:1"),
            ("{3:dev} {5:dev} {6:dev} {0:x}", "{3:dev} {5:dev} {6:dev} {0:x}"),
        ] {
            assert_eq!(names.fill(text), expected, "{text}");
        }
    }
}
