//! Variants of network-field.md's kinds that are not on its page: what is written or plugged otherwise than anybody expects.

use super::*;

fn link(handle: &mut Handle, name: &str) -> Link {
    handle.links().unwrap().into_iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Gives an interface there one more address.
fn give(there: &There, name: &'static str, own: &'static str) {
    there.run(move || {
        let mut handle = Handle::open().unwrap();
        let index = link(&mut handle, name).index;
        handle.add_address(index, address(own), Lifetime::Forever).unwrap();
    });
}

/// Kind 10: the kernel takes no route whose source is an address that it still looks for twins of.
#[test]
fn k10_a_fixed_ipv6_address_has_its_router() {
    for router in ["fe80::1", "2001:db8:7::1"] {
        in_a_network(move |near, there| {
            if !Path::new("/proc/net/if_inet6").exists() {
                return;
            }
            there.far_end(near, ("cable0", "server0"), Some("2001:db8:7::1/64"));
            give(there, "server0", "fe80::1/64");
            give(there, "server0", "2001:db8:8::1/128");
            let line = format!("ip=[2001:db8:7::2]::[{router}]:64::cable0:none");
            let attached = Attached::begin(wish(&line), Path::new("/")).unwrap();
            there.listen("[2001:db8:8::1]:80");
            let mut told = until_up(&attached, &["cable0"]);
            let reach = attached.reach();
            let begun = Instant::now();
            let said = loop {
                match hello(&reach, "[2001:db8:8::1]:80") {
                    Err(error) if begun.elapsed() > Duration::from_secs(6) => break Err(error),
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                    Ok(said) => break Ok(said),
                }
            };
            told.extend(attached.wait(Duration::ZERO).iter().map(ToString::to_string));
            assert_eq!(said.ok().as_deref(), Some("hello"), "{router}: {told:?}");
            assert!(told.iter().all(|line| !line.contains("cannot")), "{told:?}");
            let index = link(near, "cable0").index;
            let left = |near: &mut Handle| {
                let routes = near.routes().unwrap();
                routes.into_iter().any(|(of, route, _)| of == index && route.net.ip.is_ipv6() && route.net.prefix == 0)
            };
            assert!(left(near));
            attached.end(Leave::Clean);
            assert!(!left(near), "the route stays");
        });
    }
}

/// Kind 10a: two addresses in a subnet (RFC 3021), and one.
#[test]
fn k10_a_subnet_of_two_addresses_and_one_of_one_have_their_router() {
    for (own, far, router) in [
        ("192.0.2.3:::31", "192.0.2.2/31", "192.0.2.2"),
        ("192.0.2.9:::32", "198.51.100.1/32", "198.51.100.1"),
        ("192.0.2.9:::24", "198.51.100.1/32", "198.51.100.1"),
    ] {
        in_a_network(move |near, there| {
            there.far_end(near, ("cable0", "server0"), Some(far));
            give(there, "server0", "203.0.113.1/32");
            there.run(|| {
                let mut handle = Handle::open().unwrap();
                let index = link(&mut handle, "server0").index;
                let options = RouteOptions { protocol: RouteOptions::STATIC, metric: 5, source: None };
                let back = Route { net: address("192.0.2.0/24"), gateway: None };
                handle.add_route(index, back, &options).unwrap();
            });
            there.listen("203.0.113.1:80");
            let line = format!("ip={}::cable0:none", own.replacen("::", &format!("::{router}"), 1));
            let attached = Attached::begin(wish(&line), Path::new("/")).unwrap();
            until_up(&attached, &["cable0"]);
            assert_eq!(hello(&attached.reach(), "203.0.113.1:80").unwrap(), "hello", "{line}");
        });
    }
}

/// Kinds 2c and 5c: the link goes three times while the server is asked, and the interface gets another name between.
#[test]
fn k5_a_link_that_flaps_and_an_interface_that_is_renamed_lead_to_one_lease() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        let attached = Attached::begin(wish("ip=dhcp"), Path::new("/")).unwrap();
        let plug = |on: bool| {
            there.run(move || {
                let mut handle = Handle::open().unwrap();
                let index = link(&mut handle, "server0").index;
                if on { handle.up(index).unwrap() } else { handle.down(index).unwrap() }
            });
        };
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(150));
            plug(false);
            thread::sleep(Duration::from_millis(150));
            plug(true);
        }
        let index = link(near, "cable0").index;
        near.rename(index, "other0").unwrap();
        let _server = there.dnsmasq("server0", "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m");
        until_up(&attached, &["other0"]);
        let own = near.addresses().unwrap().into_iter().filter(|(of, own)| *of == index && own.ip.is_ipv4()).count();
        assert_eq!((own, attached.cards().len()), (1, 1));
    });
}

