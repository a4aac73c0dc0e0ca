//! A medium after a cut and one more boot, seen from outside.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::files::{self, Files, Host};
use super::recording::{DIRECTORY, FILES, Place, STORE};
use super::reset::{OLD, Old, Seen};
use super::shown::Shown;
use super::sparse::{self, cut_out, same_outside};
use super::store::{self, Store};
use super::volume;
use crate::content;
use crate::tool;

const SECTOR: u64 = 512;
/// The cow file under its usual name.
const COW: &str = "live_system.cow";
/// How the name of one begins that bears the name of its image.
const OWN_COW: &str = "live_system-ISO-";
/// Says at the top of an area which image it is for.
const MARK: &str = ".rdlive-identity";
/// In front of the name of what a reset has taken out of the way.
const ASIDE: &str = ".rdlive-discarded-";
/// In the name of a note beside a cow file that is being made.
const NOTE: &str = ".rdlive-new-";

/// Behind those of an image.
pub const THIRD: usize = 2;

/// A medium as it was at the very first, looked at once for all cuts.
#[derive(Debug)]
pub struct Original {
    /// The disk.
    pub path: PathBuf,
    /// What sfdisk says about its partitions.
    partitions: Vec<Value>,
    /// Files beside the area, where it is not in a partition of its own.
    files: Files,
    /// The image below a store.
    origin: Option<PathBuf>,
}

impl Original {
    /// Looks at a disk. `dir` has room for what cannot be mounted.
    pub fn look(path: &Path, place: Place, origin: Option<PathBuf>, dir: &Path) -> Result<Self> {
        let mut original = Self { path: path.to_owned(), partitions: partitions(path)?, files: Files::new(), origin };
        if matches!(place, Place::File | Place::Directory | Place::StoreFile) {
            // Mounting writes to it.
            let copy = dir.join("medium.looked");
            sparse::copy(path, &copy)?;
            let host = Host::reach(&copy, &original.partition(0)?, dir)?;
            original.files = files::read(&host.at)?;
            host.end()?;
            fs::remove_file(copy)?;
        }
        Ok(original)
    }

    /// A partition by its place in the table.
    pub fn partition(&self, nth: usize) -> Result<Range<u64>> {
        place_of(self.partitions.get(nth).context("no such partition")?)
    }

    /// Where all writes go that are not to a new partition: everything else is as it was, table included.
    fn only_in(&self, after: &Path, nth: usize) -> Result<Range<u64>> {
        let range = self.partition(nth)?;
        same_outside(&self.path, after, std::slice::from_ref(&range))?;
        Ok(range)
    }

    /// The partition that is in the table of a disk and was not there before; all others must be the same in both.
    pub fn added(&self, after: &Path) -> Result<Range<u64>> {
        let (old, new) = (&self.partitions, partitions(after)?);
        let mut fresh = new.iter().filter(|entry| !old.contains(entry));
        match (fresh.next(), fresh.next()) {
            (Some(entry), None) if new.len() == old.len() + 1 => place_of(entry),
            _ => bail!("the table was {old:?}, is now {new:?}"),
        }
    }
}

/// The bytes of a disk that a new partition may change: the entries of an MBR, or header and entries of a GPT and their
/// copies at the end of the disk. An MBR that guards a GPT is not among them.
pub fn tables(disk: &Path) -> Result<Vec<Range<u64>>> {
    let file = File::open(disk)?;
    let mut header = [0; SECTOR as usize];
    file.read_exact_at(&mut header, SECTOR)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(std::iter::once(446..510).collect());
    }
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let entries = (number(80) * number(84)).next_multiple_of(SECTOR);
    let size = file.metadata()?.len();
    Ok(vec![SECTOR..number(72) * SECTOR + entries, size - entries - SECTOR..size])
}

/// The directory in which a cow file on FAT comes to be: the first cluster of the root.
pub fn root_directory(original: &Original) -> Result<Vec<Range<u64>>> {
    let start = original.partition(0)?.start;
    let mut boot = [0; SECTOR as usize];
    File::open(&original.path)?.read_exact_at(&mut boot, start)?;
    if !boot[82..].starts_with(b"FAT32") {
        return Ok(Vec::new());
    }
    let short = |at: usize| boot[at..].first_chunk().map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)));
    let long = |at: usize| boot[at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let cluster = u64::from(boot[13]);
    let first = short(14) + u64::from(boot[16]) * long(36) + (long(44) - 2) * cluster;
    let from = start + first * SECTOR;
    Ok(std::iter::once(from..from + cluster * SECTOR).collect())
}

