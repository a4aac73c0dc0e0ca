//! One file per subcommand: its arguments, and the order of its work.

pub mod build;
mod doubts;
pub mod initrd;
pub mod inspect;
pub mod pxe;
