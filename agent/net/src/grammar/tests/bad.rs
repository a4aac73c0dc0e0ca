//! Words that nobody writes.

use super::*;

/// What a person reads of a word cannot move the cursor, and a long one does not fill the screen.
#[test]
fn complaints_are_harmless() {
    let (_, complaints) = Wish::parse([Word { key: "ip", value: Some("eth0:\x1b(0\u{202e}") }]);
    assert_eq!(
        complaints[0].to_string(),
        r#"ip=eth0:\x1b(0\xe2\x80\xae is ignored: "\x1b(0\xe2\x80\xae" is no way to get an address"#
    );
    let long = "a".repeat(100_000);
    let (_, complaints) = Wish::parse([Word { key: "ip", value: Some(&long) }]);
    assert!(complaints[0].to_string().len() < 300);
    let (_, complaints) = Wish::parse([Word { key: "ip", value: Some(&":".repeat(100_000)) }]);
    assert_eq!(complaints[0].fault, Fault::TooManyFields);
}

/// Any bytes at all: nothing panics, and what is taken is what a kernel takes.
#[test]
fn any_words_are_survived() {
    const PIECES: [&str; 30] = [
        "ip",
        "rd.route",
        "vlan",
        "ifname",
        "BOOTIF",
        "nameserver",
        "=",
        ":",
        "[",
        "]",
        "/",
        "-",
        "dhcp",
        "none",
        "192.0.2.9",
        "2001:db8::5",
        "24",
        "255.255.255.0",
        "eth0",
        "52:54:00:12:34:56",
        "52-54-00-12-34-56",
        "0",
        "ä",
        "\x1b",
        "",
        "host",
        "1400",
        ",",
        ".",
        "bootdev",
    ];
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        let key = PIECES[next(6)];
        let value: String = (0..next(12)).map(|_| PIECES[next(PIECES.len())]).collect();
        let (wish, complaints) = Wish::parse([Word { key, value: Some(&value) }]);
        for request in &wish.requests {
            assert!(!others::of(request).legacy.to_string().is_empty());
            assert!(request.address.is_none_or(|address| address.prefix <= Address::full(address.ip)));
            assert!(request.mtu.is_none_or(|mtu| mtu >= 576));
        }
        assert!(complaints.iter().all(|complaint| !complaint.to_string().contains('\x1b')), "{value:?}");
    }
}
