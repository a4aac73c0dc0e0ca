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
const TYPE_BITMAP: u8 = 0x81;
const TYPE_FILE: u8 = 0x85;
const TYPE_STREAM: u8 = 0xc0;
/// Set in the type of an entry that is in use.
const IN_USE: u8 = 0x80;
/// Bytes of the bitmap that are looked at by [`allocation`].
const MAX_BITMAP: u64 = 1 << 20;
const TYPE_LABEL: u8 = 0x83;
const VOLUME_DIRTY: u16 = 0x2;
/// What every system sets where a file is written to, and a backup program clears.
const ATTRIBUTE_ARCHIVE: u8 = 0x20;

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
    let mut label = None;
    walk(source, geometry, |entry| {
        let found = entry[0] == TYPE_LABEL;
        if found {
            label = entry_label(entry);
        }
        found
    })?;
    Ok(label)
}

/// Shows the entries of the root directory, until there are no more or one of them is enough.
fn walk<R: Read + Seek>(
    source: &mut Source<R>,
    geometry: &Geometry,
    mut enough: impl FnMut(&[u8; ENTRY]) -> bool,
) -> Result<(), Error> {
    let mut cluster = geometry.root;
    let mut budget = MAX_DIR;
    for _ in 0..MAX_CLUSTERS {
        let Some(offset) = geometry.offset(cluster) else { break };
        let len = usize::try_from(geometry.cluster).unwrap_or(MAX_DIR).min(budget);
        let entries = source.read("the exFAT root directory", offset, len)?;
        for entry in entries.as_chunks::<ENTRY>().0 {
            if entry[0] == TYPE_END || enough(entry) {
                return Ok(());
            }
        }
        budget -= len;
        if budget == 0 {
            break;
        }
        let next = geometry.fat + u64::from(cluster) * 4;
        let Some(number) = source.read("the exFAT table", next, 4)?.le32(0) else { break };
        cluster = number;
    }
    Ok(())
}

/// What whoever writes to it changes: the bitmap of clusters, and the root directory without times. Empty files are left out, which
/// take no room and come and go while a file is made.
pub(super) fn allocation<R: Read + Seek>(reader: &mut R) -> Result<Option<Vec<u8>>, Error> {
    let mut source = Source::new(reader);
    let Some((geometry, _)) = parse(&source.head) else { return Ok(None) };
    let (mut kept, mut file, mut bitmap) = (Vec::new(), Vec::new(), None);
    walk(&mut source, &geometry, |entry| {
        match entry[0] {
            // Names of a set whose first entry is gone are nobody's.
            kind if kind & IN_USE == 0 => file.clear(),
            // How many entries follow, and attributes; a checksum and times lie between and behind.
            TYPE_FILE => file = [&entry[..2], &[entry[4] & !ATTRIBUTE_ARCHIVE, entry[5]]].concat(),
            // Valid length and checksum of the set change while a file is written.
            TYPE_STREAM if entry[24..] == [0; 8] => file.clear(),
            TYPE_STREAM => kept.extend([&file, &entry[..8], &entry[20..]].concat()),
            // The names of an empty file.
            kind if kind & 0x40 != 0 && file.is_empty() => {}
            kind => {
                if kind == TYPE_BITMAP {
                    bitmap = bitmap.or(entry.le32(20).zip(entry.le64(24)));
                }
                kept.extend(entry);
            }
        }
        false
    })?;
    if let Some((offset, length)) = bitmap.and_then(|(cluster, length)| Some((geometry.offset(cluster)?, length))) {
        let length = usize::try_from(length.min(MAX_BITMAP)).unwrap_or_default();
        kept.extend(source.read("the exFAT bitmap", offset, length)?);
    }
    Ok(Some(kept))
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

    /// A file of one cluster is in the root directory, behind the label, with these bytes of its entries changed.
    fn allocation_with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut image = sample();
        let file = 20 * 512 + ENTRY;
        image[file..file + 6].copy_from_slice(&[TYPE_FILE, 2, 0, 0, ATTRIBUTE_ARCHIVE, 0]);
        image[file + 32..file + 36].copy_from_slice(&[TYPE_STREAM, 3, 0, 1]);
        image[file + 52] = 5;
        image[file + 56] = 100;
        image[file + 64..file + 68].copy_from_slice(&[0xc1, 0, b'x', 0]);
        for (at, value) in changes {
            image[file + at] = *value;
        }
        allocation(&mut Cursor::new(image)).unwrap().unwrap()
    }

    /// What we do to a file that has all its room leaves it as it is, what others do does not.
    #[test]
    fn f3_times_and_the_archive_bit_are_no_part_of_what_others_change() {
        let known = allocation_with(&[]);
        // A checksum, the archive bit, times, and how much of it is valid.
        for same in [(2, 7), (4, 0), (8, 7), (12, 7), (16, 7), (22, 7), (40, 7)] {
            assert_eq!(allocation_with(&[same]), known, "{same:?}");
        }
        // Hidden, another hash of the name, place, length, name; another kind of entry behind it.
        for other in [(4, 0x22), (36, 1), (52, 6), (56, 101), (66, b'y'), (96, 0x83)] {
            assert_ne!(allocation_with(&[other]), known, "{other:?}");
        }
    }
}
