//! Which of several interfaces are used, and what they are called (network-field.md kinds 3 to 5; N-P2).

use super::*;

/// A `/sys` in which these interfaces are cards on PCI.
fn sys(cards: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    cards.iter().for_each(|(name, place)| card(root.path(), name, place));
    root
}

fn link(handle: &mut Handle, name: &str) -> Link {
    handle.links().unwrap().into_iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn mac(handle: &mut Handle, name: &str) -> HardwareAddress {
    link(handle, name).mac.unwrap()
}

/// The addresses of IPv4 that an interface has.
fn own(handle: &mut Handle, name: &str) -> Vec<String> {
    let index = link(handle, name).index;
    let all = handle.addresses().unwrap().into_iter();
    all.filter(|(of, own)| *of == index && own.ip.is_ipv4()).map(|(_, own)| own.to_string()).collect()
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The far end of a cable, without a link for the near one.
fn unplugged(near: &mut Handle, there: &There, names: (&str, &str)) {
    there.far_end(near, names, None);
    plug(there, names.1, false);
}

fn plug(there: &There, name: &str, on: bool) {
    let name = name.to_owned();
    there.run(move || {
        let mut handle = Handle::open().unwrap();
        let index = link(&mut handle, &name).index;
        if on { handle.up(index).unwrap() } else { handle.down(index).unwrap() }
    });
}

#[test]
fn k5_a_card_has_udevs_name_and_each_of_its_names_means_it() {
    for word in ["enp0s3", "cable0", "MAC", "enxMAC"] {
        let test = move |near: &mut Handle, there: &There| {
            there.far_end(near, ("cable0", "server0"), None);
            there.far_end(near, ("cable1", "server1"), None);
            let own_mac = mac(near, "cable0").to_string();
            let word = match word {
                "MAC" => own_mac.replace(':', "-"),
                "enxMAC" => format!("enx{}", own_mac.replace(':', "")),
                word => word.to_owned(),
            };
            let root = sys(&[("cable0", "0000:00:03.0"), ("cable1", "0000:00:04.0")]);
            let attached = Attached::begin(wish(&format!("ip=192.0.2.9:::24::{word}:none")), root.path()).unwrap();
            until_up(&attached, &["enp0s3"]);
            assert_eq!(own(near, "enp0s3"), ["192.0.2.9/24"]);
            let idle: Vec<String> = attached.idle().iter().map(ToString::to_string).collect();
            let other = mac(near, "enp0s4");
            assert_eq!(idle, [format!("enp0s4 (cable1, {other}, not set up)")]);
            assert!(!link(near, "enp0s4").up, "nobody asked for it");
        };
        in_a_network(test);
    }
}

#[test]
fn k5_net_ifnames_0_leaves_the_kernels_name_and_the_others_mean_it() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        let root = sys(&[("cable0", "0000:00:03.0")]);
        let attached = Attached::begin(wish("net.ifnames=0 ip=192.0.2.9:::24::enp0s3:none"), root.path()).unwrap();
        until_up(&attached, &["cable0"]);
    });
}

/// Kind 5a: `ip=ens192:…`, and the only cabled card has another name.
#[test]
fn k5_the_only_interface_with_a_link_stands_in_for_a_name_that_is_not_there() {
    in_a_network(|near, there| {
        unplugged(near, there, ("cable0", "server0"));
        there.far_end(near, ("cable1", "server1"), None);
        let attached = Attached::begin(wish("ip=192.0.2.9:::24::ens192:none"), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable1"]);
        let expected = "ens192 is not there: cable1 is used instead, the only interface with a link";
        assert!(told.iter().any(|line| line == expected), "{told:?}");
        attached.end(Leave::Clean);
        assert!(!link(near, "cable0").up, "it was set up to see if it has a link");
    });
}

/// Kind 5b: the cable is in the other port.
#[test]
fn k5_an_address_moves_to_the_port_that_is_cabled() {
    in_a_network(|near, there| {
        unplugged(near, there, ("cable0", "server0"));
        there.far_end(near, ("cable1", "server1"), None);
        let attached = Attached::begin(wish("ip=192.0.2.9:::24::cable0:none"), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable1"]);
        assert!(told.iter().any(|line| line.starts_with("cable0 has no link: cable1 is used instead")), "{told:?}");
        assert!(own(near, "cable0").is_empty(), "both have the address");
    });
}

#[test]
fn k5_with_two_links_nobody_guesses() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        there.far_end(near, ("cable1", "server1"), None);
        let attached = Attached::begin(wish("ip=192.0.2.9:::24::ens192:none"), Path::new("/")).unwrap();
        until("both links are seen", || attached.idle().iter().filter(|card| card.carrier).count() == 2);
        thread::sleep(choice::PATIENCE + Duration::from_secs(1));
        assert!(attached.cards().is_empty(), "{attached:?}");
    });
}

