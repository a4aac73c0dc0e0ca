//! What the command line says of the network (network.md 4.1, 4.2, with the corrections of network-field.md).
//!
//! The words come in without quotes; a [`Wish`] and a list of [`Complaint`]s go out. A word that cannot be used never
//! touches another one: the three programs that read the same words in other initrds end the boot, or forget all words,
//! because of one. What they make of a word is in [`others`].

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;
use crate::naming::Scheme;

mod fault;
mod fields;
mod interface;
mod ip;
mod options;
pub mod others;
#[cfg(test)]
mod tests;

pub use fault::{Complaint, Effect, Fault, Layered};
pub use fields::{Address, classful, prefix_of};
pub use interface::{Interface, Names};

/// Words that are looked at; a line of 4096 bytes has fewer.
const MAX_WORDS: usize = 2048;

/// One argument of the command line, quotes removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What stands before the first `=`, or the whole word.
    pub key: &'a str,
    /// What stands behind it; `None` for a bare word.
    pub value: Option<&'a str>,
}

/// Where the address of an interface comes from: the seventh field of `ip=`, or its only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `dhcp`: DHCPv4.
    Dhcp4,
    /// `single-dhcp`: DHCPv4 on all at once, the first answer wins, which is what rdlive does with `dhcp` too.
    SingleDhcp,
    /// `on`, `any`: what comes first of DHCPv4, router advertisements and DHCPv6.
    Any,
    /// `dhcp6`: DHCPv6.
    Dhcp6,
    /// `auto6`: router advertisements.
    Auto6,
    /// `either6`: router advertisements, and DHCPv6 without any.
    Either6,
    /// `dhcp,dhcp6`: both.
    Dhcp4And6,
    /// `link6`: the link-local IPv6 address alone.
    Link6,
    /// `link-local`: link-local addresses of both families (RFC 3927, RFC 4862).
    LinkLocal,
    /// `ibft`: the firmware's table, which only iSCSI needs.
    Ibft,
    /// An address is given.
    Static,
    /// `none`, `off` without an address: up, but without any, as AoE needs it.
    Off,
}

/// How an `ip=` word is written, which decides how others read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `METHOD`, or nothing.
    Method,
    /// `IF:METHOD[:[MTU][:MAC]]`.
    InterfaceMethod,
    /// `ADDR:[PEER]:[GW]:[MASK]:[HOST]:[IF]:METHOD…`; ADDR may be empty.
    Long,
    /// The same without a method.
    NoMethod,
    /// `CLIENT:SERVER:GW:MASK` of pxelinux (`IPAPPEND 1`).
    FourFields,
    /// `ADDR`, with `gateway=` and others beside it, as Anaconda reads it.
    AddressAlone,
}

/// What one `ip=` word asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose; `None`: of each interface that there is, with an address of whichever gets carrier first.
    pub interface: Option<Interface>,
    /// Where the address comes from.
    pub method: Method,
    /// The address: to be used with [`Method::Static`], else to be asked for (DHCP option 50).
    pub address: Option<Address>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The default router. One outside of the subnet is reached by a route to itself ([`crate::route`]).
    pub gateway: Option<IpAddr>,
    /// The server that the loader booted from (second of the four fields of pxelinux).
    pub next_server: Option<IpAddr>,
    /// The name of this machine.
    pub hostname: Option<Hostname>,
    /// Servers for names, those of `nameserver=` not among them.
    pub dns: Vec<IpAddr>,
    /// Servers for the time.
    pub ntp: Vec<IpAddr>,
    /// Bytes of the largest packet.
    pub mtu: Option<u32>,
    /// The hardware address that the interface is to get.
    pub set_mac: Option<HardwareAddress>,
    /// How it was written, as far as others care.
    pub spelling: Spelling,
}

/// What of the way a word is written decides how others read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Which form.
    pub form: Form,
    /// Whether the prefix stands in the field of the address.
    pub prefix_in_address: bool,
    /// Whether the interface is a hardware address with colons in it.
    pub colons_in_mac: bool,
}

/// A route of `rd.route=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteWish {
    /// What is reached, bits behind the prefix 0.
    pub net: Address,
    /// By which router; `None`: on the link itself.
    pub gateway: Option<IpAddr>,
    /// Over which interface; `None`: over the one on whose subnet the router is, else over the one that reaches the server.
    pub interface: Option<Interface>,
}

