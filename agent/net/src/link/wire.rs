//! Messages of rtnetlink as bytes.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NetlinkBuffer, NetlinkHeader, NlaBuffer, NlasIterator};

use crate::grammar::Address;
use crate::hardware::HardwareAddress;
use crate::route::Route;

/// Numbers of `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`.
pub(super) mod number {
    pub const NEWLINK: u16 = 16;
    pub const DELLINK: u16 = 17;
    pub const GETLINK: u16 = 18;
    pub const NEWADDR: u16 = 20;
    pub const DELADDR: u16 = 21;
    pub const GETADDR: u16 = 22;
    pub const NEWROUTE: u16 = 24;
    pub const DELROUTE: u16 = 25;
    pub const GETROUTE: u16 = 26;
    pub const NEWNEIGH: u16 = 28;
    pub const NEWNDUSEROPT: u16 = 68;

    pub const NDA_DST: u16 = 1;
    pub const NDA_LLADDR: u16 = 2;
    pub const NUD_REACHABLE: u16 = 0x02;
    pub const NUD_FAILED: u16 = 0x20;

    pub const IFLA_ADDRESS: u16 = 1;
    pub const IFLA_IFNAME: u16 = 3;
    pub const IFLA_MTU: u16 = 4;
    pub const IFLA_LINK: u16 = 5;
    pub const IFLA_MASTER: u16 = 10;
    pub const IFLA_PROTINFO: u16 = 12;
    pub const IFLA_INET6_FLAGS: u16 = 1;
    pub const IF_RA_OTHERCONF: u32 = 0x80;
    pub const IF_RA_MANAGED: u32 = 0x40;
    pub const IF_RA_RCVD: u32 = 0x20;
    pub const IFLA_LINKINFO: u16 = 18;
    pub const IFLA_CARRIER_CHANGES: u16 = 35;
    pub const IFLA_MAX_MTU: u16 = 51;
    pub const IFLA_PROP_LIST: u16 = 52;
    pub const IFLA_ALT_IFNAME: u16 = 53;
    pub const IFLA_PERM_ADDRESS: u16 = 54;
    pub const IFLA_INFO_KIND: u16 = 1;
    pub const IFLA_INFO_DATA: u16 = 2;
    pub const IFLA_VLAN_ID: u16 = 1;

    pub const IFF_UP: u32 = 0x1;
    pub const IFF_LOOPBACK: u32 = 0x8;
    pub const IFF_LOWER_UP: u32 = 0x1_0000;

    pub const IFA_ADDRESS: u16 = 1;
    pub const IFA_LOCAL: u16 = 2;
    pub const IFA_BROADCAST: u16 = 4;
    pub const IFA_CACHEINFO: u16 = 6;
    pub const IFA_FLAGS: u16 = 8;
    pub const IFA_PROTO: u16 = 11;
    pub const IFA_F_DADFAILED: u32 = 0x08;
    pub const IFA_F_TENTATIVE: u32 = 0x40;
    pub const IFA_F_PERMANENT: u32 = 0x80;

    pub const RTA_DST: u16 = 1;
    pub const RTA_OIF: u16 = 4;
    pub const RTA_GATEWAY: u16 = 5;
    pub const RTA_PRIORITY: u16 = 6;
    pub const RTA_PREFSRC: u16 = 7;
    pub const RTA_TABLE: u16 = 15;
    pub const TABLE_MAIN: u8 = 254;
    pub const SCOPE_UNIVERSE: u8 = 0;
    pub const SCOPE_LINK: u8 = 253;
    pub const UNICAST: u8 = 1;

    pub const REQUEST: u16 = 1;
    pub const ACK: u16 = 4;
    pub const DUMP: u16 = 0x300;
    pub const CREATE: u16 = 0x400;
    pub const EXCLUSIVE: u16 = 0x200;
    pub const REPLACE: u16 = 0x100;
    pub const ERROR: u16 = 2;
    pub const DONE: u16 = 3;
}

use number as n;

/// Bytes of `struct ifinfomsg`, `ifaddrmsg`, `rtmsg`, `ndmsg`.
pub(super) const LINK_HEAD: usize = 16;
pub(super) const ADDRESS_HEAD: usize = 8;
pub(super) const ROUTE_HEAD: usize = 12;
pub(super) const NEIGHBOUR_HEAD: usize = 12;

