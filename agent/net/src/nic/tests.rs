//! The client on the kernel: two interfaces with a cable between them, in a network of the test's own, and a server that answers by hand.

mod kernel;
mod router;
mod servers;

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rdlive_sys::apart;
use rdlive_sys::packet::{Frames, Kind, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::dhcp4::Limits;
use crate::grammar::Address;
use crate::hardware::HardwareAddress;
use crate::link::{Event as Change, Events};
use crate::route::Route;

/// Longer than anything here takes on a machine that does a lot besides.
const DEADLINE: Duration = Duration::from_secs(30);
const SERVER_IP: [u8; 4] = [192, 168, 50, 1];
const CLIENT_IP: [u8; 4] = [192, 168, 50, 111];

/// Runs a test in a thread with a network of its own.
fn in_a_network(test: fn(&mut Lab)) {
    let (done, result) = mpsc::channel();
    let runner = thread::spawn(move || {
        apart::without_network().expect("a network namespace: these tests need CAP_SYS_ADMIN");
        test(&mut Lab::new());
        done.send(()).unwrap();
    });
    // A test that hangs fails without holding up the others.
    let ended = result.recv_timeout(DEADLINE * 2);
    assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "the test hangs");
    runner.join().expect("the test has failed");
}

/// What a frame to the server was, and the frame that answers it.
struct Asked {
    kind: u8,
    frame: Vec<u8>,
}

/// Another network, and the thread that is in it.
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

    /// Does something in that network: sockets stay in the one where they were opened.
    fn run<T: Send + 'static>(&self, todo: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.0.send(Box::new(move || done.send(todo()).unwrap())).unwrap();
        result.recv().unwrap()
    }
}

struct Lab {
    handle: Handle,
    events: Events,
    /// Where the server is.
    there: There,
    /// The kernel there.
    far: Handle,
    /// All frames of its end.
    server: PacketSocket,
    /// Its end.
    far_end: Link,
    client: Link,
    begun: Instant,
    /// Messages of clients to servers, in order.
    asked: Vec<Asked>,
}

impl Lab {
    fn new() -> Self {
        let mut handle = Handle::open().unwrap();
        let events = Events::open().unwrap();
        let there = There::new();
        let namespace = there.run(|| std::fs::File::open("/proc/thread-self/ns/net").unwrap());
        handle.add_veth("cable0", "server0", &namespace).unwrap();
        let mut far = there.run(|| Handle::open().unwrap());
        let find = |handle: &mut Handle, name: &str| {
            handle.links().unwrap().into_iter().find(|link| link.name == name).unwrap()
        };
        let (client, far_end) = (find(&mut handle, "cable0"), find(&mut far, "server0"));
        let index = far_end.index;
        far.up(index).unwrap();
        let server = there.run(move || PacketSocket::open(index, Frames::Whole).unwrap());
        Self { handle, events, there, far, server, far_end, client, begun: Instant::now(), asked: vec![] }
    }

