//! Case N-N2: what a server may put into a lease, and what becomes of it. The vectors are those of network.md 4.4.

use std::net::IpAddr;

use super::super::message::Message;
use super::*;

fn judge_with(answer: &Answer, limits: &Limits) -> Result<(Lease, Vec<Part>), Refusal> {
    let message = Message::parse(&answer.payload()).unwrap();
    Lease::of(&message, answer.server.unwrap(), limits)
}

fn judge(answer: &Answer) -> Result<(Lease, Vec<Part>), Refusal> {
    judge_with(answer, &limits())
}

fn ack() -> Answer {
    Answer { yiaddr: [192, 168, 50, 111].into(), server: Some([192, 168, 50, 1].into()), ..Answer::new(Type::Ack, 1) }
}

fn routes(lease: &Lease) -> Vec<String> {
    lease.routes.iter().map(ToString::to_string).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The offer of QEMU's own server as it was captured.
#[test]
fn n_n2_the_captured_offer() {
    let options = hex(
        "350102 36040a000202 0104ffffff00 03040a000202 06040a000203 330400015180 0c056e6f646537 0f086c61622e74657374 \
         770801610474657374 00 ff",
    );
    let mut answer = Answer { siaddr: SERVER, file: b"boot.ipxe".to_vec(), ..Answer::new(Type::Offer, 0xb826_e20b) };
    answer.options.clear();
    let mut payload = answer.payload();
    payload.truncate(240);
    payload.extend(options);
    let message = Message::parse(&payload).unwrap();
    assert_eq!((message.kind, message.xid), (Type::Offer, 0xb826_e20b));
    let (lease, parts) = Lease::of(&message, message.address(code::SERVER).unwrap(), &limits()).unwrap();
    assert_eq!(parts, []);
    assert_eq!(lease.address.to_string(), "10.0.2.15/24");
    assert_eq!(routes(&lease), ["0.0.0.0/0 by 10.0.2.2"]);
    assert_eq!(lease.dns, [Ipv4Addr::new(10, 0, 2, 3)]);
    assert_eq!(lease.time, Some(secs(86_400)));
    assert_eq!(lease.renew, Some((secs(43_200), secs(75_600))));
    assert_eq!(lease.hostname.unwrap().as_str(), "node7");
    assert_eq!(lease.search.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a.test"]);
    assert_eq!((lease.next_server, lease.boot_file.as_deref()), (NextServer::Address(SERVER), Some("boot.ipxe")));
}

/// The vector of option 121: it replaces 3 and 33.
#[test]
fn n_n2_classless_routes_replace_the_others() {
    let vector = hex("00c0a83201 100a09c0a83202");
    let both = ack().with(code::ROUTER, &[192, 168, 50, 9]).with(code::STATIC_ROUTES, &[10, 1, 1, 1, 192, 168, 50, 9]);
    for number in [code::CLASSLESS, code::CLASSLESS_MS] {
        let (lease, parts) = judge(&both.clone().with(number, &vector)).unwrap();
        assert_eq!(routes(&lease), ["0.0.0.0/0 by 192.168.50.1", "10.9.0.0/16 by 192.168.50.2"]);
        assert_eq!(parts, []);
    }
    let (lease, _) = judge(&both).unwrap();
    assert_eq!(routes(&lease), ["10.1.1.1/32 by 192.168.50.9", "0.0.0.0/0 by 192.168.50.9"]);
    // 121 wins over 249.
    let (lease, _) = judge(&both.with(code::CLASSLESS_MS, &hex("00c0a83203")).with(code::CLASSLESS, &vector)).unwrap();
    assert_eq!(lease.routes.len(), 2);
}

#[test]
fn n_n2_classless_routes_of_bad_length_count_as_missing() {
    let both = ack().with(code::ROUTER, &[192, 168, 50, 9]);
    for bad in ["00c0a832", "21c0a83201c0a83201", "ffc0a83201", "18c0a8", "00c0a8320110", "00c0a83201 100a"] {
        let (lease, parts) = judge(&both.clone().with(code::CLASSLESS, &hex(bad))).unwrap();
        assert_eq!(routes(&lease), ["0.0.0.0/0 by 192.168.50.9"], "{bad}");
        assert_eq!(parts, [Part::Broken(What::Routes)], "{bad}");
    }
    // Bits behind the prefix are left out, for the kernel would refuse them.
    let (lease, _) = judge(&ack().with(code::CLASSLESS, &hex("0c0affc0a83202"))).unwrap();
    assert_eq!(routes(&lease), ["10.240.0.0/12 by 192.168.50.2"]);
}

#[test]
fn n_n2_a_router_outside_of_the_subnet_gets_a_route_first() {
    let (lease, _) = judge(&ack().with(code::ROUTER, &[10, 0, 0, 1])).unwrap();
    assert_eq!(routes(&lease), ["10.0.0.1/32 on the link", "0.0.0.0/0 by 10.0.0.1"]);
    let alone = ack().with(code::MASK, &[255; 4]).with(code::ROUTER, &[192, 168, 50, 1]);
    let (lease, _) = judge(&alone).unwrap();
    assert_eq!(lease.address.prefix, 32);
    assert_eq!(routes(&lease), ["192.168.50.1/32 on the link", "0.0.0.0/0 by 192.168.50.1"]);
    // RFC 3442: the server itself says how the router is reached.
    let (lease, _) =
        judge(&ack().with(code::MASK, &[255; 4]).with(code::CLASSLESS, &hex("20c0a8320100000000 00c0a83201"))).unwrap();
    assert_eq!(routes(&lease), ["192.168.50.1/32 on the link", "0.0.0.0/0 by 192.168.50.1"]);
    // Multicast has no router.
    let (lease, _) = judge(&ack().with(code::CLASSLESS, &hex("04e0c0a83201"))).unwrap();
    assert_eq!(routes(&lease), ["224.0.0.0/4 on the link"]);
}

/// RFC 3396: parts are joined wherever they stand, and before they are read.
#[test]
fn n_n2_repeated_options_are_joined() {
    let vector = hex("00c0a83201 100a09c0a83202");
    let mut answer = ack();
    answer.options.push((code::CLASSLESS, vector[..3].to_vec()));
    answer.options.push((code::DNS, vec![192, 168, 50, 1]));
    answer.options.push((code::CLASSLESS, vector[3..].to_vec()));
    answer.options.push((code::DNS, vec![192, 168, 50, 2]));
    let (lease, parts) = judge(&answer).unwrap();
    assert_eq!(routes(&lease), ["0.0.0.0/0 by 192.168.50.1", "10.9.0.0/16 by 192.168.50.2"]);
    assert_eq!((lease.dns.len(), parts.len()), (2, 0));
}

/// Option 52: the fields of the header hold options, `file` before `sname`.
#[test]
fn n_n2_options_in_the_fields_of_the_header() {
    let vector = hex("00c0a83201 100a09c0a83202");
    let mut answer = ack().with(code::OVERLOAD, &[3]);
    answer.options.push((code::CLASSLESS, vector[..3].to_vec()));
    answer.file = [&[code::CLASSLESS, 5][..], &vector[3..8], &[255, 77, 77]].concat();
    answer.sname = [&[0, code::CLASSLESS, 4][..], &vector[8..], &[code::HOSTNAME, 1, b'n', 255]].concat();
    let (lease, parts) = judge(&answer).unwrap();
    assert_eq!(routes(&lease), ["0.0.0.0/0 by 192.168.50.1", "10.9.0.0/16 by 192.168.50.2"]);
    assert_eq!((lease.hostname.unwrap().as_str(), lease.boot_file, parts.len()), ("n", None, 0));
    // Only the field that is named is read, and one that names itself in such a field is not followed.
    let mut answer = ack().with(code::OVERLOAD, &[2]);
    answer.file = b"pxelinux.0".to_vec();
    answer.sname = vec![code::OVERLOAD, 1, 3, code::HOSTNAME, 1, b'n'];
    let (lease, _) = judge(&answer).unwrap();
    assert_eq!((lease.hostname.unwrap().as_str(), lease.boot_file.as_deref()), ("n", Some("pxelinux.0")));
}

#[test]
fn n_n2_an_mtu_out_of_bounds_is_not_set() {
    let mtu = |value: u16, limits: &Limits| judge_with(&ack().with(code::MTU, &value.to_be_bytes()), limits).unwrap();
    for value in [576, 1400, 1500, 9000] {
        assert_eq!(mtu(value, &limits()).0.mtu, Some(value.into()));
    }
    for value in [0, 68, 575, 9001, 65535] {
        let (lease, parts) = mtu(value, &limits());
        assert_eq!(lease.mtu, None);
        assert_eq!(parts, [Part::Mtu { mtu: value.into(), least: 576, most: 9000 }]);
    }
    // N-N8: what AoE sends has to fit.
    let payload = Limits { payload_mtu: Some(8726), ..limits() };
    assert_eq!((mtu(1400, &payload).0.mtu, mtu(9000, &payload).0.mtu), (None, Some(9000)));
    assert_eq!(judge(&ack().with(code::MTU, &[5])).unwrap().0.mtu, None);
}

#[test]
fn n_n2_times_that_make_no_sense() {
    let time = |seconds: u32| judge(&ack().with(code::LEASE_TIME, &seconds.to_be_bytes()));
    for short in [0, 1, 29] {
        assert_eq!(time(short).unwrap_err(), Refusal::TooShort(short));
    }
    assert_eq!(time(30).unwrap().0.time, Some(secs(30)));
    let (forever, _) = time(u32::MAX).unwrap();
    assert_eq!((forever.time, forever.renew), (None, None));
    let mut answer = ack();
    answer.options.retain(|(number, _)| *number != code::LEASE_TIME);
    let (lease, parts) = judge(&answer).unwrap();
    assert_eq!((lease.time, parts), (Some(secs(3600)), vec![Part::NoTime]));
    let times = |first: u32, second: u32| {
        let answer = ack().with(code::T1, &first.to_be_bytes()).with(code::T2, &second.to_be_bytes());
        judge(&answer).unwrap().0.renew.unwrap()
    };
    assert_eq!(times(1000, 2000), (secs(1000), secs(2000)));
    for (first, second) in [(0, 0), (u32::MAX, u32::MAX), (3600, 3600)] {
        assert_eq!(times(first, second), (secs(1800), secs(3150)), "{first} {second}");
    }
}

#[test]
fn addresses_that_no_machine_has() {
    let refused = |ip: [u8; 4]| judge(&Answer { yiaddr: ip.into(), ..ack() }).unwrap_err();
    assert_eq!(refused([0; 4]), Refusal::NoAddress);
    for ip in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [0, 1, 2, 3]] {
        assert_eq!(refused(ip), Refusal::Unusable(ip.into()));
    }
    let guessed = |mask: &[u8]| judge(&ack().with(code::MASK, mask)).unwrap();
    for mask in [&[][..], &[255, 255], &[255, 0, 255, 0], &[0; 4]] {
        let (lease, parts) = guessed(mask);
        assert_eq!((lease.address.prefix, parts), (24, vec![Part::PrefixGuessed(24)]), "{mask:?}");
    }
}

/// network-field.md kind 10b: a template that nobody has filled in.
#[test]
fn placeholders_are_neither_servers_nor_routers() {
    let own = [192, 168, 50, 111];
    let dns = [[0; 4], own, [255; 4], [127, 0, 0, 1], [192, 168, 50, 1]].concat();
    let (lease, parts) = judge(&ack().with(code::DNS, &dns).with(code::ROUTER, &[0; 4]).with(code::NTP, &own)).unwrap();
    assert_eq!(lease.dns, [Ipv4Addr::new(192, 168, 50, 1)]);
    assert_eq!((lease.ntp.len(), lease.routes.len(), parts.len()), (0, 0, 6));
    let (lease, parts) = judge(&ack().with(code::CLASSLESS, &hex("00c0a8326f"))).unwrap();
    assert_eq!((lease.routes.len(), parts.len()), (0, 1), "we are no router of ours");
    for bad in [&[1, 2, 3][..], &[1, 2, 3, 4, 5]] {
        let (lease, parts) = judge(&ack().with(code::DNS, bad)).unwrap();
        assert_eq!((lease.dns.len(), parts), (0, vec![Part::Broken(What::Dns)]));
    }
    assert_eq!(judge(&ack().with(code::DNS, &[8; 252])).unwrap().0.dns.len(), 8);
}

/// A lease may not turn the way to a server that is on the link; one that leads to a server elsewhere is what routes are for.
#[test]
fn a_route_around_our_own_server_is_refused() {
    let image = Ipv4Addr::new(192, 168, 50, 7);
    let with = |servers: &[Ipv4Addr], vector: &str| {
        let answer = ack().with(code::CLASSLESS, &hex(vector));
        judge_with(&answer, &Limits { servers: servers.to_vec(), ..limits() }).unwrap()
    };
    let (lease, parts) = with(&[image], "20c0a83207 c0a83242");
    assert_eq!(lease.routes, []);
    assert!(matches!(parts.as_slice(), [Part::Around { server, .. }] if *server == image), "{parts:?}");
    let (lease, _) = with(&[], "20c0a83207 c0a83242");
    assert_eq!(lease.routes.len(), 1);
    let (lease, parts) = with(&[], "1dc0a83200 c0a83242");
    assert_eq!((lease.routes.len(), parts.len()), (0, 1), "the DHCP server itself");
    let (lease, _) = with(&[[10, 9, 0, 7].into()], "100a09c0a83202");
    assert_eq!(lease.routes.len(), 1, "that is the way to it");
    let (lease, _) = with(&[image], "00c0a83201");
    assert_eq!(lease.routes.len(), 1, "a default route wins over nothing");
}

/// network-field.md kind 9c: which server to boot from.
#[test]
fn the_next_server_is_siaddr_then_option_66_then_the_server() {
    let next = |answer: &Answer| judge(answer).unwrap().0.next_server;
    let named = ack().with(code::TFTP_SERVER, b"192.168.50.3");
    let at = |last: u8| NextServer::Address([192, 168, 50, last].into());
    assert_eq!(next(&Answer { siaddr: [192, 168, 50, 2].into(), ..named.clone() }), at(2));
    assert_eq!(next(&named), at(3));
    assert!(
        matches!(next(&ack().with(code::TFTP_SERVER, b"boot.lab\0")), NextServer::Name(name) if name.as_str() == "boot.lab")
    );
    assert_eq!(next(&ack().with(code::TFTP_SERVER, b"b\x1b[2J")), at(1));
    assert_eq!(next(&ack()), at(1));
}

/// What a network says is data.
#[test]
fn names_and_texts_are_harmless() {
    let answer = ack()
        .with(code::HOSTNAME, b"a;reboot")
        .with(code::DOMAIN, b"lab.test other.test")
        .with(code::ROOT_PATH, b"nfs:\x1b]0;x\x07")
        .with(code::BOOT_FILE, b"http://10.0.2.2/a.iso\0")
        .with(code::NTP, &[192, 168, 50, 5]);
    let (lease, parts) = judge(&answer).unwrap();
    assert_eq!((lease.hostname, lease.root_path), (None, None));
    assert_eq!(parts, [Part::Broken(What::Hostname), Part::Broken(What::RootPath)]);
    assert_eq!(lease.search.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["lab.test", "other.test"]);
    assert_eq!(lease.boot_file.as_deref(), Some("http://10.0.2.2/a.iso"));
    assert_eq!(lease.ntp, [Ipv4Addr::new(192, 168, 50, 5)]);
    let (lease, parts) = judge(&ack().with(code::DOMAIN, b"lab\ntest")).unwrap();
    assert_eq!((lease.search.len(), parts), (0, vec![Part::Broken(What::Domain)]));
    assert_eq!(IpAddr::V4([192, 168, 50, 111].into()), lease.address.ip);
    let (lease, _) = judge(&ack().with(code::IPV6_ONLY, &1800u32.to_be_bytes())).unwrap();
    assert_eq!(lease.ipv6_only, Some(secs(1800)));
}
