//! Files by FTP, plain or with TLS, from any byte on.
//!
//! [`Conversation`] is the dialogue without sockets; [`fetch`] leads it. One call is one attempt: whoever calls it decides on retries,
//! by [`Error::again`] and [`Failure::reached`].
//!
//! Not `suppaftp`: 12.2 would do (bounded replies, resume, streams of our own), but it reads replies with `regex` and dates with `chrono`:
//! 1.24 MB in the static binary, as much as the agent may grow by all of its network.

mod conversation;
mod error;
mod fetch;
mod reply;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use conversation::{Conversation, Next, Wanted};
pub use error::{Again, Doing, Error};
pub use fetch::fetch;
pub use reply::{MAX_REPLY, Replies, Reply, ReplyError};

use crate::Facts;

/// TLS on the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// `ftp:`.
    #[default]
    None,
    /// Plain until `AUTH TLS` (RFC 4217); then control and data. A server that refuses it gets no password.
    Explicit,
    /// `ftps:`, from the first byte on; the usual port is 990.
    Implicit,
}

/// Limits in time. A transfer that moves has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// For each connection, and for each handshake of TLS.
    pub connect: Duration,
    /// From a command to the whole reply: servers look up our name before they greet.
    pub reply: Duration,
    /// Without a byte of data.
    pub silence: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), reply: Duration::from_secs(20), silence: Duration::from_secs(5) }
    }
}

/// What is to be fetched, and from where.
#[derive(Clone, Default)]
pub struct Source {
    /// The server's name, for TLS.
    pub host: String,
    /// The file as the server is to be told, with its escapes decoded: without the URL's first slash it is relative to where the user
    /// begins, with a second one (`%2F`) it is absolute (RFC 1738 3.2.2).
    pub path: String,
    /// User and password; `None` is `anonymous`.
    pub login: Option<(String, String)>,
    /// TLS.
    pub security: Security,
    /// The first byte that is wanted.
    pub from: u64,
    /// With `from`: what the earlier attempt got to know. Another file is not gone on with.
    pub known: Option<Facts>,
    /// All limits in time.
    pub times: Times,
}

/// A connection that bytes go through both ways.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// How connections are made.
pub trait Dial {
    /// Connects to this address.
    ///
    /// # Errors
    /// What the kernel says.
    fn connect(&mut self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream>;

    /// Puts TLS on a connection, which has time-outs for reading and writing already. Data connections come with the same name as their
    /// control connection: its session must be resumed, for many servers insist on it.
    ///
    /// # Errors
    /// What TLS says.
    fn secure(&mut self, stream: TcpStream, name: &str) -> io::Result<Box<dyn Stream>>;
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Length of the file.
    pub size: u64,
    /// What the server said about it.
    pub facts: Facts,
}

/// An attempt that failed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// Why.
    #[source]
    pub why: Error,
    /// The next byte that is wanted: all before it have gone to the output.
    pub reached: u64,
    /// What the server said about the file, for the next attempt.
    pub facts: Facts,
}
