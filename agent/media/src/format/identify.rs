//! Which of the readers recognise an input, and which of them is right.

use std::io::{Read, Seek};

use super::source::{Input, Source};
use super::{
    Error, Kind, Superblock, btrfs, erofs, exfat, ext, fat, iso9660, luks, lvm, ntfs, raid, signature, snapshot_cow,
    squashfs, swap, udf, xfs,
};

/// A reader that needs only the head of the input.
type Parse = fn(&[u8]) -> Option<Superblock>;

/// Signatures below the ISO 9660 descriptors. Writing an ISO overwrites all of these places, so where both are found
/// the ISO is the older one, left over from before somebody made a file system.
const BEFORE_ISO: [Parse; 10] = [
    luks::parse,
    raid::parse_start,
    lvm::parse,
    snapshot_cow::parse,
    swap::parse,
    xfs::parse,
    ext::parse,
    squashfs::parse,
    erofs::parse,
    btrfs::parse,
];

/// The best single answer, `None` when nothing is known.
///
/// An ISO 9660 volume wins over the MBR, GPT or FAT boot sector that a hybrid image carries in its first 32 KiB and over
/// a UDF bridge beside it. A RAID superblock at the end wins over a writable file system at the start, which is then one
/// leg of a mirror.
///
/// # Errors
/// The device could not be read and what could be read is nothing known.
pub fn identify<R: Read + Seek>(reader: &mut R) -> Result<Option<Superblock>, Error> {
    best(&mut (reader as &mut dyn Input))
}

fn best(reader: &mut &mut dyn Input) -> Result<Option<Superblock>, Error> {
    let mut source = Source::new(reader);
    let found = match content(&mut source, true)? {
        Some(found) if may_be_mirrored(found.kind) => match raid::at_end(&mut source) {
            Ok(Some(member)) => Some(member),
            // An unreadable end does not make the start unknown.
            Ok(None) | Err(_) => Some(found),
        },
        Some(found) => Some(found),
        None => match raid::at_end(&mut source)? {
            Some(member) => Some(member),
            None => match luks::secondary(&mut source)? {
                Some(found) => Some(found),
                None => signature::at_end(&mut source)?,
            },
        },
    };
    match (found, source.failure) {
        (None, Some(failure)) => Err(failure),
        (found, _) => Ok(found),
    }
}

/// Of which kind of mirror a file system may be one half, as a record behind it says: DRBD, or a RAID of the machine's firmware.
/// [`identify`] says what is in front of it.
///
/// # Errors
/// The end could not be read.
pub fn mirror<R: Read + Seek>(reader: &mut R) -> Result<Option<Kind>, Error> {
    let found = signature::at_end(&mut Source::new(&mut (reader as &mut dyn Input)))?.map(|found| found.kind);
    Ok(found.filter(|kind| matches!(kind, Kind::Drbd | Kind::FirmwareRaid)))
}

/// The file system in front of the record of a RAID, of which [`identify`] says nothing else: it is one half of a mirror, or the record is
/// left over from another life of the device. Whoever reads it does no harm. `None` where there is none, or a part of one, as each disk of
/// a stripe has; behind a record at the start only where that cannot be of this device.
///
/// # Errors
/// The device could not be read.
pub fn beside_raid<R: Read + Seek>(reader: &mut R) -> Result<Option<Superblock>, Error> {
    let mut reader = reader as &mut dyn Input;
    let mut source = Source::new(&mut reader);
    let size = source.size()?;
    if raid::parse_start(&source.head).is_some() && raid::fits_at_start(&source.head, size) {
        return Ok(None);
    }
    let found = content(&mut source, false)?;
    Ok(found.filter(|found| found.kind.driver().is_some() && found.size.is_some_and(|bytes| bytes <= size)))
}

/// Every signature that is present, in the order in which [`identify`] prefers them.
///
/// Made for the proof that a device is blank, so an unreadable place is an error, never an absence.
///
/// # Errors
/// The device could not be read.
pub fn identify_all<R: Read + Seek>(reader: &mut R) -> Result<Vec<Superblock>, Error> {
    every(&mut (reader as &mut dyn Input))
}

