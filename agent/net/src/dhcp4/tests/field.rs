//! network-field.md kinds 2, 7 and 9: what a link without an address is said to be, and what is no answer.

use super::super::ears::Neighbour;
use super::*;

fn frame(destination: [u8; 6], rest: &[u8]) -> Vec<u8> {
    [&destination[..], &[2, 0, 0, 0, 0, 1], rest].concat()
}

const BPDU: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0];
const SLOW: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 2];
const NEAREST: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0xe];

#[test]
fn frames_are_told_apart() {
    let kind = |destination, rest: &[u8]| Frame::read(&frame(destination, rest), None).kind;
    assert_eq!(kind(BPDU, &[0, 38, 0x42, 0x42, 3]), Kind::SpanningTree);
    assert_eq!(kind([1, 0, 0x0c, 0xcc, 0xcc, 0xcd], &[0, 50]), Kind::SpanningTree);
    assert_eq!(kind(SLOW, &[0x88, 0x09, 1, 1]), Kind::Lacp);
    assert_eq!(kind(SLOW, &[0x88, 0x09, 2, 1]), Kind::LinkLocal);
    assert_eq!(kind([1, 0x80, 0xc2, 0, 0, 3], &[0x88, 0x8e]), Kind::LinkLocal);
    assert_eq!(kind([1, 0x80, 0xc2, 0, 0, 0x21], &[0x88, 0xf5]), Kind::Other);
    assert_eq!(kind([255; 6], &[8, 6]), Kind::Other);
    let lldp =
        [0x88, 0xcc, 0x02, 2, 4, 1, 0x04, 6, 5, b'G', b'i', b'1', b'/', b'7', 0x0a, 4, b's', b'w', b'\x1b', b'9', 0, 0];
    let neighbour = Neighbour { switch: Some(r"sw\x1b9".into()), port: Some("Gi1/7".into()) };
    assert_eq!(kind(NEAREST, &lldp), Kind::Lldp(neighbour));
    // The tag inside the frame, and the one that the kernel has taken out.
    let vlan = |tag, rest: &[u8]| Frame::read(&frame([255; 6], rest), tag).vlan;
    assert_eq!(vlan(None, &[0x81, 0, 0x20, 5, 8, 0]), Some(5));
    assert_eq!(vlan(None, &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5, 8, 0]), Some(7));
    assert_eq!(vlan(None, &[0x81, 0, 0x20, 0, 8, 0]), None, "a priority alone");
    assert_eq!(vlan(Some(0x2005), &[8, 0]), Some(5));
    assert_eq!(vlan(Some(0), &[8, 0]), None);
    for length in 0..lldp.len() {
        let cut = frame(NEAREST, &lldp[..length]);
        for end in 0..cut.len() {
            assert_ne!(Frame::read(&cut[..end], None).vlan, Some(0));
        }
    }
}

/// 2a: carrier at once, the first frame after forty seconds.
#[test]
fn a_port_with_spanning_tree_is_named_and_met_when_it_opens() {
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    world.plug(secs(0));
    for second in 1..=40 {
        world.run(secs(second));
        if second % 2 == 0 {
            world.event(Event::Frame(Frame { kind: Kind::SpanningTree, vlan: None }));
        }
    }
    let said: Vec<_> = world.said.iter().map(|(at, notice)| (at.as_secs(), notice.to_string())).collect();
    let text = |up: u64| format!("link up {up} s, no frame but spanning tree: the switch does not let any pass yet");
    assert_eq!(said, [(10, text(10)), (40, text(40))]);
    let longest = world.sent.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest <= secs(5), "every 4 s until the port opens: {longest:?}");

    world.server = willing();
    world.now = Duration::from_millis(40_300);
    world.other_frame();
    world.run(secs(42));
    assert_eq!(world.used[0].0, Duration::from_millis(40_500));
}

/// Kind 6: one DISCOVER and one REQUEST on the wire. The frame of the offer is the first that arrives, and is heard before the packet in it.
#[test]
fn the_frame_of_the_offer_is_no_reason_to_ask_again() {
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    world.plug(secs(0));
    world.run(Duration::from_millis(40));
    world.other_frame();
    world.server = willing();
    let offer = world.sent[0].1.clone();
    let late = world.answer(&offer);
    world.all(late);
    world.run(secs(2));
    assert_eq!((world.kinds(), world.used.len()), (vec![1, 3], 1));
}

/// A server that looks first whether an address is free answers after three seconds.
#[test]
fn the_answer_to_the_first_of_several_counts() {
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    world.plug(secs(0));
    world.run(Duration::from_millis(700));
    world.other_frame();
    world.run(secs(3));
    let (first, last) = (world.sent[0].1.clone(), world.sent.last().unwrap().clone());
    assert!(world.sent.len() > 2 && last.0 > secs(1), "{:?}", world.kinds());
    world.server = willing();
    let late = world.answer(&first);
    world.all(late);
    world.run(secs(4));
    assert_eq!(world.used.len(), 1);
}

