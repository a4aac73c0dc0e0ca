//! squashfs 4: superblock at byte 0, little-endian.

use super::bytes::Fields;
use super::{Compressor, Kind, Superblock};

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let version = head.le16(28)?;
    if !head.has(0, b"hsqs") || version != 4 {
        return None;
    }
    // Seconds since 1970 when it was made (or what SOURCE_DATE_EPOCH says), inodes, bytes.
    let (made, inodes, bytes) = (head.le32(8)?, head.le32(4)?, head.le64(40)?);
    Some(Superblock {
        stamp: Some(format!("{made:08x}-{inodes:x}-{bytes:x}")),
        size: Some(bytes),
        block_size: head.le32(12),
        compressor: head.le16(20).map(compressor),
        ..Superblock::new(Kind::Squashfs)
    })
}

fn compressor(id: u16) -> Compressor {
    match id {
        1 => Compressor::Gzip,
        2 => Compressor::Lzma,
        3 => Compressor::Lzo,
        4 => Compressor::Xz,
        5 => Compressor::Lz4,
        6 => Compressor::Zstd,
        other => Compressor::Unknown(other),
    }
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[..4].copy_from_slice(b"hsqs");
    image[12..16].copy_from_slice(&131_072u32.to_le_bytes());
    image[20..22].copy_from_slice(&6u16.to_le_bytes());
    image[28..30].copy_from_slice(&4u16.to_le_bytes());
    image[40..48].copy_from_slice(&5000u64.to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_compressor() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.size, Some(5000));
        assert_eq!(found.block_size, Some(131_072));
        assert_eq!(found.compressor, Some(Compressor::Zstd));
        assert_eq!(found.truncated(4096), Some(904));
    }

    #[test]
    fn the_stamp_changes_with_time_inodes_and_bytes() {
        let stamp = |image: &[u8]| parse(image).unwrap().identity().unwrap();
        let first = stamp(&sample());
        assert_eq!(first, "00000000-0-1388");
        for (at, what) in [(8, "time"), (4, "inodes"), (40, "bytes")] {
            let mut image = sample();
            image[at] ^= 1;
            assert_ne!(stamp(&image), first, "{what}");
        }
    }

    #[test]
    fn other_versions_are_not_ours() {
        let mut image = sample();
        image[28] = 3;
        assert_eq!(parse(&image), None);
    }
}
