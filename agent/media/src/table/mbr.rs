//! The master boot record: one sector, so one write is the whole change.

use super::{Addition, Claim, Disk, Gap, LINUX_MBR, Shown, TableError, Write};
use crate::format::bytes::Fields;

/// The MBR counts in these sectors.
pub(super) const SECTOR: usize = 512;
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
const TYPE_PROTECTIVE: u8 = 0xee;
/// "Beyond what cylinders can say": what partitioning programs write today.
const NO_CYLINDERS: [u8; 3] = [0xfe, 0xff, 0xff];

/// Whether the sector holds a partition table: the signature, and flags that tables have.
pub(super) fn is_record(sector: &[u8]) -> bool {
    sector.has(510, &[0x55, 0xaa])
        && entries(sector).all(|entry| matches!(entry.first(), Some(0 | 0x80)))
        && entries(sector).any(|entry| !is_free(entry))
}

/// Whether it guards a GPT, alone or beside other entries.
pub(super) fn is_protective(sector: &[u8]) -> bool {
    entries(sector).any(|entry| kind(entry) == TYPE_PROTECTIVE && entry.le32(8) == Some(1))
}

/// Whether it has an entry of the guard's type, wherever that begins: some programs take that for a guard.
pub(super) fn has_guard(sector: &[u8]) -> bool {
    entries(sector).any(|entry| kind(entry) == TYPE_PROTECTIVE)
}

/// Each entry that is in use. The guard of a valid GPT, which begins behind this sector, is none; any other entry of that type
/// covers what it says. `unit` is what it counts in: bytes per logical sector, as the kernel reads it.
pub(super) fn taken(sector: &[u8], unit: u32, behind_is_gpt: bool) -> Vec<Claim> {
    let is_guard = |entry: &[u8]| behind_is_gpt && kind(entry) == TYPE_PROTECTIVE && entry.le32(8) == Some(1);
    let used = entries(sector).filter(|entry| !is_free(entry) && !is_guard(entry));
    used.filter_map(|entry| {
        let start = u64::from(entry.le32(8)?) * u64::from(unit);
        Some(Claim { start, end: start + u64::from(entry.le32(12)?) * u64::from(unit) })
    })
    .collect()
}

/// The gap, see [`Disk::gap`].
pub(super) fn gap(disk: &Disk, sector: &[u8], taken: Vec<Claim>, shown: &[Shown]) -> Result<Gap, TableError> {
    if disk.sector as usize != SECTOR {
        return Err(TableError::OtherSectors(disk.sector));
    }
    let used = |(entry, number)| !is_free(entry) || shown.iter().any(|part| part.number == number);
    let used: Vec<bool> = entries(sector).zip(1..).map(used).collect();
    let index = free_entry(&used).ok_or(TableError::Full)?;
    // What 32 bits of sectors can reach.
    let end = disk.size.min((1 << 32) * SECTOR as u64);
    disk.largest_gap(index as u32 + 1, super::ALIGNMENT, end, taken)
}

/// The entry behind the last used one, so that the numbers grow with the places; else any that is free.
pub(super) fn free_entry(used: &[bool]) -> Option<usize> {
    let next = used.iter().rposition(|used| *used).map_or(0, |last| last + 1);
    if next < used.len() { Some(next) } else { used.iter().position(|used| !used) }
}

pub(super) fn addition(mut sector: Vec<u8>, gap: Gap) -> Addition {
    let at = ENTRIES + (gap.number as usize - 1) * ENTRY;
    let sectors = |bytes: u64| u32::try_from(bytes / SECTOR as u64).unwrap_or(u32::MAX).to_le_bytes();
    let mut entry = [0; ENTRY];
    entry[1..4].copy_from_slice(&NO_CYLINDERS);
    entry[4] = LINUX_MBR;
    entry[5..8].copy_from_slice(&NO_CYLINDERS);
    entry[8..12].copy_from_slice(&sectors(gap.start));
    entry[12..].copy_from_slice(&sectors(gap.size));
    sector[at..at + ENTRY].copy_from_slice(&entry);
    Addition { gap, writes: vec![Write { what: "the MBR entry", offset: 0, bytes: sector }] }
}

fn entries(sector: &[u8]) -> impl Iterator<Item = &[u8]> {
    sector.get(ENTRIES..ENTRIES + 4 * ENTRY).unwrap_or_default().chunks(ENTRY)
}

fn kind(entry: &[u8]) -> u8 {
    entry.u8(4).unwrap_or_default()
}

/// An isohybrid entry may have type 0 and still cover the image.
fn is_free(entry: &[u8]) -> bool {
    kind(entry) == 0 && entry.le32(12).unwrap_or_default() == 0
}
