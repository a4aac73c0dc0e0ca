//! Partition tables on disks of any size, and where they leave room.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::fuzzing::{Disk, tables};

fuzz_target!(|data: &[u8]| tables(&mut Disk::of(data)));
