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

use std::fmt;
use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

pub use error::TableError;

use crate::format::bytes::read_at;
use crate::format::partition;
use crate::format::partition::gpt::{copy_at_end, is_at_begin};
use crate::format::source::Input;
use crate::layout::{DEPLOYED_MAGIC, DEPLOYED_ROOM};

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

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} at {} size {}", self.number, mib(self.start), mib(self.size))
    }
}

/// A place or size for a person. Partitions begin and end at whole MiB.
#[must_use]
pub fn mib(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

/// Bytes of the mark of an image that was deployed.
const MARK: u64 = 4096;

/// Bytes that somebody says are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    start: u64,
    /// The first byte behind them.
    end: u64,
}

impl Claim {
    fn meets(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A partition as the kernel shows it; where that comes from is `probe::block::shown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
}

impl Shown {
    /// Whether it is this gap, of which the kernel was told before anything was written.
    #[must_use]
    pub fn is(&self, gap: Gap) -> bool {
        (self.number, self.start, self.size) == (gap.number, gap.start, gap.size)
    }
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
    /// The largest gap behind the image that nobody claims: neither an entry of the MBR (logical ones too) nor of a GPT behind any
    /// MBR, nor of its copy at the end, nor a partition that the kernel has `shown`.
    ///
    /// # Errors
    /// No table, a damaged one, two that contradict each other, no free entry, no room: see [`TableError`].
    pub fn gap<R: Read + Seek>(&self, reader: &mut R, shown: &[Shown]) -> Result<Gap, TableError> {
        let reader = &mut (reader as &mut dyn Input);
        self.tables(reader)?.gap(self, reader, shown)
    }

    /// The writes that add a partition in the gap that [`Disk::gap`] finds. `random` becomes the partition's UUID,
    /// except for four bytes of it, see [`forge`].
    ///
    /// # Errors
    /// As [`Disk::gap`].
    pub fn addition<R: Read + Seek>(
        &self,
        reader: &mut R,
        shown: &[Shown],
        random: [u8; 16],
    ) -> Result<Addition, TableError> {
        let reader = &mut (reader as &mut dyn Input);
        let tables = self.tables(reader)?;
        let gap = tables.gap(self, reader, shown)?;
        match tables {
            Tables { guarded: Some(table), .. } => table.addition(self, reader, gap, random),
            Tables { record, .. } => Ok(mbr::addition(record, gap)),
        }
    }

    /// Everything that says what is where.
    fn tables<R: Read + Seek>(&self, reader: &mut R) -> Result<Tables, TableError> {
        let record = self.record(reader)?;
        match mbr::is_protective(&record) {
            true => Ok(Tables { guarded: Some(gpt::Primary::read(self, reader)?), hidden: None, record }),
            false => {
                let hidden = gpt::Primary::found(self, reader)?;
                // The kernel goes by the MBR, others take its copy at the end for the table: nobody knows what is where.
                if hidden.is_none() && mbr::has_guard(&record) && copy_at_end(reader, self.sector, self.size)?.is_some()
                {
                    return Err(TableError::damaged(
                        "its guard does not stand where it should, and only its copy is there",
                    ));
                }
                // In sectors of the other size: it counts in bytes that nobody here can compare.
                let other = if self.sector == 512 { 4096 } else { 512 };
                if hidden.is_none() && is_at_begin(reader, other, self.size)? {
                    return Err(TableError::OtherSectors(self.sector));
                }
                Ok(Tables { guarded: None, hidden, record })
            }
        }
    }

    /// The mark of an image that was deployed to this disk: by it that is found again.
    fn mark<R: Read + Seek>(&self, reader: &mut R) -> Result<Option<Claim>, TableError> {
        let Some(start) = self.size.checked_sub(DEPLOYED_ROOM) else { return Ok(None) };
        let bytes = read_at(reader, "the end of the disk", start, DEPLOYED_MAGIC.len())?;
        Ok(bytes.starts_with(DEPLOYED_MAGIC).then_some(Claim { start, end: start + MARK }))
    }

    fn record<R: Read + Seek>(&self, reader: &mut R) -> Result<Vec<u8>, TableError> {
        let record = read_at(reader, "the master boot record", 0, mbr::SECTOR)?;
        if !mbr::is_record(&record) {
            return Err(TableError::NoTable);
        }
        Ok(record)
    }

    /// The largest aligned gap between `first` and `end` (bytes) that touches none of the `taken` ranges.
    fn largest_gap(&self, number: u32, first: u64, end: u64, mut taken: Vec<Claim>) -> Result<Gap, TableError> {
        taken.sort_unstable();
        taken.push(Claim { start: end, end: u64::MAX });
        let mut best = Gap { number, start: 0, size: 0 };
        let mut free = first.max(self.image);
        for Claim { start, end: behind } in taken {
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

/// The tables of a disk.
struct Tables {
    record: Vec<u8>,
    /// The GPT that the kernel reads: what is added goes there.
    guarded: Option<gpt::Primary>,
    /// A sound GPT without its guard: the kernel reads the MBR, but this one may still describe somebody's data.
    hidden: Option<gpt::Primary>,
}

impl Tables {
    fn gap<R: Read + Seek>(&self, disk: &Disk, reader: &mut R, shown: &[Shown]) -> Result<Gap, TableError> {
        let gpt = self.guarded.as_ref().or(self.hidden.as_ref());
        let by_record = mbr::taken(&self.record, disk.sector, gpt.is_some());
        let by_gpt = gpt.map(gpt::Primary::taken).unwrap_or_default();
        // Before its end the image may be described in as many ways as it likes: all of that is taken.
        let behind = |claim: &&Claim| claim.start >= disk.image && claim.start < claim.end;
        for one in by_record.iter().filter(behind) {
            if by_gpt.iter().filter(behind).any(|other| one.meets(*other) && one != other) {
                return Err(TableError::Contradiction { at: one.start });
            }
        }
        let mut taken = by_record;
        taken.extend(by_gpt);
        let logical = partition::of_record(reader, disk.size)?;
        // The guard is among them, and has been judged.
        taken.extend(
            logical.iter().filter(|part| part.number > 4).map(|part| Claim { start: part.start, end: part.end() }),
        );
        if let Some(gpt) = gpt {
            taken.extend(gpt.taken_by_copy(disk, reader)?);
        }
        if self.guarded.is_none() {
            taken.extend(self.hidden.iter().flat_map(gpt::Primary::own_places));
        }
        taken.extend(disk.mark(reader)?);
        taken.extend(shown.iter().map(|part| Claim { start: part.start, end: part.start.saturating_add(part.size) }));
        match &self.guarded {
            Some(table) => table.gap(disk, reader, taken, shown),
            None => mbr::gap(disk, &self.record, taken, shown),
        }
    }
}

#[cfg(test)]
mod tests;
