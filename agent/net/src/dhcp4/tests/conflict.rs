//! network-field.md kind 8: who answers an ARP probe; and kind 6: what our own change of the MTU looks like.

use super::*;

const TWIN: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A server that gives the next address each time one was declined.
fn generous() -> Server {
    let mut last = ADDRESS.octets()[3];
    Box::new(move |_, sent| {
        let kind = match sent.kind {
            1 => Type::Offer,
            3 => Type::Ack,
            4 => {
                last += 1;
                return vec![];
            }
            _ => return vec![],
        };
        vec![Answer { yiaddr: [10, 0, 2, last].into(), ..Answer::new(kind, sent.xid) }]
    })
}

#[test]
fn n_n3_a_twin_leads_to_another_address() {
    let mut world = World::new(setup(), generous());
    world.neighbour = Box::new(|address| (address == ADDRESS).then_some(TWIN));
    world.plug(secs(0));
    world.run(secs(20));
    assert_eq!(world.kinds(), [1, 3, 4, 1, 3]);
    let (_, decline) = &world.sent[2];
    assert_eq!(
        (decline.address(50), decline.address(54), decline.ciaddr),
        (Some(ADDRESS), Some(SERVER), [0; 4].into())
    );
    assert_eq!(decline.options[&61], [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!(world.sent[3].0, secs(10));
    assert_eq!(world.said[0].1, Notice::Conflict { address: ADDRESS, mac: TWIN });
    let [(_, lease)] = world.used.as_slice() else { panic!() };
    assert_eq!(lease.address.ip.to_string(), "10.0.2.16");
}

/// 8b: a virtual switch that answers every request.
#[test]
fn at_most_two_declines_then_the_address_is_used() {
    let mut world = World::new(setup(), generous());
    world.neighbour = Box::new(|_| Some(TWIN));
    world.plug(secs(0));
    world.run(secs(60));
    assert_eq!(world.kinds(), [1, 3, 4, 1, 3, 4, 1, 3]);
    let [(at, lease)] = world.used.as_slice() else { panic!("{:?}", world.used) };
    assert!(*at <= secs(15), "{at:?}");
    let address = Ipv4Addr::new(10, 0, 2, 17);
    assert_eq!(lease.address.ip, address);
    let (_, last) = world.said.last().unwrap();
    assert_eq!(last, &Notice::AnswersForEvery { address, mac: TWIN, always: true });
    assert_eq!(last.to_string(), "02:00:00:00:00:09 answers for every address, 10.0.2.17 is used");
}

#[test]
fn three_different_twins_are_not_called_one() {
    let mut world = World::new(setup(), generous());
    let mut last = 0;
    world.neighbour = Box::new(move |_| {
        last += 1;
        Some([2, 0, 0, 0, 0, last])
    });
    world.plug(secs(0));
    world.run(secs(60));
    assert!(matches!(world.said.last().unwrap().1, Notice::AnswersForEvery { always: false, .. }));
}

/// 8a: two own interfaces in one segment.
#[test]
fn own_interfaces_are_no_twins() {
    let mut world = World::new(setup(), willing());
    world.event(Event::OwnMac(HardwareAddress::new(&TWIN).unwrap()));
    world.neighbour = Box::new(|_| Some(TWIN));
    world.plug(secs(0));
    world.event(Event::Arp(&arp_reply(MAC, ADDRESS)));
    world.run(secs(5));
    assert_eq!((world.kinds(), world.used.len(), world.said.len()), (vec![1, 3], 1, 0));
}

/// RFC 5227: who probes for the same address at the same time will have it too; who asks for it wants to talk to it.
#[test]
fn what_counts_as_an_answer() {
    let world = |packet: &[u8]| {
        let mut world = World::new(setup(), willing());
        world.plug(secs(0));
        world.event(Event::Arp(packet));
        world.run(secs(1));
        world.used.len()
    };
    let asks = |sender: [u8; 4], target: Ipv4Addr| {
        let mut packet = arp_probe(TWIN, target);
        packet[14..18].copy_from_slice(&sender);
        packet
    };
    assert_eq!(world(&asks([0; 4], ADDRESS)), 0, "another probe");
    assert_eq!(world(&asks(ADDRESS.octets(), [10, 0, 2, 1].into())), 0, "it has the address");
    assert_eq!(world(&asks([10, 0, 2, 1], ADDRESS)), 1, "the router looks for us");
    assert_eq!(world(&asks([0; 4], [10, 0, 2, 99].into())), 1, "another address");
    for broken in [&b""[..], &[0; 27], &arp_reply(TWIN, ADDRESS)[..27]] {
        assert_eq!(world(broken), 1);
    }
}

/// Kind 6a: e1000e takes the link down and up when the MTU is set. One DISCOVER and one REQUEST are on the wire.
#[test]
fn the_bounce_of_our_own_mtu_change_changes_nothing() {
    let mut world = World::new(setup(), willing());
    world.plug(secs(0));
    world.run(secs(1));
    world.event(Event::MtuChange);
    world.run(secs(2));
    world.event(Event::LinkDown);
    world.run(secs(5));
    world.event(Event::LinkUp);
    world.run(secs(100));
    assert_eq!((world.kinds(), world.used.len(), world.lost.len()), (vec![1, 3], 1, 0));
    // One that comes later is somebody else's.
    world.event(Event::LinkDown);
    world.event(Event::LinkUp);
    assert_eq!(world.kinds(), [1, 3, 3]);
}

/// Kind 4a: the interface becomes part of another one.
#[test]
fn a_master_takes_the_lease_away() {
    let mut world = World::new(setup(), willing());
    world.plug(secs(0));
    world.run(secs(1));
    world.event(Event::Enslaved);
    assert_eq!((world.lost.as_slice(), world.client.wake()), (&[(secs(1), Lost::Enslaved)][..], None));
}