    fn nic(&mut self) -> Nic {
        let setup = Setup {
            mac: self.client.mac.unwrap(),
            hostname: None,
            client_id: None,
            vendor_class: None,
            requested: None,
            broadcast: false,
            rapid_commit: false,
            ipv6_only: false,
            limits: Limits { device_mtu: self.client.max_mtu.unwrap(), payload_mtu: None, servers: vec![] },
        };
        let mut state = 1u32;
        let random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let nic = Nic::open(&self.client, setup, RouteOptions::METRIC, Box::new(random)).unwrap();
        self.handle.up(self.client.index).unwrap();
        nic
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets client and server work until the outcomes are what is waited for. `serve` answers a message with frames.
    fn run(
        &mut self,
        nic: &mut Nic,
        serve: &mut dyn FnMut(&Asked) -> Vec<Vec<u8>>,
        until: &dyn Fn(&[Outcome]) -> bool,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let end = self.now() + DEADLINE;
        while !until(&outcomes) {
            assert!(self.now() < end, "it takes too long: {outcomes:?}");
            {
                let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                let mut ready: Vec<PollFd<'_>> =
                    nic.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
                ready.push(PollFd::new(&self.server, PollFlags::IN));
                ready.push(PollFd::new(&self.events, PollFlags::IN));
                poll(&mut ready, Some(&wait)).unwrap();
            }
            for change in self.events.read().unwrap() {
                if let Change::Link(link) = change
                    && link.index == nic.index()
                {
                    outcomes.extend(nic.link(self.begun.elapsed(), &link, &mut self.handle));
                }
            }
            outcomes.extend(nic.receive(self.begun.elapsed(), &mut self.handle));
            outcomes.extend(nic.event(self.begun.elapsed(), Event::Time, &mut self.handle));
            // How long it takes on a busy machine is not what is tested.
            outcomes.retain(|outcome| !matches!(outcome, Outcome::Say(Notice::Waiting { .. })));
            self.serve(serve);
        }
        outcomes
    }

    fn serve(&mut self, serve: &mut dyn FnMut(&Asked) -> Vec<Vec<u8>>) {
        let mut buffer = [0; 2048];
        // That its end is down is told once.
        while let Some(received) = self.server.receive(&mut buffer).unwrap_or(None) {
            let frame = &buffer[..received.length];
            let dhcp = frame.len() > 282 && frame[12..14] == [8, 0] && frame[36..38] == [0, 67];
            if received.kind == Kind::Outgoing || !dhcp {
                continue;
            }
            let asked = Asked { kind: frame[284], frame: frame.to_vec() };
            for answer in serve(&asked) {
                self.server.send(&[], &answer).unwrap();
            }
            self.asked.push(asked);
        }
    }

    /// Without those that were sent again because the machine is busy.
    fn kinds(&self) -> Vec<u8> {
        let mut kinds: Vec<u8> = self.asked.iter().map(|asked| asked.kind).collect();
        kinds.dedup();
        kinds
    }

    fn routes4(&mut self) -> Vec<(u32, Route, u8)> {
        let routes = self.handle.routes().unwrap();
        routes.into_iter().filter(|(_, route, _)| route.net.ip.is_ipv4()).collect()
    }

    fn client_now(&mut self) -> Link {
        let links = self.handle.links().unwrap();
        links.into_iter().find(|link| link.index == self.client.index).unwrap()
    }
}

/// An OFFER to a DISCOVER, an ACK to a REQUEST.
fn payload(asked: &Asked, yiaddr: [u8; 4], options: &[u8]) -> Vec<u8> {
    let (client, request) = (&asked.frame[6..12], &asked.frame[42..]);
    let mut payload = vec![0; 240];
    payload[..3].copy_from_slice(&[2, 1, 6]);
    payload[4..8].copy_from_slice(&request[4..8]);
    payload[16..20].copy_from_slice(&yiaddr);
    payload[28..34].copy_from_slice(client);
    payload[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    payload.extend([53, 1, if asked.kind == 1 { 2 } else { 5 }, 54, 4]);
    payload.extend(SERVER_IP);
    payload.extend([51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0]);
    payload.extend(options);
    payload.push(255);
    payload
}

/// The whole frame with an answer.
fn answer(asked: &Asked, yiaddr: [u8; 4], options: &[u8]) -> Vec<u8> {
    let payload = payload(asked, yiaddr, options);
    let mut packet = crate::dhcp4::broadcast(SERVER_IP.into(), &payload);
    packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
    // That of UDP is wrong, as one is that hardware was to make up (kind 7a).
    packet[26] ^= 0x55;
    [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 0], &packet].concat()
}

/// The same frame with a VLAN tag.
fn tagged(frame: &[u8], vlan: u8) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, vlan], &frame[12..]].concat()
}

fn is_up(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome, Outcome::Up(_)))
}

const OPTIONS: &[u8] = &[3, 4, 192, 168, 50, 1, 6, 4, 192, 168, 50, 1, 26, 2, 5, 0x78];

#[test]
fn a_lease_becomes_address_route_and_mtu() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        let mut serve = |asked: &Asked| vec![answer(asked, CLIENT_IP, OPTIONS)];
        let outcomes = lab.run(&mut nic, &mut serve, &is_up);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Up(_))), "{outcomes:?}");
        assert_eq!(lab.kinds(), [1, 3]);
        let own = Address { ip: CLIENT_IP.into(), prefix: 24 };
        assert!(lab.handle.addresses().unwrap().contains(&(nic.index(), own)));
        let default = (nic.index(), Route::default_by(SERVER_IP.into()), RouteOptions::DHCP);
        assert!(lab.handle.routes().unwrap().contains(&default), "{:?}", lab.handle.routes());
        assert_eq!(lab.client_now().mtu, 1400);
        assert_eq!(nic.flush(&mut lab.handle).len(), 0);
        assert_eq!(lab.routes4(), []);
        assert!(!lab.handle.addresses().unwrap().iter().any(|(_, address)| address.ip.is_ipv4()));
    });
}

