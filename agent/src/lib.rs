//! rdlive finds a live medium in the initrd and builds the root file system on it.
//!
//! The agent reads ([`cmdline`], [`config`], [`format`]), thinks (`plan`), then acts (`exec`). See
//! `docs/boot-sequence.md` for the stages of a boot and every path they leave in `/run`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cmdline;
pub mod config;
pub mod format;
pub mod layout;
pub mod modindex;
