//! Case by case what servers may say, first with a clock of the tests' own, then over sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::*;
use crate::hostname::Hostname;

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const FOUND: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn names(names: &[&str]) -> Vec<Hostname> {
    names.iter().map(|name| Hostname::new(name).unwrap()).collect()
}

/// What a server says to a question, and after how many milliseconds.
type Server<'a> = &'a dyn Fn(&Query) -> Option<(u64, Answer)>;

/// A question that was sent: when, to whom, for which name.
type Asked = (u64, IpAddr, String, Want);

/// The addresses and when they were there, or why not.
type Ended = Result<(u64, Vec<IpAddr>), Failure>;

/// Runs a lookup with servers that are functions; the questions with their times, and how it ended.
fn run(name: &str, search: &[&str], servers: &[(IpAddr, Server<'_>)], limit: u64) -> (Vec<Asked>, Ended) {
    let addresses: Vec<_> = servers.iter().map(|(address, _)| *address).collect();
    let servers: BTreeMap<_, _> = servers.iter().copied().collect();
    let mut lookup = Lookup::new(ms(0), name, &names(search), &addresses);
    let (mut now, mut asked, mut state) = (0u64, Vec::new(), 1u32);
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    };
    let mut due: Vec<(u64, IpAddr, Query, Answer)> = Vec::new();
    for _ in 0..10_000 {
        due.sort_by_key(|(at, ..)| *at);
        while due.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, server, query, answer) = due.remove(0);
            lookup.answer(ms(now), server, &query, answer);
        }
        match lookup.next(ms(now), &mut random) {
            Step::Ask { server, query } | Step::AskLong { server, query } => {
                asked.push((now, server, query.name.to_string(), query.want));
                let answer = servers[&server](&query);
                due.extend(answer.map(|(after, answer)| (now + after, server, query, answer)));
            }
            Step::Wait(until) => {
                let until = u64::try_from(until.as_millis()).unwrap();
                now = due.iter().map(|(at, ..)| *at).min().map_or(until, |at| at.min(until)).max(now + 1);
                if now > limit {
                    return (asked, Err(lookup.failure()));
                }
            }
            Step::Found(addresses) => return (asked, Ok((now, addresses))),
            Step::Never => return (asked, Err(lookup.failure())),
        }
    }
    panic!("no end");
}

fn yes(query: &Query) -> Option<(u64, Answer)> {
    let addresses = if query.want == Want::V4 { vec![FOUND] } else { vec![] };
    Some((10, Answer::Reply(Reply::Addresses(addresses))))
}

fn silent(_: &Query) -> Option<(u64, Answer)> {
    None
}

fn unknown(_: &Query) -> Option<(u64, Answer)> {
    Some((10, Answer::Reply(Reply::NoSuchName)))
}

#[test]
fn a_dead_first_server_costs_one_second() {
    let (asked, found) = run("a.test", &[], &[(FIRST, &silent), (SECOND, &yes)], 60_000);
    assert_eq!(found, Ok((1010, vec![FOUND])));
    assert_eq!(asked.len(), 4);
    let closed = |_: &Query| Some((1, Answer::Unreachable));
    let (_, found) = run("a.test", &[], &[(FIRST, &closed), (SECOND, &yes)], 60_000);
    assert_eq!(found, Ok((11, vec![FOUND])), "one that is closed costs nothing");
}

/// 13b: the first question after the interface is up is lost.
#[test]
fn a_lost_question_is_asked_again() {
    let count = std::cell::Cell::new(0);
    let deaf = |query: &Query| {
        count.set(count.get() + 1);
        if count.get() <= 2 { None } else { yes(query) }
    };
    let (_, found) = run("a.test", &[], &[(FIRST, &deaf)], 60_000);
    assert_eq!(found, Ok((1010, vec![FOUND])));
}

#[test]
fn servers_are_asked_in_turn_until_the_end() {
    let (asked, failed) = run("a.test", &[], &[(FIRST, &silent), (SECOND, &silent)], 10_500);
    assert_eq!(asked.len(), 2 * 11);
    assert_eq!((asked[20].0, asked[20].1), (10_000, FIRST));
    let failure = failed.unwrap_err();
    assert_eq!(failure.to_string(), "no address of a.test: 192.0.2.1 says nothing, 192.0.2.2 says nothing");
    assert!(!failure.is_denied());
}

