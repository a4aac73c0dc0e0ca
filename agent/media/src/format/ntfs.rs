//! NTFS: boot sector at byte 0, the label is an attribute of the file `$Volume`.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::{Error, Kind, Superblock, text};

/// Largest record of the master file table that is read; the kernel's limit too.
const MAX_RECORD: u64 = 4096;
/// `$Volume` is the fourth record.
const VOLUME_RECORD: u64 = 3;
const SECTOR: usize = 512;
const ATTRIBUTE_NAME: u32 = 0x60;
const ATTRIBUTE_INFORMATION: u32 = 0x70;
const ATTRIBUTE_END: u32 = u32::MAX;
const VOLUME_DIRTY: u16 = 0x1;

/// What the boot sector says about the master file table.
struct Table {
    offset: u64,
    record: u64,
}

pub(super) fn probe<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let Some((table, mut superblock)) = parse(&source.head) else {
        return Ok(None);
    };
    if let Some(record) = volume_record(source, &table)? {
        superblock.label = name(&record);
        superblock.dirty = dirty(&record);
    }
    Ok(Some(superblock))
}

fn parse(head: &[u8]) -> Option<(Table, Superblock)> {
    if !head.has(3, b"NTFS    ") || !head.has(510, &[0x55, 0xaa]) {
        return None;
    }
    let sector = u64::from(head.le16(0x0b)?);
    if !sector.is_power_of_two() || !(256..=4096).contains(&sector) {
        return None;
    }
    let cluster = sector.checked_mul(per_cluster(head.u8(0x0d)?)?)?;
    let superblock = Superblock {
        uuid: head.le64(0x48).map(|serial| format!("{serial:016X}")),
        size: head.le64(0x28)?.checked_mul(sector),
        block_size: u32::try_from(sector).ok(),
        ..Superblock::new(Kind::Ntfs)
    };
    let table = Table { offset: head.le64(0x30)?.checked_mul(cluster)?, record: record_size(head.u8(0x40)?, cluster)? };
    Some((table, superblock))
}

/// Sectors per cluster: a power of two, or above 128 the negative of its logarithm.
fn per_cluster(value: u8) -> Option<u64> {
    match value {
        0 => None,
        1..=128 => value.is_power_of_two().then_some(u64::from(value)),
        // Clusters have at most 2 MiB.
        129.. => Some(256 - u32::from(value)).filter(|bits| *bits <= 12).map(|bits| 1 << bits),
    }
}

/// Bytes per record: clusters, or as a negative number the logarithm of the bytes.
fn record_size(value: u8, cluster: u64) -> Option<u64> {
    let size =
        if value < 128 { u64::from(value).checked_mul(cluster)? } else { 1u64.checked_shl(256 - u32::from(value))? };
    (SECTOR as u64..=MAX_RECORD).contains(&size).then_some(size)
}

fn volume_record<R: Read + Seek>(source: &mut Source<R>, table: &Table) -> Result<Option<Vec<u8>>, Error> {
    let Some(offset) = table.offset.checked_add(VOLUME_RECORD * table.record) else {
        return Ok(None);
    };
    let len = table.record.min(MAX_RECORD) as usize;
    let mut record = source.read("the NTFS file $Volume", offset, len)?;
    let whole = record.has(0, b"FILE") && undo_fixups(&mut record).is_some();
    Ok(whole.then_some(record))
}

/// Each sector's last two bytes are kept in a table at the record's start; `None` if a sector was torn.
fn undo_fixups(record: &mut [u8]) -> Option<()> {
    let table = usize::from(record.le16(4)?);
    let count = usize::from(record.le16(6)?).min(record.len() / SECTOR + 1);
    let expected: [u8; 2] = record.array(table)?;
    for sector in 1..count {
        let original: [u8; 2] = record.array(table.checked_add(sector * 2)?)?;
        let end = sector * SECTOR;
        let place = record.get_mut(end - 2..end)?;
        if place != expected {
            return None;
        }
        place.copy_from_slice(&original);
    }
    Some(())
}

