//! The kernel command line and what it means. What a misspelt karg may have meant is not looked for: that would be most of the work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive::cmdline::Cmdline;
use rdlive::config::{Conf, interpret};
use rdlive::format::{udev_decode, udev_encode};

fuzz_target!(|text: &str| {
    let _ = interpret(&Cmdline::parse(text), &Conf::default());
    assert_eq!(udev_decode(&udev_encode(text)), text);
});
