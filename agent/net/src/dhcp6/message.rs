//! The messages of DHCPv6 and their options.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rdlive_media::printable::is_obeyed;

use super::Information;
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;

/// Options (RFC 9915 21, RFC 3646, RFC 4075, RFC 5908, RFC 5970).
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
const WANTED: u16 = 6;
const PREFERENCE: u16 = 7;
const ELAPSED: u16 = 8;
const STATUS: u16 = 13;
const RAPID_COMMIT: u16 = 14;
const DNS: u16 = 23;
const SEARCH: u16 = 24;
const SNTP: u16 = 31;
const REFRESH: u16 = 32;
const NTP: u16 = 56;
const NTP_ADDRESS: u16 = 1;
const BOOT_URL: u16 = 59;
const SOL_MAX_RT: u16 = 82;
const INF_MAX_RT: u16 = 83;
/// Addresses or names of one list that are kept.
const MAX: usize = 8;
/// Bytes of an identifier of a server that are kept (RFC 9915 11.1).
const MAX_ID: usize = 130;
/// Bytes of the longest URL that is passed on.
const MAX_URL: usize = 2048;

/// Types of messages (RFC 9915 7.3), as far as they are sent or understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of a message")]
pub enum Type {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Decline = 9,
    InformationRequest = 11,
}

/// What a server says of how it went (RFC 9915 21.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Status {
    /// All is well.
    pub const SUCCESS: Self = Self(0);
    /// Nothing is left to give.
    pub const NO_ADDRESS: Self = Self(2);
    /// The server does not know that it gave the address.
    pub const NO_BINDING: Self = Self(3);
    /// The address does not belong to this link.
    pub const NOT_ON_LINK: Self = Self(4);
}

/// Why a datagram is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short, or a message that no server sends to clients.
    #[error("no answer of a server")]
    NoAnswer,
    /// An option is longer than the message, or one that has to be there is not.
    #[error("its options are not whole")]
    Options,
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// [`Type::Advertise`] or [`Type::Reply`].
    pub kind: Type,
    /// The transaction that it answers.
    pub xid: [u8; 3],
    /// The identifier of the client that it is for.
    pub client: Vec<u8>,
    /// That of the server; not empty.
    pub server: Vec<u8>,
    /// The server that wants to be taken most says 255.
    pub preference: u8,
    /// Whether it is a reply without an offer before it.
    pub rapid: bool,
    /// How it went as a whole.
    pub status: Status,
    /// What is given, for each number that the client gave.
    pub identities: Vec<Identity>,
    /// What else it tells.
    pub information: Information,
}

/// The addresses of one identity (IA_NA).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub iaid: u32,
    /// Seconds until the same server is to be asked for more time; zero: the client decides.
    pub t1: u32,
    /// Seconds until every server is.
    pub t2: u32,
    /// How it went.
    pub status: Status,
    /// The first addresses.
    pub addresses: Vec<Timed>,
}

/// An address and its times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The address.
    pub ip: Ipv6Addr,
    /// For how long new connections may have it.
    pub preferred: u32,
    /// For how long it may be there.
    pub valid: u32,
}

/// What goes into a message to servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    pub kind: Type,
    pub xid: [u8; 3],
    pub client: &'a [u8],
    /// The server that is meant; `None`: each.
    pub server: Option<&'a [u8]>,
    /// Since the exchange began.
    pub waited: Duration,
    /// The number of the identity that wants an address, and the one that it has or was offered.
    pub identity: Option<(u32, Option<Ipv6Addr>)>,
}

/// DUID-LL (RFC 9915 11.4): the same in each boot, and in the system if it is made of the hardware address there too.
pub(super) fn duid(mac: &HardwareAddress) -> Vec<u8> {
    // Type of hardware: Ethernet 1, InfiniBand 32.
    let hardware: u16 = if mac.ethernet().is_some() { 1 } else { 32 };
    [&3u16.to_be_bytes()[..], &hardware.to_be_bytes(), mac.bytes()].concat()
}

fn option(number: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(0);
    [&number.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
}

impl Outgoing<'_> {
    /// The datagram.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8];
        bytes.extend(self.xid);
        bytes.extend(option(CLIENT_ID, self.client));
        bytes.extend(self.server.map(|server| option(SERVER_ID, server)).unwrap_or_default());
        let hundredths = u16::try_from(self.waited.as_millis() / 10).unwrap_or(u16::MAX);
        bytes.extend(option(ELAPSED, &hundredths.to_be_bytes()));
        if let Some((iaid, address)) = self.identity {
            // The times are the server's to decide.
            let inner = address.map(|ip| option(IA_ADDRESS, &[&ip.octets()[..], &[0; 8]].concat())).unwrap_or_default();
            bytes.extend(option(IA_NA, &[&iaid.to_be_bytes()[..], &[0; 8], &inner].concat()));
        }
        if self.kind == Type::Solicit {
            bytes.extend(option(RAPID_COMMIT, &[]));
        }
        if self.kind != Type::Decline {
            // RFC 9915 21.23 to 21.25: the times after which to ask again have to be asked for. Ours are shorter.
            let times: &[u16] =
                if self.kind == Type::InformationRequest { &[REFRESH, INF_MAX_RT] } else { &[SOL_MAX_RT] };
            let wanted = [DNS, SEARCH, SNTP, NTP, BOOT_URL].iter().chain(times).flat_map(|code| code.to_be_bytes());
            bytes.extend(option(WANTED, &wanted.collect::<Vec<u8>>()));
        }
        bytes
    }
}

