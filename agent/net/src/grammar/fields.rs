//! The parts of a word: fields between colons, addresses, prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fault::Fault;

/// Fields of the longest word that means something: an `ip=` with two InfiniBand addresses in it.
const MAX_FIELDS: usize = 64;

/// An address, or the first address of a net, and the bits that the net has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// 0 to 32 for IPv4, to 128 for IPv6.
    pub prefix: u8,
}

impl Address {
    /// Whether `ip` is in the same subnet.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let net = |ip| Self { ip, prefix: self.prefix }.net();
        self.ip.is_ipv4() == ip.is_ipv4() && net(self.ip).ip == net(ip).ip
    }

    /// The net: bits behind the prefix 0.
    #[must_use]
    pub fn net(&self) -> Self {
        let ip = match self.ip {
            IpAddr::V4(ip) => {
                let keep = u32::MAX.checked_shl(32u32.saturating_sub(self.prefix.into())).unwrap_or(0);
                Ipv4Addr::from(u32::from(ip) & keep).into()
            }
            IpAddr::V6(ip) => {
                let keep = u128::MAX.checked_shl(128u32.saturating_sub(self.prefix.into())).unwrap_or(0);
                Ipv6Addr::from(u128::from(ip) & keep).into()
            }
        };
        Self { ip, prefix: self.prefix }
    }

    /// The whole length of an address of this family: 32 or 128.
    #[must_use]
    pub fn full(ip: IpAddr) -> u8 {
        if ip.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// The fields between colons, brackets kept; a colon in brackets separates nothing.
pub(super) fn split(value: &str) -> Result<Vec<&str>, Fault> {
    let mut inside = false;
    let mut balanced = true;
    let is_end = |c: char| {
        match c {
            '[' => {
                balanced &= !inside;
                inside = true;
            }
            ']' => {
                balanced &= inside;
                inside = false;
            }
            _ => {}
        }
        c == ':' && !inside
    };
    let fields: Vec<&str> = value.split(is_end).take(MAX_FIELDS + 1).collect();
    if fields.len() > MAX_FIELDS {
        Err(Fault::TooManyFields)
    } else if !balanced || inside {
        Err(Fault::Brackets)
    } else {
        Ok(fields)
    }
}

/// An address without a prefix. IPv6 may have brackets around it, IPv4 may not.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// An address with an optional prefix behind it, inside of the brackets or behind them.
pub(super) fn ip_and_prefix(text: &str) -> Option<(IpAddr, Option<u8>)> {
    let text = match text.strip_prefix('[') {
        Some(rest) => &rest.replacen(']', "", 1),
        None => text,
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let ip = address.parse().ok()?;
    match prefix {
        None => Some((ip, None)),
        Some(prefix) => Some((ip, Some(length(prefix, ip)?))),
    }
}

/// A mask as dotted quad or as number of bits.
pub(super) fn mask(text: &str, ip: IpAddr) -> Option<u8> {
    match text.parse::<Ipv4Addr>() {
        Ok(mask) if ip.is_ipv4() => prefix_of(mask),
        _ => length(text, ip),
    }
}

/// How many bits of the mask are set, if they stand together at its beginning.
#[must_use]
pub fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok())?
}

/// The prefix that an address had before there were masks (RFC 791 3.2): what others guess when none is given.
#[must_use]
pub fn classful(ip: Ipv4Addr) -> u8 {
    match ip.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192.. => 24,
    }
}

/// Whether the text is a number without a sign: `parse` alone would take `+5`.
pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str, ip: IpAddr) -> Option<u8> {
    let bits = if digits(text) { text.parse().ok()? } else { return None };
    (bits <= Address::full(ip)).then_some(bits)
}