fn place_of(entry: &Value) -> Result<Range<u64>> {
    let field = |name: &str| entry[name].as_u64().with_context(|| format!("no {name} in {entry}"));
    let (start, size) = (field("start")? * SECTOR, field("size")? * SECTOR);
    Ok(start..start + size)
}

fn partitions(disk: &Path) -> Result<Vec<Value>> {
    let text = tool::run(Command::new("sfdisk").arg("--json").arg(disk))?;
    let mut value: Value = serde_json::from_str(&text).context("reading what sfdisk says")?;
    let mut entries = value["partitiontable"]["partitions"].take();
    let entries = entries.as_array_mut().context("no partitions")?;
    // The name of a partition begins with the name of the disk's file.
    entries.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("node")));
    Ok(std::mem::take(entries))
}

/// What an area must be.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    /// Numbers of the files that are in its upper layer.
    pub files: &'a [u32],
    /// It is a LUKS volume.
    pub encrypted: bool,
    /// It is one that was named: its upper layer has the image's name, and there is no mark.
    pub named: bool,
    /// Where there is room to look at it.
    pub dir: &'a Path,
}

/// The area is a new partition: the tables are sound, nothing else changed, the files are there.
pub fn partition(before: &Original, after: &Path, wanted: &Area<'_>) -> Result<()> {
    let area = before.added(after)?;
    let said = tool::run(Command::new("sfdisk").arg("--verify").arg(after))?;
    ensure!(said.contains("No errors"), "sfdisk --verify: {said}");
    let mut allowed = tables(after)?;
    allowed.push(area.clone());
    same_outside(&before.path, after, &allowed)?;
    wanted.is(after, &area)
}

/// The area is in the third partition, which was there: all else is the same.
pub fn existing(before: &Original, after: &Path, wanted: &Area<'_>) -> Result<()> {
    let area = before.only_in(after, THIRD)?;
    wanted.is(after, &area)
}

/// The area is a file on the only partition: the disk outside of it and the other files are the same.
/// `ntfs` says that an empty note may be beside it: a directory of an NTFS can have an entry that only a check makes visible.
pub fn file(before: &Original, after: &Path, wanted: &Area<'_>, ntfs: bool) -> Result<()> {
    let range = before.only_in(after, 0)?;
    let host = Host::reach(after, &range, wanted.dir)?;
    files::same(&before.files, &host.at, &|path| path == Path::new(COW) || (ntfs && is_empty_note(&host, path)))?;
    wanted.is_file(&host, Path::new(COW))?;
    host.end()
}

/// The boot after the cut has left the host alone, before anything of ours was there: all files are the same, and none has joined
/// them but such as take no room. `ntfs` says that there may be a beginning of a cow file: nothing but a check of Windows
/// makes an NTFS writable.
pub fn left_alone(before: &Original, after: &Path, ntfs: bool, dir: &Path) -> Result<()> {
    let range = before.only_in(after, 0)?;
    let host = Host::reach(after, &range, dir)?;
    files::same(&before.files, &host.at, &|path| (ntfs && path == Path::new(COW)) || is_empty_note(&host, path))?;
    host.end()
}

/// What lies beside a cow file while it is made.
fn is_empty_note(host: &Host, path: &Path) -> bool {
    let facts = host.at.join(path).symlink_metadata();
    path.to_string_lossy().contains(NOTE) && facts.is_ok_and(|facts| facts.is_file() && facts.len() == 0)
}

/// The store of a snapshot: the image with its changes is a sound file system that has the files.
pub fn snapshot(before: &Original, after: &Path, place: Place, wanted: &Area<'_>) -> Result<()> {
    let (merged, _) = merged(before, after, place, false, wanted.dir)?;
    let shown = Shown::whole(&merged)?;
    let mounted = shown.mount(&wanted.dir.join("area"))?;
    has(mounted.at(), wanted.files)?;
    mounted.end()?;
    shown.is_sound()?;
    fs::remove_file(merged).context("removing the image")
}

