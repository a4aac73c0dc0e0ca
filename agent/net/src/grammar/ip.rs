//! `ip=`: the union of what four programs take (network.md 4.1).

use std::net::IpAddr;

use super::fault::{Complaint, Fault, shown};
use super::fields::{self, Address};
use super::interface::Interface;
use super::{Form, Method, Request, Spelling};
use crate::hardware::{ETHERNET, HardwareAddress, INFINIBAND};
use crate::hostname::Hostname;

/// Smallest MTU that is taken: each IPv4 host has to accept packets of this size (RFC 791 3.1).
pub(super) const MIN_MTU: u32 = 576;

/// The options beside an address that stands alone, each with its value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aside<'a> {
    pub gateway: Option<&'a str>,
    pub netmask: Option<&'a str>,
    pub hostname: Option<&'a str>,
    pub ksdevice: Option<&'a str>,
    pub mtu: Option<&'a str>,
}

/// Where complaints about parts of a word go.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub key: &'a str,
    pub value: &'a str,
    pub complaints: &'a mut Vec<Complaint>,
}

impl Parts<'_> {
    pub(super) fn say(&mut self, fault: Fault) {
        self.complaints.push(Complaint::new(self.key, Some(self.value), fault));
    }

    /// The same complaints under another option.
    fn of<'b>(&'b mut self, key: &'b str, value: &'b str) -> Parts<'b> {
        Parts { key, value, complaints: self.complaints }
    }
}

/// Reads one value of `ip=`.
pub(super) fn read(value: &str, aside: &Aside<'_>, parts: &mut Parts<'_>) -> Result<Request, Fault> {
    let fields = fields::split(value)?;
    match fields.as_slice() {
        [] => Err(Fault::NoValue),
        [only] => alone(only, aside, parts),
        [first, ..] if first.is_empty() || fields::ip_and_prefix(first).is_some() => long(&fields, parts),
        [first, ..] if first.starts_with('[') => Err(Fault::Address(shown(first))),
        _ => of_interface(&fields, parts),
    }
}

/// `METHOD`, or `ADDR` with other options beside it.
fn alone(only: &str, aside: &Aside<'_>, parts: &mut Parts<'_>) -> Result<Request, Fault> {
    if let Some(method) = method(only) {
        return Ok(Request::new(Form::Method, method));
    }
    let Some((ip, prefix)) = fields::ip_and_prefix(only) else {
        return Err(if only.contains('.') { Fault::Address(shown(only)) } else { Fault::Method(shown(only)) });
    };
    let mut request = Request::new(Form::AddressAlone, Method::Static);
    let ip = usable(ip)?;
    request.address = Some(address(ip, prefix, aside.netmask.unwrap_or_default(), parts)?);
    request.spelling.prefix_in_address = prefix.is_some();
    if let Some(text) = aside.gateway {
        request.gateway = server(text, Some(ip), &mut parts.of("gateway", text));
    }
    if let Some(text) = aside.hostname {
        request.hostname = hostname(text, &mut parts.of("hostname", text));
    }
    if let Some(text) = aside.mtu {
        request.mtu = mtu(text, &mut parts.of("mtu", text));
    }
    // `link`, `bootif` and `ibft` name no interface: they say how to choose one.
    let device = aside.ksdevice.filter(|text| !matches!(*text, "" | "link" | "bootif" | "ibft"));
    if let Some(text) = device {
        request.interface = Some(Interface::parse(text).ok_or_else(|| Fault::Interface(shown(text)))?);
    }
    Ok(request)
}

/// `IF:METHOD[:[MTU][:MAC]]`. A hardware address with colons takes six fields of them, or twenty.
fn of_interface(fields: &[&str], parts: &mut Parts<'_>) -> Result<Request, Fault> {
    let mut request = Request::new(Form::InterfaceMethod, Method::Off);
    let rest = interface(fields, &mut request)?;
    let [word, rest @ ..] = rest else { return Err(Fault::Method(shown(parts.value))) };
    let Some(method) = method(word) else {
        let group = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        return Err(match &request.interface {
            Some(Interface::Name(name)) if group(name) => Fault::Unbracketed,
            _ => Fault::Method(shown(word)),
        });
    };
    request.method = method;
    if let [text, rest @ ..] = rest {
        request.mtu = if text.is_empty() { None } else { mtu(text, parts) };
        request.set_mac = set_mac(rest, parts);
    }
    Ok(request)
}

