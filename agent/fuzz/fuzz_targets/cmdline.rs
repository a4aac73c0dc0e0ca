//! The kernel command line and what it means.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rdlive::fuzzing::cmdline(data));
