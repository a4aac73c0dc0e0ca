//! Where a persistent area is or could be. Looks only: nothing is mounted or written here.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::block;
use crate::area::{DiskSite, Found, HostSite, LABEL, LUKS_LABEL, Part, Site, TEMPORARY_LABEL};
use crate::env::Env;
use crate::error::ELSEWHERE;
use crate::exec::empty::{self, Doubt, Extent};
use crate::exec::{begun, reset, unfinished};
use crate::facts::{Device, MediumFacts};
use crate::foreign::{self, Entry};
use crate::format::left::{self, Left};
use crate::format::{Kind, Superblock, partition};
use crate::plan::persist::WORK;
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
        unused_doubt: None,
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
        return Err("there is more than the live image on the disk; name a partition with rd.overlay=<device>".into());
    }
    let geometry = Disk { size: disk.size, sector: block::sector(&file), image: site.image, least: ALIGNMENT };
    let shown = block::shown(env, &file).map_err(|error| format!("asking the kernel for its partitions: {error}"))?;
    site.gap = Some(geometry.gap(&mut file, &shown).map_err(|error| error.to_string())?);
    Ok(())
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
        return Site::Nowhere(format!("{} is no disk that was seen", node.display()));
    };
    let Some(found) = &device.superblock else {
        return Site::Nowhere(format!("{} holds no file system that is known", node.display()));
    };
    let free = rustix::fs::statvfs(env.path(at)).map_or(0, |facts| facts.f_bavail.saturating_mul(facts.f_frsize));
    let begun = [asked, bound].iter().any(|path| unfinished::is_unfinished(env, &at.join(path)));
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

/// Whether an open file, about to be written to, still holds what was found in it.
///
/// # Errors
/// What is different, for a person.
pub fn is_still(file: &File, found: Found) -> Result<(), String> {
    let now = match held(file) {
        Found::File(None) if found == Found::Zeros && is_zeros(file).unwrap_or(false) => Found::Zeros,
        now => now,
    };
    if now == found {
        Ok(())
    } else {
        Err(format!("when it was looked at it {}, and now it {}", found.objection(), now.objection()))
    }
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
        && !full.parent().is_some_and(reset::has_set_aside)
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

/// What is known of systems that may sleep.
#[derive(Clone, Copy, Debug)]
pub struct Sleep<'a> {
    /// All devices that were seen.
    pub devices: &'a [Device],
    /// Why a Windows may sleep on an NTFS of a fixed disk.
    pub windows: Option<&'a str>,
    /// The operator says that none sleeps.
    pub awake: bool,
}

/// Who knows that no system sleeps may say so.
pub const AWAKE: &str = "if you know that no system sleeps on this machine, add rd.live.host.awake=1";

/// Why the file system of an ISO file must not be written to; `None` if it may be. `begun` says that an attempt of ours to make a
/// file was cut short there.
fn host_refusal(env: &Env, device: &Device, sleep: &Sleep<'_>, at: &Path, begun: bool) -> Option<String> {
    let found = device.superblock.as_ref()?;
    if !found.kind.is_writable() {
        return Some(format!("{} is {}, which cannot be written to", device.node.display(), found.kind.name()));
    }
    if device.read_only {
        return Some(refuses_writes(&device.node));
    }
    in_use(env, device, sleep, Some(at), begun)
}

