//! How a file system was left: journals, logs, fingerprints, torn superblocks, LUKS headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rdlive::fuzzing::left(data));
