//! Where a persistent area is or could be. Looks only: nothing is mounted or written here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use rustix::fs::llistxattr;

use super::deploying::{self, Deploying};
use super::empty::{self, Doubt, Extent};
use super::sleep::{self, Sleep, in_use};
use super::{begun, block, unfinished};
use crate::area::{
    DiskSite, Found, HostSite, LABEL, LUKS_LABEL, NoGap, Obstacle, Part, Site, WORK, in_place, upper_attribute,
};
use crate::env::Env;
use crate::facts::{Deployed, Deployment, Device, MediumFacts};
use crate::foreign::{self, Entry};
use crate::format::{Kind, partition};
use crate::table::{ALIGNMENT, Disk, Gap, name};

/// Type of a Linux file system: in a GPT, in an MBR.
const LINUX: [&str; 2] = ["0fc63daf-8483-4772-8e79-3d69d8477de4", "0x83"];

/// Looks at the disk that the medium is on. `devices` are all that were seen.
/// `beside` says that a partition beside others was asked for by name.
pub fn disk(env: &Env, devices: &[Device], medium: &MediumFacts, node: &Path, beside: bool) -> Site {
    let Some(device) = devices.iter().find(|device| device.node == node) else {
        return Site::Nowhere(Obstacle::Unseen(node.to_owned()));
    };
    if device.optical {
        return Site::Nowhere(Obstacle::Optical(node.to_owned()));
    }
    if block::is_filled_memory(env, &device.name) {
        return Site::Nowhere(Obstacle::InMemory(node.to_owned()));
    }
    let whole = device.parent.is_none();
    let name = device.parent.clone().unwrap_or_else(|| device.name.clone());
    let Some(disk) = block::device(env, &name) else {
        return Site::Nowhere(Obstacle::Gone(Path::new("/dev").join(name)));
    };
    // Only a disk that is this live image as a whole gets a new partition: on any other one the medium is a guest.
    let hybrid = disk
        .superblock
        .as_ref()
        .is_some_and(|found| found.kind == Kind::Iso9660 && found.uuid == medium.uuid && found.label == medium.label);
    let image = disk.superblock.as_ref().and_then(|found| found.size).unwrap_or(0);
    let mut site = DiskSite {
        seen: disk.seen(),
        read_only: disk.read_only,
        whole,
        image,
        area: None,
        locked: None,
        unused: None,
        unused_doubt: None,
        gap: None,
        no_gap: NoGap::default(),
        foreign: foreign(devices, &name),
        name,
    };
    match fill(env, &disk, hybrid || beside, &mut site) {
        Ok(gap) => site.gap = Some(gap),
        Err(why) => site.no_gap = why,
    }
    Site::Disk(Box::new(site))
}

/// Looks at all partitions, and at the room behind them.
fn fill(env: &Env, disk: &Device, hybrid: bool, site: &mut DiskSite) -> Result<Gap, NoGap> {
    let mut file = File::open(env.path(&disk.node)).map_err(|error| NoGap::Unreadable(error.to_string()))?;
    let table = partition::table(&mut file, disk.size).map_err(|error| NoGap::Unreadable(error.to_string()))?;
    let mut unfinished = false;
    for entry in table.map(|table| table.partitions).unwrap_or_default() {
        let Some(device) = part(env, &mut file, disk, &entry, site.whole) else { continue };
        let label = device.superblock.as_ref().and_then(|found| found.label.as_deref());
        let begun = begun::is_begun(&file, entry.start, entry.size);
        let linux = LINUX.contains(&entry.type_id.as_str()) && entry.start >= site.image.max(ALIGNMENT);
        let unknown = device.superblock.is_none() && device.unreadable.is_none();
        if begun && hybrid && linux {
            // Whatever it shows already, it is not complete.
            unfinished = true;
            site.unused = Some(Part { device: Device { superblock: None, ..device }, start: entry.start });
        } else if label == Some(LABEL) {
            site.area.get_or_insert(Part { device, start: entry.start });
        } else if label == Some(LUKS_LABEL) && device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Luks)
        {
            site.locked.get_or_insert(Part { device, start: entry.start });
        } else if hybrid && linux && unknown && !unfinished {
            site.unused = Some(Part { device, start: entry.start });
        }
    }
    // Where there is an area nothing is made, so nobody has to know.
    let candidate = site.unused.as_ref().filter(|_| !unfinished && site.area.is_none() && site.locked.is_none());
    site.unused_doubt = candidate.and_then(|part| {
        let proof = empty::proof_from(&file, part.start, part.device.size, Extent::Samples, ZEROS_LIMIT);
        proof.err().map(|doubt| doubt.to_string())
    });
    if !hybrid {
        return Err(NoGap::Guest);
    }
    let geometry = Disk { size: disk.size, sector: block::sector(&file), image: site.image, least: ALIGNMENT };
    let shown = block::shown(env, &file).map_err(|error| NoGap::Kernel(error.to_string()))?;
    Ok(geometry.gap(&mut file, &shown)?)
}

