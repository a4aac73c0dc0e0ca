//! Which packets lead to which.

use std::net::SocketAddr;
use std::time::Duration;

use rdlive_fetch::Facts;
use rdlive_fetch::tftp::{Action, Error, Packet, Refusal, Source, Transfer, parse};

const SERVER: &str = "10.0.0.1:69";
const CHOSEN: &str = "10.0.0.1:4000";
const NOW: Duration = Duration::from_millis(1);

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn send(port: u16, bytes: &[u8]) -> Action {
    Action::Send { port, bytes: bytes.to_vec() }
}

fn started(source: Source) -> Transfer {
    let mut transfer = Transfer::new(source, at(SERVER));
    transfer.start(Duration::ZERO).unwrap();
    transfer
}

fn data(number: u16, length: usize) -> Vec<u8> {
    [&[0, 3], &number.to_be_bytes()[..], &vec![7; length]].concat()
}

#[test]
fn a_transfer_with_options() {
    let mut transfer = Transfer::new(Source::new("a.iso"), at(SERVER));
    let request = b"\0\x01a.iso\0octet\0blksize\x001468\0tsize\x000\0windowsize\x0016\0";
    assert_eq!(transfer.start(Duration::ZERO).unwrap(), [send(69, request)]);
    let granted = b"\0\x06BLKSIZE\x001468\0tsize\x003000\0windowsize\x002\0";
    let facts = Facts { size: Some(3000), modified: None };
    assert_eq!(transfer.packet(NOW, at(CHOSEN), granted).unwrap(), [Action::Begin(facts), send(4000, &[0, 4, 0, 0])]);
    // Doubled, it says nothing new.
    assert_eq!(transfer.packet(NOW, at(CHOSEN), granted).unwrap(), []);
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(1, 1468)).unwrap(), [Action::Store { offset: 0 }]);
    assert_eq!(
        transfer.packet(NOW, at(CHOSEN), &data(2, 1468)).unwrap(),
        [Action::Store { offset: 1468 }, send(4000, &[0, 4, 0, 2])]
    );
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(2, 1468)).unwrap(), []);
    assert_eq!(
        transfer.packet(NOW, at(CHOSEN), &data(3, 64)).unwrap(),
        [Action::Store { offset: 2936 }, send(4000, &[0, 4, 0, 3]), Action::Done { size: 3000 }]
    );
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(3, 64)).unwrap(), [send(4000, &[0, 4, 0, 3])]);
}

#[test]
fn a_transfer_without() {
    let mut transfer = started(Source::new("a.iso"));
    let first = [Action::Begin(Facts::default()), Action::Store { offset: 0 }, send(4000, &[0, 4, 0, 1])];
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(1, 512)).unwrap(), first);
    let last = [send(4000, &[0, 4, 0, 2]), Action::Done { size: 512 }];
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(2, 0)).unwrap(), last);
}

#[test]
fn lost_blocks_are_told_once() {
    let mut transfer = started(Source::new("a.iso"));
    transfer.packet(NOW, at(CHOSEN), b"\0\x06tsize\x00100000\0windowsize\x008\0").unwrap();
    let mut packet = |number| transfer.packet(NOW, at(CHOSEN), &data(number, 512)).unwrap();
    assert_eq!(packet(1), [Action::Store { offset: 0 }]);
    // One late, two late: it may still come.
    assert_eq!(packet(3), [Action::Store { offset: 1024 }]);
    assert_eq!(packet(4), [Action::Store { offset: 1536 }]);
    assert_eq!(packet(5), [Action::Store { offset: 2048 }, send(4000, &[0, 4, 0, 1])]);
    assert_eq!(packet(6), [Action::Store { offset: 2560 }]);
    assert_eq!(packet(5), []);
    // The window begins at 2 now, and ends at 9.
    assert_eq!(packet(2), [Action::Store { offset: 512 }]);
    assert_eq!((packet(7).len(), packet(8).len()), (1, 1));
    assert_eq!(packet(9), [Action::Store { offset: 4096 }, send(4000, &[0, 4, 0, 9])]);
}

#[test]
fn times_of_repetition() {
    let mut transfer = started(Source::new("a.iso"));
    let mut times = Vec::new();
    let mut plain = None;
    loop {
        let now = transfer.deadline();
        match transfer.tick(now) {
            Ok(actions) if actions.contains(&Action::Fresh) => plain = Some((now, actions)),
            Ok(actions) => {
                assert_eq!(actions.len(), 1);
                times.push(now.as_millis());
            }
            Err(why) => {
                assert!(matches!(why, Error::NoAnswer { .. }));
                assert_eq!(now, Duration::from_secs(10));
                break;
            }
        }
    }
    assert_eq!(times, [500, 1500, 3500, 5500, 6500, 8500]);
    let (when, actions) = plain.unwrap();
    assert_eq!(when, Duration::from_secs(5));
    assert_eq!(actions, [Action::Fresh, send(69, b"\0\x01a.iso\0octet\0")]);
}

#[test]
fn options_that_were_not_asked_for() {
    for lie in [
        &b"blksize\x001469\0"[..],
        b"blksize\x007\0",
        b"blksize\x00-8\0",
        b"blksize\0x\0",
        b"blksize\x0018446744073709551617\0",
        b"windowsize\x0017\0",
        b"windowsize\x000\0",
        b"tsize\0\0",
        b"timeout\x001\0",
        b"\x1b[2J\0\x1b\0",
    ] {
        let mut transfer = started(Source::new("a.iso"));
        let why = transfer.packet(NOW, at(CHOSEN), &[&[0, 6], lie].concat()).unwrap_err();
        assert!(matches!(why, Error::Option { .. }), "{why}");
        assert!(!why.to_string().chars().any(char::is_control));
        assert!(transfer.abort(8, "no").is_some());
    }
}

