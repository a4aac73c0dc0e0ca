//! btrfs: first superblock at 64 KiB, little-endian.

use super::bytes::Fields;
use super::text::label;
use super::uuid::uuid;
use super::{Kind, Superblock};

const OFFSET: usize = 0x1_0000;

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let sb = head.span(OFFSET, 4096)?;
    // A superblock names its own place.
    if !sb.has(64, b"_BHRfS_M") || sb.le64(48)? != OFFSET as u64 {
        return None;
    }
    let devices = sb.le64(136).filter(|devices| *devices > 1);
    // What the volume has is on all of them; of its own bytes each one tells in its item.
    let size = sb.le64(if devices.is_some() { 209 } else { 112 });
    Some(Superblock {
        label: label(sb.span(299, 256)?),
        uuid: uuid(&sb.array(32)?),
        size,
        block_size: sb.le32(144),
        // A log tree is replayed at the next mount, even a read-only one.
        dirty: sb.le64(96)? != 0,
        devices,
        ..Superblock::new(Kind::Btrfs)
    })
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; OFFSET + 4096];
    let sb = &mut image[OFFSET..];
    sb[32..48].copy_from_slice(&[0x33; 16]);
    sb[48..56].copy_from_slice(&(OFFSET as u64).to_le_bytes());
    sb[64..72].copy_from_slice(b"_BHRfS_M");
    sb[112..120].copy_from_slice(&(1u64 << 30).to_le_bytes());
    sb[144..148].copy_from_slice(&4096u32.to_le_bytes());
    sb[299..303].copy_from_slice(b"data");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let mut image = sample();
        let found = parse(&image).unwrap();
        assert_eq!(found.label.as_deref(), Some("data"));
        assert_eq!(found.size, Some(1 << 30));
        assert!(!found.dirty);
        assert_eq!(found.devices, None);
        image[OFFSET + 136] = 1;
        assert_eq!(parse(&image).unwrap().devices, None);
        image[OFFSET + 136] = 2;
        image[OFFSET + 209..][..8].copy_from_slice(&(1u64 << 29).to_le_bytes());
        let several = parse(&image).unwrap();
        assert_eq!((several.devices, several.size), (Some(2), Some(1 << 29)));
        image[OFFSET + 96] = 1;
        assert!(parse(&image).unwrap().dirty);
    }
}