/// An interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its other names.
    pub altnames: Vec<String>,
    /// Its hardware address.
    pub mac: Option<HardwareAddress>,
    /// The hardware address that it was built with, where the kernel knows it.
    pub permanent: Option<HardwareAddress>,
    /// Whether it was set up.
    pub up: bool,
    /// Whether it is up and the driver sees the other end.
    pub carrier: bool,
    /// How often the carrier has come or gone.
    pub carrier_changes: u32,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// The interface that it is part of.
    pub master: Option<u32>,
    /// Bytes of the largest packet, now and at most.
    pub mtu: u32,
    /// What the driver allows; `None` where it does not say.
    pub max_mtu: Option<u32>,
    /// The kind of a virtual interface: `veth`, `bridge`, `vlan` …
    pub kind: Option<String>,
}

/// What was to be done when it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each is the words beside it")]
pub enum Doing {
    #[error("opening a netlink socket")]
    Open,
    #[error("listing the interfaces")]
    ListLinks,
    #[error("listing the addresses")]
    ListAddresses,
    #[error("listing the routes")]
    ListRoutes,
    #[error("setting interface {0} up")]
    Up(u32),
    #[error("setting interface {0} down")]
    Down(u32),
    #[error("setting the MTU of interface {index} to {mtu}")]
    Mtu { index: u32, mtu: u32 },
    #[error("naming interface {index} {name}")]
    Rename { index: u32, name: String },
    #[error("setting the hardware address of interface {index} to {mac}")]
    SetMac { index: u32, mac: HardwareAddress },
    #[error("making the VLAN {name}")]
    Vlan { name: String },
    #[error("giving interface {index} the address {address}")]
    AddAddress { index: u32, address: Address },
    #[error("taking the address {address} from interface {index}")]
    DelAddress { index: u32, address: Address },
    #[error("adding the route to {route} of interface {index}")]
    AddRoute { index: u32, route: Route },
    #[error("taking the route to {route} from interface {index}")]
    DelRoute { index: u32, route: Route },
    #[error("listening to changes of the network")]
    Listen,
}

/// The kernel has not done it.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct Failure {
    /// What.
    pub doing: Doing,
    /// Why; its number is that of the kernel where there is one.
    pub source: io::Error,
}

/// A request that grows: header of the family, then attributes.
#[derive(Debug)]
pub(super) struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    pub fn new(kind: u16, flags: u16, head: &[u8]) -> Self {
        Self { kind, flags, body: head.to_vec() }
    }

    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.body.extend(attribute(kind, value));
        self
    }

    /// The message with this number in the sequence.
    pub fn bytes(&self, sequence: u32) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(self.body.len() + header.buffer_len()).unwrap_or(u32::MAX);
        header.message_type = self.kind;
        header.flags = self.flags | n::REQUEST;
        header.sequence_number = sequence;
        let mut bytes = vec![0; header.buffer_len()];
        header.emit(&mut bytes);
        bytes.extend(&self.body);
        bytes
    }
}

/// One attribute with its padding.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let nla = DefaultNla::new(kind, value.to_vec());
    let mut bytes = vec![0; nla.buffer_len()];
    nla.emit(&mut bytes);
    bytes
}

/// Attributes in an attribute.
pub(super) fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &inner.concat())
}

/// `struct ifinfomsg`.
pub(super) fn link_head(index: u32, flags: u32, change: u32) -> [u8; LINK_HEAD] {
    let mut head = [0; LINK_HEAD];
    let (_, rest) = head.split_at_mut(4);
    for (field, value) in rest.chunks_exact_mut(4).zip([index, flags, change]) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    head
}

/// The messages in what one read has given: type, sequence and body of each.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<(u16, u32, &[u8])> {
    let mut found = Vec::new();
    while let Ok(message) = NetlinkBuffer::new_checked(bytes) {
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(16..length) else { break };
        found.push((message.message_type(), message.sequence_number(), body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The attributes behind a header of `head` bytes, as far as they are whole.
pub(super) fn attributes(body: &[u8], head: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(body.get(head..).unwrap_or_default()).map_while(Result::ok)
}

pub(super) fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?))
}

