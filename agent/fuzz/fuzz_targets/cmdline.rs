//! The kernel command line and what it means.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::format::{udev_decode, udev_encode};

fuzz_target!(|text: &str| {
    let _ = rdlive::config::interpret_text(text);
    assert_eq!(udev_decode(&udev_encode(text)), text);
});
