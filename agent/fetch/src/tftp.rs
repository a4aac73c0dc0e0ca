//! Files by TFTP (RFC 1350) with options for the size of blocks, the file's size and a window (RFC 2347, 2348, 2349, 7440).
//!
//! [`Transfer`] is the protocol without sockets; [`fetch`] has the socket. The protocol cannot begin in the middle of a file: each call
//! fetches the whole of it, to an output that is empty.
//!
//! Own code: the client of `tftpd` 1.0 has windows, but writes to files that it names itself, prints, and gives its errors as text; that of
//! `tftp_client` 0.3 has no options and keeps the file in memory.

mod blocks;
mod error;
mod fetch;
mod packet;
mod transfer;

use std::time::Duration;

pub use error::{Again, Error, Failure};
pub use fetch::{fetch, socket_for};
pub use packet::{Packet, Refusal, parse};
pub use transfer::{Action, Transfer};

/// Bytes of a block that fills an Ethernet frame: 1500 less IPv4, UDP and TFTP heads. With IPv6 it is cut into two packets.
pub const BLOCK: usize = 1468;
/// Blocks that may be under way.
pub const WINDOW: u16 = 16;
/// The port that requests go to.
pub const PORT: u16 = 69;

/// Limits in time. A transfer that moves has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Without a new block. Before the first one the file is asked for in another way then.
    pub silence: Duration,
    /// Until the last packet is sent again; it doubles each time.
    pub first: Duration,
    /// It does not grow beyond this.
    pub most: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { silence: Duration::from_secs(5), first: Duration::from_millis(500), most: Duration::from_secs(2) }
    }
}

/// What is to be fetched, and how.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file as the server is to be told, with its URL's escapes decoded.
    pub path: String,
    /// Bytes of a block to ask for, from 8 to 1468.
    pub block: usize,
    /// Blocks under way to ask for, from 1 to 16.
    pub window: u16,
    /// All limits in time.
    pub times: Times,
}

impl Source {
    /// A file, with all that makes it fast.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.into(), block: BLOCK, window: WINDOW, times: Times::default() }
    }
}
