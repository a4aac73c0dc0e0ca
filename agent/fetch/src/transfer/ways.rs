//! One attempt by each protocol that sends a stream.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Broken, Resume, Taking};
use super::{Fault, Note, Why};
use crate::http::connect::{addresses, connect};
use crate::http::{Dial, Error, Setup};
use crate::policy::{Changed, Validator};
use crate::tls::Trust;
use crate::url::{Host, Scheme, Url};
use crate::{Facts, Output, dolly, ftp, tftp};

/// How often a person is told what to type on a dolly server, while this machine waits for it.
const REMIND: Duration = Duration::from_secs(5);

impl Broken {
    fn here(error: Error) -> Self {
        Self { fault: Box::new(error.into()), on: Resume::Here }
    }
}

impl Taking<'_, '_, '_> {
    pub(super) fn by_ftp(&mut self, url: &Url) -> Result<(), Broken> {
        let setup = Arc::clone(self.engine.setup);
        let from = self.next();
        let known = (from > 0).then(|| self.facts.clone());
        let (first, address) = connect(&setup, url).map_err(Broken::here)?;
        self.engine.address = address;
        let mut dial = Dialler { setup: &setup, host: url.host(), first: Some(first) };
        let source = ftp::Source {
            host: url.host().to_string(),
            path: path(url),
            login: url.credentials().map(|known| (text(&known.user), text(&known.password))),
            security: if url.scheme() == Scheme::Ftps { ftp::Security::Implicit } else { ftp::Security::None },
            from,
            known: known.clone(),
            times: ftp::Times { connect: setup.limits.connect, silence: setup.limits.idle, ..ftp::Times::default() },
        };
        ftp::fetch(&source, address, &mut dial, self).map(drop).map_err(|failure| {
            let on = match failure.why.again() {
                ftp::Again::FromStart if matches!(failure.why, ftp::Error::Changed) => {
                    Resume::Other(changed(&known.unwrap_or_default(), &failure.facts, from))
                }
                ftp::Again::FromStart => Resume::Start,
                _ => Resume::Here,
            };
            Broken { fault: fault(address, Why::Ftp(Arc::new(failure.why))), on }
        })
    }

    pub(super) fn by_tftp(&mut self, url: &Url) -> Result<(), Broken> {
        let setup = Arc::clone(self.engine.setup);
        let found = addresses(setup.network.as_ref(), url.host(), url.port()).map_err(Broken::here)?;
        // A server that is silent at one address may answer at the next one.
        let address = found[self.engine.tries % found.len()];
        self.engine.tries += 1;
        self.engine.address = address;
        let mut source = tftp::Source::new(&path(url));
        source.times.silence = setup.limits.idle;
        let mut socket = || setup.network.datagram(address);
        tftp::fetch(&source, address, &mut socket, self)
            .map(drop)
            .map_err(|failure| Broken { fault: fault(address, Why::Tftp(Arc::new(failure.why))), on: Resume::Start })
    }

    pub(super) fn by_dolly(&mut self, url: &Url) -> Result<(), Broken> {
        let setup = Arc::clone(self.engine.setup);
        let ports = self.engine.job.ports;
        let here = (Ipv4Addr::UNSPECIFIED, ports.control).into();
        let broken = |why| Broken { fault: fault(here, Why::Dolly(Arc::new(why))), on: Resume::Start };
        // A server that comes finds both ports, or no machine.
        let listener = dolly::Listener::bind(Ipv4Addr::UNSPECIFIED, ports).map_err(broken)?;
        let Some((address, names)) = setup.network.here() else {
            return Err(Broken::here(Error::Connect { address: here, why: io::ErrorKind::NetworkUnreachable.into() }));
        };
        let host = addresses(setup.network.as_ref(), url.host(), ports.control).map_err(Broken::here)?;
        let mut wish = dolly::Wish {
            host: host.iter().find_map(v4).filter(|address| !address.is_unspecified()),
            file: Some(path(url)),
            names,
            address: Some(address),
            ..dolly::Wish::default()
        };
        wish.times.remind = REMIND;
        self.engine.job.dolly.apply(&mut wish);
        self.next();
        self.engine.board.waits(true);
        let result = listener.receive(&wish, &mut Chain { taking: self, setup: &setup });
        self.engine.board.waits(false);
        result.map(drop).map_err(broken)
    }
}

fn fault(address: SocketAddr, why: Why) -> Box<Fault> {
    Box::new(Fault::Stream { address, why })
}

/// A file of the server. A question mark is one of its name.
fn path(url: &Url) -> String {
    text(&url.decoded())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn v4(address: &SocketAddr) -> Option<Ipv4Addr> {
    match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped(),
    }
}

/// How a file is another one than before. It has got shorter than what has come of it, where nothing else differs.
fn changed(was: &Facts, is: &Facts, received: u64) -> Changed {
    match (was.size.or(Some(received)), is.size) {
        (Some(was), Some(is)) if was != is => Changed::Length { was, is },
        _ => {
            let version = |facts: &Facts| Validator::of(None, facts.modified.as_deref());
            Changed::Version { was: version(was), is: version(is) }
        }
    }
}

/// Connections of an FTP client.
struct Dialler<'a> {
    setup: &'a Setup,
    host: &'a Host,
    /// The control connection, to whichever address was first.
    first: Option<TcpStream>,
}

impl ftp::Dial for Dialler<'_> {
    fn connect(&mut self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        match self.first.take() {
            Some(stream) => Ok(stream),
            None => self.setup.network.connect(to, Dial { timeout: limit, ..self.setup.dial() }),
        }
    }

    fn secure(&mut self, stream: TcpStream, _: &str) -> io::Result<Box<dyn ftp::Stream>> {
        let trust: &Trust = self.setup.trust.as_ref().ok_or_else(|| io::Error::other(Error::NoTls))?;
        let secured = trust.handshake(self.host, stream).map_err(io::Error::other)?;
        Ok(Box::new(secured))
    }
}

/// A receiver of a dolly server.
struct Chain<'a, 't, 'b, 'e, 'p> {
    taking: &'t mut Taking<'b, 'e, 'p>,
    setup: &'a Setup,
}

impl dolly::Caller for Chain<'_, '_, '_, '_, '_> {
    fn begin(&mut self, offer: &dolly::Offer) -> io::Result<()> {
        let engine = &mut *self.taking.engine;
        engine.address = (offer.peer, engine.address.port()).into();
        engine.board.waits(false);
        engine.board.answers(engine.address, None);
        Ok(())
    }

    fn output(&mut self) -> &mut dyn Output {
        self.taking
    }

    fn tell(&mut self, progress: &dolly::Progress) {
        match progress {
            dolly::Progress::Stored { .. } => {}
            dolly::Progress::Total { bytes } => {
                self.taking.engine.board.answers(self.taking.engine.address, Some(*bytes))
            }
            other => self.taking.engine.board.note(Note::Dolly(other.clone())),
        }
    }

    fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        let found = self.setup.network.addresses(name).ok()?;
        found.into_iter().find_map(|address| v4(&(address, 0).into()))
    }
}
