//! The transfer of one image: sources in turn, parts over up to four connections, the digest while the bytes come.
//!
//! The thread that calls [`fetch`] decides and writes; each connection has a thread that reads; the callback for progress has one of its
//! own, so that a slow console never slows the transfer (network-field.md kind 20).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rdlive_media::format::Superblock;

use crate::http::{self, Setup};
use crate::policy::{self, Changed, Failure, Identity, Judged, Schedule, Validator, Verdict};
use crate::sniff::{NoImage, Packing};
use crate::url::{Scheme, Url, UrlError};
use crate::{Output, dolly};

mod begin;
mod engine;
mod parts;
mod progress;
mod ranged;
mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod ways;
mod why;
mod width;
mod worker;

pub use progress::{Note, Progress, Stall};
pub use why::Why;

/// How often a file may change while it is fetched before nobody waits for it to come to rest.
pub const RESTARTS: u32 = 3;

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Job {
    sources: Vec<Url>,
    digest: Option<[u8; 32]>,
    /// The longest time without a new byte (`rd.retry`).
    pub patience: Duration,
    /// The most connections, 1 to 4.
    pub connections: usize,
    /// Whether an archive of files will do, too.
    pub archives: bool,
    /// What a receiver of a dolly server is told (`rd.kiwi.live.dolly_options=`).
    pub dolly: dolly::Options,
    /// Where it listens; others than the usual ones are for tests.
    ports: dolly::Ports,
    schedule: Schedule,
}

/// Why a job makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Nothing to fetch from.
    #[error("no URL to fetch from")]
    NoSource,
    /// A dolly server comes by itself, so nothing else can be asked instead.
    #[error("{0}: a dolly server sends one image; it has no mirrors and is none")]
    Dolly(String),
    /// What was written as a digest is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Two digests that differ: one of them is wrong.
    #[error("rd.live.sha256= and the digest in the URL differ")]
    Digests,
}

impl Job {
    /// The file at the first URL; the others are its mirrors. `digest`: SHA-256 of the file as the server has it, also where that is
    /// compressed (`rd.live.sha256=`); it may be in a URL's fragment as well.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn new(sources: Vec<Url>, digest: Option<[u8; 32]>) -> Result<Self, JobError> {
        let mut known = digest;
        for source in &sources {
            if source.scheme() == Scheme::Dolly && sources.len() > 1 {
                return Err(JobError::Dolly(source.to_string()));
            }
            if let Some(digest) = source.digest()?
                && *known.get_or_insert(digest) != digest
            {
                return Err(JobError::Digests);
            }
        }
        if sources.is_empty() {
            return Err(JobError::NoSource);
        }
        Ok(Self {
            sources,
            digest: known,
            patience: Duration::from_secs(180),
            connections: 4,
            archives: false,
            dolly: dolly::Options::default(),
            ports: dolly::Ports::default(),
            schedule: Schedule::default(),
        })
    }
}

impl Job {
    /// The first URL, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.sources.first().map(Url::to_string).unwrap_or_default()
    }
}

/// What a server offers, before the first byte is written.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The URL that answered, for people.
    pub url: String,
    /// Bytes of the file on the server, where that is known.
    pub length: Option<u64>,
    /// What it is compressed with.
    pub packed: Option<Packing>,
    /// What it is, or what is in it; `None` for an archive.
    pub image: Option<Superblock>,
    /// So often was it begun before: a fresh output is wanted each time.
    pub restart: u32,
    /// What the server tells its versions apart by.
    pub validator: Validator,
    /// The SHA-256 that it has to have, where one was given.
    pub digest: Option<[u8; 32]>,
}

impl Offered {
    /// Bytes that will be written, where that is known: those of the file, unless it is compressed.
    #[must_use]
    pub fn written(&self) -> Option<u64> {
        self.length.filter(|_| self.packed.is_none())
    }
}

/// Any error of whoever takes the image.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Who takes the image.
pub trait Place {
    /// Makes room for what is offered, and says where it goes; called again when the file has to be begun anew, for a fresh output.
    ///
    /// # Errors
    /// Too little room, a disk that is not to be written to: ends the transfer as [`Stop::Refused`].
    fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal>;

    /// What unpacks this, or nothing when it cannot be unpacked here.
    fn unpack(&mut self, packing: Packing) -> Option<Box<dyn Unpack>> {
        let _ = packing;
        None
    }
}

