//! Does what a session decides, on its sockets.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::Error;
use super::head::Halt;
use super::listen::{Caller, Listener};
use super::wire::{self, Got, Link};
use super::{Action, ChildEvent, Event, Received, Session};

/// Bytes of one read of data.
const PIECE: usize = 128 << 10;
/// One attempt to connect to a client.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long the parent may take to close after the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// The parent's connections. Several data connections may have come from its address: the one with data is the right one.
pub struct Parent {
    pub peer: Ipv4Addr,
    pub control: Link,
    pub session: Session,
    pub data: Vec<TcpStream>,
}

/// A client behind us. Data are connected before control.
struct Feed {
    index: usize,
    address: Ipv4Addr,
    data: Option<Link>,
    control: Option<Link>,
    /// What is being connected, and when that is given up.
    dialled: Option<(TcpStream, Duration)>,
}

pub struct Run<'a> {
    listener: &'a Listener,
    caller: &'a mut dyn Caller,
    clock: Instant,
    parent: Parent,
    feeds: Vec<Feed>,
    wants_data: bool,
    wants_end: bool,
    has_data: bool,
    data_over: bool,
    control_over: bool,
    buffer: Vec<u8>,
    done: Option<Received>,
}

type Outcome = Result<(), Halt>;

impl<'a> Run<'a> {
    pub fn new(listener: &'a Listener, caller: &'a mut dyn Caller, clock: Instant, parent: Parent) -> Self {
        Self {
            listener,
            caller,
            clock,
            parent,
            feeds: Vec::new(),
            wants_data: false,
            wants_end: false,
            has_data: false,
            data_over: false,
            control_over: false,
            buffer: vec![0; PIECE],
            done: None,
        }
    }

    /// The transfer, beginning with these actions.
    pub fn all(mut self, actions: Vec<Action>) -> Result<Received, Halt> {
        self.obey(actions, 0)?;
        loop {
            if let Some(received) = self.done.take() {
                self.farewell();
                return Ok(received);
            }
            if self.wants_end && !self.is_held() {
                self.wants_end = false;
                self.caller.output().finish().map_err(|why| Halt::Failed(why.into()))?;
                self.happened(Event::Finished)?;
                continue;
            }
            // It has usually come before the control connection.
            self.take_data_connection()?;
            self.sleep()?;
            self.hear_control()?;
            self.hear_data()?;
            for child in self.feeds.iter().map(|feed| feed.index).collect::<Vec<_>>() {
                self.dialled(child)?;
                self.hear_child(child)?;
                self.feed_on(child)?;
            }
            let now = self.clock.elapsed();
            if self.parent.session.deadline().is_some_and(|deadline| now >= deadline) {
                self.happened(Event::Tick)?;
            }
        }
    }

    fn happened(&mut self, event: Event<'_>) -> Outcome {
        let actions = self.parent.session.step(self.clock.elapsed(), event)?;
        self.obey(actions, 0)
    }

    /// Data that wait for a child: none are read until it has them.
    fn is_held(&self) -> bool {
        self.feeds.iter().any(|feed| feed.data.as_ref().is_some_and(Link::is_pending))
    }

    fn sleep(&self) -> Outcome {
        let mut fds = Vec::new();
        if self.wants_data {
            fds.push(PollFd::new(&self.listener.data, PollFlags::IN));
        }
        if !self.control_over {
            fds.push(PollFd::new(&self.parent.control.stream, interest(&self.parent.control)));
        }
        if !self.wants_data && !self.data_over && !self.is_held() {
            fds.extend(self.parent.data.iter().map(|stream| PollFd::new(stream, PollFlags::IN)));
        }
        for feed in &self.feeds {
            fds.extend(feed.dialled.iter().map(|(stream, _)| PollFd::new(stream, PollFlags::OUT)));
            fds.extend(feed.control.iter().map(|link| PollFd::new(&link.stream, interest(link))));
            let pending = feed.data.iter().filter(|link| link.is_pending());
            fds.extend(pending.map(|link| PollFd::new(&link.stream, PollFlags::OUT)));
        }
        let dialled = self.feeds.iter().filter_map(|feed| feed.dialled.as_ref().map(|(_, until)| *until));
        let next = self.parent.session.deadline().into_iter().chain(dialled).min();
        let most = next.map_or(ATTEMPT, |next| next.saturating_sub(self.clock.elapsed()));
        wire::wait(&mut fds, most).map_err(|source| Halt::Failed(Error::System { what: "wait for data", source }))
    }

