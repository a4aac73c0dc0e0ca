//! A DHCPv6 client (RFC 9915, which replaces RFC 8415) for the time before there is a system: an address, where a router or the command
//! line says that addresses are to be had so, or only what a router does not say itself (network.md 4.5).
//!
//! [`Client`] decides and does nothing: datagrams and time go in, [`Action`]s come out. Prefix and router come from the router alone.

use std::net::{IpAddr, Ipv6Addr};

use crate::hostname::Hostname;

mod client;
mod lease;
mod message;
#[cfg(test)]
mod tests;

pub use client::{Action, Client, Goal};
pub use lease::{Lease, Lost, Notice, Refusal};
pub(crate) use message::domains;
pub use message::{Identity, Malformed, Message, Status, Type};

/// UDP ports (RFC 9915 7.2).
pub const CLIENT: u16 = 546;
/// The servers' port.
pub const SERVER: u16 = 547;
/// All servers and relays on the link (RFC 9915 7.1).
pub const EVERYBODY: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// What a server has told beside an address.
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
