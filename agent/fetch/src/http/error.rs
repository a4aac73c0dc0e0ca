//! Why a request brought no bytes.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::date::Date;
use crate::policy::{self, Changed, Errno, Judged, Verdict, Whose};
use crate::tls::HandshakeError;
use crate::url::{Url, UrlError};

use super::{HeadError, RangeFault};

/// Why a name has no address. The resolver's own words; none of it is final.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// What a connection was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// TCP.
    Connecting,
    /// TLS.
    Handshake,
    /// A tunnel through the proxy.
    Tunnel,
    /// The request was sent, or was about to be; the head of the answer is not complete.
    Answer,
    /// The head came, and no byte of the body.
    Start,
    /// The body has begun.
    Body,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Handshake => "in the TLS handshake",
            Self::Tunnel => "in the proxy's answer",
            Self::Answer => "before its answer was complete",
            Self::Start => "behind the head of its answer",
            Self::Body => "in the middle of the file",
        })
    }
}

/// Why a request brought no bytes, or no more of them. Cause, address, and what the server or the kernel says, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name has no address.
    #[error("{host} has no address: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        why: ResolveError,
    },
    /// A link-local address without an interface, or with one that is not there.
    #[error("no interface {zone}: {why}")]
    Zone {
        /// The interface's name in the URL.
        zone: String,
        /// What the kernel says.
        why: Errno,
    },
    /// No connection.
    #[error("{address}: {why}")]
    Connect {
        /// The first one that was tried, of those that were reached furthest.
        address: SocketAddr,
        /// What the kernel says.
        why: Errno,
    },
    /// The connection failed.
    #[error("{address}: {why} {doing}")]
    Io {
        /// The server or proxy.
        address: SocketAddr,
        /// Where it stood.
        doing: Doing,
        /// What the kernel says.
        why: Errno,
    },
    /// The connection is there, but nothing comes.
    #[error("{address}: no byte for {} s {doing}{}", .after.as_secs_f32(), path_mtu(*.doing))]
    Silent {
        /// The server or proxy.
        address: SocketAddr,
        /// Where it stood.
        doing: Doing,
        /// For how long.
        after: Duration,
    },
    /// TLS.
    #[error("{address}{}: {why}{}", redirected_to(.redirected), clock(.date))]
    Tls {
        /// The server.
        address: SocketAddr,
        /// Why.
        why: Box<HandshakeError>,
        /// The URL, where redirects led to another one than was asked for.
        redirected: Option<String>,
        /// What a server's clock said, where the time is what is wrong.
        date: Option<Date>,
    },
    /// An https URL, and nothing was set up for TLS.
    #[error("https needs CA certificates, and none were set up; add the server's with rd.live.ca=")]
    NoTls,
    /// What answers does not speak HTTP/1.
    #[error("{address}: {why}")]
    Head {
        /// The server or proxy.
        address: SocketAddr,
        /// What is wrong with the head.
        why: HeadError,
    },
    /// A status that is no success.
    #[error("{address}{}: {}", redirected_to(.redirected), status_words(*.status))]
    Status {
        /// Who answered.
        address: SocketAddr,
        /// The status.
        status: u16,
        /// The URL, where redirects led to another one than was asked for.
        redirected: Option<String>,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The proxy does not open a tunnel.
    #[error("the proxy {address} refuses: {}", status_words(*.status))]
    Proxy {
        /// The proxy.
        address: SocketAddr,
        /// The status.
        status: u16,
    },
    /// More redirects than can make sense.
    #[error("{address}: more than {} redirects, the last one to {last}", super::client::REDIRECTS)]
    Redirects {
        /// The last one that answered.
        address: SocketAddr,
        /// Where it led.
        last: String,
    },
    /// From https to http.
    #[error("{address}: a redirect from https to {to}, which is not encrypted, is refused")]
    Downgrade {
        /// The server.
        address: SocketAddr,
        /// Where it led.
        to: String,
    },
    /// A redirect to nowhere.
    #[error("{address}: the redirect's target cannot be used: {why}")]
    Location {
        /// The server.
        address: SocketAddr,
        /// What is wrong with it.
        why: UrlError,
    },
    /// The body ended early.
    #[error("{address}: the server closed the connection after {got}{} bytes of its answer", of(.expected))]
    Short {
        /// The server.
        address: SocketAddr,
        /// Bytes of this answer's body.
        got: u64,
        /// Bytes that it announced, where it did.
        expected: Option<u64>,
    },
    /// The frames of a chunked body are damaged.
    #[error("{address}: the answer's chunks are damaged")]
    Chunks {
        /// The server.
        address: SocketAddr,
    },
    /// No usable range came.
    #[error("{address}: {why}")]
    Range {
        /// The server.
        address: SocketAddr,
        /// What is wrong with it.
        why: RangeFault,
    },
    /// The file has no bytes.
    #[error("{address}: the file is empty")]
    Empty {
        /// The server.
        address: SocketAddr,
    },
    /// Another file than the one that was begun.
    #[error("{address}: {why}")]
    Changed {
        /// The server.
        address: SocketAddr,
        /// How it differs.
        why: Changed,
    },
}

