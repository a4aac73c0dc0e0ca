//! GUID partition table: both headers, both checksums.

use std::io::{Read, Seek};

use super::{MAX_PARTITIONS, Partition, Table, TableKind};
use crate::format::bytes::{Fields, read_at};
use crate::format::crc::{Crc32, crc32};
use crate::format::uuid::guid;
use crate::format::{Error, text};

/// Entries an array may have: 512 KiB, read in pieces of [`CHUNK`].
pub const MAX_ENTRIES: u32 = 4096;
/// The only entry size the kernel accepts.
const ENTRY: usize = 128;
/// Bytes of the array read at a time.
const CHUNK: usize = 16 * 1024;
/// Disks count in sectors of 512 or 4096 bytes.
const SECTORS: [u32; 2] = [512, 4096];
const HEADER_MIN: usize = 92;
const ATTRIBUTE_LEGACY_BOOT: u64 = 1 << 2;

/// A header and its entries, checked.
struct Backup {
    disk: Option<String>,
    alternate: u64,
    partitions: Vec<Partition>,
}

/// The table, from its primary copy or, when that is damaged, from the one at the end.
///
/// # Errors
/// The disk could not be read.
pub(super) fn table<R: Read + Seek>(reader: &mut R, size_bytes: u64) -> Result<Option<Table>, Error> {
    for sector in SECTORS {
        let Some(last) = (size_bytes / u64::from(sector)).checked_sub(1) else {
            continue;
        };
        let primary = copy(reader, sector, 1, last)?;
        // An image written to a larger disk has its copy where the image ended.
        let place = primary.as_ref().map_or(last, |copy| copy.alternate);
        let backup = copy(reader, sector, place, last)?;
        let kind = TableKind::Gpt { primary_ok: primary.is_some(), backup_ok: backup.is_some() };
        if let Some(copy) = primary.or(backup) {
            return Ok(Some(Table { kind, id: copy.disk, sector_size: sector, partitions: copy.partitions }));
        }
    }
    Ok(None)
}

/// The copy in the last sectors of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCopy {
    /// Its disk GUID in lower case: whose copy it is.
    pub disk: Option<String>,
    /// Its partitions.
    pub partitions: Vec<Partition>,
}

/// Reads it; `None` if there is none with good checksums.
///
/// # Errors
/// The disk could not be read.
pub fn copy_at_end<R: Read + Seek>(reader: &mut R, sector: u32, size_bytes: u64) -> Result<Option<EndCopy>, Error> {
    let Some(last) = (size_bytes / u64::from(sector)).checked_sub(1) else { return Ok(None) };
    let copy = copy(reader, sector, last, last)?;
    Ok(copy.map(|Backup { disk, partitions, .. }| EndCopy { disk, partitions }))
}

/// Whether a disk begins with a GPT that counts in sectors of so many bytes, with good checksums.
///
/// # Errors
/// The disk could not be read.
pub fn is_at_begin<R: Read + Seek>(reader: &mut R, sector: u32, size_bytes: u64) -> Result<bool, Error> {
    let Some(last) = (size_bytes / u64::from(sector)).checked_sub(1) else { return Ok(false) };
    Ok(copy(reader, sector, 1, last)?.is_some())
}

/// Reads and checks the header at sector `lba` of a disk whose last sector is `last`.
fn copy<R: Read + Seek>(reader: &mut R, sector: u32, lba: u64, last: u64) -> Result<Option<Backup>, Error> {
    let Some(offset) = lba.checked_mul(u64::from(sector)).filter(|_| lba <= last) else {
        return Ok(None);
    };
    let bytes = read_at(reader, "a GPT header", offset, sector as usize)?;
    let Some(header) = Header::parse(&bytes, lba, last) else {
        return Ok(None);
    };
    let partitions = header.partitions(reader, u64::from(sector), last)?;
    Ok(partitions.map(|partitions| Backup { disk: header.disk, alternate: header.alternate, partitions }))
}

struct Header {
    disk: Option<String>,
    alternate: u64,
    entries: u64,
    count: u32,
    crc: u32,
}

impl Header {
    fn parse(sector: &[u8], lba: u64, last: u64) -> Option<Self> {
        let size = usize::try_from(sector.le32(12)?).ok()?;
        if !sector.has(0, b"EFI PART") || !(HEADER_MIN..=sector.len()).contains(&size) {
            return None;
        }
        let mut checked = sector.get(..size)?.to_vec();
        checked.get_mut(16..20)?.fill(0);
        let (first_usable, last_usable) = (sector.le64(40)?, sector.le64(48)?);
        let count = sector.le32(80)?;
        let sound = crc32(&checked) == sector.le32(16)?
            && sector.le64(24)? == lba
            && first_usable <= last_usable
            && last_usable <= last
            && sector.le32(84)? == ENTRY as u32
            && count <= MAX_ENTRIES;
        sound.then_some(Self {
            disk: guid(&sector.array(56)?),
            alternate: sector.le64(32)?,
            entries: sector.le64(72)?,
            count,
            crc: sector.le32(88)?,
        })
    }

    /// The entries in use, `None` if their checksum is wrong or they are not there.
    fn partitions<R: Read + Seek>(
        &self,
        reader: &mut R,
        sector: u64,
        last: u64,
    ) -> Result<Option<Vec<Partition>>, Error> {
        let mut partitions = Vec::new();
        let mut crc = Crc32::default();
        let Some(mut offset) = self.entries.checked_mul(sector) else {
            return Ok(None);
        };
        let mut left = self.count as usize * ENTRY;
        let mut number = 0;
        while left > 0 {
            let want = left.min(CHUNK);
            let bytes = read_at(reader, "the GPT entries", offset, want)?;
            if bytes.len() < want {
                return Ok(None);
            }
            crc.update(&bytes);
            for entry in bytes.as_chunks::<ENTRY>().0 {
                number += 1;
                if partitions.len() < MAX_PARTITIONS {
                    partitions.extend(partition(entry, number, sector, last));
                }
            }
            left -= want;
            offset = offset.saturating_add(want as u64);
        }
        Ok((crc.finish() == self.crc).then_some(partitions))
    }
}

