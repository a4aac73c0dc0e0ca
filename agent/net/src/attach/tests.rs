//! Real interfaces in networks of the test's own: which are taken, which leads to a server, and what is left.

mod chosen;
mod hostile;
mod names;
mod six;
mod twin;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdlive_sys::apart;
use rdlive_sys::packet::{Frames, Kind, PacketSocket};

use super::*;
use crate::grammar::{Wish, Word};
use crate::link::{Lifetime, Link, RouteOptions};

/// Longer than anything here takes on a machine that does a lot besides.
const LONG: Duration = Duration::from_secs(30);

pub(super) fn wish(line: &str) -> Wish {
    let words = line.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((key, value)) => Word { key, value: Some(value) },
        None => Word { key: word, value: None },
    });
    Wish::parse(words).0
}

/// A card on PCI at this place, in the `/sys` below `root`.
pub(super) fn card(root: &Path, name: &str, place: &str) {
    let device = root.join("sys/devices/pci0000:00").join(place);
    let (net, class) = (device.join("net").join(name), root.join("sys/class/net"));
    fs::create_dir_all(&net).unwrap();
    fs::create_dir_all(&class).unwrap();
    for (target, link) in [
        (Path::new("/sys/bus/pci"), device.join("subsystem")),
        (Path::new("../.."), net.join("device")),
        (net.as_path(), class.join(name)),
    ] {
        let _ = fs::remove_file(&link);
        symlink(target, link).unwrap();
    }
    for (key, value) in [("type", "1"), ("iflink", "2"), ("ifindex", "2"), ("name_assign_type", "1")] {
        fs::write(net.join(key), value).unwrap();
    }
}

/// An interface as the kernel tells it when it is new; the last byte of its hardware address is its number.
pub(super) fn plain(index: u32, name: &str) -> Link {
    let mac = HardwareAddress::new(&[0x52, 0x54, 0, 0, 0, u8::try_from(index).unwrap()]);
    Link {
        index,
        name: name.to_owned(),
        altnames: Vec::new(),
        mac,
        permanent: None,
        up: false,
        carrier: false,
        carrier_changes: 0,
        loopback: false,
        master: None,
        mtu: 1500,
        max_mtu: None,
        kind: None,
    }
}

fn address(text: &str) -> Address {
    let (ip, prefix) = text.split_once('/').unwrap();
    Address { ip: ip.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

/// As the iPXE script of `rdlive-image pxe --vlan` names them.
#[test]
fn k9_a_vlan_carries_none_although_it_has_the_address_of_its_card() {
    let mac = HardwareAddress::parse("02:00:00:00:00:11");
    let link = |name: &str, kind: Option<&str>| Link {
        index: 2,
        name: name.to_owned(),
        altnames: Vec::new(),
        mac,
        permanent: None,
        up: true,
        carrier: true,
        carrier_changes: 1,
        loopback: false,
        master: None,
        mtu: 1500,
        max_mtu: None,
        kind: kind.map(str::to_owned),
    };
    let ids = |line: &str, name: &str, kind: Option<&str>| {
        let vlans = course::carried(&wish(line), &link(name, kind));
        vlans.iter().map(|vlan| vlan.id).collect::<Vec<_>>()
    };
    let by_address = "BOOTIF=01-02-00-00-00-00-11 vlan=vlan5:02-00-00-00-00-11 vlan=vlan6:02-00-00-00-00-11";
    assert_eq!(ids(by_address, "eth0", None), [5, 6]);
    assert_eq!(ids(by_address, "vlan5", Some("vlan")), [0; 0]);
    assert_eq!(ids("vlan=vlan6:vlan5", "vlan5", Some("vlan")), [6]);
}

/// Another network, with a thread in it that does what it is told.
struct There(mpsc::Sender<Box<dyn FnOnce() + Send>>);

impl There {
    fn new() -> Self {
        let (send, receive) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        thread::spawn(move || {
            apart::without_network().unwrap();
            receive.into_iter().for_each(|todo| todo());
        });
        Self(send)
    }

    fn run<T: Send + 'static>(&self, todo: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.0.send(Box::new(move || done.send(todo()).unwrap())).unwrap();
        result.recv().unwrap()
    }

    /// The far end of a cable, with this address, up.
    fn far_end(&self, near: &mut Handle, names: (&str, &str), own: Option<&str>) {
        let namespace = self.run(|| File::open("/proc/thread-self/ns/net").unwrap());
        near.add_veth(names.0, names.1, &namespace).unwrap();
        let (name, own) = (names.1.to_owned(), own.map(address));
        self.run(move || {
            let mut handle = Handle::open().unwrap();
            let index = handle.links().unwrap().into_iter().find(|link| link.name == name).unwrap().index;
            handle.up(index).unwrap();
            own.into_iter().for_each(|own| handle.add_address(index, own, Lifetime::Forever).unwrap());
        });
    }

    /// A server that says hello.
    fn listen(&self, at: &str) {
        let at: std::net::SocketAddr = at.parse().unwrap();
        self.run(move || {
            let end = Instant::now() + LONG;
            // Until the kernel lets an address of IPv6 be used.
            let listener = loop {
                match TcpListener::bind(at) {
                    Ok(listener) => break listener,
                    Err(error) => assert!(Instant::now() < end, "{at}: {error}"),
                }
                thread::sleep(Duration::from_millis(20));
            };
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(b"hello");
                }
            });
        });
    }
}

