//! IPv6 with a real router and DHCPv6 server at the other end of the cable (N-N4, network-field.md kind 11).

use std::net::Ipv6Addr;

use super::*;

/// The far end with an address of IPv6, and dnsmasq with these further words.
fn router(near: &mut Handle, there: &There, words: &str) -> Process {
    // Nobody else is there, so its addresses can be used at once.
    there.run(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
    there.far_end(near, ("cable0", "server0"), Some("2001:db8:7::1/64"));
    there.dnsmasq("server0", &format!("--ra-param=server0,1 {words}"))
}

const STATEFUL: &str = "--enable-ra --dhcp-range=2001:db8:7::1000,2001:db8:7::1fff,64,2m \
                        --dhcp-option=option6:dns-server,[2001:db8:7::53] --dhcp-option=option6:domain-search,lab.test";

/// Whether the kernel here is one with IPv6.
fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

fn is_leased(card: &Card) -> bool {
    card.given.iter().any(|given| given.is_leased && given.address.ip.is_ipv6())
}

/// What was told until the card is as it should be.
fn until(attached: &Attached, is_so: impl Fn(&Card) -> bool) -> (Card, Vec<String>) {
    let end = Instant::now() + LONG;
    let mut told = Vec::new();
    loop {
        told.extend(attached.wait(Duration::from_millis(50)).iter().map(ToString::to_string));
        let card = attached.cards().into_iter().find(|card| card.name == "cable0");
        if let Some(card) = card.clone().filter(|card| is_so(card)) {
            return (card, told);
        }
        assert!(Instant::now() < end, "{card:?}; {told:?}");
    }
}

fn begin(words: &str) -> Attached {
    Attached::begin(wish(words), Path::new("/")).unwrap()
}

/// RA+M: the router says that addresses are to be had by DHCPv6, and gives none itself.
#[test]
fn n_n4_a_router_that_wants_dhcpv6_leads_to_a_lease_that_has_no_end_when_it_stays() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let _server = router(near, there, STATEFUL);
        there.listen("[2001:db8:7::1]:80");
        let attached = begin("");
        let (card, told) = until(&attached, |card| is_leased(card) && !card.addresses.is_empty());
        let own = card.addresses[0];
        assert!(own.ip.to_string().starts_with("2001:db8:7::1") && own.prefix == 128, "{card:?}");
        assert!(told.iter().any(|line| line.contains(" from DHCP server fe80::")), "{told:?}");
        assert_eq!(card.dns, ["2001:db8:7::53".parse::<IpAddr>().unwrap()]);
        assert_eq!(card.search[0].as_str(), "lab.test");
        assert_eq!(hello(&attached.reach(), "[2001:db8:7::1]:80").unwrap(), "hello");
        let lifetime =
            || std::process::Command::new("ip").args(["-6", "addr", "show", "dev", "cable0"]).output().unwrap();
        let of = |own: Address| {
            let shown = String::from_utf8(lifetime().stdout).unwrap();
            let mut lines = shown.lines().skip_while(|line| !line.contains(&own.to_string()));
            lines.nth(1).unwrap_or_default().trim().to_owned()
        };
        assert!(of(own).starts_with("valid_lft 1"), "{}", of(own));
        attached.end(Leave::AsItIs);
        assert_eq!(of(own), "valid_lft forever preferred_lft forever");
        // The same identity gets the same address again, and leaves nothing.
        let attached = begin("ip=cable0:dhcp6");
        let (card, _) = until(&attached, |card| is_leased(card) && !card.addresses.is_empty());
        assert!(card.addresses.contains(&own), "{card:?}");
        attached.end(Leave::Clean);
        assert!(!near.addresses().unwrap().iter().any(|(_, address)| *address == own));
    });
}

/// RA only, RA+O.
#[test]
fn n_n4_what_a_router_does_not_say_itself_is_asked_for() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let options =
            "--enable-ra --dhcp-range=2001:db8:7::,ra-stateless,64 --dhcp-option=option6:ntp-server,[2001:db8:7::7]";
        let _server = router(near, there, options);
        let attached = begin("ip=cable0:auto6");
        let (card, _) = until(&attached, |card| !card.addresses.is_empty() && !card.ntp.is_empty());
        assert_eq!(card.ntp, ["2001:db8:7::7".parse::<IpAddr>().unwrap()]);
        assert!(!is_leased(&card) && card.addresses[0].prefix == 64, "{card:?}");
    });
}

