//! Sockets that belong to one interface: connections, and the packet sockets of a DHCP client, which do a UDP socket cannot do
//! before there is an address, with the rules of network-field.md kind 7.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rdlive_sys::device::{bind_to_interface, limit_segments};
use rdlive_sys::packet::{Frames, Kind, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};

use crate::dhcp4::ears::Frame;
use crate::hardware::{ETHERNET, HardwareAddress, INFINIBAND};

/// EtherTypes.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// Bytes that are read of a frame: the largest that a network carries.
const BUFFER: usize = 9216 + 64;
/// Bytes of a frame that are enough to tell what it is; a switch's own description of itself is longer than others.
const LISTEN: usize = 1600;
/// Frames that are taken in one go, before the caller has its turn.
const MAX_FRAMES: usize = 64;

/// Where broadcast frames of InfiniBand go (RFC 4391 4: the default partition, the scope of the link).
const INFINIBAND_BROADCAST: [u8; INFINIBAND] =
    [0, 0xff, 0xff, 0xff, 0xff, 0x12, 0x40, 0x1b, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

/// A VLAN tag that the kernel has taken out of a frame.
type Tag = Option<u16>;

/// The sockets for one interface.
#[derive(Debug)]
pub struct Sockets {
    ip: PacketSocket,
    arp: PacketSocket,
    all: Option<PacketSocket>,
    broadcast: Vec<u8>,
    foreign: u64,
}

/// What has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// An IPv4 packet for us or for everybody.
    Packet(Vec<u8>),
    /// An ARP packet.
    Arp(Vec<u8>),
    /// What a frame tells of the link; only until [`Sockets::deaf`].
    Frame(Frame),
}

impl Sockets {
    /// Opens them for an interface.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the module `af_packet` is missing (kind 1e), `EPERM` without the rights, `ENODEV` without the interface.
    pub fn open(index: u32, mac: HardwareAddress) -> io::Result<Self> {
        let broadcast = if mac.ethernet().is_some() { vec![0xff; ETHERNET] } else { INFINIBAND_BROADCAST.to_vec() };
        Ok(Self {
            ip: PacketSocket::open(index, Frames::Payload(IPV4))?,
            arp: PacketSocket::open(index, Frames::Payload(ARP))?,
            all: Some(PacketSocket::open(index, Frames::Whole)?),
            broadcast,
            foreign: 0,
        })
    }

    /// No longer looks at each frame: there is a lease.
    pub fn deaf(&mut self) {
        self.all = None;
    }

    /// How many IPv4 packets were for another machine or another VLAN.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// The descriptors to poll for reading.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.ip.as_fd(), self.arp.as_fd()].into_iter().chain(self.all.as_ref().map(AsFd::as_fd))
    }

    /// Sends an IPv4 packet to everybody on the link.
    ///
    /// # Errors
    /// `ENETDOWN` while the interface is down: the next try comes by itself.
    pub fn send_ip(&self, packet: &[u8]) -> io::Result<()> {
        self.ip.send(&self.broadcast, packet)
    }

    /// Sends an ARP packet to everybody on the link.
    ///
    /// # Errors
    /// As [`Self::send_ip`].
    pub fn send_arp(&self, packet: &[u8]) -> io::Result<()> {
        self.arp.send(&self.broadcast, packet)
    }

    /// What has come in, at most 64 frames of each kind; never waits. Packets for other machines and other VLANs, and
    /// what this machine has sent, are left out; the checksum of UDP is nobody's reason to leave one out (kind 7).
    ///
    /// # Errors
    /// The interface is gone. That it is down is no error.
    pub fn receive(&mut self) -> io::Result<Vec<Incoming>> {
        let mut found = Vec::new();
        let mut buffer = vec![0; BUFFER];
        // First of all: that somebody has the address must be known before time has passed.
        for (bytes, kind, _) in frames(&self.arp, &mut buffer)? {
            if !matches!(kind, Kind::OtherHost | Kind::Outgoing) {
                found.push(Incoming::Arp(bytes));
            }
        }
        if let Some(all) = &self.all {
            for (frame, kind, tag) in frames(all, buffer.get_mut(..LISTEN).unwrap_or_default())? {
                if kind != Kind::Outgoing {
                    found.push(Incoming::Frame(Frame::read(&frame, tag)));
                }
            }
        }
        for (bytes, kind, _) in frames(&self.ip, &mut buffer)? {
            match kind {
                Kind::OtherHost => self.foreign = self.foreign.saturating_add(1),
                Kind::Outgoing => {}
                Kind::Host | Kind::Broadcast | Kind::Multicast => found.push(Incoming::Packet(bytes)),
            }
        }
        Ok(found)
    }
}

fn frames(socket: &PacketSocket, buffer: &mut [u8]) -> io::Result<Vec<(Vec<u8>, Kind, Tag)>> {
    let mut found = Vec::new();
    while found.len() < MAX_FRAMES {
        match socket.receive(buffer) {
            Ok(None) => break,
            Ok(Some(received)) => {
                let bytes = buffer.get(..received.length).unwrap_or_default().to_vec();
                found.push((bytes, received.kind, received.tag));
            }
            // Told once when it goes down; frames come again when it is up.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// How a connection is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The number of the interface (network-field.md kind 3); `None`: the kernel chooses.
    pub interface: Option<u32>,
    /// Bytes of the largest segment (kind 6); `None`: what the interface carries.
    pub segment: Option<u16>,
}

impl Way {
    /// Over this interface.
    #[must_use]
    pub fn over(index: u32) -> Self {
        Self { interface: Some(index), ..Self::default() }
    }
}

/// Connects to a server; never waits longer than `patience`.
///
/// # Errors
/// As `connect(2)`; `TimedOut` without an answer.
pub fn connect(to: SocketAddr, way: Way, patience: Duration) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let Some(index) = way.interface {
        bind_to_interface(&socket, index)?;
    }
    if let Some(bytes) = way.segment {
        limit_segments(&socket, bytes)?;
    }
    match rustix::net::connect(&socket, &to) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let end = Instant::now() + patience;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) };
                let mut ready = [PollFd::new(&socket, PollFlags::OUT)];
                match poll(&mut ready, Some(&time)) {
                    Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                    Ok(_) => break,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            sockopt::socket_error(&socket)??;
        }
        Err(errno) => return Err(errno.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}
