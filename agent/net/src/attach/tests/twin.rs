//! Addresses of the command line that others have, or seem to have.

use super::*;

const LINE: &str = "ip=192.0.2.9::192.0.2.1:24::cable0:none:1400";

fn notices(attached: &Attached, until: impl Fn(&str) -> bool) -> Vec<String> {
    let end = Instant::now() + LONG;
    let mut told: Vec<String> = Vec::new();
    while !told.iter().any(|line| until(line)) {
        assert!(Instant::now() < end, "nobody says it: {told:?}; {:?}", attached.cards());
        told.extend(attached.wait(Duration::from_millis(50)).iter().map(ToString::to_string));
    }
    told
}

fn own(near: &mut Handle) -> Vec<Address> {
    near.addresses().unwrap().into_iter().map(|(_, own)| own).filter(|own| own.ip.is_ipv4()).collect()
}

/// network.md 4.4: two hosts with one address kill both roots.
#[test]
fn a_fixed_address_that_another_machine_has_is_not_used_until_it_is_free() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.9/24"));
        let attached = Attached::begin(wish(LINE), Path::new("/")).unwrap();
        let told = notices(&attached, |line| line.contains("has 192.0.2.9 already, so it is not used"));
        assert!(told.last().unwrap().contains("rd.live.net.conflict=use"), "{told:?}");
        assert_eq!((attached.cards()[0].addresses.len(), own(near)), (0, vec![]));
        there.run(|| {
            let mut handle = Handle::open().unwrap();
            let index = handle.links().unwrap().into_iter().find(|link| link.name == "server0").unwrap().index;
            handle.remove_address(index, address("192.0.2.9/24")).unwrap();
        });
        until_up(&attached, &["cable0"]);
        assert_eq!(own(near), [address("192.0.2.9/24")]);
        let link = near.links().unwrap().into_iter().find(|link| link.name == "cable0").unwrap();
        assert_eq!(link.mtu, 1400);
    });
}

#[test]
fn with_consent_it_is_used_all_the_same() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.9/24"));
        let line = format!("{LINE} rd.live.net.conflict=use");
        let attached = Attached::begin(wish(&line), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable0"]);
        assert!(told.iter().any(|line| line.contains("has 192.0.2.9 too, which is used")), "{told:?}");
    });
}

/// network-field.md kind 8b: user-mode stacks and virtual switches answer every ARP request.
#[test]
fn one_who_answers_for_every_address_is_no_twin() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        there.answers_every_arp("server0", HardwareAddress::parse("02:00:00:00:00:99").unwrap());
        let attached = Attached::begin(wish(LINE), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable0"]);
        assert!(told.iter().any(|line| line.contains("02:00:00:00:00:99 answers for every address")), "{told:?}");
    });
}
