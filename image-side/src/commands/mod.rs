//! One file per subcommand: its arguments, and the order of its work.

pub mod build;
pub mod initrd;
pub mod inspect;
