//! The steps of a persistent area: format, partition, check, mark, empty.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdlive_sys::loopdev::{self, Setup};
use rustix::io::Errno;

use super::apply::Executor;
use super::blank::{self, Blank, MakeError};
use super::mount;
use super::programs::{self, Tool};
use super::sign::{self, Noted};
use super::unwind::Undo;
use super::witness::Witness;
use crate::area::{IDENTITY_FILE, Identity, Obstacle};
use crate::config::Access;
use crate::error::{Code, Stop};
use crate::facts::Seen;
use crate::foreign;
use crate::format::{self, Kind};
use crate::json;
use crate::kmsg::NOTICE;
use crate::mountinfo;
use crate::plan::Slot;
use crate::plan::act::{AreaAct, Target};
use crate::plan::programs::mkfs;
use crate::probe::block;
use crate::random;
use crate::table::Gap;

/// A slow stick writes a journal at a few MB/s.
const MKFS_LIMIT: Duration = Duration::from_secs(600);
/// Wiped at both ends before a file system is made: signatures, old superblocks, RAID. The farthest from the start is one of VMFS,
/// behind two MiB; from the end Promise's, 3087 sectors away (both found by generated disks).
const WIPED: u64 = 3 << 20;
/// A journal for a stick: the default of a large file system takes minutes to write.
const LARGE: u64 = 1 << 30;
/// A mark has 200 bytes; nobody's file is read into memory to learn that it is none.
const LONGEST_MARK: u64 = 64 << 10;

