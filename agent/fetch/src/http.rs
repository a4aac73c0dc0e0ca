//! An HTTP/1.1 client for one file: `GET`, ranges, redirects, a proxy; blocking, one request at a time on a connection.
//!
//! Sources: RFC 9110, RFC 9112; streaming.md 4.1 to 4.5, network-field.md kinds 14, 15, 18. Why not a kept client:
//! docs/decisions/0032-fetching.md.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::date::Date;
use crate::tls::{HandshakeError, TlsError, Trust};

mod answer;
mod body;
mod client;
pub(crate) mod connect;
mod error;
mod head;
mod proxy;
mod request;
#[cfg(test)]
mod tests;
mod wire;

pub use answer::{Given, RangeFault, Wanted};
pub use body::Body;
pub use client::{Answer, Client};
pub use error::{Doing, Error, ResolveError};
pub(crate) use head::begins;
pub use head::{Head, HeadError};
pub use proxy::{NoProxy, Proxy, ProxyError};
#[cfg(test)]
pub(crate) use request::base64;

/// What the client needs of the network; the agent's own resolver and sockets stand behind it.
pub trait Network: Send + Sync {
    /// The addresses of a name, of both families, in the order in which they are preferred.
    ///
    /// # Errors
    /// Why there is none; it is asked again.
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError>;

    /// A connection to an address; whoever knows which interface it belongs to binds the socket to that.
    ///
    /// # Errors
    /// What the kernel says.
    fn connect(&self, address: SocketAddr, how: Dial) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&address, how.timeout)
    }

    /// A socket for packets to and from this address, on a port that the kernel chooses.
    ///
    /// # Errors
    /// What the kernel says.
    fn datagram(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        crate::tftp::socket_for(to)
    }

    /// An IPv4 address of this machine, at which others reach it, and its other addresses and names; `None` while it has none.
    fn here(&self) -> Option<(Ipv4Addr, Vec<String>)> {
        Some((Ipv4Addr::LOCALHOST, Vec::new()))
    }

    /// The number of the interface that a link-local address belongs to.
    ///
    /// # Errors
    /// There is no such interface (yet).
    fn scope(&self, zone: &str) -> io::Result<u32> {
        let text = std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex"))?;
        text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// How a connection is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// No longer than this.
    pub timeout: Duration,
    /// The most bytes of a segment (`TCP_MAXSEG`, to be set before the connection is made): a connection came about and then brought
    /// nothing, so large packets may be lost on the way (network-field.md kind 6). The default [`Network::connect`] cannot set it.
    pub segment: Option<u16>,
}

/// The segment that fits through every tunnel that is known.
pub const SMALL_SEGMENT: u16 = 1200;

/// Bounds of time, in the words of streaming.md 4.3.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One connection: 5 s.
    pub connect: Duration,
    /// Head start of each address before the next one is tried beside it (RFC 8305): 250 ms.
    pub stagger: Duration,
    /// Without a byte from the server: 5 s.
    pub idle: Duration,
    /// A whole head, a TLS handshake, the answer of a proxy: 30 s, however slowly its bytes come.
    pub head: Duration,
    /// Without a byte of the body, while other bytes (TLS, chunk sizes) come: the patience of the transfer.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stagger: Duration::from_millis(250),
            idle: Duration::from_secs(5),
            head: Duration::from_secs(30),
            body: Duration::from_secs(180),
        }
    }
}

/// What all connections of a transfer share.
pub struct Setup {
    /// Names and sockets.
    pub network: Arc<dyn Network>,
    /// Whom to trust; `None` where nothing was set up, and https is refused.
    pub trust: Option<Trust>,
    /// `proxy=` and what goes without it.
    pub proxy: Option<Proxy>,
    /// Bounds of time.
    pub limits: Limits,
    /// Raised when a connection was found dead: those that were opened before it and are idle are not used again (streaming.md 4.3,
    /// "one is dead: all are").
    pub deaths: AtomicU64,
    /// A connection was silent from its beginning: the next ones are made with [`SMALL_SEGMENT`].
    pub small_segments: AtomicBool,
    /// What a server's clock said last: for whoever wonders which clock is wrong (kind 17).
    pub date: Mutex<Option<Date>>,
}

impl Setup {
    /// With the usual limits, without TLS and proxy.
    #[must_use]
    pub fn new(network: Arc<dyn Network>) -> Self {
        Self {
            network,
            trust: None,
            proxy: None,
            limits: Limits::default(),
            deaths: AtomicU64::new(0),
            small_segments: AtomicBool::new(false),
            date: Mutex::new(None),
        }
    }
}

impl Setup {
    /// A server has said what time it is.
    fn dated(&self, date: Date) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
    }

    /// The last server's time, where it tells something about an error.
    fn date_for(&self, why: &HandshakeError) -> Option<Date> {
        let is_about_time = matches!(why, HandshakeError::Tls(TlsError::Expired { .. } | TlsError::NotYetValid { .. }));
        is_about_time.then(|| *self.date.lock().unwrap_or_else(PoisonError::into_inner)).flatten()
    }

    /// How the next connection is to be made.
    pub(crate) fn dial(&self) -> Dial {
        let small = self.small_segments.load(Ordering::Relaxed);
        Dial { timeout: self.limits.connect, segment: small.then_some(SMALL_SEGMENT) }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("trust", &self.trust).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
