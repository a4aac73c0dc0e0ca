//! Case N-N1: each form of network.md 4.1 with what the three other programs make of it, and all words of 4.2.

mod bad;

use super::*;

fn parse(line: &str) -> (Wish, Vec<Complaint>) {
    Wish::parse(line.split_whitespace().map(|word| match word.split_once('=') {
        Some((key, value)) => Word { key, value: Some(value) },
        None => Word { key: word, value: None },
    }))
}

fn mac(text: &str) -> HardwareAddress {
    HardwareAddress::parse(text).unwrap()
}

/// Our reading and the verdicts of network-legacy, systemd-network-generator and nm-initrd-generator.
type Row<'a> = (&'a str, &'a str, [&'a str; 3]);

const SAME: &str = "the same";
const FATAL: &str = "ends the boot";
const REJECTS: &str = "rejects it, and reads no word of the network";
const SKIPS: &str = "leaves it out";
const V4_MAYBE_V6: &str = "DHCPv4 is needed, IPv6 tried";
const EITHER: &str = "either family, 20 s for IPv4 first";
const V6_AUTO: &str = "IPv6 from a router or DHCPv6, no IPv4";
const ONE_BY_ONE: &str = "DHCPv4 on each interface, one after the other";
const DHCP_BOTH: &str = "DHCPv4 and DHCPv6";
const STATIC_V6: &str = "static, and IPv6 from a router";
const WHICHEVER: &str = "static on whichever interface comes up";
const EVERY: &str = "the same address on every interface";
const NO_DHCP: &str = "no DHCP, IPv6 from a router";
const LIKE_DHCP: &str = "as ip=dhcp";