/// Makes the image with the changes of a store; its path, and the mark beside the store if that is a file. `left` says that no boot has
/// used it since the cut: a reset may have voided it, and nothing more.
fn merged(before: &Original, after: &Path, place: Place, left: bool, dir: &Path) -> Result<(PathBuf, Option<String>)> {
    let (store, merged) = (dir.join("store"), dir.join("merged"));
    let mut mark = None;
    if place == Place::StoreDevice {
        cut_out(after, &before.only_in(after, 1)?, &store)?;
    } else {
        let host = Host::reach(after, &before.only_in(after, 0)?, dir)?;
        let mark_name = format!("{STORE}{MARK}");
        // The mark is replaced as a whole, and begins under another name.
        let ours = [STORE.to_owned(), mark_name.clone(), format!("{mark_name}.new")].map(PathBuf::from);
        files::same(&before.files, &host.at, &|path| ours.iter().any(|ours| ours == path))?;
        sparse::copy(&host.at.join(STORE), &store)?;
        mark = fs::read_to_string(host.at.join(mark_name)).ok();
        host.end()?;
    }
    let origin = before.origin.as_deref().context("a store without an image")?;
    let changes = match left && store::is_being_cleared(&store)? {
        true => Store::empty(),
        false => Store::read(&store)?,
    };
    changes.merge(origin, &store, &merged)?;
    fs::remove_file(store)?;
    Ok((merged, mark))
}

impl Area<'_> {
    /// The range of a disk is this area. The host's kernel need not know dm-crypt.
    fn is(&self, disk: &Path, range: &Range<u64>) -> Result<()> {
        if !self.encrypted {
            return self.holds(&Shown::part(disk, range)?);
        }
        let file = self.dir.join("area.luks");
        cut_out(disk, range, &file)?;
        self.opens(&file)?;
        fs::remove_file(file).context("removing the volume")
    }

    /// A file on a host is this area.
    fn is_file(&self, host: &Host, name: &Path) -> Result<()> {
        let mut path = host.at.join(name);
        if !host.writable {
            let copy = self.dir.join("cow");
            sparse::copy(&path, &copy)?;
            path = copy;
        }
        match self.encrypted {
            true => self.opens(&path),
            false => self.holds(&Shown::whole(&path)?),
        }
    }

    fn opens(&self, volume: &Path) -> Result<()> {
        let inside = self.dir.join("inside");
        volume::decrypt(volume, &inside)?;
        self.holds(&Shown::whole(&inside)?)?;
        fs::remove_file(inside).context("removing what is inside")
    }

    /// The file system is an area of ours, and the files are in its upper layer.
    fn holds(&self, shown: &Shown) -> Result<()> {
        let mounted = shown.mount(&self.dir.join("area"))?;
        let at = mounted.at();
        if self.named {
            has(&files::only(&at.join("LiveOS"), "overlay-ISO-")?, self.files)?;
        } else {
            has(&at.join("rw"), self.files)?;
            let known = fs::read(at.join(MARK)).is_ok_and(|bytes| !bytes.is_empty());
            ensure!(known, "no identity in the area, {}", files::listed(at));
        }
        mounted.end()?;
        shown.is_sound()
    }
}

/// The files with these numbers are in a directory.
fn has(dir: &Path, numbers: &[u32]) -> Result<()> {
    for number in numbers {
        ensure!(has_one(dir, *number)?, "synced-{number} is not what was written, {}", files::listed(dir));
    }
    Ok(())
}

fn has_one(dir: &Path, number: u32) -> Result<bool> {
    let path = dir.join(format!("synced-{number}"));
    Ok(path.exists() && files::holds(&path, &content::bytes(number))?)
}

/// What a reset was cut in, and what the boot after the cut made of it.
#[derive(Clone, Copy, Debug)]
pub struct Emptied<'a> {
    /// Where the changes are.
    pub place: Place,
    /// Whose they were.
    pub old: Old,
    /// What the boot after the cut says.
    pub seen: Seen,
    /// What it says of a deletion that took it too long.
    pub late: Option<&'a str>,
    /// The file that it has written.
    pub afterwards: u32,
    /// Where there is room to look at it.
    pub dir: &'a Path,
}

/// The old changes are there as a whole or not at all, never below another image's, and nothing else changed.
pub fn emptied(before: &Original, after: &Path, cut: &Emptied<'_>) -> Result<()> {
    match cut.place {
        Place::File => cut.file(before, after),
        Place::Directory => cut.directory(before, after),
        Place::StoreFile | Place::StoreDevice => cut.store(before, after),
        Place::Partition | Place::Named | Place::Unused | Place::Given => {
            let range = before.only_in(after, THIRD)?;
            cut.area(&Shown::part(after, &range)?, cut.seen)
        }
    }
}

