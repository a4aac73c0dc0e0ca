//! The GUID partition table: a header and entries at the start, copies of both at the end.

use std::io::{Read, Seek};

use super::{ALIGNMENT, Addition, Claim, Disk, Gap, LINUX_GUID, PARTITION_NAME, Shown, TableError, Write, forge, mbr};
use crate::format::bytes::{Fields, read_at};
use crate::format::crc::crc32;
use crate::format::partition::Partition;
use crate::format::partition::gpt::copy_at_end;
use crate::format::uuid::guid;

const ENTRY: usize = 128;
/// Where the UUID stands in an entry, and where in it the four bytes that keep the checksum: in its last field, which
/// has no bits with a meaning.
const UUID: usize = 16;
const FORGED: usize = UUID + 12;
/// The kernel numbers no more than 256 partitions of a disk.
const MAX_NUMBER: usize = 256;
/// Bytes behind the last partition in which the copy that came with the image is looked for: ISO writers pad by less.
const SEARCHED: usize = 2 << 20;
const MAX_COUNT: u32 = crate::format::partition::gpt::MAX_ENTRIES;

/// The primary header and its entries, both with a good checksum.
pub(super) struct Primary {
    header: Vec<u8>,
    entries: Vec<u8>,
    entries_lba: u64,
    alternate: u64,
    first_usable: u64,
    last_usable: u64,
    sector: u64,
    last: u64,
}

impl Primary {
    /// Reads and checks it. A damaged one is left alone, also when the copy is good: the kernel shows no partitions
    /// then, and a repair is the owner's business.
    pub(super) fn read<R: Read + Seek>(disk: &Disk, reader: &mut R) -> Result<Self, TableError> {
        match Self::found(disk, reader)? {
            Some(table) => Ok(table),
            None => Err(elsewhere(disk, reader)?),
        }
    }

    /// As [`Primary::read`]; `None` if nothing there looks like one. The kernel looks only behind a guard, or when `gpt` is on
    /// its command line; other systems look in any case.
    pub(super) fn found<R: Read + Seek>(disk: &Disk, reader: &mut R) -> Result<Option<Self>, TableError> {
        let sector = u64::from(disk.sector);
        let header = read_at(reader, "the GPT header", sector, disk.sector as usize)?;
        if !header.has(0, b"EFI PART") {
            return Ok(None);
        }
        let last = (disk.size / sector).checked_sub(1).ok_or(TableError::NoTable)?;
        let mut table = Self::parse(header, sector, last).ok_or(TableError::damaged("its header is wrong"))?;
        if table.alternate > last || table.last_usable > last {
            return Err(TableError::damaged("it is made for a larger disk"));
        }
        let count = table.header.le32(80).unwrap_or_default();
        table.entries = read_at(reader, "the GPT entries", table.entries_lba * sector, table.array_bytes(count))?;
        let used = table.entries.get(..count as usize * ENTRY);
        if used.map(crc32) != table.header.le32(88) {
            return Err(TableError::damaged("the checksum of its entries is wrong"));
        }
        Ok(Some(table))
    }

    fn parse(header: Vec<u8>, sector: u64, last: u64) -> Option<Self> {
        let length = usize::try_from(header.le32(12)?).ok()?;
        let mut checked = header.get(..length).filter(|_| length >= 92)?.to_vec();
        checked.get_mut(16..20)?.fill(0);
        let count = header.le32(80)?;
        let (entries_lba, first_usable, last_usable) = (header.le64(72)?, header.le64(40)?, header.le64(48)?);
        let sound = crc32(&checked) == header.le32(16)?
            && header.le64(24)? == 1
            && header.le32(84)? == ENTRY as u32
            && (1..=MAX_COUNT).contains(&count)
            && (2..first_usable).contains(&entries_lba)
            && first_usable <= last_usable;
        let alternate = header.le64(32)?;
        let table =
            Self { header, entries: Vec::new(), entries_lba, alternate, first_usable, last_usable, sector, last };
        // Not before it is sound: the count and the places are anybody's numbers until then.
        let room = || first_usable.checked_sub(entries_lba)?.checked_mul(sector);
        (sound && room()? >= table.array_bytes(count) as u64).then_some(table)
    }

    /// Bytes of the entries in whole sectors.
    fn array_bytes(&self, count: u32) -> usize {
        (count as usize * ENTRY).next_multiple_of(self.sector as usize)
    }

    fn array_sectors(&self) -> u64 {
        self.entries.len() as u64 / self.sector
    }

    /// The last sector that a partition may use once the copy is at the end of the disk.
    fn new_last_usable(&self) -> u64 {
        let at_end = self.last.saturating_sub(self.array_sectors() + 1);
        if self.alternate == self.last { self.last_usable.min(at_end) } else { at_end }
    }