/// `None` for an unused entry, and for one the kernel would refuse too.
fn partition(entry: &[u8], number: u32, sector: u64, last: u64) -> Option<Partition> {
    let type_id = guid(&entry.array(0)?)?;
    let (first, end) = (entry.le64(32)?, entry.le64(40)?);
    if first > end || end > last {
        return None;
    }
    let attributes = entry.le64(48)?;
    Some(Partition {
        number,
        // `end` is a sector of the disk, so both products fit.
        start: first * sector,
        size: (end - first + 1) * sector,
        type_id,
        uuid: guid(&entry.array(16)?),
        name: text::utf16(text::units_le(entry.span(56, 72)?)),
        attributes,
        active: attributes & ATTRIBUTE_LEGACY_BOOT != 0,
    })
}

/// Two partitions on 128 sectors, both copies good.
#[cfg(test)]
pub(in crate::format) fn sample() -> Vec<u8> {
    tests::sample_of(512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::partition;
    use std::io::Cursor;

    pub(super) fn sample_of(sector: usize) -> Vec<u8> {
        let mut image = vec![0; 128 * sector];
        partition::mbr::put_entry(&mut image, 0, 0, (0, 0xee), (1, 127));
        let rows = [(40u64, 59u64, "Live"), (60, 99, "ESP")];
        let mut entries = vec![0; 4 * ENTRY];
        for ((entry, (first, last, name)), kind) in entries.chunks_mut(ENTRY).zip(rows).zip(0xa0..) {
            entry[..16].fill(kind);
            entry[16..32].copy_from_slice(&std::array::from_fn::<u8, 16, _>(|i| i as u8 + 1));
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            entry[48] = 4;
            for (i, byte) in name.bytes().enumerate() {
                entry[56 + i * 2] = byte;
            }
        }
        for (lba, alternate, place) in [(1, 127, 2), (127, 1, 126)] {
            let at = place as usize * sector;
            image[at..at + entries.len()].copy_from_slice(&entries);
            let header = &mut image[lba as usize * sector..][..HEADER_MIN];
            put_header(header, [lba, alternate, place], &entries);
        }
        image
    }

    fn put_header(header: &mut [u8], [lba, alternate, place]: [u64; 3], entries: &[u8]) {
        header[..8].copy_from_slice(b"EFI PART");
        header[8..16].copy_from_slice(&[0, 0, 1, 0, HEADER_MIN as u8, 0, 0, 0]);
        let fields = [lba, alternate, 40, 120];
        for (field, at) in fields.into_iter().zip([24, 32, 40, 48]) {
            header[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        header[56..72].fill(0x77);
        header[72..80].copy_from_slice(&place.to_le_bytes());
        header[80] = (entries.len() / ENTRY) as u8;
        header[84] = ENTRY as u8;
        header[88..92].copy_from_slice(&crc32(entries).to_le_bytes());
        let crc = crc32(header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn sectors_of_4096_bytes() {
        let table = read(&sample_of(4096));
        assert_eq!(table.sector_size, 4096);
        assert_eq!(table.partitions[1].start, 60 * 4096);
        let expected = TableKind::Gpt { primary_ok: true, backup_ok: true };
        assert_eq!(table.kind, expected);
    }

    fn read(image: &[u8]) -> Table {
        let size = image.len() as u64;
        partition::table(&mut Cursor::new(image), size).unwrap().unwrap()
    }

    #[test]
    fn fields() {
        let table = read(&sample());
        assert_eq!(table.id.as_deref(), Some("77777777-7777-7777-7777-777777777777"));
        let first = &table.partitions[0];
        assert_eq!((first.number, first.start, first.size), (1, 40 * 512, 20 * 512));
        assert_eq!(first.uuid.as_deref(), Some("04030201-0605-0807-090a-0b0c0d0e0f10"));
        assert_eq!(first.name.as_deref(), Some("Live"));
        assert!(first.active);
        assert_eq!(table.partitions.len(), 2);
    }

    #[test]
    fn both_copies_are_reported() {
        for (damage, primary_ok, backup_ok) in [
            (&[][..], true, true),
            (&[512 + 60], false, true),
            (&[1024 + 60], false, true),
            (&[127 * 512 + 60], true, false),
            (&[126 * 512], true, false),
        ] {
            let mut image = sample();
            for at in damage {
                image[*at] ^= 1;
            }
            let table = read(&image);
            let expected = TableKind::Gpt { primary_ok, backup_ok };
            assert_eq!(table.kind, expected, "{damage:?}");
            assert_eq!(table.partitions.len(), 2, "{damage:?}");
        }
    }

    #[test]
    fn two_damaged_copies_leave_the_protective_record() {
        let mut image = sample();
        image[512] = 0;
        image[127 * 512] = 0;
        let table = read(&image);
        assert_eq!(table.kind, TableKind::Mbr);
        assert_eq!(table.partitions[0].type_id, "0xee");
    }

    #[test]
    fn without_protective_record_it_does_not_count() {
        let mut image = sample();
        image[450] = 0x83;
        assert_eq!(read(&image).kind, TableKind::Mbr);
    }

    #[test]
    fn a_larger_disk_keeps_the_copy_where_the_image_ended() {
        let mut image = sample();
        image.resize(400 * 512, 0);
        let expected = TableKind::Gpt { primary_ok: true, backup_ok: true };
        assert_eq!(read(&image).kind, expected);
    }
}