/// N-P2, kind 4d.
#[test]
fn np2_each_spelling_of_bootif_chooses_and_one_that_fits_nothing_ends() {
    for spelling in ["01-52-54-00-00-00-22", "01-52:54:00:00:00:22", "52:54:00:00:00:22", "01:52:54:00:00:00:22"] {
        in_a_network(move |near, there| {
            there.far_end(near, ("cable0", "server0"), None);
            there.far_end(near, ("cable1", "server1"), None);
            let index = link(near, "cable1").index;
            near.set_mac(index, HardwareAddress::parse("52:54:00:00:00:22").unwrap()).unwrap();
            let line = format!("ip=192.0.2.9:::24:::none BOOTIF={spelling}");
            let attached = Attached::begin(wish(&line), Path::new("/")).unwrap();
            until_up(&attached, &["cable1"]);
            until("the other one is up, too", || link(near, "cable0").up);
            assert!(own(near, "cable0").is_empty(), "{spelling}");
        });
    }
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        let attached =
            Attached::begin(wish("ip=192.0.2.9:::24:::none BOOTIF=01-52-54-00-00-00-99"), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable0"]);
        let own_mac = mac(near, "cable0");
        let expected = format!(
            "52:54:00:00:00:99 is preferred and is not there, or has no link: all interfaces are used: \
             cable0 ({own_mac}, link up)"
        );
        assert!(told.contains(&expected), "{told:?}");
    });
}

/// Kind 4a.
#[test]
fn k4_of_two_with_one_hardware_address_one_has_the_address() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        there.far_end(near, ("cable1", "server1"), None);
        let (first, second) = (mac(near, "cable0"), link(near, "cable1").index);
        near.set_mac(second, first).unwrap();
        let attached = Attached::begin(wish("ip=192.0.2.9:::24:::none"), Path::new("/")).unwrap();
        until("one has it", || own(near, "cable0").len() + own(near, "cable1").len() == 1);
        until("both are up", || link(near, "cable0").carrier && link(near, "cable1").carrier);
        assert_eq!((own(near, "cable0").len(), own(near, "cable1").len()), (1, 0));
        plug(there, "server0", false);
        until("the other one has it", || own(near, "cable0").is_empty() && own(near, "cable1").len() == 1);
        drop(attached);
    });
}

/// Kind 4a: the synthetic card takes the function in.
#[test]
fn k4_an_interface_with_a_master_gets_no_address_and_loses_the_one_it_has() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        there.far_end(near, ("cable1", "server1"), None);
        near.add_bridge("over0").unwrap();
        let (master, part) = (link(near, "over0").index, link(near, "cable1").index);
        near.set_master(part, master).unwrap();
        let line = "ip=192.0.2.9:::24::cable0:none ip=198.51.100.9:::24::cable1:none";
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["cable0"]);
        assert!(own(near, "cable1").is_empty() && !link(near, "cable1").up, "it is a part of another one");
        let first = link(near, "cable0").index;
        near.set_master(first, master).unwrap();
        until("the address goes", || own(near, "cable0").is_empty());
        // The board is written when all of it is done.
        until("nobody counts on it", || attached.cards().iter().all(|card| card.addresses.is_empty()));
        near.set_master(part, 0).unwrap();
        until("one that is free again gets its address", || own(near, "cable1") == ["198.51.100.9/24"]);
        let told = attached.wait(Duration::ZERO);
        assert!(!told.iter().any(|news| matches!(news, News::Lost { .. })), "{told:?}");
    });
}

