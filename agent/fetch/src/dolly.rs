//! The dolly protocol: the server connects to its clients, and each client passes on what it gets (network.md section 1).
//!
//! [`Listener`] has the sockets and obeys; [`Session`] decides what is said and stored and knows neither sockets nor clocks. A receiver is
//! a leaf or a relay, as the server's list wants it. Both generations of the protocol are spoken.

mod child;
mod driver;
mod error;
mod flow;
mod head;
mod key;
mod listen;
mod options;
mod progress;
mod session;
mod text;
mod wire;

use std::net::Ipv4Addr;
use std::time::Duration;

pub use error::{ChildLoss, Error, Stray};
pub use head::{Halt, Head};
pub use key::Key;
pub use listen::{Caller, Listener, Ports};
pub use options::{Options, OptionsError};
pub use progress::{Advice, Progress};
pub use session::Session;
pub use text::{Generation, MAX_TEXT, Text, TextError};

/// Each limit in time. The defaults are the product's; tests take shorter ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Until a parent has connected; then again from "ready" to the first byte, while the server waits for the other clients.
    pub wait: Duration,
    /// How often it is said again that we wait, for a server or for a client behind us.
    pub remind: Duration,
    /// Without a byte after a connection was made: it is a stray one.
    pub stray: Duration,
    /// Without a byte during the transfer, in either direction.
    pub silence: Duration,
    /// Without a byte after the line that ends the text: nothing follows it.
    pub quiet: Duration,
    /// Between the verdict on a child's password and what follows.
    pub pause: Duration,
    /// Between two attempts to connect to a child.
    pub again: Duration,
    /// From the end of the data to the echoes of all children: the time that their disks may need.
    pub echo: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(600),
            remind: Duration::from_secs(30),
            stray: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            quiet: Duration::from_millis(150),
            pause: Duration::from_millis(50),
            again: Duration::from_secs(1),
            echo: Duration::from_secs(120),
        }
    }
}

/// What the user and the machine say about the transfer.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The address in the URL: only this peer, or one of the server's list, is the parent. `None`: anybody is.
    pub host: Option<Ipv4Addr>,
    /// The path in the URL: only for what is said to the operator.
    pub file: Option<String>,
    /// The password, `-P`.
    pub key: Option<Key>,
    /// Names of this machine, and its addresses other than the one at which the parent reaches it.
    pub names: Vec<String>,
    /// An address of this machine, if known yet: only for what is said to the operator.
    pub address: Option<Ipv4Addr>,
    /// What the target holds, in bytes; `None` if it says so itself when it is full.
    pub limit: Option<u64>,
    /// All limits in time.
    pub times: Times,
}

/// What the parent has in mind, known before the first byte of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who is connected to us.
    pub peer: Ipv4Addr,
    /// The form of the protocol.
    pub generation: Generation,
    /// Our place in the chain, from 0.
    pub position: usize,
    /// How many clients there are.
    pub clients: usize,
    /// How many of them we feed.
    pub children: usize,
    /// The payload is a gzip stream: the server said `compressed`. Unpacking it is up to the caller.
    pub gzip: bool,
    /// What the server reads, harmless for a terminal.
    pub infile: String,
}

/// The end of a transfer: all bytes are where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Length of the image in bytes. When the server sent more, the output may have got a surplus behind it.
    pub total: u64,
    /// Nobody behind us failed, and the server was told so.
    pub chain_complete: bool,
}

/// Something that happened to the session.
#[derive(Debug)]
pub enum Event<'a> {
    /// The parent said this on the control connection.
    Control(&'a [u8]),
    /// The parent closed the control connection.
    ControlClosed,
    /// The addresses of the names asked for, in their order.
    Resolved(&'a [Option<Ipv4Addr>]),
    /// The data connection is there.
    DataAccepted,
    /// The parent sent these data.
    Data(&'a [u8]),
    /// The parent ended the data.
    DataClosed,
    /// The output is finished.
    Finished,
    /// Something happened to the client with this number.
    Child(usize, ChildEvent<'a>),
    /// Time has passed.
    Tick,
}

/// Something that happened to a client behind us.
#[derive(Debug)]
pub enum ChildEvent<'a> {
    /// Both connections are made; the nonce is random.
    Connected {
        /// Used once, for its password.
        nonce: [u8; 32],
    },
    /// At least one was not made.
    Refused,
    /// It said this.
    Control(&'a [u8]),
    /// It closed a connection, or nothing can be sent to it.
    Closed,
    /// Data wait for it: it is said again each time when it has taken some of them.
    Behind,
    /// No data wait for it any more.
    CaughtUp,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to the parent, with one write.
    Reply(Vec<u8>),
    /// Find the addresses of these names.
    Resolve(Vec<String>),
    /// Take the data connection of the same peer. The session is the parent's: other attempts are closed.
    AcceptData,
    /// The caller is told of the offer, and may refuse it.
    Begin(Offer),
    /// Connect to a client behind us: first data, then control.
    Connect {
        /// Its number.
        child: usize,
        /// Its address.
        address: Ipv4Addr,
    },
    /// Send this on a child's control connection, with one write.
    Tell {
        /// Its number.
        child: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// The first bytes of these data are stored, and sent to all children.
    Store {
        /// Where the first one belongs.
        offset: u64,
        /// How many.
        length: usize,
    },
    /// The children's data end when all was sent.
    EndData,
    /// Close the output, when no data wait for a child any more: it may take long, and a child must not starve meanwhile.
    Finish,
    /// Close the connections of a child.
    Drop {
        /// Its number.
        child: usize,
    },
    /// Something for the operator.
    Note(Progress),
    /// All is done.
    Done(Received),
}
