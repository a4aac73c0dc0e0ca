//! The El Torito boot catalog.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use super::SECTOR;
use crate::format::Error;
use crate::format::bytes::{Fields, read_at};

/// Entries that are returned; the catalog is read as far as they can reach, one sector.
pub const MAX_BOOT_ENTRIES: usize = 63;
const ENTRY: usize = 32;
const BOOTABLE: u8 = 0x88;

/// Which firmware an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// PC BIOS (0).
    Bios,
    /// PowerPC (1).
    PowerPc,
    /// Macintosh (2).
    Mac,
    /// UEFI (0xef).
    Uefi,
    /// Any other id.
    Other(u8),
}

impl From<u8> for Platform {
    fn from(id: u8) -> Self {
        match id {
            0 => Self::Bios,
            1 => Self::PowerPc,
            2 => Self::Mac,
            0xef => Self::Uefi,
            other => Self::Other(other),
        }
    }
}

/// One boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// Which firmware it is for.
    pub platform: Platform,
    /// Whether the entry may be booted.
    pub bootable: bool,
    /// Emulation: 0 none, 1 to 3 floppy, 4 hard disk.
    pub media: u8,
    /// Sector of 2048 bytes where the image begins.
    pub lba: u32,
    /// Sectors of 512 bytes to load; 0 or 1 often means "up to the end".
    pub sectors: u16,
}

impl BootEntry {
    /// Byte offset of the image.
    #[must_use]
    pub fn offset(&self) -> u64 {
        u64::from(self.lba) * SECTOR
    }
}

/// Reads the catalog at sector `lba`; empty if it is none.
pub(super) fn read<R: Read + Seek>(reader: &mut R, lba: u32) -> Result<Vec<BootEntry>, Error> {
    let offset = u64::from(lba) * SECTOR;
    let catalog = read_at(reader, "the El Torito catalog", offset, SECTOR as usize)?;
    Ok(parse(&catalog))
}

fn parse(catalog: &[u8]) -> Vec<BootEntry> {
    let mut records = catalog.as_chunks::<ENTRY>().0.iter();
    let Some(platform) = records.next().and_then(validation) else {
        return Vec::new();
    };
    let mut entries: Vec<BootEntry> = Vec::new();
    entries.extend(records.next().and_then(|record| entry(record, platform)));
    // Section headers (0x90, the last 0x91) say how many entries follow for one platform.
    while let Some(header) = records.next() {
        let [id @ (0x90 | 0x91), platform, low, high, ..] = *header else {
            break;
        };
        let count = usize::from(u16::from_le_bytes([low, high]));
        let section = records
            .by_ref()
            // 0x44 goes on with the entry before it.
            .filter(|record| record.first() != Some(&0x44))
            .take(count)
            .filter_map(|record| entry(record, platform.into()));
        entries.extend(section);
        if id == 0x91 {
            break;
        }
    }
    entries
}

/// The first record: its 16-bit words add up to zero.
fn validation(record: &[u8; ENTRY]) -> Option<Platform> {
    let sum = record.as_chunks::<2>().0.iter().fold(0u16, |sum, word| sum.wrapping_add(u16::from_le_bytes(*word)));
    let sound = record.first() == Some(&1) && record.has(30, &[0x55, 0xaa]) && sum == 0;
    sound.then(|| record.u8(1).map(Platform::from))?
}

fn entry(record: &[u8; ENTRY], platform: Platform) -> Option<BootEntry> {
    let (indicator, lba) = (record.u8(0)?, record.le32(8)?);
    if !matches!(indicator, 0 | BOOTABLE) || lba == 0 {
        return None;
    }
    Some(BootEntry {
        platform,
        bootable: indicator == BOOTABLE,
        media: record.u8(1)? & 0xf,
        sectors: record.le16(6)?,
        lba,
    })
}

#[cfg(test)]
pub(in crate::format) mod tests {
    use super::*;

    /// A BIOS entry and a UEFI section with one entry.
    pub(in crate::format) fn put_catalog(sector: &mut [u8]) {
        sector[0] = 1;
        sector[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
        sector[32] = BOOTABLE;
        sector[38] = 4;
        sector[40] = 30;
        sector[64..68].copy_from_slice(&[0x91, 0xef, 1, 0]);
        sector[96] = BOOTABLE;
        sector[102] = 9;
        sector[104] = 31;
    }

    fn catalog() -> Vec<u8> {
        let mut sector = vec![0; 2048];
        put_catalog(&mut sector);
        sector
    }

    #[test]
    fn platforms() {
        let entries = parse(&catalog());
        let rows: Vec<_> = entries.iter().map(|e| (e.platform, e.bootable, e.lba, e.sectors)).collect();
        assert_eq!(rows, [(Platform::Bios, true, 30, 4), (Platform::Uefi, true, 31, 9)]);
    }

    #[test]
    fn damaged_catalogs() {
        let mut sector = catalog();
        sector[28] = 0;
        assert_eq!(parse(&sector), []);
        let mut sector = catalog();
        sector[66..68].fill(0xff);
        assert!(parse(&sector).len() <= MAX_BOOT_ENTRIES);
        assert_eq!(parse(&sector[..40]), []);
        assert_eq!(parse(&[]), []);
    }
}
