//! From an answer of a server to what is done with it: each value is judged, what is not used is said.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rdlive_media::printable::printable;

use super::message::{Message, code};
use super::options;
use crate::grammar::{Address, classful, prefix_of};
use crate::hostname::Hostname;
use crate::route::{self, Route};

/// The shortest lease that is taken: a shorter one is asked for again all the time.
const SHORTEST: u32 = 30;
/// The time of a lease whose server names none.
const UNSAID: u32 = 3600;
/// A lease for ever (RFC 2131 3.3).
const FOREVER: u32 = u32::MAX;
/// The smallest MTU of an IPv4 link that is of use (RFC 791 3.1).
const MIN_MTU: u32 = 576;

/// What bounds the values of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest MTU of the device.
    pub device_mtu: u32,
    /// The smallest MTU that what is in use needs, such as an AoE payload (network.md 4.4).
    pub payload_mtu: Option<u32>,
    /// The servers of the image that are known by address: no lease may turn the way to them.
    pub servers: Vec<Ipv4Addr>,
}

/// What a server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address with its prefix.
    pub address: Address,
    /// The server that gave it (option 54).
    pub server: Ipv4Addr,
    /// How long it holds; `None`: for ever.
    pub time: Option<Duration>,
    /// When the same server is asked for more time, and when every server is: since the lease began.
    pub renew: Option<(Duration, Duration)>,
    /// All routes but the one to the subnet, which the kernel makes, in the order in which it takes them.
    pub routes: Vec<Route>,
    /// Servers for names.
    pub dns: Vec<Ipv4Addr>,
    /// Servers for the time, for the clock step and the report.
    pub ntp: Vec<Ipv4Addr>,
    /// Domains in which names without a dot are looked up.
    pub search: Vec<Hostname>,
    /// The name of this machine.
    pub hostname: Option<Hostname>,
    /// The MTU to be set; never one outside of [`Limits`].
    pub mtu: Option<u32>,
    /// The server to boot from: `siaddr`, else option 66, else the server itself.
    pub next_server: NextServer,
    /// Option 67, else the field of the header.
    pub boot_file: Option<String>,
    /// Option 17.
    pub root_path: Option<String>,
    /// For how long IPv4 may be left alone if IPv6 works (RFC 8925).
    pub ipv6_only: Option<Duration>,
}

/// A server that is known by address or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextServer {
    /// By address.
    Address(Ipv4Addr),
    /// By name (option 66).
    Name(Hostname),
}

/// Why an answer is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A proxy that knows boot files alone.
    #[error("it names no address")]
    NoAddress,
    /// No machine can have it.
    #[error("no machine can have the address {0}")]
    Unusable(Ipv4Addr),
    /// Shorter than 30 s.
    #[error("a lease of {0} s is too short, 30 s are the least")]
    TooShort(u32),
}

/// Which value of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of an option")]
pub enum What {
    Router,
    Dns,
    Ntp,
    Routes,
    Domain,
    Search,
    Hostname,
    RootPath,
    BootFile,
}

/// A value of a lease that is not used as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the text beside them")]
pub enum Part {
    /// No mask, or none that is one.
    #[error("no mask, /{0} was guessed")]
    PrefixGuessed(u8),
    /// No time.
    #[error("no lease time, one hour was guessed")]
    NoTime,
    /// Not whole, or with bytes that no such value has.
    #[error("the {0} cannot be read")]
    Broken(What),
    /// 0.0.0.0, our own address, and the like.
    #[error("{address} is no {what}")]
    Placeholder { what: What, address: Ipv4Addr },
    /// A route that turns the way to a server that is on the link.
    #[error("the route to {route} leads around {server}, which is on the link")]
    Around { route: Route, server: Ipv4Addr },
    /// Out of what the device and the payload in use allow.
    #[error("an MTU of {mtu} is not set, {least} to {most} are allowed")]
    Mtu { mtu: u32, least: u32, most: u32 },
}

