//! Adding one partition to the table of the boot disk so that a power cut at any moment leaves a valid table.
//!
//! Nothing here writes. [`Disk::gap`] says where there is room, [`Disk::addition`] lists the writes in the order in
//! which they must reach the disk; after every one of them, and after none, the table that the kernel reads is valid and
//! is either the old or the new one (`docs/decisions/0020-formatting.md`). What is not part of the new entry or of the
//! GPT's own bookkeeping stays as it is, byte for byte: the boot code, the boot flags of a hybrid MBR, the other entries.

mod error;
mod forge;
mod gpt;
mod mbr;
pub mod name;

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

pub use error::TableError;

use crate::format::bytes::read_at;

/// Partitions begin and end at multiples of this, in bytes.
pub const ALIGNMENT: u64 = 1 << 20;
/// GPT name of a partition that we add; the file system's label is `cow`.
pub const PARTITION_NAME: &str = "rdlive-cow";
/// GPT type of a Linux file system, `0FC63DAF-8483-4772-8E79-3D69D8477DE4`, as it is stored.
const LINUX_GUID: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];
/// MBR type of a Linux file system.
const LINUX_MBR: u8 = 0x83;

/// A disk and what must be known about it to add a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Size in bytes.
    pub size: u64,
    /// Bytes per logical sector, as the kernel counts.
    pub sector: u32,
    /// Bytes at the start that belong to the live image, whatever the table says.
    pub image: u64,
    /// The smallest gap worth using, in bytes.
    pub least: u64,
}

/// Room for a new partition: outside of the image, of every entry and of the table's own copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The partition number it would get.
    pub number: u32,
    /// First byte, a multiple of [`ALIGNMENT`].
    pub start: u64,
    /// Length in bytes, a multiple of [`ALIGNMENT`].
    pub size: u64,
}

/// One write. Each must be on the disk before the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it changes, for the log.
    pub what: &'static str,
    /// First byte.
    pub offset: u64,
    /// The bytes: whole sectors.
    pub bytes: Vec<u8>,
}

/// A new partition and the writes that make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Where the partition is.
    pub gap: Gap,
    /// The writes in order; the last one is the commit.
    pub writes: Vec<Write>,
}

impl Disk {
    /// The largest gap behind the image.
    ///
    /// # Errors
    /// No table, a damaged one, no free entry, no room: see [`TableError`].
    pub fn gap<R: Read + Seek>(&self, reader: &mut R) -> Result<Gap, TableError> {
        let record = self.record(reader)?;
        if mbr::is_protective(&record) {
            let table = gpt::Primary::read(self, reader)?;
            return table.gap(self, reader, &record);
        }
        mbr::gap(self, &record)
    }

    /// The writes that add a partition in the gap that [`Disk::gap`] finds. `random` becomes the partition's UUID,
    /// except for four bytes of it, see [`forge`].
    ///
    /// # Errors
    /// As [`Disk::gap`].
    pub fn addition<R: Read + Seek>(&self, reader: &mut R, random: [u8; 16]) -> Result<Addition, TableError> {
        let record = self.record(reader)?;
        if mbr::is_protective(&record) {
            let table = gpt::Primary::read(self, reader)?;
            let gap = table.gap(self, reader, &record)?;
            return table.addition(self, reader, gap, random);
        }
        let gap = mbr::gap(self, &record)?;
        Ok(mbr::addition(record, gap))
    }

    fn record<R: Read + Seek>(&self, reader: &mut R) -> Result<Vec<u8>, TableError> {
        let record = read_at(reader, "the master boot record", 0, mbr::SECTOR)?;
        if !mbr::is_record(&record) {
            return Err(TableError::NoTable);
        }
        Ok(record)
    }

    /// The largest aligned gap between `first` and `end` (bytes) that touches none of the `taken` ranges.
    fn largest_gap(&self, number: u32, first: u64, end: u64, mut taken: Vec<(u64, u64)>) -> Result<Gap, TableError> {
        taken.sort_unstable();
        taken.push((end, u64::MAX));
        let mut best = Gap { number, start: 0, size: 0 };
        let mut free = first.max(self.image);
        for (start, behind) in taken {
            let aligned = free.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX);
            let size = start.min(end) / ALIGNMENT * ALIGNMENT;
            let size = size.saturating_sub(aligned);
            if size > best.size {
                best = Gap { number, start: aligned, size };
            }
            free = free.max(behind);
        }
        if best.size < self.least.max(ALIGNMENT) {
            return Err(TableError::NoRoom { largest: best.size, least: self.least.max(ALIGNMENT) });
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests;
