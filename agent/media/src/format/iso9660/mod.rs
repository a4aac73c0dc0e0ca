//! ISO 9660: what the volume descriptors say, the files, and the El Torito boot catalog.

use super::{Kind, Superblock};

mod descriptor;
mod directory;
mod el_torito;
mod entry;
mod error;
mod names;
mod rock_ridge;
mod volume;

pub use descriptor::{APPLICATION_USE, Descriptors};
pub use el_torito::{BootEntry, MAX_BOOT_ENTRIES, Platform};
pub use entry::{Entry, Extent, MAX_EXTENTS};
pub use error::Error;
pub use volume::{MAX_AREAS, MAX_DEPTH, MAX_DIRECTORY, MAX_ENTRIES, MAX_RECORDS, Volume};

/// Bytes per sector of the medium, whatever the volume's block size.
pub const SECTOR: u64 = 2048;

/// Recognises a volume in the first bytes of an input.
pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let found = Descriptors::parse(head.get(descriptor::START..)?)?;
    Some(Superblock {
        size: Some(found.size),
        block_size: Some(u32::from(found.block_size)),
        label: found.label,
        uuid: found.uuid,
        ..Superblock::new(Kind::Iso9660)
    })
}

#[cfg(test)]
pub(super) use descriptor::tests::sample as descriptors_sample;
#[cfg(test)]
pub(super) use volume::tests::sample;
