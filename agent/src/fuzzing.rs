//! Doors for the fuzz targets (`agent/fuzz`) to readers that nobody else calls from outside. Only with `--cfg fuzzing`, and in tests,
//! which read again what the fuzzers have found.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::area::Identity;
use crate::attempt::{Avoid, Message};
use crate::cmdline::Cmdline;
use crate::format::iso9660::{MAX_BOOT_ENTRIES, MAX_ENTRIES, Volume};
use crate::format::partition::{MAX_PARTITIONS, table};
use crate::format::{
    Kind, Superblock, elf, identify, identify_all, journal, left, luks, torn, udev_decode, udev_encode, uuid,
};
use crate::handover::Report;
use crate::mapper::{Status, cipher};
use crate::modindex::Index;
use crate::mountinfo;
use crate::probe::begun::{self, Begun};
use crate::probe::empty::{self, Doubt, Extent};
use crate::probe::links;
use crate::probe::sums;
use crate::probe::uevent::Uevent;
use crate::shutdown::mounts;
use crate::table::Disk as Geometry;
use crate::{config, json};

/// Bytes in a unit of places and of the size.
const SECTOR: u64 = 512;
/// Places count from the end of the disk, as those of backup tables and of RAIDs do.
const FROM_END: u8 = 1;
/// The bytes fill a sector with zeros behind them: most structures are short.
const PIECE: usize = 7;

/// A disk of any size with nothing but zeros outside of some pieces: what is far apart on a disk takes a fuzzer a few hundred bytes.
///
/// As bytes: its size in sectors (4 bytes, little-endian, as all numbers here), then for each piece flags (1 byte), the sector where it begins
/// (4 bytes), its length in bytes (2 bytes) and its content. A later piece lies over an earlier one.
#[derive(Debug)]
pub struct Disk {
    size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
    at: u64,
}

impl Disk {
    /// The disk that these bytes mean; what is cut off at their end is left out.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let (size, mut rest) = data.split_at(data.len().min(4));
        let size = number(size) * SECTOR;
        let mut pieces = Vec::new();
        while let Some((head, content)) = rest.split_at_checked(PIECE) {
            let place = number(&head[1..5]) * SECTOR;
            let length = content.len().min(usize::from(u16::from_le_bytes([head[5], head[6]])));
            let from = if head[0] & FROM_END == 0 { place } else { size.saturating_sub(place) };
            pieces.push((from, content[..length].to_vec()));
            rest = &content[length..];
        }
        Self { size, pieces, at: 0 }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let end = self.at + length as u64;
        buffer[..length].fill(0);
        for (from, bytes) in &self.pieces {
            let (first, last) = (self.at.max(*from), end.min(from.saturating_add(bytes.len() as u64)));
            if first < last {
                let index = |place: u64, base: u64| usize::try_from(place - base).unwrap_or(usize::MAX);
                buffer[index(first, self.at)..index(last, self.at)]
                    .copy_from_slice(&bytes[index(first, *from)..index(last, *from)]);
            }
        }
        self.at = end;
        Ok(length)
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// An image of which the places that were read are remembered.
struct Watched<R> {
    image: R,
    at: u64,
    read: Vec<(u64, u64)>,
}

impl<R: Read + Seek> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.image.read(buffer)?;
        self.read.push((self.at, self.at + length as u64));
        self.at += length as u64;
        Ok(length)
    }
}

impl<R: Read + Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.image.seek(to)?;
        Ok(self.at)
    }
}