/// Runs a test in a thread with a network of its own.
fn in_a_network(test: impl FnOnce(&mut Handle, &There) + Send + 'static) {
    let (done, result) = mpsc::channel();
    let runner = thread::spawn(move || {
        apart::without_network().expect("a network namespace: these tests need CAP_SYS_ADMIN");
        test(&mut Handle::open().unwrap(), &There::new());
        done.send(()).unwrap();
    });
    let ended = result.recv_timeout(LONG * 3);
    assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "the test hangs");
    runner.join().expect("the test has failed");
}

/// What was told until all of these cards have an address and a carrier.
fn until_up(attached: &Attached, names: &[&str]) -> Vec<String> {
    let end = Instant::now() + LONG;
    let mut told = Vec::new();
    loop {
        told.extend(attached.wait(Duration::from_millis(50)).iter().map(ToString::to_string));
        let cards = attached.cards();
        let is_up =
            |name: &&str| cards.iter().any(|card| card.name == **name && card.carrier && !card.addresses.is_empty());
        if names.iter().all(is_up) {
            return told;
        }
        assert!(Instant::now() < end, "{names:?} are not up: {cards:?}; {told:?}");
    }
}

/// A child that does not outlive its test.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl There {
    /// dnsmasq on an interface there; `cargo lab install` brings it.
    fn dnsmasq(&self, interface: &str, options: &str) -> Process {
        let mut command = std::process::Command::new("dnsmasq");
        let all = "--keep-in-foreground --conf-file=/dev/null --user=root --group=root --pid-file= --no-ping \
                   --dhcp-authoritative --bind-interfaces --leasefile-ro --log-facility=/dev/null --interface";
        command.args(all.split_whitespace()).arg(interface).args(options.split_whitespace());
        // Names are looked up elsewhere, unless they are asked for.
        command.args((!options.contains("--port=")).then_some("--port=0"));
        command.stdin(std::process::Stdio::null());
        Process(self.run(move || command.spawn().expect("dnsmasq")))
    }

    /// Answers each ARP request on an interface there, whichever address it asks for, from this hardware address.
    fn answers_every_arp(&self, interface: &str, mac: HardwareAddress) {
        let name = interface.to_owned();
        self.run(move || {
            let index =
                Handle::open().unwrap().links().unwrap().into_iter().find(|link| link.name == name).unwrap().index;
            let socket = PacketSocket::open(index, Frames::Payload(0x0806)).unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                loop {
                    match socket.receive(&mut buffer) {
                        Ok(Some(received)) if received.kind != Kind::Outgoing && buffer[7] == 1 => {
                            let (asker, wanted) = (buffer[8..18].to_vec(), buffer[24..28].to_vec());
                            let reply = [&[0, 1, 8, 0, 6, 4, 0, 2][..], mac.bytes(), &wanted, &asker].concat();
                            let _ = socket.send(&asker[..6], &reply);
                        }
                        Err(error) if error.kind() != io::ErrorKind::NetworkDown => return,
                        _ => thread::sleep(Duration::from_millis(5)),
                    }
                }
            });
        });
    }
}

