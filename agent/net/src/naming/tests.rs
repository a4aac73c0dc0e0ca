//! The names against udev's own answers, and what QEMU has no hardware for by the documented forms.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

/// Cards of QEMU and the answers of two versions of udev.
const SEEN: &str = include_str!("seen.txt");

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A device of the list: what it is, and its attributes.
fn device(sys: &Path, line: &str) {
    let mut words = line.split(' ');
    let (path, subsystem) = (sys.join("devices").join(words.next().unwrap()), words.next().unwrap());
    fs::create_dir_all(&path).unwrap();
    symlink(format!("/sys/bus/{subsystem}"), path.join("subsystem")).unwrap();
    let mut config = [0; 64];
    for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
        match key {
            "hdr" => config[14] = u8::from_str_radix(value, 16).unwrap(),
            "sun" => write(&path.join("firmware_node/sun"), &format!("{value}\n")),
            key => write(&path.join(key), &format!("{value}\n")),
        }
    }
    if subsystem == "pci" {
        fs::write(path.join("config"), config).unwrap();
    }
}

/// An interface of the list.
fn interface(sys: &Path, line: &str) -> String {
    let [name, device, mac] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let net = sys.join("devices").join(device).join("net").join(name);
    for (key, value) in [("type", "1"), ("iflink", "7"), ("ifindex", "7"), ("dev_port", "0"), ("name_assign_type", "1")]
    {
        write(&net.join(key), &format!("{value}\n"));
    }
    write(&net.join("address"), &format!("{mac}\n"));
    write(&net.join("addr_assign_type"), "0\n");
    symlink("../..", net.join("device")).unwrap();
    fs::create_dir_all(sys.join("class/net")).unwrap();
    symlink(&net, sys.join("class/net").join(name)).unwrap();
    name.to_owned()
}

fn shown(given: &Given) -> String {
    let all = [("onboard", &given.onboard), ("path", &given.path), ("slot", &given.slot)];
    all.iter().filter_map(|(key, name)| Some(format!("{key}={}", name.as_ref()?))).collect::<Vec<_>>().join(" ")
}

