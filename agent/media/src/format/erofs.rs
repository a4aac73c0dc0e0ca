//! EROFS: superblock at byte 1024, little-endian.

use super::bytes::Fields;
use super::text::label;
use super::uuid::uuid;
use super::{Compressor, Kind, Superblock};

const MAGIC: u32 = 0xe0f5_e1e2;
const LZ4_0PADDING: u32 = 0x1;
const COMPR_CFGS: u32 = 0x2;
const BLOCKS_48BIT: u32 = 0x80;

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let sb = head.span(1024, 128)?;
    if sb.le32(0)? != MAGIC {
        return None;
    }
    let bits = sb.u8(12)?;
    if !(9..=16).contains(&bits) {
        return None;
    }
    let incompat = sb.le32(80)?;
    Some(Superblock {
        label: label(sb.span(64, 16)?),
        uuid: uuid(&sb.array(48)?),
        // 48 bits of blocks of at most 64 KiB fit in 64 bits.
        size: Some(blocks(sb, incompat)? << bits),
        block_size: Some(1 << bits),
        compressor: Some(compressor(incompat, sb.le16(84)?)),
        ..Superblock::new(Kind::Erofs)
    })
}

fn blocks(sb: &[u8], incompat: u32) -> Option<u64> {
    let low = u64::from(sb.le32(36)?);
    let high = u64::from(sb.le16(14)?);
    Some(if incompat & BLOCKS_48BIT != 0 { high << 32 | low } else { low })
}

/// The newest algorithm in use: it is the one that a kernel is most likely to lack.
fn compressor(incompat: u32, algorithms: u16) -> Compressor {
    if incompat & COMPR_CFGS == 0 {
        return if incompat & LZ4_0PADDING == 0 { Compressor::None } else { Compressor::Lz4 };
    }
    match algorithms.checked_ilog2() {
        None => Compressor::None,
        Some(0) => Compressor::Lz4,
        Some(1) => Compressor::Lzma,
        Some(2) => Compressor::Deflate,
        Some(3) => Compressor::Zstd,
        Some(other) => Compressor::Unknown(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 8192];
    let sb = &mut image[1024..];
    sb[..4].copy_from_slice(&MAGIC.to_le_bytes());
    sb[12] = 12;
    sb[36..40].copy_from_slice(&3u32.to_le_bytes());
    sb[48..64].copy_from_slice(&[0xab; 16]);
    sb[64..69].copy_from_slice(b"live1");
    sb[80..84].copy_from_slice(&(LZ4_0PADDING | COMPR_CFGS).to_le_bytes());
    sb[84..86].copy_from_slice(&2u16.to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.label.as_deref(), Some("live1"));
        assert_eq!(found.uuid.as_deref(), Some("abababab-abab-abab-abab-abababababab"));
        assert_eq!(found.size, Some(3 * 4096));
        assert_eq!(found.compressor, Some(Compressor::Lzma));
    }

    #[test]
    fn algorithms() {
        for (incompat, bits, expected) in [
            (0, 0, Compressor::None),
            (1, 0, Compressor::Lz4),
            (3, 0, Compressor::None),
            (3, 1, Compressor::Lz4),
            (3, 0b101, Compressor::Deflate),
            (3, 0b1000, Compressor::Zstd),
            (3, 0x8000, Compressor::Unknown(15)),
        ] {
            assert_eq!(compressor(incompat, bits), expected, "{incompat} {bits}");
        }
    }

    #[test]
    fn largest_48_bit_size_does_not_overflow() {
        let mut image = sample();
        image[1024 + 12] = 16;
        image[1024 + 14..1024 + 16].fill(0xff);
        image[1024 + 36..1024 + 40].fill(0xff);
        image[1024 + 80] = 0x80;
        assert_eq!(parse(&image).unwrap().size, Some(((1 << 48) - 1) << 16));
        image[1024 + 12] = 17;
        assert_eq!(parse(&image), None);
    }
}
