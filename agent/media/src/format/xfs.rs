//! XFS: superblock at byte 0, big-endian.

use super::bytes::Fields;
use super::text::label;
use super::uuid::uuid;
use super::{Kind, Superblock};

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    if !head.has(0, b"XFSB") {
        return None;
    }
    let block_size = head.be32(4)?;
    if !block_size.is_power_of_two() || !(512..=65_536).contains(&block_size) {
        return None;
    }
    Some(Superblock {
        label: label(head.span(108, 12)?),
        uuid: uuid(&head.array(32)?),
        size: head.be64(8)?.checked_mul(u64::from(block_size)),
        block_size: Some(sector_size(head).unwrap_or(block_size)),
        // Only mkfs and growfs in progress are visible here; whether the log is clean is in the log.
        dirty: head.u8(126)? != 0,
        ..Superblock::new(Kind::Xfs)
    })
}

/// `sb_sectsize`: what the file system reads and writes at once, which no device below it may exceed.
fn sector_size(head: &[u8]) -> Option<u32> {
    head.be16(102).map(u32::from).filter(|size| size.is_power_of_two() && (512..=32_768).contains(size))
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[..4].copy_from_slice(b"XFSB");
    image[4..8].copy_from_slice(&4096u32.to_be_bytes());
    image[8..16].copy_from_slice(&100u64.to_be_bytes());
    image[32..48].copy_from_slice(&[0x22; 16]);
    image[102..104].copy_from_slice(&512u16.to_be_bytes());
    image[108..113].copy_from_slice(b"store");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.label.as_deref(), Some("store"));
        assert_eq!(found.size, Some(409_600));
        assert_eq!(found.block_size, Some(512));
        let mut odd = sample();
        odd[102..104].copy_from_slice(&513u16.to_be_bytes());
        assert_eq!(parse(&odd).unwrap().block_size, Some(4096));
    }

    #[test]
    fn hostile_sizes() {
        for (block_size, blocks, expected) in [
            (0u32, 1u64, None),
            (4097, 1, None),
            (0x8000_0000, 1, None),
            (65_536, u64::MAX, Some(None)),
            (512, 2, Some(Some(1024))),
        ] {
            let mut image = sample();
            image[4..8].copy_from_slice(&block_size.to_be_bytes());
            image[8..16].copy_from_slice(&blocks.to_be_bytes());
            let size = parse(&image).map(|found| found.size);
            assert_eq!(size, expected, "{block_size} {blocks}");
        }
    }
}