fn text(value: &[u8]) -> Option<String> {
    let text = value.split(|byte| *byte == 0).next()?;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

fn address_of(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(<[u8; 4]>::try_from(value).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(value).ok()?.into()),
        _ => None,
    }
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

impl Link {
    /// Reads the body of RTM_NEWLINK.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
        let mut link = Self {
            index,
            name: String::new(),
            altnames: Vec::new(),
            mac: None,
            permanent: None,
            up: flags & n::IFF_UP != 0,
            carrier: flags & n::IFF_UP != 0 && flags & n::IFF_LOWER_UP != 0,
            carrier_changes: 0,
            loopback: flags & n::IFF_LOOPBACK != 0,
            master: None,
            mtu: 0,
            max_mtu: None,
            kind: None,
        };
        for attribute in attributes(body, LINK_HEAD) {
            let value = attribute.value();
            match attribute.kind() {
                n::IFLA_IFNAME => link.name = text(value)?,
                n::IFLA_ADDRESS => link.mac = HardwareAddress::new(value),
                n::IFLA_PERM_ADDRESS => link.permanent = HardwareAddress::new(value),
                n::IFLA_MTU => link.mtu = u32_at(value, 0)?,
                n::IFLA_MAX_MTU => link.max_mtu = u32_at(value, 0).filter(|mtu| *mtu != 0),
                n::IFLA_MASTER => link.master = u32_at(value, 0),
                n::IFLA_CARRIER_CHANGES => link.carrier_changes = u32_at(value, 0)?,
                n::IFLA_PROP_LIST => {
                    let names = attributes(value, 0).filter(|inner| inner.kind() == n::IFLA_ALT_IFNAME);
                    link.altnames = names.filter_map(|inner| text(inner.value())).collect();
                }
                n::IFLA_LINKINFO => {
                    let mut inner = attributes(value, 0);
                    link.kind =
                        inner.find(|inner| inner.kind() == n::IFLA_INFO_KIND).and_then(|kind| text(kind.value()));
                }
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }
}

/// The body of RTM_NEWADDR or RTM_DELADDR: interface, address and flags.
pub(super) fn read_address(body: &[u8]) -> Option<(u32, Address, u32)> {
    let (prefix, index) = (*body.get(1)?, u32_at(body, 4)?);
    let mut flags = u32::from(*body.get(2)?);
    let (mut local, mut address) = (None, None);
    for attribute in attributes(body, ADDRESS_HEAD) {
        match attribute.kind() {
            n::IFA_LOCAL => local = address_of(attribute.value()),
            n::IFA_ADDRESS => address = address_of(attribute.value()),
            n::IFA_FLAGS => flags = u32_at(attribute.value(), 0)?,
            _ => {}
        }
    }
    // With a point-to-point link the second is the other end.
    Some((index, Address { ip: local.or(address)?, prefix }, flags))
}

/// The body of RTM_NEWROUTE or RTM_DELROUTE of the main table: interface, route and protocol.
pub(super) fn read_route(body: &[u8]) -> Option<(u32, Route, u8)> {
    let (family, prefix, protocol, kind) = (*body.first()?, *body.get(1)?, *body.get(5)?, *body.get(7)?);
    let mut table = u32::from(*body.get(4)?);
    let (mut net, mut gateway, mut index) = (None, None, None);
    for attribute in attributes(body, ROUTE_HEAD) {
        match attribute.kind() {
            n::RTA_DST => net = address_of(attribute.value()),
            n::RTA_GATEWAY => gateway = address_of(attribute.value()),
            n::RTA_OIF => index = u32_at(attribute.value(), 0),
            n::RTA_TABLE => table = u32_at(attribute.value(), 0)?,
            _ => {}
        }
    }
    let any = match family {
        2 => IpAddr::from([0; 4]),
        10 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let route = Route { net: Address { ip: net.unwrap_or(any), prefix }, gateway };
    (kind == n::UNICAST && table == u32::from(n::TABLE_MAIN)).then_some((index?, route, protocol))
}

/// The body of RTM_NEWNEIGH: interface, address of the neighbour, its hardware address, state.
pub(super) fn read_neighbour(body: &[u8]) -> Option<(u32, IpAddr, Option<HardwareAddress>, u16)> {
    let (index, state) = (u32_at(body, 4)?, u16::from_ne_bytes(body.get(8..10)?.try_into().ok()?));
    let (mut ip, mut mac) = (None, None);
    for attribute in attributes(body, NEIGHBOUR_HEAD) {
        match attribute.kind() {
            n::NDA_DST => ip = address_of(attribute.value()),
            n::NDA_LLADDR => mac = HardwareAddress::new(attribute.value()),
            _ => {}
        }
    }
    Some((index, ip?, mac, state))
}

/// The body of RTM_NEWLINK of the family IPv6: the interface, and the flags of the last router advertisement.
pub(super) fn read_router_flags(body: &[u8]) -> Option<(u32, u32)> {
    let info = attributes(body, LINK_HEAD).find(|attribute| attribute.kind() == n::IFLA_PROTINFO)?;
    let flags = attributes(info.value(), 0).find(|attribute| attribute.kind() == n::IFLA_INET6_FLAGS);
    Some((u32_at(body, 4)?, u32_at(flags?.value(), 0)?))
}

/// `AF_INET6`, as the first byte of a message has it.
pub(super) const INET6: u8 = 10;