#[rustfmt::skip]
const TABLE: &[Row<'_>] = &[
    // One field.
    ("ip=dhcp", "any: DHCPv4", [ONE_BY_ONE, "DHCPv4 on all physical interfaces", V4_MAYBE_V6]),
    ("ip=on", "any: DHCPv4, or IPv6 from a router or DHCPv6", [ONE_BY_ONE, DHCP_BOTH, EITHER]),
    ("ip=any", "any: DHCPv4, or IPv6 from a router or DHCPv6", [ONE_BY_ONE, DHCP_BOTH, EITHER]),
    ("ip=single-dhcp", "any: DHCPv4", [SAME, REJECTS, V4_MAYBE_V6]),
    ("ip=dhcp6", "any: DHCPv6", [SAME, SAME, V6_AUTO]),
    ("ip=auto6", "any: IPv6 from a router", ["IPv6 from a router within 40 s", NO_DHCP, V6_AUTO]),
    ("ip=either6", "any: IPv6 from a router, else DHCPv6", ["IPv6 from a router within 40 s, then DHCPv6", "DHCPv6", EITHER]),
    ("ip=link6", "any: link-local IPv6 address", [SAME, SAME, SAME]),
    ("ip=link-local", "any: link-local addresses", [FATAL, SAME, LIKE_DHCP]),
    ("ip=ibft", "any: nothing: the firmware's table is for iSCSI", ["left to the iSCSI module", NO_DHCP, "loads iscsi_ibft"]),
    ("ip=none", "any: up without an address", [FATAL, SAME, SAME]),
    ("ip=off", "any: up without an address", [FATAL, SAME, SAME]),
    ("ip=dhcp,dhcp6", "any: DHCPv4 and DHCPv6", ["DHCPv4, then DHCPv6", REJECTS, "both families, 20 s for both"]),
    // An interface and a method.
    ("ip=eth0:dhcp", "eth0: DHCPv4", [SAME, SAME, V4_MAYBE_V6]),
    ("ip=eth0:on", "eth0: DHCPv4, or IPv6 from a router or DHCPv6", [LIKE_DHCP, DHCP_BOTH, EITHER]),
    ("ip=eth0:dhcp6", "eth0: DHCPv6", [SAME, SAME, V6_AUTO]),
    ("ip=eth0:auto6", "eth0: IPv6 from a router", ["IPv6 from a router within 40 s", NO_DHCP, V6_AUTO]),
    ("ip=eth0:either6", "eth0: IPv6 from a router, else DHCPv6", ["IPv6 from a router within 40 s, then DHCPv6", "DHCPv6", EITHER]),
    ("ip=eth0:link6", "eth0: link-local IPv6 address", [FATAL, SAME, SAME]),
    ("ip=eth0:link-local", "eth0: link-local addresses", [FATAL, SAME, SKIPS]),
    ("ip=eth0:single-dhcp", "eth0: DHCPv4", [FATAL, REJECTS, V4_MAYBE_V6]),
    ("ip=eth0:dhcp:1400", "eth0: DHCPv4, MTU 1400", [SAME, SAME, V4_MAYBE_V6]),
    ("ip=eth0:dhcp:1400:52:54:00:12:34:56", "eth0: DHCPv4, MTU 1400, set MAC 52:54:00:12:34:56", [SAME, SAME, V4_MAYBE_V6]),
    ("ip=eth0:dhcp::52:54:00:12:34:56", "eth0: DHCPv4, set MAC 52:54:00:12:34:56", [SAME, SAME, V4_MAYBE_V6]),
    // The interface as a hardware address.
    ("ip=52-54-00-12-34-56:dhcp", "52:54:00:12:34:56: DHCPv4", [SAME, REJECTS, V4_MAYBE_V6]),
    ("ip=52:54:00:12:34:56:dhcp", "52:54:00:12:34:56: DHCPv4", [FATAL, REJECTS, SKIPS]),
    ("ip=enx525400123456:dhcp", "enx525400123456: DHCPv4", ["the same, and gives the interface that name", "the interface with that name alone", V4_MAYBE_V6]),
    // The long form.
    ("ip=192.0.2.9::192.0.2.1:255.255.255.0:host:eth0:none", "eth0: static 192.0.2.9/24, via 192.0.2.1, host host", [SAME; 3]),
    ("ip=192.0.2.9::192.0.2.1:24:host:eth0:off", "eth0: static 192.0.2.9/24, via 192.0.2.1, host host", [SAME; 3]),
    ("ip=192.0.2.9:192.0.2.8::32::eth0:none", "eth0: static 192.0.2.9/32, peer 192.0.2.8", [SAME, SAME, "static, without the other end"]),
    ("ip=192.0.2.9::192.0.2.1:24::eth0:none:1400", "eth0: static 192.0.2.9/24, via 192.0.2.1, MTU 1400", [SAME; 3]),
    ("ip=192.0.2.9::192.0.2.1:24::eth0:none:1400:52:54:00:12:34:56",
     "eth0: static 192.0.2.9/24, via 192.0.2.1, MTU 1400, set MAC 52:54:00:12:34:56", [SAME; 3]),
    ("ip=192.0.2.9::192.0.2.1:24::eth0:none:192.0.2.2:192.0.2.3",
     "eth0: static 192.0.2.9/24, via 192.0.2.1, DNS 192.0.2.2, DNS 192.0.2.3", [SAME; 3]),
    ("ip=192.0.2.9::192.0.2.1:24::eth0:none:192.0.2.2", "eth0: static 192.0.2.9/24, via 192.0.2.1, DNS 192.0.2.2", [SAME; 3]),
    ("ip=[2001:db8::5]::[2001:db8::1]:64:host:eth0:none", "eth0: static 2001:db8::5/64, via 2001:db8::1, host host", [SAME; 3]),
    ("ip=:::::eth0:dhcp", "eth0: DHCPv4", [SAME, SAME, V4_MAYBE_V6]),
    ("ip=192.0.2.9/24::192.0.2.1:::eth0:none", "eth0: static 192.0.2.9/24, via 192.0.2.1", [FATAL, REJECTS, SAME]),
    ("ip=192.0.2.9::192.0.2.1:24::eth0", "eth0: static 192.0.2.9/24, via 192.0.2.1", [FATAL, REJECTS, STATIC_V6]),
    ("ip=10.0.2.15:10.0.2.2:10.0.2.2:255.255.255.0", "any: static 10.0.2.15/24, via 10.0.2.2, server 10.0.2.2", [FATAL, REJECTS, SAME]),
    ("ip=192.0.2.9::192.0.2.1:24:::none", "any: static 192.0.2.9/24, via 192.0.2.1", [WHICHEVER, EVERY, SAME]),
];

#[test]
fn n_n1_each_form_beside_the_verdicts_of_three_others() {
    for (word, ours, others) in TABLE {
        let (wish, _) = parse(word);
        let [request] = wish.requests.as_slice() else { panic!("{word}: {wish:?}") };
        assert_eq!(request.to_string(), *ours, "{word}");
        let verdicts = others::of(request);
        let said = [verdicts.legacy, verdicts.systemd, verdicts.network_manager].map(|verdict| verdict.to_string());
        assert_eq!(said.each_ref().map(String::as_str), *others, "{word}");
    }
}