/// `ifname=NAME:MAC`: the interface with this address gets that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The new name.
    pub name: String,
    /// Whose.
    pub mac: HardwareAddress,
}

/// `vlan=NAME:PARENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The new interface.
    pub name: String,
    /// 1 to 4094, the digits at the end of the name.
    pub id: u16,
    /// The interface whose frames carry the tag.
    pub parent: Interface,
}

/// `rd.net.timeout.*`, as far as they were given; what is `None` has the limit that the boot has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `dhcp`: for an answer of a server.
    pub dhcp: Option<Duration>,
    /// `iflink`: for an interface to appear.
    pub iflink: Option<Duration>,
    /// `ifup`: for it to be up.
    pub ifup: Option<Duration>,
    /// `route`: for a route to the server.
    pub route: Option<Duration>,
    /// `ipv6dad`: for the end of duplicate address detection.
    pub ipv6dad: Option<Duration>,
    /// `ipv6auto`: for a router advertisement.
    pub ipv6auto: Option<Duration>,
    /// `carrier`: for a carrier.
    pub carrier: Option<Duration>,
}

/// What the command line asks of the network. [`Wish::default`] is what holds without any word: DHCP on each interface
/// when a source needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// One for each `ip=`, in order.
    pub requests: Vec<Request>,
    /// `nameserver=`, in order: asked before those of DHCP.
    pub dns: Vec<IpAddr>,
    /// The interface that is preferred: `bootdev=`, else `BOOTIF=` unless `rd.bootif=0`, else `ksdevice=`. No more than
    /// a preference (kind 4).
    pub preferred: Option<Interface>,
    /// `rd.route=`.
    pub routes: Vec<RouteWish>,
    /// `ifname=`.
    pub names: Vec<Naming>,
    /// `vlan=`.
    pub vlans: Vec<Vlan>,
    /// Whether servers for names that DHCP and routers name are used (`rd.peerdns`).
    pub peer_dns: bool,
    /// Whether the network is brought up though no source needs it (`rd.neednet`).
    pub needed: bool,
    /// `rd.net.timeout.*`.
    pub timeouts: Timeouts,
    /// `rd.net.dhcp.retry`: how often others ask before they give up; rdlive asks until the deadline of the boot, and
    /// takes a higher number for granted.
    pub dhcp_retry: Option<u32>,
    /// `rd.net.dhcp.vendor-class`: what this machine says it is (DHCP option 60).
    pub vendor_class: Option<String>,
    /// `rd.net.dhcp.client-id`: by what the server knows this machine (option 61), instead of its hardware address.
    pub client_id: Option<Vec<u8>>,
    /// Whether an address of the command line is used though another machine has it (`rd.live.net.conflict=use`).
    pub shares_addresses: bool,
    /// Whether interfaces get names that tell where they are, as udev gives them: not with `net.ifnames=0`.
    pub predictable_names: bool,
    /// By which rules those are made: `net.naming_scheme=`.
    pub naming: Scheme,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            requests: Vec::new(),
            dns: Vec::new(),
            preferred: None,
            routes: Vec::new(),
            names: Vec::new(),
            vlans: Vec::new(),
            peer_dns: true,
            needed: false,
            timeouts: Timeouts::default(),
            dhcp_retry: None,
            vendor_class: None,
            client_id: None,
            shares_addresses: false,
            predictable_names: true,
            naming: Scheme::LATEST,
        }
    }
}

