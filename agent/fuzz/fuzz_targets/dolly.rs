//! A dolly server of any kind, and a client behind us: the session ends in a bounded time, with an image only if all of it came.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::dolly::{Action, ChildEvent, Event, Key, Session, Wish};

/// What follows from an event, with answers at once; `false` at the end.
fn step(session: &mut Session, now: Duration, event: Event<'_>, stored: &mut u64) -> bool {
    let Ok(actions) = session.step(now, event) else {
        return false;
    };
    let mut queue = VecDeque::from(actions);
    while let Some(action) = queue.pop_front() {
        let event = match action {
            Action::Store { offset, length } => {
                assert_eq!(offset, *stored);
                *stored += length as u64;
                continue;
            }
            Action::Done(received) => {
                assert!(received.total <= *stored);
                return false;
            }
            Action::Resolve(names) => {
                let found: Vec<_> = names.iter().map(|_| Some([10, 0, 0, 9].into())).collect();
                match session.step(now, Event::Resolved(&found)) {
                    Ok(more) => queue.extend(more),
                    Err(_) => return false,
                }
                continue;
            }
            Action::AcceptData => Event::DataAccepted,
            Action::Finish => Event::Finished,
            Action::Connect { child, .. } => Event::Child(child, ChildEvent::Connected { nonce: [7; 32] }),
            _ => continue,
        };
        match session.step(now, event) {
            Ok(more) => queue.extend(more),
            Err(_) => return false,
        }
    }
    true
}

// The first byte says what we are; then pieces: what happens, how long it is, its bytes.
fuzz_target!(|data: &[u8]| {
    let Some((first, mut rest)) = data.split_first() else {
        return;
    };
    let key = (first & 1 != 0).then(|| Key::of("secret"));
    let limit = (first & 2 != 0).then_some(1 << 20);
    let wish = Wish { key, limit, names: vec!["node1".into()], ..Wish::default() };
    let (peer, local) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let (mut now, mut stored) = (Duration::ZERO, 0);
    let mut session = Session::new(wish, peer, local, now);
    while let Some(([what, length], bytes)) = rest.split_first_chunk() {
        let (bytes, after) = bytes.split_at(usize::from(*length).min(bytes.len()));
        rest = after;
        let child = usize::from(what >> 4);
        let event = match what & 15 {
            0..=4 => Event::Control(bytes),
            5 | 6 => Event::Data(bytes),
            7 => Event::DataClosed,
            8 => Event::ControlClosed,
            9 | 10 => Event::Child(child, ChildEvent::Control(bytes)),
            11 => Event::Child(child, ChildEvent::Refused),
            12 => Event::Child(child, ChildEvent::Behind),
            13 => Event::Child(child, ChildEvent::CaughtUp),
            14 => Event::Child(child, ChildEvent::Closed),
            _ => {
                now += Duration::from_millis(u64::from(*length) * 10);
                Event::Tick
            }
        };
        if !step(&mut session, now, event, &mut stored) {
            return;
        }
    }
    // Left alone it ends by itself.
    for _ in 0..2000 {
        let Some(next) = session.deadline() else {
            return;
        };
        now = now.max(next);
        if !step(&mut session, now, Event::Tick, &mut stored) {
            return;
        }
    }
    panic!("{session:?} does not end");
});
