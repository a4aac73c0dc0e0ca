//! What a person is told of the search for an address. Each is a value; how often it is said is decided where it arises.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::ears::Heard;
use super::lease::{Part, Refusal};

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// No address yet, though the link is up (kind 2): after 10 s, then each 30 s.
    Waiting {
        /// Since the link is up.
        up: Duration,
        /// What arrived in that time.
        heard: Heard,
        /// Answers of servers in that time, none of use.
        answers: u32,
    },
    /// An offer or a lease that is not taken. Once for each server and reason.
    Refused {
        /// Whose.
        server: Ipv4Addr,
        /// Why.
        why: Refusal,
    },
    /// Parts of a lease that are not used.
    Parts {
        /// Whose.
        server: Ipv4Addr,
        /// Which, and why.
        parts: Vec<Part>,
    },
    /// A server takes back what was offered.
    Nak {
        /// Which one.
        server: Ipv4Addr,
        /// Its words, made harmless.
        text: String,
    },
    /// An offer was asked for three times in vain.
    Unanswered {
        /// Whom.
        server: Ipv4Addr,
    },
    /// Another machine has the address; it was declined.
    Conflict {
        /// The address.
        address: Ipv4Addr,
        /// Whose it is.
        mac: [u8; 6],
    },
    /// The address is used though another machine answers for it, after two that were declined (kind 8).
    AnswersForEvery {
        /// The address.
        address: Ipv4Addr,
        /// Who answered.
        mac: [u8; 6],
        /// Whether the same one has answered each time: then it is no machine with that address.
        always: bool,
    },
    /// Nobody has answered for the renewal, the lease goes on until then.
    NotRenewed {
        /// Until the end of the lease.
        left: Duration,
    },
}

/// Why an address must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its time is over.
    Expired,
    /// The server has taken it back.
    TakenBack,
    /// The server gives another one from now on.
    Replaced,
    /// The link belongs to another interface now (kind 4).
    Enslaved,
}

/// A hardware address as text.
pub(super) fn mac(mac: [u8; 6]) -> impl fmt::Display {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { up, heard, answers: 0 } => write!(f, "link up {} s, {heard}", up.as_secs()),
            Self::Waiting { up, answers: 1, .. } => {
                write!(f, "link up {} s, one DHCP answer, which gave no address", up.as_secs())
            }
            Self::Waiting { up, answers, .. } => {
                write!(f, "link up {} s, {answers} DHCP answers, which gave no address", up.as_secs())
            }
            Self::Refused { server, why } => write!(f, "the offer of DHCP server {server} is not taken: {why}"),
            Self::Parts { server, parts } => {
                write!(f, "DHCP server {server}")?;
                for (index, part) in parts.iter().enumerate() {
                    write!(f, "{} {part}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::Nak { server, text } if text.is_empty() => write!(f, "DHCP server {server} says no"),
            Self::Nak { server, text } => write!(f, "DHCP server {server} says no: {text}"),
            Self::Unanswered { server } => {
                write!(f, "DHCP server {server} has offered an address and does not answer any more")
            }
            Self::Conflict { address, mac: other } => {
                write!(f, "{} has {address} already, another address is asked for", mac(*other))
            }
            Self::AnswersForEvery { address, mac: other, always: true } => {
                write!(f, "{} answers for every address, {address} is used", mac(*other))
            }
            Self::AnswersForEvery { address, mac: other, always: false } => {
                write!(f, "{} has {address} already; it is used, for two addresses were declined before", mac(*other))
            }
            Self::NotRenewed { left } => {
                write!(f, "no DHCP server renews the lease, which ends in {} s", left.as_secs())
            }
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the lease has ended",
            Self::TakenBack => "the DHCP server has taken it back",
            Self::Replaced => "the DHCP server gives another one",
            Self::Enslaved => "the interface has become part of another one",
        })
    }
}
