//! Waiting for a server, among others who connect.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::driver::{Parent, Run};
use super::error::{Error, Stray};
use super::head::Halt;
use super::progress::{Advice, Progress};
use super::wire::{self, Got, Link};
use super::{Action, Event, Offer, Received, Session, Wish};
use crate::Output;

/// Connections that may introduce themselves at the same time, and data connections that wait for their control connection.
const MOST: usize = 16;
/// Wrong passwords until it is no use to wait any longer, as the originals count.
const MOST_PASSWORDS: usize = 10;
/// The head of a parent comes in pieces of at most this size.
const PIECE: usize = 4096;

/// The two ports. Other numbers than the default are of use in tests only: nobody can tell a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Where control connections come.
    pub control: u16,
    /// Where data connections come.
    pub data: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { control: 9997, data: 9998 }
    }
}

/// Who wants the image.
pub trait Caller {
    /// The parent is there, and this is what it sends; nothing was written yet. A caller that cannot take it (a gzip stream where the
    /// output takes an image only) ends the transfer.
    ///
    /// # Errors
    /// Why it is not taken.
    fn begin(&mut self, offer: &Offer) -> io::Result<()>;

    /// Where the bytes go.
    fn output(&mut self) -> &mut dyn Output;

    /// Something to tell the operator. It must not block.
    fn tell(&mut self, progress: &Progress);

    /// The address of a name in the server's list, which has only addresses unless the server reads a file. It may take a few seconds.
    fn address(&mut self, name: &str) -> Option<Ipv4Addr>;
}

/// The two listening sockets. Made before the interface gets its address, a server finds both or none.
#[derive(Debug)]
pub struct Listener {
    pub(super) control: TcpListener,
    pub(super) data: TcpListener,
    pub(super) address: Ipv4Addr,
    pub(super) ports: Ports,
}

/// A control connection that has not yet said all.
struct Candidate {
    control: Link,
    peer: Ipv4Addr,
    session: Session,
}

/// What has come while nobody was the parent yet.
struct Hall<'a> {
    listener: &'a Listener,
    wish: &'a Wish,
    caller: &'a mut dyn Caller,
    clock: Instant,
    candidates: Vec<Candidate>,
    data: Vec<(TcpStream, Ipv4Addr)>,
    passwords: usize,
    last: Option<Stray>,
}

impl Listener {
    /// Begins to listen; the product's address is the unspecified one. Connections to clients behind us come from the same address.
    ///
    /// # Errors
    /// [`Error::Listen`] when a port is in use.
    pub fn bind(address: Ipv4Addr, ports: Ports) -> Result<Self, Error> {
        let listening = wire::listen_on(address, [ports.control, ports.data]);
        let [control, data] = listening.map_err(|(port, source)| Error::Listen { port, source })?;
        Ok(Self { control, data, address, ports })
    }

    /// Receives an image: waits for a server, takes the data, passes them on where the server's list says so, and tells the server.
    /// It can be called again after an error: the sockets go on listening.
    ///
    /// # Errors
    /// Why there is no image. What the output has got by then is worth nothing.
    pub fn receive(&self, wish: &Wish, caller: &mut dyn Caller) -> Result<Received, Error> {
        let clock = Instant::now();
        let (candidates, data) = (Vec::new(), Vec::new());
        let mut hall = Hall { listener: self, wish, caller, clock, candidates, data, passwords: 0, last: None };
        loop {
            let (parent, actions) = hall.parent()?;
            let peer = parent.peer;
            match Run::new(self, &mut *hall.caller, clock, parent).all(actions) {
                Ok(received) => return Ok(received),
                Err(why) => hall.halted(peer, why)?,
            }
        }
    }
}