#[test]
fn blocks_that_cannot_be() {
    let granted = b"\0\x06blksize\x00512\0tsize\x001000\0windowsize\x004\0";
    let with = |packets: &[(u16, usize)]| {
        let mut transfer = started(Source::new("a.iso"));
        transfer.packet(NOW, at(CHOSEN), granted)?;
        packets
            .iter()
            .try_for_each(|(number, length)| transfer.packet(NOW, at(CHOSEN), &data(*number, *length)).map(drop))
    };
    assert!(matches!(with(&[(1, 513)]), Err(Error::Block { length: 513, agreed: 512 })));
    assert!(matches!(with(&[(1, 512), (2, 512)]), Err(Error::Size { promised: 1000, .. })));
    assert!(matches!(with(&[(1, 400)]), Err(Error::Size { promised: 1000, received: 400 })));
    assert!(matches!(with(&[(2, 488), (1, 100)]), Err(Error::Behind)));
    assert!(with(&[(0, 512), (9, 512), (65535, 512), (1, 512), (2, 488), (3, 512)]).is_ok());
    let mut transfer = started(Source::new("a.iso"));
    assert!(matches!(transfer.packet(NOW, at(CHOSEN), &data(1, 600)), Err(Error::Block { agreed: 512, .. })));
}

#[test]
fn refusals() {
    let mut transfer = started(Source::new("a.iso"));
    let why = transfer.packet(NOW, at(CHOSEN), b"\0\x05\0\x01no \x1b[2J\0junk").unwrap_err();
    assert!(matches!(&why, Error::Refused { refusal: Refusal::NotFound, text } if text == "no \\x1b[2J"), "{why}");
    // In the middle none is about options.
    let mut transfer = started(Source::new("a.iso"));
    transfer.packet(NOW, at(CHOSEN), &data(1, 512)).unwrap();
    let why = transfer.packet(NOW, at(CHOSEN), b"\0\x05\0\0disk error\0").unwrap_err();
    assert!(matches!(why, Error::Refused { refusal: Refusal::Undefined, .. }));
    // Asked without options there is nothing left to leave out.
    let mut transfer = started(Source::new("a.iso"));
    transfer.packet(NOW, at(CHOSEN), b"\0\x05\0\x08\0").unwrap();
    let why = transfer.packet(NOW, at(CHOSEN), b"\0\x05\0\x08").unwrap_err();
    assert!(matches!(why, Error::Refused { refusal: Refusal::Options, .. }));
}

#[test]
fn only_the_server_and_its_port() {
    let mut transfer = started(Source::new("a.iso"));
    assert_eq!(transfer.packet(NOW, at("10.0.0.2:4000"), &data(1, 512)).unwrap(), []);
    assert_eq!(transfer.packet(NOW, at("10.0.0.2:69"), b"\0\x05\0\x01x\0").unwrap(), []);
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(1, 512)).unwrap().len(), 3);
    let unknown = [send(4001, b"\0\x05\0\x05unknown transfer\0")];
    assert_eq!(transfer.packet(NOW, at("10.0.0.1:4001"), &data(2, 512)).unwrap(), unknown);
    // Errors are never answered, and end nothing.
    assert_eq!(transfer.packet(NOW, at("10.0.0.1:4001"), b"\0\x05\0\x01x\0").unwrap(), []);
    assert_eq!(transfer.packet(NOW, at(CHOSEN), &data(2, 512)).unwrap().len(), 2);
}

#[test]
fn paths_that_are_not_sent() {
    for path in ["", "a\0b", &"x".repeat(600)] {
        let outcome = Transfer::new(Source::new(path), at(SERVER)).start(Duration::ZERO);
        assert!(matches!(outcome, Err(Error::Unsendable)));
    }
}

#[test]
fn packets() {
    assert_eq!(parse(b"\0\x03\0\x01ab"), Some(Packet::Data { block: 1, bytes: b"ab" }));
    assert_eq!(parse(b"\0\x06"), Some(Packet::Granted(Vec::new())));
    for bytes in [
        &b""[..],
        b"\0",
        b"\0\x03",
        b"\0\x03\0",
        b"\0\x05\0",
        b"\0\x04\0\x01",
        b"\0\x06a\0",
        b"\0\x06a\0b",
        b"\x01\x03\0\x01",
    ] {
        assert_eq!(parse(bytes), None, "{bytes:?}");
    }
}

/// Anything at all leads to an end, and never to a panic.
#[test]
fn any_packets() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut transfer = started(Source::new("a.iso"));
    let mut now = Duration::ZERO;
    for _ in 0..200_000 {
        let packet = match next() % 6 {
            0 => b"\0\x06blksize\x008\0tsize\x00800000\0windowsize\x0016\0".to_vec(),
            1 => (0..next() % 30).map(|_| next() as u8).collect(),
            _ => data(
                [next() as u16 % 40, 65520 + next() as u16 % 16][usize::from(next() % 8 == 0)],
                [8, 8, 8, 8, 512, 3][next() as usize % 6],
            ),
        };
        now += Duration::from_millis(next() % 50);
        let outcome = if next() % 5 == 0 { transfer.tick(now) } else { transfer.packet(now, at(CHOSEN), &packet) };
        if outcome.is_err() {
            transfer = started(Source::new("a.iso"));
            now = Duration::ZERO;
        }
    }
}
