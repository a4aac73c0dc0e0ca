//! GRUB on the medium: its images, its partition and its menu.

pub mod esp;
pub mod grub_image;
pub mod kargs;
pub mod menu;
pub mod menu_reader;