impl Executor<'_> {
    pub(super) fn area_act(&mut self, act: &AreaAct) -> Result<(), Stop> {
        match act {
            AreaAct::Format { target, fs, label } => self.format(target, *fs, label.as_deref())?,
            AreaAct::AddPartition { disk, image, gap } => self.add_partition(disk, *image, *gap)?,
            AreaAct::Window { disk, start, size, access, into } => self.window(disk, *start, *size, *access, *into)?,
            AreaAct::Check { what, fs } => self.check(*what, *fs)?,
            AreaAct::Repair { what, always } => self.repair(*what, *always)?,
            AreaAct::Mend { what } => self.mend(*what)?,
            AreaAct::Sign { at } => sign::sign(self.env, &self.env.path(at)),
            AreaAct::Identity { at, image, accept, write } => self.identity(at, image, *accept, *write)?,
            AreaAct::MakeDir { path } => self.directory(path)?,
            AreaAct::SetAside { upper, work } => self.set_aside(upper, work)?,
            AreaAct::Mark { at, image } => self.mark_area(at, image)?,
            AreaAct::Sweep { dir } => self.sweep(dir),
        }
        Ok(())
    }

    fn format(&mut self, target: &Target, fs: Kind, label: Option<&str>) -> Result<(), Stop> {
        let what = format!("making an {} for changes in {}", fs.name(), target.to_string().trim_end_matches(','));
        log::info!(target: NOTICE, "{what}");
        self.watchdog.telling(&what, || self.format_quietly(target, fs, label))?;
        self.repaired = false;
        self.note(format!("made {target} {}", fs.name()));
        Ok(())
    }

    fn format_quietly(&self, target: &Target, fs: Kind, label: Option<&str>) -> Result<(), Stop> {
        // The program first: without it nothing is made, not even an empty file.
        let (program, arguments) = self.mkfs(fs)?;
        let blank = Blank::prove(self.env, target)?;
        let failed = |error: MakeError| Stop::new(Code::AreaFormat, format!("{target}: {error}"));
        finished(blank, |blank| fill(blank, &program, arguments, fs, label)).map_err(failed)
    }

    /// The program that makes a file system, and its arguments up to label and device.
    pub(super) fn mkfs(&self, fs: Kind) -> Result<(Tool, Vec<&'static str>), Stop> {
        let none = || Stop::new(Code::AreaFormat, format!("{} is not ext4, xfs or btrfs", fs.name()));
        let (program, arguments) = mkfs(fs).ok_or_else(none)?;
        Ok((programs::find(self.env, self.programs.as_deref(), &program)?, arguments.split(' ').collect()))
    }

    fn add_partition(&mut self, seen: &Seen, image: u64, gap: Gap) -> Result<(), Stop> {
        let witness = Witness::of_disk(self.env, seen)?;
        let (disk, mut file) = (&seen.node, witness.file());
        let failed = |cause: String| Stop::new(Code::AreaPartition, format!("{}: {cause}", disk.display()));
        let random = random::sixteen(self.env).map_err(|error| failed(format!("random numbers: {error}")))?;
        let geometry = witness.geometry(disk, image, gap.size)?;
        let shown = witness.others_shown(self.env, disk, gap)?;
        let addition = geometry.addition(&mut file, &shown, random).map_err(|error| blank::no_gap(disk, error))?;
        if addition.gap != gap {
            return Err(blank::changed(disk, &format!("the gap is now {}, planned was {gap}", addition.gap)));
        }
        for write in &addition.writes {
            let done = file.write_all_at(&write.bytes, write.offset).and_then(|()| file.sync_data());
            done.map_err(|error| failed(format!("writing {}: {error}", write.what)))?;
        }
        self.note(format!("added partition {gap} to {}", disk.display()));
        Ok(())
    }

    fn window(&mut self, disk: &Seen, offset: u64, size_limit: u64, access: Access, into: Slot) -> Result<(), Stop> {
        let (seen, disk) = (disk, &disk.node);
        let fail = |error: io::Error| Stop::new(Code::LoopSetup, format!("a window into {}: {error}", disk.display()));
        let read_only = access == Access::ReadOnly;
        let witness = Witness::of(self.env, self.env.path(disk), seen, access)?;
        let sector = block::sector(witness.file());
        let setup = Setup { offset, size_limit, read_only, autoclear: true, sector, ..Setup::default() };
        let name = witness.node().to_string_lossy();
        let device = loopdev::attach(&self.env.path("dev"), witness.file(), &name, setup).map_err(fail)?;
        let node = self.env.path(format!("dev/loop{}", device.number));
        self.hold(into, node, Some(device));
        Ok(())
    }

    pub(super) fn remount(&mut self, at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        mount::allow_writes(&target).map_err(|error| {
            Stop::new(Code::AreaUnavailable, error.to_string())
                .advice("is its write protection on, or does it need a repair (dmesg says; an NTFS is repaired by chkdsk in Windows)?")
        })?;
        sign::sign(self.env, &target);
        // Of a FAT that others have used meanwhile it says nothing any more, and from here on a power cut would leave it marked.
        sign::noted(self.env, at).iter().for_each(Noted::renew);
        self.undo(Undo::ReadOnly(target));
        Ok(())
    }

    pub(super) fn unmount(&mut self, at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        let source = mountinfo::at(&mountinfo::all(self.env), &target).map(|mount| mount.source.clone());
        mount::release_patiently(&target).map_err(|error| Stop::new(Code::MediumMount, error.to_string()))?;
        self.undone(&target);
        if let Some(node) = source.filter(|source| source.starts_with('/')) {
            mount::forgotten(Path::new(&node));
        }
        Ok(())
    }

    fn identity(&mut self, at: &Path, image: &Identity, accept: bool, write: bool) -> Result<(), Stop> {
        self.identity_in(&self.env.path(at), Path::new(IDENTITY_FILE), image, accept, write)
    }

    /// As [`Executor::identity`]; a store has its mark beside it, `<name>.rdlive-identity`.
    pub(super) fn store_identity(
        &mut self,
        store: &Path,
        image: &Identity,
        accept: bool,
        write: bool,
    ) -> Result<(), Stop> {
        let path = mark_of(&self.env.path(store));
        let name = Path::new(path.file_name().unwrap_or_default());
        self.identity_in(path.parent().unwrap_or(Path::new("/")), name, image, accept, write)?;
        // A file that is new changes what was noted of the file system.
        sign::noted(self.env, store).iter().filter(|_| write).for_each(Noted::note);
        Ok(())
    }

    fn identity_in(
        &mut self,
        dir: &Path,
        name: &Path,
        image: &Identity,
        accept: bool,
        write: bool,
    ) -> Result<(), Stop> {
        let path = dir.join(name);
        // Whose it is has not been said then, so only a broken structure counts as damage.
        let failed = |error: io::Error| Stop::new(verdict(&error), format!("{}: {error}", path.display()));
        let known = foreign::read(dir, name, LONGEST_MARK);
        let owner = match known.and_then(|bytes| Ok(json::read::<Identity>(&bytes)?)) {
            Ok(owner) if owner.same_image(image) => return Ok(()),
            Ok(owner) => Some(owner.to_string()),
            // A top directory that the checker has made is all that is left. What lay beside it then is not to be trusted either: e2fsck
            // 1.47.2 lets files get the inode of the list of orphans, which the kernel refuses later (found by encrypt/T-33).
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.repaired
                    && holds_nothing(dir).map_err(failed)? =>
            {
                return Err(Stop::new(Code::AreaDamaged, "the repair has left nothing of the area".to_owned()));
            }
            // Made by kiwi-live, or by us in a boot that was cut short here: it is told now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if is_no_mark(&error) => Some("an image that its mark does not name".to_owned()),
            Err(error) => return Err(failed(error)),
        };
        match owner {
            Some(owner) if !accept => {
                return Err(Obstacle::made_for(owner, image).into());
            }
            Some(owner) => {
                let note = format!("taken over from {owner}");
                // A store is asked before it is cleared and marked behind that.
                self.note_once(note);
            }
            None => {}
        }
        if write { mark(&path, image).map_err(failed) } else { Ok(()) }
    }

    /// Tells an area whose content is gone which image it is for.
    fn mark_area(&mut self, at: &Path, image: &Identity) -> Result<(), Stop> {
        let path = self.env.path(at).join(IDENTITY_FILE);
        let known = foreign::read(&self.env.path(at), Path::new(IDENTITY_FILE), LONGEST_MARK).ok();
        let known = known.and_then(|bytes| json::read::<Identity>(&bytes).ok());
        if known.is_some_and(|owner| owner.same_image(image)) {
            return Ok(());
        }
        let marked = match mark(&path, image) {
            // What was set aside still has all the room.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.sweep(at);
                mark(&path, image)
            }
            marked => marked,
        };
        marked.map_err(|error| Stop::new(verdict(&error), format!("{}: {error}", path.display())))
    }
}