/// network-field.md kind 8a: of two interfaces in one segment the kernel lets the second answer for the address of the first.
#[test]
fn an_answer_of_an_own_interface_is_no_conflict() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        there.far_end(near, ("cable1", "server1"), None);
        let own = near.links().unwrap().into_iter().find(|link| link.name == "cable1").unwrap().mac.unwrap();
        there.answers_every_arp("server0", own);
        let _server = there.dnsmasq("server0", "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m");
        let attached = Attached::begin(wish("ip=cable0:dhcp"), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable0"]);
        assert!(told.iter().all(|line| !line.contains("has 192.0.2.")), "{told:?}");
    });
}

/// N-N8: an MTU of the command line may be what an AoE payload of 8704 bytes needs; a lease does not make it smaller.
#[test]
fn n_n8_a_lease_goes_not_below_the_mtu_of_the_command_line() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        let options = "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m --dhcp-option=option:mtu,1400";
        let _server = there.dnsmasq("server0", options);
        let mtu = |near: &mut Handle| near.links().unwrap().into_iter().find(|link| link.name == "cable0").unwrap().mtu;
        for (line, expected) in [("ip=cable0:dhcp:9000", 9000), ("ip=cable0:dhcp:1300", 1400)] {
            let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
            let told = until_up(&attached, &["cable0"]);
            assert_eq!(mtu(near), expected, "{line}");
            let is_said = told.iter().any(|line| line.contains("an MTU of 1400 is not set, 9000 to"));
            assert_eq!(is_said, expected == 9000, "{told:?}");
        }
    });
}

fn hello(reach: &Reach, to: &str) -> io::Result<String> {
    let mut stream = reach.connect(to.parse().unwrap(), None, Duration::from_secs(3))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

#[test]
fn an_address_of_the_command_line_leads_to_a_server_and_leaves_nothing() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        there.listen("192.0.2.1:80");
        let attached =
            Attached::begin(wish("ip=192.0.2.9::192.0.2.1:24:node7:cable0:none:192.0.2.53"), Path::new("/")).unwrap();
        let told = until_up(&attached, &["cable0"]);
        assert!(told.iter().any(|line| line == "cable0: 192.0.2.9/24"), "{told:?}");
        let card = attached.cards().remove(0);
        assert_eq!(card.dns, ["192.0.2.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(card.hostname.map(|name| name.to_string()).as_deref(), Some("node7"));
        assert_eq!(hello(&attached.reach(), "192.0.2.1:80").unwrap(), "hello");
        let unreached = hello(&attached.reach(), "[2001:db8::1]:80").unwrap_err();
        assert_eq!(unreached.kind(), io::ErrorKind::NetworkUnreachable);
        attached.end(Leave::Clean);
        let own = near.addresses().unwrap().into_iter().filter(|(_, own)| *own == address("192.0.2.9/24")).count();
        assert_eq!(own, 0);
    });
}

/// Both have addresses of one network; only the second has the server at its other end (network.md 4.3).
#[test]
fn the_interface_that_reaches_the_server_wins_and_is_asked_first_from_then_on() {
    in_a_network(|near, there| {
        let nowhere = There::new();
        nowhere.far_end(near, ("cable0", "other0"), None);
        there.far_end(near, ("cable1", "server1"), Some("192.0.2.1/24"));
        there.listen("192.0.2.1:80");
        let line = "ip=192.0.2.8::192.0.2.1:24::cable0:none ip=192.0.2.9::192.0.2.1:24::cable1:none BOOTIF=cable0";
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["cable0", "cable1"]);
        let reach = attached.reach();
        assert_eq!(hello(&reach, "192.0.2.1:80").unwrap(), "hello");
        let begun = Instant::now();
        assert_eq!(hello(&reach, "192.0.2.1:80").unwrap(), "hello");
        assert!(begun.elapsed() < Duration::from_millis(200), "the other one is tried first: {:?}", begun.elapsed());
        attached.end(Leave::AsItIs);
        let own: Vec<Address> = near.addresses().unwrap().into_iter().map(|(_, own)| own).collect();
        assert!(own.contains(&address("192.0.2.9/24")), "{own:?}");
    });
}

