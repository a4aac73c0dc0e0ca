//! COW store of a device-mapper snapshot: header at byte 0, little-endian.

use super::bytes::Fields;
use super::{Kind, Superblock};

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    head.has(0, b"SnAp").then(|| Superblock {
        // Chunk size in sectors.
        block_size: head.le32(12).and_then(|sectors| sectors.checked_mul(512)),
        // The valid flag: a store that overflowed has lost its content.
        dirty: head.le32(4) == Some(0),
        ..Superblock::new(Kind::SnapshotCow)
    })
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[..4].copy_from_slice(b"SnAp");
    image[4] = 1;
    image[8] = 1;
    image[12] = 8;
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_and_validity() {
        let mut image = sample();
        let found = parse(&image).unwrap();
        assert_eq!(found.block_size, Some(4096));
        assert!(!found.dirty);
        image[4] = 0;
        assert!(parse(&image).unwrap().dirty);
        assert_eq!(parse(b"SnAp").unwrap().block_size, None);
    }
}
