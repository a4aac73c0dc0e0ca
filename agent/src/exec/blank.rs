//! The proof that a place is empty. Only what is inside a [`Blank`] is ever formatted, and there are six ways to one:
//! free space of the boot disk's table, a partition of it that was read and holds nothing, a device that was named and
//! holds nothing (or is given away, see [`Consent`]), a file that was made just now, and our own area when it is damaged
//! and the operator asked for a reset, as a partition or inside a LUKS volume that somebody had the key of.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdlive_sys::blkpg;
use rdlive_sys::loopdev::{self, LoopDevice, Setup};

use super::cryptsetup::VolumeError;
use super::sign::{self, Noted};
use super::tool::ToolError;
use super::unfinished::{self, Host, Room};
use super::witness::Witness;
use crate::area::{NoGap, TEMPORARY_LABEL};
use crate::env::Env;
use crate::error::{CHECK_IT, Code, Stop, is_damage};
use crate::format::{self, Kind, Superblock, partition};
use crate::plan::act::{Consent, Replace, Target};
use crate::probe::begun::{self, Begun};
use crate::probe::block;
use crate::probe::empty::{self, Extent};
use crate::probe::unfinished::Note;
use crate::random;
use crate::table::{Gap, TableError};

/// What to do about a given device that is not empty.
const GIVEN: &str =
    "rd.overlay.crypt=PARTUUID=…,mkfs=force wipes it at each boot (a path in /dev/disk/by-id does, too)";
/// What to do about a partition that may be ours. An MBR has no names that would tell.
const UNKNOWN: &str = "format it yourself with the label cow, or delete it; rd.live.overlay.reset does that only for a \
                       partition that a GPT names rdlive-cow";
/// How long a place may take to be proven empty: a slow stick reads some GiB in that time.
pub(super) const PROOF_LIMIT: Duration = Duration::from_secs(120);

/// An empty place, shown as a loop device.
#[derive(Debug)]
pub(super) struct Blank {
    /// The device.
    pub device: LoopDevice,
    /// Its node.
    pub node: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What lies below: synchronised when the work is done.
    pub below: Witness,
    /// Lies beside a file until that is complete.
    pub note: Option<Note>,
    /// The FAT or exFAT on which a file lies: it is noted once more before the file counts.
    noted: Option<Noted>,
    /// The partition that the kernel was told of before anything is written.
    told: Option<u32>,
    /// What says at the end of a device or a partition that it is not complete.
    begun: Option<Begun>,
}

impl Blank {
    /// Proves that a target is empty.
    pub(super) fn prove(env: &Env, target: &Target) -> Result<Self, Stop> {
        match target {
            Target::Gap { disk: seen, image, gap } => {
                let disk = &seen.node;
                let witness = Witness::of_disk(env, seen)?;
                check_gap(env, &witness, disk, *image, *gap)?;
                witness.tell_kernel(env, disk, *gap)?;
                let blank = Self::show(env, witness, disk, gap.start, gap.size)?;
                Ok(Self { told: Some(gap.number), ..blank })
            }
            Target::Partition { disk: seen, start, size } => {
                let disk = &seen.node;
                let witness = Witness::of_disk(env, seen)?;
                witness.partition_unused(env, disk, *start, *size)?;
                let what = format!("a partition of {}", disk.display());
                Self::empty(env, witness, (disk, &what), (*start, *size), Extent::Everything, UNKNOWN)
            }
            Target::Discarded { disk: seen, start, size } => {
                let disk = &seen.node;
                let witness = Witness::of_disk(env, seen)?;
                let bytes = witness.geometry(disk, 0, 0)?.size;
                let table = partition::table(&mut witness.file(), bytes).ok().flatten();
                let entries = table.map(|table| table.partitions).unwrap_or_default();
                if !entries.iter().any(|entry| (entry.start, entry.size) == (*start, *size)) {
                    return Err(changed(disk, "the partition of the discarded area is not in it"));
                }
                witness.partition_unused(env, disk, *start, *size)?;
                Self::show(env, witness, disk, *start, *size)
            }
            Target::Opened { node } => Self::show(env, Witness::of_volume(env, node)?, node, 0, 0),
            Target::Device { device } => {
                let (node, witness) = (&device.node, Witness::of_unused(env, device)?);
                let size = witness.geometry(node, 0, 0)?.size;
                let what = node.display().to_string();
                Self::empty(env, witness, (node, &what), (0, size), Extent::Samples, "format it yourself")
            }
            Target::Given { device, consent } => {
                let (node, witness) = (&device.node, Witness::of_unused(env, device)?);
                if *consent == Consent::Empty {
                    let size = witness.geometry(node, 0, 0)?.size;
                    let what = node.display().to_string();
                    return Self::empty(env, witness, (node, &what), (0, size), Extent::Samples, GIVEN);
                }
                let blank = Self::show(env, witness, node, 0, 0)?;
                if *consent == Consent::Forgotten {
                    blank.is_forgotten(node)?;
                }
                Ok(blank)
            }
            Target::File { path, size, replace } => Self::new_file(env, path, *size, *replace),
        }
    }

