//! A TFTP server of any kind: blocks go where they belong, none twice, none beyond what was promised, and the transfer ends.
#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::tftp::{Action, Source, Transfer};

// Pieces: how long it lasts until it comes, how long it is, its bytes.
fuzz_target!(|data: &[u8]| {
    let server = "10.0.0.1:69".parse().expect("an address");
    let ports = ["10.0.0.1:4000", "10.0.0.1:4001", "10.0.0.2:4000"].map(|from| from.parse().expect("an address"));
    let mut transfer = Transfer::new(Source { block: 16, ..Source::new("a.iso") }, server);
    let (mut now, mut rest, mut stored, mut promised) = (Duration::ZERO, data, HashSet::new(), None);
    if transfer.start(now).is_err() {
        return;
    }
    while let Some(([time, length], bytes)) = rest.split_first_chunk() {
        let (packet, after) = bytes.split_at(usize::from(length & 31).min(bytes.len()));
        rest = after;
        now += Duration::from_millis(u64::from(*time));
        let tick = if now >= transfer.deadline() { transfer.tick(now) } else { Ok(Vec::new()) };
        let Ok(tick) = tick else {
            return;
        };
        let from = ports[usize::from(length >> 6) % 3];
        let Ok(packets) = transfer.packet(now, from, packet) else {
            return;
        };
        for action in tick.into_iter().chain(packets) {
            match action {
                Action::Fresh => stored.clear(),
                Action::Begin(facts) => {
                    stored.clear();
                    promised = facts.size;
                }
                Action::Store { offset } => {
                    assert!(stored.insert(offset));
                    assert!(promised.is_none_or(|promised| offset + packet.len() as u64 - 4 <= promised));
                }
                Action::Done { size } => {
                    assert!(promised.is_none_or(|promised| size == promised));
                    return;
                }
                Action::Send { bytes, .. } => assert!(bytes.len() <= 512),
            }
        }
    }
    for _ in 0..100 {
        now = now.max(transfer.deadline());
        if transfer.tick(now).is_err() {
            return;
        }
    }
    panic!("{transfer:?} does not end");
});