impl Lease {
    /// Judges an offer or an acknowledgement from `server`.
    ///
    /// # Errors
    /// It is nothing that can be used. Single values that cannot be used are left out and listed.
    pub fn of(message: &Message, server: Ipv4Addr, limits: &Limits) -> Result<(Self, Vec<Part>), Refusal> {
        let ip = message.yiaddr;
        if ip.is_unspecified() {
            return Err(Refusal::NoAddress);
        }
        // Class E and the nets 0 and 127 are no addresses of hosts (RFC 1122 3.2.1.3).
        if !(1..=223).contains(&ip.octets()[0]) || ip.is_loopback() {
            return Err(Refusal::Unusable(ip));
        }
        let mut parts = Vec::new();
        let time = message.number(code::LEASE_TIME).unwrap_or_else(|| {
            parts.push(Part::NoTime);
            UNSAID
        });
        if time < SHORTEST {
            return Err(Refusal::TooShort(time));
        }
        let address = Address { ip: ip.into(), prefix: prefix(message, ip, &mut parts) };
        let time = (time != FOREVER).then(|| Duration::from_secs(time.into()));
        let hostname = name(message, &mut parts);
        Ok((
            Self {
                address,
                server,
                time,
                renew: time.map(|time| renewal(message, time)),
                routes: routes(message, address, server, limits, &mut parts),
                dns: servers(message, code::DNS, What::Dns, ip, &mut parts),
                ntp: servers(message, code::NTP, What::Ntp, ip, &mut parts),
                search: search(message, &mut parts),
                hostname,
                mtu: mtu(message, limits, &mut parts),
                next_server: next_server(message, server),
                boot_file: boot_file(message, &mut parts),
                root_path: text(message, code::ROOT_PATH, What::RootPath, &mut parts),
                ipv6_only: message.number(code::IPV6_ONLY).map(|seconds| Duration::from_secs(seconds.into())),
            },
            parts,
        ))
    }
}

fn prefix(message: &Message, ip: Ipv4Addr, parts: &mut Vec<Part>) -> u8 {
    let mask = message.option(code::MASK).and_then(|value| <[u8; 4]>::try_from(value).ok());
    // A subnet of all addresses would put every server on the link.
    mask.and_then(|mask| prefix_of(mask.into())).filter(|prefix| *prefix > 0).unwrap_or_else(|| {
        let guess = classful(ip);
        parts.push(Part::PrefixGuessed(guess));
        guess
    })
}

/// RFC 2131 4.4.5: half of the time and seven eighths of it, unless the server says something that makes sense.
fn renewal(message: &Message, time: Duration) -> (Duration, Duration) {
    let said = |code| message.number(code).map(|seconds| Duration::from_secs(seconds.into()));
    let second = said(code::T2).filter(|second| *second < time && *second > time / 4).unwrap_or(time * 7 / 8);
    let first = said(code::T1).filter(|first| *first < second && *first > time / 8).unwrap_or(second.min(time / 2));
    (first, second)
}

/// Whether it can be the address of a router or a server of ours.
fn is_server(address: Ipv4Addr, own: Ipv4Addr) -> bool {
    !address.is_unspecified()
        && !address.is_broadcast()
        && !address.is_multicast()
        && !address.is_loopback()
        && address != own
}

fn servers(message: &Message, code: u8, what: What, own: Ipv4Addr, parts: &mut Vec<Part>) -> Vec<Ipv4Addr> {
    let Some(value) = message.option(code) else { return Vec::new() };
    let Some(addresses) = options::addresses(value) else {
        // A list without anything in it says nothing.
        if !value.is_empty() {
            parts.push(Part::Broken(what));
        }
        return Vec::new();
    };
    let (good, bad): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| is_server(*address, own));
    parts.extend(bad.into_iter().map(|address| Part::Placeholder { what, address }));
    good
}

