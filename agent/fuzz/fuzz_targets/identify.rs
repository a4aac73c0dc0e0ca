//! Superblocks, wherever a reader looks for one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::fuzzing::{Disk, superblocks};

fuzz_target!(|data: &[u8]| superblocks(&mut Disk::of(data)));
