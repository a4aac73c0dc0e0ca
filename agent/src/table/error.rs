//! Why a partition cannot be added.

use crate::error::ELSEWHERE;
use crate::facts::human;
use crate::format;

/// Why a partition cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk could not be read.
    #[error(transparent)]
    Read(#[from] format::Error),
    /// There is no partition table.
    #[error("the disk has no partition table; an ISO of rdlive-image brings one, or {ELSEWHERE}")]
    NoTable,
    /// The GPT is damaged, or not made for this disk.
    #[error("the partition table is damaged: {0}; repair it with sgdisk or gdisk first")]
    Damaged(&'static str),
    /// The table counts in other sectors than the disk.
    #[error("the partition table is not made for sectors of {0} bytes")]
    OtherSectors(u32),
    /// Two tables describe one place behind the image differently: MBR and GPT, or a GPT and its copy.
    #[error(
        "the partition tables of the disk (MBR, GPT, its copy) contradict each other at byte {at}; repair them with gdisk first \
         (v says which; x, n makes a new guard), or {ELSEWHERE}"
    )]
    Contradiction {
        /// First byte that one of them places differently.
        at: u64,
    },
    /// Every entry is used.
    #[error("the partition table has no free entry; delete a partition that is not needed, or {ELSEWHERE}")]
    Full,
    /// The copy of a GPT belongs into the last sectors, which are part of a partition.
    #[error("a partition takes the last sectors of the disk, where the copy of the table belongs")]
    EndTaken,
    /// There is no room.
    #[error(
        "no room behind the image: the largest gap has {}, {} are needed; use a larger stick, or {ELSEWHERE}",
        human(*.largest),
        human(*.least)
    )]
    NoRoom {
        /// Bytes in the largest gap.
        largest: u64,
        /// Bytes needed.
        least: u64,
    },
}
