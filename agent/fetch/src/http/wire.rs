//! Bytes to and from a server, plain or encrypted, each read with an end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::tls::{HandshakeError, Trust};
use crate::url::Host;

use super::head::MAX_HEAD;

/// A connection whose reads end: after `idle` without a byte, and at `until` whatever comes.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    idle: Duration,
    until: Instant,
    /// The limit that the kernel has.
    set: Duration,
}

impl Socket {
    fn new(tcp: TcpStream, idle: Duration) -> io::Result<Self> {
        // A resumed TLS 1.2 connection waited 50 ms for a delayed acknowledgement without it (streaming.md 4.3).
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(idle))?;
        tcp.set_read_timeout(Some(idle))?;
        Ok(Self { tcp, idle, until: Instant::now() + idle, set: idle })
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wait = self.idle.min(self.until.saturating_duration_since(Instant::now()));
        if wait.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if wait != self.set {
            self.tcp.set_read_timeout(Some(wait))?;
            self.set = wait;
        }
        loop {
            match self.tcp.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                other => return other,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// A connection and what was read of it but not used yet.
pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    /// What of the buffer was used.
    used: usize,
    pub address: SocketAddr,
}

impl Wire {
    /// Takes over a socket that is connected to `address`.
    pub(super) fn new(tcp: TcpStream, address: SocketAddr, idle: Duration) -> io::Result<Self> {
        Ok(Self { stream: Stream::Plain(Socket::new(tcp, idle)?), buffer: Vec::new(), used: 0, address })
    }

    /// Everything from now on is encrypted.
    pub(super) fn encrypt(self, trust: &Trust, host: &Host) -> Result<Self, HandshakeError> {
        match self.stream {
            Stream::Plain(socket) => {
                let stream = Stream::Tls(Box::new(trust.handshake(host, socket)?));
                Ok(Self { stream, buffer: Vec::new(), used: 0, address: self.address })
            }
            Stream::Tls(_) => Ok(self),
        }
    }

    /// No read goes on longer than this.
    pub(super) fn ends_at(&mut self, until: Instant) {
        match &mut self.stream {
            Stream::Plain(socket) => socket.until = until,
            Stream::Tls(stream) => stream.sock.until = until,
        }
    }

    /// Whether nothing has come that nobody asked for: it would be taken for the next answer. A connection that the server has closed
    /// is not quiet either. Below TLS nothing can be said, for its own messages come at any time.
    pub(super) fn is_quiet(&self) -> bool {
        let Stream::Plain(socket) = &self.stream else { return self.buffered().is_empty() };
        let nothing = |tcp: &TcpStream| {
            tcp.set_nonblocking(true)?;
            let seen = tcp.peek(&mut [0]);
            tcp.set_nonblocking(false)?;
            seen
        };
        self.buffered().is_empty() && nothing(&socket.tcp).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// What was read and not used.
    pub(super) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.buffer.len());
        if self.used == self.buffer.len() {
            self.buffer.clear();
            self.used = 0;
        }
    }

    /// Reads more into the buffer, which holds no more than the longest head. 0 at the end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = self.buffer.len();
        self.buffer.resize(MAX_HEAD.max(have + 1), 0);
        let read = read(&mut self.stream, self.buffer.get_mut(have..).unwrap_or_default());
        self.buffer.truncate(have + read.as_ref().copied().unwrap_or(0));
        read
    }

    /// Reads, from the buffer first. 0 at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let buffered = self.buffered();
        if buffered.is_empty() {
            return read(&mut self.stream, into);
        }
        let take = buffered.len().min(into.len());
        into[..take].copy_from_slice(&buffered[..take]);
        self.consume(take);
        Ok(take)
    }
}

fn read(stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
    match stream {
        Stream::Plain(socket) => socket.read(into),
        Stream::Tls(stream) => stream.read(into),
    }
}
