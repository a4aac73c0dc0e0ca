//! What the programs that have the network in the live system are told, so that they go on with it as it is (network.md 4.6, 4.7).
//!
//! A root that is read over the network hangs when its address goes. networkd takes one away that it does not know, and
//! `NetworkManager` asks for no more time. Both read files below `/run`, which moves to the live system.

use std::fmt::Write as _;
use std::net::IpAddr;

use rdlive_net::attach::{Card, Given};
use rdlive_net::route::Route;

/// A file below the root of the file systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Where, without a slash at the front.
    pub path: String,
    /// Its permissions: networkd runs as a user of its own, and `NetworkManager` takes no secrets that others can read.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

/// Why the files are there, for whoever finds them.
const WHY: &str = "# By rdlive: the live system runs over this network, so it stays as it is.\n";

/// The addresses that a DHCP server gives to others when nobody asks for more time.
#[must_use]
pub fn leases(cards: &[Card]) -> Vec<IpAddr> {
    let given = cards.iter().flat_map(|card| &card.given);
    given.filter(|given| given.is_leased).map(|given| given.address.ip).collect()
}

/// Where `NetworkManager` finds profiles that are not on a disk.
pub const PROFILES: &str = "run/NetworkManager/system-connections";

/// The files for these interfaces. Where the DHCP server knows this machine by its hardware address, whoever asks by that gets the
/// same address again; otherwise the address is handed on as a fixed one. `managed`: `NetworkManager` has them already. `uuid` gives
/// a new UUID.
///
/// # Errors
/// Those of `uuid`.
pub fn files<E>(cards: &[Card], managed: bool, mut uuid: impl FnMut() -> Result<String, E>) -> Result<Vec<Handed>, E> {
    let mut files = Vec::new();
    let mut resolve = String::new();
    for card in cards.iter().filter(|card| !card.addresses.is_empty()) {
        let Card { name, index, .. } = card;
        let mut file = |path: String, mode, text| files.push(Handed { path, mode, text });
        file(format!("run/systemd/network/05-{name}.network"), 0o644, networkd(card));
        // A VLAN's profile would have to name the one below it; without one the interface is left alone (row 9).
        if !card.is_vlan && card.mac.is_some() && !managed {
            let uuid = uuid()?;
            let profile = profile(card, &uuid);
            file(format!("{PROFILES}/rdlive-{name}.nmconnection"), 0o600, profile);
            let state = format!("[device]\nmanaged=true\nconnection-uuid={uuid}\n");
            file(format!("run/NetworkManager/devices/{index}"), 0o644, state);
        }
        file(format!("run/net-{name}.conf"), 0o644, shell(card));
        line(&mut resolve, "DNS", " ", &card.dns);
        line(&mut resolve, "Domains", " ", &card.search);
    }
    if !resolve.is_empty() {
        let text = format!("{WHY}[Resolve]\n{resolve}");
        files.push(Handed { path: "run/systemd/resolved.conf.d/50-rdlive.conf".into(), mode: 0o644, text });
    }
    Ok(files)
}

/// One `key=value` line, unless there is no value.
fn line<T: ToString>(text: &mut String, key: &str, between: &str, values: &[T]) {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{key}={}", values.join(between));
    }
}

/// Whether the next program asks a DHCPv4 server: again, or as nothing but a router has given this an address.
fn asks(card: &Card) -> bool {
    !card.by_other_id
        && card.given.iter().all(|given| given.is_leased)
        && (has_lease(card, true) || !has_lease(card, false))
}

/// Whether it asks a DHCPv6 server again, by the same names for machine and interface as we do: both come from the hardware address.
fn asks6(card: &Card) -> bool {
    has_lease(card, false)
}

fn has_lease(card: &Card, is_v4: bool) -> bool {
    card.given.iter().any(|given| given.is_leased && given.address.ip.is_ipv4() == is_v4)
}

/// The number by which a DHCPv6 server knows the interface, as our client makes it.
fn iaid(card: &Card) -> u32 {
    let bytes = card.mac.and_then(|mac| mac.bytes().last_chunk().copied());
    bytes.map_or(0, u32::from_be_bytes)
}

/// The addresses that are handed on as fixed ones.
fn fixed(card: &Card) -> impl Iterator<Item = &Given> {
    let goes_on = |given: &Given| given.is_leased && (!card.by_other_id || given.address.ip.is_ipv6());
    card.given.iter().filter(move |given| !goes_on(given))
}

