//! Why nothing was received, and what to do about it.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::text::TextError;

/// A connection that came and was not the parent. The receiver waits for the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    /// It said nothing.
    #[error("it said nothing")]
    Silent,
    /// It began and did not go on.
    #[error("it did not say all in time")]
    Slow,
    /// It was closed before all was said.
    #[error("it was closed before all was said")]
    Closed,
    /// It speaks something else.
    #[error("it does not speak dolly (its first byte is {0:#04x})")]
    NotDolly(u8),
    /// It is neither the host of the URL nor our parent in the list.
    #[error("it is neither the server that was named nor the client before this one in the list")]
    Stranger,
    /// There was a control connection and no data connection from the same address.
    #[error("there is no data connection from the same address")]
    NoData,
    /// The server has a password, we have none.
    #[error("the server wants a password and none is set here")]
    PasswordWanted,
    /// We have a password, the server has none.
    #[error("a password is set here and the server has none")]
    PasswordMissing,
    /// The server has another password.
    #[error("the server has another password")]
    PasswordWrong,
}

impl Stray {
    /// A person has to change something before another attempt can be better.
    #[must_use]
    pub fn is_password(&self) -> bool {
        matches!(self, Self::PasswordWanted | Self::PasswordMissing | Self::PasswordWrong)
    }
}

/// Why an image was not received by the dolly protocol. What the output has got by then is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The two ports could not be had.
    #[error("cannot listen on port {port}")]
    Listen {
        /// Which one.
        port: u16,
        /// What the kernel says.
        source: io::Error,
    },
    /// Poll or another call that does not fail in a healthy system.
    #[error("the kernel refuses to {what}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// Nobody came in time.
    #[error("no dolly server connected within {} s{}", waited.as_secs(), last_caller(last.as_ref()))]
    NobodyCame {
        /// How long was waited.
        waited: Duration,
        /// Who came instead, last.
        last: Option<Stray>,
    },
    /// Too many attempts with a wrong password, or a wrong use of one.
    #[error("{attempts} attempts of a server failed: {last}")]
    Password {
        /// How many.
        attempts: usize,
        /// The last one.
        last: Stray,
    },
    /// `dolly -K`.
    #[error("{peer} told this client to end (dolly -K)")]
    Killed {
        /// By whom.
        peer: Ipv4Addr,
    },
    /// The server sends a directory.
    #[error("the server sends a directory as a tar stream (-D), which is not supported")]
    Directory,
    /// The server sends something that no known version sends.
    #[error("the server sends something of kind {0}, which is unknown")]
    UnknownKind(u32),
    /// The configuration text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The list does not have us.
    #[error("neither {reached} nor a name of this machine is in the server's list of {listed} clients")]
    NotListed {
        /// The address at which the server reached us.
        reached: Ipv4Addr,
        /// How long the list is.
        listed: usize,
    },
    /// A client behind us has a name without an address.
    #[error("the next client, {name}, has no known address")]
    ChildName {
        /// As listed.
        name: String,
    },
    /// A client behind us was never reached, or went before all was ready.
    #[error("the next client, {name}, {why} before the transfer began")]
    Child {
        /// As listed.
        name: String,
        /// What it did.
        why: ChildLoss,
    },
    /// The parent closed the connection before it had said how much there is.
    #[error("the connection was closed by the other end after {received} bytes, before the end of the image")]
    ParentClosed {
        /// Bytes until then.
        received: u64,
    },
    /// Nothing more comes.
    #[error("nothing came for {} s, after {received} bytes{}", silence.as_secs(), of_total(*total))]
    Silent {
        /// Bytes until then.
        received: u64,
        /// Bytes that were announced.
        total: Option<u64>,
        /// How long.
        silence: Duration,
    },
    /// The data ended too early.
    #[error("the data ended after {received} bytes, {total} were announced{}", of_order(*swapped))]
    Short {
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced.
        total: u64,
        /// The announced number is the received one with its bytes in the other order.
        swapped: bool,
    },
    /// The target cannot hold it.
    #[error("the image has {bytes} bytes or more, the target holds {limit}")]
    TooLarge {
        /// Announced, or received by then.
        bytes: u64,
        /// What the target holds.
        limit: u64,
    },
    /// The output failed.
    #[error("the image could not be written")]
    Output(#[from] io::Error),
}

fn of_total(total: Option<u64>) -> String {
    total.map(|total| format!(" of {total}")).unwrap_or_default()
}

fn last_caller(last: Option<&Stray>) -> String {
    last.map(|why| format!("; last caller: {why}")).unwrap_or_default()
}

fn of_order(swapped: bool) -> &'static str {
    if swapped { " (the same number in the other byte order)" } else { "" }
}

/// What became of a client behind us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChildLoss {
    /// It never took the connection.
    #[error("did not take a connection")]
    Unreachable,
    /// It has another password.
    #[error("has another password")]
    Password,
    /// It ended.
    #[error("closed its connection")]
    Closed,
    /// It takes nothing any more.
    #[error("took no data for too long")]
    Stalled,
    /// It did not say what belongs there.
    #[error("did not answer")]
    Silent,
    /// It sent more than a client has to say.
    #[error("sent what is no dolly message")]
    Nonsense,
}

const PASSWORD: &str = "use the same -P PASSWORD on the server and in rd.kiwi.live.dolly_options=";

impl Error {
    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "end the program that uses the port",
            Self::System { .. } => "look at the kernel's log",
            Self::NobodyCame { last: None, .. } => {
                "start the server after this machine says that it waits; check that it reaches ports 9997 and 9998 here"
            }
            Self::NobodyCame { last: Some(last), .. } if last.is_password() => PASSWORD,
            Self::NobodyCame { .. } => {
                "check the server's address in root=live:dolly://ADDRESS/… and the server's list of clients"
            }
            Self::Password { .. } => PASSWORD,
            Self::Killed { .. } => "boot again; on the server, use -K only for clients that should end",
            Self::Directory => "send the image file itself, without -D",
            Self::UnknownKind(_) => "use a dolly server of version 0.58 to 0.72",
            Self::Text(TextError::ExtraConnections) => "remove the line `add` from the server's configuration",
            Self::Text(_) => "correct the server's configuration, or start it with -H and without -f",
            Self::NotListed { .. } => "add this machine's address to the server's list of clients (-H)",
            Self::ChildName { .. } => "list clients by their IPv4 addresses",
            Self::Child { .. } => "start the server when all clients wait, or take the missing one out of its list",
            Self::ParentClosed { .. } | Self::Silent { .. } | Self::Short { swapped: false, .. } => {
                "look at the server and at the clients before this one; start all of them again"
            }
            Self::Short { .. } => "use a server on a little-endian machine",
            Self::TooLarge { .. } => "use a larger target",
            Self::Output(_) => "look at the target and at the kernel's log",
        }
    }
}
