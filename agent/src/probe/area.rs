//! Where a persistent area is or could be. Looks only: nothing is mounted or written here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::block;
use crate::area::{DiskSite, Found, HostSite, LABEL, LUKS_LABEL, Part, Site};
use crate::env::Env;
use crate::error::ELSEWHERE;
use crate::exec::blank::sector;
use crate::exec::unfinished;
use crate::facts::{Device, MediumFacts};
use crate::foreign::{self, Entry};
use crate::format::journal::{self, Pending};
use crate::format::{Kind, Superblock, partition};
use crate::plan::reason::refuses_writes;
use crate::table::{ALIGNMENT, Disk, name};

/// Type of a Linux file system: in a GPT, in an MBR.
const LINUX: [&str; 2] = ["0fc63daf-8483-4772-8e79-3d69d8477de4", "0x83"];

/// Looks at the disk that the medium is on. `devices` are all that were seen.
/// `beside` says that a partition beside others was asked for by name.
pub fn disk(env: &Env, devices: &[Device], medium: &MediumFacts, node: &Path, beside: bool) -> Site {
    let Some(device) = devices.iter().find(|device| device.node == node) else {
        return Site::Nowhere(format!("{} is no disk that was seen", node.display()));
    };
    if device.optical {
        let node = node.display();
        return Site::Nowhere(format!(
            "{node} is an optical drive, which cannot be written to; boot from a stick, or {ELSEWHERE}"
        ));
    }
    let whole = device.parent.is_none();
    let name = device.parent.clone().unwrap_or_else(|| device.name.clone());
    let Some(disk) = block::device(env, &name) else {
        return Site::Nowhere(format!("/dev/{name}, the disk of the medium, has gone"));
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
        gap: None,
        no_gap: String::new(),
        foreign: foreign(devices, &name),
        name,
    };
    if let Err(error) = fill(env, &disk, hybrid || beside, &mut site) {
        site.no_gap = error;
    }
    Site::Disk(Box::new(site))
}