/// Why somebody may still use a file system that is not ours: it was not left in order and not by us, or a system sleeps that may
/// know it. `at` is where it is mounted, if it is; `begun` as for [`host_refusal`].
pub fn in_use(env: &Env, device: &Device, sleep: &Sleep<'_>, at: Option<&Path>, begun: bool) -> Option<String> {
    let found = device.superblock.as_ref()?;
    let node = device.node.display();
    // ntfs3 keeps no journal of what it writes: nothing but a check says which clusters are really free.
    if found.kind == Kind::Ntfs && found.dirty {
        return Some(format!(
            "{node} is an NTFS that was not cleanly unmounted, and must be checked before anything is written to it; \
             start Windows, run chkdsk /f on it and shut Windows down fully"
        ));
    }
    if sleep.awake {
        return None;
    }
    let windows = at.and_then(|at| sleeping_windows(env, device, at));
    if let Some(why) = sleeper(sleep.devices, &device.node).or(windows) {
        return Some(why);
    }
    let left = how_left(env, device, at);
    let fat = matches!(found.kind, Kind::Vfat | Kind::Exfat);
    match left {
        // Until the note is there, the beginning of a file is the sign. What was noted then says who has been there since.
        Left::ByOthers if fat && begun && !noted(env, at).is_some_and(|note| left::is_whole(&note)) => {}
        Left::ByOthers => {
            let check = match found.kind {
                Kind::Xfs => "xfs_repair",
                Kind::Vfat => "fsck.fat",
                Kind::Exfat => "fsck.exfat",
                _ => "e2fsck",
            };
            return Some(format!(
                "{node} was not cleanly unmounted by its own system, which may sleep; start that once and shut it down, or \
                 run {check} on it; {AWAKE}"
            ));
        }
        Left::InOrder | Left::ByUs | Left::Idle | Left::Unmarked => {}
    }
    // Marks that say nothing of who sleeps. A stick is judged by what lies on it alone: Windows sleeps on most machines.
    let says_nothing = fat || found.kind == Kind::Ntfs || matches!(left, Left::Idle | Left::Unmarked);
    if !says_nothing || device.removable {
        return None;
    }
    let why = locked_beside(sleep.devices, device)
        .or_else(|| left_beside(env, sleep.devices, device))
        .or_else(|| sleep.windows.map(str::to_owned))
        .or_else(|| locked_windows(sleep.devices))?;
    Some(format!("{why}, and {node} may be part of it; shut it down fully; {AWAKE}"))
}

/// Whether what a Windows has written down of its sleep says anything about this device.
pub fn concerns_windows(device: &Device) -> bool {
    use Kind::{Btrfs, Exfat, Ext3, Ext4, Ntfs, Vfat};
    let kind = device.superblock.as_ref().map(|found| found.kind);
    !device.removable && kind.is_some_and(|kind| matches!(kind, Btrfs | Exfat | Ext3 | Ext4 | Ntfs | Vfat))
}

/// How its marks say that it was left.
fn how_left(env: &Env, device: &Device, at: Option<&Path>) -> Left {
    let Some(found) = &device.superblock else { return Left::ByOthers };
    let note = noted(env, at);
    match File::open(env.path(&device.node)) {
        Ok(mut file) => left::left(&mut file, found, note.as_deref()),
        Err(_) => Left::ByOthers,
    }
}

/// What a session of ours has noted on a file system that is mounted.
fn noted(env: &Env, at: Option<&Path>) -> Option<Vec<u8>> {
    foreign::read(&env.path(at?), Path::new(left::NOTE), left::NOTE_LENGTH as u64).ok()
}

/// What may hold the file system of a whole system, or be a part of what does, and is not looked into.
fn holds_unseen(kind: Kind) -> bool {
    use Kind::{
        Apfs, Bcache, Bcachefs, Bitlocker, Drbd, FirmwareRaid, Fvault, Integrity, Lvm, Lvm1, Raid, Stratis, Vdo, Zfs,
    };
    matches!(
        kind,
        Apfs | Bcache
            | Bcachefs
            | Bitlocker
            | Drbd
            | FirmwareRaid
            | Fvault
            | Integrity
            | Lvm
            | Lvm1
            | Raid
            | Stratis
            | Vdo
            | Zfs
    )
}

/// The other partitions of the disk on which a device lies.
fn beside<'d>(devices: &'d [Device], device: &'d Device) -> impl Iterator<Item = &'d Device> {
    let disk = device.parent.as_deref().unwrap_or(&device.name);
    // The file system in an opened volume has the volume's name, and a node of its own.
    let itself = |other: &Device| other.node == device.node || other.name == device.name;
    devices.iter().filter(move |other| other.parent.as_deref() == Some(disk) && !itself(other))
}

