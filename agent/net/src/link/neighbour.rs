//! What router advertisements say beyond what the kernel uses itself (RFC 8106), as `RTM_NEWNDUSEROPT` passes it on. It
//! comes from the network.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::wire::u32_at;
use crate::dhcp6::domains;
use crate::hostname::Hostname;

/// Bytes of `struct nduseroptmsg`.
const HEAD: usize = 16;
/// `ND_OPT_RDNSS` and `ND_OPT_DNSSL`.
const SERVERS: u8 = 25;
const DOMAINS: u8 = 31;
/// Servers, or domains, that are kept of one option.
const MAX: usize = 8;

/// Servers and domains that a router has named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// Servers for names.
    pub dns: Vec<IpAddr>,
    /// Domains in which names are looked up.
    pub search: Vec<Hostname>,
    /// For how long that holds; zero: no longer.
    pub lifetime: Duration,
}

/// Reads the body of the message: the number of the interface, and its one option; `None` if it is another one, or broken.
pub(super) fn read(body: &[u8]) -> Option<(u32, Advertised)> {
    let index = u32_at(body, 4)?;
    let options = body.get(HEAD..)?;
    let length = usize::from(*options.get(1)?) * 8;
    let option = options.get(..length).filter(|option| option.len() >= 8)?;
    let lifetime = Duration::from_secs(u32::from_be_bytes(option.get(4..8)?.try_into().ok()?).into());
    let values = option.get(8..)?;
    let mut found = Advertised { lifetime, ..Advertised::default() };
    match *option.first()? {
        SERVERS => {
            let (addresses, rest) = values.as_chunks::<16>();
            if !rest.is_empty() {
                return None;
            }
            let usable = |ip: &Ipv6Addr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback();
            let addresses = addresses.iter().map(|octets| Ipv6Addr::from(*octets)).filter(usable);
            found.dns = addresses.map(IpAddr::V6).take(MAX).collect();
        }
        DOMAINS => found.search = domains(values)?,
        _ => return None,
    }
    (!found.dns.is_empty() || !found.search.is_empty()).then_some((index, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(option: &[u8]) -> Vec<u8> {
        let mut body = vec![0; HEAD];
        body[4] = 3;
        body.extend(option);
        body
    }

    #[test]
    fn servers_and_domains_of_a_router() {
        let mut option = vec![25, 5, 0, 0, 0, 0, 2, 88];
        option.extend("2001:db8::53".parse::<Ipv6Addr>().unwrap().octets());
        option.extend([0; 16]);
        let (index, found) = read(&body(&option)).unwrap();
        assert_eq!((index, found.lifetime), (3, Duration::from_secs(600)));
        assert_eq!(found.dns, ["2001:db8::53".parse::<IpAddr>().unwrap()]);

        let option = [&[31, 4, 0, 0, 0, 0, 2, 88][..], b"\x03lab\x04test\0\x01a\x01b\0", &[0; 10]].concat();
        let (_, found) = read(&body(&option)).unwrap();
        assert_eq!(found.search.iter().map(Hostname::as_str).collect::<Vec<_>>(), ["lab.test", "a.b"]);
    }

    #[test]
    fn what_is_cut_or_forged_is_nothing() {
        let good = [&[31, 3, 0, 0, 0, 0, 2, 88][..], b"\x03lab\x04test\0", &[0; 6]].concat();
        assert!(read(&body(&good)).is_some());
        for length in 0..good.len() {
            assert_eq!(read(&body(&good[..length])), None, "{length}");
        }
        for (at, value) in [(0, 3), (1, 0), (1, 9), (8, 64), (8, 200), (9, b'\n'), (9, 0xff)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(read(&body(&bad)), None, "{at} {value}");
        }
        assert_eq!(read(&[0; 15]), None);
    }
}
