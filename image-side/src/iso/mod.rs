//! The ISO 9660 image: its identity, its boot structures, and what it says about itself.

pub mod identity;
pub mod image;
pub mod info;
pub mod volume_id;
