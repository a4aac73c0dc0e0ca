//! A client with one connection: asks, follows redirects, judges.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::policy::Identity;
use crate::url::{Host, Scheme, Url, UrlError};

use super::answer::{self, Judgement};
use super::error::{Doing, Error};
use super::head::{self, MAX_HEAD};
use super::wire::Wire;
use super::{Body, Given, Head, HeadError, Setup, Wanted, connect, request};

/// The most redirects that are followed (streaming.md 4.1).
pub(super) const REDIRECTS: usize = 10;
/// The most answers of the kind 1xx before the real one.
const INTERIM: usize = 10;
/// The longest body of a redirect that is read so that the connection can be used again.
const SMALL: u64 = 16 * 1024;

/// One connection and what it is good for.
pub(super) struct Connection {
    pub wire: Wire,
    origin: (Scheme, Host, u16),
    /// The last answer was read to its end.
    pub clean: bool,
    /// So many connections had been found dead when this one was opened.
    born: u64,
}

impl Connection {
    pub(super) fn failed(&self, doing: Doing, error: &io::Error, idle: Duration) -> Error {
        let address = self.wire.address;
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Silent { address, doing, after: idle },
            _ => Error::Io { address, doing, why: error.into() },
        }
    }
}

/// An answer that gives what was asked for.
pub struct Answer<'a> {
    /// The URL that answered, behind all redirects: the one to ask next time.
    pub url: Url,
    /// The server.
    pub address: SocketAddr,
    /// Which bytes come.
    pub given: Given,
    /// Of which file.
    pub identity: Identity,
    /// All that was said.
    pub head: Head,
    /// The bytes.
    pub body: Body<'a>,
}

/// Asks for parts of files, one after the other, and keeps its connection.
pub struct Client {
    setup: Arc<Setup>,
    kept: Option<Connection>,
}

impl Client {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(setup: Arc<Setup>) -> Self {
        Self { setup, kept: None }
    }

    /// Asks for a part of a file, or all of it. `pinned`: what is known of the file that was begun.
    ///
    /// # Errors
    /// Nothing came, or not what was asked for: before a byte of the body was used.
    pub fn get(&mut self, url: &Url, wanted: Wanted, pinned: Option<&Identity>) -> Result<Answer<'_>, Error> {
        let mut at = url.clone();
        let mut hops = 0;
        let head = loop {
            let head = self.ask(&at, wanted).map_err(|error| error.behind((hops > 0).then_some(&at)))?;
            head.date.iter().for_each(|date| self.setup.dated(*date));
            let Some(target) = redirect(&head) else { break head };
            let address = self.address();
            let next = at.resolve(target).map_err(|why| Error::Location { address, why })?;
            match (at.scheme(), next.scheme()) {
                (Scheme::Https, Scheme::Http) => return Err(Error::Downgrade { address, to: next.to_string() }),
                (_, Scheme::Http | Scheme::Https) => {}
                (_, other) => {
                    return Err(Error::Location { address, why: UrlError::Scheme(other.name().to_owned()) });
                }
            }
            hops += 1;
            if hops > REDIRECTS {
                return Err(Error::Redirects { address, last: next.to_string() });
            }
            self.skip(&head);
            at = next;
        };
        let address = self.address();
        let given = match answer::judge(wanted, &head) {
            Judgement::Given(given) => given,
            Judgement::Fault(why) => return Err(Error::Range { address, why }),
            Judgement::Empty => return Err(Error::Empty { address }),
            Judgement::Status => {
                let redirected = (hops > 0).then(|| at.to_string());
                return Err(Error::Status { address, status: head.status, redirected, retry_after: head.retry_after });
            }
        };
        let identity = answer::identity(&head, given);
        if let Some(pinned) = pinned {
            pinned.continues(&identity).map_err(|why| Error::Changed { address, why })?;
        }
        let expected = match given {
            Given::Part { from, to, .. } => Some(to - from),
            Given::Whole { .. } => None,
        };
        let limits = self.setup.limits;
        let connection = self.kept.as_mut().ok_or(Error::Empty { address })?;
        let body = Body::new(connection, &head, expected, limits);
        Ok(Answer { url: at, address, given, identity, head, body })
    }

    fn address(&self) -> SocketAddr {
        self.kept.as_ref().map_or_else(|| SocketAddr::from(([0; 4], 0)), |connection| connection.wire.address)
    }

    /// Sends one request and reads the head of its answer. A kept connection that the server has closed meanwhile is no error.
    fn ask(&mut self, url: &Url, wanted: Wanted) -> Result<Head, Error> {
        let origin = (url.scheme(), url.host().clone(), url.port());
        let deaths = self.setup.deaths.load(Ordering::Relaxed);
        let usable =
            |kept: &Connection| kept.clean && kept.born >= deaths && kept.origin == origin && kept.wire.is_quiet();
        if self.kept.as_ref().is_some_and(usable) {
            match self.exchange(url, wanted) {
                Err((_, Heard::Nothing) | (Error::Head { .. }, _)) => {}
                other => return other.map_err(|(error, _)| error),
            }
        }
        self.kept = None;
        let wire = open(&self.setup, url)?;
        self.kept = Some(Connection { wire, origin, clean: false, born: deaths });
        self.exchange(url, wanted).map_err(|(error, _)| error)
    }

    fn exchange(&mut self, url: &Url, wanted: Wanted) -> Result<Head, (Error, Heard)> {
        let proxy =
            self.setup.proxy.as_ref().and_then(|proxy| proxy.serves(url)).filter(|_| url.scheme() == Scheme::Http);
        let request = request::get(url, wanted, proxy.and_then(Url::credentials), proxy.is_some());
        let limits = self.setup.limits;
        let address = self.address();
        let Some(connection) = self.kept.as_mut() else { return Err((Error::Empty { address }, Heard::Something)) };
        connection.clean = false;
        if let Err(error) = connection.wire.send(request.as_bytes()) {
            return Err((connection.failed(Doing::Answer, &error, limits.idle), Heard::Nothing));
        }
        let until = Instant::now() + limits.head;
        for _ in 0..=INTERIM {
            match read_head(connection, Doing::Answer, until, limits.idle)? {
                Head { status: 101, .. } => break,
                Head { status: 100..=199, .. } => {}
                head => return Ok(head),
            }
        }
        Err((Error::Head { address, why: HeadError::Interim }, Heard::Something))
    }

    /// Reads the body of a redirect, where it is short, so that the connection can be used again.
    fn skip(&mut self, head: &Head) {
        let limits = self.setup.limits;
        let Some(connection) = self.kept.as_mut() else { return };
        if head.keep && !head.chunked && head.length.is_some_and(|length| length <= SMALL) {
            let mut body = Body::new(connection, head, None, limits);
            let mut sink = [0; 4096];
            while let Ok(1..) = body.read(&mut sink) {}
        }
    }
}

