//! The proof that a place is empty. Only what is inside a [`Blank`] is ever formatted, and there are six ways to one:
//! free space of the boot disk's table, a partition of it that was read and holds nothing, a device that was named and
//! holds nothing (or is given away, see [`Consent`]), a file that was made just now, and our own area when it is damaged
//! and the operator asked for a reset, as a partition or inside a LUKS volume that somebody had the key of.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rdlive_sys::blkpg;
use rdlive_sys::loopdev::{self, LoopDevice, Setup};
use rustix::fs::{FlockOperation, OFlags, flock, fstat, major, minor};

use super::empty::{self, Extent};
use super::sign::{self, Noted};
use super::unfinished::{self, Note};
use crate::area::TEMPORARY_LABEL;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::Seen;
use crate::format::{self, Kind, Superblock, partition};
use crate::plan::Target;
use crate::plan::crypt::Consent;
use crate::probe::block;
use crate::table::{Disk, Gap, Shown, name};

/// How long somebody else (udev, a partition tool) may hold the disk.
const LOCK_LIMIT: Duration = Duration::from_secs(20);
/// What to do about a given device that is not empty.
const GIVEN: &str = "rd.overlay.crypt=<device>,mkfs=force wipes it at each boot";
/// What to do about a partition that may be ours. An MBR has no names that would tell.
const UNKNOWN: &str = "format it yourself with the label cow, or delete it; rd.live.overlay.reset does that only for a \
                       partition that a GPT names rdlive-cow";
/// How long a place may take to be proven empty: a slow stick reads some GiB in that time.
const PROOF_LIMIT: Duration = Duration::from_secs(120);

/// An empty place, shown as a loop device.
#[derive(Debug)]
pub(super) struct Blank {
    /// The device.
    pub device: LoopDevice,
    /// Its node.
    pub node: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What lies below: synchronised when the work is done. Holds the lock of a disk.
    pub backing: File,
    /// Lies beside a file until that is complete.
    pub note: Option<Note>,
    /// The FAT or exFAT on which a file lies: it is noted once more before the file counts.
    noted: Option<Noted>,
    /// The disk and the partition of it that the kernel was told of before anything is written.
    told: Option<(File, u32)>,
    /// Nobody else may mount a device that was given, or make it a part of another one, until the work is done.
    _claim: Option<File>,
}

impl Blank {
    /// Proves that a target is empty.
    pub(super) fn prove(env: &Env, target: &Target) -> Result<Self, Stop> {
        match target {
            Target::Gap { disk: seen, image, gap } => {
                let disk = &seen.node;
                let backing = locked(env, seen)?;
                check_gap(env, &backing, disk, *image, *gap)?;
                tell_kernel(env, &backing, disk, *gap)?;
                let told = Some((backing.try_clone().map_err(|error| unavailable(disk, &error))?, gap.number));
                let blank = Self::show(env, backing, disk, gap.start, gap.size)?;
                Ok(Self { told, ..blank })
            }
            Target::Partition { disk: seen, start, size } => {
                let disk = &seen.node;
                let backing = locked(env, seen)?;
                let blank = Self::show(env, backing, disk, *start, *size)?;
                let what = format!("a partition of {}", disk.display());
                blank.holds_nothing(Extent::Everything, &what, UNKNOWN)?;
                Ok(blank)
            }
            Target::Discarded { disk: seen, start, size } => {
                let disk = &seen.node;
                let backing = locked(env, seen)?;
                let table = partition::table(&mut &backing, disk_of(&backing, disk, 0, 0)?.size).ok().flatten();
                let entries = table.map(|table| table.partitions).unwrap_or_default();
                let Some(entry) = entries.iter().find(|entry| (entry.start, entry.size) == (*start, *size)) else {
                    return Err(changed(disk, "the partition of the discarded area is not in it"));
                };
                let disk_name = disk.file_name().unwrap_or_default().to_string_lossy();
                is_unused(env, &name::of(&disk_name, entry.number))?;
                Self::show(env, backing, disk, *start, *size)
            }
            Target::Opened { node } => {
                // The kernel says what it is, below: nothing was seen before it was opened.
                let device = &Seen { node: node.clone(), ..Seen::default() };
                let claim = claimed(env, device)?;
                is_opened_volume(env, &claim, node)?;
                let blank = Self::show(env, locked(env, device)?, node, 0, 0)?;
                Ok(Self { _claim: Some(claim), ..blank })
            }
            Target::Device { device } => {
                let claim = claimed(env, device)?;
                let node = &device.node;
                let blank = Self::show(env, locked(env, device)?, node, 0, 0)?;
                blank.holds_nothing(Extent::Samples, &node.display().to_string(), "format it yourself")?;
                Ok(Self { _claim: Some(claim), ..blank })
            }
            Target::Given { device, consent } => {
                let claim = claimed(env, device)?;
                let node = &device.node;
                let blank = Self::show(env, locked(env, device)?, node, 0, 0)?;
                match consent {
                    Consent::Empty => blank.holds_nothing(Extent::Samples, &node.display().to_string(), GIVEN)?,
                    Consent::Forgotten => blank.is_forgotten(node)?,
                    Consent::Anything => {}
                }
                Ok(Self { _claim: Some(claim), ..blank })
            }
            Target::File { path, size, replace } => {
                let (backing, note) = unfinished::begin(env, path, *size, *replace)
                    .map_err(|error| Stop::new(Code::AreaFormat, format!("making {}: {error}", path.display())))?;
                let blank = Self::show(env, backing, path, 0, 0)?;
                Ok(Self { note: Some(note), noted: sign::noted(env, path), ..blank })
            }
        }
    }

