//! Whom to ask, when, for which name, and when it is decided.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::message::{Query, Reply, Want};
use crate::hostname::Hostname;

/// From one server to the next (network-field.md kind 13).
const NEXT: Duration = Duration::from_secs(1);
/// After addresses of one family the other one is waited for so long (RFC 8305 3, resolution delay and the round trip of a slow server).
const OTHER_FAMILY: Duration = Duration::from_millis(250);
/// Servers that are asked.
const MAX_SERVERS: usize = 8;
/// Questions whose answers are still taken, though another server was asked meanwhile.
const MAX_OPEN: usize = 32;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this question to the server in a datagram.
    Ask {
        /// Which server.
        server: IpAddr,
        /// What.
        query: Query,
    },
    /// Send it over TCP.
    AskLong {
        /// Which server.
        server: IpAddr,
        /// What.
        query: Query,
    },
    /// Nothing before that moment, unless an answer comes.
    Wait(Duration),
    /// The addresses.
    Found(Vec<IpAddr>),
    /// There is no such name, or nobody to ask.
    Never,
}

/// What has become of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server has answered.
    Reply(Reply),
    /// Its bytes are no answer that can be read.
    Broken,
    /// Nobody listens there, or no way leads there.
    Unreachable,
}

/// What a server has said so far. The last word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// The port is closed, or no way leads there.
    Unreachable,
    /// It refuses to answer.
    Refused,
    /// It could not find out.
    Failed,
    /// Something that is no answer.
    Broken,
    /// There is no such name.
    NoSuchName,
    /// The name has no address.
    NoAddress,
}

/// A name has led to no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Failure {
    /// The name, as it was asked for.
    pub name: String,
    /// Each server, and what it said last.
    pub servers: Vec<(IpAddr, Said)>,
}

/// A search for the addresses of one name, with the servers of one interface.
#[derive(Debug)]
pub struct Lookup {
    asked_for: String,
    /// The name with each domain of the search list, in order.
    names: Vec<Hostname>,
    name: usize,
    servers: Vec<(IpAddr, Said)>,
    /// The server that is asked next.
    turn: usize,
    /// How many were asked for this name.
    round: usize,
    next: Duration,
    open: Vec<(IpAddr, Query)>,
    /// Questions to be sent.
    send: Vec<Step>,
    found: Vec<IpAddr>,
    /// When the other family is no longer waited for.
    settled: Option<Duration>,
    /// Servers that have said of this name that it does not exist or has no address.
    denied: Vec<IpAddr>,
    over: bool,
}

impl Lookup {
    /// Begins at `now`. A name with a dot in it is tried as it is before the domains of the search list, one without a
    /// dot after them; one with a dot at its end only as it is.
    #[must_use]
    pub fn new(now: Duration, name: &str, search: &[Hostname], servers: &[IpAddr]) -> Self {
        let whole = Hostname::new(name);
        let mut names: Vec<Hostname> = Vec::new();
        if !name.ends_with('.') {
            let bare = name.trim_end_matches('.');
            names.extend(search.iter().filter_map(|domain| Hostname::new(&format!("{bare}.{domain}"))));
        }
        let at = if name.contains('.') { 0 } else { names.len() };
        if let Some(whole) = whole {
            names.insert(at, whole);
        }
        let servers: Vec<_> = servers.iter().take(MAX_SERVERS).map(|server| (*server, Said::Nothing)).collect();
        let over = names.is_empty() || servers.is_empty();
        Self {
            asked_for: name.to_owned(),
            names,
            name: 0,
            servers,
            turn: 0,
            round: 0,
            next: now,
            open: Vec::new(),
            send: Vec::new(),
            found: Vec::new(),
            settled: None,
            denied: Vec::new(),
            over,
        }
    }

    /// What to do at `now`; `random` gives the numbers of questions.
    pub fn next(&mut self, now: Duration, random: &mut dyn FnMut() -> u32) -> Step {
        if !self.found.is_empty() && self.settled.is_none_or(|settled| now >= settled) {
            return Step::Found(std::mem::take(&mut self.found));
        }
        if self.over {
            return Step::Never;
        }
        if let Some(step) = self.send.pop() {
            return step;
        }
        if let Some(settled) = self.settled {
            return Step::Wait(settled);
        }
        if now < self.next {
            return Step::Wait(self.next);
        }
        // All had their turn, and one of them knows that there is nothing.
        if self.round >= self.servers.len() && !self.denied.is_empty() {
            self.over = true;
            return Step::Never;
        }
        self.ask(now, random);
        self.send.pop().unwrap_or(Step::Never)
    }

