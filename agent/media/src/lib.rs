//! What agent and builder know of media: the formats on them, partition tables, the index and the stored form of kernel modules, and the names of files.
//!
//! Readers never panic, whatever the bytes are (`docs/decisions/0010-hostile-input.md`); `agent/fuzz` has their fuzz targets.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod format;
pub mod json;
pub mod layout;
pub mod modindex;
pub mod packed;
pub mod printable;
pub mod table;