    fn show(env: &Env, backing: File, path: &Path, offset: u64, size_limit: u64) -> Result<Self, Stop> {
        let fail =
            |error: io::Error| Stop::new(Code::LoopSetup, format!("a loop device on {}: {error}", path.display()));
        let setup = Setup { offset, size_limit, autoclear: true, sector: sector(&backing), ..Setup::default() };
        let device =
            loopdev::attach(&env.path("dev"), &backing, &env.path(path).to_string_lossy(), setup).map_err(fail)?;
        let node = env.path(format!("dev/loop{}", device.number));
        let size = (&device.device).seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(Self { device, node, size, backing, note: None, noted: None, told: None, _claim: None })
    }

    /// A LUKS volume of ours whose key nobody has.
    fn is_forgotten(&self, node: &Path) -> Result<(), Stop> {
        let found = format::identify(&mut &self.device.device).ok().flatten();
        let ours = |found: &Superblock| found.kind == Kind::Luks && found.label.as_deref() == Some(TEMPORARY_LABEL);
        match found.as_ref().is_some_and(ours) {
            true => Ok(()),
            false => {
                Err(Stop::new(Code::AreaUnavailable, format!("{} is no volume with a forgotten key", node.display())))
            }
        }
    }

    /// Ends the work on it. A file loses its note and is an area from now on; or, when it could not be `made`, gives its room
    /// back.
    pub(super) fn finish(self, made: Result<(), String>) -> Result<(), String> {
        // A loop device holds the file: first it goes, then the file's name.
        let told = self.told.as_ref().and_then(|(disk, number)| Some((disk.try_clone().ok()?, *number)));
        let Self { device, backing, note, noted, .. } = self;
        drop((device, backing));
        if let (Err(_), Some((disk, number))) = (&made, told) {
            // Nothing that the table does not name stays.
            let _ = blkpg::delete_partition(&disk, number);
        }
        let Some(note) = note else { return made };
        if made.is_err() {
            note.give_up();
        }
        if let (Ok(()), Some(noted)) = (&made, noted) {
            noted.note(true);
        }
        made.and_then(|()| note.remove().map_err(|error| format!("removing the note beside it: {error}")))?;
        note.settle();
        Ok(())
    }

    /// Nothing is on it: see [`empty`].
    fn holds_nothing(&self, extent: Extent, place: &str, remedy: &str) -> Result<(), Stop> {
        empty::proof(&self.device.device, self.size, extent, PROOF_LIMIT).map_err(|doubt| {
            Stop::new(Code::AreaUnavailable, format!("{place} is not empty: {doubt}"))
                .advice(format!("if nothing on it is needed, {remedy}"))
        })
    }
}

