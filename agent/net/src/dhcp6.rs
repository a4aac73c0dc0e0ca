//! Stateless DHCPv6 (RFC 8415 6.1, 18.2.6): what a router does not say itself, when its advertisement has the O flag.
//! Addresses come from the router.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;

mod message;
#[cfg(test)]
mod tests;

pub(crate) use message::domains;
pub use message::{Malformed, Reply};

/// UDP ports (RFC 8415 7.2).
pub const CLIENT: u16 = 546;
/// The servers' port.
pub const SERVER: u16 = 547;
/// All servers and relays on the link (RFC 8415 7.1).
pub const EVERYBODY: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// The first pause (INF_TIMEOUT), then twice as long each time (RFC 8415 15).
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause: a boot has no hour for it.
const LONGEST: Duration = Duration::from_secs(16);

/// What a server has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Information {
    /// Servers for names (option 23).
    pub dns: Vec<IpAddr>,
    /// Domains in which names are looked up (option 24).
    pub search: Vec<Hostname>,
    /// Servers for the time (options 31 and 56).
    pub ntp: Vec<IpAddr>,
    /// What to boot (option 59).
    pub boot_url: Option<String>,
}

/// Asks for information until there is an answer. Each datagram that it gives goes from the link-local address of the
/// interface, port 546, to [`EVERYBODY`], port 547.
pub struct Client {
    mac: HardwareAddress,
    xid: [u8; 3],
    begun: Option<Duration>,
    pause: Duration,
    next: Duration,
    done: bool,
}

impl Client {
    /// A client for an interface; `random` makes the number of its transaction.
    #[must_use]
    pub fn new(mac: HardwareAddress, random: u32) -> Self {
        let [_, xid @ ..] = random.to_be_bytes();
        Self { mac, xid, begun: None, pause: FIRST, next: Duration::ZERO, done: false }
    }

    /// When to call [`Self::time`] at the latest; `None` when there is nothing to do.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        (!self.done).then_some(self.next)
    }

    /// The datagram that is due, if one is. `random` varies the pause by a tenth.
    pub fn time(&mut self, now: Duration, random: u32) -> Option<Vec<u8>> {
        if self.done || now < self.next {
            return None;
        }
        let begun = *self.begun.get_or_insert(now);
        let tenth = self.pause / 10;
        let part = tenth.saturating_mul(random % 1000) / 500;
        self.next = now + self.pause - tenth + part;
        self.pause = (self.pause * 2).min(LONGEST);
        Some(message::request(self.xid, &self.mac, now.saturating_sub(begun)))
    }

    /// A datagram that has come in: what it tells, if it is the answer. There is one.
    pub fn receive(&mut self, datagram: &[u8]) -> Option<Information> {
        if self.done {
            return None;
        }
        let reply = Reply::parse(datagram).ok()?;
        if reply.xid != self.xid || reply.client != message::duid(&self.mac) {
            return None;
        }
        self.done = true;
        Some(reply.information)
    }
}
