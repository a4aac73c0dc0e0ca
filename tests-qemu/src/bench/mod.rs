//! Measurements: ours, the originals and the floor side by side in one run.

pub mod boot;
mod table;
pub mod write;