/// Whether an attempt of ours to make a file system on a device was cut short.
pub fn is_begun(env: &Env, device: &Device) -> bool {
    File::open(env.path(&device.node)).is_ok_and(|file| begun::is_begun(&file, 0, device.size))
}

/// What a disk says of an image that earlier boots of ours have written to it. What cannot be read is nothing of ours.
pub fn deployed(env: &Env, device: &Device) -> Option<Deployed> {
    let file = File::open(env.path(&device.node)).ok()?;
    let known = deploying::known(&file, device.size).ok()??;
    let state = match known.how_far {
        Deploying::Clearing(_) | Deploying::Writing { .. } => Deployment::Writing,
        Deploying::Closing(_) => Deployment::Closing,
        Deploying::Whole => Deployment::Whole,
    };
    Some(Deployed { url: known.whose.url, state })
}

/// A partition as the kernel shows it; beside a mounted disk, or when the kernel does not show it, as its bytes do.
fn part(env: &Env, file: &mut File, disk: &Device, entry: &partition::Partition, whole: bool) -> Option<Device> {
    let name = name::of(&disk.name, entry.number);
    if let Some(device) = block::device(env, &name).filter(|_| !whole) {
        return Some(device);
    }
    if !whole {
        return None;
    }
    let mut device = Device {
        node: Path::new("/dev").join(&name),
        name,
        size: entry.size,
        parent: Some(disk.name.clone()),
        partition: Some(entry.number),
        ..Device::default()
    };
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(entry.start)).and_then(|_| file.take(HEAD).read_to_end(&mut bytes));
    match read {
        Ok(_) => device.superblock = crate::format::identify(&mut std::io::Cursor::new(bytes)).ok().flatten(),
        Err(error) => device.unreadable = Some(error.to_string()),
    }
    Some(device)
}

/// Bytes that are enough to know what a partition holds.
const HEAD: u64 = 1 << 20;

fn foreign(devices: &[Device], disk: &str) -> Vec<String> {
    let elsewhere = |device: &&Device| device.parent.as_deref() != Some(disk) && device.name != disk;
    let label = |device: &Device| device.superblock.as_ref().and_then(|found| found.label.clone());
    let labelled = |device: &&Device| label(device).is_some_and(|label| label == LABEL || label == LUKS_LABEL);
    devices.iter().filter(elsewhere).filter(labelled).map(Device::summary).collect()
}

/// Looks at the file system that holds the ISO file. `at` is where it is mounted, `asked` and `bound` the two paths.
pub fn host(env: &Env, sleep: &Sleep<'_>, node: &Path, at: &Path, (asked, bound): (&Path, &Path)) -> Site {
    let Some(device) = sleep.devices.iter().find(|device| device.node == node) else {
        return Site::Nowhere(Obstacle::Unseen(node.to_owned()));
    };
    let Some(found) = &device.superblock else {
        return Site::Nowhere(Obstacle::UnknownHost(node.to_owned()));
    };
    let begun = is_begun_at(env, device, at, &[asked, bound]);
    Site::Host(HostSite {
        node: node.to_owned(),
        kind: found.kind,
        free: free(env, at, &[asked, bound]),
        refusal: host_refusal(env, device, sleep, at, begun),
        asked: at_path(env, at, asked),
        bound: at_path(env, at, bound),
        asked_mark: subsystem(env, &at.join(asked)),
        bound_mark: subsystem(env, &at.join(bound)),
    })
}

