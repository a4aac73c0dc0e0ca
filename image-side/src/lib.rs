//! `rdlive-image` turns the tree of an installed system into a live medium that the rdlive agent boots.
//!
//! Each subcommand is a file in [`commands`]; the rooms below it ([`tree`], [`initrd`], …) know one thing each and are
//! usable from other programs, such as the lab.

pub mod bootloader;
pub mod commands;
pub mod container;
pub mod digest;
pub mod epoch;
pub mod initrd;
pub mod interrupt;
pub mod iso;
pub mod netboot;
pub mod progress;
pub mod run;
pub mod scratch;
pub mod space;
pub mod tools;
pub mod tree;
