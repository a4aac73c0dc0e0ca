//! FAT12, FAT16 and FAT32: a boot sector without a magic number, so every field must make sense.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::uuid::serial32;
use super::{Error, Kind, Superblock, text};

/// Bytes of the root directory that are searched for the label.
const MAX_DIR: usize = 256 * 1024;
/// Clusters of a FAT32 root directory that are visited.
const MAX_CLUSTERS: usize = 256;
/// Bytes read at a time.
const CHUNK: usize = 32 * 1024;
const ENTRY: usize = 32;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
/// What every system sets where a file is written to, and a backup program clears.
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const FAT12_MAX: u64 = 0xff4;
const FAT16_MAX: u64 = 0xfff4;
const FAT32_MAX: u64 = 0x0fff_fff6;

/// Bytes of the table that are looked at by [`allocation`].
const MAX_TABLE: u64 = 1 << 20;

/// The boot sector in bytes and clusters.
struct Boot {
    sector: u64,
    cluster: u64,
    size: u64,
    fat: u64,
    /// Length of one table in bytes.
    table: u64,
    /// The sector that counts what is free, where there is one.
    counts: Option<u64>,
    /// Where clusters begin; the FAT12 and FAT16 root directory ends here.
    data: u64,
    clusters: u64,
    root: Root,
    /// Where the second part of the boot sector begins: state, serial, label.
    tail: usize,
}

enum Root {
    Fixed { offset: u64, len: u64 },
    Cluster(u32),
}

pub(super) fn probe<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let Some((boot, mut superblock)) = parse(&source.head) else {
        return Ok(None);
    };
    if let Some(label) = root_label(source, &boot)? {
        superblock.label = Some(label);
    }
    superblock.dirty |= says_its_table(source, &boot)?;
    Ok(Some(superblock))
}

/// Whether the second entry of the allocation table says that it was not unmounted: a bit that every other system clears while it
/// writes, and Linux leaves as it is (Microsoft FAT specification, `ClnShutBitMask`). FAT12 has none.
fn says_its_table<R: Read + Seek>(source: &mut Source<R>, boot: &Boot) -> Result<bool, Error> {
    let entry = match boot.root {
        Root::Cluster(_) => {
            source.read("the allocation table", boot.fat + 4, 4)?.le32(0).map(|entry| entry & 0x0800_0000)
        }
        Root::Fixed { .. } if boot.clusters > FAT12_MAX => {
            source.read("the allocation table", boot.fat + 2, 2)?.le16(0).map(|entry| u32::from(entry & 0x8000))
        }
        Root::Fixed { .. } => None,
    };
    Ok(entry == Some(0))
}

/// Whether the boot sector is one of FAT, for the partition reader: a file system, not a table of partitions.
pub(super) fn is_boot_sector(head: &[u8]) -> bool {
    parse(head).is_some()
}

fn parse(head: &[u8]) -> Option<(Boot, Superblock)> {
    let boot = boot(head)?;
    let tail = head.span(boot.tail, 26)?;
    // 0x28 and 0x29 announce the serial number, 0x29 the label as well.
    let signature = tail.u8(2)?;
    let superblock = Superblock {
        label: (signature == 0x29).then(|| tail.span(7, 11).and_then(name)).flatten(),
        uuid: matches!(signature, 0x28 | 0x29).then(|| tail.le32(3).and_then(serial32)).flatten(),
        size: Some(boot.size),
        block_size: u32::try_from(boot.sector).ok(),
        dirty: tail.u8(1)? & 1 != 0,
        ..Superblock::new(Kind::Vfat)
    };
    Some((boot, superblock))
}