/// Options 121 and 249 replace 3 and 33 (RFC 3442). One that is broken counts as missing.
fn routes(message: &Message, own: Address, server: Ipv4Addr, limits: &Limits, parts: &mut Vec<Part>) -> Vec<Route> {
    let IpAddr::V4(ip) = own.ip else { return Vec::new() };
    let mut read = |code: u8, read: fn(&[u8]) -> Option<Vec<Route>>| {
        let value = message.option(code).filter(|value| !value.is_empty())?;
        let routes = read(value);
        if routes.is_none() {
            parts.push(Part::Broken(What::Routes));
        }
        routes
    };
    let classless = read(code::CLASSLESS, options::classless).or_else(|| read(code::CLASSLESS_MS, options::classless));
    let mut wanted = match classless {
        Some(routes) => routes,
        None => {
            let mut routes = read(code::STATIC_ROUTES, options::with_class).unwrap_or_default();
            let routers = servers(message, code::ROUTER, What::Router, ip, parts);
            routes.extend(routers.first().map(|router| Route::default_by((*router).into())));
            routes
        }
    };
    wanted.retain(|route| {
        let Some(IpAddr::V4(gateway)) = route.gateway else { return true };
        if !is_server(gateway, ip) {
            parts.push(Part::Placeholder { what: What::Router, address: gateway });
            return false;
        }
        // More bits than the subnet has: this route would win over the direct way.
        let near = |server: &&Ipv4Addr| own.contains((**server).into()) && route.net.contains((**server).into());
        let around = limits.servers.iter().chain([&server]).find(near);
        match around.filter(|server| route.net.prefix >= own.prefix && **server != gateway) {
            Some(server) => {
                parts.push(Part::Around { route: *route, server: *server });
                false
            }
            None => true,
        }
    });
    route::plan(own, wanted)
}

fn mtu(message: &Message, limits: &Limits, parts: &mut Vec<Part>) -> Option<u32> {
    let value = message.option(code::MTU)?;
    let mtu = u32::from(u16::from_be_bytes(value.try_into().ok()?));
    let least = limits.payload_mtu.unwrap_or(MIN_MTU).max(MIN_MTU);
    if (least..=limits.device_mtu).contains(&mtu) {
        return Some(mtu);
    }
    parts.push(Part::Mtu { mtu, least, most: limits.device_mtu });
    None
}

fn name(message: &Message, parts: &mut Vec<Part>) -> Option<Hostname> {
    let value = message.option(code::HOSTNAME).filter(|value| !value.is_empty())?;
    let name = Hostname::from_bytes(value);
    if name.is_none() {
        parts.push(Part::Broken(What::Hostname));
    }
    name
}

/// Option 119, else 15.
fn search(message: &Message, parts: &mut Vec<Part>) -> Vec<Hostname> {
    if let Some(value) = message.option(code::SEARCH).filter(|value| !value.is_empty()) {
        let (names, bad) = options::search(value);
        if bad {
            parts.push(Part::Broken(What::Search));
        }
        if !names.is_empty() {
            return names;
        }
    }
    let Some(value) = message.option(code::DOMAIN).filter(|value| !value.is_empty()) else { return Vec::new() };
    options::domains(value).unwrap_or_else(|| {
        parts.push(Part::Broken(What::Domain));
        Vec::new()
    })
}

fn text(message: &Message, code: u8, what: What, parts: &mut Vec<Part>) -> Option<String> {
    let value = message.option(code).filter(|value| value.iter().any(|byte| *byte != 0))?;
    let text = options::text(value);
    if text.is_none() {
        parts.push(Part::Broken(what));
    }
    text
}

fn boot_file(message: &Message, parts: &mut Vec<Part>) -> Option<String> {
    text(message, code::BOOT_FILE, What::BootFile, parts).or_else(|| options::text(&message.file))
}

/// A server of DHCP is not always the one to boot from (network-field.md kind 9).
fn next_server(message: &Message, server: Ipv4Addr) -> NextServer {
    if !message.siaddr.is_unspecified() {
        return NextServer::Address(message.siaddr);
    }
    let named = message.option(code::TFTP_SERVER).and_then(options::text);
    match named.as_deref().map(|text| (text.parse(), Hostname::new(text))) {
        Some((Ok(address), _)) => NextServer::Address(address),
        Some((_, Some(name))) => NextServer::Name(name),
        _ => NextServer::Address(server),
    }
}

/// The words of a server (option 56), made harmless and short.
pub(super) fn words(message: &Message) -> String {
    let value = message.option(code::TEXT).unwrap_or_default();
    printable(&String::from_utf8_lossy(value.get(..value.len().min(80)).unwrap_or_default()).replace('\0', ""))
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Router => "router",
            Self::Dns => "DNS server",
            Self::Ntp => "NTP server",
            Self::Routes => "routes",
            Self::Domain => "domain",
            Self::Search => "search list",
            Self::Hostname => "host name",
            Self::RootPath => "root path",
            Self::BootFile => "boot file",
        })
    }
}