    /// Both questions to the server whose turn it is.
    fn ask(&mut self, now: Duration, random: &mut dyn FnMut() -> u32) {
        let (Some((server, _)), Some(name)) = (self.servers.get(self.turn), self.names.get(self.name)) else { return };
        for want in [Want::V6, Want::V4] {
            let id = u16::try_from(random() >> 16).unwrap_or(0);
            let query = Query { id, name: name.clone(), want };
            self.open.push((*server, query.clone()));
            self.send.push(Step::Ask { server: *server, query });
        }
        let surplus = self.open.len().saturating_sub(MAX_OPEN);
        self.open.drain(..surplus);
        self.turn = (self.turn + 1) % self.servers.len().max(1);
        self.round = self.round.saturating_add(1);
        self.next = now + NEXT;
    }

    /// The questions to this server that have no answer yet.
    pub fn open(&self, server: IpAddr) -> impl Iterator<Item = &Query> {
        self.open.iter().filter(move |(of, _)| *of == server).map(|(_, query)| query)
    }

    /// A question has got its answer. One that nobody waits for is no harm.
    pub fn answer(&mut self, now: Duration, server: IpAddr, query: &Query, answer: Answer) {
        if !self.open.iter().any(|(of, open)| *of == server && open == query) {
            return;
        }
        if answer == Answer::Reply(Reply::Truncated) {
            // It stays open: the answer comes over TCP.
            self.send.push(Step::AskLong { server, query: query.clone() });
            return;
        }
        // The same question of an earlier second needs no answer any more.
        self.open.retain(|(of, open)| *of != server || open.name != query.name || open.want != query.want);
        let said = match answer {
            Answer::Reply(Reply::Addresses(addresses)) if !addresses.is_empty() => {
                return self.take(now, server, addresses);
            }
            Answer::Reply(Reply::Addresses(_)) => Said::NoAddress,
            Answer::Reply(Reply::NoSuchName) => Said::NoSuchName,
            Answer::Reply(Reply::Refused) => Said::Refused,
            Answer::Reply(Reply::Failed | Reply::Truncated) => Said::Failed,
            Answer::Broken => Said::Broken,
            Answer::Unreachable => Said::Unreachable,
        };
        if let Some((_, last)) = self.servers.iter_mut().find(|(of, _)| *of == server) {
            *last = said;
        }
        if self.open(server).next().is_some() {
            return;
        }
        // The other family had an address, or this was the last word of the server.
        if !self.found.is_empty() {
            self.settled = Some(now);
            return;
        }
        let denies = matches!(said, Said::NoSuchName | Said::NoAddress);
        if denies && !self.denied.contains(&server) {
            self.denied.push(server);
        }
        self.move_on(now, server, denies);
    }

    fn take(&mut self, now: Duration, server: IpAddr, addresses: Vec<IpAddr>) {
        self.found.extend(addresses);
        let other = self.open(server).next().is_some();
        self.settled = Some(if other { self.settled.unwrap_or(now + OTHER_FAMILY) } else { now });
        self.send.clear();
    }

    /// The next server, without a pause unless all have had their turn; the next name when one has denied this one; the
    /// end when all have denied the last.
    fn move_on(&mut self, now: Duration, server: IpAddr, denies: bool) {
        if denies && self.name + 1 < self.names.len() {
            self.name += 1;
            self.denied.clear();
            self.open.clear();
            self.send.clear();
            // The one that has answered is alive.
            let last = self.servers.iter().position(|(of, _)| *of == server);
            (self.turn, self.next) = (last.unwrap_or(0), now);
            self.round = 0;
        } else if denies && self.denied.len() == self.servers.len() {
            self.over = true;
        } else if self.round < self.servers.len() {
            self.next = now;
        }
    }

    /// Why there is no address so far.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure { name: self.asked_for.clone(), servers: self.servers.clone() }
    }
}

impl Failure {
    /// Whether a server has said that there is no such name, or no address of it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.servers.iter().any(|(_, said)| matches!(said, Said::NoSuchName | Said::NoAddress))
    }

    fn text(&self) -> String {
        let name = rdlive_media::printable::printable(&self.name);
        let servers: Vec<_> = self.servers.iter().map(|(server, said)| format!("{server} says {said}")).collect();
        match servers.as_slice() {
            [] => format!("{name} cannot be looked up: no DNS server is known"),
            servers => format!("no address of {name}: {}", servers.join(", ")),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Unreachable => "that it cannot be reached",
            Self::Refused => "that it refuses to answer",
            Self::Failed => "that it cannot find out",
            Self::Broken => "something that is no answer",
            Self::NoSuchName => "that there is no such name",
            Self::NoAddress => "that it has no address",
        })
    }
}
