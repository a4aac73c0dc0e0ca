//! Network cards, and how a machine is started inside the namespace that its cables are in.

use std::path::PathBuf;
use std::process::Command;

use crate::net::Starter;

/// A network card that has a driver of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// virtio-net.
    Virtio,
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L.
    E1000e,
    /// Realtek 8139.
    Rtl8139,
}

impl Nic {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Virtio, Self::E1000, Self::E1000e, Self::Rtl8139];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-net",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Rtl8139 => "rtl8139",
        }
    }

    /// As QEMU does.
    fn device(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-net-pci",
            other => other.name(),
        }
    }
}

/// One card and its cable.
#[derive(Clone, Debug)]
pub struct Card {
    /// Address in hardware.
    pub mac: String,
    /// Which card, if that matters.
    pub nic: Option<Nic>,
    /// The interface at the machine's end of the cable: a tap for QEMU, one end of a veth pair for user-mode Linux.
    pub interface: String,
    /// The host puts frames together and checks their sums, as for every virtual machine; not where a cable is
    /// to carry real frames.
    pub offload: bool,
    /// Which program boots from it, if the firmware is to.
    pub starter: Option<Starter>,
}

/// What a machine is connected to.
#[derive(Clone, Debug)]
pub struct Plug {
    /// The namespace as a file.
    pub namespace: PathBuf,
    /// Its cards.
    pub cards: Vec<Card>,
}

impl Plug {
    /// The program, started in the namespace. It dies with the lab's thread that has started it, which waits for it:
    /// otherwise a killed lab would leave a machine that keeps the namespace alive.
    fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        command.arg(format!("--net={}", self.namespace.display())).arg(program);
        command
    }
}

/// The program, in the namespace of the network if there is one.
pub(super) fn program(name: &str, plug: Option<&Plug>) -> Command {
    plug.map_or_else(|| Command::new(name), |plug| plug.enter(name))
}

/// Arguments of user-mode Linux. Without `gro` the large frames that the host puts together are dropped.
pub(super) fn uml(plug: Option<&Plug>) -> Vec<String> {
    let cards = plug.map_or(&[][..], |plug| &plug.cards).iter().enumerate();
    cards
        .map(|(number, Card { mac, interface, .. })| {
            format!("vec{number}:transport=raw,ifname={interface},mac={mac},depth=128,gro=1")
        })
        .collect()
}

/// Arguments of QEMU. A card brings a program of its own for the firmware only where that is to boot from it.
pub(super) fn qemu(plug: Option<&Plug>) -> Vec<String> {
    let Some(plug) = plug else { return vec!["-nic".into(), "none".into()] };
    let cards = plug.cards.iter().enumerate();
    cards
        .flat_map(|(number, Card { mac, interface, nic, offload, starter })| {
            let offload = if *offload { "" } else { ",vnet_hdr=off" };
            let device = nic.unwrap_or(Nic::Virtio).device();
            let boots = match starter {
                None => ",romfile=",
                Some(Starter::Firmware | Starter::FirmwareHttp) => ",romfile=,bootindex=0",
                Some(Starter::Card) => ",bootindex=0",
            };
            let mut words = vec![
                "-netdev".into(),
                format!("tap,id=net{number},ifname={interface},script=no,downscript=no{offload}"),
                "-device".into(),
                format!("{device},netdev=net{number},mac={mac}{boots}"),
            ];
            if *starter == Some(Starter::FirmwareHttp) {
                let off = |family| format!("name=opt/org.tianocore/{family}PXESupport,string=n");
                words.extend(["IPv4", "IPv6"].into_iter().flat_map(|family| ["-fw_cfg".to_owned(), off(family)]));
            }
            words
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plug(nics: &[Option<Nic>]) -> Plug {
        let card = |(at, nic): (usize, &Option<Nic>)| Card {
            mac: format!("m{at}"),
            nic: *nic,
            interface: format!("i{at}"),
            offload: true,
            starter: None,
        };
        Plug { namespace: "/ns".into(), cards: nics.iter().enumerate().map(card).collect() }
    }

    #[test]
    fn cards_in_the_words_of_each_machine() {
        let tap = |n| format!("-netdev tap,id=net{n},ifname=i{n},script=no,downscript=no");
        for (nics, expected_uml, expected_qemu) in [
            (&[None][..], 1, format!("{} -device virtio-net-pci,netdev=net0,mac=m0,romfile=", tap(0))),
            (&[Some(Nic::Rtl8139)], 1, format!("{} -device rtl8139,netdev=net0,mac=m0,romfile=", tap(0))),
            (
                &[Some(Nic::E1000e), Some(Nic::E1000)],
                2,
                format!(
                    "{} -device e1000e,netdev=net0,mac=m0,romfile= {} -device e1000,netdev=net1,mac=m1,romfile=",
                    tap(0),
                    tap(1)
                ),
            ),
        ] {
            let plug = plug(nics);
            let words: Vec<String> = (0..expected_uml)
                .map(|n| format!("vec{n}:transport=raw,ifname=i{n},mac=m{n},depth=128,gro=1"))
                .collect();
            assert_eq!(uml(Some(&plug)), words, "{nics:?}");
            assert_eq!(qemu(Some(&plug)).join(" "), expected_qemu, "{nics:?}");
        }
        let mut plain = plug(&[None]);
        plain.cards[0].offload = false;
        assert_eq!(qemu(Some(&plain))[1], "tap,id=net0,ifname=i0,script=no,downscript=no,vnet_hdr=off");
        for (starter, end) in [
            (Starter::Firmware, ",romfile=,bootindex=0"),
            (Starter::FirmwareHttp, ",romfile=,bootindex=0"),
            (Starter::Card, ",mac=m0,bootindex=0"),
        ] {
            plain.cards[0].starter = Some(starter);
            assert!(qemu(Some(&plain))[3].ends_with(end), "{starter:?}");
            assert_eq!(qemu(Some(&plain)).len() > 4, starter == Starter::FirmwareHttp);
        }
        assert_eq!(uml(None), Vec::<String>::new());
        assert_eq!(qemu(None), ["-nic", "none"]);
    }

    #[test]
    fn a_machine_is_started_where_its_cables_are() {
        let shown = |plug| format!("{:?}", program("qemu", plug)).replace('"', "");
        assert_eq!(shown(None), "qemu");
        assert_eq!(shown(Some(&plug(&[]))), "setpriv --pdeathsig KILL nsenter --net=/ns qemu");
    }
}
