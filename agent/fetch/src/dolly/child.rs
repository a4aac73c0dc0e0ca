//! A client behind us, to which we are what the server is to us (network.md 1.7).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::error::ChildLoss;
use super::key::Key;
use super::progress::Progress;
use super::text::Generation;
use super::{Action, ChildEvent, Times};

/// A line is not longer; more than this without an end is passed on as it is.
const MAX_LINE: usize = 1023;
/// What all clients of a long chain may say before the transfer.
const MAX_WORDS: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A connection is being made.
    Connecting,
    /// None could be made; another attempt follows then.
    Resting(Duration),
    /// Its answer to the nonce must come until then.
    Answering(Duration),
    /// It was let in. An original reads the verdict with one large read, which would swallow what comes at once.
    Pausing(Duration),
    /// It has the text.
    Linked,
    /// It has said how many bytes it has.
    Echoed(u64),
    Lost,
}

/// What all children are told, and when one of them is given up.
#[derive(Debug)]
pub struct Ware<'a> {
    pub generation: Generation,
    pub key: Option<&'a Key>,
    pub text: &'a [u8],
    pub times: &'a Times,
}

#[derive(Debug)]
pub struct Child {
    /// Its number among the clients.
    pub index: usize,
    pub name: String,
    pub address: Ipv4Addr,
    state: State,
    nonce: [u8; 32],
    /// What it has said and was not passed on yet.
    heard: Vec<u8>,
    words: usize,
    give_up: Duration,
    /// When it was said that it is awaited.
    told: Option<Duration>,
    /// Since when data wait for it.
    behind: Option<Duration>,
    total_sent: bool,
    echo_until: Option<Duration>,
}

impl Child {
    pub fn new(index: usize, name: String, address: Ipv4Addr, give_up: Duration) -> Self {
        Self {
            index,
            name,
            address,
            state: State::Connecting,
            nonce: [0; 32],
            heard: Vec::new(),
            words: 0,
            give_up,
            told: None,
            behind: None,
            total_sent: false,
            echo_until: None,
        }
    }

    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Nothing more is owed before our own "ready".
    pub fn is_linked(&self) -> bool {
        matches!(self.state, State::Linked | State::Echoed(_))
    }

    pub fn is_behind(&self) -> bool {
        self.behind.is_some() && !self.is_lost()
    }

    pub fn echo(&self) -> Option<u64> {
        if let State::Echoed(total) = self.state { Some(total) } else { None }
    }

    pub fn lose(&mut self) {
        self.state = State::Lost;
        self.heard.clear();
    }

    /// The total goes to it; from now on what it says is its echo. Lines of the time before have all been said.
    pub fn total(&mut self, total: u64) -> Option<Action> {
        if !self.is_linked() || self.total_sent {
            return None;
        }
        self.total_sent = true;
        self.heard.clear();
        Some(self.tell(total.to_le_bytes().to_vec()))
    }

    /// All is here: its echo must come until then.
    pub fn expect_echo(&mut self, until: Duration) {
        self.echo_until = Some(until);
    }

    pub fn connect(&self) -> Action {
        Action::Connect { child: self.index, address: self.address }
    }

    fn tell(&self, bytes: Vec<u8>) -> Action {
        Action::Tell { child: self.index, bytes }
    }

    /// What follows from something that happened to it. Lines for our own parent are in `Reply`.
    pub fn step(&mut self, now: Duration, event: ChildEvent<'_>, ware: &Ware<'_>) -> Result<Vec<Action>, ChildLoss> {
        if self.is_lost() {
            return Ok(Vec::new());
        }
        match event {
            ChildEvent::Connected { nonce } => Ok(self.connected(now, nonce, ware)),
            ChildEvent::Refused => {
                self.state = State::Resting(now + ware.times.again);
                Ok(self.awaited(now, ware).into_iter().collect())
            }
            ChildEvent::Control(bytes) => self.control(now, bytes, ware),
            // It has said all that it owes.
            ChildEvent::Closed if self.echo().is_some() => Ok(Vec::new()),
            ChildEvent::Closed => Err(ChildLoss::Closed),
            ChildEvent::Behind => {
                self.behind = Some(now);
                Ok(Vec::new())
            }
            ChildEvent::CaughtUp => {
                self.behind = None;
                Ok(Vec::new())
            }
        }
    }

    /// Said at the first attempt, and again from time to time.
    fn awaited(&mut self, now: Duration, ware: &Ware<'_>) -> Option<Action> {
        if self.told.is_some_and(|told| now < told + ware.times.remind) {
            return None;
        }
        self.told = Some(now);
        Some(Action::Note(Progress::ChildAwaited { name: self.name.clone() }))
    }