/// Whether a file of ours was begun at one of the paths on the file system that is mounted at `at`.
pub fn is_begun_at(env: &Env, device: &Device, at: &Path, paths: &[&Path]) -> bool {
    paths.iter().any(|path| unfinished::is_unfinished(env, &at.join(path)))
        // The file that is to be replaced is still there, and nothing has been done yet.
        || device.superblock.as_ref().is_some_and(|found| sleep::has_only_begun(env, device, found, at))
}

/// Bytes that are free for a file at one of the `paths` on the file system that is mounted `at`. What an attempt that was cut short has taken
/// is used again.
pub fn free(env: &Env, at: &Path, paths: &[&Path]) -> u64 {
    let free = rustix::fs::statvfs(env.path(at)).map_or(0, |facts| facts.f_bavail.saturating_mul(facts.f_frsize));
    let taken = paths.iter().map(|path| unfinished::room(env, &at.join(path))).max();
    free.saturating_add(taken.unwrap_or(0))
}

/// What is at a path of a mounted file system.
pub fn at_path(env: &Env, at: &Path, path: &Path) -> Found {
    let full = at.join(path);
    match foreign::entry(&env.path(at), path) {
        Entry::Directory => Found::Directory,
        Entry::Link => Found::Link,
        Entry::Other => Found::Other,
        Entry::Absent => Found::Absent,
        Entry::File if unfinished::is_unfinished(env, &full) => Found::Absent,
        Entry::File => content(&env.path(&full)),
    }
}

/// An open file, about to be written to, that does not hold any more what was found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("when it was looked at it {}, and now it {}", .before.objection(), .now.objection())]
pub struct OtherContent {
    before: Found,
    now: Found,
}

/// Whether an open file, about to be written to, still holds what was found in it.
///
/// # Errors
/// What is different.
pub fn is_still(file: &File, found: Found) -> Result<(), OtherContent> {
    let now = match held(file) {
        Found::File(None) if found == Found::Zeros && is_zeros(file).unwrap_or(false) => Found::Zeros,
        now => now,
    };
    if now == found { Ok(()) } else { Err(OtherContent { before: found, now }) }
}

/// What a file holds. A pipe is not opened: nobody may ever write to it.
pub fn content(place: &Path) -> Found {
    if !place.metadata().is_ok_and(|facts| facts.is_file()) {
        return Found::Unreadable;
    }
    File::open(place).map_or(Found::Unreadable, |file| held(&file))
}

fn held(mut file: &File) -> Found {
    let size = file.metadata().map_or(0, |facts| facts.len());
    match crate::format::identify(&mut file) {
        Err(_) => Found::Unreadable,
        Ok(Some(found)) => Found::File(Some(found.kind)),
        Ok(None) => match partition::table(&mut file, size) {
            Ok(Some(_)) => Found::Disk,
            Ok(None) => Found::File(None),
            Err(_) => Found::Unreadable,
        },
    }
}

/// What the LUKS header in a file says about whose it is.
fn subsystem(env: &Env, path: &Path) -> Option<String> {
    env.path(path).is_file().then(|| block::identify(env, path).ok().and_then(|(found, _)| found)?.subsystem)?
}

