//! Sockets that never block.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// More than the originals have: strays wait in it too.
const BACKLOG: i32 = 16;

fn tcp() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}

/// Two sockets that begin to listen at the same time: a server must see both or none (network.md 1.8).
pub fn listen_on(address: Ipv4Addr, ports: [u16; 2]) -> Result<[TcpListener; 2], (u16, io::Error)> {
    let bound = |port| {
        let socket = tcp()?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(address, port))?;
        io::Result::Ok(socket)
    };
    let [first, second] = ports;
    let one = bound(first).map_err(|why| (first, why))?;
    let other = bound(second).map_err(|why| (second, why))?;
    rustix::net::listen(&one, BACKLOG).map_err(|why| (first, why.into()))?;
    rustix::net::listen(&other, BACKLOG).map_err(|why| (second, why.into()))?;
    Ok([one.into(), other.into()])
}

/// Begins a connection; it is there when the socket can be written to and [`is_connected`].
pub fn dial(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = tcp()?;
    if !from.is_unspecified() {
        bind(&socket, &SocketAddrV4::new(from, 0))?;
    }
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(why) => Err(why.into()),
    }
}

/// How a connection that was begun ended; `None` while it has not.
pub fn is_connected(stream: &TcpStream) -> Option<io::Result<()>> {
    match sockopt::socket_error(stream) {
        Ok(Ok(())) => {}
        Ok(Err(why)) | Err(why) => return Some(Err(why.into())),
    }
    match stream.peer_addr() {
        Err(why) if why.kind() == ErrorKind::NotConnected => None,
        Err(why) => Some(Err(why)),
        Ok(_) => Some(stream.set_nodelay(true)),
    }
}

/// The next connection that waits, with who made it.
pub fn accept(listener: &TcpListener) -> Option<(TcpStream, Ipv4Addr)> {
    let (stream, peer) = listener.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    stream.set_nodelay(true).ok()?;
    match peer.ip() {
        std::net::IpAddr::V4(peer) => Some((stream, peer)),
        std::net::IpAddr::V6(_) => None,
    }
}

/// Waits until something can be done, at most for so long.
pub fn wait(fds: &mut [PollFd<'_>], most: Duration) -> io::Result<()> {
    // One millisecond more: a timer that has not quite run out would be asked again and again.
    let most = most + Duration::from_millis(1);
    let limit =
        Timespec { tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX), tv_nsec: most.subsec_nanos().into() };
    match poll(fds, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Bytes(usize),
    Nothing,
    End,
}

/// Reads what there is. An error is an end: who wanted to say more cannot.
pub fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> Got {
    match stream.read(buffer) {
        Ok(0) => Got::End,
        Ok(length) => Got::Bytes(length),
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Got::Nothing,
        Err(_) => Got::End,
    }
}

/// A connection and what could not be sent on it yet.
#[derive(Debug)]
pub struct Link {
    pub stream: TcpStream,
    waiting: Vec<u8>,
    sent: usize,
    last: bool,
}

impl Link {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, waiting: Vec::new(), sent: 0, last: false }
    }

    pub fn is_pending(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// Sends with one write if the kernel takes all of it, and the rest later.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_pending() {
            self.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = written(&self.stream, bytes)?;
        self.waiting.clear();
        self.waiting.extend_from_slice(&bytes[sent..]);
        self.sent = 0;
        Ok(())
    }

    /// Sends what waits; how many bytes of it went.
    pub fn flush(&mut self) -> io::Result<usize> {
        let sent = written(&self.stream, &self.waiting[self.sent..])?;
        self.sent += sent;
        self.finish_if_last();
        Ok(sent)
    }

    /// Nothing more is sent; the other end sees it after all that waits.
    pub fn finish(&mut self) {
        self.last = true;
        self.finish_if_last();
    }

    fn finish_if_last(&mut self) {
        if self.last && !self.is_pending() {
            // Whoever is gone already needs no end.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

fn written(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match stream.write(bytes) {
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        outcome => outcome,
    }
}
