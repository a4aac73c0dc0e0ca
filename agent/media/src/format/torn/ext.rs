//! ext4: two sectors. The first has all that changes while it is mounted, the second little more than the checksum.

use std::io::{Read, Seek};
use std::ops::Range;

use super::{Mend, SECTOR};
use crate::format::Error;
use crate::format::bytes::{Fields, read_at};
use crate::format::crc::crc32c;

const AT: u64 = 1024;
const SIZE: usize = 1024;
const CHECKSUM: usize = 0x3fc;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const CRC32C: u8 = 1;

/// What neither use nor a repair changes in one copy alone: sizes, numbers of inodes, UUIDs, seeds.
const CONSTANT: [Range<usize>; 15] = [
    0x00..0x08,
    0x14..0x2c,
    0x38..0x3a,
    0x4c..0x50,
    0x54..0x5a,
    0x68..0x78,
    0xd0..0xe8,
    0xec..0xfd,
    0xfe..0x100,
    0x104..0x108,
    0x150..0x154,
    0x174..0x176,
    0x24c..0x254,
    0x26c..0x274,
    0x280..0x284,
];
/// Features, by place, and those of them that the kernel sets and takes away while it is mounted: extended attributes; the
/// journal is to be replayed; large files and orphans are there.
const FEATURES: [(usize, u32); 3] = [(0x5c, 0x8), (0x60, 0x4), (0x64, 0x1_0002)];

/// Where the copy of a torn superblock is, and the checksum that the superblock should have.
pub(super) fn torn<R: Read + Seek>(reader: &mut R) -> Result<Option<(u64, u32)>, Error> {
    let primary = read_at(reader, "the ext superblock", AT, SIZE)?;
    let Some(place) = backup(&primary) else { return Ok(None) };
    let backup = read_at(reader, "the copy of the ext superblock", place, SIZE)?;
    Ok(checksum(&primary, &backup).map(|checksum| (place, checksum)))
}

pub(super) fn mend<R: Read + Seek>(reader: &mut R) -> Result<Option<Mend>, Error> {
    Ok(torn(reader)?.map(|(_, checksum)| Mend {
        patches: vec![(AT + CHECKSUM as u64, checksum.to_le_bytes().to_vec())],
        words: "a power cut had torn the superblock: its checksum is written anew",
    }))
}

/// Where the first copy is, if the checksum is wrong and the superblock is one that has both.
fn backup(sb: &[u8]) -> Option<u64> {
    let checked = sb.has(0x38, &[0x53, 0xef]) && sb.le32(0x64)? & RO_COMPAT_METADATA_CSUM != 0;
    if !checked || sb.u8(0x175) != Some(CRC32C) || sb.le32(CHECKSUM)? == sum(sb)? {
        return None;
    }
    let log_block_size = sb.le32(0x18).filter(|log| *log <= 6)?;
    let group = match sb.le32(0x5c)? & COMPAT_SPARSE_SUPER2 {
        0 => 1,
        _ => sb.le32(0x24c).filter(|group| *group != 0)?,
    };
    let block = u64::from(group) * u64::from(sb.le32(0x20)?) + u64::from(sb.le32(0x14)?);
    block.checked_mul(1024 << log_block_size).filter(|place| *place >= AT + SIZE as u64)
}

/// The right checksum of a superblock that is the mix of two: it agrees with its copy in all that never changes.
fn checksum(primary: &[u8], backup: &[u8]) -> Option<u32> {
    let whole = backup.le32(CHECKSUM)? == sum(backup)? && backup.le16(0x5a)? != 0;
    let same = CONSTANT.into_iter().all(|range| primary.get(range.clone()) == backup.get(range));
    let features = FEATURES.into_iter().all(|(at, changing)| {
        let known = |sb: &[u8]| sb.le32(at).map(|bits| bits & !changing);
        known(primary).is_some() && known(primary) == known(backup)
    });
    (whole && same && features && primary.le16(0x5a) == Some(0)).then(|| sum(primary)).flatten()
}

fn sum(sb: &[u8]) -> Option<u32> {
    Some(!crc32c(sb.span(0, CHECKSUM)?))
}

