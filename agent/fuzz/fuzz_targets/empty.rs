//! The oracle of the proof that a place is empty.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rdlive::fuzzing::proofs(data));