#[test]
fn n_n1_an_address_alone_has_its_options_beside_it() {
    let (wish, complaints) =
        parse("gateway=192.0.2.1 netmask=255.255.255.0 hostname=node7 ip=192.0.2.9 ksdevice=eth1 mtu=1400");
    assert_eq!(complaints, []);
    assert_eq!(wish.requests[0].to_string(), "eth1: static 192.0.2.9/24, via 192.0.2.1, host node7, MTU 1400");
    let others = others::of(&wish.requests[0]);
    assert_eq!(others.legacy, others::Verdict::Same);
    assert_eq!(others.systemd, others::Verdict::RejectsAll);
    assert_eq!(others.network_manager, others::Verdict::Reads(others::Reading::LikeDhcp));
    for method in ["link", "bootif", "ibft", "52:54:00:12:34:56"] {
        let (wish, complaints) = parse(&format!("ip=192.0.2.9/24 ksdevice={method}"));
        assert_eq!(complaints, [], "{method}");
        assert_eq!(wish.requests[0].interface.is_some(), method.contains(':'), "{method}");
    }
}

#[test]
fn n_n1_two_words_are_both_kept_and_the_others_differ() {
    let (wish, complaints) = parse("ip=eth0:dhcp ip=192.0.2.9::192.0.2.1:24::eth1:none");
    assert_eq!((wish.requests.len(), complaints.len()), (2, 0));
    let others = others::of_several(&wish.requests).unwrap();
    assert_eq!(others.legacy, others::Verdict::Reads(others::Reading::FirstUnlessBootdev));
    assert_eq!(others.systemd, others::Verdict::Reads(others::Reading::LastCounts));
    assert_eq!(others::of_several(&wish.requests[..1]), None);
}

#[test]
fn n_n1_words_beside_ip_that_others_read_otherwise() {
    use others::Verdict::{Ignores, RejectsAll, Same};
    let of = |key: &str, value: &str| {
        let verdicts = others::of_word(&Word { key, value: Some(value) })?;
        Some([verdicts.legacy, verdicts.systemd, verdicts.network_manager])
    };
    assert_eq!(of("BOOTIF", "01-52-54-00-12-34-56"), Some([Same, Ignores, Same]));
    assert_eq!(of("bootdev", "eth0"), Some([Same, Ignores, Same]));
    assert_eq!(of("nameserver", "[2001:db8::1]"), Some([Same, RejectsAll, Same]));
    assert_eq!(of("nameserver", "2001:db8::1"), None);
    assert_eq!(of("rd.route", "[2001:db8::]/32::eth0"), Some([Same, RejectsAll, Same]));
    assert_eq!(of("rd.route", "10.0.0.0/8:192.0.2.1"), None);
    assert_eq!(of("team", "team0:eth0"), Some([Same, Ignores, Same]));
    assert_eq!(of("bond", "bond0").map(|verdicts| verdicts[2].to_string()).as_deref(), Some("a bond of eth0 alone"));
    assert_eq!(of("rd.ethtool", "eth0:1"), Some([Ignores, Ignores, Same]));
    assert_eq!(of("vlan", "vlan5:eth0"), None);
}

