//! Looking, never touching: sysfs, block devices, mounted media, kernel events.

pub(crate) mod begun;
pub mod block;
pub mod cards;
pub mod content;
pub(crate) mod deploying;
pub(crate) mod empty;
pub mod init;
pub mod kernels;
pub mod labels;
pub mod links;
pub mod loader;
pub mod ram;
pub mod site;
pub mod sleep;
pub mod sums;
pub mod takers;
pub mod uevent;
pub(crate) mod unfinished;
