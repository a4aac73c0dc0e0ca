//! How the initrd gets an address: what the command line asks for, links, DHCP, IPv6, and names of hosts.
//!
//! Decisions are pure and know no clock but the one they are given; what comes from a network is data that is judged before it is used.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod attach;
pub mod dhcp4;
pub mod dhcp6;
pub mod fixed;
pub mod grammar;
pub mod hardware;
pub mod hostname;
pub mod ip6;
pub mod link;
pub mod naming;
pub mod nic;
pub mod resolver;
pub mod route;
pub mod socket;
pub mod twin;