impl Emptied<'_> {
    /// A cow file. Where another image's was left, this image has its own beside it.
    fn file(&self, before: &Original, after: &Path) -> Result<()> {
        let host = Host::reach(after, &before.only_in(after, 0)?, self.dir)?;
        let own = files::only(&host.at, OWN_COW).ok();
        let is_ours = |path: &Path| path == Path::new(COW) || own == Some(host.at.join(path));
        files::same(&before.files, &host.at, &is_ours)?;
        let seen = match &own {
            Some(_) => Seen::Left,
            None => self.seen,
        };
        ensure!(self.old != Old::Beside || seen == Seen::Left, "it has no file of its own");
        self.area(&Shown::whole(&host.at.join(COW))?, seen)?;
        if let Some(own) = &own {
            let files = [self.afterwards];
            let wanted = Area { files: &files, encrypted: false, named: false, dir: self.dir };
            wanted.holds(&Shown::whole(own)?)?;
        }
        host.end()
    }

    /// A directory on the medium's file system.
    fn directory(&self, before: &Original, after: &Path) -> Result<()> {
        let host = Host::reach(after, &before.only_in(after, 0)?, self.dir)?;
        files::same(&before.files, &host.at, &|path| [DIRECTORY, "ovlwork"].map(Path::new).contains(&path))?;
        let dir = host.at.join(DIRECTORY);
        let found = changes(&dir)?;
        ensure!(found == 0 || found == OLD, "{found} old files are there");
        has(&dir, &[self.afterwards])?;
        host.end()
    }

    /// An automatic area.
    fn area(&self, shown: &Shown, seen: Seen) -> Result<()> {
        let mounted = shown.mount(&self.dir.join("area"))?;
        let at = mounted.at();
        let (mark, found) = (fs::read_to_string(at.join(MARK)).unwrap_or_default(), changes(&at.join("rw"))?);
        let listed = || format!("{}, the mark: {mark}", files::listed(at));
        let allowed: &[u32] = match (seen, self.old) {
            (Seen::Taken, _) => &[0],
            (_, Old::Beside) => &[OLD],
            _ => &[0, OLD],
        };
        ensure!(allowed.contains(&found), "{found} old files are there, {}", listed());
        if seen == Seen::Left {
            ensure!(mark.contains("\"OLD\""), "the mark is ours, {}", listed());
            ensure!(!has_one(&at.join("rw"), self.afterwards)?, "it was written to, {}", listed());
        } else {
            ensure!(mark.contains("\"ISO\""), "the mark is another's, {}", listed());
            has(&at.join("rw"), &[self.afterwards])?;
            // What was set aside is deleted by every boot that writes to the area, or it says that the next one goes on.
            let left = files::listed(at).contains(ASIDE);
            ensure!(!left || self.late.is_some(), "something is left, and the boot did not say so, {}", listed());
        }
        mounted.end()?;
        shown.is_sound()
    }

    /// The store of a snapshot, whose old changes are the files of the first recording.
    fn store(&self, before: &Original, after: &Path) -> Result<()> {
        let (merged, mark) = merged(before, after, self.place, self.seen == Seen::Left, self.dir)?;
        let shown = Shown::whole(&merged)?;
        let mounted = shown.mount(&self.dir.join("area"))?;
        let at = mounted.at();
        let names = files::names(at)?;
        let old: Vec<u32> = (1..=FILES).filter(|number| names.contains(&format!("synced-{number}"))).collect();
        ensure!(old.is_empty() || old.len() == FILES as usize, "of the old files are there: {old:?}");
        has(at, &old)?;
        ensure!(self.seen != Seen::Taken || old.is_empty(), "another image's changes are there");
        if self.place == Place::StoreFile {
            let whose = if self.seen == Seen::Left { "\"OLD\"" } else { "\"STORE\"" };
            ensure!(mark.as_ref().is_some_and(|mark| mark.contains(whose)), "the mark beside the store: {mark:?}");
        }
        match self.seen {
            Seen::Left => ensure!(!has_one(at, self.afterwards)?, "it was written to"),
            Seen::Own | Seen::Taken => has(at, &[self.afterwards])?,
        }
        mounted.end()?;
        shown.is_sound()?;
        fs::remove_file(merged).context("removing the image")
    }
}

/// How many of the old files are in a directory, which must have as many directories for them.
fn changes(dir: &Path) -> Result<u32> {
    let (mut old, mut dirs) = (0, 0);
    // Set aside, and no boot has made a new one.
    if !dir.try_exists()? {
        return Ok(0);
    }
    for name in files::names(dir)?.iter().filter(|name| name.starts_with("dir")) {
        dirs += 1;
        old += u32::from(dir.join(name).join("old").is_file());
    }
    ensure!(old == dirs, "{old} old files in {dirs} directories");
    Ok(old)
}
