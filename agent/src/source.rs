//! Where a live system comes from: which devices may hold it, and which of them is tried when. Pure.

pub mod discover;
pub mod given;
pub mod search;
pub mod told;