    /// Actions, and what follows from them. Data are in the buffer, so many bytes from its start.
    fn obey(&mut self, actions: Vec<Action>, length: usize) -> Outcome {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            queue.extend(self.act(action, length)?);
        }
        Ok(())
    }

    fn act(&mut self, action: Action, available: usize) -> Result<Vec<Action>, Halt> {
        match action {
            // A parent that is gone is seen when its connection is read.
            Action::Reply(bytes) => drop(self.parent.control.send(&bytes)),
            Action::Resolve(names) => {
                let mut address = |name: &String| name.parse().ok().or_else(|| self.caller.address(name));
                let addresses: Vec<_> = names.iter().map(&mut address).collect();
                return self.parent.session.step(self.clock.elapsed(), Event::Resolved(&addresses));
            }
            Action::AcceptData => self.wants_data = true,
            Action::Begin(offer) => self.caller.begin(&offer).map_err(|why| Halt::Failed(why.into()))?,
            Action::Connect { child, address } => return self.connect(child, address),
            Action::Tell { child, bytes } => {
                let told = self.feed(child).and_then(|feed| feed.control.as_mut()).map(|link| link.send(&bytes));
                if matches!(told, Some(Err(_))) {
                    let event = Event::Child(child, ChildEvent::Closed);
                    return self.parent.session.step(self.clock.elapsed(), event);
                }
            }
            Action::Store { offset, length } => return self.store(offset, length.min(available)),
            Action::EndData => self.feeds.iter_mut().filter_map(|feed| feed.data.as_mut()).for_each(Link::finish),
            Action::Finish => self.wants_end = true,
            Action::Drop { child } => self.feeds.retain(|feed| feed.index != child),
            Action::Note(progress) => self.caller.tell(&progress),
            Action::Done(received) => self.done = Some(received),
        }
        Ok(Vec::new())
    }

    fn feed(&mut self, index: usize) -> Option<&mut Feed> {
        self.feeds.iter_mut().find(|feed| feed.index == index)
    }

    fn store(&mut self, offset: u64, length: usize) -> Result<Vec<Action>, Halt> {
        let bytes = &self.buffer[..length];
        self.caller.output().write_at(offset, bytes).map_err(|why| Halt::Failed(why.into()))?;
        let mut actions = Vec::new();
        for feed in &mut self.feeds {
            let Some(link) = feed.data.as_mut() else {
                continue;
            };
            let event = match link.send(bytes) {
                Err(_) => ChildEvent::Closed,
                Ok(()) if link.is_pending() => ChildEvent::Behind,
                Ok(()) => continue,
            };
            actions.extend(self.parent.session.step(self.clock.elapsed(), Event::Child(feed.index, event))?);
        }
        Ok(actions)
    }

    fn take_data_connection(&mut self) -> Outcome {
        if !self.wants_data {
            return Ok(());
        }
        let peer = self.parent.peer;
        let come = std::iter::from_fn(|| wire::accept(&self.listener.data)).filter(|(_, from)| *from == peer);
        self.parent.data.extend(come.take(4).map(|(stream, _)| stream));
        if self.parent.data.is_empty() {
            return Ok(());
        }
        self.wants_data = false;
        self.happened(Event::DataAccepted)
    }

    fn hear_control(&mut self) -> Outcome {
        if self.control_over {
            return Ok(());
        }
        // Errors are seen by the read.
        let _ = self.parent.control.flush();
        let mut piece = [0; 4096];
        match wire::read(&self.parent.control.stream, &mut piece) {
            Got::Bytes(length) => self.happened(Event::Control(&piece[..length])),
            Got::Nothing => Ok(()),
            Got::End => {
                self.control_over = true;
                self.happened(Event::ControlClosed)
            }
        }
    }

    fn hear_data(&mut self) -> Outcome {
        let mut at = 0;
        while at < self.parent.data.len() && !self.wants_data && !self.data_over && !self.is_held() {
            match wire::read(&self.parent.data[at], &mut self.buffer) {
                Got::Nothing => at += 1,
                Got::Bytes(length) => {
                    if !self.has_data {
                        // The others from this address were something else.
                        self.parent.data.swap(0, at);
                        self.parent.data.truncate(1);
                        self.has_data = true;
                    }
                    let event = Event::Data(&self.buffer[..length]);
                    let actions = self.parent.session.step(self.clock.elapsed(), event)?;
                    return self.obey(actions, length);
                }
                Got::End if self.parent.data.len() > 1 => drop(self.parent.data.remove(at)),
                Got::End => {
                    self.data_over = true;
                    return self.happened(Event::DataClosed);
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self, index: usize, address: Ipv4Addr) -> Result<Vec<Action>, Halt> {
        if self.feed(index).is_none() {
            let (data, control) = (None, None);
            self.feeds.push(Feed { index, address, data, control, dialled: None });
        }
        // A data connection of an earlier attempt is of use if it is still there: the client has it first in its queue.
        let is_gone = |link: &Link| !matches!(wire::read(&link.stream, &mut [0; 1]), Got::Nothing);
        if let Some(feed) = self.feed(index)
            && feed.data.as_ref().is_some_and(is_gone)
        {
            feed.data = None;
        }
        self.dial(index)
    }

    fn dial(&mut self, index: usize) -> Result<Vec<Action>, Halt> {
        let (from, ports, until) = (self.listener.address, self.listener.ports, self.clock.elapsed() + ATTEMPT);
        let Some(feed) = self.feed(index) else {
            return Ok(Vec::new());
        };
        let port = if feed.data.is_none() { ports.data } else { ports.control };
        match wire::dial(from, SocketAddrV4::new(feed.address, port)) {
            Ok(stream) => {
                feed.dialled = Some((stream, until));
                Ok(Vec::new())
            }
            Err(_) => self.parent.session.step(self.clock.elapsed(), Event::Child(index, ChildEvent::Refused)),
        }
    }

    /// Looks after a connection that was begun.
    fn dialled(&mut self, index: usize) -> Outcome {
        let now = self.clock.elapsed();
        let Some(feed) = self.feed(index) else {
            return Ok(());
        };
        let Some((stream, until)) = feed.dialled.take() else {
            return Ok(());
        };
        match wire::is_connected(&stream) {
            None if now < until => {
                feed.dialled = Some((stream, until));
                return Ok(());
            }
            None | Some(Err(_)) => return self.happened(Event::Child(index, ChildEvent::Refused)),
            Some(Ok(())) => {}
        }
        if feed.data.is_none() {
            feed.data = Some(Link::new(stream));
            let actions = self.dial(index)?;
            return self.obey(actions, 0);
        }
        feed.control = Some(Link::new(stream));
        let mut nonce = [0; 32];
        getrandom(&mut nonce, GetRandomFlags::empty())
            .map_err(|why| Halt::Failed(Error::System { what: "give random numbers", source: why.into() }))?;
        self.happened(Event::Child(index, ChildEvent::Connected { nonce }))
    }

    /// What a client behind us says.
    fn hear_child(&mut self, index: usize) -> Outcome {
        let mut piece = [0; 4096];
        let Some(link) = self.feed(index).and_then(|feed| feed.control.as_mut()) else {
            return Ok(());
        };
        // Errors are seen by the read.
        let _ = link.flush();
        match wire::read(&link.stream, &mut piece) {
            Got::Nothing => Ok(()),
            Got::Bytes(length) => self.happened(Event::Child(index, ChildEvent::Control(&piece[..length]))),
            Got::End => {
                if let Some(feed) = self.feed(index) {
                    feed.control = None;
                }
                self.happened(Event::Child(index, ChildEvent::Closed))
            }
        }
    }

    /// Sends to a client behind us what waits for it.
    fn feed_on(&mut self, index: usize) -> Outcome {
        let Some(link) = self.feed(index).and_then(|feed| feed.data.as_mut()).filter(|link| link.is_pending()) else {
            return Ok(());
        };
        let event = match link.flush() {
            Ok(0) => return Ok(()),
            Ok(_) if link.is_pending() => ChildEvent::Behind,
            Ok(_) => ChildEvent::CaughtUp,
            Err(_) => ChildEvent::Closed,
        };
        self.happened(Event::Child(index, event))
    }

    /// The parent has our echo and closes; what it still sends must not turn into a reset before it has read.
    fn farewell(&mut self) {
        self.parent.control.finish();
        let until = self.clock.elapsed() + FAREWELL;
        let mut piece = [0; 4096];
        loop {
            for stream in &self.parent.data {
                while matches!(wire::read(stream, &mut self.buffer), Got::Bytes(_)) && self.clock.elapsed() < until {}
            }
            let rest = until.saturating_sub(self.clock.elapsed());
            match wire::read(&self.parent.control.stream, &mut piece) {
                Got::End => return,
                _ if rest.is_zero() => return,
                Got::Bytes(_) => {}
                Got::Nothing => {
                    let mut fds = [PollFd::new(&self.parent.control.stream, interest(&self.parent.control))];
                    if wire::wait(&mut fds, rest).is_err() || self.parent.control.flush().is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn interest(link: &Link) -> PollFlags {
    if link.is_pending() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }
}