/// network-field.md kind 7: wrong checksums and VLAN 0 are taken, VLAN 5 is not, and is counted.
#[test]
fn answers_of_another_vlan_are_not_ours() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        let mut frames: VecDeque<u8> = [5, 0, 0].into();
        let mut serve = |asked: &Asked| {
            let foreign = [192, 168, 60, 9];
            match frames.pop_front() {
                // The wrong one comes first, then the right one behind it.
                Some(0) => vec![tagged(&answer(asked, CLIENT_IP, OPTIONS), 0)],
                Some(vlan) => {
                    vec![tagged(&answer(asked, foreign, &[]), vlan), tagged(&answer(asked, CLIENT_IP, OPTIONS), 0)]
                }
                None => vec![],
            }
        };
        let outcomes = lab.run(&mut nic, &mut serve, &is_up);
        let [Outcome::Up(lease)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(lease.address.ip, IpAddr::from(CLIENT_IP));
        let wanted = [50, 4, 192, 168, 50, 111];
        let request = lab.asked.iter().find(|asked| asked.kind == 3).unwrap();
        assert!(request.frame.windows(6).any(|bytes| bytes == wanted), "the offer of the other VLAN was asked for");
        assert_eq!(nic.sockets.foreign(), 1);
        assert_eq!(nic.client.ears().heard().vlans, [5].into());
    });
}

/// network-field.md kind 8: the other end has the address already and says so.
#[test]
fn a_twin_on_the_link_leads_to_another_address() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        let server = lab.far_end.clone();
        let twin = Address { ip: CLIENT_IP.into(), prefix: 24 };
        lab.far.add_address(server.index, twin, Lifetime::Forever).unwrap();
        let mut serve = |asked: &Asked| vec![answer(asked, CLIENT_IP, OPTIONS)];
        let said = |outcomes: &[Outcome]| {
            outcomes.iter().any(|outcome| matches!(outcome, Outcome::Say(Notice::Conflict { .. })))
        };
        let outcomes = lab.run(&mut nic, &mut serve, &said);
        let [Outcome::Say(Notice::Conflict { address, mac })] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!((*address, HardwareAddress::new(mac)), (CLIENT_IP.into(), server.mac));
        lab.serve(&mut |_| vec![]);
        assert_eq!(lab.kinds(), [1, 3, 4]);
        lab.far.remove_address(server.index, twin).unwrap();
        // The pause of ten seconds need not be waited for.
        lab.begun -= Duration::from_secs(10);
        let outcomes = lab.run(&mut nic, &mut serve, &is_up);
        assert!(matches!(outcomes.as_slice(), [Outcome::Up(_)]), "{outcomes:?}");
    });
}

/// A cable that is pulled, and plugged in again: the carrier comes from the kernel.
#[test]
fn a_link_that_goes_and_comes_asks_again() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        let mut serve = |asked: &Asked| vec![answer(asked, CLIENT_IP, OPTIONS)];
        lab.run(&mut nic, &mut serve, &is_up);
        let server = lab.far_end.clone();
        // More than ten seconds after the change of the MTU.
        lab.begun -= Duration::from_secs(60);
        lab.far.down(server.index).unwrap();
        assert!(!lab.client_now().carrier);
        let now = lab.now();
        let link = lab.client_now();
        nic.link(now, &link, &mut lab.handle);
        lab.far.up(server.index).unwrap();
        let renewed = |outcomes: &[Outcome]| outcomes.iter().any(|outcome| matches!(outcome, Outcome::Renewed(_)));
        let outcomes = lab.run(&mut nic, &mut serve, &renewed);
        assert!(matches!(outcomes.as_slice(), [Outcome::Renewed(_)]), "{outcomes:?}");
        let (last, first) = (lab.asked.last().unwrap(), &lab.asked[0]);
        assert_eq!((last.kind, first.kind), (3, 1));
        assert_ne!(last.frame[46..50], first.frame[46..50], "a transaction of its own");
    });
}

/// network-field.md kind 10: a /32 and a router outside of it.
#[test]
fn a_router_outside_of_the_subnet_is_reached() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        let mut serve = |asked: &Asked| vec![answer(asked, CLIENT_IP, &[3, 4, 10, 0, 0, 1])];
        let outcomes = lab.run(&mut nic, &mut serve, &is_up);
        assert!(matches!(outcomes.as_slice(), [Outcome::Up(_)]), "{outcomes:?}");
        let routes = lab.handle.routes().unwrap();
        let default = Route::default_by([10, 0, 0, 1].into());
        assert!(routes.iter().any(|(_, route, _)| *route == default), "{routes:?}");
    });
}
