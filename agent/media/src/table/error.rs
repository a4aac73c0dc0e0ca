//! Why a partition cannot be added.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::format;
use crate::printable::human;

/// Why a partition cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableError {
    /// The disk could not be read.
    #[error("{0}")]
    Read(String),
    /// There is no partition table.
    #[error("the disk has no partition table")]
    NoTable,
    /// The GPT is damaged, or not made for this disk.
    #[error("the partition table is damaged: {0}")]
    Damaged(Cow<'static, str>),
    /// The table counts in other sectors than the disk.
    #[error("the partition table is not made for sectors of {0} bytes")]
    OtherSectors(u32),
    /// Two tables describe one place behind the image differently: MBR and GPT, or a GPT and its copy.
    #[error("the partition tables of the disk (MBR, GPT, its copy) contradict each other at byte {at}")]
    Contradiction {
        /// First byte that one of them places differently.
        at: u64,
    },
    /// Every entry is used.
    #[error("the partition table has no free entry")]
    Full,
    /// The copy of a GPT belongs into the last sectors, which are part of a partition.
    #[error("a partition takes the last sectors of the disk, where the copy of the table belongs")]
    EndTaken,
    /// There is no room.
    #[error("no room behind the image: the largest gap has {}, {} are needed", human(*.largest), human(*.least))]
    NoRoom {
        /// Bytes in the largest gap.
        largest: u64,
        /// Bytes needed.
        least: u64,
    },
}

impl From<format::Error> for TableError {
    fn from(error: format::Error) -> Self {
        Self::Read(error.to_string())
    }
}

impl TableError {
    /// A table that is damaged in this way.
    pub(super) fn damaged(how: &'static str) -> Self {
        Self::Damaged(how.into())
    }
}