    fn slots(&self) -> impl Iterator<Item = &[u8]> {
        let count = self.header.le32(80).unwrap_or_default() as usize;
        self.entries.chunks_exact(ENTRY).take(count)
    }

    /// What its entries claim.
    pub(super) fn taken(&self) -> Vec<Claim> {
        self.slots().filter_map(|entry| self.place(entry)).collect()
    }

    /// Where header and entries lie themselves, here and in their copy: of a table that nothing is added to.
    pub(super) fn own_places(&self) -> [Claim; 2] {
        let array = self.array_sectors();
        let bytes = |first: u64, behind: u64| Claim {
            start: first.saturating_mul(self.sector),
            end: behind.saturating_mul(self.sector),
        };
        [
            bytes(1, self.entries_lba.saturating_add(array)),
            bytes(self.alternate.saturating_sub(array), self.alternate.saturating_add(1)),
        ]
    }

    /// What the copy at the end of the disk claims, if it is this table's: the same disk GUID, good checksums. An entry of ours
    /// that has no counterpart here belongs to an addition that was cut short, and claims nothing.
    ///
    /// # Errors
    /// It is damaged, or places a partition behind the image differently (attacks.md F2).
    pub(super) fn taken_by_copy<R: Read + Seek>(&self, disk: &Disk, reader: &mut R) -> Result<Vec<Claim>, TableError> {
        let Some(copy) = copy_at_end(reader, disk.sector, disk.size)? else {
            // Where the header says that it is. What lies there otherwise may be of any earlier life.
            let there = read_at(reader, "the copy of the GPT header", self.last * self.sector, 8)?.has(0, b"EFI PART");
            return match there && self.alternate == self.last {
                true => Err(TableError::damaged("the checksum of its copy is wrong")),
                false => Ok(Vec::new()),
            };
        };
        if copy.disk != self.header.array(56).and_then(|bytes| guid(&bytes)) {
            return Ok(Vec::new());
        }
        for part in copy.partitions.iter().filter(|part| part.start >= disk.image) {
            let other = self.slots().nth(part.number as usize - 1).and_then(|entry| self.place(entry));
            if other.is_some_and(|place| (place.start, place.end) != (part.start, part.end())) {
                return Err(TableError::Contradiction { at: part.start });
            }
        }
        let here: Vec<bool> = self.slots().map(|entry| entry[..16] != [0; 16]).collect();
        let is_here = |number: u32| here.get(number as usize - 1).copied().unwrap_or_default();
        let ours = |part: &Partition| part.name.as_deref() == Some(PARTITION_NAME) && !is_here(part.number);
        let others = copy.partitions.into_iter().filter(|part| !ours(part));
        Ok(others.map(|part| Claim { start: part.start, end: part.end() }).collect())
    }

    /// The gap, see [`Disk::gap`].
    pub(super) fn gap<R: Read + Seek>(
        &self,
        disk: &Disk,
        reader: &mut R,
        mut taken: Vec<Claim>,
        shown: &[Shown],
    ) -> Result<Gap, TableError> {
        let used =
            |(entry, number): (&[u8], u32)| entry[..16] != [0; 16] || shown.iter().any(|part| part.number == number);
        let used: Vec<bool> = self.slots().take(MAX_NUMBER).zip(1..).map(used).collect();
        let index = mbr::free_entry(&used).ok_or(TableError::Full)?;
        // An entry of a hybrid MBR may reach to the last sector, and so may one of a GPT behind what is usable.
        let place = Claim { start: self.copy_lba() * self.sector, end: (self.last + 1) * self.sector };
        let end_taken = taken.iter().any(|claim| claim.meets(place));
        // Where the image ended, its own copy of the table stays valid until the new one is; and an addition that was
        // cut short has to find the same gap again.
        let copy = if self.alternate == self.last { self.left_copy(reader, &taken)? } else { Some(self.alternate) };
        if let Some(lba) = copy {
            let start = lba.saturating_sub(self.array_sectors()) * self.sector;
            taken.push(Claim { start, end: (lba + 1) * self.sector });
        }
        let end = (self.new_last_usable() + 1) * self.sector;
        let first = (self.first_usable * self.sector).max(ALIGNMENT);
        let gap = disk.largest_gap(index as u32 + 1, first, end, taken)?;
        if end_taken { Err(TableError::EndTaken) } else { Ok(gap) }
    }

    /// The first sector of the entries' copy at the end of the disk.
    fn copy_lba(&self) -> u64 {
        self.last.saturating_sub(self.array_sectors())
    }