// One sector is written: no cut leaves half of it.
const _: () = assert!(CHECKSUM / SECTOR == (CHECKSUM + 3) / SECTOR);

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file system with groups of 8 blocks of 1 KiB, and its copy in block 9.
    fn sample() -> Vec<u8> {
        let mut image = vec![0; 32 << 10];
        let mut sb = vec![0; SIZE];
        for (at, value) in [(0x0, 16_u32), (0x4, 31), (0x14, 1), (0x20, 8), (0x28, 8), (0x5c, 0x3c), (0x60, 0x2c2)] {
            sb[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        sb[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        sb[0x64..0x68].copy_from_slice(&0x46b_u32.to_le_bytes());
        sb[0x68..0x78].fill(0x11);
        sb[0x175] = CRC32C;
        sb[0x270..0x274].fill(0x77);
        put(&mut image, 1024, &sb);
        sb[0x5a] = 1;
        put(&mut image, 9 << 10, &sb);
        image
    }

    /// Puts a superblock with the right checksum.
    fn put(image: &mut [u8], at: usize, sb: &[u8]) {
        let mut sb = sb.to_vec();
        let right = sum(&sb).unwrap();
        sb[CHECKSUM..].copy_from_slice(&right.to_le_bytes());
        image[at..at + SIZE].copy_from_slice(&sb);
    }

    fn mended(mut image: Vec<u8>) -> Option<Vec<u8>> {
        let mend = mend(&mut Cursor::new(&mut image)).unwrap()?;
        for (at, bytes) in mend.patches {
            image[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
        }
        assert_eq!(super::mend(&mut Cursor::new(&mut image)).unwrap(), None, "mended once");
        Some(image)
    }

    /// What the kernel changes: a mount, its path, the counters, an orphan.
    const CHANGES: [(usize, u8); 7] =
        [(0x0c, 9), (0x2c, 7), (0x34, 1), (0x60, 0xc6), (0x66, 0x1), (0x88, b'/'), (0x178, 5)];

    #[test]
    fn every_mix_of_two_superblocks_is_mended() {
        let old = sample();
        let mut sb = old[1024..2048].to_vec();
        for (at, value) in CHANGES {
            sb[at] = value;
            let mut new = old.clone();
            put(&mut new, 1024, &sb);
            assert_eq!((mended(old.clone()), mended(new.clone())), (None, None), "{at:x}");
            for (first, second) in [(&old, &new), (&new, &old)] {
                let mut torn = first.clone();
                torn[1536..2048].copy_from_slice(&second[1536..2048]);
                let whole = mended(torn).unwrap_or_else(|| panic!("{at:x}"));
                assert!(whole == *first, "{at:x}: the first sector has all that changed");
            }
        }
    }

    #[test]
    fn what_is_not_torn_is_left() {
        let torn = || {
            let mut image = sample();
            image[1024 + 0x2c] = 7;
            image
        };
        assert!(mended(torn()).is_some());
        for (what, at, value) in [
            ("no magic number", 0x38, 0),
            ("no checksums", 0x65, 0),
            ("another kind of checksum", 0x175, 2),
            ("blocks too large", 0x18, 7),
            ("another size of block", 0x18, 2),
            ("another number of blocks", 0x4, 30),
            ("another size of group", 0x20, 16),
            ("another UUID", 0x68, 0),
            ("another feature", 0x61, 0),
            ("another seed", 0x270, 0),
            ("it is a copy itself", 0x5a, 1),
        ] {
            let mut image = torn();
            image[1024 + at] = value;
            assert_eq!(mended(image), None, "{what}");
        }
        for (what, at, value) in [("the copy is damaged", 0x2c, 1), ("it is no copy", 0x5a, 0)] {
            let mut image = torn();
            let mut copy = image[9 << 10..10 << 10].to_vec();
            copy[at] = value;
            image[9 << 10..10 << 10].copy_from_slice(&copy);
            assert_eq!(mended(image.clone()), None, "{what}");
        }
        let mut short = torn();
        short.truncate(9 << 10);
        assert_eq!(mended(short), None, "no copy");
    }

    #[test]
    fn the_copy_of_sparse_super2_is_where_it_says() {
        let mut image = sample();
        let mut sb = image[1024..2048].to_vec();
        sb[0x5d] = 0x2;
        sb[0x24c] = 2;
        put(&mut image, 1024, &sb);
        image[1024 + 0x2c] = 7;
        sb[0x5a] = 2;
        put(&mut image, 17 << 10, &sb);
        assert!(mended(image).is_some());
    }
}
