//! The witness of a write: a device, open, that was found to be the one for which the plan was made. Whatever can destroy takes one,
//! and there is no other way to a device that is written to (docs/decisions/0027-what-may-be-written.md).
//!
//! As long as a device is open, the kernel gives neither its name nor its number to another one: programs may be given the name
//! while the witness lives. What has changed since the plan was made is the reason why nothing is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock, fstat, major, minor};

use super::mount;
use crate::area::Found;
use crate::config::Access;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::Seen;
use crate::mountinfo::{self, Mount};
use crate::probe::{block, site};
use crate::table::{Disk, Gap, Shown, name};

/// How long somebody else (udev, a partition tool) may hold the disk.
const LOCK_LIMIT: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    node: PathBuf,
    /// Nobody else may mount it, or make it a part of another device, as long as this is open.
    claim: Option<File>,
}

/// A claim ends with the last copy of its descriptor, and a program that another thread is just starting has one for a moment.
/// Whoever mounts or checks the device next would be told that somebody uses it.
impl Drop for Witness {
    fn drop(&mut self) {
        if self.claim.take().is_some() {
            mount::forgotten(&self.node);
        }
    }
}

impl Witness {
    /// A device that the kernel or a program is about to change, which claims it for itself.
    pub(super) fn of(env: &Env, node: PathBuf, seen: &Seen, access: Access) -> Result<Self, Stop> {
        let file = OpenOptions::new().read(true).write(access == Access::ReadWrite).open(&node);
        let file = file.map_err(|error| unavailable(&node, &format!("opening it: {error}")))?;
        Self::proven(env, file, node, seen, None)
    }

    /// A disk of which a place is written: other places may be in use, by us too. Under the lock that udev and partition tools
    /// respect.
    pub(super) fn of_disk(env: &Env, seen: &Seen) -> Result<Self, Stop> {
        Self::proven(env, locked(env, &seen.node)?, env.path(&seen.node), seen, None)
    }

    /// A whole device, which nobody has mounted or made a part of another one, and nobody can meanwhile. Under the lock, too: udev's
    /// rules may do just that.
    pub(super) fn of_unused(env: &Env, seen: &Seen) -> Result<Self, Stop> {
        let node = env.path(&seen.node);
        let claim = claimed(&node, false)
            .map_err(|error| unavailable(&seen.node, &format!("it is in use or cannot be opened: {error}")))?;
        Self::proven(env, locked(env, &seen.node)?, node, seen, Some(claim))
    }

    /// A LUKS volume that is open, as the kernel says: then somebody had its key. Nothing was seen before it was opened.
    pub(super) fn of_volume(env: &Env, node: &Path) -> Result<Self, Stop> {
        let witness = Self::of_unused(env, &Seen::named(node))?;
        let number = fstat(&witness.file).map(|facts| (major(facts.st_rdev), minor(facts.st_rdev)));
        let uuid = number.ok().and_then(|(major, minor)| env.text(format!("sys/dev/block/{major}:{minor}/dm/uuid")));
        match uuid.is_some_and(|uuid| uuid.starts_with("CRYPT-LUKS")) {
            true => Ok(witness),
            false => Err(Stop::new(Code::AreaUnavailable, format!("{} is no opened LUKS volume", node.display()))),
        }
    }

    /// A file that is written to as it was found: in it must be what was there when the plan was made. `None` is for one that a step
    /// before has made.
    pub(super) fn of_file(env: &Env, file: File, path: &Path, found: Option<Found>) -> Result<Self, Stop> {
        match found.map_or(Ok(()), |found| site::is_still(&file, found)) {
            Ok(()) => Ok(Self { file, node: env.path(path), claim: None }),
            Err(why) => Err(Stop::new(Code::AreaUnavailable, format!("{} has changed: {why}", path.display()))
                .advice("nothing was written; boot again when nothing else uses the disk")),
        }
    }

    /// A file that was made just now, by whom [`super::unfinished`] lets.
    pub(super) fn of_new_file(env: &Env, file: File, path: &Path) -> Self {
        Self { file, node: env.path(path), claim: None }
    }

    fn proven(env: &Env, file: File, node: PathBuf, seen: &Seen, claim: Option<File>) -> Result<Self, Stop> {
        match block::is_still(env, &file, seen) {
            Ok(()) => Ok(Self { file, node, claim }),
            Err(why) => {
                let cause = format!("{} is not the device any more that was looked at: {why}", node.display());
                Err(Stop::new(Code::AreaUnavailable, cause)
                    .advice("nothing was written; leave the disks plugged in and boot again"))
            }
        }
    }

    /// The open device.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Its name, for programs and the kernel, as long as the witness lives.
    pub(super) fn node(&self) -> &Path {
        &self.node
    }

