use std::io::Cursor;

use super::*;
use crate::format::{identify, identify_all};

const SIZE: u64 = 64 << 20;

fn image(places: &[(u64, Vec<u8>)]) -> Cursor<Vec<u8>> {
    let mut image = vec![0; SIZE as usize];
    for (at, bytes) in places {
        image[*at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    Cursor::new(image)
}

#[test]
fn each_signature_is_known_alone_and_at_its_place() {
    for Signature { kind, writes } in signatures(SIZE) {
        let what = format!("{kind} by {writes:x?}");
        assert_eq!(identify_all(&mut image(&writes)).unwrap().first().map(|found| found.kind), Some(kind), "{what}");
        // A seat further on it is not.
        let aside: Vec<_> = writes.iter().map(|(at, bytes)| (at - at % 512 + (at + 16) % 512, bytes.clone())).collect();
        let found = identify_all(&mut image(&aside)).unwrap();
        assert!(found.iter().all(|found| found.kind != kind), "{what}, and 16 bytes on: {found:?}");
    }
}

/// What needs the end or far places is asked for only where emptiness is proven; all else by whoever looks at a device.
#[test]
fn what_lies_in_the_head_or_near_the_end_is_known_to_everyone() {
    let far = |kind, at| match kind {
        Kind::Vmfs => true,
        Kind::Ufs => at == UFS_FAR,
        Kind::Zfs => at == ZFS_LABEL + ZFS_LIST,
        _ => PROMISE.iter().any(|back| at == SIZE - back * 512) && at != SIZE - 512,
    };
    for Signature { kind, writes } in signatures(SIZE) {
        if !far(kind, writes[0].0) {
            let found = identify(&mut image(&writes)).unwrap().map(|found| found.kind);
            assert_eq!(found, Some(kind), "{kind} by {writes:x?}");
        }
    }
}

#[test]
fn short_inputs_hold_nothing() {
    for size in [0, 1, 511, 512, 4096, 65_535, 65_537, 131_585, 300_000] {
        assert_eq!(identify_all(&mut Cursor::new(vec![0; size])).unwrap(), [], "{size}");
    }
}
