//! What comes from a packet socket: IPv4 packets, ARP packets, frames of switches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_net::dhcp4::ears::{Ears, Frame};
use rdlive_net::dhcp4::{arp, datagram};

fuzz_target!(|data: &[u8]| {
    let _ = (datagram(data), arp(data));
    let mut ears = Ears::default();
    ears.hear(Frame::read(data, None));
    assert!(!ears.heard().to_string().contains(char::is_control));
});
