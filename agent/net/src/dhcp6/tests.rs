//! Stateless DHCPv6 with a clock of the tests' own.

use super::*;

fn mac() -> HardwareAddress {
    HardwareAddress::parse("52:54:00:12:34:56").unwrap()
}

fn option(number: u16, value: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn reply(xid: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let client = option(1, &[0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    [&[7][..], xid, &client, &option(2, &[0, 3, 0, 1, 1, 1, 1, 1, 1, 1]), &options.concat()].concat()
}

fn octets(ip: &str) -> Vec<u8> {
    ip.parse::<Ipv6Addr>().unwrap().octets().to_vec()
}

#[test]
fn it_asks_until_it_is_answered() {
    let mut client = Client::new(mac(), 0xaa01_0203);
    let mut now = Duration::ZERO;
    let mut times = Vec::new();
    while now < Duration::from_secs(60) {
        now = client.wake().unwrap();
        let datagram = client.time(now, 500).unwrap();
        assert_eq!(datagram[..4], [11, 1, 2, 3]);
        times.push(now.as_secs());
        assert_eq!(client.time(now, 500), None);
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 47, 63]);
    let information = client.receive(&reply(&[1, 2, 3], &[option(23, &octets("2001:db8::53"))])).unwrap();
    assert_eq!(information.dns, ["2001:db8::53".parse::<IpAddr>().unwrap()]);
    assert_eq!(client.wake(), None);
    assert_eq!(client.receive(&reply(&[1, 2, 3], &[])), None);
}

#[test]
fn the_request_is_what_the_rfc_says() {
    let mut client = Client::new(mac(), 0x0001_0203);
    client.time(Duration::from_secs(5), 0).unwrap();
    let datagram = client.time(Duration::from_secs(7), 0).unwrap();
    let expected = [
        &[11, 1, 2, 3][..],
        &option(1, &[0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        &option(8, &[0, 200]),
        &option(6, &[0, 23, 0, 24, 0, 31, 0, 32, 0, 56, 0, 59]),
    ];
    assert_eq!(datagram, expected.concat());
}

#[test]
fn what_a_server_tells() {
    let ntp = option(1, &octets("2001:db8::123"));
    let options = [
        option(23, &[octets("::"), octets("2001:db8::53"), octets("ff02::1")].concat()),
        option(24, b"\x03lab\x04test\0\x01a\x02b!\0\x01c\0"),
        option(31, &octets("2001:db8::124")),
        option(56, &[ntp, option(3, b"\x01n\0")].concat()),
        option(59, b"http://[2001:db8::1]/a.iso"),
        option(9999, b"x"),
    ];
    let mut client = Client::new(mac(), 0x0001_0203);
    let told = client.receive(&reply(&[1, 2, 3], &options)).unwrap();
    assert_eq!(told.dns.len(), 1);
    assert_eq!(told.search.iter().map(Hostname::as_str).collect::<Vec<_>>(), ["lab.test", "c"]);
    assert_eq!(told.ntp.len(), 2);
    assert_eq!(told.boot_url.as_deref(), Some("http://[2001:db8::1]/a.iso"));
}

#[test]
fn what_is_for_others_or_broken_is_no_answer() {
    let good = reply(&[1, 2, 3], &[option(23, &octets("2001:db8::53"))]);
    let refused = |bytes: &[u8]| Client::new(mac(), 0x0001_0203).receive(bytes).is_none();
    assert!(!refused(&good));
    for length in 0..good.len() {
        // An option that is missing as a whole is no fault, one that is cut is.
        assert_eq!(refused(&good[..length]), length != good.len() - 20, "{length}");
    }
    for (at, value) in [(0, 2), (1, 9), (13, 9), (5, 3), (7, 200)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(refused(&bad), "{at}");
    }
    assert!(refused(&reply(&[1, 2, 3], &[option(13, &[0, 1])])));
    let bad = reply(&[1, 2, 3], &[option(23, &[1; 15]), option(24, b"\x05ab"), option(59, b"http://\x1b[2J")]);
    assert_eq!(Client::new(mac(), 0x0001_0203).receive(&bad), Some(Information::default()));
}

#[test]
fn any_reply_is_survived() {
    let good = reply(
        &[1, 2, 3],
        &[option(23, &octets("2001:db8::53")), option(24, b"\x03lab\0"), option(56, &option(1, &[1; 16]))],
    );
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..30_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        if let Ok(reply) = Reply::parse(&bytes) {
            assert!(reply.information.dns.len() <= 8 && reply.information.search.len() <= 8);
        }
    }
}