/// `ADDR:[PEER]:[GW]:[MASK]:[HOST]:[IF]:METHOD…`, or the first of these fields.
fn long(fields: &[&str], parts: &mut Parts<'_>) -> Result<Request, Fault> {
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let mut request = Request::new(Form::Long, Method::Off);
    let behind = match fields.get(5..).unwrap_or_default() {
        [] => &[],
        ["", rest @ ..] => rest,
        named => interface(named, &mut request)?,
    };
    let written = behind.first().copied().unwrap_or_default();
    let given = fields::ip_and_prefix(field(0)).filter(|(ip, _)| !ip.is_unspecified());
    if written.is_empty() {
        request.spelling.form = if fields.len() == 4 && given.is_some() { Form::FourFields } else { Form::NoMethod };
    }
    request.method = match method(written).ok_or_else(|| Fault::Method(shown(written)))? {
        Method::Off if given.is_some() => Method::Static,
        Method::Dhcp4 if written.is_empty() && given.is_some() => Method::Static,
        method => method,
    };
    match given {
        Some((ip, prefix)) => {
            request.spelling.prefix_in_address = prefix.is_some();
            request.address = Some(address(usable(ip)?, prefix, field(3), parts)?);
        }
        // 0.0.0.0 where an address has to stand: a template that nobody has filled in.
        None if !field(0).is_empty() && (written.is_empty() || request.method == Method::Off) => {
            return Err(Fault::Address(shown(field(0))));
        }
        None => {}
    }
    far_ends(&mut request, field(1), field(2), parts)?;
    if !field(4).is_empty() {
        request.hostname = hostname(field(4), parts);
    }
    trailer(&mut request, behind.get(1..).unwrap_or_default(), parts);
    Ok(request)
}

/// The second and the third field.
fn far_ends(request: &mut Request, peer: &str, gateway: &str, parts: &mut Parts<'_>) -> Result<(), Fault> {
    let own = request.address.map(|address| address.ip);
    let read = |text: &str, parts: &mut Parts<'_>| -> Result<Option<IpAddr>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let ip = fields::ip(text).ok_or_else(|| Fault::Address(shown(text)))?;
        match own {
            Some(own) if own.is_ipv4() != ip.is_ipv4() => Err(Fault::Families(own, ip)),
            _ if is_placeholder(ip, own) => {
                parts.say(Fault::Placeholder(ip));
                Ok(None)
            }
            _ => Ok(Some(ip)),
        }
    };
    let other_end = read(peer, parts)?;
    if request.spelling.form == Form::FourFields {
        request.next_server = other_end;
    } else {
        request.peer = other_end;
    }
    request.gateway = read(gateway, parts)?;
    Ok(())
}

/// What stands behind the method: `MTU[:MAC]` or `DNS[:DNS2[:NTP]]`. What the first of them is, its look tells.
fn trailer(request: &mut Request, rest: &[&str], parts: &mut Parts<'_>) {
    let [first, behind @ ..] = rest else { return };
    if fields::digits(first) {
        request.mtu = mtu(first, parts);
        request.set_mac = set_mac(behind, parts);
        return;
    }
    if first.is_empty() && hardware(behind).is_some() {
        request.set_mac = set_mac(behind, parts);
        return;
    }
    let own = request.address.map(|address| address.ip);
    for (index, text) in rest.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        match index {
            0 | 1 => request.dns.extend(server(text, own, parts)),
            2 => request.ntp.extend(server(text, own, parts)),
            _ => parts.say(Fault::Surplus(shown(text))),
        }
    }
}

/// Reads an interface at the beginning of the fields; gives what stands behind it.
fn interface<'a, 'b>(fields: &'b [&'a str], request: &mut Request) -> Result<&'b [&'a str], Fault> {
    let first = fields.first().copied().unwrap_or_default();
    let (interface, taken) = match hardware(fields) {
        Some((mac, taken)) => (Some(Interface::Mac(mac)), taken),
        None => (Interface::parse(first), 1),
    };
    request.interface = Some(interface.ok_or_else(|| Fault::Interface(shown(first)))?);
    request.spelling.colons_in_mac = taken > 1;
    Ok(fields.get(taken..).unwrap_or_default())
}

