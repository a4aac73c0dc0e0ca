//! Partition tables: GPT with its backup, and MBR with extended partitions.
//!
//! Written here rather than taken from the `gpt` crate, which sizes its buffers by fields of the table: with our own
//! code a hostile disk cannot make the initrd allocate or loop beyond the constants stated in [`gpt`] and [`mbr`].

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use super::bytes::read_at;
use super::source::Input;
use super::{Error, fat};

pub mod gpt;
pub mod mbr;

/// Partitions kept of any table; the kernel's own limit for one disk.
pub const MAX_PARTITIONS: usize = 256;

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Which table, and which of its copies are good.
    pub kind: TableKind,
    /// GPT: the disk GUID in lower case. MBR: the eight hexadecimal digits of the disk id. `None` if zero.
    pub id: Option<String>,
    /// Bytes per sector that the table counts in.
    pub sector_size: u32,
    /// The partitions, by number; extended partitions are among them.
    pub partitions: Vec<Partition>,
}

/// Which table was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// GUID partition table behind a protective MBR.
    Gpt {
        /// Header and entries at the start have good checksums.
        primary_ok: bool,
        /// Header and entries of the copy have good checksums.
        backup_ok: bool,
    },
    /// Master boot record.
    Mbr,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The kernel's number for it, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// GPT: type GUID in lower case. MBR: `0x` and two hexadecimal digits.
    pub type_id: String,
    /// PARTUUID as the kernel and udev print it: unique GUID, or disk id and number (`1a2b3c4d-01`).
    pub uuid: Option<String>,
    /// GPT name, decoded.
    pub name: Option<String>,
    /// GPT attribute bits; zero for MBR.
    pub attributes: u64,
    /// MBR boot flag, or GPT attribute bit 2 (legacy BIOS bootable).
    pub active: bool,
}

impl Partition {
    /// First byte behind the partition.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// The partitions of the master boot record alone, logical ones too, whatever else is on the disk; none without a record.
///
/// # Errors
/// The disk could not be read.
pub fn of_record<R: Read + Seek>(reader: &mut R, size_bytes: u64) -> Result<Vec<Partition>, Error> {
    let sector = read_at(reader, "the master boot record", 0, 512)?;
    let Some(record) = mbr::Record::parse(&sector) else { return Ok(Vec::new()) };
    Ok(mbr::table(&mut (reader as &mut dyn Input), &record, size_bytes)?
        .map(|table| table.partitions)
        .unwrap_or_default())
}

/// Reads the partition table of a disk of `size_bytes`, `None` if it has none.
///
/// As in the kernel a GPT counts only behind a protective MBR. A damaged primary GPT falls back to the copy at the end
/// of the disk; if both are damaged the protective MBR itself is the answer.
///
/// # Errors
/// The disk could not be read.
pub fn table<R: Read + Seek>(reader: &mut R, size_bytes: u64) -> Result<Option<Table>, Error> {
    read(&mut (reader as &mut dyn Input), size_bytes)
}

fn read(reader: &mut &mut dyn Input, size_bytes: u64) -> Result<Option<Table>, Error> {
    let sector = read_at(reader, "the master boot record", 0, 512)?;
    let Some(record) = mbr::Record::parse(&sector) else {
        return Ok(None);
    };
    if record.is_protective()
        && let Some(table) = gpt::table(reader, size_bytes)?
    {
        return Ok(Some(table));
    }
    if fat::is_boot_sector(&sector) && !record.is_protective() {
        return Ok(None);
    }
    mbr::table(reader, &record, size_bytes)
}
