//! Files and boot entries of an ISO 9660 volume.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::fuzzing::{Disk, volume};

fuzz_target!(|data: &[u8]| volume(&mut Disk::of(data)));
