//! Master boot record and the chain of extended boot records.

use std::io::{Read, Seek};

use super::{MAX_PARTITIONS, Partition, Table, TableKind};
use crate::format::Error;
use crate::format::bytes::{Fields, read_at};

/// Extended boot records that are followed; the kernel gives up at the same number.
pub const MAX_EXTENDED: usize = 100;
/// The MBR counts in sectors of 512 bytes; disks with larger sectors that use it are not known to exist as live media.
const SECTOR: u64 = 512;
const TYPE_PROTECTIVE: u8 = 0xee;

/// The four entries of a boot record.
pub(super) struct Record {
    disk_id: u32,
    entries: [Entry; 4],
}

#[derive(Clone, Copy)]
struct Entry {
    flag: u8,
    kind: u8,
    start: u32,
    sectors: u32,
}

impl Entry {
    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

impl Record {
    /// `None` without the 0x55aa signature, or with flags no partition table has: then it is only a boot sector.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        if !sector.has(510, &[0x55, 0xaa]) {
            return None;
        }
        let entry = |index: usize| {
            let bytes = sector.span(446 + index * 16, 16)?;
            Some(Entry { flag: bytes.u8(0)?, kind: bytes.u8(4)?, start: bytes.le32(8)?, sectors: bytes.le32(12)? })
        };
        let entries = [entry(0)?, entry(1)?, entry(2)?, entry(3)?];
        if entries.iter().any(|entry| !matches!(entry.flag, 0 | 0x80)) {
            return None;
        }
        Some(Self { disk_id: sector.le32(440)?, entries })
    }

    /// Whether it guards a GPT, alone or beside other partitions.
    pub(super) fn is_protective(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == TYPE_PROTECTIVE && entry.start == 1)
    }
}

/// The partitions of `record`; `None` if it has none.
///
/// # Errors
/// An extended boot record could not be read.
pub(super) fn table<R: Read + Seek>(reader: &mut R, record: &Record, size_bytes: u64) -> Result<Option<Table>, Error> {
    let mut partitions: Vec<Partition> = Vec::new();
    for (number, entry) in (1..).zip(record.entries) {
        if entry.sectors != 0 {
            partitions.push(partition(record.disk_id, number, u64::from(entry.start), entry));
        }
    }
    if partitions.is_empty() {
        return Ok(None);
    }
    let mut number = 5;
    for entry in record.entries.into_iter().filter(|e| e.is_extended() && e.sectors != 0) {
        let mut chain = Chain {
            disk_id: record.disk_id,
            base: u64::from(entry.start),
            end: u64::from(entry.start) + u64::from(entry.sectors),
            size_bytes,
        };
        chain.follow(reader, &mut number, &mut partitions)?;
    }
    Ok(Some(Table {
        kind: TableKind::Mbr,
        id: (record.disk_id != 0).then(|| format!("{:08x}", record.disk_id)),
        sector_size: SECTOR as u32,
        partitions,
    }))
}

/// One extended partition, in sectors.
struct Chain {
    disk_id: u32,
    base: u64,
    end: u64,
    size_bytes: u64,
}

