//! Why a file was not fetched by TFTP.

use std::io;
use std::time::Duration;

use super::packet::Refusal;

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("the TFTP server says: {refusal}{}", if text.is_empty() { String::new() } else { format!(" ({text})") })]
    Refused {
        /// Which kind of no.
        refusal: Refusal,
        /// The server's words, printable.
        text: String,
    },
    /// No answer at all.
    #[error("no answer from the TFTP server within {} s", waited.as_secs())]
    NoAnswer {
        /// In all ways of asking together.
        waited: Duration,
    },
    /// No new block for so long.
    #[error("nothing new came from the TFTP server for {} s, after {received} bytes", silence.as_secs())]
    Silent {
        /// Bytes until then.
        received: u64,
        /// How long.
        silence: Duration,
    },
    /// The server grants what was not asked for.
    #[error("the TFTP server grants {option}={value}, which was not asked for")]
    Option {
        /// Its name, printable.
        option: String,
        /// Its value, printable.
        value: String,
    },
    /// A block is larger than agreed.
    #[error("the TFTP server sends a block of {length} bytes, {agreed} were agreed")]
    Block {
        /// Its length.
        length: usize,
        /// What it may be.
        agreed: usize,
    },
    /// A block is shorter than agreed, and others come after it.
    #[error("the TFTP server sends blocks behind the last one")]
    Behind,
    /// The file has another size than was said.
    #[error("the TFTP server promised {promised} bytes and sent {received}{}", or_more(*promised, *received))]
    Size {
        /// What was said.
        promised: u64,
        /// Bytes that came; more than promised are not counted to their end.
        received: u64,
    },
    /// The path cannot be sent.
    #[error("the path cannot be sent to a TFTP server: it is too long or has a NUL in it")]
    Unsendable,
    /// The socket.
    #[error("the connection to the TFTP server failed")]
    Socket(#[source] io::Error),
    /// The output failed, or the caller does not want the file.
    #[error("the file could not be written")]
    Output(#[source] io::Error),
}

fn or_more(promised: u64, received: u64) -> &'static str {
    if received > promised { " or more" } else { "" }
}

/// Whether it is worth to ask again; always from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It may be better soon.
    Yes,
    /// Only a person can help, or it is the file that is not there: for a minute at most (network-field.md, kind 14).
    Briefly,
    /// Never.
    No,
}

impl Error {
    /// What a retry can do about it.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::NoAnswer { .. } | Self::Silent { .. } | Self::Size { .. } | Self::Socket(_) => Again::Yes,
            Self::Refused { .. } | Self::Option { .. } | Self::Block { .. } | Self::Behind => Again::Briefly,
            Self::Unsendable | Self::Output(_) => Again::No,
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused { refusal: Refusal::NotFound, .. } => "check the path in the URL and the server's directory",
            Self::Refused { refusal: Refusal::Access, .. } => "let everybody read the file on the server",
            Self::Refused { .. } => "look at the server's log",
            Self::NoAnswer { .. } => {
                "check that the TFTP server runs; a firewall must let UDP from all of its ports through"
            }
            Self::Silent { .. } | Self::Socket(_) => "check the network between here and the TFTP server",
            Self::Option { .. } | Self::Block { .. } | Self::Behind | Self::Size { .. } => "use another TFTP server",
            Self::Unsendable => "correct the URL",
            Self::Output(_) => "use a larger target, or look at the kernel's log",
        }
    }
}

/// A transfer that failed.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// Why.
    #[source]
    pub why: Error,
    /// Bytes that had come, for the message.
    pub received: u64,
}
