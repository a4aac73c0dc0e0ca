//! Superblocks: any bytes, placed where a reader looks.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use rdlive::format::{identify, identify_all};

/// Where structures begin; the first byte of the input chooses one, so that the fuzzer need not write 64 KiB of zeros.
const PLACES: [usize; 6] = [0, 512, 1024, 4096, 0x8000, 0x1_0000];

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let mut image = vec![0; PLACES[usize::from(*choice) % PLACES.len()]];
    image.extend_from_slice(data);
    let best = identify(&mut Cursor::new(&image)).unwrap();
    let all = identify_all(&mut Cursor::new(&image)).unwrap();
    // The two must never disagree about whether there is anything.
    assert_eq!(best.is_some(), !all.is_empty(), "{best:?} {all:?}");
    if let Some(best) = best {
        assert!(all.contains(&best), "{best:?} {all:?}");
        let _ = best.truncated(image.len() as u64);
    }
});
