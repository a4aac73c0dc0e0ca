//! Values of options that are more than a number: each reader refuses what is not whole.

use std::net::Ipv4Addr;

use rdlive_media::printable::is_obeyed;

use crate::grammar::{Address, classful};
use crate::hostname::Hostname;
use crate::route::Route;

/// Addresses of one list that are kept.
const MAX_ADDRESSES: usize = 8;
/// Routes that are kept: more than a network needs, fewer than fill the kernel's tables.
const MAX_ROUTES: usize = 64;
/// Names of a search list that are kept.
const MAX_NAMES: usize = 16;
/// Bytes of a text that is passed on.
const MAX_TEXT: usize = 255;

/// A list of addresses; `None` if it is empty or not made of whole ones.
pub(super) fn addresses(value: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let (whole, rest) = value.as_chunks::<4>();
    if whole.is_empty() || !rest.is_empty() {
        return None;
    }
    Some(whole.iter().take(MAX_ADDRESSES).map(|four| Ipv4Addr::from(*four)).collect())
}

/// RFC 3442: prefix, its significant octets, router; the router 0.0.0.0 means on the link, and multicast has none either.
/// `None` if one of them is not whole.
pub(super) fn classless(mut value: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let [prefix, rest @ ..] = value {
        let significant = usize::from(prefix.div_ceil(8));
        let (net, rest) = rest.split_at_checked(significant).filter(|_| *prefix <= 32)?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        value = rest;
        let mut octets = [0; 4];
        octets.get_mut(..significant)?.copy_from_slice(net);
        let net = Address { ip: octets.into(), prefix: *prefix }.net();
        let gateway = Ipv4Addr::from(*gateway);
        let on_link = gateway.is_unspecified() || net.ip.is_multicast();
        if routes.len() < MAX_ROUTES {
            routes.push(Route { net, gateway: (!on_link).then_some(gateway.into()) });
        }
    }
    (!routes.is_empty()).then_some(routes)
}

/// Option 33: pairs of destination and router, from the time before there were masks. 0.0.0.0 is no destination here (RFC 2132 5.8).
pub(super) fn with_class(value: &[u8]) -> Option<Vec<Route>> {
    let (pairs, rest) = value.as_chunks::<8>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let route = |pair: &[u8; 8]| {
        let [a, b, c, d, gateway @ ..] = *pair;
        let ip = Ipv4Addr::new(a, b, c, d);
        let net = Address { ip: ip.into(), prefix: classful(ip) }.net();
        // A host of the net, and no net, is meant as one host.
        let net = if net.ip == ip { net } else { Address { ip: ip.into(), prefix: 32 } };
        (!ip.is_unspecified()).then_some(Route { net, gateway: Some(Ipv4Addr::from(gateway).into()) })
    };
    Some(pairs.iter().take(MAX_ROUTES).filter_map(route).collect())
}

/// RFC 3397: names as in DNS, with pointers into the option itself. The names, and whether there was something that is none.
pub(super) fn search(value: &[u8]) -> (Vec<Hostname>, bool) {
    let mut names = Vec::new();
    let (mut at, mut bad) = (0, false);
    while at < value.len() && names.len() < MAX_NAMES {
        let Some((name, end)) = domain(value, at) else { return (names, true) };
        match Hostname::new(&name) {
            Some(name) if !names.contains(&name) => names.push(name),
            Some(_) => {}
            None => bad = true,
        }
        at = end;
    }
    (names, bad)
}

/// The name at that place, and where the next one begins.
fn domain(value: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let (mut at, mut end, mut lowest) = (start, None, start);
    loop {
        let length = *value.get(at)?;
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = value.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                // Bytes that are no ASCII become something that no host name has.
                name.extend(label.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }));
                at += 1 + usize::from(length);
            }
            // Pointers go backwards alone, so that they come to an end.
            192.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*value.get(at + 1)?);
                end = end.or(Some(at + 2));
                if target >= lowest {
                    return None;
                }
                (at, lowest) = (target, target);
            }
            64..=191 => return None,
        }
        if name.len() > crate::hostname::MAX {
            return None;
        }
    }
}

/// Option 15: one name, or several with blanks between them, as some servers are set up.
pub(super) fn domains(value: &[u8]) -> Option<Vec<Hostname>> {
    let text = text(value)?;
    text.split(' ').filter(|name| !name.is_empty()).take(MAX_NAMES).map(Hostname::new).collect()
}

/// A text without zeros at its end and without anything that a terminal obeys.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let length = value.iter().rposition(|byte| *byte != 0).map(|last| last + 1)?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    (text.len() <= MAX_TEXT && !text.contains(|c| c == '\0' || is_obeyed(c))).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 3397, section 2: eng.apple.com. and marketing.apple.com., the second one with a pointer.
    #[test]
    fn search_lists_may_point_backwards() {
        let value = b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04";
        let (names, bad) = search(value);
        assert_eq!(names.iter().map(Hostname::as_str).collect::<Vec<_>>(), ["eng.apple.com", "marketing.apple.com"]);
        assert!(!bad);
    }

    #[test]
    fn a_search_list_that_loops_or_is_cut_ends() {
        for value in
            [&b"\xc0\x00"[..], b"\x01a\xc0\x00", b"\xc0\x02\xc0\x00", b"\x05abc", b"\x40a\0", b"\xc0", b"\x01a\xc0\x05"]
        {
            assert_eq!(search(value), (vec![], true), "{value:?}");
        }
        let (names, bad) = search(b"\x01a\0\x02b\n\0\x01c\0");
        assert_eq!((names.iter().map(Hostname::as_str).collect::<Vec<_>>(), bad), (vec!["a", "c"], true));
        let long = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(5);
        assert!(search(&[long.as_slice(), b"\0"].concat()).1);
        assert_eq!(search(&b"\x01a\0\x01b\0".repeat(1000)).0.len(), 2);
    }
}
