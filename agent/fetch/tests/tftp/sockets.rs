//! The same servers on loopback.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rdlive_fetch::tftp::{Again, Error, Failure, Refusal, Source, Times, fetch, socket_for};
use rdlive_fetch::{Facts, Output, Taker};

use crate::peer::Peer;

#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    finished: bool,
    room: Option<usize>,
    facts: Vec<Facts>,
    refuses: bool,
}

impl Output for Memory {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        if self.room.is_some_and(|room| room < end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        Ok(())
    }
}

impl Taker for Memory {
    fn begin(&mut self, facts: &Facts) -> io::Result<()> {
        self.facts.push(facts.clone());
        if self.refuses { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    fn output(&mut self) -> &mut dyn Output {
        self
    }
}

/// Serves each request from a port of its own, as servers do.
fn serve(address: &str, peer: &Peer) -> Option<SocketAddr> {
    let socket = UdpSocket::bind(address).ok()?;
    let (at, peer, ip) = (socket.local_addr().unwrap(), peer.clone(), address.rsplit_once(':').unwrap().0.to_owned());
    thread::spawn(move || {
        let mut packet = [0; 2000];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let (mut peer, request) = (peer.clone(), packet[..length].to_vec());
            let chosen = UdpSocket::bind(format!("{ip}:0")).unwrap();
            chosen.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            thread::spawn(move || {
                let mut packet = [0; 2000];
                let mut answers = peer.packet(&request);
                for _ in 0..100_000 {
                    answers.iter().for_each(|answer| drop(chosen.send_to(answer, client)));
                    answers = match chosen.recv_from(&mut packet) {
                        Ok((length, _)) => peer.packet(&packet[..length]),
                        Err(_) => peer.timeout(),
                    };
                    if peer.is_over() {
                        break;
                    }
                }
            });
        }
    });
    Some(at)
}

fn source() -> Source {
    let times = Times { silence: Duration::from_secs(8), ..Times::default() };
    Source { times, ..Source::new("image/a b.iso") }
}

fn get(server: SocketAddr, source: &Source, memory: &mut Memory) -> Result<u64, Failure> {
    fetch(source, server, &mut || socket_for(server), memory)
}

#[test]
fn a_whole_file() {
    for peer in [
        Peer::new(3_000_000),
        Peer { window: None, ..Peer::new(300_000) },
        Peer { tells_size: false, ..Peer::new(300_000) },
        Peer { refuses_options: Some(8), ..Peer::new(100_000) },
    ] {
        let server = serve("127.0.0.1:0", &peer).unwrap();
        let mut memory = Memory::default();
        assert_eq!(get(server, &source(), &mut memory).unwrap(), peer.file.len() as u64);
        assert!(memory.bytes == peer.file && memory.finished);
        let size = (peer.tells_size && peer.refuses_options.is_none()).then_some(peer.file.len() as u64);
        assert_eq!(memory.facts, [Facts { size, modified: None }]);
    }
}

#[test]
fn more_than_65535_blocks() {
    for wraps_to_one in [false, true] {
        let peer = Peer { wraps_to_one, ..Peer::new(65_600 * 8) };
        let server = serve("127.0.0.1:0", &peer).unwrap();
        let mut memory = Memory::default();
        get(server, &Source { block: 8, ..source() }, &mut memory).unwrap();
        assert!(memory.bytes == peer.file);
    }
}

#[test]
fn over_ipv6() {
    let peer = Peer::new(100_000);
    let Some(server) = serve("[::1]:0", &peer) else {
        let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        assert!(!table.lines().any(|line| line.ends_with(" lo")), "there is IPv6 on loopback");
        return;
    };
    let mut memory = Memory::default();
    get(server, &source(), &mut memory).unwrap();
    assert!(memory.bytes == peer.file);
}

#[test]
fn failures() {
    let server = serve("127.0.0.1:0", &Peer::new(1_000_000)).unwrap();
    let failure = get(server, &Source { path: "other".into(), ..source() }, &mut Memory::default()).unwrap_err();
    assert!(matches!(&failure.why, Error::Refused { refusal: Refusal::NotFound, text } if text == "no \\x1b[2Jfile"));
    assert_eq!(failure.why.again(), Again::Briefly);
    let mut memory = Memory { room: Some(100_000), ..Memory::default() };
    let failure = get(server, &source(), &mut memory).unwrap_err();
    assert!(matches!(&failure.why, Error::Output(why) if why.kind() == io::ErrorKind::StorageFull));
    assert!(failure.received <= 120_000 && !memory.finished);
    let mut memory = Memory { refuses: true, ..Memory::default() };
    let failure = get(server, &source(), &mut memory).unwrap_err();
    assert!(matches!(&failure.why, Error::Output(why) if why.kind() == io::ErrorKind::FileTooLarge));
    assert!(memory.bytes.is_empty());
}

#[test]
fn nobody_there() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = nobody.local_addr().unwrap();
    let times = Times { silence: Duration::from_millis(400), first: Duration::from_millis(100), ..Times::default() };
    let begun = Instant::now();
    let failure = get(server, &Source { times, ..source() }, &mut Memory::default()).unwrap_err();
    assert!(matches!(failure.why, Error::NoAnswer { .. }), "{failure:?}");
    assert_eq!(failure.why.again(), Again::Yes);
    assert!(begun.elapsed() < Duration::from_secs(4));
}