/// The bytes that mean a disk with all that a target reads of an image, for it to begin with; `size` is the image's, in bytes.
///
/// # Errors
/// Of reading the image.
pub fn seed(image: impl Read + Seek, size: u64, target: fn(&mut dyn Medium)) -> io::Result<Vec<u8>> {
    let mut watched = Watched { image, at: 0, read: Vec::new() };
    target(&mut watched);
    let Watched { mut image, read, .. } = watched;
    let mut sectors: Vec<u64> = read.iter().flat_map(|(from, to)| from / SECTOR..to.div_ceil(SECTOR)).collect();
    sectors.sort_unstable();
    sectors.dedup();
    let mut seed = u32::try_from(size / SECTOR).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for sector in sectors {
        let mut bytes = Vec::new();
        image.seek(SeekFrom::Start(sector * SECTOR))?;
        image.by_ref().take(SECTOR).read_to_end(&mut bytes)?;
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { continue };
        // What a reader counts from the end must still be there when the fuzzer changes the size.
        let back = size / SECTOR - sector.min(size / SECTOR);
        let (flags, place) = if back < 4096 && back < sector { (FROM_END, back) } else { (0, sector) };
        seed.push(flags);
        seed.extend(u32::try_from(place).unwrap_or(u32::MAX).to_le_bytes());
        seed.extend(u16::try_from(last + 1).unwrap_or(u16::MAX).to_le_bytes());
        seed.extend(&bytes[..=last]);
    }
    Ok(seed)
}

/// Whatever can be read at any place.
pub trait Medium: Read + Seek {}

impl<T: Read + Seek> Medium for T {}

/// Every superblock. The two questions must never disagree about whether there is anything at the places that both look at; what only
/// a proof of emptiness looks for is of a few kinds.
pub fn superblocks(mut disk: &mut dyn Medium) {
    let size = disk.seek(SeekFrom::End(0)).unwrap_or(0);
    let (Ok(best), Ok(all)) = (identify(&mut disk), identify_all(&mut disk)) else { return };
    let far = |found: &Superblock| matches!(found.kind, Kind::FirmwareRaid | Kind::Ufs | Kind::Vmfs | Kind::Zfs);
    assert!(best.is_some() || all.iter().all(far), "{all:?}");
    if let Some(best) = best {
        assert!(all.contains(&best), "{best:?} {all:?}");
        let _ = best.truncated(size);
    }
}

/// Partition tables, and where they leave room.
pub fn tables(mut disk: &mut dyn Medium) {
    let size = disk.seek(SeekFrom::End(0)).unwrap_or(0);
    if let Ok(Some(found)) = table(&mut disk, size) {
        assert!(found.partitions.len() <= MAX_PARTITIONS);
        for partition in &found.partitions {
            let _ = partition.end();
        }
    }
    for sector in [512, 4096] {
        let geometry = Geometry { size, sector, image: 0, least: 1 << 20 };
        if let Ok(gap) = geometry.gap(&mut disk, &[]) {
            assert!(gap.start.checked_add(gap.size).is_some_and(|end| end <= size), "{gap:?} on {size} bytes");
        }
    }
}

/// Files and boot entries of an ISO 9660 volume.
pub fn volume(disk: &mut dyn Medium) {
    let Ok(mut volume) = Volume::open(disk) else { return };
    if let Ok(entries) = volume.boot_entries() {
        assert!(entries.len() <= MAX_BOOT_ENTRIES);
    }
    if let Ok(Some(entries)) = volume.list("/") {
        assert!(entries.len() <= MAX_ENTRIES);
        for entry in entries.iter().take(8) {
            let _ = volume.read(&entry.name, 1 << 16);
            let _ = volume.list(&entry.name);
        }
    }
    let _ = volume.find("/LiveOS/squashfs.img");
}

/// How a file system was left: superblocks, journals, logs, fingerprints, torn superblocks, LUKS headers; and programs.
pub fn left(mut disk: &mut dyn Medium) {
    let _ = journal::pending(&mut disk);
    let _ = luks::key_memory(&mut disk);
    let _ = elf::program(&mut disk);
    let _ = torn::copy_of_ext(&mut disk);
    let _ = left::mount_time(&mut disk);
    for kind in [Kind::Ext4, Kind::Btrfs] {
        let _ = torn::mend(&mut disk, kind);
    }
    if let Ok(Some(mut found)) = identify(&mut disk) {
        for dirty in [false, true] {
            found.dirty = dirty;
            let _ = left::left(&mut disk, &found, Some(b"0"));
        }
        let _ = left::fingerprint(&mut disk, &found);
    }
}

