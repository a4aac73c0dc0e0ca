//! A network for one boot: a namespace with a cable to the machine, and real servers at its other end.
//!
//! Each boot has its own, so addresses and ports are always the same and never collide. Nothing of it reaches the host's
//! own network: there is no route out, and no interface of the host is touched. The namespace lives as long as the processes in it,
//! and those die with the lab, however that ends.

mod args;
mod dolly;
mod layer;
mod link;
mod wire;

use crate::machine::Nic;
use crate::medium::Recipe;

pub use dolly::Dolly;
pub use link::Link;
pub use wire::Wire;

/// The servers' address on the first cable; that on the second is 10.9.1.1, and so on.
pub const SERVER: &str = "10.9.0.1";

/// The servers' address of IPv6, on the first cable of a network that has one.
pub const SERVER6: &str = "fd09::1";

/// The first card's address in hardware; the next ones count on. The second bit says that nobody has bought it.
const FIRST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x11];

/// What a boot is connected to.
#[derive(Clone, Debug)]
pub struct Net {
    nic: Option<Nic>,
    cards: Vec<String>,
    servers: Vec<Serve>,
    link: Link,
    starter: Option<Starter>,
    six: bool,
}

/// A server, at [`SERVER`] and its relatives.
#[derive(Clone, Debug)]
pub enum Serve {
    /// Addresses from .50 to .60 of each cable's network, with the server as router. Further words are dnsmasq's own.
    Dhcp(Vec<&'static str>),
    /// The same from so many seconds after the cables were laid.
    LateDhcp(u32),
    /// Files on port 80, by their path in the URL.
    Http(Vec<(&'static str, Recipe)>),
    /// The same with TLS on port 443, by this certificate of the lab's.
    Https(Vec<(&'static str, Recipe)>, Certificate),
    /// The same by FTP for everybody; with TLS from the first byte on, on port 990, where it has a certificate.
    Ftp(Vec<(&'static str, Recipe)>, Option<Certificate>),
    /// The same by TFTP.
    Tftp(Vec<(&'static str, Recipe)>),
    /// The same by NFS, versions 3 and 4, in the directory `/images`; of a path that ends with a slash, what is in the squashfs.
    Nfs(Vec<(&'static str, Recipe)>),
    /// The device e0.1 on the first cable, read-only, from so many seconds after the cables were laid.
    Aoe(Recipe, u32),
    /// An image for the machine at [`DOLLY_CLIENT`], as soon as that listens.
    Dolly(Recipe, Dolly),
    /// What a bash script (`-euo pipefail`) lays out of an ISO for firmware that boots over the network: in `$1`, of the ISO `$2`, with the
    /// builder `$3` and the agent `$4`. It is on port 80 too, and dnsmasq does what the `dnsmasq.conf` in it says.
    Shown(Box<Recipe>, String),
}

/// Where a machine has to be for a dolly server: words for [`Serve::Dhcp`].
pub const DOLLY_CLIENT: &str = "--dhcp-host=02:00:00:00:00:11,10.9.0.77";

/// The first card is `live0` on every machine; otherwise user-mode Linux and QEMU have other names for it.
pub const NAMED: &str = "ifname=live0:02:00:00:00:00:11";

/// A certificate of the lab's own CA, [`CA`], all with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For [`SERVER`] and `image.lan`.
    Right,
    /// It ended in 2021.
    Expired,
    /// It begins in 2110.
    Future,
    /// For `other.lan`.
    Other,
}

/// That CA.
pub const CA: &str = include_str!("pki/ca.pem");

impl Certificate {
    fn pem(self) -> &'static str {
        match self {
            Self::Right => include_str!("pki/server.pem"),
            Self::Expired => include_str!("pki/expired.pem"),
            Self::Future => include_str!("pki/future.pem"),
            Self::Other => include_str!("pki/other.pem"),
        }
    }
}

/// Bytes of frames on a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// From the servers to the machine.
    pub there: u64,
    /// From the machine to the servers.
    pub back: u64,
}

/// Which program loads the first file over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// The card's own, in its ROM: iPXE.
    Card,
    /// The firmware's, with its own driver of the card.
    Firmware,
    /// The same by HTTP: OVMF tries that when it knows no PXE.
    FirmwareHttp,
}

impl Net {
    /// One card of any kind, and nobody who answers.
    pub fn new() -> Self {
        Self { nic: None, cards: vec![mac(0)], servers: Vec::new(), link: Link::default(), starter: None, six: false }
    }

    /// One more server.
    pub fn serve(mut self, server: Serve) -> Self {
        self.servers.push(server);
        self
    }

    /// The servers have [`SERVER6`] too. Who gives addresses of its network is said by words of [`Serve::Dhcp`].
    pub fn six(mut self) -> Self {
        self.six = true;
        self
    }

    /// What the cables do to the frames that the machine receives.
    pub fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// The machine's firmware boots from the first card.
    pub fn boots(mut self, starter: Starter) -> Self {
        self.starter = Some(starter);
        self
    }

    /// A certain card, which needs QEMU.
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nic = Some(nic);
        self
    }

    /// Cards with these addresses, each on a cable and in a network of its own.
    pub fn cards(mut self, macs: &[&str]) -> Self {
        self.cards = macs.iter().map(|mac| (*mac).to_owned()).collect();
        self
    }

    /// The card that only QEMU has.
    pub fn wants(&self) -> Option<Nic> {
        self.nic
    }
}

fn mac(index: u8) -> String {
    let bytes = FIRST_MAC.iter().enumerate().map(|(at, byte)| if at == 5 { byte + index } else { *byte });
    bytes.map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
