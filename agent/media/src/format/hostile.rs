//! Every reader against truncated and altered input: it must return, read little and never panic.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::iso9660::Volume;
use super::partition;
use super::*;
use crate::table::Disk;

/// Bytes that identification may read from one input, whatever it contains.
const IDENTIFY_LIMIT: u64 = 1024 * 1024;
/// Bytes that reading a partition table may take: both copies for both sector sizes and a chain of boot records.
const TABLE_LIMIT: u64 = 4 * 1024 * 1024;

/// Bytes that may be read to learn how a file system was left: of a table and a directory, or of a journal.
const LEFT_LIMIT: u64 = 8 * 1024 * 1024;

/// Counts what is read.
struct Counting {
    inner: Cursor<Vec<u8>>,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes.set(self.bytes.get() + n as u64);
        Ok(n)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn fixtures() -> Vec<(&'static str, Option<Kind>, Vec<u8>)> {
    vec![
        ("iso9660", Some(Kind::Iso9660), iso9660::sample()),
        ("udf", Some(Kind::Udf), udf::sample()),
        ("squashfs", Some(Kind::Squashfs), squashfs::sample()),
        ("erofs", Some(Kind::Erofs), erofs::sample()),
        ("ext", Some(Kind::Ext4), ext::sample()),
        ("xfs", Some(Kind::Xfs), xfs::sample()),
        ("xfs with a log", Some(Kind::Xfs), xfs_log::sample()),
        ("btrfs", Some(Kind::Btrfs), btrfs::sample()),
        ("fat", Some(Kind::Vfat), fat::sample()),
        ("exfat", Some(Kind::Exfat), exfat::sample()),
        ("ntfs", Some(Kind::Ntfs), ntfs::sample()),
        ("luks", Some(Kind::Luks), luks::sample()),
        ("swap", Some(Kind::Swap), swap::sample()),
        ("snapshot", Some(Kind::SnapshotCow), snapshot_cow::sample()),
        ("lvm", Some(Kind::Lvm), lvm::sample()),
        ("raid", Some(Kind::Raid), raid::sample()),
        ("gpt", None, partition::gpt::sample()),
        ("mbr", None, partition::mbr::sample()),
    ]
}

/// Runs every reader; returns the bytes read by identification and by the partition reader.
fn read_all(image: Vec<u8>) -> (u64, u64) {
    let size = image.len() as u64;
    let bytes = Rc::new(Cell::new(0));
    let mut reader = Counting { inner: Cursor::new(image), bytes: Rc::clone(&bytes) };
    let best = identify(&mut reader).unwrap();
    let all = identify_all(&mut reader).unwrap();
    match &best {
        Some(best) => assert!(all.contains(best), "{best:?} is not in {all:?}"),
        None => assert!(all.is_empty(), "nothing, but {all:?}"),
    }
    let identified = bytes.replace(0);
    for dirty in [false, true] {
        if let Some(found) = best.clone().map(|best| Superblock { dirty, ..best }) {
            let _ = left::left(&mut reader, &found, Some(b"0"));
            let _ = left::fingerprint(&mut reader, &found);
        }
    }
    assert!(bytes.replace(0) <= 2 * LEFT_LIMIT, "looking how it was left");
    let _ = partition::table(&mut reader, size);
    let _ = partition::table(&mut reader, u64::MAX);
    let tabled = bytes.replace(0);
    for (size, sector) in [(size, 512), (size, 4096), (u64::MAX, 512)] {
        let disk = Disk { size, sector, image: 0, least: 1 };
        let _ = disk.gap(&mut reader, &[]);
        let _ = disk.addition(&mut reader, &[], [0; 16]);
    }
    assert!(bytes.replace(0) <= 6 * TABLE_LIMIT, "looking for gaps");
    if let Ok(mut volume) = Volume::open(&mut reader) {
        let _ = volume.boot_entries();
        let _ = volume.list("/");
        let _ = volume.list("/LiveOS");
        let _ = volume.find("/LiveOS/squashfs.img");
        let _ = volume.read("/big", 1 << 20);
    }
    (identified, tabled)
}

/// Changes bytes mostly where structures are: near the start of each 512-byte sector.
fn alter(image: &mut [u8], random: &mut Random) {
    const EXTREMES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    for _ in 0..=random.below(12) {
        let at = random.below(image.len());
        let run = 1 << random.below(4);
        let value = EXTREMES[random.below(EXTREMES.len())];
        for byte in image.iter_mut().skip(at).take(run) {
            *byte = if random.below(2) == 0 { value } else { random.next() as u8 };
        }
    }
}

#[test]
fn fixtures_are_recognised() {
    for (name, kind, image) in fixtures() {
        let found = identify(&mut Cursor::new(&image)).unwrap();
        assert_eq!(found.map(|f| f.kind), kind, "{name}");
        let all = identify_all(&mut Cursor::new(&image)).unwrap();
        assert_eq!(all.first().map(|f| f.kind), kind, "{name}");
    }
}

#[test]
fn truncated_at_every_sector_and_around_it() {
    for (name, _, image) in fixtures() {
        let cuts = (0..=image.len() / 512).flat_map(|s| [s * 512, s * 512 + 1, s * 512 + 511]);
        for len in cuts.filter(|len| *len <= image.len()) {
            let (identified, _) = read_all(image[..len].to_vec());
            assert!(identified <= IDENTIFY_LIMIT, "{name} {len}: {identified}");
        }
    }
}

#[test]
fn thousands_of_altered_inputs() {
    for (name, _, image) in fixtures() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        // Most of an image is empty: alter a copy that has only its used sectors' places.
        let used: Vec<usize> =
            (0..image.len() / 512).filter(|s| image[s * 512..(s + 1) * 512].iter().any(|b| *b != 0)).collect();
        for round in 0..1500 {
            let mut image = image.clone();
            let sector = used[random.below(used.len())] * 512;
            alter(&mut image[sector..sector + 512], &mut random);
            if random.below(4) == 0 {
                image.truncate(random.below(image.len()));
            }
            let (identified, tabled) = read_all(image);
            assert!(identified <= IDENTIFY_LIMIT, "{name} {round}: {identified}");
            assert!(tabled <= TABLE_LIMIT, "{name} {round}: {tabled}");
        }
    }
}

