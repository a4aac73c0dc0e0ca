//! From the answer of a server to an address: each value is judged.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::Information;
use super::message::{Message, Status};

/// The shortest time that is taken: a shorter one is asked for again all the time.
const SHORTEST: u32 = 30;
/// A time without an end (RFC 9915 7.7).
const FOREVER: u32 = u32::MAX;

/// An address that a server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address; nothing else is on the link because of it.
    pub address: Ipv6Addr,
    /// The identifier of the server that gave it.
    pub server: Vec<u8>,
    /// How long it holds; `None`: for ever.
    pub valid: Option<Duration>,
    /// When the same server is asked for more time, and when every server is: since it was given.
    pub renew: Option<(Duration, Duration)>,
    /// What else the server has told.
    pub information: Information,
}

/// Why an answer is no lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The server says so itself.
    #[error("it says: {0}")]
    Status(Status),
    /// It says neither that nor an address.
    #[error("it names no address")]
    NoAddress,
    /// No machine can have it.
    #[error("no machine can have the address {0}")]
    Unusable(Ipv6Addr),
    /// Shorter than 30 s.
    #[error("{0} s are too short, 30 s are the least")]
    TooShort(u32),
}

/// Why an address must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its time is over.
    Expired,
    /// The server gives another one, or none, from now on.
    Replaced,
    /// Another machine has it.
    Duplicate,
}

/// Something to tell a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An answer that gives no address. Once for each reason.
    Refused(Refusal),
    /// Another machine has the address; the server is told.
    Conflict(Ipv6Addr),
}

impl Lease {
    /// Judges an answer that is about the identity with this number.
    ///
    /// # Errors
    /// It gives no address that can be used.
    pub fn of(message: &Message, iaid: u32) -> Result<Self, Refusal> {
        let identity = message.identities.iter().find(|identity| identity.iaid == iaid);
        let said = [message.status, identity.map_or(Status::SUCCESS, |identity| identity.status)];
        if let Some(status) = said.into_iter().find(|status| *status != Status::SUCCESS) {
            return Err(Refusal::Status(status));
        }
        let identity = identity.ok_or(Refusal::NoAddress)?;
        // An address whose time is zero is taken back; others beside it are given.
        let given = identity.addresses.iter().find(|given| given.valid > 0 && given.preferred <= given.valid);
        let given = given.ok_or(Refusal::NoAddress)?;
        let ip = given.ip;
        let is_of_a_machine = !ip.is_unspecified()
            && !ip.is_loopback()
            && !ip.is_multicast()
            && !ip.is_unicast_link_local()
            && ip.to_ipv4_mapped().is_none();
        if !is_of_a_machine {
            return Err(Refusal::Unusable(ip));
        }
        if given.valid < SHORTEST {
            return Err(Refusal::TooShort(given.valid));
        }
        let renew = (given.valid != FOREVER).then(|| renewal((identity.t1, identity.t2), given.preferred, given.valid));
        Ok(Self {
            address: ip,
            server: message.server.clone(),
            valid: (given.valid != FOREVER).then(|| Duration::from_secs(given.valid.into())),
            renew,
            information: message.information.clone(),
        })
    }
}

/// RFC 9915 14.2 and 21.4: half of the preferred time and four fifths of it, unless the server says something that makes sense.
fn renewal((t1, t2): (u32, u32), preferred: u32, valid: u32) -> (Duration, Duration) {
    let base = if preferred == 0 { valid } else { preferred };
    let second = if t2 > 0 && t2 < valid { t2 } else { base / 5 * 4 };
    let first = if t1 > 0 && t1 <= second { t1 } else { (base / 2).min(second) };
    (Duration::from_secs(first.into()), Duration::from_secs(second.into()))
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the time that the DHCPv6 server gave is over",
            Self::Replaced => "the DHCPv6 server does not give it any more",
            Self::Duplicate => "another machine has it",
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "a DHCPv6 server gives no address: {why}"),
            Self::Conflict(address) => write!(f, "another machine has {address} already, another address is asked for"),
        }
    }
}
