//! Readers of superblocks and partition tables, over `Read + Seek`.
//!
//! Nothing here mounts, writes or trusts: the input may be a pulled stick, half a download or made to hurt. Each reader
//! takes fields with checked access ([`bytes`]), follows no chain without a limit, and allocates no more than the
//! constant it states (`HEAD`, `MAX_…`). A short input is never an error: what is not there is not recognised.
//!
//! [`identify`] answers "what is this?", [`identify_all`] "is there anything on it?", [`partition::table`] reads GPT
//! and MBR, and [`iso9660::Volume`] finds files on a medium without mounting it.

use serde::{Deserialize, Serialize};

mod btrfs;
pub mod bytes;
pub mod crc;
pub mod elf;
mod erofs;
mod error;
mod exfat;
mod ext;
mod fat;
mod identify;
pub mod iso9660;
pub mod journal;
mod kind;
pub mod left;
pub mod luks;
mod lvm;
mod ntfs;
pub mod partition;
mod raid;
mod signature;
mod snapshot_cow;
pub mod source;
mod squashfs;
mod swap;
mod text;
pub mod torn;
mod udev;
mod udf;
mod unknown;
pub mod uuid;
mod xfs;
pub mod xfs_log;

#[cfg(test)]
mod hostile;

pub use error::Error;
pub use identify::{beside_raid, identify, identify_all, mirror};
pub use kind::{Compressor, DECOMPRESSION_OPTIONS, Kind};
#[doc(hidden)]
pub use signature::{Signature, signatures};
pub use text::lossless;
pub use udev::{udev_decode, udev_encode};
pub use unknown::{Unknown, unknown};

/// What a superblock says about its file system or container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superblock {
    /// What was recognised.
    pub kind: Kind,
    /// Label without trailing white space; bytes that are not UTF-8 appear as `\xNN`.
    pub label: Option<String>,
    /// UUID, serial number or date stamp, in the form blkid prints.
    pub uuid: Option<String>,
    /// Tells two images apart whose format has no UUID: when it was made, and how much is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// Bytes the file system says it has.
    pub size: Option<u64>,
    /// Bytes per block (sector for vfat, exfat, ntfs and xfs).
    pub block_size: Option<u32>,
    /// Compressor of a squashfs or EROFS.
    pub compressor: Option<Compressor>,
    /// Subsystem in a LUKS 2 header: a text of whoever made the volume, readable without its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<String>,
    /// The journal needs recovery, or the volume is marked as not cleanly unmounted or as having errors. An XFS log is not examined.
    pub dirty: bool,
    /// How many devices it lies on, where that is more than one; only btrfs can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
}

impl Superblock {
    /// A superblock of which only the kind is known.
    pub fn new(kind: Kind) -> Self {
        let (label, uuid, stamp, size) = (None, None, None, None);
        let (block_size, compressor, subsystem, devices) = (None, None, None, None);
        Self { kind, label, uuid, stamp, size, block_size, compressor, subsystem, dirty: false, devices }
    }

    /// What tells an image from all others: its UUID, or what stands in for one.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        self.uuid.clone().or_else(|| self.stamp.clone())
    }

    /// Bytes missing at the end when the device or file has only `actual` bytes; `None` when it is whole.
    #[must_use]
    pub fn truncated(&self, actual: u64) -> Option<u64> {
        self.size.and_then(|expected| expected.checked_sub(actual)).filter(|missing| *missing > 0)
    }
}

/// Bytes missing at the end of `superblock`'s file system, see [`Superblock::truncated`].
#[must_use]
pub fn truncated(superblock: &Superblock, actual: u64) -> Option<u64> {
    superblock.truncated(actual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_counts_missing_bytes() {
        for (expected, actual, missing) in [
            (Some(4096), 4096, None),
            (Some(4096), 8192, None),
            (Some(4096), 4095, Some(1)),
            (Some(u64::MAX), 0, Some(u64::MAX)),
            (None, 0, None),
        ] {
            let superblock = Superblock { size: expected, ..Superblock::new(Kind::Squashfs) };
            assert_eq!(truncated(&superblock, actual), missing, "{expected:?} {actual}");
        }
    }
}
