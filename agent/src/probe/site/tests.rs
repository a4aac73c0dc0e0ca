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
    for name in [
        "own/overlay-A-1/f",
        "own/overlays/f",
        "own/photos/f",
        "own/ovlwork",
        "cut/overlay/f",
        "cut/photos/f",
        &format!("cut/{aside}"),
        "photos/f",
        "empty",
        "link/overlay/f",
    ] {
        make(name);
    }
    std::fs::write(dir.path().join("disk/file"), "x").unwrap();
    std::os::unix::fs::symlink("../own/ovlwork", dir.path().join("disk/link/ovlwork")).unwrap();
    for (path, stranger) in [
        ("own/overlay-A-1", false),
        ("own/overlays", true),
        ("own/photos", true),
        ("cut/overlay", false),
        ("cut/photos", true),
        ("photos", true),
        ("empty", false),
        ("file", false),
        ("absent", false),
        ("link/overlay", true),
    ] {
        assert_eq!(is_stranger(&env, at, Path::new(path)), stranger, "{path}");
    }
}

/// Somebody has photographs beside a place for changes, and mistypes its path. Needs root.
#[test]
fn loop_f13_the_work_directory_says_whose_changes_lie_beside_it() {
    use rustix::fs::{XattrFlags, lsetxattr};
    let dir = tempfile::tempdir().unwrap();
    let (env, at) = (Env::new(dir.path()), Path::new("/"));
    for name in
        ["changes/f", "photos/f", "changed/etc", "emptied/f", "ovlwork", "live/changes/f", "live/ovlwork", "many/f"]
    {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let set = |path: &str, name: &str, value: &[u8]| {
        lsetxattr(dir.path().join(path), name, value, XattrFlags::empty()).unwrap();
    };
    set("ovlwork", "trusted.rdlive.upper.changes", b"");
    set("ovlwork", "trusted.rdlive.upper.elsewhere", b"");
    // What the kernel writes, in the directory and in something that was copied up.
    set("emptied", "trusted.overlay.impure", b"y");
    set("changed/etc", "trusted.overlay.origin", b"");
    set("photos/f", "user.comment", b"trusted.overlay.origin");
    // Directories that hold a place for changes, or what was one.
    set("live/changes", "trusted.overlay.impure", b"y");
    set("many/f", "trusted.overlay.impure", b"y");
    let strangers = || {
        let all = ["changes", "photos", "changed", "emptied", "live", "many"];
        all.map(|path| is_stranger(&env, at, Path::new(path)))
    };
    assert_eq!(strangers(), [false, true, false, false, true, true]);
    // A reset was cut short behind the first of its two renames.
    let aside = dir.path().join(".rdlive-discarded-01234567-89ab-4def-8123-456789abcdef");
    std::fs::rename(dir.path().join("ovlwork"), &aside).unwrap();
    assert_eq!(strangers(), [false, true, false, false, true, true]);
    std::fs::remove_dir(aside).unwrap();
    assert_eq!(strangers(), [true; 6]);
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