#[test]
fn k23_the_first_kernel_that_renames_what_is_up_is_6_2() {
    for (release, expected) in
        [("6.1.0-40-amd64", false), ("5.15.0", false), ("6.2.0", true), ("6.12.1+", true), ("10.0", true), ("x", false)]
    {
        assert_eq!(course::renames_up(release.as_bytes()), expected, "{release}");
    }
}

/// The host may have no VLANs.
fn has_vlans(near: &mut Handle) -> bool {
    let index = link(near, "cable0").index;
    near.add_vlan("vlan9", 9, index).is_ok_and(|()| {
        let vlan = link(near, "vlan9").index;
        near.remove(vlan).unwrap();
        near.links().unwrap().iter().all(|link| link.name != "vlan9")
    })
}

/// Kind 23: what was made for this boot goes at its end, and a link whose name is final stays up, for a switch may make it wait again.
#[test]
fn k23_a_clean_end_leaves_links_up_and_no_vlan_behind() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        if !has_vlans(near) {
            return;
        }
        let line = "vlan=vlan5:cable0 ip=192.0.2.9:::24::vlan5:none ip=198.51.100.9:::24::cable0:none";
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["vlan5", "cable0"]);
        attached.end(Leave::Clean);
        let own: Vec<_> = near.addresses().unwrap().into_iter().filter(|(_, own)| own.ip.is_ipv4()).collect();
        assert_eq!(own, []);
        let names: Vec<String> = near.links().unwrap().into_iter().map(|link| link.name).collect();
        assert!(!names.contains(&"vlan5".to_owned()), "{names:?}");
        let cable = link(near, "cable0");
        assert!(cable.up && cable.carrier, "{cable:?}");
    });
}

/// The same without a VLAN. A server that is asked again sees the same machine.
#[test]
fn k23_a_clean_end_leaves_a_link_up() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        let attached = Attached::begin(wish("ip=192.0.2.9:::24::cable0:none"), Path::new("/")).unwrap();
        until_up(&attached, &["cable0"]);
        attached.end(Leave::Clean);
        let cable = link(near, "cable0");
        assert!(cable.up && cable.carrier, "{cable:?}");
        let ours = |(of, _, by): &(u32, Route, u8)| *of == cable.index && !RouteOptions::OF_KERNEL.contains(by);
        assert_eq!(near.routes().unwrap().into_iter().filter(ours).count(), 0);
    });
}

/// Kind 23: one that the root needs stays with its VLAN.
#[test]
fn k23_a_vlan_that_the_root_needs_stays() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        if !has_vlans(near) {
            return;
        }
        let attached =
            Attached::begin(wish("vlan=vlan5:cable0 ip=192.0.2.9:::24::vlan5:none"), Path::new("/")).unwrap();
        until_up(&attached, &["vlan5"]);
        attached.end(Leave::AsItIs);
        assert!(link(near, "vlan5").up && link(near, "cable0").up);
    });
}

/// Kind 23b: addresses that a router of IPv6 gave go too; the kernel takes them away with the link.
#[test]
fn k23_addresses_of_a_router_go_with_a_clean_end() {
    in_a_network(|near, there| {
        if !Path::new("/proc/net/if_inet6").exists() {
            return;
        }
        there.far_end(near, ("cable0", "server0"), Some("2001:db8:7::1/64"));
        let _router = there.dnsmasq("server0", "--enable-ra --dhcp-range=2001:db8:7::,ra-only,64");
        let attached = Attached::begin(wish("ip=auto6"), Path::new("/")).unwrap();
        until_up(&attached, &["cable0"]);
        attached.end(Leave::Clean);
        let index = link(near, "cable0").index;
        let global = |near: &mut Handle| {
            let all = near.addresses().unwrap().into_iter();
            all.filter(|(of, own)| *of == index && own.prefix == 64 && !own.to_string().starts_with("fe80")).count()
        };
        until("no address", || global(near) == 0);
        thread::sleep(Duration::from_secs(3));
        assert_eq!(global(near), 0, "it is back");
    });
}
