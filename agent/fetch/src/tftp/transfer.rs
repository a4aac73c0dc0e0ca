//! One file, from the request to the last acknowledgement: what follows from each packet, and from none.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rdlive_media::printable::printable;

use super::blocks::Blocks;
use super::error::Error;
use super::packet::{Packet, Refusal, acknowledgement, error, parse, request};
use super::{BLOCK, Source, WINDOW};
use crate::Facts;

/// Bytes of a block without an option.
const PLAIN_BLOCK: usize = 512;

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Go on with another socket: what still comes for the old one belongs to another attempt.
    Fresh,
    /// Send this to this port of the server.
    Send {
        /// The port.
        port: u16,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// The file is there, and this is known of it.
    Begin(Facts),
    /// The bytes of the block that has just come belong there.
    Store {
        /// In bytes from the file's start.
        offset: u64,
    },
    /// All is here.
    Done {
        /// Length of the file.
        size: u64,
    },
}

/// Ways to ask, from the best one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// With all options.
    All,
    /// Without a window.
    OneByOne,
    /// Without options: blocks of 512 bytes, each acknowledged.
    Plain,
}

/// The state of a transfer. Times count from its start.
#[derive(Debug, Clone)]
pub struct Transfer {
    source: Source,
    server: SocketAddr,
    asking: Asking,
    /// The port that the server has chosen.
    port: Option<u16>,
    blocks: Option<Blocks>,
    facts: Facts,
    /// A block has come.
    begun: bool,
    done: bool,
    /// When the last new thing came.
    last: Duration,
    /// What is sent again, when, and how long after the next time.
    sent: Vec<u8>,
    again: Duration,
    pause: Duration,
}

type Outcome = Result<Vec<Action>, Error>;

impl Transfer {
    /// Nothing is sent yet; [`Transfer::start`] does it.
    #[must_use]
    pub fn new(mut source: Source, server: SocketAddr) -> Self {
        source.block = source.block.clamp(8, BLOCK);
        source.window = source.window.clamp(1, WINDOW);
        let pause = source.times.first;
        Self {
            source,
            server,
            asking: Asking::All,
            port: None,
            blocks: None,
            facts: Facts::default(),
            begun: false,
            done: false,
            last: Duration::ZERO,
            sent: Vec::new(),
            again: Duration::ZERO,
            pause,
        }
    }

    /// The request.
    ///
    /// # Errors
    /// [`Error::Unsendable`].
    pub fn start(&mut self, now: Duration) -> Outcome {
        let (block, window) = (self.source.block as u64, u64::from(self.source.window));
        let all = [("blksize", block), ("tsize", 0), ("windowsize", window)];
        let options = match self.asking {
            Asking::All if window > 1 => &all[..],
            Asking::All | Asking::OneByOne => &all[..2],
            Asking::Plain => &[],
        };
        let bytes = request(&self.source.path, options).ok_or(Error::Unsendable)?;
        (self.port, self.blocks, self.facts, self.last) = (None, None, Facts::default(), now);
        Ok(vec![self.send(now, bytes, true)])
    }

    /// Asks in another way, and tells the server that the first one is over.
    fn instead(&mut self, now: Duration, asking: Asking) -> Outcome {
        let farewell = self.abort(8, "other options");
        self.asking = asking;
        let request = self.start(now)?;
        Ok(farewell.into_iter().chain([Action::Fresh]).chain(request).collect())
    }

    /// What tells the server that nothing more is wanted; nothing if it has not answered.
    #[must_use]
    pub fn abort(&self, code: u16, text: &str) -> Option<Action> {
        self.port.filter(|_| !self.done).map(|port| Action::Send { port, bytes: error(code, text) })
    }

