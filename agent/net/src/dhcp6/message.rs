//! The two messages of stateless DHCPv6 and their options.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rdlive_media::printable::is_obeyed;

use super::Information;
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;

/// Types of messages (RFC 8415 7.3).
const REPLY: u8 = 7;
const INFORMATION_REQUEST: u8 = 11;
/// Options (RFC 8415 21, RFC 3646, RFC 4075, RFC 5908, RFC 5970).
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const WANTED: u16 = 6;
const ELAPSED: u16 = 8;
const STATUS: u16 = 13;
const DNS: u16 = 23;
const SEARCH: u16 = 24;
const SNTP: u16 = 31;
const REFRESH: u16 = 32;
const NTP: u16 = 56;
const NTP_ADDRESS: u16 = 1;
const BOOT_URL: u16 = 59;
/// Addresses or names of one list that are kept.
const MAX: usize = 8;
/// Bytes of the longest URL that is passed on.
const MAX_URL: usize = 2048;

/// Why a datagram is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short, or another message.
    #[error("no reply")]
    NoReply,
    /// An option is longer than the message, or one that has to be there is not.
    #[error("its options are not whole")]
    Options,
    /// The server says that it cannot.
    #[error("the server reports status {0}")]
    Status(u16),
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The transaction that it answers.
    pub xid: [u8; 3],
    /// The identifier of the client that it is for.
    pub client: Vec<u8>,
    /// What it tells.
    pub information: Information,
}

/// DUID-LL (RFC 8415 11.4): the same in each boot, and in the system if it is made of the hardware address there too.
pub(super) fn duid(mac: &HardwareAddress) -> Vec<u8> {
    // Type of hardware: Ethernet 1, InfiniBand 32.
    let hardware: u16 = if mac.ethernet().is_some() { 1 } else { 32 };
    [&3u16.to_be_bytes()[..], &hardware.to_be_bytes(), mac.bytes()].concat()
}

/// INFORMATION-REQUEST.
pub(super) fn request(xid: [u8; 3], mac: &HardwareAddress, waited: Duration) -> Vec<u8> {
    let mut bytes = vec![INFORMATION_REQUEST];
    bytes.extend(xid);
    let mut option = |number: u16, value: &[u8]| {
        bytes.extend(number.to_be_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(value);
    };
    option(CLIENT_ID, &duid(mac));
    let hundredths = u16::try_from(waited.as_millis() / 10).unwrap_or(u16::MAX);
    option(ELAPSED, &hundredths.to_be_bytes());
    // RFC 8415 21.23: the time after which to ask again has to be asked for.
    let wanted: Vec<u8> =
        [DNS, SEARCH, SNTP, REFRESH, NTP, BOOT_URL].iter().flat_map(|code| code.to_be_bytes()).collect();
    option(WANTED, &wanted);
    bytes
}

impl Reply {
    /// Reads a datagram.
    ///
    /// # Errors
    /// It is no answer that can be used. A value that cannot be read is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let [REPLY, a, b, c, options @ ..] = bytes else { return Err(Malformed::NoReply) };
        let mut reply = Self { xid: [*a, *b, *c], client: Vec::new(), information: Information::default() };
        let mut server = false;
        for (number, value) in split(options).ok_or(Malformed::Options)? {
            match number {
                CLIENT_ID => reply.client = value.to_vec(),
                SERVER_ID => server = !value.is_empty(),
                STATUS => match value.get(..2).and_then(|code| code.try_into().ok()).map(u16::from_be_bytes) {
                    None | Some(0) => {}
                    Some(code) => return Err(Malformed::Status(code)),
                },
                _ => reply.information.take(number, value),
            }
        }
        if server { Ok(reply) } else { Err(Malformed::Options) }
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

/// Names as in DNS, without pointers (RFC 8415 10); `None` if one is not whole. What is no name of a host is left out.
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