/// Opens a disk for writing, under the lock that udev and partition tools respect.
///
/// # Errors
/// Also when it is another one than was seen when the plan was made.
pub(super) fn locked(env: &Env, seen: &Seen) -> Result<File, Stop> {
    let disk = &seen.node;
    let fail = |cause: String| Stop::new(Code::AreaUnavailable, format!("{}: {cause}", disk.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(env.path(disk))
        .map_err(|error| fail(format!("opening it for writing: {error}")))?;
    let begin = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return still(env, file, seen),
            // udev holds the lock for the milliseconds of a probe, and tells nobody when it lets go.
            Err(rustix::io::Errno::WOULDBLOCK) if begin.elapsed() < LOCK_LIMIT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(fail(format!("another program holds its lock: {error}"))),
        }
    }
}

/// A partition whose disk is in use cannot be claimed, so the kernel's tables are asked: an area that somebody has mounted
/// is not damaged, only busy.
fn is_unused(env: &Env, partition: &str) -> Result<(), Stop> {
    let node = format!("/dev/{partition}");
    let number = env.text(Path::new("sys/class/block").join(partition).join("dev"));
    let mounts = env.text("proc/self/mountinfo").unwrap_or_default();
    let mounted = mounts.lines().any(|line| {
        let (mount, what) = line.split_once(" - ").unwrap_or_default();
        mount.split(' ').nth(2).is_some_and(|dev| number.as_deref() == Some(dev))
            || what.split(' ').nth(1) == Some(&node)
    });
    let holders = std::fs::read_dir(env.path(Path::new("sys/class/block").join(partition).join("holders")));
    match mounted || holders.is_ok_and(|mut holders| holders.next().is_some()) {
        false => Ok(()),
        true => Err(Stop::new(Code::AreaUnavailable, format!("{node} is in use, so it is not made anew"))),
    }
}