    /// The sector of a header with our disk id, soon behind what is taken: the copy that came with the image.
    fn left_copy<R: Read + Seek>(&self, reader: &mut R, taken: &[Claim]) -> Result<Option<u64>, TableError> {
        let Some(behind) = taken.iter().map(|claim| claim.end).max() else { return Ok(None) };
        let first = behind.div_ceil(self.sector);
        if first >= self.last {
            return Ok(None);
        }
        let bytes = read_at(reader, "the end of the image", first * self.sector, SEARCHED)?;
        let mut sectors = (first..self.last).zip(bytes.chunks_exact(self.sector as usize));
        let found = sectors.find(|(lba, bytes)| {
            bytes.has(0, b"EFI PART") && bytes.le64(24) == Some(*lba) && bytes.span(56, 16) == self.header.span(56, 16)
        });
        Ok(found.map(|(lba, _)| lba))
    }

    /// What an entry in use claims.
    fn place(&self, entry: &[u8]) -> Option<Claim> {
        let (first, last) = (entry.le64(32)?, entry.le64(40)?);
        let bytes = |lba: u64| lba.saturating_mul(self.sector);
        (entry[..16] != [0; 16]).then_some(Claim { start: bytes(first), end: bytes(last.saturating_add(1)) })
    }

    /// New copy at the end, then the header that names it, then the sector with the new entry: the commit. All three
    /// headers and arrays have the same checksum of their entries, see [`forge`], so each write leaves a valid table.
    pub(super) fn addition<R: Read + Seek>(
        &self,
        disk: &Disk,
        reader: &mut R,
        gap: Gap,
        random: [u8; 16],
    ) -> Result<Addition, TableError> {
        let entries = self.with_entry(gap, random);
        let copy_lba = self.copy_lba();
        let primary = self.header_at(1, self.last, self.entries_lba);
        let copy = self.header_at(self.last, 1, copy_lba);
        let index = (gap.number as usize - 1) * ENTRY;
        let sector = disk.sector as usize;
        let commit = index / sector * sector;
        let mut writes = Vec::new();
        let parts = [
            ("the copy of the GPT entries", copy_lba * self.sector, entries.clone()),
            ("the copy of the GPT header", self.last * self.sector, copy),
            ("the GPT header", self.sector, primary),
            (
                "the GPT entry",
                self.entries_lba * self.sector + commit as u64,
                entries[commit..commit + sector].to_vec(),
            ),
        ];
        for (what, offset, bytes) in parts {
            if read_at(reader, what, offset, bytes.len())? != bytes {
                writes.push(Write { what, offset, bytes });
            }
        }
        Ok(Addition { gap, writes })
    }

    fn with_entry(&self, gap: Gap, random: [u8; 16]) -> Vec<u8> {
        let mut entries = self.entries.clone();
        let used = self.header.le32(80).unwrap_or_default() as usize * ENTRY;
        let crc = crc32(&entries[..used]);
        let at = (gap.number as usize - 1) * ENTRY;
        let entry = &mut entries[at..at + ENTRY];
        entry.fill(0);
        entry[..16].copy_from_slice(&LINUX_GUID);
        entry[UUID..UUID + 16].copy_from_slice(&random);
        // Version 4, variant 1: a random UUID; the first three fields are little-endian.
        entry[UUID + 7] = entry[UUID + 7] & 0x0f | 0x40;
        entry[UUID + 8] = entry[UUID + 8] & 0x3f | 0x80;
        entry[32..40].copy_from_slice(&(gap.start / self.sector).to_le_bytes());
        entry[40..48].copy_from_slice(&((gap.start + gap.size) / self.sector - 1).to_le_bytes());
        for (place, unit) in entry[56..].chunks_exact_mut(2).zip(PARTITION_NAME.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        forge::set_crc(&mut entries[..used], at + FORGED, crc);
        entries
    }

    fn header_at(&self, here: u64, other: u64, entries: u64) -> Vec<u8> {
        let mut header = self.header.clone();
        let length = header.le32(12).unwrap_or_default() as usize;
        for (at, value) in [(24, here), (32, other), (48, self.new_last_usable()), (72, entries)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[16..20].fill(0);
        let crc = crc32(&header[..length]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Why there is no header where one is expected: a table in other sectors, or a damaged one.
fn elsewhere<R: Read + Seek>(disk: &Disk, reader: &mut R) -> Result<TableError, TableError> {
    let other = if disk.sector == 512 { 4096 } else { 512 };
    let found = read_at(reader, "the GPT header", other, 8)?.has(0, b"EFI PART");
    Ok(if found { TableError::OtherSectors(disk.sector) } else { TableError::damaged("its header is missing") })
}