    /// Bytes in one piece from the file's start.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.blocks.as_ref().map_or(0, Blocks::received)
    }

    fn send(&mut self, now: Duration, bytes: Vec<u8>, is_new: bool) -> Action {
        if is_new {
            self.pause = self.source.times.first;
        }
        self.sent.clone_from(&bytes);
        self.again = now + self.pause;
        Action::Send { port: self.port.unwrap_or(self.server.port()), bytes }
    }

    /// What follows from a packet.
    ///
    /// # Errors
    /// When there is no way on.
    pub fn packet(&mut self, now: Duration, from: SocketAddr, bytes: &[u8]) -> Outcome {
        if !is_same(from.ip(), self.server.ip()) {
            return Ok(Vec::new());
        }
        let Some(packet) = parse(bytes) else {
            return Ok(Vec::new());
        };
        if self.port.is_some_and(|port| port != from.port()) {
            // Our request was doubled on its way and began a second transfer. An error is not answered: nobody could end that.
            let is_error = matches!(packet, Packet::Refused { .. });
            let answer = Action::Send { port: from.port(), bytes: error(5, "unknown transfer") };
            return Ok(if is_error { Vec::new() } else { vec![answer] });
        }
        match packet {
            Packet::Data { block, bytes } => {
                self.port = Some(from.port());
                self.data(now, block, bytes.len())
            }
            Packet::Granted(options) => {
                self.port = Some(from.port());
                self.granted(now, &options)
            }
            Packet::Refused { refusal, text } => self.refused(now, refusal, text),
        }
    }

    /// Servers that know no options refuse them in one of three ways, or ignore them.
    fn refused(&mut self, now: Duration, refusal: Refusal, text: String) -> Outcome {
        if self.done {
            return Ok(Vec::new());
        }
        let of_options = matches!(refusal, Refusal::Undefined | Refusal::Illegal | Refusal::Options);
        if of_options && !self.begun && self.asking != Asking::Plain {
            // It has ended the transfer by itself.
            self.port = None;
            return self.instead(now, Asking::Plain);
        }
        self.port = None;
        Err(Error::Refused { refusal, text })
    }

    fn granted(&mut self, now: Duration, options: &[(&[u8], &[u8])]) -> Outcome {
        // Sent again because our answer was lost: the timer sends it again. Late, it means nothing.
        if self.blocks.is_some() || self.asking == Asking::Plain {
            return Ok(Vec::new());
        }
        let (mut block, mut window) = (PLAIN_BLOCK, 1);
        for (name, value) in options {
            let number = std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
            let lies = || Error::Option {
                option: printable(&String::from_utf8_lossy(&name[..name.len().min(20)])),
                value: printable(&String::from_utf8_lossy(&value[..value.len().min(20)])),
            };
            let number = number.ok_or_else(lies)?;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("tsize") {
                self.facts.size = Some(number);
            } else if is("blksize") && (8..=self.source.block as u64).contains(&number) {
                block = usize::try_from(number).map_err(|_| lies())?;
            } else if is("windowsize")
                && self.asking == Asking::All
                && (1..=u64::from(self.source.window)).contains(&number)
            {
                window = u16::try_from(number).map_err(|_| lies())?;
            } else {
                return Err(lies());
            }
        }
        // Without a size it cannot be told for certain how a server counts on after 65535, unless the blocks come one by one.
        if window > 1 && self.facts.size.is_none() {
            return self.instead(now, Asking::OneByOne);
        }
        self.blocks = Some(Blocks::new(block, window, self.facts.size));
        self.last = now;
        Ok(vec![Action::Begin(self.facts.clone()), self.send(now, acknowledgement(0), true)])
    }

    fn data(&mut self, now: Duration, number: u16, length: usize) -> Outcome {
        let mut actions = Vec::new();
        if self.done {
            // Our last acknowledgement was lost.
            return Ok(vec![self.send(now, self.sent.clone(), true)]);
        }
        if self.blocks.is_none() {
            if number != 1 {
                return Ok(Vec::new());
            }
            actions.push(Action::Begin(self.facts.clone()));
        }
        let agreed = if self.blocks.is_none() { PLAIN_BLOCK } else { self.block_size() };
        if length > agreed {
            return Err(Error::Block { length, agreed });
        }
        let blocks = self.blocks.get_or_insert_with(|| Blocks::new(PLAIN_BLOCK, 1, None));
        let taken = blocks.data(number, length)?;
        let acknowledged = taken.acknowledge.then(|| blocks.acknowledge());
        let size = blocks.received();
        if let Some(offset) = taken.offset {
            (self.begun, self.last) = (true, now);
            self.pause = self.source.times.first;
            self.again = now + self.pause;
            if length > 0 {
                actions.push(Action::Store { offset });
            }
        }
        if let Some(block) = acknowledged {
            actions.push(self.send(now, acknowledgement(block), true));
        }
        if taken.done {
            self.done = true;
            actions.push(Action::Done { size });
        }
        Ok(actions)
    }

    fn block_size(&self) -> usize {
        self.blocks.as_ref().map_or(PLAIN_BLOCK, Blocks::size)
    }

    /// When [`Transfer::tick`] is due if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.again.min(self.last + self.source.times.silence)
    }

    /// What follows from silence.
    ///
    /// # Errors
    /// When it was too long.
    pub fn tick(&mut self, now: Duration) -> Outcome {
        if self.done {
            return Ok(Vec::new());
        }
        let silence = self.source.times.silence;
        if now >= self.last + silence {
            return match self.asking {
                _ if self.begun => Err(Error::Silent { received: self.received(), silence }),
                // A server that drops requests with options, or a way that loses large packets.
                Asking::All | Asking::OneByOne => self.instead(now, Asking::Plain),
                Asking::Plain => Err(Error::NoAnswer { waited: now }),
            };
        }
        if now < self.again {
            return Ok(Vec::new());
        }
        self.pause = (self.pause * 2).min(self.source.times.most);
        // What came since then is acknowledged with it.
        let bytes =
            self.blocks.as_mut().map_or_else(|| self.sent.clone(), |blocks| acknowledgement(blocks.acknowledge()));
        Ok(vec![self.send(now, bytes, false)])
    }
}

/// A server's IPv4 address may be written as an IPv6 one on a socket for both.
fn is_same(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical()
}
