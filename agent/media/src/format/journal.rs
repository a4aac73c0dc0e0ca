//! The journal of an ext3 or ext4 (jbd2, big-endian): only what it would do to the superblock.
//!
//! The superblock says where a file system was mounted last, but the kernel changes that through the journal: after a power
//! cut the answer may be there and not yet in its place.

use std::io::{Read, Seek};

use super::bytes::{Fields, read_at};

const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKE: u32 = 5;
const INCOMPAT_64BIT: u32 = 0x2;
const INCOMPAT_CSUM_V2: u32 = 0x8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
const INCOMPAT_FAST_COMMIT: u32 = 0x20;
const SAME_UUID: u32 = 2;
const LAST_TAG: u32 = 8;
/// Blocks that are looked at: what a session of a few minutes writes.
const MAX_BLOCKS: u32 = 4096;
/// Where and how long the path of the last mount is in the superblock.
pub const LAST_MOUNTED: (usize, usize) = (0x88, 64);

/// What is in a journal that has not been replayed.
#[derive(Debug, PartialEq, Eq)]
pub enum Pending {
    /// No complete transaction: a replay would change nothing.
    Nothing,
    /// Transactions, and the path of the last mount in the newest superblock among them, if there is one.
    Something(Option<Vec<u8>>),
}

/// Looks into the journal; `None` when it is not of a kind that is known, or damaged.
pub fn pending<R: Read + Seek>(reader: &mut R) -> Option<Pending> {
    let sb = read_at(reader, "the ext superblock", 1024, 1024).ok()?;
    let mut log = Log::open(reader, &sb)?;
    let start = log.head.be32(0x1c)?;
    if start == 0 {
        return Some(Pending::Nothing);
    }
    let (mut sequence, mut at) = (log.head.be32(0x18)?, start);
    let (mut found, mut any) = (None, false);
    // Each complete transaction: descriptors with their blocks, revocations, a commit.
    let mut candidate = None;
    for _ in 0..MAX_BLOCKS {
        let block = log.block(at)?;
        if block.be32(0) != Some(MAGIC) || block.be32(8) != Some(sequence) {
            break;
        }
        at = log.behind(at, 1);
        match block.be32(4)? {
            DESCRIPTOR => {
                let tags = log.tags(&block)?;
                if let Some(index) = tags.iter().rposition(|number| *number == log.superblock) {
                    let place = log.behind(at, u32::try_from(index).ok()?);
                    let copy = log.block(place)?;
                    candidate = Some(copy.span(log.inside + LAST_MOUNTED.0, LAST_MOUNTED.1)?.to_vec());
                }
                at = log.behind(at, u32::try_from(tags.len()).ok()?);
            }
            COMMIT => {
                any = true;
                found = candidate.take().or(found);
                sequence = sequence.wrapping_add(1);
            }
            REVOKE => {}
            _ => return None,
        }
    }
    Some(if any { Pending::Something(found) } else { Pending::Nothing })
}

struct Log<'a, R> {
    reader: &'a mut R,
    block_size: u32,
    /// First block on the disk and length of each part.
    extents: Vec<(u64, u32)>,
    /// The journal's own superblock.
    head: Vec<u8>,
    /// The block with the file system's superblock, and the byte in it at which that begins.
    superblock: u64,
    inside: usize,
}

impl<'a, R: Read + Seek> Log<'a, R> {
    fn open(reader: &'a mut R, sb: &[u8]) -> Option<Self> {
        let block_size = 1024_u32.checked_shl(sb.le32(0x18)?).filter(|size| (1024..=65536).contains(size))?;
        let (superblock, inside) = if block_size == 1024 { (1, 0) } else { (0, 1024) };
        // The superblock keeps a copy of the place of the journal: the extents in its inode.
        let extents = extents(sb.span(0x10c, 60)?)?;
        let mut log = Self { reader, block_size, extents, head: Vec::new(), superblock, inside };
        log.head = log.block(0)?;
        let version_2 = log.head.be32(4)? == 4;
        let fits = log.head.be32(0xc)? == block_size && log.features() & INCOMPAT_FAST_COMMIT == 0;
        (log.head.be32(0)? == MAGIC && version_2 && fits).then_some(log)
    }

    fn features(&self) -> u32 {
        self.head.be32(0x28).unwrap_or_default()
    }

    /// A block of the journal.
    fn block(&mut self, number: u32) -> Option<Vec<u8>> {
        let mut rest = number;
        for (first, length) in &self.extents {
            if rest < *length {
                let offset = first.checked_add(u64::from(rest))?.checked_mul(u64::from(self.block_size))?;
                let bytes = read_at(self.reader, "the journal", offset, self.block_size as usize).ok()?;
                return (bytes.len() == self.block_size as usize).then_some(bytes);
            }
            rest -= length;
        }
        None
    }

    /// The block that many behind one; behind the last comes the first.
    fn behind(&self, at: u32, count: u32) -> u32 {
        let (first, length) = (self.head.be32(0x14).unwrap_or(1), self.head.be32(0x10).unwrap_or(0));
        let next = at.saturating_add(count);
        if next >= length { next.saturating_sub(length).saturating_add(first) } else { next }
    }