fn fill(env: &Env, disk: &Device, hybrid: bool, site: &mut DiskSite) -> Result<(), String> {
    let mut file = File::open(env.path(&disk.node)).map_err(|error| error.to_string())?;
    let table = partition::table(&mut file, disk.size).map_err(|error| error.to_string())?;
    for entry in table.map(|table| table.partitions).unwrap_or_default() {
        let Some(device) = part(env, &mut file, disk, &entry, site.whole) else { continue };
        let label = device.superblock.as_ref().and_then(|found| found.label.as_deref());
        let linux = LINUX.contains(&entry.type_id.as_str()) && entry.start >= site.image.max(ALIGNMENT);
        let unknown = device.superblock.is_none() && device.unreadable.is_none();
        if label == Some(LABEL) {
            site.area.get_or_insert(Part { device, start: entry.start });
        } else if label == Some(LUKS_LABEL) && device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Luks)
        {
            site.locked.get_or_insert(Part { device, start: entry.start });
        } else if hybrid && linux && unknown {
            site.unused = Some(Part { device, start: entry.start });
        }
    }
    if !hybrid {
        return Err("there is more than the live image on the disk; name a partition with rd.overlay=<device>".into());
    }
    let geometry = Disk { size: disk.size, sector: sector(&file), image: site.image, least: ALIGNMENT };
    let shown = block::shown(env, &file).map_err(|error| format!("asking the kernel for its partitions: {error}"))?;
    site.gap = Some(geometry.gap(&mut file, &shown).map_err(|error| error.to_string())?);
    Ok(())
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
pub fn host(env: &Env, devices: &[Device], node: &Path, at: &Path, (asked, bound): (&Path, &Path)) -> Site {
    let Some(device) = devices.iter().find(|device| device.node == node) else {
        return Site::Nowhere(format!("{} is no disk that was seen", node.display()));
    };
    let Some(found) = &device.superblock else {
        return Site::Nowhere(format!("{} holds no file system that is known", node.display()));
    };
    let free = rustix::fs::statvfs(env.path(at)).map_or(0, |facts| facts.f_bavail.saturating_mul(facts.f_frsize));
    // What an attempt that was cut short took is used again.
    let taken = unfinished::room(env, &at.join(asked)).max(unfinished::room(env, &at.join(bound)));
    Site::Host(HostSite {
        node: node.to_owned(),
        kind: found.kind,
        free: free.saturating_add(taken),
        refusal: host_refusal(env, device, devices, at),
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

/// What a file holds. A pipe is not opened: nobody may ever write to it.
pub fn content(place: &Path) -> Found {
    if !place.metadata().is_ok_and(|facts| facts.is_file()) {
        return Found::Unreadable;
    }
    let Ok(mut file) = File::open(place) else { return Found::Unreadable };
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

/// As [`at_path`], and tells a file of zeros from one that is not known: it may become the store of a snapshot.
pub fn at_named_path(env: &Env, at: &Path, path: &Path) -> Found {
    match at_path(env, at, path) {
        Found::File(None) if is_zeros(&env.path(at.join(path))).unwrap_or(false) => Found::Zeros,
        found => found,
    }
}

/// Bytes read at the start and the end of a file, and at each sample between. Less than `exec/empty.rs` asks for: a file of this name was named.
const ENDS: u64 = 1 << 20;
const SAMPLE: u64 = 1 << 16;
const SAMPLES: u64 = 64;

/// Reads the start, the end and samples between: nothing but zeros. An empty file is no store.
fn is_zeros(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let last = size.saturating_sub(ENDS);
    let between = (1..=SAMPLES).map(|sample| (last / (SAMPLES + 1) * sample, SAMPLE));
    for (offset, length) in [(0, ENDS), (last, ENDS)].into_iter().chain(between) {
        let mut bytes = vec![0; usize::try_from(length.min(size - offset)).unwrap_or(0)];
        file.read_exact_at(&mut bytes, offset)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(size > 0)
}

/// Why the file system of an ISO file must not be written to; `None` if it may be.
fn host_refusal(env: &Env, device: &Device, devices: &[Device], at: &Path) -> Option<String> {
    let found = device.superblock.as_ref()?;
    let node = device.node.display();
    if !found.kind.is_writable() {
        return Some(format!("{node} is {}, which cannot be written to", found.kind.name()));
    }
    if device.read_only {
        return Some(refuses_writes(&device.node));
    }
    if let Some(why) = sleeper(devices, &device.node).or_else(|| sleeping_windows(env, device, at)) {
        return Some(why);
    }
    // ntfs3 keeps no journal of what it writes: nothing but a check says which clusters are really free.
    if found.kind == Kind::Ntfs && found.dirty {
        return Some(format!(
            "{node} is an NTFS that was not cleanly unmounted, and must be checked before anything is written to it; \
             start Windows, run chkdsk /f on it and shut Windows down fully"
        ));
    }
    let journalled = matches!(found.kind, Kind::Ext3 | Kind::Ext4);
    if journalled && found.dirty && !left_by_us(env, &device.node) {
        return Some(format!(
            "{node} was not cleanly unmounted by its own system; start that once, or run e2fsck on it"
        ));
    }
    None
}

/// Why a file system that the operator named, or that of the medium, must not be written to, mounted for writing or
/// checked: a system that sleeps knows what is on it.
pub fn sleeper(devices: &[Device], node: &Path) -> Option<String> {
    let asleep = devices.iter().find(|device| is_hibernation(device))?.node.display();
    let node = node.display();
    Some(format!("{asleep} holds a hibernated system, and {node} may be part of it; wake that system and shut it down"))
}

fn is_hibernation(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Hibernation)
}

/// As [`sleeper`], for the NTFS that is mounted at `at`: Windows notes it in a file.
pub fn sleeping_windows(env: &Env, device: &Device, at: &Path) -> Option<String> {
    let ntfs = device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs);
    let asleep = ntfs && is_windows_asleep(&env.path(at));
    asleep.then(|| format!("{} belongs to a hibernated Windows; shut it down fully first", device.node.display()))
}

/// Whether the journal of this ext3 or ext4 is to be replayed, and was left by a session of ours.
pub fn is_left_by_us(env: &Env, device: &Device) -> bool {
    let journalled = |found: &&Superblock| matches!(found.kind, Kind::Ext3 | Kind::Ext4) && found.dirty;
    device.superblock.as_ref().filter(journalled).is_some() && left_by_us(env, &device.node)
}

/// A power cut during a live session leaves a journal too; the superblock says where it was mounted then, or will say it
/// when the journal has been replayed. A journal without a complete transaction is none that a replay could hurt.
fn left_by_us(env: &Env, node: &Path) -> bool {
    let Ok(mut file) = File::open(env.path(node)) else { return false };
    let (at, length) = journal::LAST_MOUNTED;
    let mut field = vec![0; length];
    let read = file.seek(SeekFrom::Start(1024 + at as u64)).and_then(|_| file.read_exact(&mut field));
    let in_place = read.is_ok() && is_ours(&field);
    in_place
        || match journal::pending(&mut file) {
            Some(Pending::Nothing) => true,
            Some(Pending::Something(Some(field))) => is_ours(&field),
            Some(Pending::Something(None)) | None => false,
        }
}

fn is_ours(last_mounted: &[u8]) -> bool {
    last_mounted.split(|byte| *byte == 0).next().is_some_and(|path| path.ends_with(b"/run/initramfs/isoscan"))
}

/// Windows leaves its memory in this file; without hibernation it is absent or begins with zeros.
fn is_windows_asleep(root: &Path) -> bool {
    let mut head = [0; 4];
    let read = foreign::open(root, Path::new("hiberfil.sys")).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head != [0; 4]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_host_that_was_not_left_in_order_is_refused_where_that_can_hurt() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        for (kind, dirty, expected) in [
            (Kind::Ntfs, true, Some("chkdsk")),
            (Kind::Ntfs, false, None),
            (Kind::Exfat, true, None),
            (Kind::Vfat, true, None),
            (Kind::Xfs, true, None),
            (Kind::Btrfs, true, None),
            (Kind::Ext4, true, Some("e2fsck")),
            (Kind::Ext4, false, None),
            (Kind::Iso9660, false, Some("cannot be written to")),
        ] {
            let superblock = serde_json::json!({"kind": kind, "label": null, "uuid": null, "size": null,
                "block_size": null, "compressor": null, "dirty": dirty});
            let superblock = serde_json::from_value(superblock).unwrap();
            let device = Device { node: "/dev/sda1".into(), superblock: Some(superblock), ..Device::default() };
            let found = host_refusal(&env, &device, &[], Path::new("/"));
            let fits = match (&found, expected) {
                (None, None) => true,
                (Some(why), Some(words)) => why.contains(words),
                _ => false,
            };
            assert!(fits, "{kind:?} {dirty}: {found:?}");
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
