//! Bytes of a network at random: nothing panics, nothing is sent without end, and what is used is bounded.

use super::super::message::Message;
use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next(256)).unwrap()
    }
}

fn full(xid: u32) -> Answer {
    let mut answer = Answer::new(Type::Offer, xid)
        .with(code::ROUTER, &[10, 0, 2, 2])
        .with(code::DNS, &[10, 0, 2, 3, 10, 0, 2, 4])
        .with(code::CLASSLESS, &[0, 10, 0, 2, 2, 16, 10, 9, 10, 0, 2, 3])
        .with(code::SEARCH, b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04")
        .with(code::HOSTNAME, b"node7")
        .with(code::MTU, &[5, 0x78])
        .with(code::STATIC_ROUTES, &[10, 1, 1, 1, 10, 0, 2, 9]);
    answer.file = b"\x0c\x05node7\xff".to_vec();
    answer.sname = b"\x0f\x03lab\xff".to_vec();
    answer
}

#[test]
fn any_answer_is_survived() {
    let mut random = Random(7);
    let payload = full(1).with(code::OVERLOAD, &[3]).payload();
    let mut judged = 0;
    for _ in 0..30_000 {
        let mut bytes = payload.clone();
        for _ in 0..=random.next(6) {
            let at = if random.next(3) == 0 { random.next(bytes.len()) } else { 240 + random.next(bytes.len() - 240) };
            bytes[at] = random.byte();
        }
        bytes.truncate(bytes.len() - random.next(4) * random.next(40));
        let Ok(message) = Message::parse(&bytes) else { continue };
        let Ok((lease, parts)) = Lease::of(&message, SERVER, &limits()) else { continue };
        judged += 1;
        assert!(lease.mtu.is_none_or(|mtu| (576..=9000).contains(&mtu)));
        assert!(lease.time.is_none_or(|time| time >= secs(30)));
        assert!(lease.renew.is_none_or(|(first, second)| first <= second && Some(second) < lease.time));
        assert!(lease.routes.len() <= 130 && lease.dns.len() <= 8 && lease.search.len() <= 16);
        assert!(parts.iter().all(|part| !part.to_string().contains(char::is_control)));
        assert!((1..=32).contains(&lease.address.prefix));
    }
    assert!(judged > 3_000, "{judged}");
}

/// A client in the middle of a storm of answers sends what it would send anyway.
#[test]
fn a_storm_of_answers_makes_no_storm_of_ours() {
    let mut random = Random(11);
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    world.plug(secs(0));
    for _ in 0..10_000 {
        world.now += Duration::from_millis(1);
        let xid = world.sent.last().unwrap().1.xid;
        let mut answer = full(xid);
        answer.kind = [Type::Offer, Type::Ack, Type::Nak][random.next(3)];
        answer.yiaddr = [10, 0, 2, random.byte()].into();
        answer.server = Some([10, 0, 2, random.byte() | 1].into());
        let mut packet = answer.packet();
        if random.next(4) == 0 {
            let at = random.next(packet.len());
            packet[at] = random.byte();
        }
        world.event(Event::Packet(&packet));
        if random.next(50) == 0 {
            let mac = [2, 0, 0, 0, 0, random.byte()];
            world.event(Event::Arp(&arp_reply(mac, [10, 0, 2, random.byte()].into())));
        }
        if random.next(500) == 0 {
            let event = [Event::LinkDown, Event::LinkUp, Event::MtuChange][random.next(3)].clone();
            world.event(event);
        }
    }
    // Ten seconds: at most one message for each 100 ms, whatever comes in.
    assert!(world.sent.len() < 100, "{}", world.sent.len());
    assert!(world.said.len() < 100, "{}", world.said.len());
}
