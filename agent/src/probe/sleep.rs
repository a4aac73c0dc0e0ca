//! Whether a system may sleep that knows a file system which is not ours: all rules in one place (attacks.md F3).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::area::{InUse, LABEL, LUKS_LABEL, Sleeper, TEMPORARY_LABEL, Windows, hibernated};
use crate::env::Env;
use crate::facts::Device;
use crate::foreign;
use crate::format::left::{self, Left};
use crate::format::{self, Kind, Superblock};

/// What is known of systems that may sleep.
#[derive(Clone, Copy, Debug)]
pub struct Sleep<'a> {
    /// All devices that were seen.
    pub devices: &'a [Device],
    /// A Windows that may sleep on an NTFS of a fixed disk.
    pub windows: Option<&'a Windows>,
    /// The operator says that none sleeps.
    pub awake: bool,
}

/// Why somebody may still use a file system that is not ours: it was not left in order and not by us, or a system sleeps that may
/// know it. `at` is where it is mounted, if it is; `begun` as for [`host_refusal`].
pub fn in_use(env: &Env, device: &Device, sleep: &Sleep<'_>, at: Option<&Path>, begun: bool) -> Option<InUse> {
    let found = device.superblock.as_ref()?;
    let node = device.node.clone();
    // ntfs3 keeps no journal of what it writes: nothing but a check says which clusters are really free.
    if found.kind == Kind::Ntfs && found.dirty {
        return Some(InUse::DirtyNtfs(node));
    }
    let half = half_of_a_mirror(env, device, sleep.devices);
    if let Some(half) = half.filter(|half| !(sleep.awake && matches!(half, InUse::EndUnread(_)))) {
        return Some(half);
    }
    if sleep.awake {
        return None;
    }
    let windows = at.and_then(|at| sleeping_windows(env, device, at)).map(InUse::Windows);
    if let Some(why) = hibernated(sleep.devices, &device.node).or(windows) {
        return Some(why);
    }
    let left = how_left(env, device, at);
    let fat = matches!(found.kind, Kind::Vfat | Kind::Exfat);
    match left {
        // Until the note is there, the beginning of a file is the sign. What was noted then says who has been there since.
        Left::ByOthers if fat && begun && !noted(env, at).is_some_and(|note| left::is_whole(&note)) => {}
        Left::ByOthers => return Some(InUse::LeftByOthers { node, kind: found.kind }),
        Left::InOrder | Left::ByUs | Left::Idle | Left::Unmarked => {}
    }
    // Marks that say nothing of who sleeps. A stick is judged by what lies on it alone: Windows sleeps on most machines.
    let says_nothing = fat || found.kind == Kind::Ntfs || matches!(left, Left::Idle | Left::Unmarked);
    if !says_nothing || device.removable {
        return None;
    }
    let sleeper = locked_beside(sleep.devices, device)
        .or_else(|| left_beside(env, sleep.devices, device))
        .or_else(|| sleep.windows.cloned().map(Sleeper::Windows))
        .or_else(|| locked_windows(sleep.devices))?;
    Some(InUse::PartOf { sleeper, node })
}

/// Of which mirror a file system is one half, if it is. The record of a RAID of the machine's firmware lies at the end of the disk, and is
/// often left over from another life: it counts where another fixed disk has one, too, or the same file system. Neither is made of sticks.
fn half_of_a_mirror(env: &Env, device: &Device, devices: &[Device]) -> Option<InUse> {
    let half = |holder: &Path, kind| InUse::Half { node: device.node.clone(), holder: holder.to_owned(), kind };
    if device.removable {
        return None;
    }
    let file = File::open(env.path(&device.node)).ok();
    let Some(record) = file.and_then(|mut file| format::mirror(&mut file).ok()) else {
        return Some(InUse::EndUnread(device.node.clone()));
    };
    if record == Some(Kind::Drbd) {
        return Some(half(&device.node, Kind::Drbd));
    }
    let uuid = |device: &Device| device.superblock.as_ref().and_then(|found| found.uuid.clone());
    let has_record = |disk: &Device| disk.superblock.as_ref().is_some_and(|found| found.kind == Kind::FirmwareRaid);
    let is_layer = |disk: &Device| ["loop", "dm-"].iter().any(|kind| disk.name.starts_with(kind));
    let disks = || devices.iter().filter(move |disk| disk.parent.is_none() && !disk.removable && !is_layer(disk));
    let (own, twin) = match &device.parent {
        Some(parent) => {
            let own = disks().find(|disk| disk.name == *parent && has_record(disk))?;
            (own, disks().find(|disk| disk.name != own.name && has_record(disk)))
        }
        None if record == Some(Kind::FirmwareRaid) => {
            let is_twin = |disk: &Device| uuid(device).is_some_and(|own| uuid(disk) == Some(own));
            let same = |disk: &&Device| disk.name != device.name && (has_record(disk) || is_twin(disk));
            (device, disks().find(same))
        }
        None => return None,
    };
    twin.map(|_| half(&own.node, Kind::FirmwareRaid))
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

/// As [`left::has_only_begun`], of a file system that is mounted.
pub(super) fn has_only_begun(env: &Env, device: &Device, found: &Superblock, at: &Path) -> bool {
    let device = File::open(env.path(&device.node)).ok();
    noted(env, Some(at)).zip(device).is_some_and(|(note, mut device)| left::has_only_begun(&mut device, found, &note))
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
fn left_beside(env: &Env, devices: &[Device], device: &Device) -> Option<Sleeper> {
    let left = |other: &&Device| {
        let Some(found) = &other.superblock else { return false };
        let marked = match found.kind {
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => found.dirty,
            kind => kind == Kind::Xfs,
        };
        marked && found.label.as_deref() != Some(LABEL) && how_left(env, other, None) == Left::ByOthers
    };
    beside(devices, device).find(left).map(|found| Sleeper::Left(found.node.clone()))
}

/// What lies on the same disk and may hold a system, but cannot be looked into.
fn locked_beside(devices: &[Device], device: &Device) -> Option<Sleeper> {
    let locked = |other: &Device| {
        let found = other.superblock.as_ref()?;
        let ours = found.label.as_deref().is_some_and(|label| [LUKS_LABEL, TEMPORARY_LABEL].contains(&label));
        let locked = holds_unseen(found.kind) || found.kind == Kind::Luks && !ours;
        locked.then(|| Sleeper::Locked { node: other.node.clone(), kind: found.kind })
    };
    beside(devices, device).find_map(locked)
}

/// A Windows on a fixed disk that cannot be looked into.
fn locked_windows(devices: &[Device]) -> Option<Sleeper> {
    let locked = |device: &&Device| {
        !device.removable && device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Bitlocker)
    };
    devices.iter().find(locked).map(|device| Sleeper::Bitlocker(device.node.clone()))
}

/// As [`hibernated`], for the NTFS that is mounted at `at`: Windows notes it in a file.
pub fn sleeping_windows(env: &Env, device: &Device, at: &Path) -> Option<Windows> {
    let ntfs = device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs);
    let asleep = ntfs && is_windows_asleep(&env.path(at));
    asleep.then(|| Windows::Asleep(device.node.clone()))
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

/// Whether the journal of a device has what its file system does not show yet, as it is on the device now.
pub fn is_journal_pending(env: &Env, device: &Device) -> bool {
    let Ok(mut file) = File::open(env.path(&device.node)) else { return false };
    let found = format::identify(&mut file).ok().flatten();
    found.is_some_and(|found| left::is_pending(&mut file, &found))
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
pub(super) mod tests;
