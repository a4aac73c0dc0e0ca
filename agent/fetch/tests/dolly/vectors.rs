//! N-D1, N-D2, N-D3, N-D6 without sockets: which bytes lead to which.

use std::time::Duration;

use rdlive_fetch::dolly::{Action, Error, Event, Generation, Halt, Key, Stray, TextError, Wish};
use sha2::{Digest, Sha256};

use crate::bench::{Bench, payload, quick, wish};

pub const FIRST: &str = "infile small.img\noutfile out\nserver 10.77.0.1\nfirstclient 10.77.0.2\nlastclient 10.77.0.2\nclients 1\n10.77.0.2\nendconfig\n";
pub const SECOND: &str = "infile small.img\noutfile /out\n10.77.0.2\nendconfig\n";
const TOTAL: &str = "1027000000000000";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

pub fn head_2(text: &str) -> Vec<u8> {
    [&[0; 5], text.as_bytes()].concat()
}

/// Data in the pieces that were seen on the wire, the total, the end.
fn sent(bench: &mut Bench) {
    let payload = payload(10_000);
    for piece in payload.chunks(4096) {
        bench.step(Event::Data(piece)).unwrap();
    }
    bench.step(Event::Control(&hex(TOTAL))).unwrap();
    assert_eq!(bench.done.as_ref().unwrap().total, 10_000);
    assert_eq!(bench.stored, payload);
    assert_eq!(bench.replies.last().unwrap(), &hex(TOTAL));
}

