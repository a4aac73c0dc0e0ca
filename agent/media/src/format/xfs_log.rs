//! The log of an XFS (big-endian): whether it ends in order, and if not, who wrote its last record.
//!
//! Each record says how large the buffers were that it was written from (`h_size`), which is an option of the mount (`logbsize`,
//! `Documentation/admin-guide/xfs.rst`). A session of ours mounts with a size that is nobody's default, so that its records are
//! told from all others.

use std::io::{Read, Seek};

use super::bytes::{Fields, read_at};
use super::source::Input;

/// Units of the log, in bytes, whatever the sectors of the device.
const BASIC: u64 = 512;
/// First bytes of a record.
const RECORD: u32 = 0xfeed_babe;
/// A record has a header for each part of this length of its buffer.
const PER_HEADER: u32 = 32 << 10;
/// The operation that a clean unmount writes as its only one.
const UNMOUNT: u8 = 0x20;
/// The longest record: a buffer of 256 KiB and its headers, in units of [`BASIC`].
const LONGEST: u64 = (256 << 10) / BASIC + 8;
/// Buffers of a session of ours, in bytes: the default is 32 KiB, and who tunes takes the largest, 256 KiB.
pub const OURS: u32 = 64 << 10;
/// The same as a mount option.
pub const OPTION: &str = "logbsize=64k";

/// The last thing in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A clean unmount.
    InOrder,
    /// Something that must be replayed, written from buffers of this many bytes.
    Pending(u32),
}

/// Where the log is.
struct Log {
    /// First byte.
    start: u64,
    /// Length in units of [`BASIC`].
    length: u64,
    /// Its stripe unit in bytes, which buffers must not be smaller than.
    stripe: u32,
}

impl Log {
    /// `None` for a log on another device, of the first version, or of a superblock that lies.
    fn of(sb: &[u8]) -> Option<Self> {
        const VERSION: u16 = 0xf;
        const LOG_V2: u16 = 0x400;
        let version = sb.be16(100)?;
        // Version 5 always has the second kind of log.
        if !sb.has(0, b"XFSB") || (version & VERSION != 5 && version & LOG_V2 == 0) {
            return None;
        }
        let block = u64::from(sb.be32(4)?);
        let (place, blocks) = (sb.be64(48)?, u64::from(sb.be32(96)?));
        // A number of a block is that of its group and that in the group.
        let bits = u32::from(sb.u8(124)?);
        let (group, inside) = (place.checked_shr(bits)?, place & 1_u64.checked_shl(bits)?.checked_sub(1)?);
        let first = group.checked_mul(u64::from(sb.be32(84)?))?.checked_add(inside)?;
        let start = first.checked_mul(block).filter(|start| *start > 0)?;
        let length = blocks.checked_mul(block)? / BASIC;
        start.checked_add(length * BASIC)?;
        (place != 0 && length > 1).then_some(Self { start, length, stripe: sb.be32(196)? })
    }
}

fn superblock<R: Read + Seek>(reader: &mut R) -> Option<Log> {
    Log::of(&read_at(reader, "the XFS superblock", 0, 512).ok()?)
}

/// Whether the size of its records says whose they are: with a stripe as long as ours (`mkfs.xfs -l su=64k`, a RAID with such chunks) every
/// system writes records of that size.
pub fn takes_ours<R: Read + Seek>(reader: &mut R) -> bool {
    superblock(&mut (reader as &mut dyn Input)).is_some_and(|log| log.stripe < OURS)
}

/// The end of the log; `None` when there is none that can be read.
pub fn end<R: Read + Seek>(reader: &mut R) -> Option<End> {
    let log = superblock(reader)?;
    let head = log.head(reader)?;
    let (newest, oldest) = (log.round(reader, 0)?, log.round(reader, log.length - 1)?);
    // Backwards from the head, round the end of the log, to the last record.
    for back in 1..=LONGEST.min(log.length) {
        let at = (head + log.length - back) % log.length;
        let block = log.block(reader, at)?;
        // A log that was replayed is cleared ahead with empty headers of an older round. One shows through where a power cut has kept
        // the rest of a record, and its second header not (found by power cuts).
        let round = if at < head { newest } else { oldest };
        if block.be32(0)? == RECORD && block.be32(4)? == round {
            return log.record(reader, at, &block, head);
        }
    }
    None
}

impl Log {
    fn block<R: Read + Seek>(&self, reader: &mut R, at: u64) -> Option<Vec<u8>> {
        let offset = self.start.checked_add(at.checked_mul(BASIC)?)?;
        let bytes = read_at(reader, "the XFS log", offset, BASIC as usize).ok()?;
        (bytes.len() as u64 == BASIC).then_some(bytes)
    }

    /// In which round over the log a unit of it was written: its first four bytes, or in a header the four behind the magic number.
    fn round<R: Read + Seek>(&self, reader: &mut R, at: u64) -> Option<u32> {
        let block = self.block(reader, at)?;
        match block.be32(0)? {
            RECORD => block.be32(4),
            round => Some(round),
        }
    }

    /// The first unit that is of an older round than the first one: there the next record would be written.
    fn head<R: Read + Seek>(&self, reader: &mut R) -> Option<u64> {
        let first = self.round(reader, 0)?;
        let (mut known, mut older) = (0, self.length);
        if self.round(reader, self.length - 1)? != first {
            older = self.length - 1;
        }
        while older - known > 1 {
            let middle = known + (older - known) / 2;
            match self.round(reader, middle)? == first {
                true => known = middle,
                false => older = middle,
            }
        }
        Some(older % self.length)
    }