/// Whether a directory holds something and never was a place for changes, as far as can be seen. Beside one lies its work directory, or
/// what a reset has set aside that was cut short. Other directories lie beside that too, of which somebody may name one by mistake: so it
/// says whose it is ([`UPPER`]), or the directory has a name that dracut's places have, or bears what the kernel writes where files of a
/// lower layer were changed.
pub fn is_stranger(env: &Env, at: &Path, path: &Path) -> bool {
    let is_directory = |path: &Path| matches!(foreign::entry(&env.path(at), path), Entry::Directory);
    let full = env.path(at).join(path);
    let holds = |dir: &Path| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if !is_directory(path) || !holds(&full) {
        return false;
    }
    let mut works = full.parent().map(unfinished::set_aside).unwrap_or_default();
    works.retain(|aside| aside.symlink_metadata().is_ok_and(|facts| facts.is_dir()));
    if is_directory(&path.with_file_name(WORK)) {
        works.push(full.with_file_name(WORK));
    }
    // A directory that holds places is none.
    let inside = |name: &str| is_directory(&path.join(name));
    if works.is_empty() || inside(WORK) || !unfinished::set_aside(&full).is_empty() {
        return true;
    }
    let name = full.file_name().unwrap_or_default();
    let says =
        upper_attribute(name).is_some_and(|attribute| works.iter().any(|work| attributes(work).contains(&attribute)));
    let usual = name == "overlay" || name.as_encoded_bytes().starts_with(b"overlay-");
    !(says || usual || is_layer(&full))
}

/// The names of the extended attributes of a file.
fn attributes(path: &Path) -> Vec<Vec<u8>> {
    let mut names = vec![0; MAX_NAMES];
    let length = llistxattr(path, &mut names[..]).unwrap_or_default();
    names[..length].split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// Whether a directory bears what the kernel writes at the top of the upper layer of an overlay, or one of the first things in it what it
/// writes where something of a lower layer was changed.
fn is_layer(dir: &Path) -> bool {
    let bears = |path: &Path, marks: &[&[u8]]| {
        let is_mark = |name: &Vec<u8>| name.strip_prefix(b"trusted.overlay.").is_some_and(|mark| marks.contains(&mark));
        attributes(path).iter().any(is_mark)
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(ENTRIES);
    bears(dir, &[b"impure", b"origin", b"opaque"])
        || entries.map(|entry| entry.path()).any(|path| bears(&path, &[b"origin", b"opaque", b"redirect"]))
}

/// Bytes that the names of all extended attributes of a file can have (Linux: `XATTR_LIST_MAX`).
const MAX_NAMES: usize = 64 << 10;
/// So many entries of a directory are looked at: the top of a system has fewer.
const ENTRIES: usize = 1024;

/// As [`at_path`], and tells a file of zeros from one that is not known: it may become the store of a snapshot.
pub fn at_named_path(env: &Env, at: &Path, path: &Path) -> Found {
    match at_path(env, at, path) {
        Found::File(None) if File::open(env.path(at.join(path))).is_ok_and(|file| is_zeros(&file).unwrap_or(false)) => {
            Found::Zeros
        }
        found => found,
    }
}

/// How long a file of zeros may take to be read.
const ZEROS_LIMIT: Duration = Duration::from_secs(60);

/// Nothing but zeros was found where a named place is looked at (attacks.md F7). An empty file is no store.
fn is_zeros(file: &File) -> std::io::Result<bool> {
    let size = file.metadata()?.len();
    match empty::proof(file, size, Extent::Samples, ZEROS_LIMIT) {
        Ok(()) => Ok(size > 0),
        Err(Doubt::Unreadable(_, error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Why the file system of an ISO file must not be written to; `None` if it may be. `begun` says that an attempt of ours to make a
/// file was cut short there.
fn host_refusal(env: &Env, device: &Device, sleep: &Sleep<'_>, at: &Path, begun: bool) -> Option<Obstacle> {
    let found = device.superblock.as_ref()?;
    if !found.kind.is_writable() {
        return Some(Obstacle::NotWritable { place: device.node.display().to_string(), kind: Some(found.kind) });
    }
    if device.read_only {
        return Some(Obstacle::WriteProtected(device.node.clone()));
    }
    if let Err(why) = in_place(device) {
        return Some(why);
    }
    in_use(env, device, sleep, Some(at), begun).map(Obstacle::InUse)
}

#[cfg(test)]
mod tests;