#[test]
fn newer_content_wins_over_an_older_iso() {
    let mut image = iso9660::sample();
    image[1024..8192].copy_from_slice(&ext::sample()[1024..8192]);
    assert_eq!(identify(&mut Cursor::new(&image)).unwrap().map(|f| f.kind), Some(Kind::Ext4));
    let all = identify_all(&mut Cursor::new(&image)).unwrap();
    assert_eq!(all.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Ext4, Kind::Iso9660]);
}

#[test]
fn iso_wins_over_partition_table_fat_and_udf() {
    let mut image = iso9660::sample();
    image.resize(0x3_0000, 0);
    image[..512].copy_from_slice(&fat::sample()[..512]);
    image[0x9000..0x1_0000].copy_from_slice(&udf::sample()[0x8000..0xf000]);
    assert_eq!(identify(&mut Cursor::new(&image)).unwrap().map(|f| f.kind), Some(Kind::Iso9660));
    // A disk that once was in a mirror: its old superblock is still at the end.
    let end = image.len() - 8192;
    image[end..].copy_from_slice(&raid::sample()[0x3_0000 - 8192..]);
    assert_eq!(identify(&mut Cursor::new(&image)).unwrap().map(|f| f.kind), Some(Kind::Iso9660));
}

#[test]
fn a_mirror_leg_is_not_its_content() {
    let mut image = raid::sample();
    image[..8192].copy_from_slice(&ext::sample());
    assert_eq!(identify(&mut Cursor::new(&image)).unwrap().map(|f| f.kind), Some(Kind::Raid));
}

/// A reader whose medium fails after `good` bytes.
struct Failing {
    inner: Cursor<Vec<u8>>,
    good: u64,
}

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.inner.position() >= self.good {
            return Err(io::Error::other("medium error"));
        }
        let room = (self.good - self.inner.position()).min(buf.len() as u64) as usize;
        self.inner.read(&mut buf[..room])
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn unreadable_places() {
    for (good, answer) in [(40_000, Some(Kind::Iso9660)), (10_000, None)] {
        let mut reader = Failing { inner: Cursor::new(iso9660::sample()), good };
        match identify(&mut reader) {
            Ok(found) => assert_eq!(found.map(|f| f.kind), answer, "{good}"),
            Err(error) => assert!(answer.is_none() && matches!(error, Error::Read { .. }), "{good}"),
        }
        assert!(identify_all(&mut reader).is_err(), "{good}: unreadable is not blank");
    }
}