    /// A file that is made now.
    fn new_file(env: &Env, path: &Path, size: u64, replace: Replace) -> Result<Self, Stop> {
        let (file, note, noted) = begin(env, path, size, replace, Room::Reserved)?;
        // From here on only the content of the file changes: whoever finds another state was not alone on it.
        noted.iter().for_each(Noted::note);
        let blank = Self::show(env, Witness::of_new_file(env, file, path), path, 0, 0)?;
        Ok(Self { note: Some(note), noted, ..blank })
    }

    fn show(env: &Env, below: Witness, path: &Path, offset: u64, size_limit: u64) -> Result<Self, Stop> {
        let fail =
            |error: io::Error| Stop::new(Code::LoopSetup, format!("a loop device on {}: {error}", path.display()));
        let sector = block::sector(below.file());
        let setup = Setup { offset, size_limit, autoclear: true, sector, ..Setup::default() };
        let device =
            loopdev::attach(&env.path("dev"), below.file(), &env.path(path).to_string_lossy(), setup).map_err(fail)?;
        let node = env.path(format!("dev/loop{}", device.number));
        let size = (&device.device).seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(Self { device, node, size, below, note: None, noted: None, told: None, begun: None })
    }

    /// A place that holds nothing (see [`empty`]), or what an attempt of ours has left there that was cut short. From here on it says that
    /// something is being made.
    fn empty(
        env: &Env,
        below: Witness,
        (path, what): (&Path, &str),
        (base, size): (u64, u64),
        extent: Extent,
        remedy: &str,
    ) -> Result<Self, Stop> {
        let begun = Begun::known(below.file(), base, size);
        if begun.is_none() {
            empty::proof_from(below.file(), base, size, extent, PROOF_LIMIT).map_err(|doubt| {
                Stop::new(Code::AreaUnavailable, format!("{what} is not empty: {doubt}"))
                    .advice(format!("if nothing on it is needed, {remedy}"))
            })?;
        }
        let failed = |error: io::Error| Stop::new(Code::AreaFormat, format!("{what}: {error}"));
        let begun = match begun {
            Some(begun) => Some(begun),
            None => {
                let uuid = random::uuid_v4(env).map_err(failed)?;
                Begun::begin(below.file(), base, size, uuid).map_err(failed)?
            }
        };
        let limit = if begun.is_some() { size - begun::ROOM } else { size };
        Ok(Self { begun, ..Self::show(env, below, path, base, limit)? })
    }

    /// The UUID by which what is being made is known until it is complete.
    pub(super) fn uuid(&self) -> Option<&str> {
        let note = self.note.as_ref().map(|note| note.uuid.as_str());
        note.or(self.begun.as_ref().map(|begun| begun.uuid.as_str()))
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
    pub(super) fn finish(self, made: Result<(), MakeError>) -> Result<(), MakeError> {
        let Self { device, below, note, noted, told, begun, .. } = self;
        // A loop device holds what lies below: first it goes, then the partition's or the file's name.
        drop(device);
        if let (Err(_), Some(number)) = (&made, told) {
            // Nothing that the table does not name stays.
            let _ = blkpg::delete_partition(below.file(), number);
        }
        // What could not be made stays unfinished, for a later boot.
        let committed = match begun.filter(|_| made.is_ok()) {
            Some(begun) => {
                begun.commit(below.file()).map_err(|error| MakeError::Io("its last block".to_owned(), error))
            }
            None => Ok(()),
        };
        drop(below);
        let made = made.and(committed);
        let Some(note) = note else { return made };
        if made.is_err() {
            noted.iter().for_each(Noted::begin);
            note.give_up(|| noted.iter().for_each(Noted::note));
        } else {
            noted.iter().for_each(Noted::note);
        }
        made.and_then(|()| {
            note.remove().map_err(|error| MakeError::Io("removing the note beside it".to_owned(), error))
        })?;
        note.settle();
        Ok(())
    }
}

/// Makes a file of zeros of this length, the note that lies beside it until it is complete, and that of the FAT or exFAT around it.
pub(super) fn begin(
    env: &Env,
    path: &Path,
    size: u64,
    replace: Replace,
    room: Room,
) -> Result<(File, Note, Option<Noted>), Stop> {
    // Below the directories that are made for it nothing is mounted.
    let noted = sign::noted(env, path);
    let told = |host: Host| {
        noted.iter().for_each(|noted| match host {
            Host::Changes => noted.begin(),
            Host::Stays => noted.renew(),
            // Otherwise a host that a power cut has left marked would be refused from now on.
            Host::GotBack => noted.note(),
        });
    };
    let (file, note) = unfinished::begin(env, path, (size, room), replace, told).map_err(|error| {
        let stop = Stop::new(Code::AreaFormat, format!("making {}: {error}", path.display()));
        match error.kind() {
            // Nobody's file is replaced.
            io::ErrorKind::Other => stop.advice("remove or rename it to get a new one"),
            kind if is_damage(&error) || kind == io::ErrorKind::InvalidInput => stop.advice(CHECK_IT),
            _ => stop,
        }
    })?;
    Ok((file, note, noted))
}

/// Why what was to be made on a blank is not complete.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    /// A program.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The encrypted volume around it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// What was being done, and what the kernel says.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// The program says that all is well.
    #[error("{program} left no {what}")]
    Nothing {
        /// The program.
        program: String,
        /// What is missing.
        what: String,
    },
}