    /// Does something with the same device, open for writing, if nobody else uses it. Nobody does afterwards.
    pub(super) fn alone<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = claimed(&self.node, true)?;
        let number = |file: &File| fstat(file).map(|facts| facts.st_rdev);
        let done = match number(&file)? == number(&self.file)? {
            true => work(&file),
            false => Err(io::Error::other("another device has its name")),
        };
        drop(file);
        mount::forgotten(&self.node);
        done
    }

    /// A place that is a partition: nothing else that the kernel shows meets it, and nobody has that mounted or made it a part of
    /// another device. It cannot be claimed while its disk is in use, so the kernel's tables are asked.
    pub(super) fn partition_unused(&self, env: &Env, disk: &Path, start: u64, size: u64) -> Result<(), Stop> {
        let meets =
            |part: &Shown| part.start < start.saturating_add(size) && start < part.start.saturating_add(part.size);
        for part in self.shown(env, disk)?.iter().filter(|part| meets(part)) {
            if (part.start, part.size) != (start, size) {
                let cause = format!("the kernel shows partition {} at another place than the table", part.number);
                return Err(Stop::new(Code::AreaUnavailable, format!("{}: {cause}", disk.display()))
                    .advice("nothing was written; boot again, or see lsblk and partprobe"));
            }
            is_unused(env, disk, part.number)?;
        }
        Ok(())
    }

    /// The kernel is told of the new partition before anything is written: it forgets that with the next boot, and refuses what
    /// meets a partition that it shows already.
    pub(super) fn tell_kernel(&self, env: &Env, disk: &Path, gap: Gap) -> Result<(), Stop> {
        if self.shown(env, disk)?.iter().any(|part| part.is(gap)) {
            // From an attempt in this boot. Nobody may have taken it since.
            return is_unused(env, disk, gap.number);
        }
        rdlive_sys::blkpg::add_partition(&self.file, gap.number, gap.start, gap.size).map_err(|error| {
            let cause = format!("{}: the kernel does not take a new partition {gap}: {error}", disk.display());
            Stop::new(Code::AreaPartition, cause).advice("nothing was written; see what uses the disk: lsblk")
        })
    }

    /// The partitions that the kernel shows, without the gap of which it was told.
    pub(super) fn others_shown(&self, env: &Env, disk: &Path, gap: Gap) -> Result<Vec<Shown>, Stop> {
        let mut shown = self.shown(env, disk)?;
        shown.retain(|part| !part.is(gap));
        Ok(shown)
    }

    fn shown(&self, env: &Env, disk: &Path) -> Result<Vec<Shown>, Stop> {
        block::shown(env, &self.file).map_err(|error| unavailable(disk, &error.to_string()))
    }

    /// Geometry of a disk whose first `image` bytes are taken, for a new partition of `least` bytes.
    pub(super) fn geometry(&self, disk: &Path, image: u64, least: u64) -> Result<Disk, Stop> {
        let size = block::size(&self.file).map_err(|error| unavailable(disk, &format!("its size: {error}")))?;
        Ok(Disk { size, sector: block::sector(&self.file), image, least })
    }
}

fn unavailable(node: &Path, cause: &str) -> Stop {
    Stop::new(Code::AreaUnavailable, format!("{}: {cause}", node.display()))
}

fn claimed(node: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(OFlags::EXCL.bits().cast_signed()).open(node)
}

fn locked(env: &Env, disk: &Path) -> Result<File, Stop> {
    let fail = |cause: String| unavailable(disk, &cause);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(env.path(disk))
        .map_err(|error| fail(format!("opening it for writing: {error}")))?;
    let begin = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // udev holds the lock for the milliseconds of a probe, and tells nobody when it lets go.
            Err(rustix::io::Errno::WOULDBLOCK) if begin.elapsed() < LOCK_LIMIT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(fail(format!("another program holds its lock: {error}"))),
        }
    }
}

/// An area that somebody has mounted is not damaged, only busy.
fn is_unused(env: &Env, disk: &Path, partition: u32) -> Result<(), Stop> {
    let partition = name::of(&disk.file_name().unwrap_or_default().to_string_lossy(), partition);
    let node = format!("/dev/{partition}");
    let number = env.text(Path::new("sys/class/block").join(&partition).join("dev"));
    let is_it = |mount: &Mount| number.as_ref() == Some(&mount.device) || mount.source == node;
    let mounted = mountinfo::all(env).iter().any(is_it);
    let holders = std::fs::read_dir(env.path(Path::new("sys/class/block").join(&partition).join("holders")));
    match mounted || holders.is_ok_and(|mut holders| holders.next().is_some()) {
        false => Ok(()),
        true => Err(Stop::new(Code::AreaUnavailable, format!("{node} is in use, so it is not made anew"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rdlive_sys::loopdev::{self, Setup};

    use super::*;

    /// A program that is being started keeps what was open for a moment. Needs root.
    #[test]
    fn loop_what_was_claimed_can_be_claimed_by_others_at_once() {
        let env = Env::default();
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 20).unwrap();
        let device =
            loopdev::attach(Path::new("/dev"), &file, "claimed", Setup { autoclear: true, ..Setup::default() });
        let node = PathBuf::from(format!("/dev/loop{}", device.as_ref().unwrap().number));
        let later = |claim: &File| {
            let copy = claim.as_fd().try_clone_to_owned().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                drop(copy);
            })
        };
        let seen = Seen::named(node.clone());
        let witness = Witness::of(&env, node.clone(), &seen, Access::ReadWrite).unwrap();
        let copied = witness.alone(|claim| Ok(later(claim))).unwrap();
        claimed(&node, false).unwrap();
        copied.join().unwrap();
        let unused = Witness::of_unused(&env, &seen).unwrap();
        let copied = later(unused.claim.as_ref().unwrap());
        drop(unused);
        claimed(&node, false).unwrap();
        copied.join().unwrap();
    }
}