/// Takes unpacked bytes.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Unpacks a stream that comes in pieces, with bounded memory.
pub trait Unpack {
    /// Takes the next packed bytes, and hands on what they give.
    ///
    /// # Errors
    /// They are damaged, or `take` failed; its errors are passed on as they are.
    fn unpack(&mut self, packed: &[u8], take: Take<'_>) -> io::Result<()>;

    /// There are no more.
    ///
    /// # Errors
    /// As above, or the stream is not complete.
    fn finish(&mut self, take: Take<'_>) -> io::Result<()>;
}

/// What is wrong with a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection, or the answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The server of another protocol.
    #[error("{address}: {why}")]
    Stream {
        /// The server, or where a server of dolly was waited for.
        address: SocketAddr,
        /// Why.
        why: Why,
    },
    /// The file.
    #[error(transparent)]
    NoImage(#[from] NoImage),
    /// A mirror has something else than what was begun.
    #[error("not the same file: {0}")]
    Mirror(Changed),
}

impl Judged for Fault {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Http(error) => error.verdict(),
            Self::Stream { why, .. } => why.verdict(),
            Self::NoImage(_) | Self::Mirror(_) => Verdict::Final,
        }
    }
}

impl Fault {
    /// Whether a connection came about and then brought nothing: large packets may be lost on the way (network-field.md kind 6).
    fn is_silence(&self) -> bool {
        match self {
            Self::Http(error) => error.is_silence(),
            Self::Stream { why, .. } => why.is_silence(),
            Self::NoImage(_) | Self::Mirror(_) => false,
        }
    }

    /// Whether no way led to the server.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        matches!(self, Self::Http(http::Error::Connect { why, .. }) if policy::io(*why) == Verdict::Again(policy::Whose::Ours))
    }

    /// What a person can do about it, where the words themselves do not say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Stream { why, .. } => Some(why.remedy()),
            Self::Http(_) | Self::NoImage(_) | Self::Mirror(_) => None,
        }
    }
}

/// Why a transfer ended without an image.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The sources; the first cause.
    #[error(transparent)]
    Source(Box<Failure<Fault>>),
    /// All bytes came, and they are not the right ones.
    #[error(
        "{url}: the SHA-256 of what was fetched is {}, not {}; is it the file of another build?",
        hex(found),
        hex(expected)
    )]
    Digest {
        /// The URL that answered.
        url: String,
        /// What was given.
        expected: [u8; 32],
        /// What it is.
        found: [u8; 32],
    },
    /// The file did not come to rest.
    #[error("{url}: {why}; it was begun {} times", RESTARTS + 1)]
    Restless {
        /// The URL that answered.
        url: String,
        /// The last change.
        why: Restart,
    },
    /// It is compressed with something that is not unpacked here.
    #[error("{url}: the image is compressed ({packing:?}), and this initrd cannot unpack that")]
    Packed {
        /// The URL that answered.
        url: String,
        /// With what.
        packing: Packing,
    },
    /// The compressed stream is damaged.
    #[error("{url}: the compressed image is damaged: {why}")]
    Damaged {
        /// The URL that answered.
        url: String,
        /// What the unpacker says.
        why: io::Error,
    },
    /// The place does not take it.
    #[error(transparent)]
    Refused(Refusal),
    /// The place failed.
    #[error("writing the image failed: {0}")]
    Output(#[source] io::Error),
    /// A thread could not be started.
    #[error("no thread can be started for the transfer: {0}")]
    Thread(#[source] io::Error),
}

/// Why a file is begun anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Restart {
    /// It is another one than before.
    #[error(transparent)]
    Changed(Changed),
    /// The server has no ranges, and the connection broke.
    #[error("the server cannot send the rest of a file, so it is fetched from its beginning")]
    NoRanges,
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The URL that answered, for people.
    pub url: String,
    /// The server.
    pub address: SocketAddr,
    /// Bytes of the file on the server.
    pub length: u64,
    /// Bytes that were written: more, where the file was compressed.
    pub written: u64,
    /// What the server tells its versions apart by; without an `ETag` a person should be told.
    pub identity: Identity,
    /// What it is; `None` for an archive.
    pub image: Option<Superblock>,
    /// The SHA-256 was given and is right.
    pub verified: bool,
    /// The most connections that were used at a time.
    pub connections: usize,
    /// So often was it begun anew.
    pub restarts: u32,
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}: {} bytes", self.url, self.address.ip(), self.length)
    }
}

/// Fetches a file. `report` is called about once a second from a thread of its own, and may block; see [`Progress`].
///
/// # Errors
/// [`Stop`]. What was written by then is of no use.
pub fn fetch(
    setup: &Arc<Setup>,
    job: &Job,
    place: &mut dyn Place,
    report: impl FnMut(&Progress) + Send + 'static,
) -> Result<Fetched, Stop> {
    let meter = progress::Board::new();
    progress::watch(&meter, report).map_err(Stop::Thread)?;
    let result = engine::Engine::new(setup, job, &meter).run(place);
    meter.end();
    result
}
