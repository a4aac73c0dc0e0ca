//! An answer of a DNS server to a question with the number in its first two bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_net::hostname::Hostname;
use rdlive_net::resolver::{Query, Reply, Want};

fuzz_target!(|data: &[u8]| {
    let Some(name) = Hostname::new("www.test") else { return };
    let id = u16::from_be_bytes([data.first().copied().unwrap_or(0), data.get(1).copied().unwrap_or(0)]);
    for want in [Want::V4, Want::V6] {
        if let Ok(Reply::Addresses(addresses)) = (Query { id, name: name.clone(), want }).read(data) {
            assert!(addresses.len() <= 16);
        }
    }
});