    fn connected(&mut self, now: Duration, nonce: [u8; 32], ware: &Ware<'_>) -> Vec<Action> {
        match (ware.generation, ware.key) {
            (Generation::First, _) => self.text(ware),
            (Generation::Second, None) => {
                let mut actions = vec![self.tell(vec![0])];
                actions.extend(self.text(ware));
                actions
            }
            (Generation::Second, Some(_)) => {
                self.nonce = nonce;
                self.state = State::Answering(now + ware.times.silence);
                vec![self.tell(vec![1]), self.tell(nonce.to_vec())]
            }
        }
    }

    /// Each item with one write, as the originals expect to read them.
    fn text(&mut self, ware: &Ware<'_>) -> Vec<Action> {
        self.state = State::Linked;
        let mut text = ware.text.to_vec();
        // An original reads on after each full Ethernet segment; a text that ends with one needs a byte more.
        if text.len().is_multiple_of(1448) {
            text.push(b' ');
        }
        let kind = (ware.generation == Generation::Second).then(|| self.tell(vec![0; 4]));
        kind.into_iter().chain([self.tell(text)]).collect()
    }

    fn control(&mut self, now: Duration, bytes: &[u8], ware: &Ware<'_>) -> Result<Vec<Action>, ChildLoss> {
        self.heard.extend_from_slice(bytes);
        match self.state {
            State::Answering(_) => self.answered(now, ware),
            State::Linked if self.total_sent => {
                if let Some(echo) = self.heard.get(..8).and_then(|echo| echo.try_into().ok()) {
                    self.state = State::Echoed(u64::from_le_bytes(echo));
                }
                Ok(Vec::new())
            }
            State::Linked => {
                self.words += bytes.len();
                if self.words > MAX_WORDS { Err(ChildLoss::Nonsense) } else { Ok(self.lines()) }
            }
            State::Echoed(_) | State::Lost => {
                self.heard.clear();
                Ok(Vec::new())
            }
            State::Connecting | State::Resting(_) | State::Pausing(_) => Err(ChildLoss::Nonsense),
        }
    }

    /// The server counts a word in what it reads at once: lines are passed on whole.
    fn lines(&mut self) -> Vec<Action> {
        let whole = self.heard.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole = if whole == 0 && self.heard.len() > MAX_LINE { self.heard.len() } else { whole };
        let lines: Vec<u8> = self.heard.drain(..whole).collect();
        lines.split_inclusive(|byte| *byte == b'\n').map(|line| Action::Reply(line.to_vec())).collect()
    }

    fn answered(&mut self, now: Duration, ware: &Ware<'_>) -> Result<Vec<Action>, ChildLoss> {
        if self.heard.len() < 32 {
            return Ok(Vec::new());
        }
        if ware.key.is_none_or(|key| key.answer(&self.nonce) != self.heard[..]) {
            return Err(ChildLoss::Password);
        }
        self.heard.clear();
        self.state = State::Pausing(now + ware.times.pause);
        Ok(vec![self.tell(b"OK\0".to_vec())])
    }

    /// When something is due without anything happening.
    pub fn deadline(&self, times: &Times) -> Option<Duration> {
        let own = match self.state {
            State::Connecting => Some(self.give_up),
            State::Resting(until) => Some(until.min(self.give_up)),
            State::Answering(until) | State::Pausing(until) => Some(until),
            State::Linked => self.echo_until,
            State::Echoed(_) | State::Lost => return None,
        };
        let stalled = self.behind.map(|since| since + times.silence);
        own.into_iter().chain(stalled).min()
    }

    pub fn tick(&mut self, now: Duration, ware: &Ware<'_>) -> Result<Vec<Action>, ChildLoss> {
        if self.is_lost() {
            return Ok(Vec::new());
        }
        if self.behind.is_some_and(|since| now >= since + ware.times.silence) {
            return Err(ChildLoss::Stalled);
        }
        match self.state {
            State::Connecting | State::Resting(_) if now >= self.give_up => Err(ChildLoss::Unreachable),
            State::Resting(until) if now >= until => {
                self.state = State::Connecting;
                Ok(vec![self.connect()])
            }
            State::Answering(until) if now >= until => Err(ChildLoss::Silent),
            State::Pausing(until) if now >= until => Ok(self.text(ware)),
            State::Linked if self.echo_until.is_some_and(|until| now >= until) => Err(ChildLoss::Silent),
            _ => Ok(Vec::new()),
        }
    }
}
