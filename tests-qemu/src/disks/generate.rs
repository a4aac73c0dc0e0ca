//! A disk from a seed: what was on it before, its tables, sound or not, what the kernel shows of it, who claims which bytes, what is
//! asked for, and what must come of it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::media::{Area, CHANGES, COW, GuestMedia, ISO, Media, PHOTO_DIR, STORE};
use super::sparse;
use super::table::{self, Entry, Gpt};
use crate::powercut::Random;

const MIB: u64 = 1 << 20;
/// What is lost by aligning.
const LOST: u64 = 4 * MIB;

/// Where changes may come to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// In a new partition.
    Partition,
    /// In these bytes.
    Place(Range<u64>),
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// It has room, or is empty, or is an area: changes are kept.
    Keep,
    /// They are not: no byte changes.
    Untouched,
    /// They are not: what is there is looked at as one looks at a file system, and all that it holds stays.
    Refuse,
    /// Either, as long as nothing else changes.
    Either,
}

/// What is on a place that may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing yet.
    New,
    /// An area.
    Area(Area),
    /// An ISO file, and perhaps a cow file.
    Host(Option<Area>),
    /// Files, and changes in a directory.
    Store,
    /// The medium itself.
    Medium,
    /// Files, and one for the store of a snapshot, of zeros or not.
    Snapshot(bool),
}

/// A disk, and what is known about it.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Bytes of a sector.
    pub sector: u64,
    /// What it is, for a person.
    pub kind: String,
    /// Partitions that the kernel is told of: number, place.
    pub shown: Vec<(u32, Range<u64>)>,
    /// Bytes that somebody claims.
    pub claims: Vec<Range<u64>>,
    /// Bytes of the tables, which a new entry may change.
    pub tables: Vec<Range<u64>>,
    /// What is asked for.
    pub kargs: String,
    /// Where that is.
    pub wish: Wish,
    /// What is there.
    pub holds: Holds,
    /// What must come of it.
    pub must: Must,
    /// The area is emptied first.
    pub reset: bool,
    /// What is in the place when changes are kept.
    pub fs: &'static str,
    /// The file system of a new area is in a LUKS volume.
    pub encrypted: bool,
}

impl Disk {
    /// What was asked of it, in two words.
    pub fn asked(&self) -> String {
        let what = match (self.holds, &self.wish) {
            (Holds::New, Wish::Partition) => "new partition".to_owned(),
            (Holds::New, Wish::Place(_)) => "named partition".to_owned(),
            (Holds::Area(area), _) => format!("{area:?} area"),
            (Holds::Host(None), _) => "new cow file".to_owned(),
            (Holds::Host(Some(area)), _) => format!("{area:?} cow file"),
            (Holds::Store, _) => "directory".to_owned(),
            (Holds::Medium, _) => "the medium itself".to_owned(),
            (Holds::Snapshot(zeros), _) => format!("snapshot in {}", if zeros { "zeros" } else { "a file" }),
        };
        let what = if self.encrypted { what + ", encrypted" } else { what };
        if self.reset { what + " with reset" } else { what }
    }
}

/// What is asked for, before it is known whether there is room.
struct Asked {
    /// What a boot begins with: the content of the first partition.
    medium: std::path::PathBuf,
    /// The content of the second partition, if there is one: how long, and what.
    second: Option<(u64, Option<std::path::PathBuf>)>,
    holds: Holds,
    kargs: String,
    /// What must come of it where tables and kernel agree.
    must: Must,
    reset: bool,
    fs: &'static str,
    /// By its label in a table, not by its number.
    by_table: bool,
    /// Nothing is written whatever is there.
    readonly: bool,
    /// In a LUKS volume.
    encrypted: bool,
    /// The medium is an ISO that is the disk as a whole.
    whole: bool,
}

/// Bytes that a file system of an area takes at least.
fn least(fs: &str) -> u64 {
    match fs {
        "xfs" => 320 * MIB,
        "btrfs" => 128 * MIB,
        _ => 32 * MIB,
    }
}