/// The kernel takes a leased address away when nobody asks for more time; a root over it would hang (network.md 4.6, row 9).
#[test]
fn a_leased_address_that_stays_has_no_end() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        let link = near.links().unwrap().into_iter().find(|link| link.name == "cable0").unwrap();
        near.up(link.index).unwrap();
        let mut card = card::Worked::followed(&link, 200, Path::new("/"), &mut Vec::new());
        for (last, is_leased) in [("192.0.2.9/24", true), ("198.51.100.9/24", false)] {
            let address = address(last);
            near.add_address(link.index, address, Lifetime::For(Duration::from_secs(2))).unwrap();
            card.card.given.push(Given { address, routes: Vec::new(), is_leased });
        }
        card.keep(near);
        let own = |near: &mut Handle| -> Vec<Address> {
            near.addresses().unwrap().into_iter().map(|(_, own)| own).filter(|own| own.ip.is_ipv4()).collect()
        };
        let end = Instant::now() + LONG;
        while own(near).contains(&address("198.51.100.9/24")) {
            assert!(Instant::now() < end, "the kernel takes nothing away");
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(Duration::from_secs(1));
        assert_eq!(own(near), [address("192.0.2.9/24")]);
    });
}

#[test]
fn only_interfaces_that_are_meant_are_touched_and_ifname_gives_names() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        there.far_end(near, ("cable1", "server1"), None);
        let mac = near.links().unwrap().into_iter().find(|link| link.name == "cable1").unwrap().mac.unwrap();
        let line = format!("ifname=boot0:{mac} ip=192.0.2.9::192.0.2.1:24::boot0:none");
        let attached = Attached::begin(wish(&line), Path::new("/")).unwrap();
        until_up(&attached, &["boot0"]);
        let links = near.links().unwrap();
        let named = |name: &str| links.iter().find(|link| link.name == name).unwrap();
        assert!(!named("cable0").up, "nobody asked for it");
        assert!(named("boot0").up);
        assert_eq!(attached.cards().len(), 1);
    });
}

#[test]
fn routes_of_the_command_line_are_set_with_the_address() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), None);
        let line = "ip=192.0.2.9:::24::cable0:none rd.route=10.1.0.0/16:192.0.2.1";
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["cable0"]);
        let routes: Vec<String> = near
            .routes()
            .unwrap()
            .into_iter()
            .filter(|(_, _, protocol)| *protocol == RouteOptions::STATIC)
            .map(|(_, route, _)| route.to_string())
            .collect();
        assert_eq!(routes, ["10.1.0.0/16 by 192.0.2.1"]);
    });
}

/// Nothing of ours is on the interfaces afterwards, and nothing of theirs is gone.
#[test]
fn what_another_program_brings_up_is_followed_and_left_alone() {
    in_a_network(|near, there| {
        there.far_end(near, ("cable0", "server0"), Some("192.0.2.1/24"));
        there.listen("192.0.2.1:80");
        let root = tempfile::tempdir().unwrap();
        let attached = Attached::follow(wish("ip=192.0.2.77::192.0.2.1:24::cable0:none"), root.path()).unwrap();
        thread::sleep(Duration::from_millis(300));
        let links = near.links().unwrap();
        let index = links.iter().find(|link| link.name == "cable0").map(|link| link.index).unwrap();
        assert!(links.iter().all(|link| link.name != "cable0" || !link.up), "nobody has set it up");
        let unreached = attached.reach().connect("192.0.2.1:80".parse().unwrap(), None, Duration::from_secs(1));
        assert!(unreached.is_err());
        near.up(index).unwrap();
        near.add_address(index, address("192.0.2.9/24"), Lifetime::Forever).unwrap();
        until_up(&attached, &["cable0"]);
        let own: Vec<Address> = attached.cards().into_iter().flat_map(|card| card.addresses).collect();
        assert_eq!(own, [address("192.0.2.9/24")]);
        assert_eq!(hello(&attached.reach(), "192.0.2.1:80").unwrap(), "hello");
        assert_eq!(attached.reach().addresses("server.example").err().map(|why| why.is_none()), Some(true));
        attached.end(Leave::Clean);
        let left: Vec<Address> = near.addresses().unwrap().into_iter().map(|(_, own)| own).collect();
        assert!(left.contains(&address("192.0.2.9/24")) && !left.contains(&address("192.0.2.77/24")), "{left:?}");
        // One that has its address already is known at once.
        let attached = Attached::follow(wish(""), root.path()).unwrap();
        until_up(&attached, &["cable0"]);
    });
}
