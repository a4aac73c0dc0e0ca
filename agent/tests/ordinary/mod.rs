//! Overlays over an ordinary root, on real loop devices: dracut-live spec 1.5, case C22. Needs root and mke2fs.

use std::fs;
use std::process::Command;

use crate::machine::{Booted, Disk, Machine, run};
use rdlive::error::Code;

/// A disk with a root tree, as an installed system has it.
pub fn root_disk(machine: &Machine) -> Disk {
    let disk = Disk::formatted(machine, "ext4", 32 << 20);
    disk.inside(|at| {
        fs::create_dir(at.join("usr")).unwrap();
        fs::write(at.join("usr/mark"), "installed").unwrap();
    });
    disk
}

/// Mounts the root where an initrd's own means would.
fn mount_at_sysroot(machine: &Machine, disk: &Disk) {
    let sysroot = machine.path("sysroot");
    fs::create_dir_all(&sysroot).unwrap();
    run("mount", &["-o".as_ref(), "ro".as_ref(), disk.node.as_ref(), &sysroot]);
}

fn mounts(machine: &Machine) -> Vec<(String, String, String)> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let prefix = machine.dir.path().to_str().unwrap().to_owned();
    let lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines
        .filter_map(|f| Some((f[1].strip_prefix(&prefix)?.to_owned(), f[0].to_owned(), f[3].to_owned())))
        .filter(|(at, ..)| !at.is_empty())
        .collect()
}

fn writes(booted: &Booted, text: &str) {
    fs::write(booted.sysroot.join("usr/kept"), text).unwrap();
}

fn kept(booted: &Booted) -> Option<String> {
    assert_eq!(fs::read_to_string(booted.sysroot.join("usr/mark")).unwrap(), "installed");
    fs::read_to_string(booted.sysroot.join("usr/kept")).ok()
}

#[test]
fn loop_c22_root_that_is_mounted_already_goes_below_the_overlay() {
    let machine = Machine::new();
    let disk = root_disk(&machine);
    let before = fs::read(&disk.path).unwrap();
    mount_at_sysroot(&machine, &disk);
    let booted = machine.boot(&format!("root=LABEL={} rd.overlay=tmpfs:size=32M,nr_inodes=1000", disk.label));
    assert_eq!(kept(&booted), None);
    writes(&booted, "in RAM");
    assert_eq!(booted.mode().persistence, "temporary");
    let table = mounts(&machine);
    let points: Vec<&str> = table.iter().map(|(at, ..)| at.as_str()).collect();
    assert_eq!(points, ["/run/rootfsbase", "/run/initramfs/overlay", "/sysroot"], "each once");
    assert!(table[0].2.starts_with("ro"), "{table:?}");
    assert!(table[1].2.contains("size=32768k") && table[1].2.contains("nr_inodes=1000"), "{table:?}");
    assert_eq!(table[2].1, "LiveOS_rootfs");
    for (link, to) in [("overlayfs", "initramfs/overlay/overlayfs"), ("ovlwork", "initramfs/overlay/ovlwork")] {
        let target = fs::read_link(machine.path("run").join(link)).unwrap();
        assert_eq!(target.to_str().unwrap(), format!("/run/{to}"), "{link}");
    }
    drop(booted);
    assert!(fs::read(&disk.path).unwrap() == before, "the root was written to");
}

#[test]
fn loop_c22_agent_mounts_the_root_and_keeps_changes_on_a_device() {
    let machine = Machine::new();
    let (disk, store) = (root_disk(&machine), Disk::formatted(&machine, "ext4", 64 << 20));
    let kargs = |more: &str| {
        format!(
            "root=LABEL={} rootflags=noatime,errors=remount-ro ro rd.overlay=LABEL={} {more}",
            disk.label, store.label
        )
    };
    for (more, expected) in
        [("", None), ("", Some("kept")), ("rd.overlay.readonly", Some("kept")), ("rd.overlay.reset", None)]
    {
        let booted = machine.boot(&kargs(more));
        assert_eq!(booted.mode().persistence, "named", "{more}: {:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected, "{more}");
        writes(&booted, if more.is_empty() { "kept" } else { "new" });
        let table = mounts(&machine);
        assert!(table.iter().any(|(at, ..)| at == "/run/overlayfs-backing"), "{table:?}");
        assert!(table[0].0 == "/run/rootfsbase" && table[0].2.contains("errors=remount-ro"), "{table:?}");
        drop(booted);
        store.inside(|at| {
            assert!(at.join("overlay").is_dir() && at.join("ovlwork").is_dir());
        });
    }
}

#[test]
fn loop_c22_a_failure_leaves_the_root_where_it_was() {
    let machine = Machine::new();
    let disk = root_disk(&machine);
    mount_at_sysroot(&machine, &disk);
    // The upper directory cannot be made: its place is a file.
    fs::create_dir_all(machine.path("run/initramfs")).unwrap();
    fs::write(machine.path("run/initramfs/overlay"), "").unwrap();
    machine.try_boot(&format!("root=LABEL={} rd.overlay", disk.label)).unwrap_err();
    let table = mounts(&machine);
    assert_eq!(table.len(), 1, "{table:?}");
    assert_eq!((table[0].0.as_str(), table[0].1.as_str()), ("/sysroot", disk.node.as_str()));
    run("umount", &[&machine.path("sysroot")]);
}

#[test]
fn loop_c22_roots_that_cannot_be_mounted_here_are_named() {
    let machine = Machine::new();
    let stop = machine.try_boot("root=ubi0:rootfs rd.overlay").unwrap_err();
    assert_eq!(stop.code, Code::RootMalformed);
    let stop = machine.try_boot("root=LABEL=NOTHERE rd.overlay rd.retry=1").unwrap_err();
    assert_eq!(stop.code, Code::MediumNotFound);
    assert!(stop.wanted.contains("NOTHERE"), "{stop:?}");
}

/// A named device that holds nothing is formatted when a file system for it was named, and only then.
#[test]
fn loop_named_blank_device() {
    let machine = Machine::new();
    let disk = root_disk(&machine);
    for (content, more, made) in
        [(0, "", false), (0, "rd.live.overlay.cowfs=ext4", true), (7, "rd.live.overlay.cowfs=ext4", false)]
    {
        let store = Disk::formatted(&machine, "ext4", 64 << 20);
        let bytes = vec![content; 64 << 20];
        fs::write(&store.path, &bytes).unwrap();
        Command::new("blockdev").args(["--flushbufs", &store.node]).status().unwrap();
        let booted = machine.boot(&format!("root=LABEL={} rd.overlay={} {more}", disk.label, store.node));
        let fallbacks = booted.report.fallbacks.join(" ");
        let expected = if made { "named" } else { "temporary" };
        assert_eq!(booted.mode().persistence, expected, "{content} {more}: {fallbacks}");
        drop(booted);
        if !made {
            let word = if more.is_empty() { "rd.live.overlay.cowfs=ext4 makes one" } else { "not empty" };
            assert!(fallbacks.contains(word), "{content} {more}: {fallbacks}");
            assert!(fs::read(&store.path).unwrap() == bytes, "{content} {more}: written");
        }
    }
}
