//! A file system that is being made on a device or in a partition, and how a later boot knows that it never was complete.
//!
//! What the note is beside a cow file ([`super::unfinished`]), a block at the very end is here: mkfs does not get the last MiB, and the
//! last 4096 bytes of that say, while the work lasts, which UUID the file system gets. They are on the disk before anything else is
//! written, and zeros again, which is the commit, when all of it is there. An attempt that was cut short is known by its block, by nothing
//! but zeros before that in the last MiB, and by what the place begins with: zeros still, or an ext of this UUID that was never mounted. A
//! file system that somebody has used is complete, whatever the block says: the cut came just before the commit, or mkfs went on alone.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::{empty, unfinished};
use crate::format::{Kind, Superblock, uuid};

/// Bytes at the end that mkfs does not get.
pub(crate) const ROOM: u64 = 1 << 20;
/// A place that is smaller has no such block.
pub(crate) const LEAST: u64 = 16 << 20;
/// What all disks write as a whole, or not at all as far as the sum shows.
pub(crate) const BLOCK: usize = 4096;
const MAGIC: &[u8; 16] = b"rdlive unfinishd";
/// Where magic, size and UUID end, and the sum of them begins.
const SUMMED: usize = 64;

/// The work on a place.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Where it begins, in bytes.
    pub(crate) base: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// The UUID of its file system.
    pub(crate) uuid: String,
}

impl Begun {
    /// What an attempt of ours has begun in `size` bytes from `base` on, if nobody has written there since.
    pub(crate) fn known(device: &File, base: u64, size: u64) -> Option<Self> {
        if size < LEAST {
            return None;
        }
        let mut block = [0; BLOCK];
        device.read_exact_at(&mut block, base + size - BLOCK as u64).ok()?;
        let uuid = std::str::from_utf8(&block[24..60]).ok().filter(|text| uuid::is_uuid(text))?;
        if block != content(size, uuid) {
            return None;
        }
        let mut room = vec![0; ROOM as usize - BLOCK];
        device.read_exact_at(&mut room, base + size - ROOM).ok()?;
        let mut head = [0; 2048];
        device.read_exact_at(&mut head, base).ok()?;
        // Wherever somebody may have begun something since. The copy of a superblock is one, too.
        let found = empty::signatures(device, base, size).ok()?;
        let is_this = |found: &Superblock| {
            matches!(found.kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4) && found.uuid.as_deref() == Some(uuid)
        };
        let ours = found.iter().all(is_this)
            && match head[1024 + 0x38..1024 + 0x3a] == MAGIC_OF_EXT {
                // Its first two sectors are a boot loader's, and mkfs leaves them as they are.
                true => head[..1024].iter().all(|byte| *byte == 0) && head_is(&head, uuid) && was_never_used(&head),
                // The copies may be there before it.
                false => unfinished::begins_with_zeros(&head),
            };
        let untouched = room.iter().all(|byte| *byte == 0);
        (ours && untouched).then(|| Self { base, size, uuid: uuid.to_owned() })
    }
}

/// The magic number of an ext, as it is stored.
const MAGIC_OF_EXT: [u8; 2] = [0x53, 0xef];

/// Whether the ext that begins so is the one of this UUID.
fn head_is(head: &[u8; 2048], uuid: &str) -> bool {
    head[1024 + 0x68..].first_chunk().and_then(uuid::uuid).is_some_and(|found| found == uuid)
}

/// Whether the ext that begins so has neither a time nor a count of mounts, nor files: not every program that writes to one counts that as
/// a mount. mkfs takes `s_first_ino` inodes and one for `lost+found`, newer ones another for the list of orphans.
fn was_never_used(head: &[u8; 2048]) -> bool {
    let number = |at: usize| head[1024 + at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (mount_time, mount_count) = (number(0x2c), number(0x34) & 0xffff);
    let taken = number(0).saturating_sub(number(0x10));
    // Before the second revision of the format there was no such field.
    let first = if number(0x4c) == 0 { 11 } else { number(0x54) };
    mount_time == 0 && mount_count == 0 && taken <= first + 1
}

/// Whether an attempt of ours was cut short in `size` bytes from `base` on.
pub fn is_begun(device: &File, base: u64, size: u64) -> bool {
    Begun::known(device, base, size).is_some()
}

/// The block.
pub(crate) fn content(size: u64, uuid: &str) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..16].copy_from_slice(MAGIC);
    block[16..24].copy_from_slice(&size.to_le_bytes());
    block[24..60].copy_from_slice(&uuid.as_bytes()[..36]);
    let sum = Sha256::digest(&block[..SUMMED]);
    block[SUMMED..SUMMED + 32].copy_from_slice(&sum);
    block
}
