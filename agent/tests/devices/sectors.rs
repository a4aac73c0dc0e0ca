//! Disks whose sectors have 4096 bytes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::machine::{Disk, Machine, Stick, run};
use crate::{PERSISTENT, STICK, kept, remember};

const SECTOR: u32 = 4096;

#[test]
fn loop_area_on_a_stick_with_sectors_of_4096_bytes() {
    for (cowfs, size) in [("ext4", STICK), ("xfs", 400 << 20)] {
        let machine = Machine::new();
        let (label, name) = (machine.label(), format!("P{}", machine.name));
        let stick = Stick::plain_with_sectors(&machine, &label, size, SECTOR);
        let kargs = format!(
            "root=live:LABEL={label} rd.retry=20 rd.overlay=LABEL={name} rd.live.autooverlay rd.live.overlay.cowfs={cowfs}"
        );
        for expected in [None, Some(cowfs)] {
            let booted = machine.boot(&kargs);
            assert_eq!(booted.mode().persistence, "named", "{cowfs}: {:?}", booted.report.fallbacks);
            assert_eq!(kept(&booted).as_deref(), expected, "{cowfs}");
            remember(&booted, cowfs);
        }
        assert_eq!(stick.table().partitions.len(), 2, "{cowfs}");
        assert_eq!(stick.last_by_others(), ["Linux filesystem", cowfs, &name], "{cowfs}");
    }
}

#[test]
fn loop_blank_partition_with_sectors_of_4096_bytes() {
    let machine = Machine::new();
    let (label, medium) = (machine.label(), machine.medium(&machine.label()));
    let _medium = Disk::attach(&machine, medium, &label);
    let path = machine.path("disk");
    File::create(&path).unwrap().set_len(STICK).unwrap();
    let disk = Disk::with_sectors(&machine, path, "", SECTOR);
    let whole = File::open(&disk.node).unwrap();
    rdlive_sys::blkpg::add_partition(&whole, 1, 1 << 20, 48 << 20).unwrap();
    let kargs = format!("root=live:LABEL={label} rd.retry=20 rd.overlay={}p1 rd.live.overlay.cowfs=ext4", disk.node);
    for expected in [None, Some("kept")] {
        let booted = machine.boot(&kargs);
        assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "kept");
    }
}

/// field.md A: a file system with blocks of 1024 bytes, as a squashfs or an ISO 9660 has shorter ones than these sectors too.
#[test]
fn loop_a_medium_and_a_host_with_blocks_shorter_than_their_sectors() {
    let machine = Machine::new();
    let label = machine.label();
    let (short, path) = (machine.path("short"), machine.medium(&label));
    File::create(&short).unwrap().set_len(8 << 20).unwrap();
    let top = machine.path("iso-tree");
    let made = ["-q", "-t", "ext4", "-b", "1024", "-L", &label, "-d"].map(PathBuf::from);
    let arguments: Vec<&Path> = made.iter().map(PathBuf::as_path).chain([top.as_path(), short.as_path()]).collect();
    run("mke2fs", &arguments);
    let disk = Disk::with_sectors(&machine, short, &label, SECTOR);
    let before = fs::read(&disk.path).unwrap();
    let booted = machine.boot(&format!("root=live:LABEL={label} rw rd.overlay=:/changes"));
    assert_eq!(booted.mode().persistence, "temporary");
    let why = booted.report.fallbacks.join(" ");
    assert!(why.contains("has sectors of 4096 bytes, and its file system was made for shorter ones"), "{why}");
    drop(booted);
    assert!(fs::read(&disk.path).unwrap() == before);
    drop(disk);
    // An ISO file is looped with short sectors whatever lies below it, and a host with short blocks is only read.
    for blocks in ["4096", "1024"] {
        let (host, label) = (machine.path(&format!("host{blocks}")), machine.label());
        fs::create_dir_all(machine.path("hosting")).unwrap();
        fs::copy(&path, machine.path("hosting/live.iso")).unwrap();
        File::create(&host).unwrap().set_len(96 << 20).unwrap();
        let made = ["-q", "-t", "ext4", "-b", blocks, "-L", "HOST", "-d"].map(PathBuf::from);
        let top = machine.path("hosting");
        let arguments: Vec<&Path> = made.iter().map(PathBuf::as_path).chain([top.as_path(), host.as_path()]).collect();
        run("mke2fs", &arguments);
        let _disk = Disk::with_sectors(&machine, host, "HOST", SECTOR);
        let kargs = format!(
            "root=live:LABEL={label} rd.live.image iso-scan/filename=/live.iso {PERSISTENT} rd.live.cowfile.mbsize=34"
        );
        let booted = machine.boot(&kargs);
        let expected = if blocks == "4096" { "file" } else { "temporary" };
        assert_eq!(booted.mode().persistence, expected, "{blocks}: {:?}", booted.report.fallbacks);
    }
}
