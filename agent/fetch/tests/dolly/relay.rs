//! N-D5 without sockets: what a relay says to those behind it, and what follows from what they say.

use std::time::Duration;

use rdlive_fetch::dolly::{Action, ChildEvent, ChildLoss, Error, Event, Halt, Key, Progress, Received, Wish};

use crate::bench::{Bench, quick, wish};
use crate::peers::{answer, text};
use crate::vectors::head_2;

const NONCE: [u8; 32] = [9; 32];

/// The first of two clients, with its child connected.
fn linked(wish: Wish) -> Bench {
    let mut bench = Bench::new(wish);
    let clients = ["10.77.0.2".to_owned(), "10.77.0.3".to_owned()];
    bench.introduced(&head_2(&text(2, 1, &clients))).unwrap();
    let connect = Action::Connect { child: 1, address: [10, 77, 0, 3].into() };
    assert!(bench.others.contains(&connect));
    assert_eq!(bench.replies.len(), 1, "ready is said when the child has what it needs");
    child(&mut bench, ChildEvent::Connected { nonce: NONCE }).unwrap();
    bench
}

fn child(bench: &mut Bench, event: ChildEvent<'_>) -> Result<(), Halt> {
    bench.step(Event::Child(1, event))
}

fn receiving(wish: Wish) -> Bench {
    let mut bench = linked(wish);
    child(&mut bench, ChildEvent::Control(b"Client 10.77.0.3 configured\nClient 10.77.0.3 ready.\n")).unwrap();
    bench
}

fn sent(bench: &mut Bench, total: u64) {
    bench.step(Event::Data(&vec![1; total as usize])).unwrap();
    bench.step(Event::Control(&total.to_le_bytes())).unwrap();
}

#[test]
fn n_d5_the_child_is_told_as_we_were() {
    let bench = linked(wish());
    let told: Vec<_> = bench.told.iter().map(|(_, bytes)| bytes.clone()).collect();
    let clients = ["10.77.0.2".to_owned(), "10.77.0.3".to_owned()];
    assert_eq!(told, [vec![0], vec![0; 4], text(2, 1, &clients).into_bytes()]);
    assert_eq!(bench.replies[1], b"Client 10.77.0.2 ready.\n");
}

#[test]
fn n_d5_lines_are_passed_on_whole() {
    let mut bench = linked(wish());
    for piece in [&b"Client 10.77.0.3 conf"[..], b"igured\nClient 10.77.0.3 re", b"ady.\nCli"] {
        child(&mut bench, ChildEvent::Control(piece)).unwrap();
    }
    assert_eq!(bench.replies[2..], [b"Client 10.77.0.3 configured\n".to_vec(), b"Client 10.77.0.3 ready.\n".to_vec()]);
    // One that never ends is passed on as it is, and one that says too much is no client.
    let mut bench = linked(wish());
    child(&mut bench, ChildEvent::Control(&[b'x'; 2000])).unwrap();
    assert_eq!(bench.replies[2].len(), 2000);
    let outcome = (0..1000).try_for_each(|_| child(&mut bench, ChildEvent::Control(&[b'x'; 2000])));
    assert!(matches!(outcome, Err(Halt::Failed(Error::Child { why: ChildLoss::Nonsense, .. }))));
}

#[test]
fn n_d5_the_child_has_a_password() {
    let with = || {
        let mut bench = Bench::new(Wish { key: Some(Key::of("secret")), ..wish() });
        bench.step(Event::Control(&[&[1], &[5; 32][..]].concat())).unwrap();
        let clients = ["10.77.0.2".to_owned(), "10.77.0.3".to_owned()];
        let rest = [b"OK\0\0\0\0\0", text(2, 1, &clients).as_bytes()].concat();
        bench.introduced(&rest).unwrap();
        child(&mut bench, ChildEvent::Connected { nonce: NONCE }).unwrap();
        assert_eq!(bench.told, [(1, vec![1]), (1, NONCE.to_vec())]);
        bench
    };
    let mut bench = with();
    let said = answer("secret", &NONCE);
    child(&mut bench, ChildEvent::Control(&said[..20])).unwrap();
    child(&mut bench, ChildEvent::Control(&said[20..])).unwrap();
    assert_eq!(bench.told[2], (1, b"OK\0".to_vec()));
    bench.pass(quick().pause - Duration::from_millis(10)).unwrap();
    assert_eq!((bench.told.len(), bench.replies.len()), (3, 2), "originals would swallow what comes at once");
    bench.pass(Duration::from_millis(20)).unwrap();
    assert_eq!((bench.told.len(), bench.replies.len()), (5, 3));
    let outcome = child(&mut with(), ChildEvent::Control(&answer("wrong", &NONCE)));
    assert!(matches!(outcome, Err(Halt::Failed(Error::Child { why: ChildLoss::Password, .. }))));
    let outcome = with().pass(Duration::from_secs(60));
    assert!(matches!(outcome, Err(Halt::Failed(Error::Child { why: ChildLoss::Silent, .. }))));
}