#[test]
fn names_are_those_that_udev_gave() {
    let (mut compared, mut differ) = (0, 0);
    for machine in SEEN.split("\nmachine ").skip(1) {
        let root = tempfile::tempdir().unwrap();
        let sys = root.path().join("sys");
        let (title, lines) = machine.split_once('\n').unwrap();
        let (mut facts, mut last) = (None, String::new());
        for line in lines.lines().filter(|line| !line.is_empty()) {
            match line.split_once(' ').unwrap() {
                ("slot", rest) => {
                    let (name, address) = rest.split_once(' ').unwrap();
                    write(&sys.join("bus/pci/slots").join(name).join("address"), &format!("{address}\n"));
                }
                ("dev", rest) => device(&sys, rest),
                ("net", rest) => {
                    let name = interface(&sys, rest);
                    facts = read(root.path(), &name);
                }
                ("", answer) => {
                    let (version, expected) = answer.trim().split_once(' ').unwrap();
                    let given = Given::of(facts.as_ref().unwrap(), Scheme::parse(&format!("v{version}")));
                    assert_eq!(shown(&given), expected, "{title}, {version}: {facts:?}");
                    assert!(given.mac.as_ref().unwrap().starts_with("enx"), "{given:?}");
                    differ += usize::from(version == "257" && last != expected);
                    last = expected.to_owned();
                    compared += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((compared, differ), (60, 2), "the list is read whole");
}

fn pci(bus: u32, device: u32, function: u32) -> Pci {
    Pci { bus, device, function, hops: vec![Hop::default()], ..Pci::default() }
}

fn card(place: Place) -> Facts {
    Facts {
        kind: Kind::Ethernet,
        present: Present::Counted,
        place,
        port_name: None,
        port: 0,
        permanent: Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        listed: None,
    }
}

fn all(facts: &Facts) -> Vec<String> {
    Given::of(facts, Scheme::LATEST).all().collect()
}

/// systemd.net-naming-scheme(7): domains, ports, routing of functions, virtual functions and what stands for them.
#[test]
fn what_tells_cards_apart_is_in_their_names() {
    let plain = pci(5, 0, 0);
    let slot = vec![Hop { slot: Some(3), ..Hop::default() }];
    let on_pci = |pci: Pci| card(Place::Pci(pci));
    let port = |name: Option<&str>, port| Facts { port_name: name.map(str::to_owned), port, ..on_pci(plain.clone()) };
    for (facts, expected) in [
        (on_pci(Pci { domain: 4, ..plain.clone() }), "enP4p5s0"),
        (on_pci(Pci { domain: 4, hops: slot.clone(), ..plain.clone() }), "enP4s3 enP4p5s0"),
        (on_pci(Pci { ari: true, device: 1, function: 2, ..plain.clone() }), "enp5s1f10"),
        (port(None, 1), "enp5s0d1"),
        (port(Some("p1"), 1), "enp5s0np1"),
        (port(Some("pf0vf3"), 1), "enp5s0r3"),
        (port(Some("pf0sf3"), 0), "enp5s0npf0sf3"),
        (port(Some("a_name_without_end"), 1), ""),
        (on_pci(Pci { onboard: Some(0), hops: slot.clone(), ..plain.clone() }), "eno0 ens3 enp5s0"),
        (on_pci(Pci { onboard: Some(65_535), ..plain.clone() }), "eno65535 enp5s0"),
        (on_pci(Pci { onboard: Some(65_536), ..plain.clone() }), "enp5s0"),
        (Facts { port: 1, ..on_pci(Pci { onboard: Some(2), ..plain.clone() }) }, "eno2d1 enp5s0d1"),
        (on_pci(Pci { onboard: Some(2), virtual_function: Some(0), ..plain.clone() }), "eno2v0 enp5s0v0"),
        (on_pci(Pci { hops: slot, virtual_function: Some(12), ..plain.clone() }), "ens3v12 enp5s0v12"),
        (card(Place::Xen(0)), "enX0"),
        (card(Place::Elsewhere), ""),
        (usb(None, &[1, 2], 1, 0), "enu1u2"),
        (usb(Some(pci(0, 29, 0)), &[1, 4], 2, 6), "enp0s29u1u4c2i6"),
        (usb(Some(pci(0, 29, 0)), &[1, 4, 4], 2, 6), ""),
        (Facts { kind: Kind::Wwan, ..usb(Some(pci(0, 29, 0)), &[1, 4], 1, 6) }, "wwp0s29u1u4i6"),
    ] {
        let found = all(&Facts { permanent: None, ..facts.clone() }).join(" ");
        assert_eq!(found, expected, "{facts:?}");
    }
    let infiniband = Facts { kind: Kind::Infiniband, permanent: None, ..on_pci(pci(21, 0, 1)) };
    assert_eq!(all(&infiniband), ["ibp21s0f1"]);
}

fn usb(host: Option<Pci>, ports: &[u32], config: u32, interface: u32) -> Facts {
    card(Place::Usb { host, ports: ports.to_vec(), config, interface })
}

#[test]
fn one_name_is_chosen_and_a_name_that_somebody_chose_stays() {
    let facts = card(Place::Pci(Pci { onboard: Some(1), ..pci(5, 0, 0) }));
    let given = Given::of(&facts, Scheme::LATEST);
    assert_eq!(given.chosen(Present::Counted), Some("eno1"));
    assert_eq!((given.chosen(Present::Chosen), given.chosen(Present::Predictable)), (None, None));
    let idrac = Given::of(&Facts { listed: Some("idrac"), ..facts }, Scheme::LATEST);
    assert_eq!(idrac.chosen(Present::Counted), Some("idrac"));
    // A name of its address is none that is chosen.
    let elsewhere = Given::of(&card(Place::Elsewhere), Scheme::LATEST);
    assert_eq!((elsewhere.mac.as_deref(), elsewhere.chosen(Present::Counted)), (Some("enx525400123456"), None));
}

/// The answers of udev 257 to each scheme, for a card behind a bridge in slot 11, alone and with several functions.
#[test]
fn the_scheme_decides_about_the_slot_of_a_bridge() {
    let behind = |has_functions| {
        let hops = vec![Hop::default(), Hop { slot: Some(11), is_bridge: true, ..Hop::default() }];
        card(Place::Pci(Pci { hops, has_functions, ..pci(1, 2, 0) }))
    };
    for (scheme, one, several) in [
        ("v240", Some("ens11"), Some("ens11f0")),
        ("v247", None, None),
        ("v249", None, None),
        ("v251", None, Some("ens11f0")),
        ("v254", None, Some("ens11f0")),
        ("v255", None, None),
        ("v257", None, Some("ens11f0")),
        ("latest", None, Some("ens11f0")),
        ("v9999", None, Some("ens11f0")),
    ] {
        let slot = |has_functions| Given::of(&behind(has_functions), Scheme::parse(scheme)).slot;
        assert_eq!((slot(false).as_deref(), slot(true).as_deref()), (one, several), "{scheme}");
    }
    let sun = Hop { sun: Some(4), ..Hop::default() };
    let card = card(Place::Pci(Pci { hops: vec![sun], ..pci(1, 2, 0) }));
    assert_eq!(Given::of(&card, Scheme::parse("v257")).slot.as_deref(), Some("ens4"));
    assert_eq!(Given::of(&card, Scheme::parse("v255")).slot, None);
}

#[test]
fn virtual_functions_virtual_interfaces_and_the_list_are_read() {
    let root = tempfile::tempdir().unwrap();
    let sys = root.path().join("sys");
    device(&sys, "pci0000:00/0000:05:00.0 pci class=0x020000 acpi_index=3 hdr=80");
    device(&sys, "pci0000:00/0000:05:02.1 pci class=0x020000");
    let physical = sys.join("devices/pci0000:00/0000:05:00.0");
    symlink("../0000:05:00.0", sys.join("devices/pci0000:00/0000:05:02.1/physfn")).unwrap();
    symlink("../0000:05:02.1", physical.join("virtfn9")).unwrap();
    interface(&sys, "eth0 pci0000:00/0000:05:02.1 52:54:00:12:34:56");
    let names = |name: &str| read(root.path(), name).map(|facts| all(&facts));
    assert_eq!(names("eth0").unwrap(), ["eno3v9", "enp5s0f0v9", "enx525400123456"]);
    // Azure's card.
    device(&sys, "pci7870:00/7870:00:00.0 pci class=0x020000 vendor=0x1414 device=0x00ba");
    interface(&sys, "eth1 pci7870:00/7870:00:00.0 52:54:00:12:34:57");
    assert_eq!(names("eth1").unwrap(), ["enp0s0", "enx525400123457"]);
    // An address that was made up, and an interface that is made of another one.
    write(&sys.join("class/net/eth1/addr_assign_type"), "1\n");
    assert_eq!(names("eth1").unwrap(), ["enp0s0"]);
    write(&sys.join("class/net/eth1/iflink"), "9\n");
    assert_eq!(names("eth1"), None);
    assert_eq!(names("nothing"), None);
    device(&sys, "pci0000:00/usb1/1-2 usb idVendor=413c idProduct=a102");
    device(&sys, "pci0000:00/usb1/1-2/1-2:1.0 usb");
    interface(&sys, "usb0 pci0000:00/usb1/1-2/1-2:1.0 52:54:00:12:34:58");
    assert_eq!(names("usb0").unwrap(), ["idrac", "enu2", "enx525400123458"]);
}

/// The kernel gives a free number again, which a person who writes it cannot know.
#[test]
fn a_number_that_is_given_again_counts_on() {
    for (name, taken, expected) in [
        ("eth0", &[] as &[&str], "eth0"),
        ("eth0", &["eth0"], "eth1"),
        ("eth0", &["eth0", "eth1"], "eth2"),
        ("eth1", &["eth0", "eth1", "eth3"], "eth2"),
        ("usb0", &["eth0"], "usb0"),
        ("lan", &["lan"], "lan"),
    ] {
        assert_eq!(counted(name, taken), expected, "{name} {taken:?}");
    }
}
