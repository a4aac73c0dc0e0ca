//! Cables that are not perfect: late, slow, lossy.
//!
//! The kernel's own way, netem, is missing in many kernels (that of our CI among them), and a scenario that is skipped there proves
//! nothing. So a thread of the lab carries the frames of such a cable. Which ones are lost is the same in each run.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::{self, AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::powercut::Random;

/// What a cable does to frames, in each direction; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Each frame arrives so many milliseconds later.
    pub delay: u32,
    /// So many kilobits in a second.
    pub rate: Option<u32>,
    /// So many frames of a hundred are lost, by chance.
    pub loss: u8,
    /// The machine's port is a trunk: it gets frames with this VLAN's tag, and those that it sends lose theirs. Only QEMU sees the tag; the
    /// kernel of the host takes it off before it shows a frame.
    pub vlan: Option<u16>,
    /// Frames of more bytes, with their Ethernet header, are lost and nobody is told: a tunnel behind a filter of ICMP.
    pub largest: Option<usize>,
}

impl Link {
    /// Does it do nothing?
    pub fn is_perfect(&self) -> bool {
        *self == Self::default()
    }
}

/// So many frames wait at the beginning of a cable; the next one is lost (as many as netem's).
const ROOM: usize = 1000;

/// One direction of a cable.
struct Direction {
    link: Link,
    chance: Random,
    /// When the last bit of all before has gone in.
    free: Duration,
}

impl Direction {
    fn new(link: Link, purpose: &str) -> Self {
        Self { link, chance: Random::new(1, purpose), free: Duration::ZERO }
    }

    /// When a frame of this length, sent now, has arrived; never if it is lost.
    fn arrival(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let too_large = self.link.largest.is_some_and(|largest| bytes > largest);
        if too_large || self.chance.below(100) < u64::from(self.link.loss) {
            return None;
        }
        // A bit takes a microsecond at a thousand kilobits.
        let micros = self.link.rate.map_or(0, |rate| bytes as u64 * 8 * 1000 / u64::from(rate.max(1)));
        self.free = self.free.max(now) + Duration::from_micros(micros);
        Some(self.free + Duration::from_millis(self.link.delay.into()))
    }
}

