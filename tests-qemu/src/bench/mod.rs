//! Measurements: ours, the originals and the floor side by side in one run.

pub mod boot;
mod memory;
pub mod net;
mod table;
mod transfer;
pub mod write;
