//! The messages that the client sends (RFC 2131, table 5).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::event::Setup;
use super::lease::Lease;
use super::message::{Outgoing, Type, code};
use crate::hardware::HardwareAddress;

/// The longest message that we take: what an Ethernet frame without VLAN tag carries behind IPv4 and UDP.
const MAX_SIZE: u16 = 1472;
/// Types of hardware (RFC 1700).
const ETHERNET: u8 = 1;
const INFINIBAND: u8 = 32;
/// What we ask for (network.md 4.4).
const WANTED: [u8; 13] = [1, 3, 6, 12, 15, 17, 26, 33, 42, 67, 119, 121, 249];

/// What a message says of the state of things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub xid: u32,
    /// Since the search began.
    pub waited: Duration,
    /// Our address, if it is in use.
    pub own: Ipv4Addr,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
}

impl Default for Known {
    fn default() -> Self {
        Self { xid: 0, waited: Duration::ZERO, own: Ipv4Addr::UNSPECIFIED, requested: None, server: None }
    }
}

impl Known {
    /// What asks for this lease.
    pub fn asked(lease: &Lease) -> Self {
        let requested = match lease.address.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        };
        Self { requested, server: Some(lease.server), ..Self::default() }
    }
}

pub(super) fn discover<'a>(setup: &'a Setup, known: &Known) -> Outgoing<'a> {
    let known = Known { requested: setup.requested, ..*known };
    let mut message = outgoing(setup, &known, Type::Discover);
    if setup.rapid_commit {
        message.options.push((code::RAPID_COMMIT, Vec::new()));
    }
    wishes(setup, &mut message);
    message
}

pub(super) fn request<'a>(setup: &'a Setup, known: &Known) -> Outgoing<'a> {
    let mut message = outgoing(setup, known, Type::Request);
    wishes(setup, &mut message);
    message
}

pub(super) fn decline<'a>(setup: &'a Setup, known: &Known) -> Outgoing<'a> {
    outgoing(setup, known, Type::Decline)
}

fn outgoing<'a>(setup: &'a Setup, known: &Known, kind: Type) -> Outgoing<'a> {
    let mut options = vec![(code::CLIENT_ID, setup.client_id.clone().unwrap_or_else(|| client_id(&setup.mac)))];
    let address = |ip: Ipv4Addr| ip.octets().to_vec();
    options.extend(known.requested.map(|ip| (code::REQUESTED, address(ip))));
    options.extend(known.server.map(|ip| (code::SERVER, address(ip))));
    let ethernet = setup.mac.ethernet().is_some();
    // RFC 4390: 20 bytes do not fit, so the field is empty, and the answer has to be broadcast.
    let hardware = if ethernet { (ETHERNET, setup.mac.bytes()) } else { (INFINIBAND, [].as_slice()) };
    Outgoing {
        kind,
        xid: known.xid,
        secs: u16::try_from(known.waited.as_secs()).unwrap_or(u16::MAX),
        broadcast: (setup.broadcast || !ethernet) && known.own.is_unspecified(),
        ciaddr: known.own,
        hardware,
        options,
    }
}

fn wishes(setup: &Setup, message: &mut Outgoing<'_>) {
    let mut wanted = WANTED.to_vec();
    if setup.ipv6_only {
        wanted.push(code::IPV6_ONLY);
    }
    let options = &mut message.options;
    options.push((code::MAX_SIZE, MAX_SIZE.to_be_bytes().to_vec()));
    options.extend(setup.hostname.iter().map(|name| (code::HOSTNAME, name.as_str().as_bytes().to_vec())));
    options.extend(setup.vendor_class.iter().map(|class| (code::VENDOR_CLASS, class.as_bytes().to_vec())));
    options.push((code::WANTED, wanted));
}

/// Option 61, in each message the same and the one that the booted system uses with `ClientIdentifier=mac` (network.md 4.6).
pub(super) fn client_id(mac: &HardwareAddress) -> Vec<u8> {
    match mac.ethernet() {
        Some(mac) => [&[ETHERNET], mac.as_slice()].concat(),
        // RFC 4390 wants RFC 4361's form: what dhclient makes of the GUID of a port.
        None => {
            let bytes = mac.bytes();
            let guid = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or_default();
            [&[0xff, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0xc9, 0], guid].concat()
        }
    }
}