/// Which tables a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gpt,
    GptOfAnImage,
    GptPrimaryDamaged,
    GptBothDamaged,
    GptBehindPlainMbr,
    Hybrid,
    Contradiction,
    Overlapping,
    Mbr,
    MbrLogical,
    MbrGuardElsewhere,
    NoTable,
}

const KINDS: [Kind; 12] = [
    Kind::Gpt,
    Kind::GptOfAnImage,
    Kind::GptPrimaryDamaged,
    Kind::GptBothDamaged,
    Kind::GptBehindPlainMbr,
    Kind::Hybrid,
    Kind::Contradiction,
    Kind::Overlapping,
    Kind::Mbr,
    Kind::MbrLogical,
    Kind::MbrGuardElsewhere,
    Kind::NoTable,
];

/// Signatures of others, where they stand in what they mark: from the start, or (negative) from the end.
const SIGNATURES: [(i64, &[u8]); 12] = [
    (1080, b"\x53\xef"),
    (0, b"LUKS\xba\xbe\0\x02"),
    (512, b"LABELONE\x01\0\0\0\0\0\0\0"),
    (MIB as i64, b"\x0d\xd0\x01\xc0"),
    (-3087 * 512, b"Promise Technology, Inc."),
    (0x1_0040, b"_BHRfS_M"),
    (0, b"XFSB\0\0\x10\0"),
    (3, b"NTFS    "),
    (4086, b"SWAPSPACE2"),
    (-(64 << 10), b"\xfc\x4e\x2b\xa9"),
    (32769, b"CD001"),
    (4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
];

/// Tables that were written.
struct Tables {
    /// What they claim.
    claims: Vec<Range<u64>>,
    /// Their own bytes.
    places: Vec<Range<u64>>,
    /// A new entry must find its place in them.
    good: bool,
}

struct Maker<'a> {
    random: Random,
    file: &'a File,
    size: u64,
    sector: u64,
    /// The kernel reads the table itself: nobody tells it of partitions.
    reads: bool,
    /// What looks like a LUKS volume.
    locked: Vec<Range<u64>>,
    /// What may look like the file system of a Linux that was not left in order.
    linux: Vec<Range<u64>>,
}

/// Writes the disk of a seed.
pub fn disk(seed: u64, media: &Media, path: &Path) -> Result<Disk> {
    let mut random = Random::new(seed, "disks");
    let sector = if random.below(4) == 0 { 4096 } else { 512 };
    let asked = ask(&mut random, media);
    // Half of those that are asked for more than usual have it.
    let more = if asked.fs == "ext4" || random.below(2) == 0 { 0 } else { least(asked.fs) };
    let taken = std::fs::metadata(&asked.medium)?.len() + asked.second.as_ref().map_or(0, |second| second.0);
    let size = taken.next_multiple_of(MIB) + more + (60 + random.below(160)) * MIB + random.below(9) * sector;
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    Maker { random, file: &file, size, sector, reads: false, locked: Vec::new(), linux: Vec::new() }.make(asked)
}

/// Writes the disk of a seed for a machine of its own.
pub fn for_guest(seed: u64, media: &GuestMedia, path: &Path) -> Result<Disk> {
    let mut random = Random::new(seed, "disks of guests");
    let asked = ask_guest(&mut random, media);
    let taken = std::fs::metadata(&asked.medium)?.len() + asked.second.as_ref().map_or(0, |second| second.0);
    let size = taken.next_multiple_of(MIB) + (60 + random.below(160)) * MIB + random.below(9) * 512;
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    Maker { random, file: &file, size, sector: 512, reads: true, locked: Vec::new(), linux: Vec::new() }.make(asked)
}

