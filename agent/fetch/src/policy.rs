//! What is done about an answer or an error: pure, over a clock that is given (`Duration` since the start of the boot).
//!
//! Sources: network-field.md kinds 14 and 20, streaming.md 4.1 to 4.4; where they differ, the former counts.

use std::io;
use std::time::Duration;

mod course;
mod identity;
mod schedule;

pub use course::{Course, Failure, GaveUp, Next};
pub use identity::{Changed, Identity, Validator};
pub use schedule::{Jitter, Schedule};

/// How long a file may be missing (403, 404, 410) before its source is given up: the edges of a CDN answer so for some seconds.
pub const MISSING_FOR: Duration = Duration::from_secs(60);
/// How often a missing file is asked for.
pub const MISSING_EACH: Duration = Duration::from_secs(10);
/// The longest time that a server may tell us to wait.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What an error means for the source that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Asking again would get the same answer.
    Final,
    /// It may be better at the next try.
    Again(Whose),
    /// The file is not there, or not yet: the next mirror at once, this one each [`MISSING_EACH`] for [`MISSING_FOR`].
    Missing,
    /// The server says when it wants to be asked again; the time is already bounded by [`RETRY_AFTER_MAX`].
    After(Duration),
}

/// Where a passing error comes from. Retries to a server that is in trouble are spread, for hundreds of machines may have been
/// switched on at once; those for a link that is not up yet need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The network did not reach the server: no route, no address, no name.
    Ours,
    /// The server was reached, or should have been: refused, reset, silent, overloaded.
    Servers,
}

/// An error that a [`Course`] can deal with.
pub trait Judged {
    /// What it means for the source.
    fn verdict(&self) -> Verdict;
}

/// What a status that is no success means (RFC 9110, section 15). `redirected`: another server than the one that was named has sent it,
/// so it may be about a token that has expired, and the first server is asked again.
#[must_use]
pub fn status(status: u16, redirected: bool, retry_after: Option<Duration>) -> Verdict {
    match status {
        403 | 404 | 410 => Verdict::Missing,
        401 if redirected => Verdict::Missing,
        408 | 425 | 429 | 500..=599 => match retry_after {
            Some(wait) => Verdict::After(wait.min(RETRY_AFTER_MAX)),
            None => Verdict::Again(Whose::Servers),
        },
        _ => Verdict::Final,
    }
}

/// What an error of a socket means.
#[must_use]
pub fn io(error: Errno) -> Verdict {
    use io::ErrorKind as Kind;
    match error.kind {
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            Verdict::Again(Whose::Ours)
        }
        // A route of the kind `prohibit`, or a device that has just gone: routes and devices come back.
        Kind::PermissionDenied | Kind::Interrupted | Kind::OutOfMemory => Verdict::Again(Whose::Ours),
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::BrokenPipe
        | Kind::TimedOut
        | Kind::WouldBlock
        | Kind::UnexpectedEof => Verdict::Again(Whose::Servers),
        _ => match error.code {
            // ENODEV, ENONET, ENOBUFS, EHOSTDOWN: no kind of `std` has them.
            Some(19 | 64 | 105 | 112) => Verdict::Again(Whose::Ours),
            // EPROTO: what the peer's machine sends makes no sense to the kernel.
            Some(71) => Verdict::Again(Whose::Servers),
            _ => Verdict::Final,
        },
    }
}

/// The reason of an `io::Error`, which can be compared and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno {
    /// What `std` makes of it.
    pub kind: io::ErrorKind,
    /// The kernel's number, if it comes from there.
    pub code: Option<i32>,
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }
}

impl From<io::ErrorKind> for Errno {
    fn from(kind: io::ErrorKind) -> Self {
        Self { kind, code: None }
    }
}

/// In words, as people search for them.
impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use io::ErrorKind as Kind;
        let words = match self.kind {
            Kind::ConnectionRefused => "connection refused",
            Kind::ConnectionReset => "connection reset by the server",
            Kind::ConnectionAborted => "connection aborted",
            Kind::BrokenPipe | Kind::NotConnected | Kind::UnexpectedEof => "the server closed the connection",
            Kind::HostUnreachable => "no route to the host",
            Kind::NetworkUnreachable => "network is unreachable",
            Kind::NetworkDown => "network is down",
            Kind::AddrNotAvailable => "address not available",
            Kind::TimedOut | Kind::WouldBlock => "timed out",
            Kind::PermissionDenied => "forbidden by a route or a packet filter",
            kind => match self.code {
                Some(code) => return write!(f, "{}", io::Error::from_raw_os_error(code)),
                None => return write!(f, "{kind}"),
            },
        };
        f.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let after = Some(Duration::from_secs(7));
        let again = Verdict::Again(Whose::Servers);
        for (code, redirected, retry_after, verdict) in [
            (400, false, None, Verdict::Final),
            (401, false, None, Verdict::Final),
            (401, true, None, Verdict::Missing),
            (402, false, after, Verdict::Final),
            (403, false, None, Verdict::Missing),
            (404, false, None, Verdict::Missing),
            (404, true, after, Verdict::Missing),
            (405, false, None, Verdict::Final),
            (407, false, None, Verdict::Final),
            (408, false, None, again),
            (410, false, None, Verdict::Missing),
            (414, false, None, Verdict::Final),
            (425, false, None, again),
            (429, false, None, again),
            (429, false, after, Verdict::After(Duration::from_secs(7))),
            (451, false, None, Verdict::Final),
            (500, false, None, again),
            (502, false, None, again),
            (503, false, Some(Duration::from_secs(3600)), Verdict::After(Duration::from_secs(30))),
            (599, false, None, again),
            (304, false, None, Verdict::Final),
            (204, false, None, Verdict::Final),
            (999, false, None, Verdict::Final),
        ] {
            assert_eq!(status(code, redirected, retry_after), verdict, "{code}");
        }
    }

    /// The kernel's numbers, so that the mapping of `std` is part of what is tested.
    #[test]
    fn errors_of_sockets() {
        let ours = Verdict::Again(Whose::Ours);
        let servers = Verdict::Again(Whose::Servers);
        for (code, verdict, words) in [
            (111, servers, "connection refused"),
            (104, servers, "connection reset by the server"),
            (103, servers, "connection aborted"),
            (32, servers, "the server closed the connection"),
            (110, servers, "timed out"),
            (11, servers, "timed out"),
            (113, ours, "no route to the host"),
            (101, ours, "network is unreachable"),
            (100, ours, "network is down"),
            (99, ours, "address not available"),
            (13, ours, "forbidden by a route or a packet filter"),
            (1, ours, "forbidden by a route or a packet filter"),
            (19, ours, ""),
            (64, ours, ""),
            (105, ours, ""),
            (112, ours, ""),
            (71, servers, ""),
            (97, Verdict::Final, ""),
            (22, Verdict::Final, ""),
            (24, Verdict::Final, ""),
        ] {
            let error = Errno::from(&io::Error::from_raw_os_error(code));
            assert_eq!(io(error), verdict, "{code}");
            assert!(error.to_string().contains(words) && !error.to_string().is_empty(), "{code} {error}");
        }
        assert_eq!(io(Errno::from(io::ErrorKind::UnexpectedEof)), servers);
    }
}