/// The kernel command line and what it means. What a misspelt karg may have meant is not looked for: that would be most of the work.
pub fn cmdline(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = config::interpret(&Cmdline::parse(text), &config::Conf::default());
    assert_eq!(udev_decode(&udev_encode(text)), text);
}

/// Texts and JSON that come from a disk, the kernel or a program; the first byte says which.
pub fn text(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match which % 10 {
        0 => drop(json::read::<Identity>(rest)),
        1 => drop(json::read::<Report>(rest)),
        2 => drop(json::read::<Message>(rest)),
        3 => drop(json::read::<Avoid>(rest)),
        4 => {
            let found = mountinfo::parse(rest);
            let _ = mounts::doomed(&found, std::path::Path::new("/"));
        }
        5 => {
            if let Ok(index) = Index::parse(&text) {
                let _ = index.matches("pci:v00008086d00001237sv00001AF4sd00001100bc06sc00i00");
                let _ = index.load_order("ext4");
            }
        }
        6 => {
            for kind in ["snapshot", "thin-pool", "linear"] {
                let _ = Status::parse(kind, 4096, &text).percent();
            }
        }
        7 => drop(cipher::of_table(&text)),
        8 => drop(Uevent::parse(rest)),
        _ => {
            drop(config::Conf::parse(&text));
            let _ = sums::in_list(&text, "squashfs.img").or_else(|| sums::in_info(&text, "LiveOS/squashfs.img"));
            let _ = uuid::is_uuid(&text);
            let _ = udev_decode(&text);
            let _ = (links::by_id::serial(rest), links::by_id::designators(rest));
        }
    }
}

/// The longest disk of the targets that look at one through a file.
const LONGEST: u64 = 1 << 20;

/// A disk as a file, for readers of open devices.
fn as_file(data: &[u8], size: impl FnOnce(u64) -> u64) -> io::Result<(File, Disk)> {
    let mut disk = Disk::of(data);
    disk.size = size(disk.size);
    let file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC)?);
    file.set_len(disk.size)?;
    for (from, bytes) in &disk.pieces {
        let room = usize::try_from(disk.size.saturating_sub(*from)).unwrap_or(usize::MAX);
        file.write_all_at(&bytes[..bytes.len().min(room)], *from)?;
    }
    Ok((file, disk))
}

/// The oracle of the proof that a place is empty: what is proven to be holds zeros only, in a disk that is read in full.
pub fn proofs(data: &[u8]) {
    let Ok((file, mut disk)) = as_file(data, |size| size % LONGEST) else { return };
    let mut bytes = Vec::new();
    let zero = disk.read_to_end(&mut bytes).is_ok() && bytes.iter().all(|byte| *byte == 0);
    for extent in [Extent::Samples, Extent::Everything] {
        match empty::proof(&file, disk.size, extent, Duration::from_secs(60)) {
            Ok(()) => assert!(zero, "proven to be empty: {:?}", disk.pieces),
            Err(Doubt::Late(_) | Doubt::Unreadable(..)) => {}
            Err(doubt) => assert!(!zero, "{doubt}"),
        }
    }
}