/// What is asked of a machine that has ISO 9660, FAT and device-mapper.
fn ask_guest(random: &mut Random, media: &GuestMedia) -> Asked {
    let mut one = |percent: u64| random.below(100) < percent;
    let (reset, readonly, awake) = (one(30), one(8), one(20));
    let on_medium = format!("root=live:CDLABEL={ISO} rd.live.image");
    let mut asked = Asked {
        medium: media.hybrid.clone(),
        second: None,
        holds: Holds::New,
        kargs: format!("{on_medium} rd.live.overlay.persistent"),
        must: Must::Keep,
        reset,
        fs: "ext4",
        by_table: true,
        readonly,
        encrypted: false,
        whole: true,
    };
    match random.below(100) {
        0..50 => {}
        // Each costs as much as thirty others.
        50..53 => {
            asked.kargs += " rd.live.encrypt rd.live.encrypt.keyfile=/etc/lab.key";
            (asked.fs, asked.encrypted) = ("crypto_LUKS", true);
        }
        53..80 => {
            let nth = [0, 0, 1, 1, 2, 3][random.below(6) as usize];
            let (fs, asleep, file) = &media.hosts[nth];
            (asked.medium, asked.whole, asked.by_table) = (file.clone(), false, false);
            (asked.holds, asked.fs) = (Holds::Host(None), *fs);
            asked.kargs += " iso-scan/filename=/live.iso rd.live.cowfile.mbsize=33";
            if *asleep && !awake {
                asked.must = Must::Untouched;
            }
        }
        _ => {
            let zeros = random.below(3) > 0;
            let file = media.stores[usize::from(!zeros)].clone();
            (asked.medium, asked.whole, asked.by_table) = (media.nested.clone(), false, false);
            (asked.second, asked.holds) = (Some((64 * MIB, Some(file))), Holds::Snapshot(zeros));
            asked.kargs = format!("{on_medium} rd.live.overlay=LABEL=P:/{STORE}");
            asked.must = if zeros { Must::Keep } else { Must::Refuse };
        }
    }
    for (said, karg) in
        [(reset, "rd.live.overlay.reset"), (readonly, "rd.overlay.readonly"), (awake, "rd.live.host.awake")]
    {
        if said {
            asked.kargs += &format!(" {karg}");
        }
    }
    if readonly {
        asked.must = Must::Untouched;
    }
    asked
}

