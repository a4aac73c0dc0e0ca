//! What changes by itself: carriers, addresses, routes, and what routers say.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::handle::open;
use super::neighbour::{self, Advertised};
use super::wire::{self, Doing, Failure, Link, number as n};
use crate::grammar::Address;
use crate::hardware::HardwareAddress;
use crate::route::Route;

/// Links 1, neighbours 3, IPv4 addresses 5 and routes 7, IPv6 addresses 9 and routes 11, IPv6 of links 12, options of
/// neighbour discovery 20 (RTNLGRP_*), one bit each.
const GROUPS: u32 = 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 19;
/// Bytes of one read.
const BUFFER: usize = 64 * 1024;
/// Reads before the caller has its turn.
const MAX_READS: usize = 64;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface is new or has changed.
    Link(Box<Link>),
    /// The interface with this number is gone.
    LinkGone(u32),
    /// An interface has an address, or its state has changed.
    Address {
        /// The number of the interface.
        index: u32,
        /// The address.
        address: Address,
        /// Whether the kernel still asks if somebody else has it (RFC 4862 5.4): it cannot be used yet.
        tentative: bool,
        /// Whether somebody else has it.
        duplicate: bool,
    },
    /// An interface has lost an address.
    AddressGone {
        /// The number of the interface.
        index: u32,
        /// The address.
        address: Address,
    },
    /// A route of the main table is there.
    Route {
        /// The number of the interface.
        index: u32,
        /// The route.
        route: Route,
    },
    /// A route of the main table is gone.
    RouteGone {
        /// The number of the interface.
        index: u32,
        /// The route.
        route: Route,
    },
    /// A machine on the link answers, or does not: the router, or a server.
    Neighbour {
        /// The number of the interface.
        index: u32,
        /// The address of the machine.
        ip: IpAddr,
        /// Its hardware address, if it has answered.
        mac: Option<HardwareAddress>,
        /// Whether the kernel has given up to ask for it.
        failed: bool,
    },
    /// A router has advertised itself (RFC 4861 4.2).
    Router {
        /// The number of the interface.
        index: u32,
        /// Addresses are to be had by DHCPv6: the M flag.
        managed: bool,
        /// Other information is to be had by DHCPv6: the O flag.
        other: bool,
    },
    /// A router has named servers for names or domains (RFC 8106).
    Advertised {
        /// The number of the interface.
        index: u32,
        /// What it has named.
        what: Advertised,
    },
    /// More happened than there was room for: what is known has to be listed again.
    Overrun,
}

/// A socket that is told of changes.
#[derive(Debug)]
pub struct Events {
    socket: OwnedFd,
}

impl Events {
    /// Opens the socket: what happens from now on is told. List what is there after that.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn open() -> Result<Self, Failure> {
        Ok(Self { socket: open(GROUPS, Doing::Listen)? })
    }

    /// What has happened since the last call; never waits. Poll the socket for more.
    ///
    /// # Errors
    /// The socket is of no more use.
    pub fn read(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        let mut buffer = vec![0; BUFFER];
        for _ in 0..MAX_READS {
            match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => {
                    let messages = wire::messages(buffer.get(..length).unwrap_or_default());
                    events.extend(messages.into_iter().filter_map(|(kind, _, body)| event(kind, body)));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => events.push(Event::Overrun),
                Err(errno) => return Err(Failure { doing: Doing::Listen, source: io::Error::from(errno) }),
            }
        }
        Ok(events)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a message tells.
pub(super) fn event(kind: u16, body: &[u8]) -> Option<Event> {
    Some(match kind {
        // The same type with another family tells of IPv6 alone, and nothing of the link.
        n::NEWLINK if body.first() == Some(&wire::INET6) => {
            let (index, flags) = wire::read_router_flags(body)?;
            // An advertisement before the first solicitation has its flags taken without the mark that one was received, and
            // the kernel tells of flags only when they change.
            if flags & (n::IF_RA_RCVD | n::IF_RA_MANAGED | n::IF_RA_OTHERCONF) == 0 {
                return None;
            }
            Event::Router { index, managed: flags & n::IF_RA_MANAGED != 0, other: flags & n::IF_RA_OTHERCONF != 0 }
        }
        n::DELLINK if body.first() == Some(&wire::INET6) => return None,
        n::NEWLINK => Event::Link(Box::new(Link::read(body)?)),
        n::DELLINK => Event::LinkGone(wire::u32_at(body, 4)?),
        n::NEWADDR => {
            let (index, address, flags) = wire::read_address(body)?;
            let has = |flag: u32| flags & flag != 0;
            Event::Address { index, address, tentative: has(n::IFA_F_TENTATIVE), duplicate: has(n::IFA_F_DADFAILED) }
        }
        n::DELADDR => {
            let (index, address, _) = wire::read_address(body)?;
            Event::AddressGone { index, address }
        }
        n::NEWROUTE => {
            let (index, route, _) = wire::read_route(body)?;
            Event::Route { index, route }
        }
        n::DELROUTE => {
            let (index, route, _) = wire::read_route(body)?;
            Event::RouteGone { index, route }
        }
        n::NEWNEIGH => {
            let (index, ip, mac, state) = wire::read_neighbour(body)?;
            let known = state & (n::NUD_REACHABLE | n::NUD_FAILED);
            if known == 0 {
                return None;
            }
            Event::Neighbour { index, ip, mac, failed: known == n::NUD_FAILED }
        }
        n::NEWNDUSEROPT => {
            let (index, what) = neighbour::read(body)?;
            Event::Advertised { index, what }
        }
        _ => return None,
    })
}