/// Whether any byte of an answer came before the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
}

fn redirect(head: &Head) -> Option<&str> {
    match head.status {
        301 | 302 | 303 | 307 | 308 => head.location.as_deref(),
        _ => None,
    }
}

fn read_head(
    connection: &mut Connection,
    doing: Doing,
    until: Instant,
    idle: Duration,
) -> Result<Head, (Error, Heard)> {
    let address = connection.wire.address;
    connection.wire.ends_at(until);
    let mut looked = 0;
    loop {
        let bytes = connection.wire.buffered();
        if let Some(end) = head::end(bytes, looked) {
            let parsed = Head::parse(&bytes[..end]);
            connection.wire.consume(end);
            return parsed.map_err(|why| (Error::Head { address, why }, Heard::Something));
        }
        looked = bytes.len();
        if looked >= MAX_HEAD {
            let why = if bytes.starts_with(b"HTTP/") { HeadError::TooLong } else { HeadError::foreign(bytes) };
            return Err((Error::Head { address, why }, Heard::Something));
        }
        let silent = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        match connection.wire.fill() {
            Ok(1..) => {}
            Ok(_) if looked > 0 && !connection.wire.buffered().starts_with(b"HTTP/") => {
                let why = HeadError::foreign(connection.wire.buffered());
                return Err((Error::Head { address, why }, Heard::Something));
            }
            Ok(_) => {
                let error = connection.failed(doing, &io::ErrorKind::UnexpectedEof.into(), idle);
                return Err((error, if looked == 0 { Heard::Nothing } else { Heard::Something }));
            }
            Err(error) => {
                // Silence is an answer of a kind: the way is dead, another connection on it would wait as long.
                let heard = if looked == 0 && !silent(&error) { Heard::Nothing } else { Heard::Something };
                return Err((connection.failed(doing, &error, idle), heard));
            }
        }
    }
}

/// A connection to the server, or through the proxy, encrypted where the URL says so.
fn open(setup: &Setup, url: &Url) -> Result<Wire, Error> {
    let limits = setup.limits;
    let proxy = setup.proxy.as_ref().and_then(|proxy| proxy.serves(url));
    if url.scheme() == Scheme::Https && setup.trust.is_none() {
        return Err(Error::NoTls);
    }
    let (tcp, address) = connect::connect(setup, proxy.unwrap_or(url))?;
    let mut wire =
        Wire::new(tcp, address, limits.idle).map_err(|error| Error::Connect { address, why: (&error).into() })?;
    let (Scheme::Https, Some(trust)) = (url.scheme(), &setup.trust) else { return Ok(wire) };
    if let Some(proxy) = proxy {
        wire = tunnel(wire, url, proxy, setup)?;
    }
    wire.ends_at(Instant::now() + limits.head);
    wire.encrypt(trust, url.host()).map_err(|why| match &why {
        crate::tls::HandshakeError::Socket(errno) if errno.kind == io::ErrorKind::TimedOut => {
            Error::Silent { address, doing: Doing::Handshake, after: limits.idle }
        }
        _ => Error::Tls { address, redirected: None, date: setup.date_for(&why), why: Box::new(why) },
    })
}

fn tunnel(wire: Wire, url: &Url, proxy: &Url, setup: &Setup) -> Result<Wire, Error> {
    let limits = setup.limits;
    let address = wire.address;
    let origin = (proxy.scheme(), proxy.host().clone(), proxy.port());
    let mut connection = Connection { wire, origin, clean: false, born: 0 };
    let request = request::connect(url, proxy.credentials());
    let failed = |connection: &Connection, error: &io::Error| connection.failed(Doing::Tunnel, error, limits.idle);
    connection.wire.send(request.as_bytes()).map_err(|error| failed(&connection, &error))?;
    let until = Instant::now() + limits.head;
    for _ in 0..=INTERIM {
        let head = read_head(&mut connection, Doing::Tunnel, until, limits.idle).map_err(|(error, _)| error)?;
        match head.status {
            100..=199 => {}
            200..=299 => return Ok(connection.wire),
            status => return Err(Error::Proxy { address, status }),
        }
    }
    Err(Error::Head { address, why: HeadError::Interim })
}