/// Whether the top of a file system has nothing but what its checker makes.
fn holds_nothing(top: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(top)? {
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What an error in an area says about it. Only the kernel's own verdict on a structure is damage, which a reset may make anew:
/// a full disk, an attribute, a cable or somebody who uses it are none.
pub(super) fn verdict(error: &io::Error) -> Code {
    match Errno::from_io_error(error).is_some_and(mount::is_damage) {
        true => Code::AreaDamaged,
        false => Code::AreaUnavailable,
    }
}

/// Does the work on a blank and waits until it is on the disk. A new file counts when that is done, and is given up
/// otherwise.
pub(super) fn finished(blank: Blank, work: impl FnOnce(&Blank) -> Result<(), MakeError>) -> Result<(), MakeError> {
    let synchronised = |blank: &Blank| blank.device.device.sync_all().and_then(|()| blank.below.file().sync_all());
    let filled =
        work(&blank).and_then(|()| synchronised(&blank).map_err(|error| MakeError::Io("writing it".to_owned(), error)));
    blank.finish(filled)
}

/// Makes the file system and waits until it is on the disk.
fn fill(
    blank: &Blank,
    program: &Tool,
    fixed: Vec<&'static str>,
    fs: Kind,
    label: Option<&str>,
) -> Result<(), MakeError> {
    wipe(blank)?;
    let uuid = blank.uuid().map(|uuid| uuid_arguments(fs, uuid)).unwrap_or_default();
    let mut arguments: Vec<&str> = fixed;
    arguments.extend(uuid.iter().map(String::as_str));
    make(program, &arguments, fs, label, &blank.node, blank.size)?;
    let durable = blank.device.device.sync_all().and_then(|()| blank.below.file().sync_all());
    durable.map_err(|error| MakeError::Io("writing it".to_owned(), error))?;
    let found = format::identify(&mut &blank.device.device).ok().flatten();
    match found.is_some_and(|found| found.kind == fs) {
        true => Ok(()),
        false => Err(MakeError::Nothing { program: program.to_string(), what: fs.name().to_owned() }),
    }
}

/// Makes a file system with the program that [`Executor::mkfs`] has found. `size` is in bytes.
pub(super) fn make(
    program: &Tool,
    arguments: &[&str],
    fs: Kind,
    label: Option<&str>,
    node: &Path,
    size: u64,
) -> Result<(), MakeError> {
    let mut all = arguments.to_vec();
    if fs == Kind::Ext4 && size >= LARGE {
        all.extend(["-J", "size=32"]);
    }
    if let Some(label) = label {
        all.extend(["-L", label]);
    }
    Ok(program.successful(program.run(&all, node, MKFS_LIMIT)?)?)
}

/// Zeros both ends, so that no tool asks about what was there and nothing old is ever found again.
pub(super) fn wipe(blank: &Blank) -> Result<(), MakeError> {
    let length = WIPED.min(blank.size);
    let zeros = vec![0; usize::try_from(length).unwrap_or_default()];
    let device = &blank.device.device;
    let mut ends = [0, blank.size - length].into_iter();
    let wiped = ends.try_for_each(|offset| device.write_all_at(&zeros, offset));
    wiped.and_then(|()| device.sync_data()).map_err(|error| MakeError::Io("wiping old signatures".to_owned(), error))
}

/// How mkfs is told the UUID.
fn uuid_arguments(fs: Kind, uuid: &str) -> Vec<String> {
    match fs {
        Kind::Xfs => vec!["-m".to_owned(), format!("uuid={uuid}")],
        _ => vec!["-U".to_owned(), uuid.to_owned()],
    }
}

/// Where the mark of a store is.
pub(super) fn mark_of(store: &Path) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_owned();
    name.push(IDENTITY_FILE);
    store.with_file_name(name)
}

/// Writes the mark as a whole or not at all.
pub(super) fn mark(path: &Path, image: &Identity) -> io::Result<()> {
    foreign::replace(path, &json::lines(image)?)
}

/// It is there and can be read, and says nothing. serde_json reports text that ends too early as an end of file.
fn is_no_mark(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
