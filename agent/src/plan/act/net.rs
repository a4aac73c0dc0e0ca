//! Acts on the network, and what comes over it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdlive_net::grammar::Wish;

use super::Writes;
use crate::config::{Share, Transfer};
use crate::facts::{Provider, Seen};

/// Where an image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file on a tmpfs.
    Ram(PathBuf),
    /// A disk.
    Disk(Onto),
    /// A file on a tmpfs that may be an archive of files, too.
    Files(PathBuf),
}

/// A disk that an image is written to. The act proves that it holds nothing, or the beginning of such a work, unless it is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onto {
    /// The disk.
    pub device: Seen,
    /// Its name that stays, if it has one: what was begun on another disk is not gone on with.
    pub disk: String,
    /// What is on it may be lost: an earlier image, or what was given away by name.
    pub given: bool,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ram(path) | Self::Files(path) => write!(f, "RAM at {}", path.display()),
            Self::Disk(Onto { device, given, .. }) => {
                write!(
                    f,
                    "{}, {}",
                    device.node.display(),
                    if *given { "in place of what is there" } else { "which must be empty" }
                )
            }
        }
    }
}

/// What becomes of addresses and routes at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They are taken away: all that is needed is here.
    Nothing,
    /// They stay, without an end, and the live system finds how to go on with them.
    ForSystem,
    /// They are left to the program that has made them.
    ByProvider,
}

/// An act on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetAct {
    /// Bring interfaces up, until one has an address.
    Up {
        /// What the command line asks of it.
        wish: Box<Wish>,
        /// How long to wait for one.
        patience: Duration,
        /// Another program does it, and is waited for.
        follow: Option<Provider>,
    },
    /// Fetch an image.
    Fetch {
        /// URLs of the same file, for people: without credentials.
        from: Vec<String>,
        /// The same, with all that they have, and how.
        how: Box<Transfer>,
        /// Where it goes.
        to: Destination,
        /// Bytes of RAM that are to stay free.
        reserve: u64,
        /// The longest time without a new byte.
        patience: Duration,
    },
    /// Set interfaces up and ask for an AoE device until it is there; it is only read.
    Aoe {
        /// The device: `e<shelf>.<slot>`, perhaps with a partition.
        node: String,
        /// What the command line asks of the network.
        wish: Box<Wish>,
        /// How long to wait.
        patience: Duration,
        /// Another program sets the interfaces up.
        follow: Option<Provider>,
    },
    /// Mount a directory of an NFS server, read-only; the network stays.
    Nfs {
        /// The directory, and the file in it that is wanted.
        share: Box<Share>,
        /// Mount point.
        at: PathBuf,
        /// How long to wait for the server.
        patience: Duration,
    },
    /// Write the first bytes of an image that is on a disk but for them.
    Close {
        /// The disk.
        device: Seen,
    },
    /// End it.
    Down(Kept),
}

impl NetAct {
    /// What it may change.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::Up { .. } | Self::Down(_) | Self::Aoe { .. } | Self::Nfs { .. } => Writes::Nothing,
            Self::Fetch { to: Destination::Ram(_) | Destination::Files(_), .. } => Writes::Ram,
            Self::Fetch { to: Destination::Disk(_), .. } | Self::Close { .. } => Writes::Place,
        }
    }
}

impl fmt::Display for NetAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { patience, follow: Some(provider), .. } => {
                write!(f, "network (by {provider}), at most {} s", patience.as_secs())
            }
            Self::Up { wish, patience, follow: None } => {
                let asked: Vec<_> = wish.requests.iter().map(ToString::to_string).collect();
                let asked =
                    if asked.is_empty() { "any interface: DHCP or a router".to_owned() } else { asked.join("; ") };
                write!(f, "network ({asked}), at most {} s", patience.as_secs())
            }
            Self::Fetch { from, how, to, .. } => {
                let sum = if how.sha256.is_some() { ", with its SHA-256" } else { "" };
                write!(f, "fetch {} to {to}{sum}", from.join(" or "))
            }
            Self::Aoe { node, wish, patience, .. } => {
                let asked: Vec<_> = wish.requests.iter().map(ToString::to_string).collect();
                write!(f, "AoE device {node} over {}, at most {} s", asked.join("; "), patience.as_secs())
            }
            Self::Nfs { share, at, patience } => {
                write!(f, "mount {} (nfs, ro) at {}, at most {} s", share.source(), at.display(), patience.as_secs())
            }
            Self::Close { device } => write!(f, "complete the image on {}", device.node.display()),
            Self::Down(Kept::ForSystem) => f.write_str("network: left as it is"),
            Self::Down(Kept::ByProvider) => f.write_str("network: left to the program that has it"),
            Self::Down(Kept::Nothing) => f.write_str("network: addresses and routes taken away"),
        }
    }
}
