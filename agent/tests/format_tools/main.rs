//! The readers of `rdlive::format` against real images, made by the real tools and judged by `blkid` and `sfdisk`.
//!
//! A missing tool fails the test with the name of its Debian package: a comparison that did not run proves nothing.

mod iso;
mod judged;
mod known;
mod made;
mod members;
mod mutated;
mod superblocks;
mod tables;
mod tools;
