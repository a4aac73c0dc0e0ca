//! Names of hosts to addresses, before there is a system (RFC 1034, RFC 1035; network-field.md kind 13).
//!
//! [`Lookup`] decides: all servers in turn, one second apart, until the caller gives up; the search list; addresses of
//! both families; long answers over TCP. [`resolve`] does it for one interface. The messages are our own.

mod client;
mod lookup;
mod message;
#[cfg(test)]
mod tests;

pub use client::{Setup, resolve};
pub use lookup::{Answer, Failure, Lookup, Said, Step};
pub use message::{Malformed, Query, Reply, Want};
