//! Where a persistent area is or could be. Looks only: nothing is mounted or written here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::empty::{self, Doubt, Extent};
use super::sleep::{self, Sleep, in_use};
use super::{begun, block, unfinished};
use crate::area::{DiskSite, Found, HostSite, LABEL, LUKS_LABEL, NoGap, Obstacle, Part, Site, WORK};
use crate::env::Env;
use crate::facts::{Device, MediumFacts};
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
    let free = rustix::fs::statvfs(env.path(at)).map_or(0, |facts| facts.f_bavail.saturating_mul(facts.f_frsize));
    let begun = [asked, bound].iter().any(|path| unfinished::is_unfinished(env, &at.join(path)))
        // The file that is to be replaced is still there, and nothing has been done yet.
        || sleep::has_only_begun(env, device, found, at);
    // What an attempt that was cut short took is used again.
    let taken = unfinished::room(env, &at.join(asked)).max(unfinished::room(env, &at.join(bound)));
    Site::Host(HostSite {
        node: node.to_owned(),
        kind: found.kind,
        free: free.saturating_add(taken),
        refusal: host_refusal(env, device, sleep, at, begun),
        asked: at_path(env, at, asked),
        bound: at_path(env, at, bound),
        asked_mark: subsystem(env, &at.join(asked)),
        bound_mark: subsystem(env, &at.join(bound)),
    })
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

/// Whether a directory holds something and never was a place for changes, as far as can be seen: beside one lies its work directory, or what
/// a reset has set aside that was cut short.
pub fn is_stranger(env: &Env, at: &Path, path: &Path) -> bool {
    let is_directory = |path: &Path| matches!(foreign::entry(&env.path(at), path), Entry::Directory);
    let full = env.path(at).join(path);
    let holds = |dir: &Path| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    is_directory(path)
        && holds(&full)
        && !is_directory(&path.with_file_name(WORK))
        && full.parent().is_none_or(|dir| unfinished::set_aside(dir).is_empty())
}

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
    in_use(env, device, sleep, Some(at), begun).map(Obstacle::InUse)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::super::sleep::tests::{device, fits};
    use super::*;

    #[test]
    fn a_host_that_was_not_left_in_order_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::fs::create_dir(dir.path().join("dev")).unwrap();
        std::fs::write(dir.path().join("dev/sda1"), [0; 4096]).unwrap();
        let sleep = Sleep { devices: &[], windows: None, awake: false };
        for (kind, dirty, begun, expected, awake) in [
            (Kind::Ntfs, true, false, Some("chkdsk"), Some("chkdsk")),
            (Kind::Ntfs, false, false, None, None),
            (Kind::Exfat, true, false, Some("fsck.exfat"), None),
            (Kind::Exfat, true, true, None, None),
            (Kind::Exfat, false, false, None, None),
            (Kind::Vfat, true, false, Some("rd.live.host.awake=1"), None),
            (Kind::Vfat, true, true, None, None),
            (Kind::Vfat, false, false, None, None),
            // The log of this one is nowhere.
            (Kind::Xfs, false, false, Some("xfs_repair"), None),
            (Kind::Btrfs, true, false, None, None),
            (Kind::Ext2, true, false, Some("e2fsck"), None),
            (Kind::Ext4, true, false, Some("e2fsck"), None),
            (Kind::Ext4, true, true, Some("e2fsck"), None),
            (Kind::Ext4, false, false, None, None),
            (Kind::Iso9660, false, false, Some("cannot be written to"), Some("cannot be written to")),
        ] {
            let device = device("sda1", Some("sda"), kind, dirty);
            let found = host_refusal(&env, &device, &sleep, Path::new("/"), begun);
            assert!(fits(found.as_ref(), expected), "{kind:?} {dirty} {begun}: {found:?}");
            let sleep = Sleep { awake: true, ..sleep };
            let found = host_refusal(&env, &device, &sleep, Path::new("/"), begun);
            assert!(fits(found.as_ref(), awake), "{kind:?} {dirty} {begun}, awake: {found:?}");
        }
    }

    #[test]
    fn f13_a_directory_is_a_place_for_changes_or_a_stranger() {
        let dir = tempfile::tempdir().unwrap();
        let (env, at) = (Env::new(dir.path()), Path::new("/disk"));
        let make = |name: &str| std::fs::create_dir_all(dir.path().join("disk").join(name)).unwrap();
        let aside = ".rdlive-discarded-01234567-89ab-4def-8123-456789abcdef";
        for name in ["own/x/f", "own/ovlwork", "cut/x/f", &format!("cut/{aside}"), "photos/f", "empty", "link/x/f"] {
            make(name);
        }
        std::fs::write(dir.path().join("disk/file"), "x").unwrap();
        std::os::unix::fs::symlink("../own/ovlwork", dir.path().join("disk/link/ovlwork")).unwrap();
        for (path, stranger) in [
            ("own/x", false),
            ("cut/x", false),
            ("photos", true),
            ("empty", false),
            ("file", false),
            ("absent", false),
            ("link/x", true),
        ] {
            assert_eq!(is_stranger(&env, at, Path::new(path)), stranger, "{path}");
        }
    }

    #[test]
    fn c3_only_zeros_become_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let rows = [
            ("zeros", 8 << 20, None, Found::Zeros),
            ("small", 512, None, Found::Zeros),
            ("empty", 0, None, Found::File(None)),
            ("first", 8 << 20, Some(17), Found::File(None)),
            ("last", 8 << 20, Some((8 << 20) - 1), Found::File(None)),
            ("middle", 4 << 20, Some((2 << 20) + 5), Found::File(None)),
        ];
        for (name, size, byte, expected) in rows {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_len(size).unwrap();
            if let Some(at) = byte {
                file.write_all_at(b"x", at).unwrap();
            }
            assert_eq!(at_named_path(&env, Path::new("/"), Path::new(name)), expected, "{name}");
        }
    }
}
