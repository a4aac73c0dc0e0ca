//! Case N-N3: lost messages, a server that says no, slow links; and the life of a lease.

use super::*;

/// The pauses between messages, rounded to seconds.
fn pauses(world: &World) -> Vec<u64> {
    world.sent.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64().round() as u64).collect()
}

#[test]
fn n_n3_discover_goes_at_lower_up_and_then_after_1_2_4_8_16_16() {
    let mut world = World::new(setup(), Box::new(|_, _| vec![]));
    assert_eq!(world.client.wake(), None);
    world.plug(secs(7));
    world.other_frame();
    world.sent.clear();
    world.event(Event::LinkDown);
    world.event(Event::LinkUp);
    world.other_frame();
    assert_eq!(world.sent.last().unwrap().0, secs(7));
    world.sent.remove(0);
    world.run(secs(7 + 80));
    world.sent.truncate(7);
    assert_eq!(world.kinds(), [1; 7]);
    for (pause, expected) in pauses(&world).into_iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 16.0]) {
        assert!((pause as f64 - expected).abs() <= expected / 4.0 + 0.5, "{pause} for {expected}");
    }
    let (_, first) = &world.sent[0];
    let (_, last) = &world.sent[6];
    assert_eq!((first.secs, first.xid), (0, last.xid));
    assert!(last.secs > 30);
    assert_eq!(first.flags, 0);
    assert_eq!(first.options[&61], [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!(first.options[&57], 1472u16.to_be_bytes());
    assert_eq!(first.options[&55], [1, 3, 6, 12, 15, 17, 26, 33, 42, 67, 119, 121, 249]);
}

#[test]
fn n_n3_the_first_two_discovers_are_lost() {
    let mut left = 2;
    let mut inner = willing();
    let mut world = World::new(
        setup(),
        Box::new(move |now, sent| {
            if sent.kind == 1 && left > 0 {
                left -= 1;
                return vec![];
            }
            inner(now, sent)
        }),
    );
    world.plug(secs(0));
    world.run(secs(5));
    let [(at, lease)] = world.used.as_slice() else { panic!("{:?}", world.used) };
    assert!(*at <= Duration::from_millis(4000), "{at:?}");
    assert_eq!(lease.address.to_string(), "10.0.2.15/24");
    assert_eq!(world.kinds(), [1, 1, 1, 3]);
    let (_, request) = world.sent.last().unwrap();
    assert_eq!((request.address(50), request.address(54)), (Some(ADDRESS), Some(SERVER)));
    assert_eq!(request.options[&61], [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!((world.probes.len(), world.used[0].0 - world.probes[0]), (1, Duration::from_millis(200)));
}

#[test]
fn n_n3_a_nak_leads_back_to_the_beginning_after_a_second() {
    let mut naks = 1;
    let mut world = World::new(
        setup(),
        Box::new(move |_, sent| match sent.kind {
            1 => vec![Answer::new(Type::Offer, sent.xid)],
            3 if naks > 0 => {
                naks -= 1;
                vec![Answer::new(Type::Nak, sent.xid).with(code::TEXT, b"wrong\x1b[2J network")]
            }
            3 => vec![Answer::new(Type::Ack, sent.xid)],
            _ => vec![],
        }),
    );
    world.plug(secs(0));
    world.run(secs(5));
    assert_eq!(world.kinds(), [1, 3, 1, 3]);
    assert_eq!(world.sent[2].0, secs(1));
    assert_ne!(world.sent[0].1.xid, world.sent[2].1.xid);
    assert_eq!(world.said[0].1.to_string(), r"DHCP server 10.0.2.2 says no: wrong\x1b[2J network");
    assert_eq!(world.used.len(), 1);
}

/// A server that always says no is asked less often, and told once.
#[test]
fn n_n3_a_server_that_always_says_no() {
    let mut world = World::new(
        setup(),
        Box::new(|_, sent| {
            let kind = if sent.kind == 1 { Type::Offer } else { Type::Nak };
            vec![Answer::new(kind, sent.xid)]
        }),
    );
    world.plug(secs(0));
    world.run(secs(60));
    assert!((10..=16).contains(&world.sent.len()), "{}", world.sent.len());
    assert_eq!(world.said.iter().filter(|(_, notice)| matches!(notice, Notice::Nak { .. })).count(), 1);
}

#[test]
fn n_n3_a_request_is_sent_three_times_then_all_begins_anew() {
    let mut world = World::new(
        setup(),
        Box::new(|_, sent| if sent.kind == 1 { vec![Answer::new(Type::Offer, sent.xid)] } else { vec![] }),
    );
    world.plug(secs(0));
    world.run(secs(10));
    assert_eq!(world.kinds()[..5], [1, 3, 3, 3, 1]);
    assert_ne!(world.sent[0].1.xid, world.sent[4].1.xid);
    assert!(world.said.iter().any(|(_, notice)| *notice == Notice::Unanswered { server: SERVER }));
}

/// Autonegotiation and a port that stays closed: kind 2c.
#[test]
fn n_n3_a_link_that_comes_after_thirty_seconds() {
    let mut world = World::new(setup(), willing());
    world.run(secs(30));
    assert_eq!(world.sent.len(), 0);
    world.plug(secs(30));
    world.run(secs(31));
    assert_eq!(world.used[0].0, Duration::from_millis(30_200));
    assert_eq!(world.said, []);
}

/// Two interfaces: each has a client of its own, and the one without a server holds up nothing.
#[test]
fn n_n3_of_two_interfaces_one_is_dead() {
    let mut dead = World::new(setup(), Box::new(|_, _| vec![]));
    let mut alive = World::new(setup(), willing());
    dead.plug(secs(0));
    alive.plug(secs(0));
    for at in 1..=60 {
        dead.run(secs(at));
        alive.run(secs(at));
    }
    assert_eq!((dead.used.len(), alive.used.len()), (0, 1));
    assert!(alive.used[0].0 < secs(1));
}

#[test]
fn n_n3_of_two_servers_the_first_offer_counts() {
    let other = Ipv4Addr::new(10, 0, 2, 3);
    let mut world = World::new(
        setup(),
        Box::new(move |_, sent| {
            let rival = |kind| Answer { server: Some(other), yiaddr: other, ..Answer::new(kind, sent.xid) };
            match sent.kind {
                1 => vec![Answer::new(Type::Offer, sent.xid), rival(Type::Offer)],
                // The rival's words concern nobody who has chosen the other one.
                3 if sent.address(54) == Some(SERVER) => {
                    vec![rival(Type::Nak), rival(Type::Ack), Answer::new(Type::Ack, sent.xid)]
                }
                _ => vec![],
            }
        }),
    );
    world.plug(secs(0));
    world.run(secs(3));
    assert_eq!(world.used.iter().map(|(_, lease)| lease.server).collect::<Vec<_>>(), [SERVER]);
    assert_eq!(world.kinds(), [1, 3]);
}

#[test]
fn a_lease_is_renewed_at_half_of_its_time() {
    let mut world = World::new(
        setup(),
        Box::new(|now, sent| {
            let mut answers = willing()(now, sent);
            for answer in &mut answers {
                *answer = answer.clone().with(code::LEASE_TIME, &120u32.to_be_bytes());
            }
            answers
        }),
    );
    world.plug(secs(0));
    world.run(secs(299));
    assert_eq!((world.used.len(), world.lost.len()), (1, 0));
    assert_eq!(world.renewed.len(), 4);
    let (at, to, sent) = &world.unicast[0];
    assert_eq!((at.as_secs(), *to, sent.kind, sent.ciaddr), (60, SERVER, 3, ADDRESS));
    assert_eq!((sent.address(50), sent.address(54)), (None, None));
}

#[test]
fn a_lease_that_nobody_renews_ends() {
    let mut alive = true;
    let mut inner = willing();
    let mut world = World::new(
        setup(),
        Box::new(move |now, sent| {
            if !std::mem::replace(&mut alive, sent.kind == 1) {
                return vec![];
            }
            inner(now, sent).into_iter().map(|answer| answer.with(code::LEASE_TIME, &120u32.to_be_bytes())).collect()
        }),
    );
    world.plug(secs(0));
    world.run(secs(130));
    assert_eq!(world.lost.iter().map(|(at, why)| (at.as_secs(), *why)).collect::<Vec<_>>(), [(120, Lost::Expired)]);
    assert!(world.unicast.len() >= 3, "the server is asked from T1 on");
    assert!(world.sent.iter().any(|(at, sent)| at.as_secs() == 105 && sent.ciaddr == ADDRESS), "everybody from T2 on");
    assert_eq!(world.said.iter().filter(|(_, notice)| matches!(notice, Notice::NotRenewed { .. })).count(), 1);
    assert!(world.sent.iter().any(|(at, sent)| at.as_secs() >= 120 && sent.kind == 1), "and all begins anew");
}

/// A cable that was pulled for a moment may lead to another network now.
#[test]
fn after_a_bounce_that_is_not_ours_the_lease_is_asked_for_again() {
    let mut world = World::new(setup(), willing());
    world.plug(secs(0));
    world.run(secs(100));
    world.event(Event::LinkDown);
    world.run(secs(103));
    world.event(Event::LinkUp);
    world.run(secs(104));
    let (at, request) = world.sent.last().unwrap();
    assert_eq!((*at, request.kind, request.ciaddr), (secs(103), 3, Ipv4Addr::UNSPECIFIED));
    assert_eq!((request.address(50), request.address(54)), (Some(ADDRESS), None));
    assert_eq!((world.used.len(), world.renewed.len(), world.lost.len()), (1, 1, 0));

    // A server of another network says no.
    world.server = Box::new(|_, sent| if sent.kind == 3 { vec![Answer::new(Type::Nak, sent.xid)] } else { vec![] });
    world.event(Event::LinkDown);
    world.run(secs(110));
    world.event(Event::LinkUp);
    assert_eq!(world.lost, [(secs(110), Lost::TakenBack)]);

    // No server at all contradicts nothing.
    let mut world = World::new(setup(), willing());
    world.plug(secs(0));
    world.run(secs(1));
    world.server = Box::new(|_, _| vec![]);
    world.event(Event::LinkDown);
    world.event(Event::LinkUp);
    world.run(secs(60));
    assert_eq!((world.lost.len(), world.kinds()), (0, vec![1, 3, 3, 3, 3]));
    assert!(world.client.lease().is_some());
}

#[test]
fn rapid_commit_saves_the_offer() {
    let serve = |_: Duration, sent: &Sent| {
        let mut answers = vec![];
        if sent.kind == 1 && sent.options.contains_key(&80) {
            answers.push(Answer::new(Type::Ack, sent.xid).with(code::RAPID_COMMIT, b""));
        }
        answers
    };
    let mut world = World::new(Setup { rapid_commit: true, ..setup() }, Box::new(serve));
    world.plug(secs(0));
    world.run(secs(1));
    assert_eq!((world.kinds(), world.used.len()), (vec![1], 1));
    // An ACK that nobody has asked for is none.
    let mut world =
        World::new(setup(), Box::new(|_, sent| vec![Answer::new(Type::Ack, sent.xid).with(code::RAPID_COMMIT, b"")]));
    world.plug(secs(0));
    world.run(secs(1));
    assert_eq!(world.used.len(), 0);
}

/// What the loader knew is asked for (network.md 4.4, kind 9), and a NAK ends that.
#[test]
fn an_address_that_is_known_is_asked_for() {
    let mut world = World::new(Setup { requested: Some(ADDRESS), ..setup() }, willing());
    world.plug(secs(0));
    assert_eq!(world.sent[0].1.address(50), Some(ADDRESS));
}