#[test]
fn no_such_name_ends_it_when_all_had_their_turn() {
    let (asked, failed) = run("a.test", &[], &[(FIRST, &unknown)], 60_000);
    assert_eq!(asked.len(), 2);
    assert!(failed.unwrap_err().is_denied());
    let refuses = |_: &Query| Some((5, Answer::Reply(Reply::Refused)));
    let (asked, failed) = run("a.test", &[], &[(FIRST, &refuses), (SECOND, &unknown)], 60_000);
    assert_eq!(asked.len(), 4);
    let text =
        "no address of a.test: 192.0.2.1 says that it refuses to answer, 192.0.2.2 says that there is no such name";
    assert_eq!(failed.unwrap_err().to_string(), text);
    // One that does not know is no reason not to ask the other.
    let (_, found) = run("a.test", &[], &[(FIRST, &unknown), (SECOND, &yes)], 60_000);
    assert_eq!(found, Ok((20, vec![FOUND])));
}

#[test]
fn the_search_list_is_used_as_people_expect() {
    let only = |wanted: &'static str| {
        move |query: &Query| if query.name.as_str() == wanted { yes(query) } else { unknown(query) }
    };
    let tried = |name: &str, wanted: &'static str| {
        let server = only(wanted);
        let (asked, found) = run(name, &["lab.test", "other.test"], &[(FIRST, &server)], 60_000);
        let mut tried: Vec<_> = asked.into_iter().map(|(.., name, _)| name).collect();
        tried.dedup();
        (tried.join(" "), found.is_ok())
    };
    assert_eq!(tried("server", "server.lab.test"), ("server.lab.test".into(), true));
    assert_eq!(tried("server", "server.other.test"), ("server.lab.test server.other.test".into(), true));
    assert_eq!(tried("server", "server"), ("server.lab.test server.other.test server".into(), true));
    assert_eq!(tried("a.b", "a.b"), ("a.b".into(), true));
    assert_eq!(tried("a.b", "a.b.lab.test"), ("a.b a.b.lab.test".into(), true));
    assert_eq!(tried("a.b.", "a.b.lab.test"), ("a.b".into(), false));
    let (asked, failed) = run("no_host", &[], &[(FIRST, &yes)], 60_000);
    assert_eq!((asked.len(), failed.is_err()), (0, true));
    let (_, failed) = run("a.test", &[], &[], 60_000);
    assert_eq!(failed.unwrap_err().to_string(), "a.test cannot be looked up: no DNS server is known");
}

#[test]
fn the_other_family_is_waited_for_a_moment() {
    let six: IpAddr = "2001:db8::7".parse().unwrap();
    let both = |late: u64| {
        move |query: &Query| match query.want {
            Want::V4 => yes(query),
            Want::V6 => Some((late, Answer::Reply(Reply::Addresses(vec![six])))),
        }
    };
    let (_, found) = run("a.test", &[], &[(FIRST, &both(200))], 60_000);
    assert_eq!(found, Ok((200, vec![FOUND, six])));
    let (_, found) = run("a.test", &[], &[(FIRST, &both(900))], 60_000);
    assert_eq!(found, Ok((260, vec![FOUND])));
}

#[test]
fn a_long_answer_is_asked_for_over_tcp() {
    let long = |query: &Query| {
        Some((1, Answer::Reply(if query.want == Want::V4 { Reply::Truncated } else { Reply::Addresses(vec![]) })))
    };
    let tries = std::cell::Cell::new(0);
    let server = |query: &Query| {
        tries.set(tries.get() + 1);
        if tries.get() > 2 { yes(query) } else { long(query) }
    };
    let (asked, found) = run("a.test", &[], &[(FIRST, &server)], 60_000);
    assert_eq!(found, Ok((11, vec![FOUND])));
    assert_eq!(asked.len(), 3);
}

