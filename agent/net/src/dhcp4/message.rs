//! The messages of RFC 2131, figure 1, and the options in them.
//!
//! Own code, because the one kept crate for it, `dhcproto` 0.15, decodes all options or none behind the first that is
//! cut, replaces an option that is repeated elsewhere in the message (RFC 3396 joins them), does not read the fields
//! that option 52 adds, and brings hickory-proto with `url` and `idna`: 225 kB of a static binary.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Bytes before the options: the BOOTP part and the cookie.
const HEAD: usize = 240;
/// Bytes of the shortest message that relays and old servers take (RFC 951: 300).
const SHORTEST: usize = 300;
/// Bytes of the longest message that is looked at; what an Ethernet frame of the largest kind carries.
const LONGEST: usize = 9216;
/// What the options begin with (RFC 2131 3).
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;

/// Option numbers (RFC 2132 and those named).
pub(super) mod code {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOSTNAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const ROOT_PATH: u8 = 17;
    pub const MTU: u8 = 26;
    pub const STATIC_ROUTES: u8 = 33;
    pub const NTP: u8 = 42;
    pub const REQUESTED: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const WANTED: u8 = 55;
    pub const TEXT: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const T1: u8 = 58;
    pub const T2: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    /// RFC 4039.
    pub const RAPID_COMMIT: u8 = 80;
    /// RFC 8925.
    pub const IPV6_ONLY: u8 = 108;
    /// RFC 3397.
    pub const SEARCH: u8 = 119;
    /// RFC 3442.
    pub const CLASSLESS: u8 = 121;
    /// The same under Microsoft's number.
    pub const CLASSLESS_MS: u8 = 249;
    pub const END: u8 = 255;
}

/// Values of option 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// DHCPDISCOVER.
    Discover = 1,
    /// DHCPOFFER.
    Offer = 2,
    /// DHCPREQUEST.
    Request = 3,
    /// DHCPDECLINE.
    Decline = 4,
    /// DHCPACK.
    Ack = 5,
    /// DHCPNAK.
    Nak = 6,
}

/// Why bytes are no answer of a DHCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the fixed part, or longer than a frame.
    #[error("a message of {0} bytes")]
    Length(usize),
    /// A request, as another client sends it.
    #[error("no answer")]
    NoReply,
    /// BOOTP without DHCP, or something else.
    #[error("no DHCP cookie")]
    Cookie,
    /// Option 53 is missing or none of a server.
    #[error("no type of a server")]
    Type,
}

/// An answer of a server: fixed fields and options, nothing judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Offer, ack or nak.
    pub kind: Type,
    /// The transaction that it answers.
    pub xid: u32,
    /// The address that the client gets.
    pub yiaddr: Ipv4Addr,
    /// The server to boot from.
    pub siaddr: Ipv4Addr,
    /// The hardware address of the client, as many bytes as the header counts.
    pub chaddr: Vec<u8>,
    /// The boot file of the header, unless options are there (option 52).
    pub file: Vec<u8>,
    /// The server's name of the header, unless options are there.
    pub sname: Vec<u8>,
    /// By number; the parts of one that is repeated are joined (RFC 3396).
    options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    /// Reads the payload of a UDP datagram.
    ///
    /// # Errors
    /// It is no answer of a DHCP server. An option that is cut off at the end is left out with all behind it; that is no error.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let length = || Malformed::Length(bytes.len());
        if !(HEAD..=LONGEST).contains(&bytes.len()) {
            return Err(length());
        }
        let (head, tail) = bytes.split_at_checked(HEAD).ok_or_else(length)?;
        let four = |at: usize| head.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).unwrap_or_default();
        if head.first() != Some(&2) {
            return Err(Malformed::NoReply);
        }
        if four(236) != COOKIE {
            return Err(Malformed::Cookie);
        }
        let mut options = BTreeMap::new();
        gather(tail, &mut options);
        // The field that adds more is one of the first ones; one that is itself in an added field counts no more.
        let more = options.get(&code::OVERLOAD).and_then(|value: &Vec<u8>| value.first()).copied().unwrap_or(0);
        let mut field = |range: std::ops::Range<usize>, bit: u8| {
            let field = head.get(range).unwrap_or_default();
            if more & bit == 0 {
                return field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
            }
            gather(field, &mut options);
            Vec::new()
        };
        let file = field(FILE, 1);
        let sname = field(SNAME, 2);
        let kind = match options.get(&code::TYPE).map(Vec::as_slice) {
            Some([2]) => Type::Offer,
            Some([5]) => Type::Ack,
            Some([6]) => Type::Nak,
            _ => return Err(Malformed::Type),
        };
        let chaddr = usize::from(head.get(2).copied().unwrap_or(0)).min(16);
        Ok(Self {
            kind,
            xid: u32::from_be_bytes(four(4)),
            yiaddr: four(16).into(),
            siaddr: four(20).into(),
            chaddr: head.get(28..28 + chaddr).unwrap_or_default().to_vec(),
            file,
            sname,
            options,
        })
    }

    /// The value of an option, its parts joined; `None` where it is missing.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.get(&code).map(Vec::as_slice)
    }

    /// An option that is one address, and no other than one that a machine can have.
    pub(super) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let ip = Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)?).ok()?);
        (!ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast()).then_some(ip)
    }

    /// An option that is a number of 32 bits.
    pub(super) fn number(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.option(code)?.try_into().ok()?))
    }
}

/// Adds the options of one field to those that are there.
fn gather(mut field: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) {
    while let [number, rest @ ..] = field {
        match *number {
            code::PAD => field = rest,
            code::END => return,
            number => {
                let Some((length, rest)) = rest.split_first() else { return };
                let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { return };
                options.entry(number).or_default().extend_from_slice(value);
                field = rest;
            }
        }
    }
}

/// What a client sends.
#[derive(Clone, Debug)]
pub(super) struct Outgoing<'a> {
    pub kind: Type,
    pub xid: u32,
    pub secs: u16,
    pub broadcast: bool,
    pub ciaddr: Ipv4Addr,
    /// Type of hardware (RFC 1700) and address; empty where it does not fit into the header (RFC 4390).
    pub hardware: (u8, &'a [u8]),
    /// In the order in which they are sent, type not among them.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Outgoing<'_> {
    /// The payload of the datagram: at least 300 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        let (kind, address) = self.hardware;
        let address = address.get(..address.len().min(16)).unwrap_or_default();
        let mut put = |at: usize, value: &[u8]| {
            if let Some(field) = bytes.get_mut(at..at + value.len()) {
                field.copy_from_slice(value);
            }
        };
        put(0, &[1, kind, u8::try_from(address.len()).unwrap_or(0), 0]);
        put(4, &self.xid.to_be_bytes());
        put(8, &self.secs.to_be_bytes());
        put(10, &[if self.broadcast { 0x80 } else { 0 }, 0]);
        put(12, &self.ciaddr.octets());
        put(28, address);
        put(236, &COOKIE);
        bytes.extend([code::TYPE, 1, self.kind as u8]);
        for (number, value) in &self.options {
            // None of ours is longer than 255 bytes; option 80 has none at all.
            let value = value.get(..value.len().min(255)).unwrap_or_default();
            bytes.extend([*number, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
            bytes.extend(value);
        }
        bytes.push(code::END);
        bytes.resize(bytes.len().max(SHORTEST), 0);
        bytes
    }
}
