//! Leads the dialogue on real connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::conversation::{Conversation, Next, Wanted};
use super::error::{Doing, Error};
use super::reply::{Replies, Reply};
use super::{Dial, Failure, Fetched, Security, Source, Stream};
use crate::Taker;

/// Bytes of one read of data.
const PIECE: usize = 128 << 10;

/// A connection, secure or not, with the socket below it for its time-outs.
struct Wire {
    stream: Box<dyn Stream>,
    socket: TcpStream,
}

struct Run<'a> {
    source: &'a Source,
    server: SocketAddr,
    dial: &'a mut dyn Dial,
    taker: &'a mut dyn Taker,
    control: Option<Wire>,
    /// Not yet secure.
    plain: Option<TcpStream>,
    replies: Replies,
    talk: Conversation,
    data: Option<TcpStream>,
    reached: u64,
}

/// Fetches a file, or the rest of it, from the server at this address. The output is finished when all is there.
///
/// # Errors
/// Why not, how far it came, and what is known of the file.
pub fn fetch(
    source: &Source,
    server: SocketAddr,
    dial: &mut dyn Dial,
    taker: &mut dyn Taker,
) -> Result<Fetched, Failure> {
    let (user, password) = source.login.clone().unwrap_or_else(|| ("anonymous".into(), "rdlive@".into()));
    let wanted = Wanted {
        path: source.path.clone(),
        user,
        password,
        security: source.security,
        from: source.from,
        known: source.known.clone(),
    };
    let failed = |why, reached, facts| Failure { why, reached, facts };
    let talk = Conversation::new(wanted, server.ip()).map_err(|why| failed(why, source.from, Default::default()))?;
    let (control, plain, replies, data) = (None, None, Replies::default(), None);
    let mut run = Run { source, server, dial, taker, control, plain, replies, talk, data, reached: source.from };
    match run.all() {
        Ok(()) => Ok(Fetched { size: run.reached, facts: run.talk.facts().clone() }),
        Err(why) => Err(failed(why, run.reached, run.talk.facts().clone())),
    }
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), Error> {
        self.plain = Some(self.connect(self.server)?);
        let mut next = if self.source.security == Security::Implicit { Next::Secure } else { Next::Hear };
        loop {
            next = match next {
                Next::Say(line) => {
                    self.say(&line)?;
                    Next::Hear
                }
                Next::Hear => match self.hear() {
                    Ok(reply) => match self.talk.replied(&reply) {
                        Err(_) if self.has_all() => Next::Done,
                        next => next?,
                    },
                    // All bytes are there: what the server thinks of the transfer changes nothing.
                    Err(_) if self.has_all() => Next::Done,
                    Err(why) => return Err(why),
                },
                Next::Secure => {
                    self.secure()?;
                    self.talk.secured()
                }
                Next::Connect(port) => {
                    self.data = Some(self.connect(SocketAddr::new(self.server.ip(), port))?);
                    self.talk.connected()
                }
                Next::Begin => {
                    self.taker.begin(self.talk.facts()).map_err(Error::Output)?;
                    self.talk.accepted()
                }
                Next::Receive { secure } => {
                    self.receive(secure)?;
                    Next::Hear
                }
                Next::Done => break,
            };
        }
        // Whoever does not listen any more misses nothing.
        let _ = self.say("QUIT");
        self.taker.output().finish().map_err(Error::Output)
    }

    /// The data connection has given what was promised.
    fn has_all(&self) -> bool {
        self.talk.doing() == Doing::Receiving && self.talk.facts().size == Some(self.reached)
    }

    fn connect(&mut self, to: SocketAddr) -> Result<TcpStream, Error> {
        let times = &self.source.times;
        let doing = self.talk.doing();
        let made = self.dial.connect(to, times.connect).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(times.connect))?;
            stream.set_write_timeout(Some(times.connect))?;
            Ok(stream)
        });
        made.map_err(|source| Error::Connection { doing, source })
    }

    /// The control connection, which is plain if it was not made secure.
    fn control(&mut self) -> Result<&mut Wire, Error> {
        if let Some(plain) = self.plain.take() {
            self.control = Some(wire(plain).map_err(|source| self.broken(source))?);
        }
        self.control.as_mut().ok_or(Error::Closed { doing: Doing::Greeting })
    }

    fn broken(&self, source: io::Error) -> Error {
        broken(self.talk.doing(), source, self.source.times.reply)
    }

    fn secure(&mut self) -> Result<(), Error> {
        // Said in clear, it would be heard as if said in secret.
        if !self.replies.is_empty() {
            return Err(Error::Injected);
        }
        let plain = match self.control.take() {
            Some(wire) => wire.socket,
            None => self.plain.take().ok_or(Error::Closed { doing: Doing::Securing })?,
        };
        self.control = Some(self.secured(plain)?);
        Ok(())
    }

    fn secured(&mut self, plain: TcpStream) -> Result<Wire, Error> {
        let failed = |source| Error::Connection { doing: Doing::Securing, source };
        let socket = plain.try_clone().map_err(failed)?;
        let stream = self.dial.secure(plain, &self.source.host).map_err(failed)?;
        Ok(Wire { stream, socket })
    }

    fn say(&mut self, line: &str) -> Result<(), Error> {
        let bytes = format!("{line}\r\n");
        let wire = self.control()?;
        let sent = wire.stream.write_all(bytes.as_bytes()).and_then(|()| wire.stream.flush());
        sent.map_err(|source| self.broken(source))
    }

    fn hear(&mut self) -> Result<Reply, Error> {
        let doing = self.talk.doing();
        // After the data there is nothing that a server has to think about.
        let times = &self.source.times;
        let limit = if doing == Doing::Receiving { times.silence.min(times.reply) } else { times.reply };
        let begun = Instant::now();
        let mut piece = [0; 4096];
        loop {
            if let Some(reply) = self.replies.reply()? {
                return Ok(reply);
            }
            // Bytes that trickle do not make it longer.
            let rest = limit.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero());
            let rest = rest.ok_or(Error::Silent { doing, silence: limit })?;
            let wire = self.control()?;
            let read = wire.socket.set_read_timeout(Some(rest)).and_then(|()| wire.stream.read(&mut piece));
            match read {
                Ok(0) => return Err(Error::Closed { doing }),
                Ok(length) => self.replies.take(&piece[..length]),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.broken(source)),
            }
        }
    }

    fn receive(&mut self, secure: bool) -> Result<(), Error> {
        let silence = self.source.times.silence;
        let doing = Doing::Receiving;
        let plain = self.data.take().ok_or(Error::Closed { doing })?;
        let mut wire =
            if secure { self.secured(plain)? } else { wire(plain).map_err(|why| broken(doing, why, silence))? };
        wire.socket.set_read_timeout(Some(silence)).map_err(|why| broken(doing, why, silence))?;
        let size = self.talk.facts().size;
        let mut piece = vec![0; PIECE];
        loop {
            match wire.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    if size.is_some_and(|size| size - self.reached < length as u64) {
                        return Err(Error::Long { size: size.unwrap_or_default() });
                    }
                    self.taker.output().write_at(self.reached, &piece[..length]).map_err(Error::Output)?;
                    self.reached += length as u64;
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                // TLS that is not closed properly, after the last byte.
                Err(_) if size == Some(self.reached) => break,
                Err(why) => return Err(broken(doing, why, silence)),
            }
        }
        match size {
            Some(size) if self.reached < size => Err(self.short(size)),
            _ => Ok(()),
        }
    }

    /// The server may say why.
    fn short(&mut self, size: u64) -> Error {
        let reply = self.hear().ok().filter(|reply| reply.code >= 400);
        let received = self.reached;
        reply.map_or(Error::Short { received, size }, |Reply { code, text, .. }| Error::Refused {
            doing: Doing::Receiving,
            code,
            text,
        })
    }
}

fn wire(plain: TcpStream) -> io::Result<Wire> {
    Ok(Wire { socket: plain.try_clone()?, stream: Box::new(plain) })
}

fn broken(doing: Doing, source: io::Error, silence: Duration) -> Error {
    match source.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Silent { doing, silence },
        _ => Error::Connection { doing, source },
    }
}