#[test]
fn what_is_said_of_a_silent_link() {
    let said = |frames: &[Frame]| {
        let mut world = World::new(setup(), Box::new(|_, _| vec![]));
        world.plug(secs(5));
        for frame in frames {
            world.event(Event::Frame(frame.clone()));
        }
        world.run(secs(16));
        world.said[0].1.to_string()
    };
    let plain = |kind| Frame { kind, vlan: None };
    let tagged = |vlan| Frame { kind: Kind::Other, vlan: Some(vlan) };
    assert_eq!(said(&[]), "link up 10 s, not one frame received");
    assert_eq!(said(&[plain(Kind::Other), plain(Kind::Other)]), "link up 10 s, 2 frames received, no DHCP answer");
    assert_eq!(
        said(&[plain(Kind::Lacp), plain(Kind::SpanningTree), tagged(20), tagged(5)]),
        "link up 10 s, no frame but spanning tree and LACP: the switch does not let any pass yet; VLAN tags seen: 5, 20"
    );
    let neighbour = Neighbour { switch: Some("sw9".into()), port: Some("Gi1/7".into()) };
    assert_eq!(
        said(&[plain(Kind::Other), plain(Kind::Lldp(neighbour))]),
        "link up 10 s, 1 frame received, no DHCP answer; the switch is sw9, port Gi1/7"
    );
    let many: Vec<_> = (1..100).map(tagged).collect();
    assert!(said(&many).ends_with("VLAN tags seen: 1, 2, 3, 4, 5, 6, 7, 8"));
}

/// Messages end with the lease, and begin anew with the link.
#[test]
fn nothing_is_said_with_an_address() {
    let mut world = World::new(setup(), willing());
    world.plug(secs(0));
    world.run(secs(1000));
    assert_eq!(world.said, []);
}

/// 7a: a UDP checksum that hardware was to make up. xid, hardware address and cookie decide.
#[test]
fn an_offer_with_a_bad_checksum_is_taken() {
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    world.plug(secs(0));
    let xid = world.sent[0].1.xid;
    let mut packet = Answer::new(Type::Offer, xid).packet();
    packet[26..28].copy_from_slice(&[0x12, 0x34]);
    world.event(Event::Packet(&packet));
    assert_eq!(world.kinds(), [1, 3]);
}

#[test]
fn what_is_for_somebody_else_is_no_answer() {
    let strangers: [fn(Answer) -> Answer; 6] = [
        |answer| Answer { xid: answer.xid ^ 1, ..answer },
        |answer| Answer { chaddr: [2, 0, 0, 0, 0, 2], ..answer },
        |answer| Answer { server: None, ..answer },
        |answer| Answer { server: Some([0; 4].into()), ..answer },
        |answer| Answer { kind: Type::Ack, ..answer },
        |answer| Answer { kind: Type::Nak, ..answer },
    ];
    for stranger in strangers {
        let mut world = World::new(setup(), Box::new(|_, _| vec![]));
        world.plug(secs(0));
        let answer = stranger(Answer::new(Type::Offer, world.sent[0].1.xid));
        world.event(Event::Packet(&answer.packet()));
        assert_eq!(world.kinds(), [1], "{answer:?}");
    }
    let good = Answer::new(Type::Offer, 0).packet();
    let broken: [fn(&mut Vec<u8>); 6] = [
        |packet| packet[9] = 6,
        |packet| packet[23] = 69,
        |packet| packet[6] = 0x20,
        |packet| packet.truncate(200),
        |packet| packet[0] = 0x65,
        |packet| packet[28] = 1,
    ];
    for (index, change) in broken.iter().enumerate() {
        let mut packet = good.clone();
        change(&mut packet);
        let read = datagram(&packet).ok().map(Message::parse);
        assert!(!matches!(read, Some(Ok(_))), "{index}");
    }
}

/// 9c: a proxy that knows the boot file alone gives no lease, and the real server does.
#[test]
fn a_proxy_gives_no_lease() {
    let proxy = Ipv4Addr::new(10, 0, 2, 9);
    let mut world = World::new(
        setup(),
        Box::new(move |now, sent| {
            let mut answers = willing()(now, sent);
            answers
                .insert(0, Answer { yiaddr: [0; 4].into(), server: Some(proxy), ..Answer::new(Type::Offer, sent.xid) });
            answers
        }),
    );
    world.plug(secs(0));
    world.run(secs(2));
    assert_eq!((world.kinds(), world.used[0].1.server), (vec![1, 3], SERVER));
}

/// A lease that is too short is refused with one line, however often it is offered.
#[test]
fn a_short_lease_is_refused_once() {
    let mut world = World::new(
        setup(),
        Box::new(|now, sent| {
            let short = |answer: Answer| answer.with(code::LEASE_TIME, &10u32.to_be_bytes());
            willing()(now, sent).into_iter().map(short).collect()
        }),
    );
    world.plug(secs(0));
    world.run(secs(60));
    assert!(world.sent.len() > 4 && world.used.is_empty());
    let refused: Vec<_> = world.said.iter().filter(|(_, notice)| matches!(notice, Notice::Refused { .. })).collect();
    assert_eq!(refused.len(), 1);
    let waiting = world.said.iter().find(|(_, notice)| matches!(notice, Notice::Waiting { .. })).unwrap();
    assert!(waiting.1.to_string().ends_with(" DHCP answers, which gave no address"), "{}", waiting.1);
    let text = "the offer of DHCP server 10.0.2.2 is not taken: a lease of 10 s is too short, 30 s are the least";
    assert_eq!(refused[0].1.to_string(), text);
}

/// RFC 4390: an InfiniBand address does not fit into the header, and nobody is probed for.
#[test]
fn infiniband_is_asked_for_by_its_guid() {
    let bytes: Vec<u8> = (0..20).collect();
    let mac = HardwareAddress::new(&bytes).unwrap();
    let mut world = World::new(
        Setup { mac, ..setup() },
        Box::new(|now, sent| {
            assert_eq!(sent.flags, 0x8000);
            assert_eq!(sent.options[&61], [255, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0xc9, 0, 12, 13, 14, 15, 16, 17, 18, 19]);
            willing()(now, sent)
        }),
    );
    world.plug(secs(0));
    assert_eq!((world.used.len(), world.probes.len()), (1, 0));
}
