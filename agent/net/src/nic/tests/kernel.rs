//! What the kernel is asked for, without a client.

use super::*;

#[test]
fn links_are_named_listed_and_changed() {
    in_a_network(|lab| {
        let index = lab.client.index;
        assert_eq!((lab.client.kind.as_deref(), lab.client.up, lab.client.carrier), (Some("veth"), false, false));
        lab.handle.rename(index, "lan").unwrap();
        let mac = HardwareAddress::parse("52:54:00:12:34:56").unwrap();
        lab.handle.set_mac(index, mac).unwrap();
        lab.handle.up(index).unwrap();
        let link = lab.client_now();
        assert_eq!((link.name.as_str(), link.mac, link.up, link.carrier), ("lan", Some(mac), true, true));
        let changes = lab.events.read().unwrap();
        assert!(
            changes.iter().any(|change| matches!(change, Change::Link(link) if link.name == "lan" && link.carrier))
        );
        let failure = lab.handle.set_mtu(index, 1_000_000).unwrap_err();
        assert_eq!(failure.source.kind(), io::ErrorKind::InvalidInput);
        assert!(failure.to_string().starts_with(&format!("setting the MTU of interface {index} to 1000000: ")));
        let lost = lab.handle.up(9999).unwrap_err();
        assert_eq!(lost.source.raw_os_error(), Some(19), "ENODEV");
    });
}

#[test]
fn addresses_have_lifetimes_and_routes_their_order() {
    in_a_network(|lab| {
        let index = lab.client.index;
        lab.handle.up(index).unwrap();
        for address in [
            Address { ip: [192, 0, 2, 9].into(), prefix: 32 },
            Address { ip: "2001:db8::9".parse().unwrap(), prefix: 128 },
        ] {
            lab.handle.add_address(index, address, Lifetime::For(Duration::from_secs(300))).unwrap();
            let router = if address.ip.is_ipv4() { [192, 0, 2, 1].into() } else { "2001:db8::1".parse().unwrap() };
            let options = RouteOptions { protocol: RouteOptions::STATIC, metric: 77, source: None };
            let alone = lab.handle.add_route(index, Route::default_by(router), &options);
            assert!(alone.is_err(), "nothing leads to the router: {address}");
            for route in crate::route::plan(address, [Route::default_by(router)]) {
                lab.handle.add_route(index, route, &options).unwrap();
            }
            let routes = lab.handle.routes().unwrap();
            assert!(routes.contains(&(index, Route::default_by(router), RouteOptions::STATIC)), "{routes:?}");
            lab.handle.remove_route(index, Route::default_by(router), &options).unwrap();
            lab.handle.remove_route(index, Route::default_by(router), &options).unwrap();
            lab.handle.remove_address(index, address).unwrap();
            lab.handle.remove_address(index, address).unwrap();
        }
        let changes = lab.events.read().unwrap();
        let count = |is: fn(&Change) -> bool| changes.iter().filter(|change| is(change)).count();
        assert!(count(|change| matches!(change, Change::Address { .. })) >= 2);
        assert!(count(|change| matches!(change, Change::AddressGone { .. })) >= 2);
        assert!(count(|change| matches!(change, Change::Route { .. })) >= 2);
        assert!(count(|change| matches!(change, Change::RouteGone { .. })) >= 2);
    });
}

#[test]
fn a_vlan_is_an_interface() {
    in_a_network(|lab| {
        match lab.handle.add_vlan("lan.5", 5, lab.client.index) {
            Ok(()) => {}
            // A kernel without 8021q: then the message has to say so.
            Err(failure) => {
                assert_eq!(failure.source.raw_os_error(), Some(95), "EOPNOTSUPP: {failure}");
                return;
            }
        }
        let vlan = lab.handle.links().unwrap().into_iter().find(|link| link.name == "lan.5").unwrap();
        assert_eq!((vlan.kind.as_deref(), vlan.mac), (Some("vlan"), lab.client.mac));
    });
}

/// The kernel takes an address away when its time is over.
#[test]
fn an_address_ends_with_its_lifetime() {
    in_a_network(|lab| {
        let index = lab.client.index;
        lab.handle.up(index).unwrap();
        let address = Address { ip: CLIENT_IP.into(), prefix: 24 };
        lab.handle.add_address(index, address, Lifetime::For(Duration::from_secs(1))).unwrap();
        let end = Instant::now() + DEADLINE;
        let gone = Change::AddressGone { index, address };
        while !lab.events.read().unwrap().contains(&gone) {
            assert!(Instant::now() < end, "it stays");
            thread::sleep(Duration::from_millis(50));
        }
    });
}