/// Kind 11b: an IPv6-only network, and a command line for IPv4.
#[test]
fn without_a_dhcpv4_server_a_router_is_second_best_and_that_is_said_once() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let _server = router(near, there, "--enable-ra --dhcp-range=2001:db8:7::,ra-only,64");
        let begun = Instant::now();
        let attached = begin("ip=dhcp");
        let (card, told) = until(&attached, |card| !card.addresses.is_empty());
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(10), "{took:?}");
        assert!(card.addresses[0].ip.is_ipv6());
        let said = told.iter().filter(|line| line.contains("for 10 s no DHCPv4 server: IPv6 is used")).count();
        assert_eq!(said, 1, "{told:?}");
    });
}

/// Both families are there, the command line asks for one: the other one is not used.
#[test]
fn with_a_dhcpv4_server_nothing_is_second_best() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let both =
            "--enable-ra --dhcp-range=2001:db8:7::,ra-only,64 --dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m";
        let _server = router(near, there, both);
        there.run(|| {
            let mut handle = Handle::open().unwrap();
            let index = handle.links().unwrap().into_iter().find(|link| link.name == "server0").unwrap().index;
            handle.add_address(index, address("192.0.2.1/24"), Lifetime::Forever).unwrap();
        });
        let attached = begin("ip=dhcp");
        let (_, told) = until(&attached, |card| !card.addresses.is_empty());
        let end = Instant::now() + Duration::from_secs(12);
        let mut all = told;
        while Instant::now() < end {
            all.extend(attached.wait(Duration::from_millis(200)).iter().map(ToString::to_string));
        }
        let card = attached.cards().remove(0);
        assert!(card.addresses.iter().all(|address| address.ip.is_ipv4()), "{card:?}");
        assert!(all.iter().all(|line| !line.contains("IPv6 is used")), "{all:?}");
    });
}

/// No RA: `either6` asks DHCPv6 all the same; the address alone leads nowhere, but it is there.
#[test]
fn n_n4_without_a_router_either6_asks_dhcpv6() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let _server = router(near, there, "--dhcp-range=2001:db8:7::1000,2001:db8:7::1fff,64,2m");
        let begun = Instant::now();
        let attached = begin("ip=cable0:either6");
        let (card, told) = until(&attached, is_leased);
        assert!(begun.elapsed() >= Duration::from_secs(10), "{told:?}");
        assert!(told.iter().any(|line| line.contains("no router of IPv6 for 10 s")), "{told:?}");
        assert!(card.addresses.is_empty(), "nothing leads to a server: {card:?}");
    });
}

#[test]
fn link6_is_the_link_local_address_alone() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let _server = router(near, there, STATEFUL);
        let attached = begin("ip=cable0:link6");
        let is_link_local = |card: &Card| matches!(card.addresses.as_slice(), [Address { ip: IpAddr::V6(ip), .. }] if ip.is_unicast_link_local());
        until(&attached, is_link_local);
        thread::sleep(Duration::from_secs(3));
        let global = near.addresses().unwrap().into_iter().filter(|(_, own)| own.ip.to_string().starts_with("2001:"));
        assert_eq!(global.count(), 0);
    });
}

/// An address of the command line that the other end has.
#[test]
fn a_fixed_ipv6_address_that_another_machine_has_is_told() {
    in_a_network(|near, there| {
        if !has_ipv6() {
            return;
        }
        let _other = router(near, there, "--dhcp-range=2001:db8:7::,ra-only,64");
        there.run(|| {
            let mut handle = Handle::open().unwrap();
            let index = handle.links().unwrap().into_iter().find(|link| link.name == "server0").unwrap().index;
            handle.add_address(index, address("2001:db8:7::9/64"), Lifetime::Forever).unwrap();
        });
        let attached = begin("ip=[2001:db8:7::9]:::64::cable0:none");
        let own: Ipv6Addr = "2001:db8:7::9".parse().unwrap();
        let end = Instant::now() + LONG;
        loop {
            let told = attached.wait(Duration::from_millis(100));
            if told.iter().any(|news| matches!(news, News::Notice { notice: Notice::Taken(ip), .. } if *ip == own)) {
                break;
            }
            assert!(Instant::now() < end, "nobody says it");
        }
        thread::sleep(Duration::from_millis(200));
        assert_eq!(attached.cards()[0].addresses, []);
    });
}
