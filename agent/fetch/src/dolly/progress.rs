//! What the operator of a transfer is to know.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use rdlive_media::printable::printable;

use super::error::{ChildLoss, Stray};
use super::{Generation, Offer};

/// What to type on the server, which has to be started when this machine waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Our address, if it is known.
    pub address: Option<Ipv4Addr>,
    /// The image on the server, if the URL names one.
    pub file: Option<String>,
    /// A password is set here.
    pub password: bool,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().filter(|file| !file.trim_matches('/').is_empty()).unwrap_or("IMAGE");
        let is_plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:".contains(&byte));
        write!(f, "dolly -s -I ")?;
        if is_plain {
            write!(f, "{file}")?
        } else {
            write!(f, "'{}'", printable(file).replace('\'', r"'\''"))?
        }
        write!(f, " -O /dev/stdout -H ")?;
        match self.address {
            Some(address) => write!(f, "{address}")?,
            None => write!(f, "ADDRESS-OF-THIS-MACHINE")?,
        }
        if self.password { write!(f, " -P PASSWORD") } else { Ok(()) }
    }
}

/// An event for the operator. Text from the network is printable already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has come yet. It is said at once, and again from time to time.
    Waiting {
        /// How long there is still to wait.
        rest: Duration,
        /// What to type.
        advice: Advice,
    },
    /// Somebody came who is not the parent.
    Stray {
        /// Who.
        peer: Ipv4Addr,
        /// Why not.
        why: Stray,
    },
    /// The parent is there.
    Configured(Offer),
    /// A client behind us does not take a connection yet.
    ChildAwaited {
        /// Its name in the list.
        name: String,
    },
    /// We have said that we are ready; the server waits for the others.
    Ready,
    /// So many bytes are stored. It is said for each piece: whoever prints it decides how often.
    Stored {
        /// From the first one on.
        bytes: u64,
    },
    /// The length is known.
    Total {
        /// In bytes.
        bytes: u64,
    },
    /// A client behind us is lost; ours goes on.
    ChildLost {
        /// Its name in the list.
        name: String,
        /// Why.
        why: ChildLoss,
    },
    /// All is here; the clients behind us are still writing.
    EchoAwaited {
        /// How many of them.
        children: usize,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { rest, advice } => {
                write!(f, "waiting for a dolly server, {} s more; type on the server: {advice}", rest.as_secs())
            }
            Self::Stray { peer, why } => write!(f, "{peer} connected and was sent away: {why}"),
            Self::Configured(offer) => {
                let form = if offer.generation == Generation::First { "up to 0.64" } else { "0.70 or later" };
                let Offer { peer, position, clients, children, infile, .. } = offer;
                write!(f, "{peer} (dolly {form}) sends {infile}; client {} of {clients}", position + 1)?;
                if *children == 0 { Ok(()) } else { write!(f, ", feeding {children} more") }
            }
            Self::ChildAwaited { name } => write!(f, "waiting for the next client, {name}"),
            Self::Ready => write!(f, "ready; the server begins when all clients are"),
            Self::Stored { bytes } => write!(f, "{bytes} bytes received"),
            Self::Total { bytes } => write!(f, "the image has {bytes} bytes"),
            Self::ChildLost { name, why } => {
                write!(f, "the next client, {name}, {why}; nothing is passed on any more, the copy here goes on")
            }
            Self::EchoAwaited { children } => write!(f, "all received; {children} more clients are still writing"),
        }
    }
}
