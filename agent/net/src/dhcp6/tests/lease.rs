//! What is made of the values in an answer.

use super::*;

fn judge(options: &[Vec<u8>]) -> Result<Lease, Refusal> {
    Lease::of(&Message::parse(&reply(&[1, 2, 3], options)).unwrap(), u32::from_be_bytes(IAID))
}

#[test]
fn times_that_make_no_sense() {
    let times = |times| judge(&[given("2001:db8::2", times)]).map(|lease| (lease.valid, lease.renew));
    let renews = |valid, first, second| Ok((Some(secs(valid)), Some((secs(first), secs(second)))));
    assert_eq!(times([60, 90, 120, 180]), renews(180, 60, 90));
    assert_eq!(times([0, 0, 120, 180]), renews(180, 60, 96));
    assert_eq!(times([100, 90, 120, 180]), renews(180, 60, 90));
    assert_eq!(times([0, 900, 120, 180]), renews(180, 60, 96));
    assert_eq!(times([0, 0, 0, 180]), renews(180, 90, 144));
    assert_eq!(times([0, 0, u32::MAX, u32::MAX]), Ok((None, None)));
    // RFC 9915 21.6: preferred longer than valid counts as not given, and zero is taken back.
    assert_eq!(times([0, 0, 181, 180]), Err(Refusal::NoAddress));
    assert_eq!(times([0, 0, 0, 0]), Err(Refusal::NoAddress));
    assert_eq!(times([0, 0, 5, 29]), Err(Refusal::TooShort(29)));
}

#[test]
fn addresses_that_no_machine_has() {
    for ip in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
        let refused = judge(&[given(ip, [0, 0, 120, 180])]);
        assert!(matches!(refused, Err(Refusal::Unusable(_))), "{ip}: {refused:?}");
    }
}

#[test]
fn of_several_only_what_is_ours_and_given() {
    let other = given("2001:db8::9", [0, 0, 120, 180]);
    let other = [&other[..4], &[9, 9, 9, 9], &other[8..]].concat();
    let own = given("2001:db8::2", [0, 0, 120, 180]);
    assert_eq!(judge(&[other.clone(), own]).map(|lease| lease.address), Ok("2001:db8::2".parse().unwrap()));
    assert_eq!(judge(&[other]), Err(Refusal::NoAddress));
    assert_eq!(judge(&[]), Err(Refusal::NoAddress));
    assert_eq!(judge(&[refused(4)]), Err(Refusal::Status(Status::NOT_ON_LINK)));
    let whole = [option(13, &[0, 1]), given("2001:db8::2", [0, 0, 120, 180])];
    assert_eq!(judge(&whole), Err(Refusal::Status(Status(1))));
    // The server takes the first address of two back, and says something against the second of three.
    let address = |ip: &str, valid: u32, status: &[u8]| {
        let times = [valid.to_be_bytes(), valid.to_be_bytes()].concat();
        option(5, &[&octets(ip)[..], &times, status].concat())
    };
    let inner = [
        address("2001:db8::1", 0, &[]),
        address("2001:db8::2", 900, &option(13, &[0, 4])),
        address("2001:db8::3", 900, &option(13, &[0, 0])),
    ];
    let identity = option(3, &[&IAID[..], &[0; 8], &inner.concat()].concat());
    assert_eq!(judge(&[identity]).map(|lease| lease.address), Ok("2001:db8::3".parse().unwrap()));
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
    let told = Message::parse(&reply(&[1, 2, 3], &options)).unwrap().information;
    assert_eq!(told.dns.len(), 1);
    assert_eq!(told.search.iter().map(Hostname::as_str).collect::<Vec<_>>(), ["lab.test", "c"]);
    assert_eq!(told.ntp.len(), 2);
    assert_eq!(told.boot_url.as_deref(), Some("http://[2001:db8::1]/a.iso"));
}