/// Claims a whole device: refused while it is mounted or part of another device, and nobody else gets it for that while the
/// file is open. [`locked`] waits for udev, whose rules may do just that.
fn claimed(env: &Env, seen: &Seen) -> Result<File, Stop> {
    let node = &seen.node;
    let claim = i32::try_from(OFlags::EXCL.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(claim).open(env.path(node)).map_err(|error| {
        Stop::new(Code::AreaUnavailable, format!("{} is in use or cannot be opened: {error}", node.display()))
    })?;
    still(env, file, seen)
}

/// The open device, if it is the one that was seen.
pub(super) fn still(env: &Env, file: File, seen: &Seen) -> Result<File, Stop> {
    match block::is_still(env, &file, seen) {
        Ok(()) => Ok(file),
        Err(why) => {
            let cause = format!("{} is not the device any more that was looked at: {why}", seen.node.display());
            Err(Stop::new(Code::AreaUnavailable, cause)
                .advice("nothing was written; leave the disks plugged in and boot again"))
        }
    }
}

/// The kernel says that it is a LUKS volume which is open: then somebody had its key.
fn is_opened_volume(env: &Env, device: &File, node: &Path) -> Result<(), Stop> {
    let number = fstat(device).map(|facts| (major(facts.st_rdev), minor(facts.st_rdev)));
    let uuid = number.ok().and_then(|(major, minor)| env.text(format!("sys/dev/block/{major}:{minor}/dm/uuid")));
    match uuid.is_some_and(|uuid| uuid.starts_with("CRYPT-LUKS")) {
        true => Ok(()),
        false => Err(Stop::new(Code::AreaUnavailable, format!("{} is no opened LUKS volume", node.display()))),
    }
}

/// The partitions that the kernel shows, without the gap of which it was told.
pub(super) fn others_shown(env: &Env, file: &File, disk: &Path, gap: Gap) -> Result<Vec<Shown>, Stop> {
    let mut shown = block::shown(env, file).map_err(|error| unavailable(disk, &error))?;
    shown.retain(|part| !part.is(gap));
    Ok(shown)
}

fn unavailable(disk: &Path, error: &io::Error) -> Stop {
    Stop::new(Code::AreaUnavailable, format!("{}: {error}", disk.display()))
}

/// The kernel is told of the new partition before anything is written: it forgets that with the next boot, and refuses what
/// meets a partition that it shows already.
fn tell_kernel(env: &Env, file: &File, disk: &Path, gap: Gap) -> Result<(), Stop> {
    let shown = block::shown(env, file).map_err(|error| unavailable(disk, &error))?;
    if shown.iter().any(|part| part.is(gap)) {
        // From an attempt in this boot. Nobody may have taken it since.
        let disk_name = disk.file_name().unwrap_or_default().to_string_lossy();
        return is_unused(env, &name::of(&disk_name, gap.number));
    }
    blkpg::add_partition(file, gap.number, gap.start, gap.size).map_err(|error| {
        let cause = format!("{}: the kernel does not take a new partition {gap}: {error}", disk.display());
        Stop::new(Code::AreaPartition, cause).advice("nothing was written; see what uses the disk: lsblk")
    })
}

/// The tables as they are now must still have the gap that the plan was made for.
fn check_gap(env: &Env, file: &File, disk: &Path, image: u64, gap: Gap) -> Result<(), Stop> {
    let shown = others_shown(env, file, disk, gap)?;
    let now = disk_of(file, disk, image, gap.size)?.gap(&mut &*file, &shown);
    match now {
        Ok(found) if found == gap => Ok(()),
        Ok(found) => Err(changed(disk, &format!("the gap is now {found}, planned was {gap}"))),
        Err(error) => Err(changed(disk, &error.to_string())),
    }
}

pub(super) fn changed(disk: &Path, words: &str) -> Stop {
    Stop::new(Code::AreaPartition, format!("the partition table of {} has changed: {words}", disk.display()))
}

/// Geometry of an open disk.
pub(super) fn disk_of(file: &File, disk: &Path, image: u64, least: u64) -> Result<Disk, Stop> {
    let mut seeking = file;
    let size = seeking
        .seek(SeekFrom::End(0))
        .map_err(|error| Stop::new(Code::AreaUnavailable, format!("{}: its size: {error}", disk.display())))?;
    Ok(Disk { size, sector: sector(file), image, least })
}

/// Bytes per logical sector of an open disk or partition; 512 for a file.
pub fn sector(file: &File) -> u32 {
    rustix::fs::ioctl_blksszget(file).unwrap_or(512)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// attacks.md F5: the disks were swapped while somebody was asked for a key. Needs root.
    #[test]
    fn loop_f5_another_disk_under_the_same_name_is_not_written_to() {
        let losetup = |arguments: &[&str]| {
            let output = std::process::Command::new("losetup").args(arguments).output().unwrap();
            assert!(output.status.success(), "losetup {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let env = Env::default();
        let dir = tempfile::tempdir().unwrap();
        let [named, other] = ["named", "other"].map(|name| {
            let path = dir.path().join(name);
            File::create(&path).unwrap().set_len(4 << 20).unwrap();
            path.to_str().unwrap().to_owned()
        });
        let node = losetup(&["--find", "--show", &named]);
        let seen = block::device(&env, node.strip_prefix("/dev/").unwrap()).unwrap().seen();
        assert!(seen.sequence.is_some(), "this kernel numbers its disks");
        let given = Target::Given { device: seen.clone(), consent: Consent::Anything };
        Blank::prove(&env, &given).unwrap().finish(Ok(())).unwrap();
        losetup(&["--detach", &node]);
        losetup(&[&node, &other]);
        for target in [given, Target::Device { device: seen.clone() }] {
            let stop = Blank::prove(&env, &target).unwrap_err();
            assert!(stop.cause.contains("another disk has its name"), "{:?}", stop.lines());
            assert!(stop.advice.contains("nothing was written"), "{:?}", stop.lines());
        }
        losetup(&["--detach", &node]);
    }

    /// A loop device stands for the given one; needs root.
    #[test]
    fn loop_what_was_given_is_claimed_until_the_work_is_done() {
        let env = Env::default();
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 20).unwrap();
        let given = loopdev::attach(Path::new("/dev"), &file, "given", Setup { autoclear: true, ..Setup::default() });
        let given = given.unwrap();
        let node = PathBuf::from(format!("/dev/loop{}", given.number));
        let seen = || Seen { node: node.clone(), ..Seen::default() };
        for target in [Target::Device { device: seen() }, Target::Given { device: seen(), consent: Consent::Empty }] {
            let blank = Blank::prove(&env, &target).unwrap();
            let why = claimed(&env, &seen()).err().map(|stop| stop.cause).unwrap_or_default();
            assert!(why.contains("is in use"), "{target:?}: {why}");
            blank.finish(Ok(())).unwrap();
            drop(claimed(&env, &seen()).unwrap());
        }
    }
}
