//! All words of the network but `ip=` (network.md 4.2).

use std::time::Duration;

use super::fault::{Complaint, Fault, Layered, shown};
use super::fields::{self, Address};
use super::interface::{Interface, is_new_name};
use super::ip::{self, Aside, Parts};
use super::{Method, Naming, RouteWish, Timeouts, Vlan, Wish, Word};
use crate::hardware::{GUID, HardwareAddress};
use crate::naming::Scheme;

/// The longest limit that is taken: a day.
const MAX_SECONDS: u64 = 86_400;

/// Reads all of them.
pub(super) fn read(words: &[Word<'_>]) -> (Wish, Vec<Complaint>) {
    let mut wish = Wish::default();
    let mut complaints = Vec::new();
    let aside = aside(words);
    for word in words {
        let before = complaints.len();
        let mut parts = Parts { key: word.key, value: word.value.unwrap_or_default(), complaints: &mut complaints };
        if let Err(fault) = one(word, &aside, &mut wish, &mut parts) {
            // What was said of its parts no longer matters.
            complaints.truncate(before);
            complaints.push(Complaint::new(word.key, word.value, fault));
        }
    }
    wish.preferred = preferred(words, &mut complaints);
    (wish, complaints)
}

fn one(word: &Word<'_>, aside: &Aside<'_>, wish: &mut Wish, parts: &mut Parts<'_>) -> Result<(), Fault> {
    let value = word.value.unwrap_or_default();
    match word.key {
        "ip" => {
            let request = ip::read(word.value.ok_or(Fault::NoValue)?, aside, parts)?;
            if request.method == Method::Ibft {
                parts.say(Fault::Ibft);
            }
            wish.requests.push(request);
        }
        "nameserver" => wish.dns.extend(ip::server(value, None, parts)),
        "rd.route" => wish.routes.push(route(value)?),
        "ifname" => wish.names.push(naming(value, parts)?),
        "vlan" => wish.vlans.push(vlan(value)?),
        "rd.peerdns" => wish.peer_dns = is_true(word),
        "rd.neednet" => wish.needed = is_true(word),
        "net.ifnames" => wish.predictable_names = is_true(word),
        "net.naming_scheme" => wish.naming = Scheme::parse(value),
        "rd.live.net.conflict" => match value {
            "use" => wish.shares_addresses = true,
            "refuse" => wish.shares_addresses = false,
            other => return Err(Fault::Conflict(shown(other))),
        },
        "rd.net.dhcp.retry" => {
            let number = if fields::digits(value) { value.parse().ok() } else { None };
            wish.dhcp_retry = Some(number.ok_or_else(|| Fault::Number(shown(value)))?);
        }
        "bond" => return Err(Fault::Layered(Layered::Bond)),
        "bridge" => return Err(Fault::Layered(Layered::Bridge)),
        "team" => return Err(Fault::Layered(Layered::Team)),
        "rd.net.dhcp.vendor-class" => wish.vendor_class = Some(option(value)?.to_owned()),
        "rd.net.dhcp.client-id" => wish.client_id = Some(client_id(option(value)?)),
        "rd.net.dhcp.dscp" | "rd.net.dns" | "rd.ethtool" | "ib.pkey" => {
            return Err(Fault::NetworkManagerOnly);
        }
        key => {
            if let Some(limit) = key.strip_prefix("rd.net.timeout.").and_then(|name| timeout(&mut wish.timeouts, name))
            {
                *limit = Some(seconds(value)?);
            }
        }
    }
    Ok(())
}

/// A text that a DHCP message has room for: the length of an option is one byte.
fn option(value: &str) -> Result<&str, Fault> {
    let fits = (1..=254).contains(&value.len()) && !value.chars().any(char::is_control);
    fits.then_some(value).ok_or_else(|| Fault::Text(shown(value)))
}

/// Bytes as `01:aa:bb…`; any other text is a name, in front of which stands 0 (RFC 2132 9.14), as with NetworkManager.
fn client_id(value: &str) -> Vec<u8> {
    let byte = |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let bytes: Option<Vec<u8>> = value.split(':').map(byte).collect();
    bytes.filter(|bytes| bytes.len() > 1).unwrap_or_else(|| [&[0], value.as_bytes()].concat())
}

/// What stands beside an address without anything else. The last of equal words counts.
fn aside<'a>(words: &[Word<'a>]) -> Aside<'a> {
    let mut aside = Aside::default();
    for word in words {
        let value = word.value.filter(|value| !value.is_empty());
        match word.key {
            "gateway" => aside.gateway = value,
            "netmask" => aside.netmask = value,
            "hostname" => aside.hostname = value,
            "ksdevice" => aside.ksdevice = value,
            "mtu" => aside.mtu = value,
            _ => {}
        }
    }
    aside
}