/// systemd.network(5). The first file that matches counts, in the order of names; the administrator's begin higher.
fn networkd(card: &Card) -> String {
    let mut text = format!("{WHY}[Match]\n");
    let _ = match card.mac.filter(|_| !card.is_vlan) {
        // The name may change once more; a VLAN above has the same hardware address.
        Some(mac) => writeln!(text, "MACAddress={mac}\nKind=!vlan"),
        None => writeln!(text, "Name={}", card.name),
    };
    // Two with one address are told apart by their drivers (network-field.md kinds 4, 5).
    if let Some(driver) = twins_driver(card) {
        let _ = writeln!(text, "Driver={driver}");
    }
    text.push_str("\n[Network]\nKeepConfiguration=yes\n");
    text.push_str(match (asks(card), asks6(card)) {
        (true, true) => "DHCP=yes\n",
        (true, false) => "DHCP=ipv4\n",
        (false, true) => "DHCP=ipv6\n",
        (false, false) => "DHCP=no\n",
    });
    for given in fixed(card) {
        let _ = writeln!(text, "Address={}", given.address);
    }
    for dns in &card.dns {
        let _ = writeln!(text, "DNS={dns}");
    }
    line(&mut text, "Domains", " ", &card.search);
    if asks(card) {
        text.push_str("\n[DHCPv4]\nClientIdentifier=mac\n");
    }
    if asks6(card) {
        // Without the word a router's flags would decide, and the lease may be one that no router has asked for.
        let _ = writeln!(text, "\n[DHCPv6]\nDUIDType=link-layer\nIAID={}\nWithoutRA=solicit", iaid(card));
    }
    for given in fixed(card) {
        for route in &given.routes {
            let _ = writeln!(text, "\n[Route]\nDestination={}", route.net);
            let _ = match route.gateway {
                Some(gateway) if given.address.contains(gateway) => writeln!(text, "Gateway={gateway}"),
                Some(gateway) => writeln!(text, "Gateway={gateway}\nGatewayOnLink=yes"),
                None => writeln!(text, "Scope=link"),
            };
        }
    }
    text
}

fn twins_driver(card: &Card) -> Option<&str> {
    card.driver.as_deref().filter(|_| card.is_twin)
}

/// nm-settings-keyfile(5).
fn profile(card: &Card, uuid: &str) -> String {
    let name = &card.name;
    let mut text =
        format!("{WHY}[connection]\nid=rdlive {name}\nuuid={uuid}\ntype=ethernet\nautoconnect-priority=-100\n");
    if let Some(mac) = card.mac {
        let _ = writeln!(text, "\n[ethernet]\nmac-address={mac}");
    }
    if let Some(driver) = twins_driver(card) {
        let _ = writeln!(text, "\n[match]\ndriver={driver};");
    }
    for (family, is_v4) in [("ipv4", true), ("ipv6", false)] {
        let given: Vec<&Given> = fixed(card).filter(|given| given.address.ip.is_ipv4() == is_v4).collect();
        let _ = writeln!(text, "\n[{family}]");
        text.push_str(if given.is_empty() { "method=auto\n" } else { "method=manual\n" });
        if is_v4 && asks(card) {
            text.push_str("dhcp-client-id=mac\n");
        }
        if !is_v4 && asks6(card) {
            text.push_str("dhcp-duid=ll\ndhcp-iaid=mac\n");
        }
        for (number, given) in (1..).zip(&given) {
            let _ = writeln!(text, "address{number}={}", given.address);
        }
        let routes: Vec<&Route> = given.iter().flat_map(|given| &given.routes).collect();
        for (number, route) in (1..).zip(routes) {
            let gateway = route.gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
            let _ = writeln!(text, "route{number}={}{gateway}", route.net);
        }
        let servers: Vec<&IpAddr> = card.dns.iter().filter(|dns| dns.is_ipv4() == is_v4).collect();
        line(&mut text, "dns", ";", &servers);
        line(&mut text, "dns-search", ";", if servers.is_empty() { &[] } else { &card.search });
    }
    text
}

