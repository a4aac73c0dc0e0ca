//! What a directory names, and where it lies.

use serde::{Deserialize, Serialize};

use super::error::Error;

/// Pieces of one file. Each may have 4 GiB.
pub const MAX_EXTENTS: usize = 64;

/// A run of bytes on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First byte, from the start of the medium.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name: Rock Ridge's, else Joliet's, else the ISO 9660 name in lower case without its version.
    pub name: String,
    /// A symbolic link, which is not followed.
    pub is_symlink: bool,
    /// Where the content is, in order; adjoining pieces are joined. Never empty.
    pub extents: Vec<Extent>,
}

impl Entry {
    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.size).sum()
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.extents.iter().any(|extent| extent.is_dir)
    }

    /// The content as one run of bytes, `None` if it is scattered.
    #[must_use]
    pub fn contiguous(&self) -> Option<Extent> {
        match self.extents.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Adds the pieces that a following record has.
    pub(super) fn join(&mut self, extents: Vec<Extent>) -> Result<(), Error> {
        for extent in extents {
            let full = self.extents.len() == MAX_EXTENTS;
            match self.extents.last_mut() {
                Some(last) if last.offset.checked_add(last.size) == Some(extent.offset) => {
                    last.size += extent.size;
                }
                _ if full => return Err(Error::Scattered(self.name.clone())),
                _ => self.extents.push(extent),
            }
        }
        Ok(())
    }
}
