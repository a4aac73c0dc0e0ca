//! From text to URL.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Credentials, Host, MAX_LEN, Scheme, Url, UrlError};

/// The longest name of a network interface (`IFNAMSIZ` without its NUL).
const ZONE_LEN: usize = 15;

/// The six parts of a reference (RFC 3986, appendix B), not yet looked at.
pub(super) struct Parts<'a> {
    pub scheme: Option<&'a str>,
    pub authority: Option<&'a str>,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str) -> Self {
        let (text, fragment) = cut(text, '#');
        let (text, query) = cut(text, '?');
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, text),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Self { scheme, authority, path, query, fragment }
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(text, rest)| (text, Some(rest)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Refuses what may not be in any part.
pub(super) fn check(text: &str) -> Result<(), UrlError> {
    if text.len() > MAX_LEN {
        return Err(UrlError::TooLong(text.len()));
    }
    match text.chars().find(|c| c.is_ascii_control()) {
        Some(control) => Err(UrlError::Control(u32::from(control))),
        None => Ok(()),
    }
}

impl FromStr for Url {
    type Err = UrlError;

    /// Takes a URL apart. A blank and what is not ASCII is percent-encoded, everything else stays as it is, also where RFC 3986 would not
    /// allow it: the server decides what it calls its files.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        check(text)?;
        let parts = Parts::split(text);
        let scheme = scheme(parts.scheme.ok_or(UrlError::NoScheme)?)?;
        Self::build(scheme, &parts)
    }
}

impl Url {
    pub(super) fn build(scheme: Scheme, parts: &Parts<'_>) -> Result<Self, UrlError> {
        let authority = parts.authority.ok_or(UrlError::NoHost)?;
        // The last one: a password may have been written with an @ in it.
        let (userinfo, server) = match authority.rsplit_once('@') {
            Some((userinfo, server)) => (Some(userinfo), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server)?;
        Ok(Self {
            scheme,
            credentials: userinfo.map(credentials),
            host: self::host(host)?,
            port: self::port(port)?,
            path: encode(parts.path),
            query: parts.query.map(encode),
            fragment: parts.fragment.map(encode),
        })
    }
}

pub(super) fn scheme(name: &str) -> Result<Scheme, UrlError> {
    let found = Scheme::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| UrlError::Scheme(name.to_ascii_lowercase()))
}

fn split_port(server: &str) -> Result<(&str, &str), UrlError> {
    let end = match server.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|at| at + 2).ok_or_else(|| UrlError::Host(shown(server)))?,
        None => server.find(':').unwrap_or(server.len()),
    };
    let (host, port) = server.split_at(end);
    match port.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if port.is_empty() => Ok((host, "")),
        None => Err(UrlError::Host(shown(server))),
    }
}

fn port(text: &str) -> Result<Option<u16>, UrlError> {
    if text.is_empty() {
        return Ok(None);
    }
    // `parse` alone would accept a plus sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok().filter(|port| *port != 0) } else { None };
    port.map(Some).ok_or_else(|| UrlError::Port(shown(text)))
}

fn host(text: &str) -> Result<Host, UrlError> {
    if text.is_empty() {
        return Err(UrlError::NoHost);
    }
    let wrong = || UrlError::Host(shown(text));
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
        let (address, zone) = match inner.split_once('%') {
            Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
            None => (inner, None),
        };
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        if zone.is_some_and(|zone| !is_interface(zone)) {
            return Err(wrong());
        }
        return Ok(Host::V6(address, zone.map(str::to_owned)));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::V4(address));
    }
    if is_name(text) { Ok(Host::Name(text.to_ascii_lowercase())) } else { Err(wrong()) }
}

fn is_interface(zone: &str) -> bool {
    (1..=ZONE_LEN).contains(&zone.len()) && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:@".contains(&b))
}

/// Letters, digits, hyphens, and the underscore that some networks have all the same; a name that ends in a number would be an address.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(number)
}

fn credentials(userinfo: &str) -> Credentials {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Credentials { user: percent_decode(user), password: percent_decode(password) }
}

/// Percent-encodes what cannot be in a request line: blanks and bytes that are not ASCII. Control characters were refused before.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                encoded.push('%');
                encoded.push_str(&format!("{byte:02X}"));
            }
        }
    }
    encoded
}

/// `%41` becomes `A`; a percent sign that no two hexadecimal digits follow stays what it is.
pub(super) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let value = if byte == b'%' { hex_byte(bytes.get(at + 1..at + 3)) } else { None };
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    decoded
}

/// A SHA-256 of 64 hexadecimal digits.
pub(super) fn digest(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.as_bytes();
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = hex_byte(Some(pair))?;
    }
    Some(digest)
}

fn hex_byte(pair: Option<&[u8]>) -> Option<u8> {
    let &[high, low] = pair? else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// What an error may repeat: 80 characters, harmless for a terminal.
fn shown(text: &str) -> String {
    rdlive_media::printable::printable(&text.chars().take(80).collect::<String>())
}