fn boot(head: &[u8]) -> Option<Boot> {
    if !plausible(head)? {
        return None;
    }
    let sector = u64::from(head.le16(11)?);
    let reserved = u64::from(head.le16(14)?);
    let sectors = match head.le16(19)? {
        0 => head.le32(32)?,
        small => u32::from(small),
    };
    let old = head.le16(22)?;
    let wide = old == 0;
    let table = if wide { head.le32(36)? } else { u32::from(old) };
    let tables = u64::from(table) * u64::from(head.u8(16)?);
    let directory = (u64::from(head.le16(17)?) * ENTRY as u64).div_ceil(sector);
    let data = reserved + tables + directory;
    let per_cluster = u64::from(head.u8(13)?);
    let clusters = u64::from(sectors).checked_sub(data)? / per_cluster;
    let limit = match (wide, clusters > FAT12_MAX) {
        (true, _) => FAT32_MAX,
        (false, true) => FAT16_MAX,
        (false, false) => FAT12_MAX,
    };
    if table == 0 || clusters > limit {
        return None;
    }
    Some(Boot {
        sector,
        cluster: sector * per_cluster,
        size: u64::from(sectors) * sector,
        fat: reserved * sector,
        table: u64::from(table) * sector,
        counts: (wide)
            .then(|| head.le16(48))
            .flatten()
            .filter(|at| !matches!(at, 0 | 0xffff))
            .map(|at| u64::from(at) * sector),
        data: data * sector,
        clusters,
        root: if wide {
            Root::Cluster(head.le32(44)?)
        } else {
            Root::Fixed { offset: (reserved + tables) * sector, len: directory * sector }
        },
        tail: if wide { 64 } else { 36 },
    })
}

/// The limits that every FAT boot sector keeps, in the order of its fields.
fn plausible(head: &[u8]) -> Option<bool> {
    let named = head.has(0x52, b"FAT32   ") || head.has(0x52, b"MSWIN") || head.has(0x36, b"FAT");
    let started = named || matches!(head.u8(0)?, 0xeb | 0xe9);
    let foreign = head.has(0x36, b"JFS     ") || head.has(0x36, b"HPFS    ");
    let sector = head.le16(11)?;
    let per_cluster = head.u8(13)?;
    let media = head.u8(21)?;
    Some(
        head.has(510, &[0x55, 0xaa])
            && started
            && !foreign
            && sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && per_cluster.is_power_of_two()
            && head.le16(14)? != 0
            && head.u8(16)? != 0
            && (media >= 0xf8 || media == 0xf0),
    )
}

impl Boot {
    fn offset(&self, cluster: u32) -> Option<u64> {
        let index = u64::from(cluster).checked_sub(2).filter(|i| *i < self.clusters)?;
        // At most 2^28 clusters of 2^19 bytes.
        Some(self.data + index * self.cluster)
    }
}

/// The volume entry of the root directory.
fn root_label<R: Read + Seek>(source: &mut Source<R>, boot: &Boot) -> Result<Option<String>, Error> {
    let mut budget = MAX_DIR as u64;
    let mut cluster = match boot.root {
        Root::Fixed { offset, len } => {
            return Ok(match scan(source, offset, len.min(budget))? {
                Scan::Found(label) => label,
                Scan::End | Scan::More => None,
            });
        }
        Root::Cluster(first) => first,
    };
    for _ in 0..MAX_CLUSTERS {
        let Some(offset) = boot.offset(cluster) else {
            break;
        };
        let len = boot.cluster.min(budget);
        match scan(source, offset, len)? {
            Scan::Found(label) => return Ok(label),
            Scan::End => break,
            Scan::More => budget -= len,
        }
        if budget == 0 {
            break;
        }
        let next = source.read("the FAT", boot.fat + u64::from(cluster) * 4, 4)?;
        cluster = next.le32(0).unwrap_or(0) & 0x0fff_ffff;
    }
    Ok(None)
}

/// What whoever writes to it changes: counts, table, and the root directory without times. Empty files are left out, which take
/// no room and come and go while a file is made.
pub(super) fn allocation<R: Read + Seek>(reader: &mut R) -> Result<Option<Vec<u8>>, Error> {
    let mut source = Source::new(reader);
    let Some((boot, _)) = parse(&source.head) else { return Ok(None) };
    let table = usize::try_from(boot.table.min(MAX_TABLE)).unwrap_or_default();
    let mut bytes = source.read("the FAT", boot.fat, table)?;
    if let Some(at) = boot.counts {
        bytes.extend(source.read("the counts of the FAT", at + 488, 8)?);
    }
    let mut entries = Entries { names: Vec::new(), kept: bytes };
    let mut budget = MAX_DIR as u64;
    let mut cluster = match boot.root {
        Root::Fixed { offset, len } => {
            entries.take(&source.read(
                "the FAT root directory",
                offset,
                usize::try_from(len.min(budget)).unwrap_or_default(),
            )?);
            return Ok(Some(entries.kept));
        }
        Root::Cluster(first) => first,
    };
    for _ in 0..MAX_CLUSTERS {
        let Some(offset) = boot.offset(cluster) else { break };
        let length = boot.cluster.min(budget);
        let more = entries.take(&source.read(
            "the FAT root directory",
            offset,
            usize::try_from(length).unwrap_or_default(),
        )?);
        budget -= length;
        if !more || budget == 0 {
            break;
        }
        let next = source.read("the FAT", boot.fat + u64::from(cluster) * 4, 4)?;
        cluster = next.le32(0).unwrap_or(0) & 0x0fff_ffff;
    }
    Ok(Some(entries.kept))
}