/// The file system of a Linux on the same disk that was not left in order: that one may sleep in a file, with others mounted that have no
/// mark of it.
fn left_beside(env: &Env, devices: &[Device], device: &Device) -> Option<String> {
    let left = |other: &&Device| {
        let Some(found) = &other.superblock else { return false };
        let marked = match found.kind {
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => found.dirty,
            kind => kind == Kind::Xfs,
        };
        marked && found.label.as_deref() != Some(LABEL) && how_left(env, other, None) == Left::ByOthers
    };
    let found = beside(devices, device).find(left)?;
    Some(format!(
        "{} on the same disk was not cleanly unmounted by its own system, which may sleep",
        found.node.display()
    ))
}

/// What lies on the same disk and may hold a system, but cannot be looked into.
fn locked_beside(devices: &[Device], device: &Device) -> Option<String> {
    let locked = |other: &&Device| {
        let Some(found) = &other.superblock else { return false };
        let ours = found.label.as_deref().is_some_and(|label| [LUKS_LABEL, TEMPORARY_LABEL].contains(&label));
        holds_unseen(found.kind) || found.kind == Kind::Luks && !ours
    };
    let found = beside(devices, device).find(locked)?;
    let kind = found.superblock.as_ref().map_or("", |found| found.kind.name());
    Some(format!("{} on the same disk is {kind} and may hold a system that sleeps", found.node.display()))
}

/// A Windows on a fixed disk that cannot be looked into.
fn locked_windows(devices: &[Device]) -> Option<String> {
    let locked = |device: &&Device| {
        !device.removable && device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Bitlocker)
    };
    devices
        .iter()
        .find(locked)
        .map(|device| format!("{} is encrypted by a Windows, which may sleep", device.node.display()))
}

/// Why a file system that the operator named, or that of the medium, must not be written to, mounted for writing or
/// checked: a system that sleeps knows what is on it.
pub fn sleeper(devices: &[Device], node: &Path) -> Option<String> {
    let asleep = devices.iter().find(|device| is_hibernation(device))?.node.display();
    let node = node.display();
    Some(format!(
        "{asleep} holds a hibernated system, and {node} may be part of it; wake that system and shut it down; {AWAKE}"
    ))
}

fn is_hibernation(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Hibernation)
}

/// As [`sleeper`], for the NTFS that is mounted at `at`: Windows notes it in a file.
pub fn sleeping_windows(env: &Env, device: &Device, at: &Path) -> Option<String> {
    let ntfs = device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs);
    let asleep = ntfs && is_windows_asleep(&env.path(at));
    asleep.then(|| {
        format!("{} belongs to a hibernated Windows; shut it down fully first; {AWAKE}", device.node.display())
    })
}

/// Whether the journal of this file system is to be replayed, and was left by a session of ours.
pub fn is_left_by_us(env: &Env, device: &Device) -> bool {
    let journalled = |found: &Superblock| match found.kind {
        Kind::Ext3 | Kind::Ext4 => found.dirty,
        Kind::Xfs => true,
        _ => false,
    };
    // One that is idle has nothing to replay, but may have to be checked.
    device.superblock.as_ref().is_some_and(journalled) && matches!(how_left(env, device, None), Left::ByUs | Left::Idle)
}

