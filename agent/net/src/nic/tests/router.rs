//! Case N-N4, the part that the kernel does: a router on the other end of the cable.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::*;
use crate::dhcp6::{Action, Goal};
use crate::{dhcp6, ip6};

/// A router advertisement (RFC 4861 4.2) with a prefix, a server for names and a domain, as a whole frame.
fn advertisement(flags: u8) -> Vec<u8> {
    let router: Ipv6Addr = "fe80::1".parse().unwrap();
    let everybody: Ipv6Addr = "ff02::1".parse().unwrap();
    let mut icmp = vec![134, 0, 0, 0, 64, flags, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0]);
    icmp.extend("2001:db8:7::".parse::<Ipv6Addr>().unwrap().octets());
    icmp.extend([25, 3, 0, 0, 0, 0, 2, 88]);
    icmp.extend("2001:db8:7::53".parse::<Ipv6Addr>().unwrap().octets());
    icmp.extend([31, 3, 0, 0, 0, 0, 2, 88]);
    icmp.extend(b"\x03lab\x04test\0\0\0\0\0\0\0");
    let length = u16::try_from(icmp.len()).unwrap();
    // RFC 8200 8.1: the sum goes over a part of the IPv6 header too.
    let parts = [&router.octets()[..], &everybody.octets(), &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58], &icmp];
    let mut sum: u32 = parts.concat().chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    icmp[2..4].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    let head =
        [&[0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0][..], &length.to_be_bytes(), &[58, 255]];
    [&head.concat()[..], &router.octets(), &everybody.octets(), &icmp].concat()
}

/// Sends advertisements until the state is what is waited for.
fn wait(lab: &mut Lab, state: &mut ip6::State, flags: u8, until: fn(&ip6::State) -> bool) {
    let end = Instant::now() + DEADLINE;
    for number in 1.. {
        if until(state) {
            break;
        }
        assert!(Instant::now() < end, "it takes too long: {state:?}");
        // The kernel tells of flags when they change, and once: on a busy machine that message may be lost.
        if number % 20 == 0 {
            lab.server.send(&[], &advertisement(flags ^ 0x40)).unwrap();
        }
        lab.server.send(&[], &advertisement(flags)).unwrap();
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        poll(&mut [PollFd::new(&lab.events, PollFlags::IN)], Some(&pause)).unwrap();
        for event in lab.events.read().unwrap() {
            state.take(lab.client.index, &event);
        }
    }
}

#[test]
fn n_n4_a_router_gives_address_route_and_servers() {
    in_a_network(|lab| {
        if !std::path::Path::new("/proc/sys/net/ipv6").is_dir() {
            // A kernel that was built without IPv6.
            return;
        }
        ip6::prepare(std::path::Path::new("/"), "cable0", ip6::Listens::Routers).unwrap();
        lab.handle.up(lab.client.index).unwrap();
        let mut state = ip6::State::default();
        let is_told =
            |state: &ip6::State| state.is_usable() && !state.dns.is_empty() && !state.search.is_empty() && !state.other;
        wait(lab, &mut state, 0, is_told);
        assert!(state.advertised && !state.managed, "{state:?}");
        assert!(state.global[0].ip.to_string().starts_with("2001:db8:7:"), "{state:?}");
        assert_eq!(state.dns, ["2001:db8:7::53".parse::<IpAddr>().unwrap()]);
        assert_eq!(state.search[0].as_str(), "lab.test");
        assert_eq!(state.goal(false), None);
        assert_eq!(state.goal(true), Some(Goal::Address));

        // The router says that there is more to be had (RA+O), and a server answers.
        wait(lab, &mut state, 0x40, |state| state.goal(false) == Some(Goal::Information));
        let index = lab.far_end.index;
        let server = lab.there.run(move || {
            let server = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, dhcp6::SERVER)).unwrap();
            server.join_multicast_v6(&dhcp6::EVERYBODY, index).unwrap();
            server.set_read_timeout(Some(DEADLINE)).unwrap();
            server
        });
        let own = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, dhcp6::CLIENT)).unwrap();
        own.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = dhcp6::Client::new(Duration::ZERO, lab.client.mac.unwrap(), Goal::Information, Box::new(|| 7));
        let Some(Action::Send(request)) = client.time(Duration::ZERO).pop() else { panic!("nothing is asked") };
        own.send_to(&request, SocketAddrV6::new(dhcp6::EVERYBODY, dhcp6::SERVER, 0, lab.client.index)).unwrap();
        let mut buffer = [0; 1500];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((buffer[0], from.ip()), (11, IpAddr::V6(state.link_local.unwrap())));
        let id = &buffer[4..18];
        let dns = "2001:db8:7::54".parse::<Ipv6Addr>().unwrap().octets();
        let answer = [&[7][..], &buffer[1..4], id, &[0, 2, 0, 4, 0, 3, 0, 1], &[0, 23, 0, 16], &dns].concat();
        assert!(length > 18);
        // The far end's own link-local address may still be tentative: then it cannot send.
        let end = Instant::now() + DEADLINE;
        while server.send_to(&answer, from).is_err() {
            assert!(Instant::now() < end, "the server cannot answer");
            thread::sleep(Duration::from_millis(50));
        }
        let (length, _) = own.recv_from(&mut buffer).unwrap();
        let Some(Action::Told(told)) = client.receive(Duration::ZERO, &buffer[..length]).pop() else {
            panic!("no answer")
        };
        assert_eq!(told.dns, [IpAddr::from(dns)]);
    });
}
