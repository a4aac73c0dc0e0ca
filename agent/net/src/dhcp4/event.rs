//! What goes into the client and what comes out of it.

use std::net::Ipv4Addr;

use super::ears::Frame;
use super::lease::{Lease, Limits};
use super::notice::{Lost, Notice};
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;

/// What is known beforehand.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The hardware address of the interface.
    pub mac: HardwareAddress,
    /// The name that the server is told (option 12).
    pub hostname: Option<Hostname>,
    /// Option 61, where the command line has one.
    pub client_id: Option<Vec<u8>>,
    /// Option 60.
    pub vendor_class: Option<String>,
    /// The address that is asked for first.
    pub requested: Option<Ipv4Addr>,
    /// Whether answers have to be broadcast: some interfaces see no others without an address.
    pub broadcast: bool,
    /// Whether an address without an offer is welcome (RFC 4039).
    pub rapid_commit: bool,
    /// Whether the machine gets on without IPv4 (RFC 8925).
    pub ipv6_only: bool,
    /// What bounds a lease.
    pub limits: Limits,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Nothing but that time has passed: call with it at [`super::Client::wake`].
    Time,
    /// The interface is up and has a carrier. More than once is no harm.
    LinkUp,
    /// It has none any more.
    LinkDown,
    /// An IPv4 packet has come in: of the packet socket, without those for other hosts and our own (kind 7).
    Packet(&'a [u8]),
    /// An ARP packet has come in.
    Arp(&'a [u8]),
    /// Any frame has come in.
    Frame(Frame),
    /// The MTU of the interface is about to be set by us.
    MtuChange,
    /// This machine has an interface with this address.
    OwnMac(HardwareAddress),
    /// The interface has become part of another one, which gets the address (kind 4).
    Enslaved,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this IPv4 packet to the broadcast address of the link, over the packet socket.
    Broadcast(Vec<u8>),
    /// Send this payload from our address and port 68 to port 67 of a server.
    Unicast {
        /// The server.
        to: Ipv4Addr,
        /// The payload of the datagram.
        payload: Vec<u8>,
    },
    /// Send this ARP packet to the broadcast address of the link.
    Probe(Vec<u8>),
    /// The lease is ours: set address, routes and MTU.
    Use(Box<Lease>),
    /// It goes on, and the server may have said something new.
    Renew(Box<Lease>),
    /// Take address and routes of this lease away.
    Drop {
        /// Which lease it was.
        lease: Box<Lease>,
        /// Why.
        why: Lost,
    },
    /// Tell a person.
    Say(Notice),
}