/// The interface that is preferred: a person's word before the loader's.
fn preferred(words: &[Word<'_>], complaints: &mut Vec<Complaint>) -> Option<Interface> {
    let last = |key: &str| words.iter().rev().find(|word| word.key == key);
    let mut take = |key: &str, read: &dyn Fn(&str) -> Result<Interface, Fault>| {
        let word = last(key).filter(|word| word.value.is_some_and(|value| !value.is_empty()))?;
        match read(word.value.unwrap_or_default()) {
            Ok(interface) => Some(interface),
            Err(fault) => {
                complaints.push(Complaint::new(key, word.value, fault));
                None
            }
        }
    };
    let name = |text: &str| Interface::parse(text).ok_or_else(|| Fault::Interface(shown(text)));
    let address =
        |text: &str| HardwareAddress::parse_bootif(text).map(Interface::Mac).ok_or_else(|| Fault::Mac(shown(text)));
    let bootdev = take("bootdev", &name);
    let bootif = if last("rd.bootif").is_none_or(is_true) { take("BOOTIF", &address) } else { None };
    let ksdevice = take("ksdevice", &|text: &str| match text {
        // These say how to choose one, which happens without them.
        "link" | "ibft" | "bootif" => Err(Fault::NoValue),
        text => name(text),
    });
    complaints.retain(|complaint| !(complaint.key == "ksdevice" && complaint.fault == Fault::NoValue));
    bootdev.or(bootif).or(ksdevice)
}

/// `NET[/PREFIX]:GW[:IF]`.
fn route(value: &str) -> Result<RouteWish, Fault> {
    let fields = fields::split(value)?;
    let (net, gateway, interface) = match fields.as_slice() {
        [net, gateway] => (*net, *gateway, None),
        [net, gateway, interface @ ..] => (*net, *gateway, Some(interface.join(":")).filter(|text| !text.is_empty())),
        other => return Err(Fault::Fields { has: other.len(), needs: 2 }),
    };
    let read = fields::ip_and_prefix(net);
    if read.is_none() && value.contains("::") && !net.contains(['.', '[']) {
        return Err(Fault::Unbracketed);
    }
    let (ip, prefix) = read.ok_or_else(|| Fault::Address(shown(net)))?;
    let net = Address { ip, prefix: prefix.unwrap_or_else(|| Address::full(ip)) }.net();
    let gateway = match gateway {
        "" => None,
        text => Some(fields::ip(text).ok_or_else(|| Fault::Address(shown(text)))?).filter(|ip| !ip.is_unspecified()),
    };
    if let Some(gateway) = gateway.filter(|gateway| gateway.is_ipv4() != ip.is_ipv4()) {
        return Err(Fault::Families(ip, gateway));
    }
    let interface = match interface {
        None => None,
        Some(text) => Some(Interface::parse(&text).ok_or_else(|| Fault::Interface(shown(&text)))?),
    };
    if gateway.is_none() && interface.is_none() {
        return Err(Fault::NoWay);
    }
    Ok(RouteWish { net, gateway, interface })
}

/// `NAME:MAC`.
fn naming(value: &str, parts: &mut Parts<'_>) -> Result<Naming, Fault> {
    let (name, mac) = value.split_once(':').ok_or(Fault::Fields { has: 1, needs: 2 })?;
    if !is_new_name(name) {
        return Err(Fault::Interface(shown(name)));
    }
    let read = HardwareAddress::parse(mac).filter(|mac| mac.bytes().len() != GUID);
    let mac = read.ok_or_else(|| Fault::Mac(shown(mac)))?;
    if name.strip_prefix("eth").is_some_and(fields::digits) {
        parts.say(Fault::KernelName(name.to_owned()));
    }
    Ok(Naming { name: name.to_owned(), mac })
}

/// `NAME:PARENT`, the id from the digits at the end of the name: `vlan0005`, `vlan5`, `eth0.0005`, `eth0.5`.
fn vlan(value: &str) -> Result<Vlan, Fault> {
    let (name, parent) = value.split_once(':').ok_or(Fault::Fields { has: 1, needs: 2 })?;
    if !is_new_name(name) {
        return Err(Fault::Interface(shown(name)));
    }
    let digits = match name.rsplit_once('.') {
        Some((_, digits)) => digits,
        None => name.strip_prefix("vlan").unwrap_or_default(),
    };
    let id = if fields::digits(digits) { digits.parse().ok() } else { None };
    let id = id.filter(|id| (1..=4094).contains(id)).ok_or_else(|| Fault::VlanId(shown(name)))?;
    let parent = Interface::parse(parent).ok_or_else(|| Fault::Interface(shown(parent)))?;
    Ok(Vlan { name: name.to_owned(), id, parent })
}

fn timeout<'a>(timeouts: &'a mut Timeouts, name: &str) -> Option<&'a mut Option<Duration>> {
    Some(match name {
        "dhcp" => &mut timeouts.dhcp,
        "iflink" => &mut timeouts.iflink,
        "ifup" => &mut timeouts.ifup,
        "route" => &mut timeouts.route,
        "ipv6dad" => &mut timeouts.ipv6dad,
        "ipv6auto" => &mut timeouts.ipv6auto,
        "carrier" => &mut timeouts.carrier,
        _ => return None,
    })
}

fn seconds(text: &str) -> Result<Duration, Fault> {
    let number = if fields::digits(text) { text.parse().ok() } else { None };
    let number = number.filter(|number| *number <= MAX_SECONDS).ok_or_else(|| Fault::Seconds(shown(text)))?;
    Ok(Duration::from_secs(number))
}

/// The boolean rule of both originals: all but `0`, `no` and `off` is true, so is a bare word.
fn is_true(word: &Word<'_>) -> bool {
    !matches!(word.value, Some("0" | "no" | "off"))
}
