//! ext2, ext3 and ext4: superblock at byte 1024, little-endian. Told apart by features, as blkid does.

use super::bytes::Fields;
use super::text::label;
use super::uuid::uuid;
use super::{Kind, Superblock};

const COMPAT_HAS_JOURNAL: u32 = 0x4;
const INCOMPAT_FILETYPE: u32 = 0x2;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
/// sparse_super, large_file, btree_dir: all that ext2 and ext3 know.
const OLD_RO_COMPAT: u32 = 0x7;
const STATE_CLEAN: u16 = 1;
/// The kernel has met errors since the last check.
const STATE_ERRORS: u16 = 2;

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    let sb = head.span(1024, 1024)?;
    if !sb.has(0x38, &[0x53, 0xef]) {
        return None;
    }
    let log_block_size = sb.le32(0x18)?;
    if log_block_size > 6 {
        return None;
    }
    let features = Features::of(sb)?;
    let block_size = 1024 << log_block_size;
    Some(Superblock {
        label: label(sb.span(0x78, 16)?),
        uuid: uuid(&sb.array(0x68)?),
        size: blocks(sb, &features)?.checked_mul(u64::from(block_size)),
        block_size: Some(block_size),
        dirty: features.incompat & INCOMPAT_RECOVER != 0
            || sb.le16(0x3a)? & (STATE_CLEAN | STATE_ERRORS) != STATE_CLEAN,
        ..Superblock::new(features.kind())
    })
}

struct Features {
    compat: u32,
    incompat: u32,
    ro_compat: u32,
}

impl Features {
    fn of(sb: &[u8]) -> Option<Self> {
        Some(Self { compat: sb.le32(0x5c)?, incompat: sb.le32(0x60)?, ro_compat: sb.le32(0x64)? })
    }

    fn kind(&self) -> Kind {
        let old = INCOMPAT_FILETYPE | INCOMPAT_META_BG;
        let journal = self.compat & COMPAT_HAS_JOURNAL != 0;
        let recover = if journal { INCOMPAT_RECOVER } else { 0 };
        if self.incompat & INCOMPAT_JOURNAL_DEV != 0 {
            Kind::Jbd
        } else if self.ro_compat & !OLD_RO_COMPAT != 0 || self.incompat & !(old | recover) != 0 {
            Kind::Ext4
        } else if journal {
            Kind::Ext3
        } else {
            Kind::Ext2
        }
    }
}

fn blocks(sb: &[u8], features: &Features) -> Option<u64> {
    let low = u64::from(sb.le32(0x4)?);
    let high = u64::from(sb.le32(0x150)?);
    Some(if features.incompat & INCOMPAT_64BIT != 0 { high << 32 | low } else { low })
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 8192];
    let sb = &mut image[1024..];
    sb[0x4..0x8].copy_from_slice(&8u32.to_le_bytes());
    sb[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
    sb[0x3a] = 1;
    sb[0x5c] = 4;
    sb[0x60..0x62].copy_from_slice(&[0x42, 0]);
    sb[0x68..0x78].copy_from_slice(&[0x11; 16]);
    sb[0x78..0x7f].copy_from_slice(b"my root");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.kind, Kind::Ext4);
        assert_eq!(found.label.as_deref(), Some("my root"));
        assert_eq!(found.size, Some(8192));
        assert!(!found.dirty);
    }

    #[test]
    fn told_apart_by_features() {
        for (compat, incompat, ro_compat, kind) in [
            (0, 0, 0, Kind::Ext2),
            (0x38, 0x2, 0x7, Kind::Ext2),
            (0x4, 0x2, 0x1, Kind::Ext3),
            (0x4, 0x6, 0x1, Kind::Ext3),
            (0x4, 0x42, 0x1, Kind::Ext4),
            (0x4, 0x2, 0x10, Kind::Ext4),
            (0, 0x42, 0, Kind::Ext4),
            (0, 0x8, 0, Kind::Jbd),
        ] {
            let features = Features { compat, incompat, ro_compat };
            assert_eq!(features.kind(), kind, "{compat:x} {incompat:x} {ro_compat:x}");
        }
    }

    #[test]
    fn needs_recovery() {
        for (incompat, state, dirty) in [(0x42, 1, false), (0x46, 1, true), (0x42, 0, true), (0x42, 3, true)] {
            let mut image = sample();
            image[1024 + 0x60] = incompat;
            image[1024 + 0x3a] = state;
            assert_eq!(parse(&image).unwrap().dirty, dirty, "{incompat:x} {state}");
        }
    }

    #[test]
    fn hostile_sizes() {
        let mut image = sample();
        image[1024 + 0x18] = 0xff;
        assert_eq!(parse(&image), None);
        image[1024 + 0x18] = 6;
        image[1024 + 0x4..1024 + 0x8].fill(0xff);
        image[1024 + 0x150..1024 + 0x154].fill(0xff);
        image[1024 + 0x60] |= 0x80;
        assert_eq!(parse(&image).unwrap().size, None);
    }
}
