//! Answers that are for others, broken, or forged.

use super::*;

fn asked(goal: Goal) -> Client {
    let mut client = client(goal);
    sent(&mut client, Duration::from_millis(300));
    client
}

#[test]
fn what_is_for_others_or_broken_is_no_answer() {
    let good = reply(&[1, 2, 3], &[option(23, &octets("2001:db8::53"))]);
    let refused = |bytes: &[u8]| {
        asked(Goal::Information).receive(secs(1), bytes).iter().all(|action| matches!(action, Action::Send(_)))
    };
    assert!(!refused(&good));
    for length in 0..good.len() {
        // An option that is missing as a whole is no fault, one that is cut is.
        assert_eq!(refused(&good[..length]), length != good.len() - 20, "{length}");
    }
    for (at, value) in [(0, 3), (1, 9), (13, 9), (5, 3), (7, 200)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(refused(&bad), "{at}");
    }
    assert!(refused(&reply(&[1, 2, 3], &[option(13, &[0, 1])])));
    assert!(refused(&answer(Type::Advertise, &[1, 2, 3], 1, &[])));
    let bad = reply(&[1, 2, 3], &[option(23, &[1; 15]), option(24, b"\x05ab"), option(59, b"http://\x1b[2J")]);
    assert_eq!(Message::parse(&bad).unwrap().information, Information::default());
    // Before anything was sent there is no answer to it.
    assert_eq!(client(Goal::Information).receive(Duration::ZERO, &good), []);
}

#[test]
fn any_answer_is_survived() {
    let good = [
        answer(Type::Advertise, &[1, 2, 3], 1, &[given("2001:db8::2", [60, 90, 120, 180]), option(7, &[255])]),
        reply(&[1, 2, 3], &[given("2001:db8::2", [60, 90, 120, 180]), option(14, &[])]),
        reply(
            &[1, 2, 3],
            &[
                option(23, &octets("2001:db8::53")),
                option(24, b"\x03lab\0"),
                option(56, &option(1, &[1; 16])),
                refused(3),
            ],
        ),
    ];
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut living = asked(Goal::Address);
    let (mut now, mut messages) = (secs(1), 0);
    for _ in 0..30_000 {
        let mut bytes = good[next(3)].clone();
        for _ in 0..next(4) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        if let Ok(message) = Message::parse(&bytes) {
            assert!(message.information.dns.len() <= 8 && message.identities.len() <= 8);
        }
        now += Duration::from_millis(1);
        messages += living.receive(now, &bytes).iter().filter(|action| matches!(action, Action::Send(_))).count();
        if next(100) == 0 {
            messages += living.duplicate(now).iter().filter(|action| matches!(action, Action::Send(_))).count();
        }
        if let Some(lease) = living.lease() {
            assert!(!lease.address.is_multicast() && lease.valid.is_none_or(|valid| valid >= secs(30)));
        }
    }
    // In 30 s: a storm of answers makes no storm of ours.
    assert!(messages < 100, "{messages}");
}