/// What is asked for: one of all kargs that write.
fn ask(random: &mut Random, media: &Media) -> Asked {
    let mut one = |percent: u64| random.below(100) < percent;
    let (reset, readonly, awake) = (one(40), one(8), one(10));
    let fs = if one(80) {
        "ext4"
    } else if one(50) {
        "xfs"
    } else {
        "btrfs"
    };
    let (locked, accept, asleep) = (one(10), one(20), one(25));
    let area = Area::ALL[random.below(Area::ALL.len() as u64) as usize];
    let (plain, labelled) = (media.plain.clone(), media.labelled.clone());
    let on_medium = "root=live:LOOPp1 rd.live.image";
    let accepts = if accept { "=accept" } else { "" };
    let whose = |area| matches!(area, Area::Own | Area::Unmarked) || accept || reset;
    let mut asked = match random.below(100) {
        0..40 => Asked {
            medium: plain,
            second: None,
            holds: Holds::New,
            kargs: format!("{on_medium} rd.overlay=LABEL=NEWAREA rd.live.autooverlay"),
            must: Must::Keep,
            reset,
            fs,
            by_table: true,
            readonly,
            encrypted: false,
            whole: false,
        },
        40..60 => {
            let length = least(fs) + (4 + random.below(16)) * MIB;
            Asked {
                medium: plain,
                second: Some((length, None)),
                holds: Holds::New,
                kargs: format!("{on_medium} rd.overlay=LOOPp2"),
                must: Must::Keep,
                reset,
                fs,
                by_table: false,
                readonly,
                encrypted: false,
                whole: false,
            }
        }
        // The host has no device-mapper: whatever is asked for, nothing comes of it.
        60..65 => {
            let force = ["", ",mkfs=1", ",mkfs=force"][random.below(3) as usize];
            let content = (random.below(2) == 0).then(|| media.store.clone());
            Asked {
                medium: plain,
                second: Some((48 * MIB, content)),
                holds: Holds::New,
                kargs: format!("{on_medium} rd.overlay.crypt=LOOPp2{force}"),
                must: Must::Untouched,
                reset,
                fs: "ext4",
                by_table: false,
                readonly: false,
                encrypted: false,
                whole: false,
            }
        }
        65..80 => Asked {
            medium: labelled,
            second: Some((40 * MIB, Some(media.areas[area as usize].clone()))),
            holds: Holds::Area(area),
            kargs: format!("{on_medium} rd.live.overlay.persistent{accepts}"),
            must: match area {
                // Without a name it is no area, and the disk is not the live image as a whole.
                Area::Unknown => Must::Untouched,
                Area::Damaged if !reset => Must::Refuse,
                area if whose(area) => Must::Keep,
                _ => Must::Refuse,
            },
            reset,
            fs: "ext4",
            by_table: true,
            readonly,
            encrypted: false,
            whole: false,
        },
        // Somebody mistypes the path of a place for changes: a reset empties nothing beside it.
        path @ 80..88 => Asked {
            medium: labelled,
            second: Some((48 * MIB, Some(media.store.clone()))),
            holds: Holds::Store,
            kargs: format!("{on_medium} rd.overlay=LOOPp2:/{}", if path < 86 { CHANGES } else { PHOTO_DIR }),
            must: if path >= 86 && reset { Must::Refuse } else { Must::Keep },
            reset,
            fs: "ext4",
            by_table: false,
            readonly,
            encrypted: false,
            whole: false,
        },
        88..91 => Asked {
            medium: labelled,
            second: None,
            holds: Holds::Medium,
            kargs: format!("{on_medium} rd.overlay=:/{CHANGES}"),
            must: Must::Keep,
            reset,
            fs: "ext4",
            by_table: false,
            readonly,
            encrypted: false,
            whole: false,
        },
        _ => {
            let nth = random.below(media.hosts.len() as u64) as usize;
            let area = Area::ALL.get(nth).copied();
            Asked {
                medium: media.hosts[nth].clone(),
                second: None,
                holds: Holds::Host(area),
                kargs: format!(
                    "root=live:LABEL=LIVE rd.live.image iso-scan/filename=/live.iso rd.live.overlay.persistent{accepts} \
                     rd.live.cowfile.mbsize={} rd.live.cowfile.path={COW}",
                    33 + random.below(4)
                ),
                must: match area {
                    Some(Area::Unknown | Area::Damaged) if !reset => Must::Refuse,
                    _ => Must::Keep,
                },
                reset,
                fs: "ext4",
                by_table: false,
                readonly,
                encrypted: false,
                whole: false,
            }
        }
    };
    if asked.holds == Holds::New && asked.must != Must::Untouched && (fs != "ext4" || asked.second.is_some()) {
        asked.kargs += &format!(" rd.live.overlay.cowfs={fs}");
    }
    let encrypts = locked && matches!(asked.holds, Holds::Area(_) | Holds::Host(_) | Holds::Store);
    for (said, karg) in [
        (reset, "rd.live.overlay.reset"),
        (asked.readonly, "rd.overlay.readonly"),
        (awake, "rd.live.host.awake"),
        (encrypts, "rd.live.encrypt"),
    ] {
        if said {
            asked.kargs += &format!(" {karg}");
        }
    }
    if encrypts {
        // What is not encrypted is not used, and there is no device-mapper for what would be.
        asked.must = match asked.holds {
            Holds::Host(_) => Must::Refuse,
            _ => Must::Untouched,
        };
    }
    if asleep && !encrypts {
        let [store, host] = &media.asleep;
        match (&mut asked.second, asked.holds) {
            (Some(second), Holds::Store) => second.1 = Some(store.clone()),
            (_, Holds::Host(None)) => asked.medium = host.clone(),
            _ => {}
        }
        if matches!(asked.holds, Holds::Store | Holds::Host(None)) && !awake {
            asked.must = Must::Untouched;
        }
    }
    if asked.readonly {
        asked.must = Must::Untouched;
    }
    asked
}