impl Chain {
    fn follow<R: Read + Seek>(
        &mut self,
        reader: &mut R,
        number: &mut u32,
        partitions: &mut Vec<Partition>,
    ) -> Result<(), Error> {
        let mut at = self.base;
        for _ in 0..MAX_EXTENDED {
            // Sector numbers are sums of two 32-bit numbers, so bytes fit in 64 bits.
            if at * SECTOR >= self.size_bytes {
                return Ok(());
            }
            let sector = read_at(reader, "an extended boot record", at * SECTOR, 512)?;
            let Some(record) = Record::parse(&sector) else {
                return Ok(());
            };
            for (slot, entry) in record.entries.into_iter().enumerate() {
                if partitions.len() < MAX_PARTITIONS && self.is_logical(slot, at, entry) {
                    let start = at + u64::from(entry.start);
                    partitions.push(partition(self.disk_id, *number, start, entry));
                    *number += 1;
                }
            }
            let next = record.entries.into_iter().find(|entry| entry.is_extended() && entry.sectors != 0);
            match next {
                Some(entry) => at = self.base + u64::from(entry.start),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The first two slots hold a partition and the link; some programs leave garbage in the others.
    fn is_logical(&self, slot: usize, at: u64, entry: Entry) -> bool {
        let start = at + u64::from(entry.start);
        let inside = start >= self.base && start + u64::from(entry.sectors) <= self.end;
        entry.sectors != 0 && !entry.is_extended() && (slot < 2 || inside)
    }
}

fn partition(disk_id: u32, number: u32, start: u64, entry: Entry) -> Partition {
    Partition {
        number,
        start: start * SECTOR,
        size: u64::from(entry.sectors) * SECTOR,
        type_id: format!("0x{:02x}", entry.kind),
        uuid: (disk_id != 0).then(|| format!("{disk_id:08x}-{number:02x}")),
        name: None,
        attributes: 0,
        active: entry.flag == 0x80,
    }
}

#[cfg(test)]
pub(in crate::format) fn put_entry(
    image: &mut [u8],
    sector: usize,
    slot: usize,
    (flag, kind): (u8, u8),
    (start, sectors): (u32, u32),
) {
    let record = &mut image[sector * 512..(sector + 1) * 512];
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    let entry = &mut record[446 + slot * 16..446 + (slot + 1) * 16];
    entry[0] = flag;
    entry[4] = kind;
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
}

/// An isohybrid entry, an extended partition with two logical ones.
#[cfg(test)]
pub(in crate::format) fn sample() -> Vec<u8> {
    let mut image = vec![0; 64 * 512];
    image[440..444].copy_from_slice(&0x1a2b_3c4du32.to_le_bytes());
    put_entry(&mut image, 0, 0, (0x80, 0x00), (0, 8));
    put_entry(&mut image, 0, 1, (0, 0xef), (8, 8));
    put_entry(&mut image, 0, 3, (0, 0x05), (16, 40));
    put_entry(&mut image, 16, 0, (0, 0x83), (2, 6));
    put_entry(&mut image, 16, 1, (0, 0x05), (20, 10));
    put_entry(&mut image, 36, 0, (0, 0x82), (2, 4));
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::partition;
    use std::io::Cursor;

    fn read(image: Vec<u8>) -> Option<Table> {
        let size = image.len() as u64;
        partition::table(&mut Cursor::new(image), size).unwrap()
    }

    #[test]
    fn isohybrid_and_logical_partitions() {
        let table = read(sample()).unwrap();
        assert_eq!(table.kind, TableKind::Mbr);
        assert_eq!(table.id.as_deref(), Some("1a2b3c4d"));
        let rows: Vec<_> =
            table.partitions.iter().map(|p| (p.number, p.start / 512, p.size / 512, p.type_id.as_str())).collect();
        assert_eq!(
            rows,
            [(1, 0, 8, "0x00"), (2, 8, 8, "0xef"), (4, 16, 40, "0x05"), (5, 18, 6, "0x83"), (6, 38, 4, "0x82"),]
        );
        assert!(table.partitions[0].active);
        assert_eq!(table.partitions[3].uuid.as_deref(), Some("1a2b3c4d-05"));
    }

    #[test]
    fn extended_chain_in_a_circle_ends() {
        let mut image = sample();
        put_entry(&mut image, 36, 1, (0, 0x05), (0, 10));
        let table = read(image).unwrap();
        assert!(table.partitions.len() <= 3 + MAX_EXTENDED);
    }

    #[test]
    fn boot_sectors_are_no_tables() {
        let mut image = sample();
        image[446] = 0x12;
        assert_eq!(read(image), None);
        assert_eq!(read(vec![0; 512]), None);
        assert_eq!(read(Vec::new()), None);
    }
}
