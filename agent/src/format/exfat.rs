//! exFAT: boot sector at byte 0, the label is an entry of the root directory.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::uuid::serial32;
use super::{Error, Kind, Superblock, text};

/// Bytes of the root directory that are searched for the label. It is the first entry that mkfs writes.
const MAX_DIR: usize = 64 * 1024;
/// Clusters of the root directory that are visited.
const MAX_CLUSTERS: usize = 64;
const ENTRY: usize = 32;
const TYPE_END: u8 = 0;
const TYPE_LABEL: u8 = 0x83;
const VOLUME_DIRTY: u16 = 0x2;

/// Where things are, in bytes.
struct Geometry {
    sector: u64,
    cluster: u64,
    fat: u64,
    heap: u64,
    clusters: u32,
    root: u32,
}

pub(super) fn probe<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let Some((geometry, superblock)) = parse(&source.head) else {
        return Ok(None);
    };
    Ok(Some(Superblock { label: label(source, &geometry)?, ..superblock }))
}

fn parse(head: &[u8]) -> Option<(Geometry, Superblock)> {
    if !head.has(3, b"EXFAT   ") || !head.has(510, &[0x55, 0xaa]) {
        return None;
    }
    let (sector_bits, cluster_bits) = (head.u8(108)?, head.u8(109)?);
    // The specification's limits: sectors of 512 to 4096 bytes, clusters of at most 32 MiB.
    if !(9..=12).contains(&sector_bits) || cluster_bits > 25 - sector_bits {
        return None;
    }
    let sector = 1u64 << sector_bits;
    let geometry = Geometry {
        sector,
        cluster: sector << cluster_bits,
        fat: u64::from(head.le32(80)?) * sector,
        heap: u64::from(head.le32(88)?) * sector,
        clusters: head.le32(92)?,
        root: head.le32(96)?,
    };
    let superblock = Superblock {
        uuid: serial32(head.le32(100)?),
        size: head.le64(72)?.checked_mul(sector),
        block_size: u32::try_from(geometry.sector).ok(),
        dirty: head.le16(106)? & VOLUME_DIRTY != 0,
        ..Superblock::new(Kind::Exfat)
    };
    Some((geometry, superblock))
}

impl Geometry {
    /// Byte offset of a cluster; `None` for numbers that are not clusters.
    fn offset(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|i| *i < self.clusters)?;
        u64::from(index).checked_mul(self.cluster)?.checked_add(self.heap)
    }
}

fn label<R: Read + Seek>(source: &mut Source<R>, geometry: &Geometry) -> Result<Option<String>, Error> {
    let mut cluster = geometry.root;
    let mut budget = MAX_DIR;
    for _ in 0..MAX_CLUSTERS {
        let Some(offset) = geometry.offset(cluster) else {
            return Ok(None);
        };
        let len = usize::try_from(geometry.cluster).unwrap_or(MAX_DIR).min(budget);
        let entries = source.read("the exFAT root directory", offset, len)?;
        for entry in entries.as_chunks::<ENTRY>().0 {
            match entry.u8(0) {
                Some(TYPE_LABEL) => return Ok(entry_label(entry)),
                Some(TYPE_END) => return Ok(None),
                _ => {}
            }
        }
        budget -= len;
        if budget == 0 {
            return Ok(None);
        }
        let next = geometry.fat + u64::from(cluster) * 4;
        let Some(number) = source.read("the exFAT table", next, 4)?.le32(0) else {
            return Ok(None);
        };
        cluster = number;
    }
    Ok(None)
}

fn entry_label(entry: &[u8]) -> Option<String> {
    let count = usize::from(entry.u8(1)?).min(11);
    text::utf16(text::units_le(entry.span(2, count * 2)?))
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 16_384];
    image[3..11].copy_from_slice(b"EXFAT   ");
    image[72..80].copy_from_slice(&32u64.to_le_bytes());
    image[80] = 8;
    image[88] = 16;
    image[92] = 4;
    image[96] = 2;
    image[100..104].copy_from_slice(&0x1234_abcdu32.to_le_bytes());
    image[108] = 9;
    image[109] = 1;
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    // The root directory: a full first cluster, then cluster 4 with the label.
    image[8 * 512 + 8] = 4;
    for entry in image[16 * 512..18 * 512].chunks_mut(ENTRY) {
        entry[0] = 0x81;
    }
    image[20 * 512..20 * 512 + 8].copy_from_slice(&[TYPE_LABEL, 3, b'U', 0, b'S', 0, b'B', 0]);
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn found(image: Vec<u8>) -> Option<Superblock> {
        let mut reader = Cursor::new(image);
        probe(&mut Source::new(&mut reader)).unwrap()
    }

    #[test]
    fn label_in_the_second_cluster() {
        let superblock = found(sample()).unwrap();
        assert_eq!(superblock.label.as_deref(), Some("USB"));
        assert_eq!(superblock.uuid.as_deref(), Some("1234-ABCD"));
        assert_eq!(superblock.size, Some(16_384));
    }

    #[test]
    fn cluster_chain_in_a_circle_ends() {
        let mut image = sample();
        image[8 * 512 + 8] = 2;
        assert_eq!(found(image).unwrap().label, None);
    }

    #[test]
    fn hostile_geometry() {
        for (at, value, recognised) in [(108, 0, false), (108, 13, false), (109, 17, false), (96, 255, true)] {
            let mut image = sample();
            image[at] = value;
            assert_eq!(found(image).is_some(), recognised, "{at} {value}");
        }
    }
}