pub fn failed(outcome: Result<(), Halt>) -> Error {
    match outcome {
        Err(Halt::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

pub fn strayed(outcome: Result<(), Halt>) -> Stray {
    match outcome {
        Err(Halt::Stray(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A session of generation 2 that has said "ready".
fn receiving(wish: Wish) -> Bench {
    let mut bench = Bench::new(wish);
    bench.introduced(&head_2(SECOND)).unwrap();
    assert_eq!(bench.replies.len(), 2);
    bench
}

#[test]
fn n_d1_the_payload_is_the_one_of_the_page() {
    let payload = payload(10_000);
    assert_eq!(payload[..8], hex("030a11181f262d34")[..]);
    let sum = hex("6e97d8601cb17906a4819e0fcc8d03150d3e4331353ecaa516c0084cadad54dd");
    assert_eq!(Sha256::digest(&payload)[..], sum[..]);
}

#[test]
fn n_d1_generation_1() {
    let mut bench = Bench::new(wish());
    bench.introduced(FIRST.as_bytes()).unwrap();
    assert_eq!(bench.replies[0], hex("486f737420676f7420706172616d6574657273202731302e37372e302e32272e0a"));
    assert_eq!(bench.replies[1], hex("486f7374207265616479202731302e37372e302e32272e0a"));
    sent(&mut bench);
    assert_eq!(bench.replies.len(), 3);
    let begun =
        bench.others.iter().find_map(|action| if let Action::Begin(offer) = action { Some(offer) } else { None });
    let offer = begun.unwrap();
    assert_eq!((offer.generation, offer.position, offer.clients, offer.children), (Generation::First, 0, 1, 0));
    assert!(!offer.gzip && offer.infile == "small.img");
}

#[test]
fn n_d1_generation_2() {
    let mut bench = receiving(wish());
    assert_eq!(bench.replies[0], b"Client 10.77.0.2 configured with parameters. Ready to proceed.\n");
    assert_eq!(bench.replies[1], b"Client 10.77.0.2 ready.\n");
    sent(&mut bench);
}

#[test]
fn n_d1_byte_by_byte() {
    for head in [FIRST.as_bytes().to_vec(), head_2(SECOND)] {
        let mut bench = Bench::new(wish());
        for byte in head {
            bench.step(Event::Control(&[byte])).unwrap();
            bench.pass(Duration::from_millis(2)).unwrap();
        }
        assert!(bench.replies.is_empty(), "before the silence it is not known that all has come");
        bench.pass(quick().quiet).unwrap();
        assert_eq!(bench.replies.len(), 2);
        for byte in hex(TOTAL) {
            bench.step(Event::Control(&[byte])).unwrap();
        }
        for byte in payload(10_000) {
            bench.step(Event::Data(&[byte])).unwrap();
        }
        assert!(bench.done.is_some());
        assert_eq!(bench.replies[2], hex(TOTAL));
    }
}

#[test]
fn n_d1_password() {
    let nonce: Vec<u8> = (0..32).collect();
    let answer = Key::of("opensuse").answer(&nonce.try_into().unwrap());
    assert_eq!(answer[..], hex("a78d2866d18188ec330233bd99786e7d4df2a1a138dbd33e4e5b092a786c8a2b")[..]);

    let nonce = hex("7a013641beefca9c256decf6c39446d1b8e46f83e3d0b92d712564b91aa75b5d");
    let mut bench = Bench::new(Wish { key: Some(Key::of("secret")), ..wish() });
    bench.step(Event::Control(&[1])).unwrap();
    bench.step(Event::Control(&nonce)).unwrap();
    assert_eq!(bench.replies[0], hex("26b975a73122b4fb43c4ea2be8274b2f435564bf9732ef5de04d0ee7c3033b87"));
    bench.introduced(&[&hex("4f4b00"), &[0; 4][..], SECOND.as_bytes()].concat()).unwrap();
    assert_eq!(bench.replies.len(), 3);
    sent(&mut bench);

    let mut bench = Bench::new(Wish { key: Some(Key::of("secret")), ..wish() });
    bench.step(Event::Control(&[&[1], &nonce[..]].concat())).unwrap();
    let verdict = hex("415554485f4641494c45443a31302e37372e302e3200");
    assert_eq!(strayed(bench.step(Event::Control(&verdict))), Stray::PasswordWrong);
}

#[test]
fn n_d1_kill() {
    let mut bench = Bench::new(wish());
    bench.step(Event::Control(&[0])).unwrap();
    assert!(matches!(failed(bench.step(Event::ControlClosed)), Error::Killed { .. }));
}

#[test]
fn n_d2_junk_after_the_end() {
    for length in [1448, 3000, 4095] {
        for (head, generation) in [(FIRST, 1), (SECOND, 2)] {
            let text = format!("{head}{}", "junk that means nothing\n".repeat(200));
            let mut bytes = if generation == 2 { vec![0; 5] } else { Vec::new() };
            bytes.extend_from_slice(&text.as_bytes()[..length]);
            let mut bench = Bench::new(wish());
            for segment in bytes.chunks(1448) {
                bench.step(Event::Control(segment)).unwrap();
                bench.pass(Duration::from_millis(20)).unwrap();
            }
            bench.pass(Duration::from_secs(1)).unwrap();
            assert_eq!(bench.replies.len(), 2, "{length} {generation}");
            sent(&mut bench);
        }
    }
}

#[test]
fn n_d2_a_text_without_end_is_not_waited_for() {
    let mut bench = Bench::new(wish());
    bench.step(Event::Control(&head_2("infile a\noutfile b\n10.77.0.2\nendconf"))).unwrap();
    assert_eq!(strayed(bench.pass(Duration::from_secs(60))), Stray::Slow);
    // Nor is one that never stops.
    let mut bench = Bench::new(wish());
    let outcome = (0..100).try_for_each(|_| bench.step(Event::Control(&[b'i'; 1448])));
    assert!(matches!(failed(outcome), Error::Text(TextError::TooLong)));
    // Nor junk that trickles.
    let mut bench = Bench::new(wish());
    bench.step(Event::Control(FIRST.as_bytes())).unwrap();
    for _ in 0..600 {
        bench.step(Event::Control(b"x")).unwrap();
        bench.pass(Duration::from_millis(50)).unwrap();
        if !bench.replies.is_empty() {
            break;
        }
    }
    assert!(bench.now <= quick().silence + Duration::from_secs(1) && bench.replies.len() == 2);
}

#[test]
fn n_d3_the_total_at_each_place() {
    let payload = payload(10_000);
    for place in 0..4 {
        let mut bench = receiving(wish());
        if place == 0 {
            bench.step(Event::Control(&hex(TOTAL))).unwrap();
        }
        bench.step(Event::Data(&payload[..6000])).unwrap();
        if place == 1 {
            bench.step(Event::Control(&hex(TOTAL))).unwrap();
        }
        bench.step(Event::Data(&payload[6000..])).unwrap();
        if place == 3 {
            bench.step(Event::DataClosed).unwrap();
        }
        if place >= 2 {
            assert!(bench.done.is_none(), "the data alone prove nothing");
            bench.pass(quick().silence - Duration::from_secs(1)).unwrap();
            bench.step(Event::Control(&hex(TOTAL))).unwrap();
        }
        assert_eq!(bench.done.as_ref().unwrap().total, 10_000);
        assert_eq!(bench.stored, payload);
        assert_eq!(bench.replies[2], hex(TOTAL));
    }
}

#[test]
fn n_d3_short_data() {
    // The end of the data is seen.
    let mut bench = receiving(wish());
    bench.step(Event::Data(&payload(9_999))).unwrap();
    bench.step(Event::Control(&hex(TOTAL))).unwrap();
    assert!(matches!(failed(bench.step(Event::DataClosed)), Error::Short { received: 9_999, total: 10_000, .. }));
    let mut bench = receiving(wish());
    bench.step(Event::Data(&payload(9_999))).unwrap();
    bench.step(Event::DataClosed).unwrap();
    assert!(matches!(failed(bench.step(Event::Control(&hex(TOTAL)))), Error::Short { received: 9_999, .. }));
    // It is not seen, with the product's 30 s.
    let mut bench = receiving(Wish::default());
    bench.step(Event::Data(&payload(9_999))).unwrap();
    bench.step(Event::Control(&hex(TOTAL))).unwrap();
    bench.pass(Duration::from_secs(29)).unwrap();
    let why = failed(bench.pass(Duration::from_secs(2)));
    assert!(matches!(why, Error::Silent { received: 9_999, total: Some(10_000), .. }), "{why}");
    // The total never comes.
    let mut bench = receiving(Wish::default());
    bench.step(Event::Data(&payload(10_000))).unwrap();
    bench.step(Event::DataClosed).unwrap();
    assert!(matches!(failed(bench.pass(Duration::from_secs(31))), Error::Silent { total: None, .. }));
    let mut bench = receiving(wish());
    bench.step(Event::Data(&payload(10_000))).unwrap();
    assert!(matches!(failed(bench.step(Event::ControlClosed)), Error::ParentClosed { received: 10_000 }));
    assert!(bench.done.is_none() && bench.replies.len() == 2);
}

#[test]
fn n_d3_surplus() {
    let payload = payload(12_000);
    // Known as such.
    let mut bench = receiving(wish());
    bench.step(Event::Control(&hex(TOTAL))).unwrap();
    bench.step(Event::Data(&payload)).unwrap();
    assert_eq!((bench.stored.len(), bench.done.unwrap().total), (10_000, 10_000));
    // Not known as such until the total comes.
    let mut bench = receiving(wish());
    bench.step(Event::Data(&payload)).unwrap();
    bench.step(Event::Control(&hex(TOTAL))).unwrap();
    assert_eq!((bench.stored.len(), bench.done.unwrap().total), (12_000, 10_000));
    assert_eq!(bench.replies[2], hex(TOTAL));
}

#[test]
fn n_d3_nothing_at_all() {
    let mut bench = receiving(wish());
    bench.step(Event::DataClosed).unwrap();
    bench.step(Event::Control(&[0; 8])).unwrap();
    assert_eq!(bench.done.unwrap().total, 0);
}

#[test]
fn n_d3_the_others_may_need_longer_than_a_silence() {
    let mut bench = receiving(Wish::default());
    bench.pass(Duration::from_secs(599)).unwrap();
    sent(&mut bench);
    let mut bench = receiving(Wish::default());
    assert!(matches!(failed(bench.pass(Duration::from_secs(602))), Error::Silent { received: 0, .. }));
}

#[test]
fn n_d6_a_total_in_the_other_byte_order() {
    let swapped = 10_000_u64.to_be_bytes();
    let mut bench = receiving(Wish { limit: Some(1 << 30), ..wish() });
    bench.step(Event::Data(&payload(10_000))).unwrap();
    let why = failed(bench.step(Event::Control(&swapped)));
    assert!(matches!(why, Error::TooLarge { limit: 0x4000_0000, .. }), "{why}");
    // Without a limit the end of the data shows it.
    let mut bench = receiving(wish());
    bench.step(Event::Data(&payload(10_000))).unwrap();
    bench.step(Event::Control(&swapped)).unwrap();
    let why = failed(bench.step(Event::DataClosed));
    assert!(matches!(why, Error::Short { swapped: true, .. }), "{why}");
    assert!(why.remedy().contains("little-endian") && bench.done.is_none());
    // The target is full before there is a total.
    let mut bench = receiving(Wish { limit: Some(9_999), ..wish() });
    assert!(matches!(failed(bench.step(Event::Data(&payload(10_000)))), Error::TooLarge { bytes: 10_000, .. }));
    assert!(bench.stored.is_empty());
}

/// Anything at all leads to an end within a bounded time, and never to a panic.
#[test]
fn any_bytes_in_any_pieces() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..40_000 {
        let mut head = if round % 2 == 0 { FIRST.as_bytes().to_vec() } else { head_2(SECOND) };
        for _ in 0..next() % 4 {
            let at = next() as usize % head.len();
            match next() % 3 {
                0 => head[at] = next() as u8,
                1 => head.truncate(at.max(1)),
                _ => head.insert(at, b"\n \0\x01i"[next() as usize % 5]),
            }
        }
        let mut bench = Bench::new(Wish { limit: Some(1 << 20), ..wish() });
        let mut rest = &head[..];
        let outcome = loop {
            let length = (1 + next() as usize % 40).min(rest.len());
            if let Err(why) = bench.step(Event::Control(&rest[..length])) {
                break Err(why);
            }
            rest = &rest[length..];
            if rest.is_empty() {
                break bench.pass(Duration::from_secs(700));
            }
        };
        assert!(outcome.is_err() || bench.done.is_some());
    }
}
