//! How the initrd fetches an image: one engine for HTTP and HTTPS, FTP, TFTP and dolly.
//!
//! Decisions are pure and know no clock but the one they are given; what comes from a server is data that is judged before it is used.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod date;
pub mod dolly;
#[cfg(test)]
mod faulty;
pub mod ftp;
pub mod http;
mod output;
pub mod policy;
pub mod sniff;
mod taker;
pub mod tftp;
pub mod tls;
pub mod transfer;
mod unpack;
pub mod url;

pub use output::Output;
pub use taker::{Facts, Taker};
pub use unpack::unpacker;
