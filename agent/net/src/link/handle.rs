//! Requests to the kernel, each answered before the call returns.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use super::event::{Event, event};
use super::wire::{self, Doing, Failure, Link, Request, link_head, nested, number as n, octets};
use crate::grammar::Address;
use crate::hardware::HardwareAddress;
use crate::route::Route;

/// The kernel answers at once; a lock that others hold may take it longer.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// Bytes of one read: more than the kernel puts into one part of a list.
const BUFFER: usize = 64 * 1024;
/// Messages of one list that are read.
const MAX_PARTS: usize = 4096;
/// A lifetime without an end.
const FOREVER: u32 = u32::MAX;

/// For how long an address holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is taken away (network.md 4.7).
    Forever,
    /// For this time; then the kernel takes it away.
    For(Duration),
}

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The number of the interface.
    pub index: u32,
    /// The address.
    pub address: Address,
    /// Whether the kernel takes it away when its time is over.
    pub ends: bool,
}

/// How a route is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteOptions {
    /// Who has made it: 16 for DHCP, by which networkd knows such an address (network.md 4.4).
    pub protocol: u8,
    /// Which of several counts: the smaller one.
    pub metric: u32,
    /// The address that packets get.
    pub source: Option<IpAddr>,
}

impl RouteOptions {
    /// `RTPROT_DHCP`.
    pub const DHCP: u8 = 16;
    /// `RTPROT_STATIC`.
    pub const STATIC: u8 = 4;
    /// `RTPROT_KERNEL` and `RTPROT_RA`: the kernel makes them again where they are needed.
    pub const OF_KERNEL: [u8; 2] = [2, 9];
    /// The metric that networkd gives: 1024.
    pub const METRIC: u32 = 1024;
}

/// A socket for requests.
#[derive(Debug)]
pub struct Handle {
    socket: OwnedFd,
    sequence: u32,
}

/// A netlink socket that gets what is sent to these groups.
pub(super) fn open(groups: u32, doing: Doing) -> Result<OwnedFd, Failure> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None);
    let bound = socket.and_then(|socket| bind(&socket, &SocketAddrNetlink::new(0, groups)).map(|()| socket));
    bound.map_err(|errno| Failure { doing, source: errno.into() })
}