/// Of two words for one interface the last counts, each family by itself.
#[test]
fn of_two_words_for_one_family_the_later_counts() {
    let names = Names { kernel: "eth0", others: &[], mac: None };
    let asked = |line: &str| {
        let (wish, _) = parse(line);
        wish.requests_for(&names).into_iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(asked("ip=eth0:dhcp ip=eth0:dhcp6"), ["eth0: DHCPv4", "eth0: DHCPv6"]);
    assert_eq!(asked("ip=eth0:dhcp ip=eth0:192.0.2.9 ip=192.0.2.9::::::none"), ["eth0: DHCPv4"]);
    assert_eq!(asked("ip=eth0:dhcp ip=192.0.2.9/24:::::eth0:none"), ["eth0: static 192.0.2.9/24"]);
    assert_eq!(asked("ip=192.0.2.9/24:::::eth0:none ip=192.0.2.10/24:::::eth0:none"), ["eth0: static 192.0.2.10/24"]);
    assert_eq!(asked("ip=eth0:dhcp ip=eth0:off"), ["eth0: up without an address"]);
    assert_eq!(asked("ip=dhcp ip=eth1:off"), ["any: DHCPv4"]);
    assert_eq!(asked("ip=eth1:dhcp"), [""; 0]);
}

#[test]
fn a_bad_word_touches_no_other_and_says_why() {
    use Fault::*;
    let rows: &[(&str, Fault)] = &[
        ("ip", NoValue),
        ("ip=dhcpx", Method("dhcpx".into())),
        ("ip=eth0", Method("eth0".into())),
        ("ip=eth0:dhpc", Method("dhpc".into())),
        ("ip=192.0.2.300", Address("192.0.2.300".into())),
        ("ip=2001:db8::5::[2001:db8::1]:64::eth0:none", Unbracketed),
        ("ip=[2001:db8::5", Brackets),
        ("ip=]2001[:dhcp", Brackets),
        ("ip=0.0.0.0::192.0.2.1:24::eth0:none", Address("0.0.0.0".into())),
        ("ip=127.0.0.1::192.0.2.1:24::eth0:none", Unusable("127.0.0.1".parse().unwrap())),
        ("ip=224.0.0.1::192.0.2.1:24::eth0:none", Unusable("224.0.0.1".parse().unwrap())),
        ("ip=192.0.2.9::192.0.2.1:255.0.255.0::eth0:none", Mask("255.0.255.0".into())),
        ("ip=192.0.2.9::192.0.2.1:33::eth0:none", Mask("33".into())),
        ("ip=192.0.2.9::192.0.2.1:+24::eth0:none", Mask("+24".into())),
        ("ip=192.0.2.9::router:24::eth0:none", Address("router".into())),
        (
            "ip=192.0.2.9::[2001:db8::1]:24::eth0:none",
            Families("192.0.2.9".parse().unwrap(), "2001:db8::1".parse().unwrap()),
        ),
        ("ip=192.0.2.9::192.0.2.1:24::et/h0:none", Interface("et/h0".into())),
        ("rd.route=10.9.0.0/16", Fields { has: 1, needs: 2 }),
        ("rd.route=10.9.0.0/16:", NoWay),
        ("rd.route=10.9.0.0/33:192.0.2.1", Address("10.9.0.0/33".into())),
        ("rd.route=2001:db8::/32:2001:db8::1", Unbracketed),
        ("rd.route=10.9.0.0/16:[2001:db8::1]", Families("10.9.0.0".parse().unwrap(), "2001:db8::1".parse().unwrap())),
        ("nameserver=ns.lab", Server("ns.lab".into())),
        ("nameserver=0.0.0.0", Placeholder("0.0.0.0".parse().unwrap())),
        ("vlan=lan:eth0", VlanId("lan".into())),
        ("vlan=vlan0:eth0", VlanId("vlan0".into())),
        ("vlan=vlan4095:eth0", VlanId("vlan4095".into())),
        ("vlan=vlan5", Fields { has: 1, needs: 2 }),
        ("ifname=net0:52:54:00", Mac("52:54:00".into())),
        ("ifname=a-name-of-16-byt:52:54:00:12:34:56", Interface("a-name-of-16-byt".into())),
        ("BOOTIF=01-52-54", Mac("01-52-54".into())),
        ("bootdev=a/b", Interface("a/b".into())),
        ("rd.net.timeout.dhcp=-1", Seconds("-1".into())),
        ("rd.net.timeout.carrier=99999999999999999999", Seconds("99999999999999999999".into())),
        ("rd.net.dhcp.retry=often", Number("often".into())),
        ("bond=bond0:eth0,eth1", Layered(super::Layered::Bond)),
        ("bridge=br0:eth0", Layered(super::Layered::Bridge)),
        ("team=team0:eth0", Layered(super::Layered::Team)),
        ("rd.net.dhcp.client-id", Text(String::new())),
        ("rd.net.dhcp.vendor-class=\u{7}", Text("\\x07".into())),
        ("rd.net.dhcp.dscp=1", NetworkManagerOnly),
    ];
    for (word, fault) in rows {
        let (wish, complaints) = parse(&format!("ip=eth7:dhcp {word} nameserver=192.0.2.53"));
        let [complaint] = complaints.as_slice() else { panic!("{word}: {complaints:?}") };
        assert_eq!(&complaint.fault, fault, "{word}");
        assert!(!fault.remedy().is_empty() && complaint.to_string().starts_with(&format!("{}=", complaint.key)));
        assert_eq!(wish.requests.len(), 1, "{word}");
        assert_eq!(wish.dns.len(), 1, "{word}");
    }
}

#[test]
fn a_bad_part_leaves_the_rest_of_its_word() {
    use Fault::*;
    let rows: &[(&str, Fault, &str)] = &[
        (
            "ip=192.0.2.9::192.0.2.1:24:no_name:eth0:none",
            Hostname("no_name".into()),
            "eth0: static 192.0.2.9/24, via 192.0.2.1",
        ),
        ("ip=192.0.2.9::0.0.0.0:24::eth0:none", Placeholder("0.0.0.0".parse().unwrap()), "eth0: static 192.0.2.9/24"),
        (
            "ip=192.0.2.9::192.0.2.9:24::eth0:none",
            Placeholder("192.0.2.9".parse().unwrap()),
            "eth0: static 192.0.2.9/24",
        ),
        ("ip=192.0.2.9:::24::eth0:none:0.0.0.0", Placeholder("0.0.0.0".parse().unwrap()), "eth0: static 192.0.2.9/24"),
        ("ip=192.0.2.9:::24::eth0:none:ns", Server("ns".into()), "eth0: static 192.0.2.9/24"),
        ("ip=192.0.2.9:::24::eth0:none:500", Mtu("500".into()), "eth0: static 192.0.2.9/24"),
        ("ip=eth0:dhcp:70000", Mtu("70000".into()), "eth0: DHCPv4"),
        ("ip=eth0:dhcp:1400:now", Surplus("now".into()), "eth0: DHCPv4, MTU 1400"),
        ("ip=192.0.2.9/25:::24::eth0:none", TwoPrefixes { address: 25, mask: 24 }, "eth0: static 192.0.2.9/25"),
        ("ip=172.16.0.9::172.16.0.1:::eth0:none", PrefixGuessed(16), "eth0: static 172.16.0.9/16, via 172.16.0.1"),
        ("ip=[2001:db8::5]", PrefixGuessed(64), "any: static 2001:db8::5/64"),
    ];
    for (word, fault, ours) in rows {
        let (wish, complaints) = parse(word);
        assert_eq!(complaints.iter().map(|complaint| &complaint.fault).collect::<Vec<_>>(), [fault], "{word}");
        assert_ne!(fault.effect(), Effect::Ignored);
        assert_eq!(wish.requests[0].to_string(), *ours, "{word}");
    }
}

/// network.md 3.2 and network-field.md's correction.
#[test]
fn bootif_in_each_spelling_and_switched_off() {
    for spelling in [
        "01-52-54-00-12-34-56",
        "01-52:54:00:12:34:56",
        "01:52:54:00:12:34:56",
        "52:54:00:12:34:56",
        "01-52-54-00-12-34-56",
    ] {
        for text in [spelling.to_owned(), spelling.to_uppercase()] {
            let (wish, complaints) = parse(&format!("BOOTIF={text}"));
            assert_eq!(
                (wish.preferred, complaints.len()),
                (Some(Interface::Mac(mac("52:54:00:12:34:56"))), 0),
                "{text}"
            );
        }
    }
    let guid = "BOOTIF=20-f4-52-14-03-00-8d-7e-01";
    assert_eq!(parse(guid).0.preferred, Some(Interface::Mac(mac("f4:52:14:03:00:8d:7e:01"))));
    assert_eq!(parse("BOOTIF=01-52-54-00-12-34-56 rd.bootif=0").0.preferred, None);
    assert_eq!(
        parse("BOOTIF=01-52-54-00-12-34-56 rd.bootif").0.preferred.map(|name| name.to_string()).as_deref(),
        Some("52:54:00:12:34:56")
    );
    assert_eq!(parse("BOOTIF=01-52-54-00-12-34-56 bootdev=eth1").0.preferred, Some(Interface::Name("eth1".into())));
}

#[test]
fn the_other_words() {
    let (wish, complaints) = parse(
        "nameserver=192.0.2.2 nameserver=[2001:db8::53] nameserver=2001:db8::54 rd.peerdns=0 rd.neednet net.ifnames=0 \
         ifname=net0:52:54:00:12:34:56 vlan=vlan0005:eth0 vlan=eth0.7:52:54:00:12:34:56 rd.net.dhcp.retry=3 \
         rd.net.timeout.dhcp=90 rd.net.timeout.carrier=10 rd.net.timeout.other=1 proxy=http://p:3128",
    );
    assert_eq!(complaints, []);
    assert_eq!(wish.dns.len(), 3);
    assert!(!wish.peer_dns && wish.needed && !wish.predictable_names);
    assert_eq!(wish.names, [Naming { name: "net0".into(), mac: mac("52:54:00:12:34:56") }]);
    assert_eq!(wish.vlans.iter().map(|vlan| vlan.id).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(wish.vlans[1].parent, Interface::Mac(mac("52:54:00:12:34:56")));
    assert_eq!(wish.dhcp_retry, Some(3));
    assert_eq!(wish.timeouts.dhcp, Some(Duration::from_secs(90)));
    assert_eq!(wish.timeouts.carrier, Some(Duration::from_secs(10)));
    let (wish, complaints) = parse("ifname=eth1:52:54:00:12:34:56");
    assert_eq!((wish.names.len(), &complaints[0].fault), (1, &Fault::KernelName("eth1".into())));
    assert_eq!(parse("").0, Wish::default());
}

#[test]
fn routes_in_all_spellings() {
    let rows = [
        ("10.9.0.0/16:192.0.2.1", "10.9.0.0/16", Some("192.0.2.1"), None),
        ("10.9.1.7/16:192.0.2.1:eth1", "10.9.0.0/16", Some("192.0.2.1"), Some("eth1")),
        ("10.9.0.0/16::eth1", "10.9.0.0/16", None, Some("eth1")),
        ("10.9.0.7:192.0.2.1", "10.9.0.7/32", Some("192.0.2.1"), None),
        ("0.0.0.0/0:192.0.2.1:", "0.0.0.0/0", Some("192.0.2.1"), None),
        ("[2001:db8:3::/48]:[2001:db8:2::1]:eth1", "2001:db8:3::/48", Some("2001:db8:2::1"), Some("eth1")),
        ("[2001:db8:3::]/48:[2001:db8:2::1]", "2001:db8:3::/48", Some("2001:db8:2::1"), None),
        ("10.9.0.0/16:192.0.2.1:52:54:00:12:34:56", "10.9.0.0/16", Some("192.0.2.1"), Some("52:54:00:12:34:56")),
    ];
    for (value, net, gateway, interface) in rows {
        let (wish, complaints) = parse(&format!("rd.route={value}"));
        assert_eq!(complaints, [], "{value}");
        let route = &wish.routes[0];
        assert_eq!(route.net.to_string(), net, "{value}");
        assert_eq!(route.gateway.map(|ip| ip.to_string()).as_deref(), gateway, "{value}");
        assert_eq!(route.interface.as_ref().map(ToString::to_string).as_deref(), interface, "{value}");
    }
}

/// network-field.md kind 5: each name that a person may know.
#[test]
fn an_interface_is_found_by_each_of_its_names() {
    let others = ["enp0s3".to_owned(), "ens3".to_owned(), "lan".to_owned()];
    let link = Names { kernel: "eth0", others: &others, mac: Some(mac("52:54:00:12:34:56")) };
    for name in ["eth0", "enp0s3", "ens3", "lan", "enx525400123456", "52:54:00:12:34:56", "52-54-00-12-34-56"] {
        assert!(Interface::parse(name).unwrap().means(&link), "{name}");
    }
    for name in ["eth1", "enp0s30", "enx525400123457", "enx", "52:54:00:12:34:57"] {
        assert!(!Interface::parse(name).unwrap().means(&link), "{name}");
    }
    let (wish, _) = parse("ip=ens192:dhcp ip=ens3:dhcp vlan=vlan5:eth0 ip=vlan5:dhcp bootdev=eth9");
    assert_eq!(wish.missing(&[link]).map(ToString::to_string).collect::<Vec<_>>(), ["ens192", "eth9"]);
}

#[test]
fn what_a_dhcp_server_is_told() {
    for (value, expected) in [
        ("01:aa:BB", &[1, 0xaa, 0xbb][..]),
        ("machine 7", b"\0machine 7"),
        ("01", b"\x0001"),
        ("01:+a", b"\x0001:+a"),
        ("aa:b", b"\0aa:b"),
    ] {
        let (wish, complaints) = Wish::parse([
            Word { key: "rd.net.dhcp.client-id", value: Some(value) },
            Word { key: "rd.net.dhcp.vendor-class", value: Some("live") },
        ]);
        assert_eq!(complaints, []);
        assert_eq!(
            (wish.client_id.as_deref(), wish.vendor_class.as_deref()),
            (Some(expected), Some("live")),
            "{value}"
        );
    }
}