fn name(record: &[u8]) -> Option<String> {
    text::utf16(text::units_le(attribute(record, ATTRIBUTE_NAME)?))
}

fn dirty(record: &[u8]) -> bool {
    attribute(record, ATTRIBUTE_INFORMATION)
        .and_then(|value| value.le16(10))
        .is_some_and(|flags| flags & VOLUME_DIRTY != 0)
}

/// The value of a resident attribute. Each step moves on by at least 8 bytes of a record of at most [`MAX_RECORD`].
fn attribute(record: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut at = usize::from(record.le16(0x14)?);
    loop {
        let kind = record.le32(at)?;
        let len = usize::try_from(record.le32(at.checked_add(4)?)?).ok()?;
        if kind == ATTRIBUTE_END || len < 8 {
            return None;
        }
        if kind == wanted {
            let attribute = record.span(at, len)?;
            let resident = attribute.u8(8)? == 0;
            let value =
                attribute.span(usize::from(attribute.le16(0x14)?), usize::try_from(attribute.le32(0x10)?).ok()?);
            return value.filter(|_| resident);
        }
        at = at.checked_add(len)?;
    }
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 32_768];
    image[3..11].copy_from_slice(b"NTFS    ");
    image[0x0b..0x0d].copy_from_slice(&512u16.to_le_bytes());
    image[0x0d] = 8;
    image[0x28..0x30].copy_from_slice(&63u64.to_le_bytes());
    image[0x30] = 4;
    image[0x40] = 0xf6;
    image[0x48..0x50].copy_from_slice(&0x0123_4567_89ab_cdefu64.to_le_bytes());
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let record = &mut image[16_384 + 3 * 1024..16_384 + 4 * 1024];
    record[..4].copy_from_slice(b"FILE");
    record[4] = 0x30;
    record[6] = 3;
    record[0x14] = 0x38;
    for end in [512, 1024] {
        record[end - 2..end].copy_from_slice(&[7, 7]);
    }
    record[0x30..0x36].copy_from_slice(&[7, 7, 0, 0, 0, 0]);
    put_attribute(&mut record[0x38..], ATTRIBUTE_NAME, b"W\0i\0n\0 \0");
    let info = [0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 0, 0, 0, 0, 0];
    put_attribute(&mut record[0x58..], ATTRIBUTE_INFORMATION, &info);
    record[0x80..0x84].fill(0xff);
    image
}

#[cfg(test)]
fn put_attribute(at: &mut [u8], kind: u32, value: &[u8]) {
    at[..4].copy_from_slice(&kind.to_le_bytes());
    at[4] = 24 + value.len() as u8;
    at[0x10] = value.len() as u8;
    at[0x14] = 24;
    at[24..24 + value.len()].copy_from_slice(value);
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
    fn fields() {
        let superblock = found(sample()).unwrap();
        assert_eq!(superblock.label.as_deref(), Some("Win"));
        assert_eq!(superblock.uuid.as_deref(), Some("0123456789ABCDEF"));
        assert_eq!(superblock.size, Some(63 * 512));
        assert!(superblock.dirty);
    }

    #[test]
    fn a_torn_record_gives_no_label() {
        let mut image = sample();
        image[16_384 + 3 * 1024 + 510] = 0;
        assert_eq!(found(image).unwrap().label, None);
    }

    #[test]
    fn attributes_without_length_end() {
        let mut image = sample();
        image[16_384 + 3 * 1024 + 0x38] = 1;
        image[16_384 + 3 * 1024 + 0x38 + 4] = 0;
        assert_eq!(found(image).unwrap().label, None);
    }

    #[test]
    fn record_sizes() {
        for (value, cluster, expected) in [
            (0xf6, 4096, Some(1024)),
            (0xf4, 4096, Some(4096)),
            (1, 4096, Some(4096)),
            (0, 4096, None),
            (127, 1 << 40, None),
            (0x80, 512, None),
            (0xf3, 512, None),
        ] {
            assert_eq!(record_size(value, cluster), expected, "{value:x} {cluster}");
        }
    }
}