impl Message {
    /// Reads a datagram.
    ///
    /// # Errors
    /// It is no answer that can be used. A value that cannot be read is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let [kind, a, b, c, options @ ..] = bytes else { return Err(Malformed::NoAnswer) };
        let kind = [Type::Advertise, Type::Reply].into_iter().find(|known| *known as u8 == *kind);
        let mut message = Self {
            kind: kind.ok_or(Malformed::NoAnswer)?,
            xid: [*a, *b, *c],
            client: Vec::new(),
            server: Vec::new(),
            preference: 0,
            rapid: false,
            status: Status::SUCCESS,
            identities: Vec::new(),
            information: Information::default(),
        };
        for (number, value) in split(options).ok_or(Malformed::Options)? {
            match number {
                CLIENT_ID => message.client = value.to_vec(),
                SERVER_ID => message.server = value.get(..value.len().min(MAX_ID)).unwrap_or_default().to_vec(),
                PREFERENCE => message.preference = value.first().copied().unwrap_or(0),
                RAPID_COMMIT => message.rapid = true,
                STATUS => message.status = status(value),
                IA_NA if message.identities.len() < MAX => message.identities.extend(Identity::read(value)),
                _ => message.information.take(number, value),
            }
        }
        if message.server.is_empty() { Err(Malformed::Options) } else { Ok(message) }
    }
}

impl Identity {
    /// RFC 9915 21.4 and 21.6.
    fn read(value: &[u8]) -> Option<Self> {
        let (head, options) = value.split_at_checked(12)?;
        let number = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let mut identity =
            Self { iaid: number(head, 0)?, t1: number(head, 4)?, t2: number(head, 8)?, ..Self::default() };
        for (kind, value) in split(options)? {
            match kind {
                STATUS => identity.status = status(value),
                IA_ADDRESS if identity.addresses.len() < MAX => {
                    let (ip, times) = value.split_first_chunk::<16>()?;
                    let inner = split(times.get(8..)?)?;
                    // One that the server says something against is not given.
                    if inner.iter().all(|(kind, value)| *kind != STATUS || status(value) == Status::SUCCESS) {
                        let (preferred, valid) = (number(times, 0)?, number(times, 4)?);
                        identity.addresses.push(Timed { ip: Ipv6Addr::from(*ip), preferred, valid });
                    }
                }
                _ => {}
            }
        }
        Some(identity)
    }
}

/// One without a number says nothing.
fn status(value: &[u8]) -> Status {
    Status(value.first_chunk().map_or(0, |code| u16::from_be_bytes(*code)))
}

impl Default for Status {
    fn default() -> Self {
        Self::SUCCESS
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SUCCESS => f.write_str("all is well"),
            Self::NO_ADDRESS => f.write_str("no address is left"),
            Self::NO_BINDING => f.write_str("it does not know the address"),
            Self::NOT_ON_LINK => f.write_str("the address does not belong to this link"),
            Self(code) => write!(f, "status {code}"),
        }
    }
}

impl Information {
    fn take(&mut self, number: u16, value: &[u8]) {
        match number {
            DNS => add(&mut self.dns, value),
            SNTP => add(&mut self.ntp, value),
            NTP => {
                for (_, address) in split(value).unwrap_or_default().iter().filter(|(kind, _)| *kind == NTP_ADDRESS) {
                    add(&mut self.ntp, address);
                }
            }
            SEARCH => self.search = domains(value).unwrap_or_default(),
            BOOT_URL => {
                let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.len() <= MAX_URL);
                self.boot_url = text.filter(|text| !text.contains(is_obeyed)).map(str::to_owned);
            }
            _ => {}
        }
    }
}

/// Options one after the other; `None` if one is longer than what is left.
fn split(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while let [a, b, c, d, rest @ ..] = bytes {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        found.push((u16::from_be_bytes([*a, *b]), value));
        bytes = rest;
    }
    bytes.is_empty().then_some(found)
}

/// Whole addresses of servers.
fn add(list: &mut Vec<IpAddr>, value: &[u8]) {
    let (whole, rest) = value.as_chunks::<16>();
    if !rest.is_empty() {
        return;
    }
    let usable = |ip: &Ipv6Addr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback();
    for ip in whole.iter().map(|octets| Ipv6Addr::from(*octets)).filter(usable) {
        if list.len() < MAX && !list.contains(&ip.into()) {
            list.push(ip.into());
        }
    }
}

/// Names as in DNS, without pointers (RFC 9915 10); `None` if one is not whole. What is no name of a host is left out.
pub(crate) fn domains(mut values: &[u8]) -> Option<Vec<Hostname>> {
    let mut names: Vec<Hostname> = Vec::new();
    // Router advertisements fill the rest with zeros.
    while values.first().is_some_and(|length| *length != 0) && names.len() < MAX {
        let mut labels = Vec::new();
        loop {
            let (length, rest) = values.split_first()?;
            let (label, rest) = rest.split_at_checked(usize::from(*length))?;
            values = rest;
            match *length {
                0 => break,
                1..=63 => labels.push(std::str::from_utf8(label).ok()?),
                _ => return None,
            }
        }
        names.extend(Hostname::new(&labels.join(".")).filter(|name| !names.contains(name)));
    }
    Some(names)
}
