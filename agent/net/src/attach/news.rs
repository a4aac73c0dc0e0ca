//! What a person is told of the network, as values.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use super::Card;
use super::choice::Release;
use crate::grammar::{Address, Interface};
use crate::link::Failure;
use crate::{dhcp4, dhcp6, twin};

/// Something of the search for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// By DHCPv4.
    Dhcp4(dhcp4::Notice),
    /// By DHCPv6.
    Dhcp6(dhcp6::Notice),
    /// A router of IPv6 is there, and no DHCPv4 server, though the command line asks for that alone (network-field.md kind 11).
    NoDhcp4,
    /// No router of IPv6 is there: DHCPv6 is asked all the same.
    NoRouter,
    /// No DHCPv6 server is there, though the command line asks for that alone: addresses of a router are used.
    NoDhcp6,
    /// Another machine has an IPv4 address that the command line gives to this one.
    Twin(twin::Notice),
    /// Another machine has an IPv6 address that the command line or a router gives to this one.
    Taken(Ipv6Addr),
}

/// Why an address must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// One of DHCPv4.
    Dhcp4(dhcp4::Lost),
    /// One of DHCPv6.
    Dhcp6(dhcp6::Lost),
}

impl Notice {
    /// Whether something is not as the command line wants it, so that it has to be seen.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Dhcp4(notice) => matches!(notice, dhcp4::Notice::AnswersForEvery { .. }),
            Self::Dhcp6(_) | Self::NoRouter => false,
            Self::NoDhcp4 | Self::NoDhcp6 | Self::Twin(_) | Self::Taken(_) => true,
        }
    }

    /// Whether an address of the command line is not used, for another machine has it.
    #[must_use]
    pub fn is_twin(&self) -> bool {
        matches!(self, Self::Taken(_) | Self::Twin(twin::Notice::Taken { used: false, .. }))
    }
}

impl From<dhcp4::Notice> for Notice {
    fn from(notice: dhcp4::Notice) -> Self {
        Self::Dhcp4(notice)
    }
}

impl From<dhcp6::Notice> for Notice {
    fn from(notice: dhcp6::Notice) -> Self {
        Self::Dhcp6(notice)
    }
}

impl From<dhcp4::Lost> for Lost {
    fn from(why: dhcp4::Lost) -> Self {
        Self::Dhcp4(why)
    }
}

impl From<dhcp6::Lost> for Lost {
    fn from(why: dhcp6::Lost) -> Self {
        Self::Dhcp6(why)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp4(notice) => write!(f, "{notice}"),
            Self::Dhcp6(notice) => write!(f, "{notice}"),
            Self::Twin(notice) => write!(f, "{notice}"),
            Self::NoDhcp4 => f.write_str(
                "a router of IPv6 is there and for 10 s no DHCPv4 server: IPv6 is used (ip=any asks for it at once)",
            ),
            Self::NoRouter => f.write_str("no router of IPv6 for 10 s: DHCPv6 is asked all the same"),
            Self::NoDhcp6 => f.write_str(
                "no DHCPv6 server for 10 s: addresses of the router are used (ip=auto6 asks for them at once)",
            ),
            Self::Taken(ip) => write!(f, "another machine has {ip}, so it is not used: give this one another address"),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp4(why) => write!(f, "{why}"),
            Self::Dhcp6(why) => write!(f, "{why}"),
        }
    }
}

/// Something to tell a person.
#[derive(Debug)]
pub enum News {
    /// An interface is brought up.
    Found {
        /// Which.
        name: String,
        /// What else it may be called.
        others: Vec<String>,
        /// Its driver.
        driver: Option<String>,
    },
    /// None that a word names has a link: this one is used, which alone has one.
    StandIn {
        /// Which.
        name: String,
        /// The word.
        wanted: Interface,
        /// That one is there, without a link.
        is_there: bool,
    },
    /// One that is preferred is of no use: all are used.
    Released {
        /// Which is preferred.
        wanted: Interface,
        /// Why it is of no use.
        why: Release,
        /// All that there are.
        all: Vec<Card>,
    },
    /// It sees the other end, or does not any more.
    Carrier {
        /// Which.
        name: String,
        /// Whether it does.
        on: bool,
    },
    /// It has an address.
    Address {
        /// Which.
        name: String,
        /// The address.
        address: Address,
        /// The DHCP server that gave it.
        by: Option<IpAddr>,
    },
    /// Address and routes are gone.
    Lost {
        /// Which.
        name: String,
        /// Why.
        why: Lost,
    },
    /// The search for an address.
    Notice {
        /// Which.
        name: String,
        /// What of it.
        notice: Notice,
    },
    /// The kernel has refused something; the rest was done.
    Failed {
        /// Which.
        name: String,
        /// What.
        failure: Failure,
    },
    /// Nothing can be received.
    Deaf {
        /// Which.
        name: String,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { name, others, driver } => {
                let others: Vec<&str> = others.iter().filter(|other| *other != name).map(String::as_str).collect();
                let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
                let of = driver.as_ref().map(|driver| format!(" of {driver}")).unwrap_or_default();
                write!(f, "{name}{others}: an interface{of}")
            }
            Self::StandIn { name, wanted, is_there } => {
                let why = if *is_there { "has no link" } else { "is not there" };
                write!(f, "{wanted} {why}: {name} is used instead, the only interface with a link")
            }
            Self::Released { wanted, why, all } => {
                let why = match why {
                    Release::NoLink => "is not there, or has no link",
                    Release::NoServer => "leads to no server",
                };
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "{wanted} is preferred and {why}: all interfaces are used: {}", all.join(", "))
            }
            Self::Carrier { name, on: true } => write!(f, "{name}: link up"),
            Self::Carrier { name, on: false } => write!(f, "{name}: no link"),
            Self::Address { name, address, by: Some(by) } => write!(f, "{name}: {address} from DHCP server {by}"),
            Self::Address { name, address, by: None } => write!(f, "{name}: {address}"),
            Self::Lost { name, why } => write!(f, "{name}: the address is gone: {why}"),
            Self::Notice { name, notice } => write!(f, "{name}: {notice}"),
            Self::Failed { name, failure } => write!(f, "{name}: {failure}"),
            Self::Deaf { name, error } => write!(f, "{name}: nothing can be received: {error}"),
        }
    }
}

impl News {
    /// Whether something is done in another way than was asked for.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Self::StandIn { .. } | Self::Released { .. } => true,
            Self::Notice { notice, .. } => notice.is_warning(),
            _ => false,
        }
    }
}
