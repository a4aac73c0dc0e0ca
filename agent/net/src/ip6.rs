//! IPv6 by router advertisements (RFC 4861, RFC 4862). The kernel does it all; here is how it is told to be quick, and
//! when what it has made can be used (network.md 4.5).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use crate::dhcp6::Goal;
use crate::grammar::Address;
use crate::hostname::Hostname;
use crate::link::Event;

/// What is written below `/proc/sys/net/ipv6/conf/NAME` before the interface is set up: file and value. Without the
/// delay of the first router solicitation the address is there a second earlier; duplicate address detection stays, for
/// two hosts with one address lose both roots.
const SETTINGS: [(&str, &str); 4] =
    [("disable_ipv6", "0"), ("accept_ra", "1"), ("autoconf", "1"), ("router_solicitation_delay", "0")];
/// The same where the link-local address alone is wanted: no router is listened to.
const LINK_LOCAL: [(&str, &str); 2] = [("disable_ipv6", "0"), ("accept_ra", "0")];

/// Whom an interface listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Routers, which give addresses.
    Routers,
    /// Nobody: it has a link-local address.
    Nobody,
}

/// Tells the kernel how to treat an interface, below `root` (`/` on a real machine). A kernel without IPv6 is no error.
///
/// # Errors
/// A file exists but cannot be written.
pub fn prepare(root: &Path, name: &str, listens: Listens) -> io::Result<()> {
    let directory = root.join("proc/sys/net/ipv6/conf").join(name);
    if !directory.is_dir() {
        return Ok(());
    }
    let settings = match listens {
        Listens::Routers => SETTINGS.as_slice(),
        Listens::Nobody => &LINK_LOCAL,
    };
    for (file, value) in settings {
        match fs::write(directory.join(file), value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the kernel itself hears routers on an interface (`/proc/sys/net/ipv6/conf/NAME/accept_ra`): networkd and `NetworkManager`
/// forbid it, and do it instead.
#[must_use]
pub fn hears_routers(root: &Path, name: &str) -> bool {
    let accepts = fs::read_to_string(root.join("proc/sys/net/ipv6/conf").join(name).join("accept_ra"));
    accepts.is_ok_and(|text| text.trim_end() != "0")
}

/// What IPv6 of one interface is good for so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The link-local address, once it can be used.
    pub link_local: Option<Ipv6Addr>,
    /// Other addresses that can be used.
    pub global: Vec<Address>,
    /// Whether a router leads everywhere.
    pub default_route: bool,
    /// Whether more than single addresses are on the link itself.
    pub prefix_route: bool,
    /// Whether a router has advertised itself.
    pub advertised: bool,
    /// Whether it wants addresses to be had by DHCPv6.
    pub managed: bool,
    /// Whether it has other information to be had by DHCPv6.
    pub other: bool,
    /// Servers for names that routers have named.
    pub dns: Vec<IpAddr>,
    /// Domains that routers have named.
    pub search: Vec<Hostname>,
    /// Addresses that another machine has.
    pub duplicates: Vec<Ipv6Addr>,
}

/// Servers, domains and addresses that are kept: what a network sends has an end.
const MAX: usize = 16;

impl State {
    /// Takes in what the kernel tells of the interface with this number; whether anything has changed.
    pub fn take(&mut self, index: u32, event: &Event) -> bool {
        let before = self.clone();
        match event {
            Event::Address { index: of, address, tentative, duplicate } if *of == index => {
                self.address(*address, *tentative, *duplicate);
            }
            Event::AddressGone { index: of, address } if *of == index => self.gone(*address),
            Event::Route { index: of, route } if *of == index && is_default(route) => self.default_route = true,
            Event::RouteGone { index: of, route } if *of == index && is_default(route) => self.default_route = false,
            Event::Route { index: of, route } if *of == index && is_prefix(route) => self.prefix_route = true,
            Event::RouteGone { index: of, route } if *of == index && is_prefix(route) => self.prefix_route = false,
            Event::Router { index: of, managed, other } if *of == index => {
                (self.advertised, self.managed, self.other) = (true, *managed, *other);
            }
            Event::Advertised { index: of, what } if *of == index => {
                self.advertised = true;
                let forget = what.lifetime.is_zero();
                merge(&mut self.dns, &what.dns, forget);
                merge(&mut self.search, &what.search, forget);
            }
            _ => {}
        }
        // The kernel tells of the flags of an advertisement only when they change; what it makes of one tells as much.
        self.advertised |= self.default_route || self.prefix_route;
        *self != before
    }

    /// Whether servers can be reached: by a router, or on the link itself.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        (self.default_route || self.prefix_route) && !self.global.is_empty()
    }

    /// What DHCPv6 is to be asked for: there is an address to ask from, and a router has said so, or an address is `asked_for` by the
    /// command line.
    #[must_use]
    pub fn goal(&self, asked_for: bool) -> Option<Goal> {
        self.link_local?;
        match (self.managed || asked_for, self.other) {
            (true, _) => Some(Goal::Address),
            (false, true) => Some(Goal::Information),
            (false, false) => None,
        }
    }

    fn address(&mut self, address: Address, tentative: bool, duplicate: bool) {
        let IpAddr::V6(ip) = address.ip else { return };
        self.gone(address);
        if duplicate {
            merge(&mut self.duplicates, &[ip], false);
        } else if tentative {
            // It cannot be used yet.
        } else if ip.is_unicast_link_local() {
            self.link_local = Some(ip);
        } else if !ip.is_loopback() {
            merge(&mut self.global, &[address], false);
        }
    }

    fn gone(&mut self, address: Address) {
        self.global.retain(|other| other.ip != address.ip);
        if self.link_local.map(IpAddr::V6) == Some(address.ip) {
            self.link_local = None;
        }
    }
}

fn is_default(route: &crate::route::Route) -> bool {
    route.net.prefix == 0 && route.net.ip.is_ipv6()
}

/// The route to a prefix on the link that a router has named.
fn is_prefix(route: &crate::route::Route) -> bool {
    let IpAddr::V6(ip) = route.net.ip else { return false };
    (1..128).contains(&route.net.prefix) && route.gateway.is_none() && !ip.is_unicast_link_local() && !ip.is_multicast()
}

fn merge<T: Clone + PartialEq>(list: &mut Vec<T>, new: &[T], forget: bool) {
    for one in new {
        if forget {
            list.retain(|other| other != one);
        } else if list.len() < MAX && !list.contains(one) {
            list.push(one.clone());
        }
    }
}