/// An answer as a server sends it; `change` makes it another one.
fn message(question: &[u8], change: impl Fn(&mut Packet<'_>)) -> Vec<u8> {
    let packet = Packet::parse(question).unwrap();
    let name = packet.questions[0].qname.to_string();
    let is_v4 = packet.questions[0].qtype == QTYPE::TYPE(TYPE::A);
    let mut reply = packet.into_reply();
    let alias = Name::new("real.test").unwrap();
    if is_v4 {
        let own = Name::new(&name).unwrap();
        reply.answers.push(ResourceRecord::new(own, CLASS::IN, 60, RData::CNAME(CNAME(alias.clone()))));
        reply.answers.push(ResourceRecord::new(alias, CLASS::IN, 60, RData::A(A { address: 0xc633_6407 })));
        let stranger = Name::new("other.test").unwrap();
        reply.answers.push(ResourceRecord::new(stranger, CLASS::IN, 60, RData::A(A { address: 1 })));
    } else {
        let aaaa = AAAA { address: "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().into() };
        reply.answers.push(ResourceRecord::new(alias, CLASS::IN, 60, RData::AAAA(aaaa)));
    }
    change(&mut reply);
    reply.build_bytes_vec_compressed().unwrap()
}

#[test]
fn answers_are_read_for_the_name_and_what_it_stands_for() {
    let query = Query { id: 7, name: Hostname::new("www.Test").unwrap(), want: Want::V4 };
    let bytes = query.encode();
    assert_eq!(bytes[..12], [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(query.read(&message(&bytes, |_| {})), Ok(Reply::Addresses(vec![FOUND])));
    assert_eq!(query.read(&message(&bytes, |packet| *packet.rcode_mut() = RCODE::NameError)), Ok(Reply::NoSuchName));
    assert_eq!(query.read(&message(&bytes, |packet| *packet.rcode_mut() = RCODE::Refused)), Ok(Reply::Refused));
    assert_eq!(query.read(&message(&bytes, |packet| *packet.rcode_mut() = RCODE::ServerFailure)), Ok(Reply::Failed));
    assert_eq!(query.read(&message(&bytes, |packet| packet.set_flags(PacketFlag::TRUNCATION))), Ok(Reply::Truncated));
    assert_eq!(query.read(&message(&bytes, |packet| packet.answers.clear())), Ok(Reply::Addresses(vec![])));
    assert_eq!(query.read(&message(&bytes, |packet| packet.set_id(8))), Err(Malformed::Other));
    assert_eq!(query.read(&message(&bytes, |packet| packet.questions.clear())), Err(Malformed::Other));
    assert_eq!(query.read(&bytes), Err(Malformed::Other), "a question is no answer");
    let six = Query { want: Want::V6, ..query.clone() };
    assert_eq!(six.read(&message(&six.encode(), |_| {})), Ok(Reply::Addresses(vec![])), "an address of another name");
    // Two names that stand for each other.
    let circle = message(&bytes, |packet| {
        packet.answers.truncate(1);
        let (one, other) = (Name::new("real.test").unwrap(), Name::new("www.test").unwrap());
        packet.answers.push(ResourceRecord::new(one, CLASS::IN, 60, RData::CNAME(CNAME(other))));
    });
    assert_eq!(query.read(&circle), Ok(Reply::Addresses(vec![])));
}

/// Any bytes: nothing panics, and no forged address gets through without the number of the question.
#[test]
fn any_answer_is_survived() {
    let query = Query { id: 7, name: Hostname::new("www.test").unwrap(), want: Want::V4 };
    let good = message(&query.encode(), |_| {});
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..30_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(6) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        bytes.truncate(bytes.len() - next(2) * next(30));
        if let Ok(Reply::Addresses(addresses)) = query.read(&bytes) {
            assert!(addresses.len() <= 16 && bytes[..2] == [0, 7]);
        }
    }
}

/// A server on loopback: says nothing to the first question, cuts all datagrams, and answers over TCP.
fn stubborn() -> (SocketAddr, thread::JoinHandle<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    let server = thread::spawn(move || {
        let mut buffer = [0; 512];
        let mut receive = || {
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            (buffer[..length].to_vec(), from)
        };
        // Both questions of the first second are lost.
        receive();
        receive();
        for _ in 0..2 {
            let (question, from) = receive();
            udp.send_to(&message(&question, |packet| packet.set_id(packet.id() ^ 1)), from).unwrap();
            udp.send_to(&message(&question, |packet| packet.set_flags(PacketFlag::TRUNCATION)), from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).unwrap();
            let answer = message(&question, |_| {});
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    (address, server)
}

#[test]
fn a_name_is_found_over_sockets() {
    let (address, server) = stubborn();
    let servers = [address.ip()];
    let limit = Duration::from_secs(30);
    let setup = Setup { servers: &servers, port: address.port(), search: &[], interface: None, limit };
    let mut number = 0;
    let mut random = || {
        number += 0x1234_5678;
        number
    };
    assert_eq!(resolve("www.test", &setup, &mut random), Ok(vec![FOUND]));
    server.join().unwrap();
    assert_eq!(resolve("[2001:db8::7]", &setup, &mut random), Ok(vec!["2001:db8::7".parse().unwrap()]));
}

#[test]
fn a_closed_port_is_told_before_the_limit_and_not_waited_for() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let servers = ["127.0.0.1".parse().unwrap()];
    let setup = Setup { servers: &servers, port, search: &[], interface: None, limit: Duration::from_millis(300) };
    let begun = Instant::now();
    let failure = resolve("www.test", &setup, &mut || 1 << 20).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(failure.servers, [(servers[0], Said::Unreachable)]);
}