/// A connection that was made, and silent from then on, is how a path looks that large packets do not get through.
fn path_mtu(doing: Doing) -> &'static str {
    match doing {
        // A short head comes in one packet with the beginning of the file.
        Doing::Handshake | Doing::Answer | Doing::Start => " (path MTU?)",
        Doing::Connecting | Doing::Tunnel | Doing::Body => "",
    }
}

fn redirected_to(url: &Option<String>) -> String {
    url.as_ref().map(|url| format!(" (redirected to {url})")).unwrap_or_default()
}

fn clock(date: &Option<Date>) -> String {
    date.map(|date| format!("; a server says that it is {date}")).unwrap_or_default()
}

fn of(expected: &Option<u64>) -> String {
    expected.map(|expected| format!(" of {expected}")).unwrap_or_default()
}

/// A number and its name in RFC 9110 and 6585; what the server writes beside the number is not repeated.
fn status_words(status: u16) -> String {
    let name = match status {
        400 => "Bad Request",
        401 => "Unauthorized: user or password are missing or wrong (http://user:password@…)",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required (proxy=http://user:password@…)",
        408 => "Request Timeout",
        410 => "Gone",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => return format!("the server answers with status {status}"),
    };
    format!("{status} {name}")
}

impl Judged for Error {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Resolve { .. } | Self::Zone { .. } => Verdict::Again(Whose::Ours),
            Self::Connect { why, .. } | Self::Io { why, .. } => policy::io(*why),
            Self::Tls { why, .. } => why.verdict(),
            Self::Status { status, redirected, retry_after, .. } => {
                policy::status(*status, redirected.is_some(), *retry_after)
            }
            Self::Proxy { status, .. } => policy::status(*status, false, None),
            Self::Silent { .. } | Self::Short { .. } | Self::Chunks { .. } | Self::Range { .. } => {
                Verdict::Again(Whose::Servers)
            }
            // A server that is being started behind its proxy says all sorts of things.
            Self::Head { .. } => Verdict::Missing,
            // The target of a redirect may have expired, and the first URL leads to a new one.
            Self::Redirects { .. } => Verdict::Missing,
            Self::NoTls
            | Self::Downgrade { .. }
            | Self::Location { .. }
            | Self::Empty { .. }
            | Self::Changed { .. } => Verdict::Final,
        }
    }
}

impl Error {
    /// The same, where redirects have led to this URL.
    pub(super) fn behind(mut self, url: Option<&Url>) -> Self {
        if let Self::Tls { redirected, .. } = &mut self {
            *redirected = url.map(ToString::to_string);
        }
        self
    }

    /// Whether a connection came about and then brought nothing: large packets may be lost on the way.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { doing: Doing::Handshake | Doing::Answer | Doing::Start, .. })
    }

    /// Whether the connection, or the way to it, is dead, so that others on the same way are suspect.
    #[must_use]
    pub fn is_death(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Io { .. } | Self::Connect { .. })
    }
}