#[test]
fn n_d5_a_child_that_goes_before_and_after_it_was_ready() {
    let mut bench = linked(wish());
    child(&mut bench, ChildEvent::Control(b"Client 10.77.0.3 configured\n")).unwrap();
    let outcome = child(&mut bench, ChildEvent::Closed);
    assert!(matches!(outcome, Err(Halt::Failed(Error::Child { why: ChildLoss::Closed, .. }))), "{outcome:?}");
    let mut bench = receiving(wish());
    child(&mut bench, ChildEvent::Closed).unwrap();
    assert!(bench.others.contains(&Action::Drop { child: 1 }));
    let replies = bench.replies.len();
    sent(&mut bench, 3000);
    assert_eq!(bench.done, Some(Received { total: 3000, chain_complete: false }));
    assert_eq!(bench.replies.len(), replies, "nothing is echoed");
}

#[test]
fn n_d5_what_the_child_echoes_is_echoed() {
    for echo in [3000_u64, 2999] {
        let mut bench = receiving(wish());
        sent(&mut bench, 3000);
        assert_eq!(bench.told.last().unwrap(), &(1, 3000_u64.to_le_bytes().to_vec()));
        assert!(bench.done.is_none() && bench.others.contains(&Action::Note(Progress::EchoAwaited { children: 1 })));
        let bytes = echo.to_le_bytes();
        child(&mut bench, ChildEvent::Control(&bytes[..3])).unwrap();
        child(&mut bench, ChildEvent::Control(&bytes[3..])).unwrap();
        assert_eq!(bench.done, Some(Received { total: 3000, chain_complete: echo == 3000 }));
        assert_eq!(bench.replies.last().unwrap(), &bytes);
    }
    // It never comes: our copy is good all the same.
    let mut bench = receiving(wish());
    sent(&mut bench, 3000);
    let replies = bench.replies.len();
    bench.pass(quick().echo + Duration::from_secs(1)).unwrap();
    assert_eq!(bench.done, Some(Received { total: 3000, chain_complete: false }));
    assert_eq!(bench.replies.len(), replies);
}

#[test]
fn n_d5_silence_behind_a_slow_child_is_ours() {
    let mut bench = receiving(Wish::default());
    bench.step(Event::Data(&[1; 100])).unwrap();
    // It takes something every 20 s.
    for _ in 0..10 {
        child(&mut bench, ChildEvent::Behind).unwrap();
        bench.pass(Duration::from_secs(20)).unwrap();
    }
    child(&mut bench, ChildEvent::CaughtUp).unwrap();
    bench.pass(Duration::from_secs(29)).unwrap();
    // Then the parent is silent.
    let outcome = bench.pass(Duration::from_secs(2));
    assert!(matches!(outcome, Err(Halt::Failed(Error::Silent { received: 100, .. }))), "{outcome:?}");
    // It takes nothing any more.
    let mut bench = receiving(Wish::default());
    bench.step(Event::Data(&[1; 100])).unwrap();
    child(&mut bench, ChildEvent::Behind).unwrap();
    bench.pass(Duration::from_secs(31)).unwrap();
    assert!(bench.others.contains(&Action::Drop { child: 1 }));
    sent(&mut bench, 50);
}

#[test]
fn n_d5_a_child_is_tried_once_a_second_for_ten_minutes() {
    let mut bench = Bench::new(Wish::default());
    let clients = ["10.77.0.2".to_owned(), "10.77.0.3".to_owned()];
    bench.introduced(&head_2(&text(2, 1, &clients))).unwrap();
    let begun = bench.now;
    let outcome = loop {
        let before = bench.others.len();
        if let Err(why) = child(&mut bench, ChildEvent::Refused).and_then(|()| bench.pass(Duration::from_secs(1))) {
            break why;
        }
        let again = |action: &Action| matches!(action, Action::Connect { child: 1, .. });
        assert_eq!(bench.others[before..].iter().filter(|action| again(action)).count(), 1);
    };
    assert!(matches!(outcome, Halt::Failed(Error::Child { why: ChildLoss::Unreachable, .. })));
    assert!((599..=601).contains(&(bench.now - begun).as_secs()));
    let told = |action: &&Action| matches!(action, Action::Note(Progress::ChildAwaited { .. }));
    let told = bench.others.iter().filter(told).count();
    assert!((19..=21).contains(&told), "{told}");
}
