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
    let (whole, nameless) = (of("sdd", "u"), device("sdd", None, Kind::Ext4, false));
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
        (&whole, vec![of("dm-0", "u"), of("loop7", "u")], None),
        (&nameless, vec![device("sde", None, Kind::Ext4, false)], None),
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
