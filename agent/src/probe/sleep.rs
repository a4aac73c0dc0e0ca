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
    if let Some(half) = half_of_a_mirror(env, device, sleep.devices) {
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
    let mut file = File::open(env.path(&device.node)).ok()?;
    let record = match format::mirror(&mut file) {
        Ok(record) => record,
        Err(_) => return Some(InUse::EndUnread(device.node.clone())),
    };
    if record == Some(Kind::Drbd) {
        return Some(half(&device.node, Kind::Drbd));
    }
    let uuid = |device: &Device| device.superblock.as_ref().and_then(|found| found.uuid.clone());
    let has_record = |disk: &Device| disk.superblock.as_ref().is_some_and(|found| found.kind == Kind::FirmwareRaid);
    let disks = || devices.iter().filter(|disk| disk.parent.is_none() && !disk.removable);
    let (own, twin) = match &device.parent {
        Some(parent) => {
            let own = disks().find(|disk| disk.name == *parent && has_record(disk))?;
            (own, disks().find(|disk| disk.name != own.name && has_record(disk)))
        }
        None if record == Some(Kind::FirmwareRaid) => {
            let same = |disk: &&Device| disk.name != device.name && (has_record(disk) || uuid(disk) == uuid(device));
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
pub(super) mod tests {
    use super::*;
    use crate::area::{AWAKE, Obstacle};
    use crate::error::Stop;

    pub(crate) fn device(name: &str, parent: Option<&str>, kind: Kind, dirty: bool) -> Device {
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

    /// Whether a reason, with what to do about it, has these words.
    pub(crate) fn fits<T: Clone + Into<Obstacle>>(found: Option<&T>, expected: Option<&str>) -> bool {
        match (found, expected) {
            (None, None) => true,
            (Some(why), Some(words)) => Stop::from(why.clone().into()).with_advice().contains(words),
            _ => false,
        }
    }

    #[test]
    fn f3_on_a_fixed_disk_nothing_may_sleep_beside_what_has_no_marks() {
        let env = Env::new("/nowhere");
        let asleep = Windows::Asleep("/dev/sdb1".into());
        let windows = Some(&asleep);
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
                assert!(fits(found.as_ref(), expected), "{kind:?} beside {beside:?}: {found:?}");
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
            assert!(fits(found.as_ref(), expected), "removable {removable}: {found:?}");
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
                assert!(fits(found.as_ref(), expected), "{other:?} {dirty}: {found:?}");
                assert!(found.is_none_or(|why| Obstacle::from(why).remedy().contains(AWAKE)));
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
    fn f7_half_of_a_mirror_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::fs::create_dir(dir.path().join("dev")).unwrap();
        let mut drbd = vec![0; 4 << 20];
        let made = format::signatures(drbd.len() as u64).into_iter().rfind(|made| made.kind == Kind::Drbd).unwrap();
        for (at, bytes) in made.writes {
            drbd[at as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        std::fs::write(dir.path().join("dev/sda1"), vec![0; 4 << 20]).unwrap();
        std::fs::write(dir.path().join("dev/sda2"), drbd).unwrap();
        let disk = |name: &str| device(name, None, Kind::FirmwareRaid, false);
        let usb = |name: &str| Device { removable: true, ..disk(name) };
        let of = |name: &str, uuid: &str| {
            let mut device = device(name, None, Kind::Ext4, false);
            device.superblock.as_mut().unwrap().uuid = Some(uuid.to_owned());
            device
        };
        let mut isw = vec![0; 4 << 20];
        isw[(4 << 20) - 1024..][..24].copy_from_slice(b"Intel Raid ISM Cfg Sig. ");
        std::fs::write(dir.path().join("dev/sdd"), isw).unwrap();
        let whole = of("sdd", "u");
        let (plain, mirrored) =
            (device("sda1", Some("sda"), Kind::Ext4, false), device("sda2", Some("sda"), Kind::Ext4, false));
        for (found, disks, expected) in [
            (&plain, vec![], None),
            (&plain, vec![disk("sda")], None),
            (&plain, vec![disk("sdb"), disk("sdc")], None),
            (&plain, vec![disk("sda"), disk("sdb")], Some("wipefs /dev/sda shows")),
            (&plain, vec![disk("sda"), usb("sdb")], None),
            (&mirrored, vec![], Some("wipefs /dev/sda2 shows")),
            (&whole, vec![], None),
            (&whole, vec![of("sde", "v")], None),
            (&whole, vec![of("sde", "u")], Some("wipefs /dev/sdd shows")),
        ] {
            let mut devices = disks;
            devices.push(found.clone());
            // Whoever says that nothing sleeps does not say that there is no mirror.
            for awake in [false, true] {
                let sleep = Sleep { devices: &devices, windows: None, awake };
                let why = in_use(&env, found, &sleep, None, false);
                assert!(fits(why.as_ref(), expected), "{}: {why:?}", found.name);
                let stick = Device { removable: true, ..found.clone() };
                assert_eq!(in_use(&env, &stick, &sleep, None, false), None, "{}", found.name);
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
}