/// The metric of the default route over each interface.
fn metrics() -> Vec<(String, u32)> {
    let text = fs::read_to_string("/proc/thread-self/net/route").unwrap();
    let words = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let default = words.filter(|words| words[1] == "00000000");
    default.map(|words| (words[0].to_owned(), words[6].trim().parse().unwrap())).collect()
}

/// Kind 3: the kernel itself (NFS) takes the way that led to the server.
#[test]
fn k3_routes_of_the_one_that_reached_the_server_come_first() {
    in_a_network(|near, there| {
        let nowhere = There::new();
        nowhere.far_end(near, ("cable0", "other0"), None);
        there.far_end(near, ("cable1", "server1"), Some("198.51.100.1/24"));
        there.listen("198.51.100.1:80");
        let line = "ip=192.0.2.8::192.0.2.1:24::cable0:none ip=198.51.100.9::198.51.100.1:24::cable1:none";
        let attached = Attached::begin(wish(&format!("{line} bootdev=cable0")), Path::new("/")).unwrap();
        until_up(&attached, &["cable0", "cable1"]);
        assert_eq!(hello(&attached.reach(), "198.51.100.1:80").unwrap(), "hello");
        until("its route is the best", || {
            let best = metrics().into_iter().min_by_key(|(_, metric)| *metric);
            best.is_some_and(|(name, _)| name == "cable1")
        });
        // The old route goes when the new one is there, for nothing is to be without one.
        until("there is one for each", || metrics().len() == 2);
        assert_eq!(attached.cards().remove(0).name, "cable1");
    });
}

/// Kind 3a, and an address of the command line that is for no interface in particular: one machine has it once.
#[test]
fn k3_of_twelve_ports_the_cabled_one_is_used_within_a_second() {
    in_a_network(|near, there| {
        let names: Vec<String> = (0..12).map(|number| format!("cable{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let far = format!("server{number}");
            there.far_end(near, (name, &far), None);
            if number != 7 {
                plug(there, &far, false);
            }
        }
        let begun = Instant::now();
        let attached = Attached::begin(wish("ip=192.0.2.9:::24:::none"), Path::new("/")).unwrap();
        until_up(&attached, &["cable7"]);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} on a machine that does a lot besides; 1 s is meant");
        for name in names.iter().filter(|name| *name != "cable7") {
            assert!(own(near, name).is_empty(), "{name} has the address, too");
        }
    });
}

/// Kind 3d: only the one that gets its address later reaches the server.
#[test]
fn k3_a_connection_takes_an_interface_that_comes_later() {
    in_a_network(|near, there| {
        let nowhere = There::new();
        nowhere.far_end(near, ("cable0", "other0"), None);
        there.far_end(near, ("cable1", "server1"), Some("192.0.2.1/24"));
        there.listen("192.0.2.1:80");
        let line = "ip=192.0.2.8::192.0.2.1:24::cable0:none ip=192.0.2.9::192.0.2.1:24::cable1:none bootdev=cable0";
        let held = link(near, "cable1").index;
        near.add_bridge("over0").unwrap();
        let master = link(near, "over0").index;
        near.set_master(held, master).unwrap();
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["cable0"]);
        let reach = attached.reach();
        let (begun, connecting) = (
            Instant::now(),
            thread::spawn(move || {
                reach.connect("192.0.2.1:80".parse().unwrap(), None, Duration::from_secs(20)).map(drop)
            }),
        );
        thread::sleep(Duration::from_millis(700));
        near.set_master(held, 0).unwrap();
        connecting.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}