/// Windows leaves its memory in this file. Without hibernation it is absent or begins with zeros, and behind a Windows that has
/// woken up from it with another word.
fn is_windows_asleep(root: &Path) -> bool {
    let mut head = [0; 4];
    let read = foreign::open(root, Path::new("hiberfil.sys")).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Ok(()) => head != [0; 4] && !head.eq_ignore_ascii_case(b"wake"),
        // It is not there, or empty. What cannot be read may be anything.
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn device(name: &str, parent: Option<&str>, kind: Kind, dirty: bool) -> Device {
        let superblock = serde_json::json!({"kind": kind, "label": null, "uuid": null, "size": null,
            "block_size": null, "compressor": null, "dirty": dirty});
        Device {
            name: name.into(),
            node: Path::new("/dev").join(name),
            parent: parent.map(str::to_owned),
            superblock: Some(serde_json::from_value(superblock).unwrap()),
            ..Device::default()
        }
    }

    fn fits(found: Option<&str>, expected: Option<&str>) -> bool {
        match (found, expected) {
            (None, None) => true,
            (Some(why), Some(words)) => why.contains(words),
            _ => false,
        }
    }

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
            assert!(fits(found.as_deref(), expected), "{kind:?} {dirty} {begun}: {found:?}");
            let sleep = Sleep { awake: true, ..sleep };
            let found = host_refusal(&env, &device, &sleep, Path::new("/"), begun);
            assert!(fits(found.as_deref(), awake), "{kind:?} {dirty} {begun}, awake: {found:?}");
        }
    }

    #[test]
    fn f3_on_a_fixed_disk_nothing_may_sleep_beside_what_has_no_marks() {
        let env = Env::new("/nowhere");
        let windows = Some("/dev/sdb1 belongs to a hibernated Windows");
        let rows = [
            (Kind::Luks, None, Some("/dev/sda2 on the same disk")),
            (Kind::Lvm, None, Some("/dev/sda2 on the same disk")),
            (Kind::Bitlocker, None, Some("/dev/sda2 on the same disk")),
            (Kind::Ext4, None, None),
            (Kind::Ext4, windows, Some("hibernated Windows")),
        ];
        for (beside, windows, expected) in rows {
            for kind in [Kind::Vfat, Kind::Exfat, Kind::Ntfs] {
                let host = device("sda1", Some("sda"), kind, false);
                let other = device("sda2", Some("sda"), beside, false);
                let elsewhere = device("sdc1", Some("sdc"), Kind::Luks, false);
                let devices = [host.clone(), other, elsewhere];
                let sleep = Sleep { devices: &devices, windows, awake: false };
                let found =
                    in_use(&Env::new("/"), &Device { node: "/dev/null".into(), ..host.clone() }, &sleep, None, false);
                assert!(fits(found.as_deref(), expected), "{kind:?} beside {beside:?}: {found:?}");
                let stick = Device { node: "/dev/null".into(), removable: true, ..host };
                assert_eq!(in_use(&Env::new("/"), &stick, &sleep, None, false), None, "{kind:?} on a stick");
                assert_eq!(in_use(&env, &stick, &Sleep { awake: true, ..sleep }, None, false), None);
            }
        }
        // One that is encrypted may sleep on any fixed disk.
        let host = Device { node: "/dev/null".into(), ..device("sda1", Some("sda"), Kind::Vfat, false) };
        let far = device("sdb1", Some("sdb"), Kind::Bitlocker, false);
        for (removable, expected) in [(false, Some("encrypted by a Windows")), (true, None)] {
            let devices = [host.clone(), Device { removable, ..far.clone() }];
            let sleep = Sleep { devices: &devices, windows: None, awake: false };
            let found = in_use(&Env::new("/"), &host, &sleep, None, false);
            assert!(fits(found.as_deref(), expected), "removable {removable}: {found:?}");
        }
        // Our own volumes are nobody's system.
        let mut own = device("sda2", Some("sda"), Kind::Luks, false);
        own.superblock.as_mut().unwrap().label = Some(LUKS_LABEL.to_owned());
        assert_eq!(locked_beside(&[own], &device("sda1", Some("sda"), Kind::Vfat, false)), None);
        // Nor is the volume that a file system lies in, which was opened with its owner's passphrase.
        let volume = device("sda2", Some("sda"), Kind::Luks, false);
        let btrfs = device("sda2", Some("sda"), Kind::Btrfs, false).superblock;
        let inside = Device { node: "/dev/mapper/x".into(), superblock: btrfs, ..volume.clone() };
        assert_eq!(locked_beside(std::slice::from_ref(&volume), &inside), None);
        assert!(locked_beside(&[volume, device("sda3", Some("sda"), Kind::Lvm, false)], &inside).is_some());
    }

    #[test]
    fn f3_what_was_not_left_in_order_beside_may_sleep() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::fs::create_dir(dir.path().join("dev")).unwrap();
        for name in ["sda1", "sda2"] {
            std::fs::write(dir.path().join("dev").join(name), [0; 4096]).unwrap();
        }
        for (other, dirty, expected) in [
            (Kind::Ext4, true, Some("/dev/sda2 on the same disk was not cleanly unmounted")),
            (Kind::Ext2, true, Some("/dev/sda2 on the same disk was not cleanly unmounted")),
            (Kind::Ext4, false, None),
            (Kind::Xfs, false, Some("was not cleanly unmounted")),
            (Kind::Apfs, false, Some("may hold a system that sleeps")),
            (Kind::Bcachefs, false, Some("may hold a system that sleeps")),
            (Kind::Vfat, true, None),
        ] {
            for host in [Kind::Vfat, Kind::Exfat, Kind::Ntfs, Kind::Btrfs] {
                let host = device("sda1", Some("sda"), host, false);
                let devices = [host.clone(), device("sda2", Some("sda"), other, dirty)];
                let sleep = Sleep { devices: &devices, windows: None, awake: false };
                let found = in_use(&env, &host, &sleep, None, false);
                assert!(fits(found.as_deref(), expected), "{other:?} {dirty}: {found:?}");
                assert!(found.is_none_or(|why| why.contains(AWAKE)));
                let elsewhere = [host.clone(), device("sdb2", Some("sdb"), other, dirty)];
                assert_eq!(in_use(&env, &host, &Sleep { devices: &elsewhere, ..sleep }, None, false), None);
                let stick = Device { removable: true, ..host };
                assert_eq!(in_use(&env, &stick, &sleep, None, false), None, "on a stick");
            }
        }
        // Our own areas and those of kiwi-live are nobody's system.
        let host = device("sda1", Some("sda"), Kind::Vfat, false);
        let mut own = device("sda2", Some("sda"), Kind::Ext4, true);
        own.superblock.as_mut().unwrap().label = Some(LABEL.to_owned());
        let devices = [host.clone(), own];
        assert_eq!(in_use(&env, &host, &Sleep { devices: &devices, windows: None, awake: false }, None, false), None);
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
    fn f3_the_beginning_of_a_file_is_a_sign_until_there_is_a_note() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::fs::create_dir(dir.path().join("dev")).unwrap();
        std::fs::write(dir.path().join("dev/sda1"), [0; 4096]).unwrap();
        let whole = left::note(&"0".repeat(64));
        let sleep = Sleep { devices: &[], windows: None, awake: false };
        for (note, refused) in [(None, false), (Some(&whole[..100]), false), (Some(&whole[..]), true)] {
            let path = dir.path().join(left::NOTE);
            let _ = std::fs::remove_file(&path);
            if let Some(note) = note {
                std::fs::write(&path, note).unwrap();
            }
            for kind in [Kind::Vfat, Kind::Exfat] {
                let device = device("sda1", Some("sda"), kind, true);
                let found = in_use(&env, &device, &sleep, Some(Path::new("/")), true);
                assert_eq!(found.is_some(), refused, "{kind:?}: {found:?}");
            }
        }
    }

    #[test]
    fn f3_a_windows_that_has_woken_up_does_not_sleep() {
        let dir = tempfile::tempdir().unwrap();
        for (head, asleep) in [
            (&b"HIBR"[..], true),
            (b"hibr", true),
            (b"RSTR", true),
            (b"\x01\0\0\0", true),
            (b"WAKE", false),
            (b"wake", false),
            (&[0; 4], false),
            (b"", false),
        ] {
            std::fs::write(dir.path().join("hiberfil.sys"), head).unwrap();
            assert_eq!(is_windows_asleep(dir.path()), asleep, "{head:?}");
        }
        std::fs::remove_file(dir.path().join("hiberfil.sys")).unwrap();
        assert!(!is_windows_asleep(dir.path()));
        // What cannot be read may be anything.
        std::fs::create_dir(dir.path().join("hiberfil.sys")).unwrap();
        assert!(is_windows_asleep(dir.path()));
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
