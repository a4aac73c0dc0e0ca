//! A DHCPv4 client (RFC 2131, RFC 2132) for the time before there is a system: network.md 4.4 with kinds 2, 6, 7, 8 and 10 of
//! network-field.md.
//!
//! [`Client`] decides and does nothing: events go in with the time, [`Action`]s come out. What a server says is judged in [`lease`].

mod answer;
mod client;
pub mod ears;
mod event;
mod frame;
pub mod lease;
mod message;
mod notice;
mod options;
mod request;
mod schedule;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use event::{Action, Event, Setup};
pub use frame::{Arp, Malformed as MalformedFrame, arp, arp_probe, broadcast, datagram};
pub use lease::{Lease, Limits, NextServer, Part, Refusal, What};
pub use message::{Malformed, Message};
pub use notice::{Lost, Notice};
