//! rdlive finds a live medium in the initrd and builds the root file system on it.
//!
//! The agent reads ([`cmdline`], [`config`], [`format`]), thinks ([`discover`], [`plan`]), then acts ([`exec`]). See
//! `docs/boot-sequence.md` for the stages of a boot and every path they leave in `/run`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// What is shown goes through `terminal`, where nothing that media may hold is obeyed.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// What a person reads is said in words: the text that Rust derives for a value is for programmers.
#![cfg_attr(not(test), deny(clippy::use_debug))]

pub use rdlive_media::{format, json, layout, modindex, table};

pub mod area;
pub mod attempt;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod cmdline;
pub mod config;
pub mod console;
pub mod dracut;
pub mod env;
pub mod error;
pub mod exec;
pub mod explain;
pub mod facts;
mod foreign;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod generator;
pub mod handover;
pub mod kmsg;
pub mod machine;
pub mod mapper;
pub mod mountinfo;
pub mod native;
pub mod patient;
pub mod plan;
pub mod probe;
mod random;
pub mod report;
pub mod shutdown;
pub mod silence;
pub mod source;
pub mod terminal;
pub mod watch;
