//! An image that comes compressed: bounded, and over, whatever it holds and in whichever pieces it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_fetch::sniff::Packing;
use rdlive_fetch::unpacker;

/// No input is worth more, and a run has to end.
const MOST: usize = 16 << 20;

fuzz_target!(|data: &[u8]| {
    let [first, piece, rest @ ..] = data else { return };
    let packing = [Packing::Xz, Packing::Zstd, Packing::Gzip][usize::from(first % 3)];
    let mut unpacker = unpacker(packing).expect("a thread");
    let mut given = 0;
    let mut take = |bytes: &[u8]| {
        given += bytes.len();
        if given > MOST { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    };
    for piece in rest.chunks(1 + usize::from(*piece)) {
        if unpacker.unpack(piece, &mut take).is_err() {
            return;
        }
    }
    let _ = unpacker.finish(&mut take);
});