/// What klibc's ipconfig leaves, which cloud-init and live-boot read.
fn shell(card: &Card) -> String {
    let mut text = String::new();
    let mut set = |key: &str, value: &str| {
        // A name of an interface may have all characters but these two kinds.
        let _ = writeln!(text, "{key}='{}'", value.replace('\'', "'\\''"));
    };
    set("DEVICE", &card.name);
    let first = card.given.iter().find(|given| given.address.ip.is_ipv4());
    set("PROTO", if first.is_some_and(|given| given.is_leased) { "dhcp" } else { "none" });
    if let Some(given) = first {
        set("IPV4ADDR", &given.address.ip.to_string());
        let mask = u32::MAX.checked_shl(32 - u32::from(given.address.prefix.min(32))).unwrap_or(0);
        set("IPV4NETMASK", &std::net::Ipv4Addr::from(mask).to_string());
        let default = given.routes.iter().find(|route| route.net.prefix == 0).and_then(|route| route.gateway);
        set("IPV4GATEWAY", &default.map_or_else(|| "0.0.0.0".to_owned(), |gateway| gateway.to_string()));
    }
    let mut servers = card.dns.iter().filter(|dns| dns.is_ipv4());
    for key in ["IPV4DNS0", "IPV4DNS1"] {
        set(key, &servers.next().map_or_else(|| "0.0.0.0".to_owned(), ToString::to_string));
    }
    set("HOSTNAME", card.hostname.as_ref().map_or("", |name| name.as_str()));
    let search: Vec<&str> = card.search.iter().map(|name| name.as_str()).collect();
    set("DOMAINSEARCH", &search.join(" "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use rdlive_net::grammar::Address;
    use rdlive_net::hardware::HardwareAddress;

    fn address(ip: [u8; 4], prefix: u8) -> Address {
        Address { ip: ip.into(), prefix }
    }

    fn card(given: Vec<Given>) -> Card {
        Card {
            index: 2,
            name: "eth0".into(),
            mac: HardwareAddress::parse("52:54:00:12:34:56"),
            addresses: given.iter().map(|given| given.address).collect(),
            given,
            dns: vec![[192, 0, 2, 53].into()],
            ..Card::default()
        }
    }

    fn texts(card: Card) -> Vec<Handed> {
        files(&[card], false, || Ok::<_, Infallible>("6c0a3f0e-0000-4000-8000-000000000001".to_owned())).unwrap()
    }

    fn text<'a>(files: &'a [Handed], path: &str) -> &'a str {
        &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path}: {files:?}")).text
    }

    const NETWORKD: &str = "run/systemd/network/05-eth0.network";
    const PROFILE: &str = "run/NetworkManager/system-connections/rdlive-eth0.nmconnection";

    #[test]
    fn n_n6_a_lease_goes_on_with_the_same_name_for_this_machine() {
        let router = Route::default_by([192, 0, 2, 1].into());
        let lease = Given { address: address([192, 0, 2, 9], 24), routes: vec![router], is_leased: true };
        let files = texts(card(vec![lease.clone()]));
        assert_eq!(
            text(&files, NETWORKD),
            format!(
                "{WHY}[Match]\nMACAddress=52:54:00:12:34:56\nKind=!vlan\n\n[Network]\nKeepConfiguration=yes\nDHCP=ipv4\n\
                 DNS=192.0.2.53\n\n[DHCPv4]\nClientIdentifier=mac\n"
            )
        );
        let profile = text(&files, PROFILE);
        assert!(profile.contains("\n[ipv4]\nmethod=auto\ndhcp-client-id=mac\ndns=192.0.2.53\n"), "{profile}");
        assert!(profile.contains("\n[ipv6]\nmethod=auto\n"), "{profile}");
        assert!(text(&files, "run/NetworkManager/devices/2").contains("connection-uuid=6c0a3f0e-"));
        assert!(text(&files, "run/net-eth0.conf").contains("IPV4NETMASK='255.255.255.0'\nIPV4GATEWAY='192.0.2.1'\n"));
        assert_eq!(
            text(&files, "run/systemd/resolved.conf.d/50-rdlive.conf"),
            format!("{WHY}[Resolve]\nDNS=192.0.2.53\n")
        );
        // Row 1 and row 9 happen with any other permissions.
        let modes: Vec<(&str, u32)> = files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
        assert!(modes.contains(&(NETWORKD, 0o644)) && modes.contains(&(PROFILE, 0o600)), "{modes:?}");

        // A name that only the command line knows: the next program would ask by another one.
        let other = texts(Card { by_other_id: true, ..card(vec![lease.clone()]) });
        assert!(text(&other, NETWORKD).contains("DHCP=no\nAddress=192.0.2.9/24\n"), "{}", text(&other, NETWORKD));
        assert!(text(&other, PROFILE).contains("method=manual\naddress1=192.0.2.9/24\nroute1=0.0.0.0/0,192.0.2.1\n"));

        // A NetworkManager of the initrd has said it already.
        let uuid = || Ok::<_, Infallible>(String::new());
        let rest = super::files(&[card(vec![lease])], true, uuid).unwrap();
        let managed = rest.iter().any(|file| file.path.contains("NetworkManager"));
        assert!(!managed && rest.iter().any(|file| file.path == NETWORKD), "{rest:?}");
    }

    #[test]
    fn k4_of_two_with_one_hardware_address_the_driver_counts_too() {
        let given = Given { address: address([192, 0, 2, 9], 24), routes: Vec::new(), is_leased: true };
        let card = Card { driver: Some("hv_netvsc".into()), ..card(vec![given]) };
        let alone = texts(card.clone());
        assert!(alone.iter().all(|file| !file.text.contains("hv_netvsc")), "{alone:?}");
        let files = texts(Card { is_twin: true, ..card });
        assert!(text(&files, NETWORKD).contains("MACAddress=52:54:00:12:34:56\nKind=!vlan\nDriver=hv_netvsc\n"));
        assert!(text(&files, PROFILE).contains("\n[match]\ndriver=hv_netvsc;\n"));
    }

    #[test]
    fn a_fixed_address_keeps_a_router_outside_of_its_subnet() {
        let router = [192, 0, 2, 1].into();
        let routes = vec![Route::on_link(router), Route::default_by(router)];
        let given = Given { address: address([10, 0, 0, 9], 32), routes, is_leased: false };
        let files = texts(card(vec![given.clone()]));
        let networkd = text(&files, NETWORKD);
        assert!(networkd.contains("DHCP=no\nAddress=10.0.0.9/32\n"), "{networkd}");
        assert!(networkd.contains("[Route]\nDestination=192.0.2.1/32\nScope=link\n"), "{networkd}");
        let outside = "[Route]\nDestination=0.0.0.0/0\nGateway=192.0.2.1\nGatewayOnLink=yes\n";
        assert!(networkd.ends_with(outside), "{networkd}");
        let profile = text(&files, PROFILE);
        assert!(profile.contains("route1=192.0.2.1/32\nroute2=0.0.0.0/0,192.0.2.1\n"), "{profile}");
        assert!(text(&files, "run/net-eth0.conf").contains("PROTO='none'\n"));

        let vlan = texts(Card { is_vlan: true, name: "eth0.7".into(), ..card(vec![given]) });
        assert!(text(&vlan, "run/systemd/network/05-eth0.7.network").contains("[Match]\nName=eth0.7\n\n"));
        assert!(vlan.iter().all(|file| !file.path.contains("NetworkManager")), "{vlan:?}");
    }

    /// Its end was taken away, so whoever comes next has to ask for more time by the same names.
    #[test]
    fn a_lease_of_dhcpv6_goes_on() {
        let v6 = Address { ip: "2001:db8::1000".parse().unwrap(), prefix: 128 };
        let lease6 = Given { address: v6, routes: vec![], is_leased: true };
        let files = texts(card(vec![lease6.clone()]));
        let networkd = text(&files, NETWORKD);
        let asks = "\n[DHCPv6]\nDUIDType=link-layer\nIAID=1193046\nWithoutRA=solicit\n";
        assert!(networkd.contains("DHCP=ipv6\n") && networkd.ends_with(asks), "{networkd}");
        assert!(!networkd.contains("\nAddress="), "{networkd}");
        let profile = text(&files, PROFILE);
        assert!(profile.contains("\n[ipv6]\nmethod=auto\ndhcp-duid=ll\ndhcp-iaid=mac\n"), "{profile}");

        let lease4 = Given { address: address([192, 0, 2, 9], 24), routes: vec![], is_leased: true };
        let files = texts(card(vec![lease4.clone(), lease6.clone()]));
        assert!(text(&files, NETWORKD).contains("DHCP=yes\n"), "{}", text(&files, NETWORKD));
        // A server of IPv4 knows this machine by another name: that address is fixed, the other one goes on.
        let files = texts(Card { by_other_id: true, ..card(vec![lease4, lease6]) });
        assert!(text(&files, NETWORKD).contains("DHCP=ipv6\nAddress=192.0.2.9/24\n"), "{}", text(&files, NETWORKD));
    }

    #[test]
    fn an_interface_without_an_address_is_left_to_whoever_wants_it() {
        assert_eq!(texts(Card { dns: Vec::new(), ..card(Vec::new()) }), []);
    }
}