    fn record<R: Read + Seek>(&self, reader: &mut R, at: u64, header: &[u8], head: u64) -> Option<End> {
        let (length, operations, size) = (header.be32(12)?, header.be32(40)?, header.be32(320)?);
        let headers = u64::from(size.div_ceil(PER_HEADER).max(1));
        let behind = (at + headers + u64::from(length).div_ceil(BASIC)) % self.length;
        // Number and length of the operation, who asked for it, what it is.
        let first = self.block(reader, (at + headers) % self.length)?;
        match operations == 1 && behind == head && first.u8(9)? & UNMOUNT != 0 {
            true => Some(End::InOrder),
            false => Some(End::Pending(size)),
        }
    }
}

/// With one record of a session of ours.
#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut disk = tests::disk();
    tests::record(&mut disk, (0, 1), OURS, 1024, false);
    disk
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const LOG: usize = 64;

    /// An XFS of two groups of 64 blocks of 4096 bytes; the log is in the second one, 64 units long.
    pub(super) fn disk() -> Vec<u8> {
        let mut disk = vec![0; 128 * 4096];
        disk[..4].copy_from_slice(b"XFSB");
        let mut set = |at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
        set(4, &4096_u32.to_be_bytes());
        // Group 1, block 2.
        set(48, &(1_u64 << 6 | 2).to_be_bytes());
        set(84, &64_u32.to_be_bytes());
        set(96, &8_u32.to_be_bytes());
        set(100, &0xb4a5_u16.to_be_bytes());
        set(124, &[6]);
        disk
    }

    fn unit(disk: &mut [u8], at: usize) -> &mut [u8] {
        let start = (64 + 2) * 4096 + at * 512;
        &mut disk[start..start + 512]
    }

    /// Writes a record of `length` bytes; returns the unit behind it.
    pub(super) fn record(disk: &mut [u8], (at, round): (usize, u32), size: u32, length: u32, unmount: bool) -> usize {
        let headers = (size.div_ceil(PER_HEADER)) as usize;
        let units = headers + length.div_ceil(512) as usize;
        for index in 0..units {
            let part = unit(disk, (at + index) % LOG);
            part.fill(0);
            part[..4].copy_from_slice(&round.to_be_bytes());
        }
        let head = unit(disk, at % LOG);
        for (place, value) in [(0, RECORD), (4, round), (12, length), (40, if unmount { 1 } else { 7 }), (320, size)] {
            head[place..place + 4].copy_from_slice(&value.to_be_bytes());
        }
        unit(disk, (at + headers) % LOG)[9] = if unmount { UNMOUNT } else { 1 };
        at + units
    }

    fn end_of(disk: Vec<u8>) -> Option<End> {
        end(&mut Cursor::new(disk))
    }

    #[test]
    fn the_last_record_says_how_it_ended_and_who_wrote_it() {
        let mut disk = disk();
        assert_eq!(end_of(disk.clone()), None, "an empty log says nothing");
        let at = record(&mut disk, (0, 1), 32 << 10, 512, true);
        assert_eq!(end_of(disk.clone()), Some(End::InOrder));
        let at = record(&mut disk, (at, 1), OURS, 1024, false);
        assert_eq!(end_of(disk.clone()), Some(End::Pending(OURS)));
        // Another system has replayed it and goes on.
        let at = record(&mut disk, (at, 1), 32 << 10, 600, false);
        assert_eq!(end_of(disk.clone()), Some(End::Pending(32 << 10)));
        record(&mut disk, (at, 1), 32 << 10, 512, true);
        assert_eq!(end_of(disk), Some(End::InOrder));
    }

    #[test]
    fn an_empty_header_inside_of_a_torn_record_is_none() {
        let mut disk = disk();
        let behind = record(&mut disk, (0, 1), OURS, 1024, false);
        // The second of its two headers was not written.
        let second = unit(&mut disk, 1);
        second.fill(0);
        second[..4].copy_from_slice(&RECORD.to_be_bytes());
        assert!(behind == 4, "two headers and two units");
        assert_eq!(end_of(disk), Some(End::Pending(OURS)));
    }

    #[test]
    fn a_log_that_goes_round_is_followed() {
        let mut disk = disk();
        let mut at = 0;
        while at + 4 <= LOG {
            at = record(&mut disk, (at, 1), OURS, 1024, false);
        }
        assert_eq!(at, LOG);
        assert_eq!(end_of(disk.clone()), Some(End::Pending(OURS)), "full to its last unit");
        let at = record(&mut disk, (0, 2), 32 << 10, 512, false);
        assert_eq!(end_of(disk.clone()), Some(End::Pending(32 << 10)));
        record(&mut disk, (at, 2), OURS, 512, true);
        assert_eq!(end_of(disk), Some(End::InOrder));
    }

    #[test]
    fn a_superblock_that_lies_is_no_log() {
        for (at, bytes) in [
            (48, &[0; 8][..]),
            (48, &[0xff; 8]),
            (96, &[0; 4]),
            (96, &[0xff; 4]),
            (4, &[0xff; 4]),
            (124, &[200]),
            (84, &[0xff; 4]),
            (100, &[0, 4]),
        ] {
            let mut disk = disk();
            record(&mut disk, (0, 1), OURS, 512, true);
            disk[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(end_of(disk), None, "{at} {bytes:?}");
        }
    }
}
