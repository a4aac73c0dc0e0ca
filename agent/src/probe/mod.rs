//! Looking, never touching: sysfs, block devices, mounted media, kernel events.

pub mod area;
pub mod block;
pub mod content;
pub mod links;
pub mod ram;
pub mod sums;
pub mod uevent;
