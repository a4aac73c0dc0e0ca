//! The sockets of a lookup.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rdlive_sys::device::bind_to_interface;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::lookup::{Answer, Failure, Lookup, Step};
use super::message::Query;
use crate::hostname::Hostname;
use crate::socket::{Way, connect};

/// Bytes of the longest datagram without EDNS are 512; servers that send more are read too.
const DATAGRAM: usize = 4096;
/// For each step over TCP: connection, question, answer.
const TCP: Duration = Duration::from_secs(2);
/// Answers that are read before the decision has its turn.
const MAX_ANSWERS: usize = 32;

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The servers, in order.
    pub servers: &'a [IpAddr],
    /// Their port: 53.
    pub port: u16,
    /// The search list.
    pub search: &'a [Hostname],
    /// The number of the interface that the questions go out of; `None`: the kernel chooses.
    pub interface: Option<u32>,
    /// For how long to go on.
    pub limit: Duration,
}

/// A socket for one server.
struct Asked {
    server: IpAddr,
    socket: UdpSocket,
}

/// Looks a name up. It waits until there is an answer, and never longer than the limit. An address is its own answer.
///
/// # Errors
/// No address was found; what each server said.
pub fn resolve(name: &str, setup: &Setup<'_>, random: &mut dyn FnMut() -> u32) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![ip]);
    }
    let begun = Instant::now();
    let mut lookup = Lookup::new(Duration::ZERO, name, setup.search, setup.servers);
    let mut asked: Vec<Asked> = Vec::new();
    while begun.elapsed() < setup.limit {
        match lookup.next(begun.elapsed(), random) {
            Step::Ask { server, query } => {
                if send(&mut asked, setup, server, &query).is_err() {
                    lookup.answer(begun.elapsed(), server, &query, Answer::Unreachable);
                }
            }
            Step::AskLong { server, query } => {
                let answer = long(setup, server, &query).unwrap_or(Answer::Unreachable);
                lookup.answer(begun.elapsed(), server, &query, answer);
            }
            Step::Wait(until) => {
                let until = until.min(setup.limit);
                wait(&asked, until.saturating_sub(begun.elapsed()));
                for one in &asked {
                    receive(one, &mut lookup, begun);
                }
            }
            Step::Found(addresses) => return Ok(addresses),
            Step::Never => break,
        }
    }
    Err(lookup.failure())
}

/// A new port for each server: only its answers arrive there, and an ICMP message that nobody listens becomes an error.
fn send(asked: &mut Vec<Asked>, setup: &Setup<'_>, server: IpAddr, query: &Query) -> io::Result<()> {
    if !asked.iter().any(|one| one.server == server) {
        let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        if let Some(index) = setup.interface {
            bind_to_interface(&socket, index)?;
        }
        socket.connect((server, setup.port))?;
        asked.push(Asked { server, socket });
    }
    match asked.iter().find(|one| one.server == server) {
        Some(one) => one.socket.send(&query.encode()).map(|_| ()),
        None => Ok(()),
    }
}

fn receive(one: &Asked, lookup: &mut Lookup, begun: Instant) {
    let mut buffer = [0; DATAGRAM];
    for _ in 0..MAX_ANSWERS {
        let length = match one.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {
                let open: Vec<Query> = lookup.open(one.server).cloned().collect();
                for query in open {
                    lookup.answer(begun.elapsed(), one.server, &query, Answer::Unreachable);
                }
                return;
            }
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let answers = lookup.open(one.server).find_map(|query| Some((query.clone(), query.read(bytes).ok()?)));
        // What answers no question may be forged: it changes nothing.
        if let Some((query, reply)) = answers {
            lookup.answer(begun.elapsed(), one.server, &query, Answer::Reply(reply));
        }
    }
}

/// RFC 1035 4.2.2: two bytes of length before each message.
fn long(setup: &Setup<'_>, server: IpAddr, query: &Query) -> io::Result<Answer> {
    let mut stream =
        connect(SocketAddr::new(server, setup.port), Way { interface: setup.interface, segment: None }, TCP)?;
    stream.set_read_timeout(Some(TCP))?;
    stream.set_write_timeout(Some(TCP))?;
    let message = query.encode();
    let length = u16::try_from(message.len()).unwrap_or(0);
    stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat())?;
    let mut length = [0; 2];
    let begun = Instant::now();
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    let mut rest = bytes.as_mut_slice();
    // One byte now and then is no answer either.
    while !rest.is_empty() {
        let read = stream.read(rest)?;
        if read == 0 || begun.elapsed() > TCP {
            return Ok(Answer::Broken);
        }
        rest = rest.get_mut(read..).unwrap_or_default();
    }
    Ok(query.read(&bytes).map_or(Answer::Broken, Answer::Reply))
}

fn wait(asked: &[Asked], time: Duration) {
    let mut ready: Vec<PollFd<'_>> = asked.iter().map(|one| PollFd::new(&one.socket, PollFlags::IN)).collect();
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(time.subsec_nanos()) };
    // What wakes it early is looked at, what fails is no reason to spin: the caller's limit holds.
    let _ = poll(&mut ready, Some(&time));
}