    /// The blocks that a descriptor says follow it.
    fn tags(&self, block: &[u8]) -> Option<Vec<u64>> {
        let features = self.features();
        let (wide, v2, v3) =
            (features & INCOMPAT_64BIT != 0, features & INCOMPAT_CSUM_V2 != 0, features & INCOMPAT_CSUM_V3 != 0);
        let length = match (v3, wide) {
            (true, _) => 16,
            (false, true) => 12,
            (false, false) => 8,
        } + if v2 && !v3 { 2 } else { 0 };
        let (mut at, mut tags) = (12, Vec::new());
        loop {
            let low = u64::from(block.be32(at)?);
            let flags = if v3 { block.be32(at + 4)? } else { u32::from(block.be16(at + 6)?) };
            let high = if wide { u64::from(block.be32(at + 8)?) } else { 0 };
            tags.push(high << 32 | low);
            at += length + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST_TAG != 0 {
                return Some(tags);
            }
        }
    }
}

/// The extents in an inode's 60 bytes, if it has no tree of them.
fn extents(inode: &[u8]) -> Option<Vec<(u64, u32)>> {
    let count = usize::from(inode.le16(2)?);
    if inode.le16(0)? != 0xf30a || inode.le16(6)? != 0 || count > 4 {
        return None;
    }
    let mut found = Vec::new();
    let mut expected = 0;
    for index in 0..count {
        let at = 12 + index * 12;
        let (logical, length) = (inode.le32(at)?, u32::from(inode.le16(at + 4)?));
        if logical != expected || length > 32768 {
            return None;
        }
        expected += length;
        found.push((u64::from(inode.le16(at + 6)?) << 32 | u64::from(inode.le32(at + 8)?), length));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const BLOCK: usize = 1024;

    fn set32(bytes: &mut [u8], at: usize, value: u32) {
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn head(kind: u32, sequence: u32) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        for (at, value) in [(0, MAGIC), (4, kind), (8, sequence)] {
            set32(&mut block, at, value);
        }
        block
    }

    /// Tags of 16 bytes (checksums of version 3).
    fn descriptor(sequence: u32, numbers: &[u32]) -> Vec<u8> {
        let mut block = head(DESCRIPTOR, sequence);
        let mut at = 12;
        for (index, number) in numbers.iter().enumerate() {
            let first = if index == 0 { 0 } else { SAME_UUID };
            let last = if index + 1 == numbers.len() { LAST_TAG } else { 0 };
            set32(&mut block, at, *number);
            set32(&mut block, at + 4, first | last);
            at += if index == 0 { 32 } else { 16 };
        }
        block
    }

    fn superblock(path: &str) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[LAST_MOUNTED.0..LAST_MOUNTED.0 + path.len()].copy_from_slice(path.as_bytes());
        block
    }

    /// A disk whose journal has blocks 1 to 15 in two parts; `blocks` are written from 12 on, and go round.
    fn disk(start: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
        let mut disk = vec![0; 64 * BLOCK];
        let sb = &mut disk[1024..2048];
        sb[0x10c..0x10c + 8].copy_from_slice(&[0x0a, 0xf3, 2, 0, 4, 0, 0, 0]);
        for (index, logical, length, first) in [(0, 0, 10, 20), (1, 10, 6, 40)] {
            let at = 0x10c + 12 + index * 12;
            sb[at] = logical;
            sb[at + 4] = length;
            sb[at + 8] = first;
        }
        let mut own = head(4, 0);
        for (at, value) in
            [(0xc, BLOCK as u32), (0x10, 16), (0x14, 1), (0x18, 7), (0x1c, start), (0x28, INCOMPAT_CSUM_V3 | 2)]
        {
            set32(&mut own, at, value);
        }
        disk[20 * BLOCK..21 * BLOCK].copy_from_slice(&own);
        for (index, block) in blocks.iter().enumerate() {
            let logical = 12 + index;
            let logical = if logical >= 16 { logical - 15 } else { logical };
            let place = if logical < 10 { 20 + logical } else { 30 + logical };
            disk[place * BLOCK..(place + 1) * BLOCK].copy_from_slice(block);
        }
        disk
    }

    #[test]
    fn only_complete_transactions_count() {
        let data = || vec![9; BLOCK];
        let one = |path: &str| vec![descriptor(7, &[33, 1]), data(), superblock(path), head(COMMIT, 7)];
        let two = || {
            let mut blocks = one("/first");
            blocks.extend([head(REVOKE, 8), descriptor(8, &[1]), superblock("/second"), head(COMMIT, 8)]);
            blocks
        };
        let something = |path: &str| {
            let mut field = path.as_bytes().to_vec();
            field.resize(LAST_MOUNTED.1, 0);
            Some(Pending::Something(Some(field)))
        };
        let rows = [
            ("empty", disk(0, &one("/x")), Some(Pending::Nothing)),
            ("one", disk(12, &one("/first")), something("/first")),
            ("without its commit", disk(12, &one("/first")[..3]), Some(Pending::Nothing)),
            ("two, the second behind the end", disk(12, &two()), something("/second")),
            ("the second without its commit", disk(12, &two()[..7]), something("/first")),
            ("an older round", disk(12, &[head(COMMIT, 6)]), Some(Pending::Nothing)),
            (
                "no superblock in it",
                disk(12, &[descriptor(7, &[33]), data(), head(COMMIT, 7)]),
                Some(Pending::Something(None)),
            ),
            ("an unknown kind of block", disk(12, &[head(9, 7)]), None),
            ("a journal with a tree of extents", vec![0; 64 * BLOCK], None),
            ("cut off", disk(12, &one("/x"))[..42 * BLOCK].to_vec(), None),
        ];
        for (name, disk, expected) in rows {
            assert_eq!(pending(&mut Cursor::new(disk)), expected, "{name}");
        }
    }
}
