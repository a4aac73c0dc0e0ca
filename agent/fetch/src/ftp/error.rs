//! Why a file was not fetched by FTP.

use std::io;
use std::time::Duration;

use super::reply::ReplyError;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doing {
    /// The server's greeting is awaited.
    #[error("waiting for the server's greeting")]
    Greeting,
    /// TLS.
    #[error("securing the connection")]
    Securing,
    /// User and password.
    #[error("logging in")]
    Login,
    /// Type, size, time of the file.
    #[error("asking for the file's facts")]
    Asking,
    /// Finding a port for the data, and connecting to it.
    #[error("opening the data connection")]
    Opening,
    /// The command that sends the file.
    #[error("asking for the file")]
    Retrieving,
    /// The data.
    #[error("receiving the file")]
    Receiving,
}

/// Why it was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection was not made, or broke.
    #[error("{doing}: the connection failed")]
    Connection {
        /// What was being done.
        doing: Doing,
        /// What the kernel or TLS says.
        source: io::Error,
    },
    /// The server closed the connection.
    #[error("{doing}: the server closed the connection")]
    Closed {
        /// What was being done.
        doing: Doing,
    },
    /// Nothing came for so long.
    #[error("{doing}: nothing came from the server for {} s", silence.as_secs())]
    Silent {
        /// What was being done.
        doing: Doing,
        /// How long.
        silence: Duration,
    },
    /// The server said no.
    #[error("{doing}: the server says {code} {text}")]
    Refused {
        /// What was being done.
        doing: Doing,
        /// The reply's code.
        code: u16,
        /// The server's words, printable.
        text: String,
    },
    /// What the server says is no reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The reply does not say what it must.
    #[error("{doing}: the server's reply cannot be understood: {code} {text}")]
    Unclear {
        /// What was being done.
        doing: Doing,
        /// The reply's code.
        code: u16,
        /// The server's words, printable.
        text: String,
    },
    /// The server goes on saying that it will say something.
    #[error("the server sends replies without end")]
    Endless,
    /// Something was sent before the connection was secure that would count as said on the secure one.
    #[error("the server, or somebody on the way, sent something between its consent to TLS and TLS itself")]
    Injected,
    /// Path, user or password have a line end in them.
    #[error("a line end in the {0} cannot be sent to an FTP server")]
    Unsendable(&'static str),
    /// It cannot go on in the middle of a file.
    #[error("the server cannot go on at byte {from}: {code} {text}")]
    NoResume {
        /// Where it should have gone on.
        from: u64,
        /// The reply's code.
        code: u16,
        /// The server's words, printable.
        text: String,
    },
    /// It is not the file that it was.
    #[error("the file on the server has changed")]
    Changed,
    /// The data ended too early.
    #[error("the data ended after {received} of {size} bytes")]
    Short {
        /// Bytes of the file that are there.
        received: u64,
        /// Bytes that were promised.
        size: u64,
    },
    /// The data go on beyond the end.
    #[error("the server promised {size} bytes and sends more")]
    Long {
        /// Bytes that were promised.
        size: u64,
    },
    /// The output failed, or the caller does not want the file.
    #[error("the file could not be written")]
    Output(#[source] io::Error),
}

/// Whether it is worth to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same question may be answered better soon.
    Yes,
    /// Only a person can help, or it is the file that is not there: ask again for a minute at most (network-field.md, kind 14).
    Briefly,
    /// From the beginning only: what is there belongs to another file, or the server cannot go on.
    FromStart,
    /// Never.
    No,
}

impl Error {
    /// What a retry can do about it.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Connection { doing: Doing::Securing, .. } => Again::Briefly,
            Self::Connection { .. } | Self::Closed { .. } | Self::Silent { .. } | Self::Short { .. } => Again::Yes,
            Self::Refused { code, .. } if *code < 500 => Again::Yes,
            Self::Refused { doing: Doing::Login | Doing::Securing, .. } => Again::No,
            Self::Refused { .. } => Again::Briefly,
            Self::NoResume { .. } | Self::Changed | Self::Long { .. } => Again::FromStart,
            Self::Reply(_) | Self::Unclear { .. } | Self::Endless | Self::Injected => Again::Briefly,
            Self::Unsendable(_) | Self::Output(_) => Again::No,
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused { doing: Doing::Login, .. } => {
                "check user and password in the URL (ftp://USER:PASSWORD@HOST/…)"
            }
            Self::Refused { doing: Doing::Retrieving | Doing::Asking, code: 550, .. } => {
                "check the path in the URL, and that the server's user may read the file"
            }
            Self::Refused { doing: Doing::Securing, .. } => "the server has no TLS: use ftp:// if that is acceptable",
            Self::Refused { .. } | Self::Unclear { .. } | Self::Endless => "look at the server's log",
            Self::Connection { doing: Doing::Securing, .. } | Self::Injected => "check the server's certificate",
            Self::Connection { doing: Doing::Opening, .. } | Self::Silent { doing: Doing::Opening, .. } => {
                "let the server's range of passive ports through its firewall"
            }
            Self::Connection { .. } | Self::Closed { .. } | Self::Silent { .. } => {
                "check that the FTP server runs and that nothing on the way filters it"
            }
            Self::Reply(_) => "check the port in the URL",
            Self::Unsendable(_) => "correct the URL",
            Self::NoResume { .. } | Self::Changed | Self::Short { .. } | Self::Long { .. } => {
                "publish images under names that never change, and complete"
            }
            Self::Output(_) => "use a larger target, or look at the kernel's log",
        }
    }
}
