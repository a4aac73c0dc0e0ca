//! A superblock of which a power cut left some sectors old and some new: its checksum is wrong, and nothing else.
//!
//! A disk writes a sector as a whole or not at all, and these superblocks have more than one. What to write is decided here
//! and only where a second copy in the file system says that this is a tear, not damage; see decision 0020.

use std::io::{Read, Seek};

use super::source::Input;
use super::{Error, Kind};

mod btrfs;
mod ext;

/// What a disk writes as a whole or not at all, at the least.
const SECTOR: usize = 512;

/// How to mend a torn superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// Bytes and where they belong. A cut between two of them, or in one, leaves what can be mended again.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// What it is, for a person.
    pub words: &'static str,
}

/// First byte of a copy of the superblock of an ext, by which it can be read while the superblock itself is torn; `None` as for
/// [`mend`].
///
/// # Errors
/// The device could not be read.
pub fn copy_of_ext<R: Read + Seek>(reader: &mut R) -> Result<Option<u64>, Error> {
    ext::torn(&mut (reader as &mut dyn Input)).map(|torn| torn.map(|(copy, _)| copy))
}

/// How to mend the superblock of a file system of which `kind` is known; `None` when it is whole, or it is not certain that a
/// power cut tore it.
///
/// # Errors
/// The device could not be read.
pub fn mend<R: Read + Seek>(reader: &mut R, kind: Kind) -> Result<Option<Mend>, Error> {
    let reader = &mut (reader as &mut dyn Input);
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => ext::mend(reader),
        Kind::Btrfs => btrfs::mend(reader),
        // The superblock of XFS is one sector.
        _ => Ok(None),
    }
}
