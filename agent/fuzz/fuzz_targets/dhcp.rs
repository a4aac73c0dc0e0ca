//! An answer of a DHCP server, of either family, as far as a lease.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_net::dhcp4::{Lease, Limits, Message};
use rdlive_net::dhcp6;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { device_mtu: 9000, payload_mtu: None, servers: vec![[10, 0, 2, 2].into()] };
    if let Ok(message) = Message::parse(data)
        && let Ok((lease, _)) = Lease::of(&message, [10, 0, 2, 2].into(), &limits)
    {
        assert!(lease.mtu.is_none_or(|mtu| (576..=9000).contains(&mtu)));
        assert!(lease.dns.len() <= 8 && lease.search.len() <= 16 && lease.routes.len() <= 130);
    }
    if let Ok(message) = dhcp6::Message::parse(data) {
        assert!(message.information.dns.len() <= 8 && message.identities.len() <= 8 && message.server.len() <= 130);
        let iaid = message.identities.first().map_or(0, |identity| identity.iaid);
        if let Ok(lease) = dhcp6::Lease::of(&message, iaid) {
            assert!(!lease.address.is_multicast() && lease.valid.is_none_or(|valid| valid.as_secs() >= 30));
        }
    }
});