impl Hall<'_> {
    fn halted(&mut self, peer: Ipv4Addr, why: Halt) -> Result<(), Error> {
        match why {
            Halt::Failed(why) => Err(why),
            Halt::Kill => Err(Error::Killed { peer }),
            Halt::Stray(why) => {
                self.caller.tell(&Progress::Stray { peer, why: why.clone() });
                self.passwords += usize::from(why.is_password());
                if self.passwords >= MOST_PASSWORDS {
                    return Err(Error::Password { attempts: self.passwords, last: why });
                }
                self.last = Some(why);
                Ok(())
            }
        }
    }

    /// The connection of the parent, as soon as one has said all that makes it one, and what is to be done first.
    fn parent(&mut self) -> Result<(Parent, Vec<Action>), Error> {
        let until = self.wish.times.wait;
        let mut remind = self.clock.elapsed();
        loop {
            let now = self.clock.elapsed();
            if now >= until {
                return Err(Error::NobodyCame { waited: now, last: self.last.take() });
            }
            if now >= remind {
                remind = now + self.wish.times.remind;
                self.caller.tell(&Progress::Waiting { rest: until - now, advice: self.advice() });
            }
            let timers = self.candidates.iter().filter_map(|candidate| candidate.session.deadline());
            let next = timers.chain([until, remind]).min().unwrap_or(until);
            self.sleep(next.saturating_sub(now))?;
            self.come();
            let mut at = 0;
            while at < self.candidates.len() {
                match self.serve(at) {
                    Ok(Some(actions)) => return Ok((self.settle(at), actions)),
                    Ok(None) => at += 1,
                    Err(why) => {
                        let gone = self.candidates.remove(at);
                        self.halted(gone.peer, why)?;
                    }
                }
            }
        }
    }

    fn advice(&self) -> Advice {
        let Wish { address, file, key, .. } = self.wish;
        Advice { address: *address, file: file.clone(), password: key.is_some() }
    }

    fn sleep(&self, most: Duration) -> Result<(), Error> {
        let mut fds = vec![PollFd::new(&self.listener.data, PollFlags::IN)];
        if self.candidates.len() < MOST {
            fds.push(PollFd::new(&self.listener.control, PollFlags::IN));
        }
        fds.extend(self.candidates.iter().map(|candidate| PollFd::new(&candidate.control.stream, PollFlags::IN)));
        wire::wait(&mut fds, most).map_err(|source| Error::System { what: "wait for connections", source })
    }

    /// Lets in who stands at the door. A parent makes its data connection first.
    fn come(&mut self) {
        for (stream, peer) in std::iter::from_fn(|| wire::accept(&self.listener.data)).take(MOST) {
            if self.data.len() >= MOST {
                self.data.remove(0);
            }
            self.data.push((stream, peer));
        }
        let room = MOST.saturating_sub(self.candidates.len());
        for (stream, peer) in std::iter::from_fn(|| wire::accept(&self.listener.control)).take(room) {
            let Ok(std::net::SocketAddr::V4(local)) = stream.local_addr() else {
                continue;
            };
            let session = Session::new(self.wish.clone(), peer, *local.ip(), self.clock.elapsed());
            self.candidates.push(Candidate { control: Link::new(stream), peer, session });
        }
    }

    /// What a candidate has said; once it has said all, what is to be done first.
    fn serve(&mut self, at: usize) -> Result<Option<Vec<Action>>, Halt> {
        let candidate = &mut self.candidates[at];
        let mut piece = [0; PIECE];
        let (mut due, mut actions) = (false, Vec::new());
        let event = match wire::read(&candidate.control.stream, &mut piece) {
            Got::Bytes(length) => Event::Control(&piece[..length]),
            Got::End => Event::ControlClosed,
            Got::Nothing => {
                due = true;
                Event::Tick
            }
        };
        let now = self.clock.elapsed();
        if !due || candidate.session.deadline().is_some_and(|deadline| now >= deadline) {
            actions = candidate.session.step(now, event)?;
        }
        let (replies, others): (Vec<_>, Vec<_>) =
            actions.into_iter().partition(|action| matches!(action, Action::Reply(_)));
        for reply in replies {
            if let Action::Reply(bytes) = reply
                && candidate.control.send(&bytes).is_err()
            {
                return Err(Stray::Closed.into());
            }
        }
        Ok((!others.is_empty()).then_some(others))
    }

    /// This one is the parent. The others would wait in vain: their connections are closed, and their data go with them.
    fn settle(&mut self, at: usize) -> Parent {
        let chosen = self.candidates.swap_remove(at);
        self.come();
        self.candidates.clear();
        let data = std::mem::take(&mut self.data).into_iter();
        let data = data.filter_map(|(stream, peer)| (peer == chosen.peer).then_some(stream)).collect();
        Parent { peer: chosen.peer, control: chosen.control, session: chosen.session, data }
    }
}
