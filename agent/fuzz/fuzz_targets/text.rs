//! Texts and JSON from disks, the kernel and programs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rdlive::fuzzing::text(data));
