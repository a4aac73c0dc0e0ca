//! DHCPv6 with a clock of the tests' own, and a server that answers by hand.

mod bad;
mod lease;

use std::time::Duration;

use super::*;
use crate::hardware::HardwareAddress;

fn mac() -> HardwareAddress {
    HardwareAddress::parse("52:54:00:12:34:56").unwrap()
}

/// The number of the identity that belongs to it.
const IAID: [u8; 4] = [0, 0x12, 0x34, 0x56];

fn option(number: u16, value: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn octets(ip: &str) -> Vec<u8> {
    ip.parse::<Ipv6Addr>().unwrap().octets().to_vec()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An answer of the server with this last byte of its identifier.
fn answer(kind: Type, xid: &[u8], server: u8, options: &[Vec<u8>]) -> Vec<u8> {
    let client = option(1, &[0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    [&[kind as u8][..], xid, &client, &option(2, &[0, 3, 0, 1, 1, 1, 1, 1, 1, server]), &options.concat()].concat()
}

fn reply(xid: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    answer(Type::Reply, xid, 1, options)
}

/// IA_NA with one address and its times.
fn given(ip: &str, times: [u32; 4]) -> Vec<u8> {
    let [t1, t2, preferred, valid] = times.map(u32::to_be_bytes);
    let address = option(5, &[&octets(ip)[..], &preferred, &valid].concat());
    option(3, &[&IAID[..], &t1, &t2, &address].concat())
}

/// IA_NA with a status alone.
fn refused(code: u16) -> Vec<u8> {
    option(3, &[&IAID[..], &[0; 8], &option(13, &code.to_be_bytes())].concat())
}

/// A client whose random numbers are all the same: its transaction is 1 2 3, its pauses are always shorter by the same part.
fn client(goal: Goal) -> Client {
    Client::new(Duration::ZERO, mac(), goal, Box::new(|| 0x0001_0203))
}

/// Whether the message has this option.
fn has(message: &[u8], wanted: &[u8]) -> bool {
    message.windows(wanted.len()).any(|bytes| bytes == wanted)
}

/// What is sent until then, with its time.
fn sent(client: &mut Client, until: Duration) -> Vec<(Duration, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(now) = client.wake().filter(|now| *now <= until) {
        for action in client.time(now) {
            if let Action::Send(message) = action {
                all.push((now, message));
            }
        }
    }
    all
}

fn only(actions: Vec<Action>) -> Vec<u8> {
    match actions.as_slice() {
        [Action::Send(message)] => message.clone(),
        _ => panic!("{actions:?}"),
    }
}

#[test]
fn it_asks_until_it_is_answered() {
    let mut client = client(Goal::Information);
    let messages = sent(&mut client, secs(70));
    let times: Vec<u64> = messages.iter().map(|(time, _)| (time.as_millis() as u64 + 500) / 1000).collect();
    // The random number makes each pause 9 % shorter.
    assert_eq!(times, [0, 1, 3, 6, 14, 28, 43, 57]);
    assert!(messages.iter().all(|(_, message)| message[..4] == [11, 1, 2, 3]));
    let told = client.receive(secs(70), &reply(&[1, 2, 3], &[option(23, &octets("2001:db8::53"))]));
    let dns = vec!["2001:db8::53".parse::<IpAddr>().unwrap()];
    assert_eq!(told, [Action::Told(Information { dns, ..Information::default() })]);
    assert_eq!(client.wake(), None);
    assert_eq!(client.receive(secs(70), &reply(&[1, 2, 3], &[])), []);
}

#[test]
fn the_requests_are_what_the_rfc_says() {
    let mut informed = client(Goal::Information);
    let messages = sent(&mut informed, secs(2));
    let wanted = option(6, &[0, 23, 0, 24, 0, 31, 0, 56, 0, 59, 0, 32, 0, 83]);
    let own = option(1, &[0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    let expected = [&[11, 1, 2, 3][..], &own, &option(8, &[0, 0]), &wanted];
    assert_eq!(messages[0].1, expected.concat());
    // Hundredths of a second since the first one.
    assert!(has(&messages[1].1, &[0, 8, 0, 2, 0, (messages[1].0.as_millis() / 10) as u8]));
    let mut solicits = client(Goal::Address);
    let (first, message) = sent(&mut solicits, secs(1)).remove(0);
    assert!(first <= Duration::from_millis(250));
    let identity = option(3, &[&IAID[..], &[0; 8]].concat());
    let wanted = option(6, &[0, 23, 0, 24, 0, 31, 0, 56, 0, 59, 0, 82]);
    let expected = [&[1, 1, 2, 3][..], &own, &option(8, &[0, 0]), &identity, &option(14, &[]), &wanted];
    assert_eq!(message, expected.concat());
}

#[test]
fn an_offer_is_asked_for_and_becomes_an_address() {
    let mut client = client(Goal::Address);
    sent(&mut client, Duration::from_millis(300));
    let offer = |server, preference, ip| {
        let options = [given(ip, [60, 90, 120, 180]), option(7, &[preference])];
        answer(Type::Advertise, &[1, 2, 3], server, &options)
    };
    assert_eq!(client.receive(Duration::from_millis(310), &offer(1, 0, "2001:db8::1")), []);
    assert_eq!(client.receive(Duration::from_millis(320), &offer(2, 9, "2001:db8::2")), []);
    assert_eq!(client.receive(Duration::from_millis(330), &offer(3, 0, "2001:db8::3")), []);
    // The first pause is over: the server that wants it most is taken.
    let (when, request) = sent(&mut client, secs(2)).remove(0);
    assert!(when >= secs(1), "{when:?}");
    assert_eq!(request[0], 3);
    assert!(has(&request, &option(2, &[0, 3, 0, 1, 1, 1, 1, 1, 1, 2])));
    assert!(has(&request, &option(5, &[octets("2001:db8::2"), vec![0; 8]].concat())));
    let options = [given("2001:db8::2", [60, 90, 120, 180]), option(23, &octets("2001:db8::53"))];
    // Another server's word does not count.
    assert_eq!(client.receive(secs(2), &answer(Type::Reply, &[1, 2, 3], 1, &options)), []);
    let used = client.receive(secs(2), &answer(Type::Reply, &[1, 2, 3], 2, &options));
    let [Action::Use(lease)] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!((lease.address, lease.valid), ("2001:db8::2".parse().unwrap(), Some(secs(180))));
    assert_eq!(lease.information.dns.len(), 1);
    assert_eq!(client.wake(), Some(secs(62)));
}

#[test]
fn a_server_that_wants_to_be_taken_at_once_and_one_that_gives_at_once() {
    let mut at_once = client(Goal::Address);
    sent(&mut at_once, Duration::from_millis(300));
    let options = [given("2001:db8::2", [0, 0, 120, 180]), option(7, &[255])];
    let request = only(at_once.receive(Duration::from_millis(310), &answer(Type::Advertise, &[1, 2, 3], 1, &options)));
    assert_eq!(request[0], 3);
    let mut rapid = client(Goal::Address);
    sent(&mut rapid, Duration::from_millis(300));
    let slow = reply(&[1, 2, 3], &[given("2001:db8::2", [0, 0, 120, 180])]);
    assert_eq!(rapid.receive(Duration::from_millis(310), &slow), [], "nobody asked for that");
    let fast = reply(&[1, 2, 3], &[given("2001:db8::2", [0, 0, 120, 180]), option(14, &[])]);
    assert!(matches!(rapid.receive(Duration::from_millis(320), &fast).as_slice(), [Action::Use(_)]));
}

/// A client with a lease of 180 s that was given at second 1.
fn bound() -> Client {
    let mut client = client(Goal::Address);
    sent(&mut client, Duration::from_millis(300));
    let fast = reply(&[1, 2, 3], &[given("2001:db8::2", [60, 90, 120, 180]), option(14, &[])]);
    assert_eq!(client.receive(secs(1), &fast).len(), 1);
    client
}

#[test]
fn more_time_is_asked_for_of_one_server_and_then_of_all() {
    let mut client = bound();
    let messages = sent(&mut client, secs(170));
    let kinds: Vec<u8> = messages.iter().map(|(_, message)| message[0]).collect();
    assert_eq!((messages[0].0, kinds[0]), (secs(61), 5));
    assert!(has(&messages[0].1, &option(2, &[0, 3, 0, 1, 1, 1, 1, 1, 1, 1])));
    let rebind = messages.iter().find(|(_, message)| message[0] == 6).unwrap();
    assert_eq!(rebind.0, secs(91));
    assert!(!has(&rebind.1, &[0, 2, 0, 10]) && has(&rebind.1, &octets("2001:db8::2")), "it is for all servers");
    // One that has forgotten is no reason to let the address go.
    assert!(matches!(
        client.receive(secs(171), &reply(&[1, 2, 3], &[refused(2)])).as_slice(),
        [Action::Say(Notice::Refused(Refusal::Status(Status::NO_ADDRESS)))]
    ));
    let more = answer(Type::Reply, &[1, 2, 3], 9, &[given("2001:db8::2", [60, 90, 120, 180])]);
    assert!(matches!(client.receive(secs(172), &more).as_slice(), [Action::Extend(_)]));
    assert_eq!(client.wake(), Some(secs(232)));
    // And then it is over.
    let mut silent = bound();
    sent(&mut silent, secs(180));
    let over = silent.time(secs(181));
    assert!(
        matches!(over.as_slice(), [Action::Drop { why: Lost::Expired, .. }, Action::Send(solicit)] if solicit[0] == 1)
    );
    assert_eq!(silent.lease(), None);
}

#[test]
fn a_server_that_has_forgotten_is_asked_for_the_same_address() {
    let mut client = bound();
    sent(&mut client, secs(61));
    assert_eq!(client.receive(secs(62), &reply(&[1, 2, 3], &[refused(3)])), []);
    let (_, request) = sent(&mut client, secs(64)).remove(0);
    assert_eq!(request[0], 3);
    assert!(has(&request, &octets("2001:db8::2")));
    // It gives another one.
    let other = client.receive(secs(64), &reply(&[1, 2, 3], &[given("2001:db8::7", [60, 90, 120, 180])]));
    assert!(matches!(other.as_slice(), [Action::Drop { why: Lost::Replaced, .. }, Action::Use(_)]), "{other:?}");
}

#[test]
fn an_address_that_another_machine_has_is_declined() {
    let mut client = bound();
    let actions = client.duplicate(secs(3));
    let [Action::Say(said @ Notice::Conflict(_)), Action::Drop { why: Lost::Duplicate, .. }, Action::Send(decline)] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert_eq!(said.to_string(), "another machine has 2001:db8::2 already, another address is asked for");
    assert_eq!(decline[0], 9);
    assert!(has(decline, &octets("2001:db8::2")) && has(decline, &option(2, &[0, 3, 0, 1, 1, 1, 1, 1, 1, 1])));
    assert!(!has(decline, &[0, 6, 0]), "a DECLINE asks for nothing");
    let solicit = only(client.receive(secs(4), &reply(&[1, 2, 3], &[])));
    assert_eq!(solicit[0], 1);
    // Nobody confirms it.
    let mut alone = bound();
    alone.duplicate(secs(3));
    let kinds: Vec<u8> = sent(&mut alone, secs(20)).iter().map(|(_, message)| message[0]).collect();
    assert_eq!(kinds[..4], [9, 9, 9, 1]);
}

#[test]
fn what_is_refused_is_said_once_and_asked_again() {
    let mut client = client(Goal::Address);
    sent(&mut client, Duration::from_millis(300));
    let full = answer(Type::Advertise, &[1, 2, 3], 1, &[refused(2)]);
    let said = client.receive(Duration::from_millis(400), &full);
    let [Action::Say(notice)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(notice.to_string(), "a DHCPv6 server gives no address: it says: no address is left");
    assert_eq!(client.receive(Duration::from_millis(500), &full), []);
    assert!(sent(&mut client, secs(40)).len() > 4, "it goes on");
    // A REQUEST that nobody answers ends after ten.
    let options = [given("2001:db8::2", [0, 0, 120, 180]), option(7, &[255])];
    client.receive(secs(41), &answer(Type::Advertise, &[1, 2, 3], 1, &options));
    let kinds: Vec<u8> = sent(&mut client, secs(300)).iter().map(|(_, message)| message[0]).collect();
    assert_eq!(kinds[..10], [3, 3, 3, 3, 3, 3, 3, 3, 3, 1]);
}
