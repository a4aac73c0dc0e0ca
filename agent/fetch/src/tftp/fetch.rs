//! The protocol on a socket.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::error::{Error, Failure};
use super::transfer::{Action, Transfer};
use super::{BLOCK, Source};
use crate::Taker;

/// A packet that is too long is seen as such, and no more of it is needed.
const MAX_PACKET: usize = 4 + BLOCK + 64;

/// A socket for a server at this address, on a port that the kernel chooses.
///
/// # Errors
/// What the kernel says.
pub fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    if server.is_ipv4() {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
    }
}

struct Run<'a> {
    server: SocketAddr,
    socket: UdpSocket,
    make: &'a mut dyn FnMut() -> io::Result<UdpSocket>,
    taker: &'a mut dyn Taker,
    transfer: Transfer,
    clock: Instant,
    size: Option<u64>,
}

/// Fetches a file from the server at this address. Each attempt to ask has a socket of its own, which `make` gives: bound to an interface
/// if it must be ([`socket_for`] binds to none). The output is finished when all is there; the result is the file's length.
///
/// # Errors
/// Why not.
pub fn fetch(
    source: &Source,
    server: SocketAddr,
    make: &mut dyn FnMut() -> io::Result<UdpSocket>,
    taker: &mut dyn Taker,
) -> Result<u64, Failure> {
    let failed = |why| Failure { why, received: 0 };
    let socket = fresh(make).map_err(|why| failed(Error::Socket(why)))?;
    let transfer = Transfer::new(source.clone(), server);
    let mut run = Run { server, socket, make, taker, transfer, clock: Instant::now(), size: None };
    run.all().map_err(|why| {
        // It would go on to send.
        let code = if matches!(why, Error::Option { .. }) { 8 } else { 0 };
        if let Some(farewell) = run.transfer.abort(code, "given up") {
            let _ = run.act(farewell, &[]);
        }
        Failure { why, received: run.transfer.received() }
    })
}

fn fresh(make: &mut dyn FnMut() -> io::Result<UdpSocket>) -> io::Result<UdpSocket> {
    let socket = make()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Run<'_> {
    fn all(&mut self) -> Result<u64, Error> {
        let request = self.transfer.start(self.clock.elapsed())?;
        self.obey(request, &[])?;
        let mut packet = [0; MAX_PACKET];
        loop {
            self.hear(&mut packet)?;
            if let Some(size) = self.size {
                self.taker.output().finish().map_err(Error::Output)?;
                // Blocks that were sent again meanwhile: our last acknowledgement was lost.
                self.hear(&mut packet)?;
                return Ok(size);
            }
            let now = self.clock.elapsed();
            let deadline = self.transfer.deadline();
            if now >= deadline {
                let actions = self.transfer.tick(now)?;
                self.obey(actions, &[])?;
            } else {
                wait(&self.socket, deadline - now).map_err(Error::Socket)?;
            }
        }
    }

    /// All that has come.
    fn hear(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        // Whoever floods us does not keep us from looking at the clock.
        for _ in 0..256 {
            match self.socket.recv_from(packet) {
                Ok((length, from)) => {
                    let actions = self.transfer.packet(self.clock.elapsed(), from, &packet[..length])?;
                    self.obey(actions, &packet[..length])?;
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                // An earlier packet did not arrive; the timer sends it again.
                Err(why) if is_passing(&why) => {}
                Err(why) => return Err(Error::Socket(why)),
            }
        }
        Ok(())
    }

    fn obey(&mut self, actions: Vec<Action>, packet: &[u8]) -> Result<(), Error> {
        actions.into_iter().try_for_each(|action| self.act(action, packet))
    }

    fn act(&mut self, action: Action, packet: &[u8]) -> Result<(), Error> {
        match action {
            Action::Fresh => self.socket = fresh(self.make).map_err(Error::Socket)?,
            Action::Send { port, bytes } => {
                let mut to = self.server;
                to.set_port(port);
                match self.socket.send_to(&bytes, to) {
                    // No route yet, or a full queue: the timer sends it again.
                    Err(why) if !is_passing(&why) => return Err(Error::Socket(why)),
                    _ => {}
                }
            }
            Action::Begin(facts) => self.taker.begin(&facts).map_err(Error::Output)?,
            Action::Store { offset } => {
                let bytes = packet.get(4..).unwrap_or_default();
                self.taker.output().write_at(offset, bytes).map_err(Error::Output)?;
            }
            Action::Done { size } => self.size = Some(size),
        }
        Ok(())
    }
}

fn is_passing(why: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionRefused, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable, OutOfMemory, WouldBlock,
    };
    let kind = why.kind();
    let kinds =
        [ConnectionRefused, HostUnreachable, NetworkUnreachable, NetworkDown, WouldBlock, Interrupted, OutOfMemory];
    kinds.contains(&kind) || why.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

fn wait(socket: &UdpSocket, most: Duration) -> io::Result<()> {
    let most = most + Duration::from_millis(1);
    let limit =
        Timespec { tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX), tv_nsec: most.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}
