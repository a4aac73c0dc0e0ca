//! Servers with sockets of their own, which leave checksums to hardware as every program does.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::socket::Way;

/// Gives the other end its address.
fn serve_from(lab: &mut Lab) {
    let address = Address { ip: SERVER_IP.into(), prefix: 24 };
    lab.far.add_address(lab.far_end.index, address, Lifetime::Forever).unwrap();
}

/// network-field.md kind 7a on the real path: the kernel has not made the checksum when the frame arrives.
#[test]
fn a_server_on_the_same_host_leaves_the_checksum_unmade() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        serve_from(lab);
        let socket = lab.there.run(|| UdpSocket::bind((Ipv4Addr::from(SERVER_IP), SERVER)).unwrap());
        socket.set_broadcast(true).unwrap();
        let mut serve = |asked: &Asked| {
            let everybody = Ipv4Addr::new(192, 168, 50, 255);
            socket.send_to(&payload(asked, CLIENT_IP, OPTIONS), (everybody, CLIENT)).unwrap();
            vec![]
        };
        let outcomes = lab.run(&mut nic, &mut serve, &is_up);
        assert!(matches!(outcomes.as_slice(), [Outcome::Up(_)]), "{outcomes:?}");
    });
}

/// network-field.md kind 3: a connection goes over the interface that it belongs to, whatever the routes say.
#[test]
fn a_connection_belongs_to_an_interface() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        serve_from(lab);
        lab.run(&mut nic, &mut |asked| vec![answer(asked, CLIENT_IP, OPTIONS)], &is_up);
        let listener = lab.there.run(|| std::net::TcpListener::bind((Ipv4Addr::from(SERVER_IP), 0)).unwrap());
        let to = listener.local_addr().unwrap();
        let patience = Duration::from_secs(20);
        let stream = crate::socket::connect(to, Way::over(nic.index()), patience).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), IpAddr::from(CLIENT_IP));
        assert!(crate::socket::connect(to, Way::default(), patience).is_ok());
        let loopback = lab.handle.links().unwrap().into_iter().find(|link| link.loopback).unwrap();
        lab.handle.up(loopback.index).unwrap();
        let elsewhere = crate::socket::connect(to, Way::over(loopback.index), Duration::from_millis(100));
        assert!(elsewhere.is_err(), "{elsewhere:?}");
        let closed = SocketAddr::new(to.ip(), 1);
        let refused = crate::socket::connect(closed, Way::over(nic.index()), patience).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// The size of a segment (RFC 9293 3.2, option 2) in the next first packet of a connection that comes in at the far end.
fn announced(lab: &Lab) -> u16 {
    let mut buffer = [0; 2048];
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        let Some(received) = lab.server.receive(&mut buffer).unwrap_or(None) else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let frame = &buffer[..received.length];
        let is_first = frame.len() > 58 && frame[12..14] == [8, 0] && frame[23] == 6 && frame[47] == 2;
        if is_first && received.kind != Kind::Outgoing {
            let at = frame[54..].windows(2).position(|option| option == [2, 4]).unwrap() + 56;
            return u16::from_be_bytes([frame[at], frame[at + 1]]);
        }
    }
    panic!("no connection is made");
}

/// network-field.md kind 6: the other end is told to send packets that a tunnel carries.
#[test]
fn a_connection_can_have_small_segments() {
    in_a_network(|lab| {
        lab.handle.up(lab.client.index).unwrap();
        serve_from(lab);
        lab.handle
            .add_address(lab.client.index, Address { ip: CLIENT_IP.into(), prefix: 24 }, Lifetime::Forever)
            .unwrap();
        let listener = lab.there.run(|| std::net::TcpListener::bind((Ipv4Addr::from(SERVER_IP), 0)).unwrap());
        let to = listener.local_addr().unwrap();
        for (segment, announces) in [(None, 1460), (Some(1200), 1200)] {
            let way = Way { segment, ..Way::over(lab.client.index) };
            let _stream = crate::socket::connect(to, way, Duration::from_secs(20)).unwrap();
            assert_eq!(announced(lab), announces);
        }
    });
}

/// An address of the command line with a router outside of its subnet (kind 10), for real.
#[test]
fn a_fixed_address_reaches_a_router_outside() {
    in_a_network(|lab| {
        let index = lab.client.index;
        lab.handle.up(index).unwrap();
        serve_from(lab);
        let word = crate::grammar::Word { key: "ip", value: Some("10.0.0.9::192.168.50.1:32::cable0:none:1400") };
        let (wish, complaints) = crate::grammar::Wish::parse([word]);
        let fixed = crate::fixed::Fixed::of(&wish.requests[0]).unwrap();
        lab.handle.set_mtu(index, fixed.mtu.unwrap()).unwrap();
        assert_eq!((complaints.len(), fixed.apply(&mut lab.handle, index, 100).len()), (0, 0));
        lab.far
            .add_route(
                lab.far_end.index,
                Route::on_link([10, 0, 0, 9].into()),
                &RouteOptions { protocol: RouteOptions::STATIC, metric: 0, source: None },
            )
            .unwrap();
        let listener = lab.there.run(|| std::net::TcpListener::bind((Ipv4Addr::from(SERVER_IP), 0)).unwrap());
        let stream =
            crate::socket::connect(listener.local_addr().unwrap(), Way::default(), Duration::from_secs(20)).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), IpAddr::from([10, 0, 0, 9]));
        assert_eq!(lab.client_now().mtu, 1400);
    });
}

/// A child that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The server that most networks have; `cargo lab install` brings it.
#[test]
fn dnsmasq_gives_a_lease() {
    in_a_network(|lab| {
        let mut nic = lab.nic();
        serve_from(lab);
        let options = "--keep-in-foreground --conf-file=/dev/null --user=root --group=root --pid-file= --port=0 \
                       --no-ping --dhcp-authoritative --interface=server0 --bind-interfaces --leasefile-ro \
                       --dhcp-range=192.168.50.100,192.168.50.150,255.255.255.0,2m --dhcp-option=option:mtu,1400 \
                       --dhcp-option=option:ntp-server,192.168.50.7 \
                       --dhcp-option=option:domain-search,lab.test,other.test \
                       --dhcp-option=option:classless-static-route,0.0.0.0/0,192.168.50.1,10.9.0.0/16,192.168.50.2";
        let mut command = Command::new("dnsmasq");
        command.args(options.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
        let _server = Process(lab.there.run(move || command.spawn().unwrap()));
        let outcomes = lab.run(&mut nic, &mut |_| vec![], &is_up);
        let [Outcome::Up(lease)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        let text: Vec<_> = lease.routes.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["0.0.0.0/0 by 192.168.50.1", "10.9.0.0/16 by 192.168.50.2"]);
        assert_eq!(lease.search.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["lab.test", "other.test"]);
        assert_eq!((lease.mtu, lease.time, lab.client_now().mtu), (Some(1400), Some(Duration::from_secs(120)), 1400));
        assert_eq!(lease.ntp, [Ipv4Addr::new(192, 168, 50, 7)]);
        // At half of its time the lease is renewed, from our address to that of the server.
        lab.begun -= Duration::from_secs(61);
        let renewed = |outcomes: &[Outcome]| outcomes.iter().any(|outcome| matches!(outcome, Outcome::Renewed(_)));
        let outcomes = lab.run(&mut nic, &mut |_| vec![], &renewed);
        assert!(matches!(outcomes.as_slice(), [Outcome::Renewed(_)]), "{outcomes:?}");
    });
}
