//! Which machine carries out a boot: the cheapest that has what it needs.

use super::{Bus, Nic};

/// What carries out a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// User-mode Linux: the kernel is a process, and a boot costs a tenth of QEMU's. No buses, no firmware.
    Uml,
    /// QEMU: the kernels of distributions on emulated hardware.
    Qemu,
}

/// Which machines a run may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The cheapest that does.
    #[default]
    Cheapest,
    /// This one: QEMU can carry out every boot whose memory is not counted out, user-mode Linux those that need no hardware.
    Only(Machine),
}

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A certain controller.
    Bus(Bus),
    /// A certain network card.
    Nic(Nic),
    /// SeaBIOS or OVMF.
    Firmware,
    /// An initrd for the kernel of a distribution: an original's, or ours with another kernel than Debian 13's.
    Initrd,
    /// A file system that its kernel lacks.
    FileSystem(&'static str),
    /// A medium that takes only so many bytes in a second.
    Slow,
    /// A medium that stops answering.
    Silent,
    /// A medium with places that cannot be read.
    Unreadable,
    /// A medium that is pulled out while it is in use.
    Unplug,
    /// A drive with a button.
    Eject,
    /// A reboot that can be told from a power-off.
    Reboot,
    /// Arguments for the real init: those of user-mode Linux itself reach it, too.
    InitArguments,
    /// More than one processor, or time that counts instructions.
    Clock,
    /// Something of the kernels that distributions ship; a comment beside the scenario says what.
    DistributionKernel,
    /// A limit of memory that was counted out for the kernel of user-mode Linux: the only need that QEMU cannot meet.
    CountedMemory,
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bus(bus) => {
                let name = clap::ValueEnum::to_possible_value(bus);
                write!(f, "bus {}", name.as_ref().map_or("", |name| name.get_name()))
            }
            Self::Nic(nic) => write!(f, "card {}", nic.name()),
            Self::Firmware => f.write_str("firmware"),
            Self::Initrd => f.write_str("initrd for a distribution's kernel"),
            Self::FileSystem(name) => write!(f, "driver for {name}"),
            Self::Slow => f.write_str("slow medium"),
            Self::Silent => f.write_str("medium that stops answering"),
            Self::Unreadable => f.write_str("medium with errors"),
            Self::Unplug => f.write_str("pulled plug"),
            Self::Eject => f.write_str("button of a drive"),
            Self::Reboot => f.write_str("reboot"),
            Self::InitArguments => f.write_str("arguments of init"),
            Self::Clock => f.write_str("clock or processors"),
            Self::DistributionKernel => f.write_str("distribution kernel"),
            Self::CountedMemory => f.write_str("memory counted for user-mode Linux"),
        }
    }
}

/// The machine for a boot with these needs; `None` if the run may not take one that has them all.
/// `uml` is whether this host can run user-mode Linux.
pub fn pick(needs: &[Need], wanted: Wanted, uml: bool) -> Option<Machine> {
    let light = uml && needs.iter().all(|need| *need == Need::CountedMemory);
    let real = !needs.contains(&Need::CountedMemory);
    match wanted {
        Wanted::Cheapest | Wanted::Only(Machine::Uml) if light => Some(Machine::Uml),
        Wanted::Cheapest | Wanted::Only(Machine::Qemu) if real => Some(Machine::Qemu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_machine_that_has_everything() {
        use Machine::{Qemu, Uml};
        use Wanted::{Cheapest, Only};
        let none: &[Need] = &[];
        let cd = &[Need::Bus(Bus::IdeCd)][..];
        for (needs, wanted, uml, expected) in [
            (none, Cheapest, true, Some(Uml)),
            (none, Cheapest, false, Some(Qemu)),
            (none, Only(Qemu), true, Some(Qemu)),
            (none, Only(Uml), true, Some(Uml)),
            (none, Only(Uml), false, None),
            (cd, Cheapest, true, Some(Qemu)),
            (cd, Only(Qemu), false, Some(Qemu)),
            (cd, Only(Uml), true, None),
            (&[Need::Firmware], Cheapest, true, Some(Qemu)),
            (&[Need::Nic(Nic::E1000)], Cheapest, true, Some(Qemu)),
            (&[Need::Nic(Nic::E1000)], Only(Uml), true, None),
            (&[Need::DistributionKernel], Cheapest, true, Some(Qemu)),
            (&[Need::CountedMemory], Cheapest, true, Some(Uml)),
            (&[Need::CountedMemory], Only(Uml), true, Some(Uml)),
            (&[Need::CountedMemory], Cheapest, false, None),
            (&[Need::CountedMemory], Only(Qemu), true, None),
            (&[Need::CountedMemory, Need::Firmware], Cheapest, true, None),
        ] {
            assert_eq!(pick(needs, wanted, uml), expected, "{needs:?} {wanted:?} {uml}");
        }
    }

    #[test]
    fn a_need_is_told_in_words() {
        assert_eq!(Need::Bus(Bus::UsbStick).to_string(), "bus usb-stick");
        assert_eq!(Need::FileSystem("exFAT").to_string(), "driver for exFAT");
        assert_eq!(Need::Nic(Nic::Virtio).to_string(), "card virtio-net");
    }
}