impl Wish {
    /// Reads all words that concern the network and passes over the others.
    #[must_use]
    pub fn parse<'a>(words: impl IntoIterator<Item = Word<'a>>) -> (Self, Vec<Complaint>) {
        let words: Vec<Word<'a>> = words.into_iter().take(MAX_WORDS).collect();
        options::read(&words)
    }

    /// What is asked for an interface with these names: the words that name it, else those that name none. Of two words for one family the
    /// later one counts, as with all words of the command line.
    #[must_use]
    pub fn requests_for(&self, link: &Names<'_>) -> Vec<&Request> {
        let named = |request: &&Request| request.interface.as_ref().is_some_and(|interface| interface.means(link));
        let mut all: Vec<&Request> = self.requests.iter().filter(named).collect();
        if all.is_empty() {
            all = self.requests.iter().filter(|request| request.interface.is_none()).collect();
        }
        let later = |at: usize| all.get(at + 1..).unwrap_or_default();
        let counts = |at: usize, family: Family| {
            all.get(at).is_some_and(|request| request.concerns(family))
                && !later(at).iter().any(|request| request.concerns(family))
        };
        let lasting = |at: &usize| counts(*at, Family::V4) || counts(*at, Family::V6);
        (0..all.len()).filter(lasting).filter_map(|at| all.get(at).copied()).collect()
    }

    /// Lets an interface with this name stand in for the one that a word means.
    pub fn stand_in(&mut self, word: &Interface, name: &str) {
        let words = self.requests.iter_mut().filter_map(|request| request.interface.as_mut());
        let words = words
            .chain(self.vlans.iter_mut().map(|vlan| &mut vlan.parent))
            .chain(self.routes.iter_mut().filter_map(|route| route.interface.as_mut()))
            .chain(self.preferred.as_mut());
        for one in words.filter(|one| **one == *word) {
            *one = Interface::Name(name.to_owned());
        }
    }

    /// The interface words that name none of the interfaces that are there (kind 5): for the message after ten seconds.
    pub fn missing<'a>(&'a self, present: &'a [Names<'a>]) -> impl Iterator<Item = &'a Interface> {
        let vlans = |name: &Interface| self.vlans.iter().any(|vlan| name == &Interface::Name(vlan.name.clone()));
        let wanted = self.requests.iter().filter_map(|request| request.interface.as_ref());
        wanted
            .chain(self.preferred.as_ref())
            .chain(self.vlans.iter().map(|vlan| &vlan.parent))
            .chain(self.routes.iter().filter_map(|route| route.interface.as_ref()))
            .filter(move |name| !vlans(name) && !present.iter().any(|link| name.means(link)))
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Request {
    /// Whether it decides how the interface gets an address of this family.
    #[must_use]
    pub fn concerns(&self, family: Family) -> bool {
        let v4 = family == Family::V4;
        match self.method {
            Method::Dhcp4 | Method::SingleDhcp => v4,
            Method::Dhcp6 | Method::Auto6 | Method::Either6 | Method::Link6 => !v4,
            Method::Any | Method::Dhcp4And6 | Method::LinkLocal | Method::Off => true,
            Method::Static => self.address.is_some_and(|address| address.ip.is_ipv4() == v4),
            Method::Ibft => false,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dhcp4 | Self::SingleDhcp => "DHCPv4",
            Self::Any => "DHCPv4, or IPv6 from a router or DHCPv6",
            Self::Dhcp6 => "DHCPv6",
            Self::Auto6 => "IPv6 from a router",
            Self::Either6 => "IPv6 from a router, else DHCPv6",
            Self::Dhcp4And6 => "DHCPv4 and DHCPv6",
            Self::Link6 => "link-local IPv6 address",
            Self::LinkLocal => "link-local addresses",
            Self::Ibft => "nothing: the firmware's table is for iSCSI",
            Self::Static => "static",
            Self::Off => "up without an address",
        })
    }
}

impl fmt::Display for Request {
    /// One line, for `explain` and the report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface}: {}", self.method)?,
            None => write!(f, "any: {}", self.method)?,
        }
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        let addresses = [("peer", self.peer), ("via", self.gateway), ("server", self.next_server)];
        for (what, address) in addresses.into_iter().filter_map(|(what, address)| Some((what, address?))) {
            write!(f, ", {what} {address}")?;
        }
        if let Some(hostname) = &self.hostname {
            write!(f, ", host {hostname}")?;
        }
        for (what, servers) in [("DNS", &self.dns), ("NTP", &self.ntp)] {
            for server in servers {
                write!(f, ", {what} {server}")?;
            }
        }
        if let Some(mtu) = self.mtu {
            write!(f, ", MTU {mtu}")?;
        }
        if let Some(mac) = self.set_mac {
            write!(f, ", set MAC {mac}")?;
        }
        Ok(())
    }
}