impl Handle {
    /// Opens the socket.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn open() -> Result<Self, Failure> {
        Ok(Self { socket: open(0, Doing::Open)?, sequence: 0 })
    }

    /// All interfaces of the network namespace.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn links(&mut self) -> Result<Vec<Link>, Failure> {
        let request = Request::new(n::GETLINK, n::DUMP, &link_head(0, 0, 0));
        self.list(&request, Doing::ListLinks, Link::read)
    }

    /// All addresses, each with the number of its interface.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn addresses(&mut self) -> Result<Vec<(u32, Address)>, Failure> {
        let request = Request::new(n::GETADDR, n::DUMP, &[0; wire::ADDRESS_HEAD]);
        let read = |body: &[u8]| wire::read_address(body).map(|(index, address, _)| (index, address));
        self.list(&request, Doing::ListAddresses, read)
    }

    /// The same, with whether each ends by itself.
    ///
    /// # Errors
    /// As [`Self::addresses`].
    pub fn held(&mut self) -> Result<Vec<Held>, Failure> {
        let request = Request::new(n::GETADDR, n::DUMP, &[0; wire::ADDRESS_HEAD]);
        let read = |body: &[u8]| {
            let (index, address, flags) = wire::read_address(body)?;
            Some(Held { index, address, ends: flags & n::IFA_F_PERMANENT == 0 })
        };
        self.list(&request, Doing::ListAddresses, read)
    }

    /// The routes of the main table: number of the interface, route, and who has made it.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn routes(&mut self) -> Result<Vec<(u32, Route, u8)>, Failure> {
        let request = Request::new(n::GETROUTE, n::DUMP, &[0; wire::ROUTE_HEAD]);
        self.list(&request, Doing::ListRoutes, wire::read_route)
    }

    /// Addresses, routes and what routers have said, as if they came now.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn present(&mut self) -> Result<Vec<Event>, Failure> {
        let addresses = Request::new(n::GETADDR, n::DUMP, &[0; wire::ADDRESS_HEAD]);
        let mut events = self.list(&addresses, Doing::ListAddresses, |body| event(n::NEWADDR, body))?;
        let routes = Request::new(n::GETROUTE, n::DUMP, &[0; wire::ROUTE_HEAD]);
        events.extend(self.list(&routes, Doing::ListRoutes, |body| event(n::NEWROUTE, body))?);
        let mut head = link_head(0, 0, 0);
        head[0] = wire::INET6;
        // A kernel without IPv6 has no such list.
        let routers = self.list(&Request::new(n::GETLINK, n::DUMP, &head), Doing::ListLinks, |body| {
            event(n::NEWLINK, body).filter(|event| matches!(event, Event::Router { .. }))
        });
        events.extend(routers.unwrap_or_default());
        Ok(events)
    }

    /// Sets an interface up. It may take seconds until it has a carrier.
    ///
    /// # Errors
    /// The driver does not start it.
    pub fn up(&mut self, index: u32) -> Result<(), Failure> {
        self.change(&Request::new(n::NEWLINK, 0, &link_head(index, n::IFF_UP, n::IFF_UP)), Doing::Up(index))
    }

    /// Takes away an interface that was made.
    ///
    /// # Errors
    /// It is none of those: `EOPNOTSUPP`.
    pub fn remove(&mut self, index: u32) -> Result<(), Failure> {
        self.change(&Request::new(n::DELLINK, 0, &link_head(index, 0, 0)), Doing::Down(index))
    }

    /// Sets an interface down.
    ///
    /// # Errors
    /// There is none with this number.
    pub fn down(&mut self, index: u32) -> Result<(), Failure> {
        self.change(&Request::new(n::NEWLINK, 0, &link_head(index, 0, n::IFF_UP)), Doing::Down(index))
    }

    /// Sets the MTU. With many drivers the carrier goes for a moment (network-field.md kind 6): tell the DHCP client before.
    ///
    /// # Errors
    /// The device has other limits.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Failure> {
        let request = Request::new(n::NEWLINK, 0, &link_head(index, 0, 0)).with(n::IFLA_MTU, &mtu.to_ne_bytes());
        self.change(&request, Doing::Mtu { index, mtu })
    }

    /// Gives an interface another name.
    ///
    /// # Errors
    /// `EBUSY` while it is up, before Linux 6.2; `EEXIST` where another one has that name.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<(), Failure> {
        let value = [name.as_bytes(), &[0]].concat();
        let request = Request::new(n::NEWLINK, 0, &link_head(index, 0, 0)).with(n::IFLA_IFNAME, &value);
        self.change(&request, Doing::Rename { index, name: name.to_owned() })
    }

    /// Gives an interface another hardware address.
    ///
    /// # Errors
    /// The driver does not, or not while it is up.
    pub fn set_mac(&mut self, index: u32, mac: HardwareAddress) -> Result<(), Failure> {
        let request = Request::new(n::NEWLINK, 0, &link_head(index, 0, 0)).with(n::IFLA_ADDRESS, mac.bytes());
        self.change(&request, Doing::SetMac { index, mac })
    }

    /// Makes an interface for the frames of `parent` with a VLAN tag.
    ///
    /// # Errors
    /// `EOPNOTSUPP` without the module 8021q, `EEXIST` where it is there already.
    pub fn add_vlan(&mut self, name: &str, id: u16, parent: u32) -> Result<(), Failure> {
        let data = nested(n::IFLA_INFO_DATA, &[wire::attribute(n::IFLA_VLAN_ID, &id.to_ne_bytes())]);
        let info = [wire::attribute(n::IFLA_INFO_KIND, b"vlan\0"), data].concat();
        let request = Request::new(n::NEWLINK, n::CREATE | n::EXCLUSIVE, &link_head(0, 0, 0))
            .with(n::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
            .with(n::IFLA_LINK, &parent.to_ne_bytes())
            .with(n::IFLA_LINKINFO | netlink_packet_core::NLA_F_NESTED, &info);
        self.change(&request, Doing::Vlan { name: name.to_owned() })
    }

    /// Gives an interface an address, or an address that it has another lifetime. The kernel makes the route to the subnet.
    ///
    /// # Errors
    /// `ENODEV` without the interface, `EACCES` where IPv6 is switched off.
    pub fn add_address(&mut self, index: u32, address: Address, lifetime: Lifetime) -> Result<(), Failure> {
        let seconds = match lifetime {
            Lifetime::Forever => FOREVER,
            Lifetime::For(time) => u32::try_from(time.as_secs()).unwrap_or(FOREVER),
        };
        // struct ifa_cacheinfo: preferred, valid, and two times that only the kernel writes.
        let times: Vec<u8> = [seconds, seconds, 0, 0].iter().flat_map(|number| number.to_ne_bytes()).collect();
        let ip = octets(address.ip);
        let mut request = Request::new(n::NEWADDR, n::CREATE | n::REPLACE, &address_head(index, address))
            .with(n::IFA_LOCAL, &ip)
            .with(n::IFA_ADDRESS, &ip)
            .with(n::IFA_CACHEINFO, &times)
            .with(n::IFA_PROTO, &[RouteOptions::DHCP]);
        if let Some(broadcast) = broadcast(address) {
            request = request.with(n::IFA_BROADCAST, &octets(broadcast));
        }
        self.change(&request, Doing::AddAddress { index, address })
    }

    /// Takes an address away, and with it its routes. One that is not there is no error.
    ///
    /// # Errors
    /// `ENODEV` without the interface.
    pub fn remove_address(&mut self, index: u32, address: Address) -> Result<(), Failure> {
        let request =
            Request::new(n::DELADDR, 0, &address_head(index, address)).with(n::IFA_LOCAL, &octets(address.ip));
        gone(self.change(&request, Doing::DelAddress { index, address }), Errno::ADDRNOTAVAIL)
    }

    /// Adds a route, or replaces the one with the same net and metric.
    ///
    /// # Errors
    /// `ENETUNREACH` where nothing leads to the gateway, `ENETDOWN` while the interface is down.
    pub fn add_route(&mut self, index: u32, route: Route, options: &RouteOptions) -> Result<(), Failure> {
        let request = route_request(n::NEWROUTE, n::CREATE | n::REPLACE, index, route, options);
        self.change(&request, Doing::AddRoute { index, route })
    }

    /// Takes a route away. One that is not there is no error.
    ///
    /// # Errors
    /// `ENODEV` without the interface.
    pub fn remove_route(&mut self, index: u32, route: Route, options: &RouteOptions) -> Result<(), Failure> {
        let request = route_request(n::DELROUTE, 0, index, route, options);
        gone(self.change(&request, Doing::DelRoute { index, route }), Errno::SRCH)
    }

    /// A pair of interfaces with a cable between them, the second one in the network namespace `there`.
    #[cfg(test)]
    pub(crate) fn add_veth(&mut self, name: &str, peer: &str, there: &std::fs::File) -> Result<(), Failure> {
        use std::os::fd::AsRawFd;
        const IFLA_NET_NS_FD: u16 = 28;
        const VETH_INFO_PEER: u16 = 1;
        let named = |name: &str| wire::attribute(n::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        let there = wire::attribute(IFLA_NET_NS_FD, &there.as_raw_fd().to_ne_bytes());
        // A whole struct ifinfomsg, then attributes.
        let peer = wire::attribute(VETH_INFO_PEER, &[link_head(0, 0, 0).as_slice(), &named(peer), &there].concat());
        let info = [wire::attribute(n::IFLA_INFO_KIND, b"veth\0"), nested(n::IFLA_INFO_DATA, &[peer])].concat();
        let mut request = Request::new(n::NEWLINK, n::CREATE | n::EXCLUSIVE, &link_head(0, 0, 0));
        request = request.with(n::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        request = request.with(n::IFLA_LINKINFO | netlink_packet_core::NLA_F_NESTED, &info);
        self.change(&request, Doing::Vlan { name: name.to_owned() })
    }

    /// An interface that others may become parts of.
    #[cfg(test)]
    pub(crate) fn add_bridge(&mut self, name: &str) -> Result<(), Failure> {
        let info = wire::attribute(n::IFLA_INFO_KIND, b"bridge\0");
        let request = Request::new(n::NEWLINK, n::CREATE | n::EXCLUSIVE, &link_head(0, 0, 0))
            .with(n::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
            .with(n::IFLA_LINKINFO | netlink_packet_core::NLA_F_NESTED, &info);
        self.change(&request, Doing::Vlan { name: name.to_owned() })
    }

    /// Makes an interface a part of another one; 0: of none.
    #[cfg(test)]
    pub(crate) fn set_master(&mut self, index: u32, master: u32) -> Result<(), Failure> {
        let request = Request::new(n::NEWLINK, 0, &link_head(index, 0, 0)).with(n::IFLA_MASTER, &master.to_ne_bytes());
        self.change(&request, Doing::Up(index))
    }

    pub(super) fn change(&mut self, request: &Request, doing: Doing) -> Result<(), Failure> {
        self.exchange(request, n::ACK, |_| ()).map_err(|source| Failure { doing, source })
    }

    fn list<T>(&mut self, request: &Request, doing: Doing, read: fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        let done = self.exchange(request, 0, |body| all.extend(read(body)));
        done.map_err(|source| Failure { doing, source })?;
        Ok(all)
    }

    /// Sends a request and reads until its end.
    fn exchange(&mut self, request: &Request, flags: u16, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = request.bytes(self.sequence);
        if let [_, _, _, _, _, _, low, ..] = bytes.as_mut_slice() {
            *low |= u8::try_from(flags).unwrap_or(0);
        }
        send(&self.socket, &bytes, SendFlags::empty())?;
        let mut buffer = vec![0; BUFFER];
        for _ in 0..MAX_PARTS {
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut ready, Some(&PATIENCE)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let length = match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => length,
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for (kind, sequence, body) in wire::messages(buffer.get(..length).unwrap_or_default()) {
                match kind {
                    // What is left of a request that nobody waits for any more.
                    _ if sequence != self.sequence => {}
                    n::DONE => return Ok(()),
                    n::ERROR => {
                        let code = wire::u32_at(body, 0).map_or(0, u32::cast_signed);
                        return if code == 0 {
                            Ok(())
                        } else {
                            Err(io::Error::from_raw_os_error(code.saturating_neg()))
                        };
                    }
                    _ => take(body),
                }
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// `struct ifaddrmsg`.
fn address_head(index: u32, address: Address) -> [u8; wire::ADDRESS_HEAD] {
    let mut head = [family(address.ip), address.prefix, 0, n::SCOPE_UNIVERSE, 0, 0, 0, 0];
    if let Some(field) = head.get_mut(4..) {
        field.copy_from_slice(&index.to_ne_bytes());
    }
    head
}

fn route_request(kind: u16, flags: u16, index: u32, route: Route, options: &RouteOptions) -> Request {
    let scope = if route.gateway.is_none() && route.net.ip.is_ipv4() { n::SCOPE_LINK } else { n::SCOPE_UNIVERSE };
    let family = family(route.net.ip);
    let head = [family, route.net.prefix, 0, 0, n::TABLE_MAIN, options.protocol, scope, n::UNICAST, 0, 0, 0, 0];
    let mut request = Request::new(kind, flags, &head)
        .with(n::RTA_OIF, &index.to_ne_bytes())
        .with(n::RTA_PRIORITY, &options.metric.to_ne_bytes());
    if route.net.prefix > 0 {
        request = request.with(n::RTA_DST, &octets(route.net.ip));
    }
    if let Some(gateway) = route.gateway {
        request = request.with(n::RTA_GATEWAY, &octets(gateway));
    }
    // One of IPv6 is refused until the kernel knows that no other machine has it; it chooses the right one by itself.
    if let Some(source) = options.source.filter(|source| source.is_ipv4() && route.net.ip.is_ipv4()) {
        request = request.with(n::RTA_PREFSRC, &octets(source));
    }
    request
}

fn family(ip: IpAddr) -> u8 {
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    u8::try_from(family.as_raw()).unwrap_or(0)
}

/// The last address of the subnet; /31 and /32 have none (RFC 3021).
fn broadcast(address: Address) -> Option<IpAddr> {
    let IpAddr::V4(ip) = address.ip else { return None };
    let hosts = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
    (address.prefix < 31).then(|| IpAddr::from((u32::from(ip) | hosts).to_be_bytes()))
}

/// What is gone already is as it should be.
fn gone(done: Result<(), Failure>, errno: Errno) -> Result<(), Failure> {
    match done {
        Err(failure) if failure.source.raw_os_error() == Some(errno.raw_os_error()) => Ok(()),
        other => other,
    }
}
