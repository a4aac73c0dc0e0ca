//! How a file system was left: journals, logs, fingerprints, torn superblocks, LUKS headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::fuzzing::{Disk, left};

fuzz_target!(|data: &[u8]| left(&mut Disk::of(data)));