/// A hardware address at the beginning of the fields, and how many of them it takes.
fn hardware(fields: &[&str]) -> Option<(HardwareAddress, usize)> {
    for taken in [INFINIBAND, ETHERNET] {
        let joined = fields.get(..taken).map(|fields| fields.join(":"));
        if let Some(mac) = joined.as_deref().and_then(HardwareAddress::parse) {
            return Some((mac, taken));
        }
    }
    let first = fields.first().filter(|text| text.contains('-'))?;
    Some((HardwareAddress::parse(first)?, 1))
}

fn set_mac(fields: &[&str], parts: &mut Parts<'_>) -> Option<HardwareAddress> {
    if fields.iter().all(|field| field.is_empty()) {
        return None;
    }
    let found = hardware(fields);
    let surplus = fields.get(found.map_or(0, |(_, taken)| taken)..).unwrap_or_default();
    if surplus.iter().any(|field| !field.is_empty()) {
        parts.say(Fault::Surplus(shown(&surplus.join(":"))));
    }
    found.map(|(mac, _)| mac)
}

/// An empty method is DHCP (dracut.cmdline(7)).
fn method(text: &str) -> Option<Method> {
    Some(match text {
        "" | "dhcp" => Method::Dhcp4,
        "single-dhcp" => Method::SingleDhcp,
        "on" | "any" => Method::Any,
        "dhcp6" => Method::Dhcp6,
        "auto6" => Method::Auto6,
        "either6" => Method::Either6,
        "dhcp,dhcp6" | "dhcp6,dhcp" => Method::Dhcp4And6,
        "link6" => Method::Link6,
        "link-local" => Method::LinkLocal,
        "ibft" => Method::Ibft,
        "none" | "off" | "static" => Method::Off,
        _ => return None,
    })
}

/// The address with its prefix: its own one, else that of the mask, else the one that is guessed.
fn address(ip: IpAddr, own: Option<u8>, mask: &str, parts: &mut Parts<'_>) -> Result<Address, Fault> {
    let masked = match mask {
        "" => None,
        mask => Some(fields::mask(mask, ip).ok_or_else(|| Fault::Mask(shown(mask)))?),
    };
    if let (Some(address), Some(mask)) = (own, masked)
        && address != mask
    {
        parts.say(Fault::TwoPrefixes { address, mask });
    }
    let prefix = own.or(masked).unwrap_or_else(|| {
        let guess = match ip {
            IpAddr::V4(ip) => fields::classful(ip),
            IpAddr::V6(_) => 64,
        };
        parts.say(Fault::PrefixGuessed(guess));
        guess
    });
    Ok(Address { ip, prefix })
}

fn usable(ip: IpAddr) -> Result<IpAddr, Fault> {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || broadcast {
        Err(Fault::Unusable(ip))
    } else {
        Ok(ip)
    }
}

/// Whether it stands in the place of a server or a router without being one (network-field.md kind 10).
pub(super) fn is_placeholder(ip: IpAddr, own: Option<IpAddr>) -> bool {
    usable(ip).is_err() && !ip.is_loopback() || own == Some(ip)
}

/// The address of a server or a router.
pub(super) fn server(text: &str, own: Option<IpAddr>, parts: &mut Parts<'_>) -> Option<IpAddr> {
    let Some(ip) = fields::ip(text) else {
        parts.say(Fault::Server(shown(text)));
        return None;
    };
    if is_placeholder(ip, own) {
        parts.say(Fault::Placeholder(ip));
        return None;
    }
    Some(ip)
}

fn hostname(text: &str, parts: &mut Parts<'_>) -> Option<Hostname> {
    let name = Hostname::new(text);
    if name.is_none() {
        parts.say(Fault::Hostname(shown(text)));
    }
    name
}

fn mtu(text: &str, parts: &mut Parts<'_>) -> Option<u32> {
    let mtu = if fields::digits(text) { text.parse().ok() } else { None };
    let mtu = mtu.filter(|mtu| (MIN_MTU..=u32::from(u16::MAX)).contains(mtu));
    if mtu.is_none() {
        parts.say(Fault::Mtu(shown(text)));
    }
    mtu
}

impl Request {
    fn new(form: Form, method: Method) -> Self {
        Self {
            interface: None,
            method,
            address: None,
            peer: None,
            gateway: None,
            next_server: None,
            hostname: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            set_mac: None,
            spelling: Spelling { form, prefix_in_address: false, colons_in_mac: false },
        }
    }
}