fn every(reader: &mut &mut dyn Input) -> Result<Vec<Superblock>, Error> {
    let mut source = Source::new(reader);
    if let Some(failure) = source.failure {
        return Err(failure);
    }
    let head = &source.head;
    let mut found: Vec<Superblock> = BEFORE_ISO.iter().filter_map(|parse| parse(head)).collect();
    found.extend(iso9660::parse(head));
    found.extend(udf::probe(&mut source));
    found.extend(exfat::probe(&mut source)?);
    found.extend(ntfs::probe(&mut source)?);
    found.extend(fat::probe(&mut source)?);
    found.extend(raid::at_end(&mut source)?);
    if !found.iter().any(|f| f.kind == Kind::Luks) {
        found.extend(luks::secondary(&mut source)?);
    }
    found.extend(signature::parse(&source.head));
    found.extend(signature::at_end(&mut source)?);
    found.extend(signature::elsewhere(&mut source)?);
    Ok(found)
}

/// What lies at the start, best first; the record of a RAID only where it counts.
fn content<R: Read + Seek>(source: &mut Source<R>, raid: bool) -> Result<Option<Superblock>, Error> {
    let counts = |found: &Superblock| raid || found.kind != Kind::Raid;
    if let Some(found) = BEFORE_ISO.iter().find_map(|parse| parse(&source.head).filter(counts)) {
        return Ok(Some(found));
    }
    if let Some(found) = exfat::probe(source)? {
        return Ok(Some(found));
    }
    if let Some(found) = ntfs::probe(source)? {
        return Ok(Some(found));
    }
    if let Some(optical) = iso9660::parse(&source.head).or_else(|| udf::probe(source)) {
        return Ok(Some(optical));
    }
    if let Some(found) = signature::before_fat(&source.head) {
        return Ok(Some(found));
    }
    // Late: a FAT boot sector has no magic number of its own.
    if let Some(found) = fat::probe(source)? {
        return Ok(Some(found));
    }
    Ok(signature::parse(&source.head))
}

/// Whether `kind` may be one leg of a mirror whose superblock is at the end. What is only ever read is not.
fn may_be_mirrored(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ext2
            | Kind::Ext3
            | Kind::Ext4
            | Kind::Xfs
            | Kind::Btrfs
            | Kind::Vfat
            | Kind::Exfat
            | Kind::Ntfs
            | Kind::Swap
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An ext4 of 8 KiB on a disk of so many bytes, with the record of a RAID 1.0 at its end.
    fn marked(size: usize) -> Vec<u8> {
        let mut disk = ext::sample();
        disk.resize(size, 0);
        let at = ((size / 512 - 16) & !7) * 512;
        disk[at..at + 5].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1]);
        disk[at + 144..at + 152].copy_from_slice(&(at as u64 / 512).to_le_bytes());
        disk
    }

    #[test]
    fn a_file_system_beside_the_record_of_a_raid_is_there_for_who_reads() {
        let kinds = |disk: Vec<u8>| {
            let mut reader = Cursor::new(disk);
            let found = identify(&mut reader).unwrap().map(|found| found.kind);
            (found, beside_raid(&mut reader).unwrap().map(|found| found.kind))
        };
        assert_eq!(kinds(marked(1 << 17)), (Some(Kind::Raid), Some(Kind::Ext4)));
        // Each disk of a stripe begins with a file system that is larger than the disk.
        let mut stripe = marked(1 << 17);
        stripe[1024 + 4..1024 + 8].copy_from_slice(&1000_u32.to_le_bytes());
        assert_eq!(kinds(stripe), (Some(Kind::Raid), None));
        let mut nothing = marked(1 << 17);
        nothing[..8192].fill(0);
        assert_eq!(kinds(nothing), (Some(Kind::Raid), None));
        // A record in front, whose sum is wrong.
        let mut front = ext::sample();
        front.resize(1 << 17, 0);
        front[4096..4101].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1]);
        front[4096 + 144] = 8;
        assert_eq!(kinds(front), (Some(Kind::Raid), Some(Kind::Ext4)));
    }
}