/// The oracle of work that was begun: under a block of ours lies nothing that anybody may have written since. The first byte is the one of
/// the UUID; the block's sum is made good here, which a fuzzer cannot do.
pub fn begun_work(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok((file, mut disk)) = as_file(rest, |_| begun::LEAST) else { return };
    let Some(uuid) = uuid::uuid(&[*first; 16]) else { return };
    let Ok(Some(_)) = Begun::begin(&file, 0, disk.size, uuid) else { return };
    if Begun::known(&file, 0, disk.size).is_none() {
        return;
    }
    let (mut head, mut tail) = (vec![0; 2048], Vec::new());
    let read = disk.read_exact(&mut head).is_ok()
        && disk.seek(SeekFrom::Start(begun::LEAST - begun::ROOM)).is_ok()
        && disk.read_to_end(&mut tail).is_ok();
    let before_the_block = tail.len() - begun::BLOCK;
    assert!(read && tail[..before_the_block].iter().all(|byte| *byte == 0), "{:?}", disk.pieces);
    assert!(head[..512].iter().all(|byte| *byte == 0), "{:?}", disk.pieces);
    let ext = head[1080..1082] == [0x53, 0xef];
    assert!(!ext || head[1128..1144] == [*first; 16], "an ext with another UUID: {:?}", disk.pieces);
    assert!(!ext || head[1068..1072] == [0; 4], "an ext that was mounted: {:?}", disk.pieces);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;
    use std::path::Path;

    use super::*;

    fn on_disk(data: &[u8], target: fn(&mut dyn Medium)) {
        target(&mut Disk::of(data));
    }

    /// A fault that was found once is not made again: its input is among these. Each of them was different for the readers, so together
    /// they go through most of what a fuzzer reaches.
    #[test]
    fn what_fuzzers_found_is_read() {
        type Target = fn(&[u8]);
        // How many inputs are there at least.
        let targets: [(&str, usize, Target); 8] = [
            ("identify", 50, |data| on_disk(data, superblocks)),
            ("table", 50, |data| on_disk(data, tables)),
            ("iso", 50, |data| on_disk(data, volume)),
            ("left", 50, |data| on_disk(data, left)),
            ("cmdline", 50, cmdline),
            ("text", 50, text),
            ("empty", 10, proofs),
            ("begun", 10, begun_work),
        ];
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut bytes = 0;
        for (name, least, target) in targets {
            let inputs: Vec<_> = fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(inputs.len() > least, "{name} has {} inputs", inputs.len());
            for input in inputs {
                let data = fs::read(&input).unwrap();
                bytes += data.len();
                let read = std::panic::catch_unwind(|| target(&data));
                assert!(read.is_ok(), "{}", input.display());
            }
        }
        assert!(bytes < 2 << 20, "the corpora have {bytes} bytes");
    }

    #[test]
    fn a_seed_is_what_was_read_of_an_image() {
        let mut image = vec![0; 1 << 20];
        image[0x1_0040..0x1_0048].copy_from_slice(b"_BHRfS_M");
        image[0x1_0000..0x1_0004].copy_from_slice(&[1, 2, 3, 4]);
        image[0x5000] = 9;
        let end = image.len();
        image[end - 512..end - 504].copy_from_slice(b"EFI PART");
        let ends: fn(&mut dyn Medium) = |disk| {
            let mut byte = [0];
            for place in [SeekFrom::Start(0x1_0000), SeekFrom::End(-512)] {
                disk.seek(place).unwrap();
                disk.read_exact(&mut byte).unwrap();
            }
        };
        let bytes = seed(Cursor::new(&image), end as u64, ends).unwrap();
        let mut disk = Disk::of(&bytes);
        let mut back = Vec::new();
        disk.read_to_end(&mut back).unwrap();
        // Nobody read this one.
        image[0x5000] = 0;
        assert!(back == image, "{bytes:?}");
        // A larger disk still has it at its end.
        let larger = [&4096_u32.to_le_bytes()[..], &bytes[4..]].concat();
        let mut sector = [0; 8];
        disk = Disk::of(&larger);
        disk.seek(SeekFrom::End(-512)).unwrap();
        disk.read_exact(&mut sector).unwrap();
        assert_eq!((&sector, disk.size), (b"EFI PART", 2 << 20));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        for data in [&[][..], &[1], &[2, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 1, 1, 0, 0, 0, 255, 255, 7]] {
            let mut back = Vec::new();
            Disk::of(data).read_to_end(&mut back).unwrap();
            assert!(back.len() as u64 == number(&data[..data.len().min(4)]) * SECTOR, "{data:?}");
        }
    }
}