impl Maker<'_> {
    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let length = bytes.len().min(usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX));
        Ok(self.file.write_all_at(&bytes[..length], at)?)
    }

    fn noise(&mut self, at: u64, length: usize) -> Result<()> {
        let bytes: Vec<u8> =
            std::iter::repeat_with(|| self.random.next().to_le_bytes()).take(length / 8 + 1).flatten().collect();
        self.write(at, &bytes[..length])
    }

    /// Something in a place that tells whether it was touched: at its start, its end and anywhere.
    fn fill(&mut self, place: &Range<u64>) -> Result<()> {
        let length = place.end - place.start;
        self.noise(place.start, 4096.min(length as usize))?;
        self.noise(place.end - 4096.min(length), 4096.min(length as usize))?;
        for _ in 0..4 {
            let at = place.start + self.random.below(length);
            let length = 4096.min(place.end - at) as usize;
            self.noise(at, length)?;
        }
        if self.chance(50) {
            self.signature(place)?;
        }
        Ok(())
    }

    fn signature(&mut self, place: &Range<u64>) -> Result<()> {
        let (at, bytes) = SIGNATURES[self.random.below(SIGNATURES.len() as u64) as usize];
        let base = if at < 0 { place.end } else { place.start };
        match base.checked_add_signed(at).filter(|at| place.contains(at) && at + bytes.len() as u64 <= place.end) {
            Some(at) => {
                self.locked.extend(bytes.starts_with(b"LUKS").then(|| place.clone()));
                let linux = bytes == b"\x53\xef" || bytes.starts_with(b"XFSB");
                self.linux.extend(linux.then(|| place.clone()));
                self.write(at, bytes)
            }
            None => Ok(()),
        }
    }

    /// The stick had another life.
    fn earlier_life(&mut self) -> Result<&'static str> {
        let whole = 0..self.size;
        for _ in 0..12 {
            let at = self.random.below(self.size / 4096) * 4096;
            self.noise(at, 4096)?;
        }
        Ok(match self.random.below(5) {
            0 => {
                let entries = self.islands(MIB..self.size - 64 * 4096, 4, &[]);
                let gpt = self.gpt(&entries, None);
                gpt.write(self.file, self.size)?;
                "an old GPT"
            }
            1 => {
                let entries = self.islands(MIB..self.size - MIB, 3, &[]);
                table::mbr(
                    self.file,
                    self.sector,
                    &entries.iter().map(|entry| (0x07, entry.place.clone())).collect::<Vec<_>>(),
                )?;
                "an old MBR"
            }
            2 => {
                self.signature(&whole)?;
                self.signature(&whole)?;
                "an old superfloppy"
            }
            3 => {
                let end = self.size - 64 * 1024..self.size;
                self.signature(&end)?;
                self.write(self.size - 8192, b"\xfc\x4e\x2b\xa9\x01\0\0\0")?;
                "an old RAID"
            }
            _ => {
                for at in [63 * 512, MIB, 2 * MIB, 4 * MIB, 70 * MIB] {
                    self.signature(&(at..self.size))?;
                }
                "old partitions"
            }
        })
    }

    /// Up to `count` places within bounds that do not meet each other or the `others`.
    fn islands(&mut self, within: Range<u64>, count: u64, others: &[Range<u64>]) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        for _ in 0..self.random.below(count + 1) {
            let align = if self.chance(70) { MIB } else { self.sector };
            let length = (MIB + self.random.below(12 * MIB)) / self.sector * self.sector;
            let start = within.start + self.random.below((within.end - within.start).saturating_sub(length).max(1));
            let start = start / align * align;
            let place = start..start + length;
            let free = place.start >= within.start
                && place.end <= within.end
                && !others.iter().chain(found.iter().map(|entry| &entry.place)).any(|other| meets(other, &place));
            if free {
                let name = if self.chance(50) { "PHOTOS" } else { "" };
                found.push(Entry { place, name, uuid: self.bytes() });
            }
        }
        found
    }

    fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.random.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.random.next().to_le_bytes());
        bytes
    }

    fn gpt(&mut self, entries: &[Entry], alternate: Option<u64>) -> Gpt {
        Gpt {
            sector: self.sector,
            disk: self.bytes(),
            entries: entries.to_vec(),
            alternate: alternate.unwrap_or(self.size / self.sector - 1),
        }
    }

    fn make(mut self, asked: Asked) -> Result<Disk> {
        let mut kind = KINDS[self.random.below(KINDS.len() as u64) as usize];
        if self.reads && !asked.whole {
            // Without partitions there is no medium.
            kind = [Kind::Gpt, Kind::Hybrid, Kind::Mbr][self.random.below(3) as usize];
        }
        let before = if self.chance(50) { self.earlier_life()? } else { "nothing" };
        // An image is written over it, with its own tables.
        let medium = File::open(&asked.medium).with_context(|| format!("{}", asked.medium.display()))?;
        let length = medium.metadata()?.len().next_multiple_of(4096);
        // The ISO in its partition has a volume descriptor of its own there.
        let first = if asked.whole { 64 * 512..length } else { MIB..MIB + length };
        let image = first.end.next_multiple_of(MIB);
        sparse::empty(self.file, &(0..image))?;
        sparse::put(&medium, self.file, if asked.whole { 0 } else { first.start })?;
        let end = self.size - 64 * 4096;
        let second = asked.second.as_ref().map(|(length, _)| {
            let start = image + self.random.below(8) * MIB;
            start..start + length
        });
        let taken: Vec<Range<u64>> = second.iter().cloned().collect();
        let mut islands = self.islands(image..end, 4, &taken);
        let mut entries = vec![Entry { place: first.clone(), name: "LIVE", uuid: self.bytes() }];
        entries.extend(second.iter().map(|place| Entry { place: place.clone(), name: "AREA", uuid: [7; 16] }));
        let fixed = entries.len();
        for entry in &islands {
            self.fill(&entry.place.clone())?;
        }
        if kind == Kind::Overlapping
            && let Some(one) = islands.first().cloned()
        {
            let place = one.place.start + self.sector..one.place.end + MIB;
            if place.end < end && !taken.iter().any(|other| meets(other, &place)) {
                self.fill(&place)?;
                islands.push(Entry { place, name: "", uuid: self.bytes() });
            }
        }
        entries.extend(islands);
        let Tables { claims, places: tables, good } = self.tables(kind, &entries, image, asked.whole)?;
        let mut shown: Vec<(u32, Range<u64>)> =
            entries.iter().take(fixed).zip(1..).map(|(entry, number)| (number, entry.place.clone())).collect();
        let mut claims = claims;
        claims.push(first.clone());
        if self.reads {
            shown.clear();
        } else if kind != Kind::Overlapping && self.chance(70) {
            shown.extend(
                entries.iter().skip(fixed).zip(fixed as u32 + 1..).map(|(entry, number)| (number, entry.place.clone())),
            );
        }
        let beside = |places: &[Range<u64>]| {
            let in_table = |nth| kind != Kind::Mbr || nth < 4;
            entries.iter().enumerate().any(|(nth, entry)| in_table(nth) && places.contains(&entry.place))
        };
        let (beside_locked, beside_linux) = (beside(&self.locked), beside(&self.linux));
        // One that only the kernel knows: somebody has just made it.
        let mut kind = format!("{kind:?}");
        if !self.reads && self.chance(20) {
            let all: Vec<Range<u64>> = entries.iter().map(|entry| entry.place.clone()).chain(taken.clone()).collect();
            for entry in self.islands(image..end, 1, &all) {
                self.fill(&entry.place.clone())?;
                shown.push((9, entry.place));
                kind += ", one partition known to the kernel only";
            }
        }
        claims.extend(shown.iter().map(|(_, place)| place.clone()));
        let wish = match (asked.holds, second) {
            (Holds::Host(_) | Holds::Medium, _) => Wish::Place(first),
            (_, Some(second)) => Wish::Place(second),
            (_, None) => Wish::Partition,
        };
        let header = if asked.encrypted { 16 * MIB } else { 0 };
        let mut must = match &wish {
            Wish::Partition if asked.must == Must::Keep => {
                let room = self.largest_gap(&claims, image, end) >= least(asked.fs) + header + LOST;
                if good && room { Must::Keep } else { Must::Either }
            }
            Wish::Place(place) => self.content(place, &asked)?,
            Wish::Partition => asked.must,
        };
        // A system may sleep in what is locked, and nothing on these says whether they are part of it.
        let says_nothing = matches!(asked.fs, "vfat" | "btrfs") && asked.holds == Holds::Host(None);
        if says_nothing && !asked.kargs.contains("rd.live.host.awake") {
            // A Linux sleeps in a file of its own, too: then its file system is not in order, which what is left here says or does not.
            must = match (beside_locked, beside_linux) {
                (true, _) => Must::Untouched,
                (false, true) if must == Must::Keep => Must::Either,
                _ => must,
            };
        }
        // Nobody can see an area that is in no table, or in one that is damaged.
        if asked.by_table && matches!(wish, Wish::Place(_)) && !good && must != Must::Untouched {
            must = Must::Either;
        }
        if let Wish::Place(place) = &wish {
            claims.retain(|claim| claim != place);
        }
        kind += &format!(" over {before}, sectors of {} bytes", self.sector);
        let Asked { kargs, holds, reset, fs, encrypted, .. } = asked;
        Ok(Disk { sector: self.sector, kind, shown, claims, tables, kargs, wish, holds, must, reset, fs, encrypted })
    }

    /// Writes the tables.
    fn tables(&mut self, kind: Kind, entries: &[Entry], image: u64, whole: bool) -> Result<Tables> {
        let places: Vec<Range<u64>> = entries.iter().map(|entry| entry.place.clone()).collect();
        let typed = |kind: u8| places.iter().take(4).map(|place| (kind, place.clone())).collect::<Vec<_>>();
        // A Linux partition of the live image's own disk is taken for its area, if it is empty.
        let linux = if whole { 0x07 } else { 0x83 };
        let gpt_tables = {
            let array = (128 * 128_u64).next_multiple_of(self.sector);
            vec![
                self.sector..2 * self.sector + array,
                self.size / self.sector * self.sector - array - self.sector..self.size,
            ]
        };
        let record = std::iter::once(446..512).collect::<Vec<_>>();
        let all = places.clone();
        let (claims, places, good) = match kind {
            Kind::Gpt | Kind::Overlapping | Kind::Hybrid | Kind::Contradiction => {
                let gpt = self.gpt(entries, None);
                gpt.write(self.file, self.size)?;
                let mut claims = all;
                if matches!(kind, Kind::Hybrid | Kind::Contradiction) {
                    let mut hybrid: Vec<(u8, Range<u64>)> = vec![(0xee, self.sector..places[0].start)];
                    hybrid.extend(places.iter().take(2).map(|place| (0x83, place.clone())));
                    if let (Kind::Contradiction, Some(last)) = (kind, hybrid.last_mut()) {
                        last.1.end += MIB;
                        claims.push(last.1.clone());
                    }
                    table::mbr(self.file, self.sector, &hybrid)?;
                }
                (claims, gpt_tables, matches!(kind, Kind::Gpt | Kind::Hybrid))
            }
            // Its copy lies behind the image, as in an ISO that was written to a larger disk.
            Kind::GptOfAnImage => {
                let gpt = self.gpt(entries, Some(image / self.sector - 1));
                gpt.write(self.file, self.size)?;
                (all, gpt_tables, true)
            }
            Kind::GptPrimaryDamaged | Kind::GptBothDamaged => {
                let gpt = self.gpt(entries, None);
                gpt.write(self.file, self.size)?;
                self.write(self.sector + 40, &[0xff; 2])?;
                if kind == Kind::GptBothDamaged {
                    self.write(gpt.alternate * self.sector + 40, &[0xff; 2])?;
                }
                (all, gpt_tables, false)
            }
            Kind::GptBehindPlainMbr => {
                let gpt = self.gpt(entries, None);
                gpt.write(self.file, self.size)?;
                table::mbr(self.file, self.sector, &typed(linux)[..1])?;
                // The kernel goes by the MBR, so that grows; the GPT stays as it is, its copy too.
                (all, record, false)
            }
            Kind::Mbr => {
                table::mbr(self.file, self.sector, &typed(linux))?;
                // The agent adds nothing to an MBR with other sectors, whose numbers nobody agrees on.
                let full = places.len() > 3 || self.sector != 512;
                (typed(0).into_iter().map(|(_, place)| place).collect(), record, !full)
            }
            Kind::MbrLogical => {
                let claimed = table::mbr_logical(self.file, self.sector, &places, self.size)?;
                (claimed, record, false)
            }
            Kind::MbrGuardElsewhere => {
                let start = image + self.random.below((self.size - image) / 2 / MIB) * MIB;
                let guard =
                    start..(start + 8 * MIB + self.random.below(self.size)).min(self.size / self.sector * self.sector);
                let mut list = typed(linux);
                list.truncate(3);
                list.push((0xee, guard.clone()));
                table::mbr(self.file, self.sector, &list)?;
                self.fill(&guard)?;
                let mut claims: Vec<Range<u64>> = places.into_iter().take(3).collect();
                claims.push(guard);
                (claims, record, false)
            }
            // But for that of the ISO.
            Kind::NoTable => (Vec::new(), if whole { record } else { Vec::new() }, false),
        };
        Ok(Tables { claims, places, good })
    }

    /// What lies in a place, and so what must come of it.
    fn content(&mut self, place: &Range<u64>, asked: &Asked) -> Result<Must> {
        let Some((_, content)) = &asked.second else { return Ok(asked.must) };
        // What an earlier life has left there counts as somebody's.
        sparse::empty(self.file, place)?;
        if let Some(content) = content {
            sparse::put(&File::open(content)?, self.file, place.start)?;
        }
        if content.is_some() || asked.must == Must::Untouched {
            return Ok(asked.must);
        }
        let length = place.end - place.start;
        Ok(match self.random.below(6) {
            0 | 1 => Must::Keep,
            2 => {
                let at = place.start + self.random.below(16 * MIB);
                self.write(at, b"x")?;
                Must::Untouched
            }
            3 => {
                let at = place.end - 1 - self.random.below(4 * MIB);
                self.write(at, b"x")?;
                Must::Untouched
            }
            4 => {
                self.signature(place)?;
                Must::Untouched
            }
            _ => {
                // More than a MiB cannot hide between samples.
                let at = place.start + self.random.below(length - 3 * MIB);
                self.noise(at, 2 * MIB as usize)?;
                Must::Untouched
            }
        })
    }

    fn largest_gap(&self, claims: &[Range<u64>], image: u64, end: u64) -> u64 {
        let mut claims = claims.to_vec();
        claims.push(end..u64::MAX);
        claims.sort_by_key(|claim| claim.start);
        let (mut free, mut best) = (image, 0);
        for claim in claims {
            best = best.max(claim.start.min(end).saturating_sub(free.next_multiple_of(MIB)));
            free = free.max(claim.end);
        }
        best
    }
}

/// Whether two places have a byte in common.
pub fn meets(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}
