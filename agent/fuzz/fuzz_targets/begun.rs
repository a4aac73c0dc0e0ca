//! The oracle of work that was begun and cut short.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rdlive::fuzzing::begun_work(data));