/// Entries of a directory, without what changes when a file is only written to.
struct Entries {
    /// Long names that wait for the entry that they belong to.
    names: Vec<u8>,
    kept: Vec<u8>,
}

impl Entries {
    /// Takes a part of a directory; whether more may follow.
    fn take(&mut self, directory: &[u8]) -> bool {
        for entry in directory.as_chunks::<ENTRY>().0 {
            let attributes = entry[11];
            match entry[0] {
                0 => return false,
                0xe5 => self.names.clear(),
                _ if attributes & 0x3f == ATTRIBUTE_LONG_NAME => self.names.extend(entry),
                _ => {
                    let names = std::mem::take(&mut self.names);
                    let nothing = entry[20..22] == [0, 0] && entry[26..32] == [0; 6];
                    if nothing && attributes & (ATTRIBUTE_VOLUME | ATTRIBUTE_DIRECTORY) == 0 {
                        continue;
                    }
                    self.kept.extend(names);
                    // Between these lie the times.
                    for part in
                        [&entry[..11], &[attributes & !ATTRIBUTE_ARCHIVE, entry[12]], &entry[20..22], &entry[26..]]
                    {
                        self.kept.extend(part);
                    }
                }
            }
        }
        true
    }
}

/// Result of looking through a piece of a directory.
enum Scan {
    Found(Option<String>),
    End,
    More,
}

fn scan<R: Read + Seek>(source: &mut Source<R>, offset: u64, len: u64) -> Result<Scan, Error> {
    let mut done = 0;
    while done < len {
        let want = (len - done).min(CHUNK as u64);
        let bytes = source.read("the FAT root directory", offset + done, want as usize)?;
        for entry in bytes.as_chunks::<ENTRY>().0 {
            match volume_entry(entry) {
                Scan::More => {}
                found_or_end => return Ok(found_or_end),
            }
        }
        if (bytes.len() as u64) < want {
            return Ok(Scan::End);
        }
        done += want;
    }
    Ok(Scan::More)
}

fn volume_entry(entry: &[u8; ENTRY]) -> Scan {
    let attributes = entry[11];
    let empty = entry[20..22] == [0, 0] && entry[26..28] == [0, 0];
    let volume = attributes & (ATTRIBUTE_VOLUME | ATTRIBUTE_DIRECTORY) == ATTRIBUTE_VOLUME;
    match entry[0] {
        0 => Scan::End,
        0xe5 => Scan::More,
        _ if !empty || attributes & 0x3f == ATTRIBUTE_LONG_NAME || !volume => Scan::More,
        first => {
            let mut bytes = [0; 11];
            bytes.copy_from_slice(&entry[..11]);
            if first == 0x05 {
                bytes[0] = 0xe5;
            }
            Scan::Found(name(&bytes))
        }
    }
}

fn name(bytes: &[u8]) -> Option<String> {
    text::label(bytes).filter(|label| label != "NO NAME")
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 64 * 1024];
    image[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
    image[11..13].copy_from_slice(&512u16.to_le_bytes());
    image[13] = 1;
    image[14] = 2;
    image[16] = 1;
    image[21] = 0xf8;
    image[32..36].copy_from_slice(&128u32.to_le_bytes());
    image[36] = 1;
    image[44] = 2;
    image[66] = 0x29;
    image[67..71].copy_from_slice(&0xdead_0042u32.to_le_bytes());
    image[71..82].copy_from_slice(b"FROMBOOT   ");
    image[82..90].copy_from_slice(b"FAT32   ");
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    // Table in sector 2: unmounted in order, cluster 2 is followed by cluster 3. The root directory begins with a long name.
    image[2 * 512 + 4..2 * 512 + 8].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
    image[2 * 512 + 8] = 3;
    for entry in image[3 * 512..4 * 512].chunks_mut(ENTRY) {
        entry[0] = b'A';
        entry[11] = ATTRIBUTE_LONG_NAME;
    }
    image[4 * 512..4 * 512 + 11].copy_from_slice(b"MY STICK   ");
    image[4 * 512 + 11] = ATTRIBUTE_VOLUME;
    image
}

#[cfg(test)]
mod tests;