/// A cable between two interfaces of a namespace, carried by a thread until this is dropped.
#[derive(Debug)]
pub struct Cable {
    cut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// So soon the thread sees that it is to end.
const BREATH: Duration = Duration::from_millis(50);

impl Cable {
    /// Connects the interfaces.
    pub fn lay(link: Link, namespace: &Path, ends: [String; 2]) -> Result<Self> {
        let cut = Arc::new(AtomicBool::new(false));
        let (done, wait) = mpsc::channel();
        let namespace = File::open(namespace).context("opening a network namespace")?;
        let seen = Arc::clone(&cut);
        let thread = std::thread::spawn(move || {
            let opened = open(&namespace, &ends);
            drop(namespace);
            let (said, ends) = match opened {
                Ok(ends) => (Ok(()), Some(ends)),
                Err(error) => (Err(error), None),
            };
            let _ = done.send(said);
            if let Some(ends) = ends {
                // The only error is that of a namespace which is going away.
                let _ = carry(link, &ends, &seen);
            }
        });
        let cable = Self { cut, thread: Some(thread) };
        wait.recv().context("the cable's thread ended")?.context("opening the ends of a cable")?;
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Only the calling thread moves to the namespace, and stays there.
fn open(namespace: &File, ends: &[String; 2]) -> io::Result<[OwnedFd; 2]> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok([end(&ends[0])?, end(&ends[1])?])
}

/// All frames of an interface (packet(7)).
fn end(name: &str) -> io::Result<OwnedFd> {
    let interfaces = nix::ifaddrs::getifaddrs()?;
    let address = interfaces
        .filter(|interface| interface.interface_name == name)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no interface {name}")))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    socket::bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// A frame that this host has sent itself (`PACKET_OUTGOING`): the sockets show those, too.
const OUTGOING: u8 = 4;

fn carry(link: Link, ends: &[OwnedFd; 2], cut: &AtomicBool) -> io::Result<()> {
    let begin = Instant::now();
    let mut directions = ["there", "back"].map(|purpose| Direction::new(link, purpose));
    let mut waiting = [VecDeque::<(Duration, Vec<u8>)>::new(), VecDeque::new()];
    let mut buffer = vec![0; 1 << 16];
    while !cut.load(Ordering::Relaxed) {
        let now = begin.elapsed();
        for (way, waiting) in waiting.iter_mut().enumerate() {
            let due = waiting.partition_point(|(at, _)| *at <= now);
            for (_, frame) in waiting.drain(..due) {
                // What the other end has no room for is lost, as on any cable.
                let _ = socket::send(ends[1 - way].as_raw_fd(), &frame, MsgFlags::empty());
            }
        }
        let next = waiting.iter().filter_map(|waiting| waiting.front()).map(|(at, _)| at.saturating_sub(now)).min();
        let pause = Timespec::try_from(next.unwrap_or(BREATH).min(BREATH)).map_err(Error::other)?;
        poll(&mut [PollFd::new(&ends[0], PollFlags::IN), PollFd::new(&ends[1], PollFlags::IN)], Some(&pause))?;
        for way in 0..2 {
            while let Some(length) = receive(&ends[way], &mut buffer)? {
                if let Some(at) = directions[way].arrival(begin.elapsed(), length)
                    && waiting[way].len() < ROOM
                {
                    let frame = &buffer[..length];
                    let frame = link.vlan.filter(|_| way == 0).map_or_else(|| frame.to_vec(), |id| tagged(frame, id));
                    waiting[way].push_back((at, frame));
                }
            }
        }
    }
    Ok(())
}

/// A frame with the tag of a VLAN behind its two addresses (IEEE 802.1Q).
fn tagged(frame: &[u8], id: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(frame.len().min(12));
    [addresses, &[0x81, 0], &id.to_be_bytes(), rest].concat()
}

/// The length of the next frame that has come in, if there is one.
fn receive(end: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match socket::recvfrom::<LinkAddr>(end.as_raw_fd(), buffer) {
            Ok((_, Some(from))) if from.pkttype() == OUTGOING => {}
            Ok((length, _)) => return Ok(Some(length)),
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_their_time() {
        let ms = Duration::from_millis;
        let slow = Link { rate: Some(1000), ..Link::default() };
        let late = Link { delay: 20, ..Link::default() };
        // Sent, bytes, arrived; 125 bytes take a millisecond of 1000 kbit/s.
        type Frame = (u64, usize, u64);
        let cases: [(Link, &[Frame]); 4] = [
            (Link::default(), &[(0, 1500, 0), (5, 1500, 5)]),
            (late, &[(0, 1500, 20), (1, 60, 21)]),
            (slow, &[(0, 1250, 10), (0, 1250, 20), (15, 125, 21), (100, 125, 101)]),
            (Link { delay: 20, ..slow }, &[(0, 1250, 30), (0, 125, 31)]),
        ];
        for (link, frames) in cases {
            let mut direction = Direction::new(link, "");
            for (sent, bytes, arrived) in frames {
                assert_eq!(direction.arrival(ms(*sent), *bytes), Some(ms(*arrived)), "{link:?} {sent} {bytes}");
            }
        }
    }

    #[test]
    fn a_tag_stands_behind_the_addresses() {
        let frame: Vec<u8> = (0..20).collect();
        let tagged = tagged(&frame, 5);
        assert_eq!((&tagged[..12], &tagged[12..16], &tagged[16..]), (&frame[..12], &[0x81, 0, 0, 5][..], &frame[12..]));
    }

    #[test]
    fn a_tunnel_carries_small_frames_alone() {
        let mut direction = Direction::new(Link { largest: Some(1400), ..Link::default() }, "");
        let arrives = [1400, 1401, 60].map(|bytes| direction.arrival(Duration::ZERO, bytes).is_some());
        assert_eq!(arrives, [true, false, true]);
    }

    #[test]
    fn as_many_are_lost_as_the_link_says_and_always_the_same() {
        let lost = |loss, purpose| {
            let mut direction = Direction::new(Link { loss, ..Link::default() }, purpose);
            (0..1000).map(|_| direction.arrival(Duration::ZERO, 60).is_none()).collect::<Vec<bool>>()
        };
        let count = |loss| lost(loss, "there").iter().filter(|lost| **lost).count();
        assert_eq!((count(0), count(100)), (0, 1000));
        assert!((250..350).contains(&count(30)), "{}", count(30));
        assert_eq!(lost(30, "there"), lost(30, "there"));
        assert_ne!(lost(30, "there"), lost(30, "back"));
    }
}