/// The tables as they are now must still have the gap that the plan was made for.
fn check_gap(env: &Env, witness: &Witness, disk: &Path, image: u64, gap: Gap) -> Result<(), Stop> {
    let shown = witness.others_shown(env, disk, gap)?;
    match witness.geometry(disk, image, gap.size)?.gap(&mut witness.file(), &shown) {
        Ok(found) if found == gap => Ok(()),
        Ok(found) => Err(changed(disk, &format!("the gap is now {found}, planned was {gap}"))),
        Err(error) => Err(no_gap(disk, error)),
    }
}

/// The tables have no gap any more.
pub(super) fn no_gap(disk: &Path, error: TableError) -> Stop {
    let why = NoGap::Table(error);
    changed(disk, &why.to_string()).advice(why.remedy())
}

pub(super) fn changed(disk: &Path, words: &str) -> Stop {
    Stop::new(Code::AreaPartition, format!("the partition table of {} has changed: {words}", disk.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Seen;

    /// attacks.md F5: the disks were swapped while somebody was asked for a key. Needs root.
    #[test]
    fn loop_f5_another_disk_under_the_same_name_is_not_written_to() {
        let env = Env::default();
        let dir = tempfile::tempdir().unwrap();
        let [named, other] = ["named", "other"].map(|name| {
            let path = dir.path().join(name);
            let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
            file.set_len(4 << 20).unwrap();
            file
        });
        let (dev, setup) = (Path::new("/dev"), Setup { autoclear: true, ..Setup::default() });
        let device = loopdev::attach(dev, &named, "named", setup).unwrap();
        let number = device.number;
        let seen = block::device(&env, &format!("loop{number}")).unwrap().seen();
        assert!(seen.sequence.is_some(), "this kernel numbers its disks");
        let given = Target::Given { device: seen.clone(), consent: Consent::Anything };
        Blank::prove(&env, &given).unwrap().finish(Ok(())).unwrap();
        drop(device);
        let _other = loopdev::attach_to(dev, number, &other, "other", setup).unwrap();
        for target in [given, Target::Device { device: seen.clone() }] {
            let stop = Blank::prove(&env, &target).unwrap_err();
            assert!(stop.cause.contains("another disk has its name"), "{:?}", stop.lines());
            assert!(stop.advice.contains("nothing was written"), "{:?}", stop.lines());
        }
    }

    /// The same disk, but somebody else has changed its table meanwhile, or the kernel has another view of it; needs root.
    #[test]
    fn loop_f5_a_disk_whose_partitions_have_changed_is_not_written_to() {
        let env = Env::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let sfdisk = |script: &str| {
            let path = file.path().to_str().unwrap();
            let command = format!("printf '{script}' | sfdisk -q --no-reread --no-tell-kernel {path}");
            assert!(std::process::Command::new("sh").args(["-ec", &command]).status().unwrap().success(), "{script}");
        };
        sfdisk("label: gpt\\nstart=2048, size=8192\\nstart=20480, size=8192\\n");
        let disk =
            loopdev::attach(Path::new("/dev"), file.as_file(), "disk", Setup { autoclear: true, ..Setup::default() });
        let disk = disk.unwrap();
        let seen = block::device(&env, &format!("loop{}", disk.number)).unwrap().seen();
        assert_eq!(seen.table, [1 << 20, 10 << 20]);
        let refused = |target: &Target| Blank::prove(&env, target).unwrap_err();
        let partition = Target::Partition { disk: seen.clone(), start: 10 << 20, size: 4 << 20 };
        Blank::prove(&env, &partition).unwrap().finish(Ok(())).unwrap();

        blkpg::add_partition(&disk.device, 5, 12 << 20, 8 << 20).unwrap();
        let stop = refused(&partition);
        assert!(stop.cause.contains("the kernel shows partition 5 at another place"), "{:?}", stop.lines());
        blkpg::delete_partition(&disk.device, 5).unwrap();

        sfdisk("label: gpt\\nstart=20480, size=8192\\n");
        disk.device.sync_all().unwrap();
        rdlive_sys::blkflush::flush(&disk.device).unwrap();
        for target in [partition, Target::Discarded { disk: seen, start: 10 << 20, size: 4 << 20 }] {
            let stop = refused(&target);
            assert!(stop.cause.contains("that began at byte 1048576 is not in its table"), "{:?}", stop.lines());
        }
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
            let why = Witness::of_unused(&env, &seen()).err().map(|stop| stop.cause).unwrap_or_default();
            assert!(why.contains("is in use"), "{target:?}: {why}");
            blank.finish(Ok(())).unwrap();
            drop(Witness::of_unused(&env, &seen()).unwrap());
        }
    }
}
