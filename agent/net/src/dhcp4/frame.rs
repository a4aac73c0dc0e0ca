//! IPv4 and UDP around a message, and ARP, for packet sockets: headers by `etherparse`.

use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, EtherType, IpNumber, Ipv4Header, Ipv4Slice, UdpHeader, UdpSlice};

/// UDP port of clients (RFC 2131 4.1).
const CLIENT: u16 = 68;
/// UDP port of servers.
const SERVER: u16 = 67;
/// Hops that a packet of ours may take.
const TTL: u8 = 64;

/// Why a packet carries no datagram for a DHCP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its IPv4 header is none, or it is cut.
    #[error("no whole IPv4 packet")]
    Ip,
    /// One of several parts, which nobody joins here.
    #[error("a fragment")]
    Fragment,
    /// Another protocol than UDP, or another port than a client's.
    #[error("not for a DHCP client")]
    Other,
}

/// The UDP payload of an IPv4 packet to port 68. Its checksum is not looked at: servers on the same host leave it to
/// hardware that is not there, and the receiver cannot always tell (network-field.md kind 7).
///
/// # Errors
/// It is for somebody else, or broken.
pub fn datagram(packet: &[u8]) -> Result<&[u8], Malformed> {
    let ip = Ipv4Slice::from_slice(packet).map_err(|_| Malformed::Ip)?;
    if ip.is_payload_fragmented() {
        return Err(Malformed::Fragment);
    }
    if ip.payload_ip_number() != IpNumber::UDP {
        return Err(Malformed::Other);
    }
    let udp = UdpSlice::from_slice(ip.payload().payload).map_err(|_| Malformed::Ip)?;
    if udp.destination_port() != CLIENT { Err(Malformed::Other) } else { Ok(udp.payload()) }
}

/// The IPv4 packet with this payload from 0.0.0.0, or our address, port 68, to everybody, port 67. Empty if the payload
/// is longer than a packet.
#[must_use]
pub fn broadcast(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let encode = || {
        let length = u16::try_from(payload.len() + UdpHeader::LEN).ok()?;
        let mut ip = Ipv4Header::new(length, TTL, IpNumber::UDP, source.octets(), [255; 4]).ok()?;
        ip.header_checksum = ip.calc_header_checksum();
        let udp = UdpHeader::with_ipv4_checksum(CLIENT, SERVER, &ip, payload).ok()?;
        Some([ip.to_bytes().as_slice(), &udp.to_bytes(), payload].concat())
    };
    encode().unwrap_or_default()
}

/// What counts of an ARP packet (RFC 826) for Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Who sent it.
    pub mac: [u8; 6],
    /// The address that it says it has; 0.0.0.0 in a probe (RFC 5227 2.1.1).
    pub sender: Ipv4Addr,
    /// The address that it asks for.
    pub target: Ipv4Addr,
    /// Whether it is an answer.
    pub reply: bool,
}

/// Reads an ARP packet without its Ethernet header; `None` if it is not for Ethernet and IPv4.
#[must_use]
pub fn arp(packet: &[u8]) -> Option<Arp> {
    let arp = etherparse::ArpPacketSlice::from_slice(packet).ok()?;
    if arp.hw_addr_type() != ArpHardwareId::ETHERNET || arp.proto_addr_type() != EtherType::IPV4 {
        return None;
    }
    let four = |bytes: &[u8]| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?));
    Some(Arp {
        mac: arp.sender_hw_addr().try_into().ok()?,
        sender: four(arp.sender_protocol_addr())?,
        target: four(arp.target_protocol_addr())?,
        reply: arp.operation() == ArpOperation::REPLY,
    })
}

/// The ARP packet that asks whether somebody has the address already (RFC 5227 2.1.1), without an Ethernet header.
#[must_use]
pub fn arp_probe(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let packet = etherparse::ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: mac,
        sender_ipv4: [0; 4],
        target_mac: [0; 6],
        target_ipv4: address.octets(),
    };
    packet.to_bytes().to_vec()
}
