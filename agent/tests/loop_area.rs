//! Persistent areas on real loop devices: on a stick and beside an ISO file, each used twice, and
//! every way in which the first use can be cut short. Needs root, xorriso, mksquashfs, sfdisk and the mkfs programs.

mod devices;
mod foreign;
mod locked;
mod machine;
mod ordinary;
mod programs;
mod stick;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use machine::{Booted, Machine, Stick};
use rdlive::error::Code;
use rdlive::exec::Executor;
use rdlive::facts::Seen;
use rdlive::format::Kind;
use rdlive::plan::Step;
use rdlive::plan::act::{AreaAct, Target};

/// A disk image of this size: the ISO needs about 3 MiB, the rest is the gap.
const STICK: u64 = 96 << 20;
const PERSISTENT: &str = "rd.live.overlay.persistent";

fn stick_boot(machine: &Machine, stick: &Stick, more: &str) -> Booted {
    stick.boot(machine, more).unwrap_or_else(|stop| panic!("{more}: {:?}", stop.lines()))
}

/// Writes a file into the booted root, and reads it.
fn remember(booted: &Booted, text: &str) {
    fs::write(booted.sysroot.join("kept"), text).unwrap();
}

fn kept(booted: &Booted) -> Option<String> {
    fs::read_to_string(booted.sysroot.join("kept")).ok()
}

#[test]
fn loop_t18_t21_partition_is_made_once_and_keeps_changes() {
    for layout in ["gpt", "mbr"] {
        let machine = Machine::new();
        let stick = Stick::new(&machine, layout, STICK);
        let first_sector = stick.bytes(0, 512);
        let first = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(first.mode().persistence, "partition", "{layout}: {:?}", first.report.fallbacks);
        assert_eq!(kept(&first), None, "{layout}");
        remember(&first, layout);
        drop(first);
        if layout == "gpt" {
            assert_eq!(stick.bytes(0, 512), first_sector, "boot code and guard");
        } else {
            assert_eq!(stick.bytes(0, 446), first_sector[..446], "boot code");
        }
        let table = stick.table();
        let new = table.partitions.last().unwrap();
        assert_eq!(new.start % (1 << 20), 0, "{layout}");
        assert!(new.end() + (3 << 20) > STICK, "{layout}: up to the end, not {new:?}");
        let named = if layout == "gpt" { "Linux filesystem" } else { "Linux" };
        assert_eq!(stick.last_by_others(), [named, "ext4", "cow"], "{layout}");

        let second = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(kept(&second).as_deref(), Some(layout), "{layout}: {:?}", second.report.fallbacks);
        assert!(!second.report.steps.iter().any(|step| step.step.starts_with("format")), "{layout}");
        assert_eq!(second.report.fallbacks, Vec::<String>::new(), "{layout}");
        drop(second);
        assert_eq!(stick.table(), table, "{layout}: the table stays");
    }
}

#[test]
fn loop_t22_t23_xfs_and_btrfs() {
    for (cowfs, size) in [("xfs", 420 << 20), ("btrfs", 200 << 20)] {
        let machine = Machine::new();
        let stick = Stick::new(&machine, "gpt", size);
        let kargs = format!("{PERSISTENT} rd.live.overlay.cowfs={cowfs}");
        let first = stick_boot(&machine, &stick, &kargs);
        assert_eq!(first.mode().persistence, "partition", "{cowfs}: {:?}", first.report.fallbacks);
        remember(&first, cowfs);
        drop(first);
        assert_eq!(kept(&stick_boot(&machine, &stick, &kargs)).as_deref(), Some(cowfs));
    }
}

#[test]
fn loop_t30_t31_every_cut_ends_with_a_working_area() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    // What a boot changes, write by write: the file system in the gap, then the four writes of the table.
    let fresh = stick.all();
    let before = stick.table().partitions.len();
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let done = stick.all();
    let new = stick.table().partitions.last().unwrap().clone();
    let area = new.start as usize..new.end() as usize;
    let mut cuts = vec![("nothing written", fresh.clone())];
    for (name, part) in [("a quarter of mkfs", 4), ("half of mkfs", 2), ("all of mkfs", 1)] {
        let mut bytes = fresh.clone();
        let end = area.start + area.len() / part;
        bytes[area.start..end].copy_from_slice(&done[area.start..end]);
        cuts.push((name, bytes));
    }
    let (name, mut bytes) = cuts.last().cloned().unwrap();
    assert_eq!(name, "all of mkfs");
    for (name, range) in [("the copies of the table", area.end..done.len()), ("the header", 512..1024)] {
        bytes[range.clone()].copy_from_slice(&done[range]);
        cuts.push((name, bytes.clone()));
    }
    for (name, bytes) in cuts {
        stick.write(&bytes);
        stick.rescan();
        let first = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(first.mode().persistence, "partition", "{name}: {:?}", first.report.fallbacks);
        remember(&first, name);
        drop(first);
        let second = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(kept(&second).as_deref(), Some(name), "{:?}", second.report.fallbacks);
        drop(second);
        let now = stick.table();
        assert_eq!(now.partitions.len(), before + 1, "{name}");
        let image = now.partitions[before].start as usize;
        // The header and the entries change, the first sector and the image do not.
        assert!(stick.bytes(0, 512) == fresh[..512], "{name}: first sector");
        assert!(stick.bytes(32 << 10, image - (32 << 10)) == fresh[32 << 10..image], "{name}: image");
    }
}

#[test]
fn loop_w13_changed_image_is_not_mixed_with_old_changes() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let first = stick_boot(&machine, &stick, PERSISTENT);
    remember(&first, "old image");
    fs::write(first.area().join(".rdlive-identity"), r#"{"volume_id":"OLD","image_uuid":"x","agent":"0"}"#).unwrap();
    drop(first);
    let second = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!((second.mode().persistence.as_str(), kept(&second)), ("temporary", None));
    let why = second.report.fallbacks.join(" ");
    for word in ["OLD", stick.label.as_str(), "persistent=accept", "RDL-051"] {
        assert!(why.contains(word), "{word} is not in {why}");
    }
    drop(second);
    let stop = stick.boot(&machine, &format!("{PERSISTENT}=required")).unwrap_err();
    assert_eq!(stop.code, Code::AreaOther);
    let accepted = stick_boot(&machine, &stick, &format!("{PERSISTENT}=accept"));
    assert_eq!(kept(&accepted).as_deref(), Some("old image"));
    drop(accepted);
    let third = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(kept(&third).as_deref(), Some("old image"), "accepted once, known from then on");
}

#[test]
fn loop_reset_and_readonly_on_the_partition() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let first = stick_boot(&machine, &stick, PERSISTENT);
    remember(&first, "one");
    fs::write(first.sysroot.join(".dot"), "x").unwrap();
    drop(first);
    let shown = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.overlay.readonly"));
    assert_eq!(kept(&shown).as_deref(), Some("one"), "{:?}", shown.report.fallbacks);
    assert!(shown.mode().readonly);
    remember(&shown, "two");
    drop(shown);
    let second = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(kept(&second).as_deref(), Some("one"), "nothing new was kept");
    drop(second);
    let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
    assert_eq!((kept(&reset), reset.sysroot.join(".dot").exists()), (None, false));
    assert!(
        reset.mode().notes.iter().any(|note| note.contains("reset: removed 2 entries")),
        "{:?}",
        reset.mode().notes
    );
}

/// Names at the top of the area that a reset left and that are not deleted yet.
fn set_aside(area: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(area).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("/.rdlive-discarded-")).collect()
}

/// What cannot be deleted is out of the way all the same, and is deleted by whichever boot can.
#[test]
fn loop_reset_is_all_or_nothing_although_something_cannot_be_deleted() {
    for owner in ["this image", "another image"] {
        let machine = Machine::new();
        let stick = Stick::new(&machine, "gpt", STICK);
        let first = stick_boot(&machine, &stick, PERSISTENT);
        for number in 0..30 {
            fs::create_dir(first.sysroot.join(format!("dir{number:02}"))).unwrap();
            fs::write(first.sysroot.join(format!("dir{number:02}/old")), owner).unwrap();
        }
        machine::run("chattr", &[Path::new("+i"), &first.area().join("rw/dir07/old")]);
        let stranger = first.area().join(".rdlive-discarded-by-hand");
        fs::create_dir(&stranger).unwrap();
        if owner == "another image" {
            let other = r#"{"volume_id":"OTHER","image_uuid":"x","agent":"0"}"#;
            fs::write(first.area().join(".rdlive-identity"), other).unwrap();
        }
        drop(first);
        let olds = |booted: &Booted| (0..30).filter(|n| booted.sysroot.join(format!("dir{n:02}")).exists()).count();
        let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
        assert_eq!(reset.mode().persistence, "partition", "{owner}: {:?}", reset.report.fallbacks);
        assert_eq!(olds(&reset), 0, "{owner}");
        let notes = reset.mode().notes.join("; ");
        assert!(notes.contains("reset: removed 30 entries of") && notes.contains("dir00"), "{owner}: {notes}");
        assert!(notes.contains("and 14 more") && !notes.contains("dir29"), "{owner}: {notes}");
        assert!(notes.contains("not deleted yet") && notes.contains("dir07/old"), "{owner}: {notes}");
        let left = set_aside(&reset.area());
        assert_eq!(left.len(), 2, "{owner}: {left:?}");
        remember(&reset, owner);
        drop(reset);
        let next = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!((kept(&next).as_deref(), olds(&next)), (Some(owner), 0), "{:?}", next.report.fallbacks);
        let held: Vec<_> = set_aside(&next.area()).into_iter().filter(|path| *path != stranger).collect();
        let [held] = &held[..] else { panic!("{owner}: {held:?}") };
        assert_eq!(fs::read_dir(held).unwrap().count(), 1, "{owner}: only what is held");
        machine::run("chattr", &[Path::new("-i"), &held.join("dir07/old")]);
        drop(next);
        let last = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!((kept(&last).as_deref(), olds(&last)), (Some(owner), 0), "{:?}", last.report.fallbacks);
        assert_eq!(set_aside(&last.area()), [stranger], "{owner}: our name is a prefix and a UUID");
        assert!(!last.mode().notes.join(" ").contains("not deleted"), "{owner}: {:?}", last.mode().notes);
    }
}

#[test]
fn loop_reset_of_an_area_with_subvolumes_inside() {
    if !machine::kernel_has("btrfs") {
        println!("skipped: this kernel has no btrfs");
        return;
    }
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", 200 << 20);
    let kargs = format!("{PERSISTENT} rd.live.overlay.cowfs=btrfs");
    let first = stick_boot(&machine, &stick, &kargs);
    let btrfs = |words: &str, paths: &[&Path]| {
        let words: Vec<_> = words.split(' ').map(Path::new).chain(paths.iter().copied()).collect();
        machine::run("btrfs", &words);
    };
    let (sub, snapshot) = (first.area().join("rw/sub"), first.area().join("rw/snapshot"));
    btrfs("-q subvolume create", &[&sub]);
    fs::write(sub.join("old"), "old").unwrap();
    btrfs("-q subvolume snapshot -r", &[&sub, &snapshot]);
    remember(&first, "old");
    drop(first);
    let reset = stick_boot(&machine, &stick, &format!("{kargs} rd.live.overlay.reset"));
    assert_eq!(reset.mode().persistence, "partition", "{:?}", reset.report.fallbacks);
    assert_eq!((kept(&reset), reset.sysroot.join("sub").exists()), (None, false));
    // Nothing deletes what is in a subvolume that refuses writes; the other one is gone.
    let notes = reset.mode().notes.join("; ");
    assert!(notes.contains("not deleted yet") && notes.contains("snapshot"), "{notes}");
    let left = set_aside(&reset.area());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!left[0].join("sub").exists(), "{notes}");
}

/// There is no room for the mark of the new image, nor for anything else.
#[test]
fn loop_reset_of_a_full_area() {
    for (cowfs, size) in [("ext4", STICK), ("xfs", 420 << 20), ("btrfs", 200 << 20)] {
        let machine = Machine::new();
        let stick = Stick::new(&machine, "gpt", size);
        let kargs = format!("{PERSISTENT} rd.live.overlay.cowfs={cowfs}");
        let first = stick_boot(&machine, &stick, &kargs);
        let other = r#"{"volume_id":"OTHER","image_uuid":"x","agent":"0"}"#;
        fs::write(first.area().join(".rdlive-identity"), other).unwrap();
        let mut number = 0;
        for length in [1 << 20, 4096] {
            while fs::write(first.sysroot.join(format!("full{number}")), vec![b'x'; length]).is_ok() {
                number += 1;
            }
        }
        drop(first);
        let reset = stick_boot(&machine, &stick, &format!("{kargs} rd.live.overlay.reset"));
        assert_eq!(reset.mode().persistence, "partition", "{cowfs}: {:?}", reset.report.fallbacks);
        assert!(!reset.report.steps.iter().any(|step| step.step.starts_with("format")), "{cowfs}: emptied, not made");
        remember(&reset, cowfs);
        drop(reset);
        let next = stick_boot(&machine, &stick, &kargs);
        assert_eq!(kept(&next).as_deref(), Some(cowfs), "{:?}", next.report.fallbacks);
        assert!(!next.sysroot.join("full0").exists());
    }
}

/// Another system was cut off while a deleted file was open: ext4 would clean that up on a read-only mount, too.
#[test]
fn loop_the_search_for_an_iso_file_writes_nothing() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 64 << 20);
    let mut cut = Vec::new();
    disk.inside(|at| {
        let mut file = fs::File::create(at.join("deleted")).unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        fs::remove_file(at.join("deleted")).unwrap();
        fs::File::create(at.join("other")).unwrap().sync_all().unwrap();
        let at = fs::File::open(at).unwrap();
        rustix::fs::syncfs(&at).unwrap();
        cut = fs::read(&disk.path).unwrap();
        drop(file);
    });
    disk.write(&cut);
    drop(file_boot(&machine, (&disk, &label), ""));
    let after = fs::read(&disk.path).unwrap();
    assert_eq!(cut.iter().zip(&after).position(|(before, after)| before != after), None);
    let node = fs::File::options().write(true).open(&disk.node);
    assert!(node.is_ok_and(|node| !rdlive_sys::blkro::is_read_only(&node).unwrap()), "it stays protected");
}

/// What is only shown is not written to: not its journal, not the mark, not the disk; so it may refuse writes.
#[test]
fn loop_readonly_shows_a_stick_that_refuses_writes() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let first = stick_boot(&machine, &stick, PERSISTENT);
    remember(&first, "one");
    drop(first);
    stick.set_read_only();
    let shown = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.overlay.readonly"));
    assert_eq!(kept(&shown).as_deref(), Some("one"), "{:?}", shown.report.fallbacks);
    assert!(shown.mode().readonly && shown.report.fallbacks.is_empty(), "{:?}", shown.report.fallbacks);
}

#[test]
fn loop_readonly_leaves_every_byte_of_an_area_that_was_cut_off() {
    for kargs in [PERSISTENT.to_owned(), "rd.live.overlay=:auto".to_owned(), "named".to_owned()] {
        let machine = Machine::new();
        let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
        let named = format!("rd.overlay=LABEL={}:/changes", disk.label);
        let kargs = if kargs == "named" { named } else { kargs };
        let kargs = format!("{kargs} rd.live.cowfile.mbsize=40");
        let first = file_boot(&machine, (&disk, &label), &kargs);
        assert_ne!(first.mode().persistence, "temporary", "{kargs}: {:?}", first.report.fallbacks);
        remember(&first, "one");
        drop(first);
        let second = file_boot(&machine, (&disk, &label), &kargs);
        fs::write(second.sysroot.join("more"), "more").unwrap();
        fs::File::open(second.sysroot.join("more")).unwrap().sync_all().unwrap();
        let cut = fs::read(&disk.path).unwrap();
        drop(second);
        disk.write(&cut);
        let shown = file_boot(&machine, (&disk, &label), &format!("{kargs} rd.overlay.readonly"));
        assert_eq!(kept(&shown).as_deref(), Some("one"), "{kargs}: {:?}", shown.report.fallbacks);
        assert!(shown.mode().readonly && shown.report.fallbacks.is_empty(), "{kargs}: {:?}", shown.report.fallbacks);
        remember(&shown, "two");
        let steps: Vec<_> = shown.report.steps.iter().map(|step| step.step.clone()).collect();
        drop(shown);
        let after = fs::read(&disk.path).unwrap();
        let changed = cut.iter().zip(&after).position(|(before, after)| before != after);
        assert_eq!(changed, None, "{kargs}: {steps:#?}");
        // And it is used again afterwards, journal and all.
        let last = file_boot(&machine, (&disk, &label), &kargs);
        assert_eq!(fs::read_to_string(last.sysroot.join("more")).ok().as_deref(), Some("more"), "{kargs}");
    }
}

#[test]
fn loop_t24_t33_no_room_and_broken_area_stay_as_they_are() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let new = stick.table().partitions.last().unwrap().clone();
    // The superblock survives with its label, what it describes does not.
    let mut bytes = stick.all();
    bytes[new.start as usize + 4096..new.end() as usize].fill(0xa5);
    stick.write(&bytes);
    stick.rescan();
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "temporary");
    assert!(booted.report.fallbacks[0].contains("RDL-052"), "{:?}", booted.report.fallbacks);
    drop(booted);
    let outside = |bytes: &[u8]| [&bytes[..new.start as usize], &bytes[new.end() as usize..]].concat();
    assert!(outside(&stick.all()) == outside(&bytes), "nothing was written beside it");
    // Without any superblock it is a partition of unknown content.
    bytes[new.start as usize..new.start as usize + 4096].fill(0xa5);
    stick.write(&bytes);
    stick.rescan();
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "temporary");
    assert!(booted.report.fallbacks[0].contains("not empty"), "{:?}", booted.report.fallbacks);
    drop(booted);
    assert!(stick.all() == bytes, "nothing was written");
    let stop = stick.boot(&machine, &format!("{PERSISTENT}=required")).unwrap_err();
    assert_eq!(stop.code, Code::AreaUnavailable);
}

/// The superblock of an area as it was before a boot and as it is while that has written: every mix of their sectors that a
/// power cut can leave. What was synchronised is kept, and the file system is sound.
#[test]
fn loop_a_torn_superblock_is_repaired() {
    for (cowfs, size, at, length) in [("ext4", STICK, 1024, 1024), ("btrfs", 200 << 20, 64 << 10, 4096)] {
        if !machine::kernel_has(cowfs) {
            println!("skipped: this kernel has no {cowfs}");
            continue;
        }
        let machine = Machine::new();
        let stick = Stick::new(&machine, "gpt", size);
        let kargs = format!("{PERSISTENT} rd.live.overlay.cowfs={cowfs}");
        drop(stick_boot(&machine, &stick, &kargs));
        let area = stick.table().partitions.last().unwrap().clone();
        let superblock = area.start as usize + at..area.start as usize + at + length;
        let before = stick.all();
        let second = stick_boot(&machine, &stick, &kargs);
        remember(&second, cowfs);
        let file = fs::File::open(second.sysroot.join("kept")).unwrap();
        rustix::fs::syncfs(&file).unwrap();
        drop(file);
        let now = stick.all();
        drop(second);
        let sector = |disk: &[u8], number: usize| disk[superblock.start + number * 512..][..512].to_vec();
        let differing: Vec<usize> = (0..length / 512).filter(|n| sector(&before, *n) != sector(&now, *n)).collect();
        assert!(differing.len() > 1 && differing[0] == 0, "{cowfs}: {differing:?}");
        let mut repaired = 0;
        for choice in 0..1_u32 << differing.len() {
            // ext4 writes nothing to its journal before the superblock says that it is in use; btrfs overwrites nothing.
            let old = cowfs == "ext4" && choice & 1 == 1;
            let mut torn = if old { before.clone() } else { now.clone() };
            for (bit, n) in differing.iter().enumerate() {
                let from = if choice >> bit & 1 == 1 { &before } else { &now };
                torn[superblock.start + n * 512..][..512].copy_from_slice(&sector(from, *n));
            }
            stick.write(&torn);
            stick.rescan();
            drop(stick_boot(&machine, &stick, &format!("{kargs} rd.overlay.readonly")));
            assert!(stick.all() == torn, "{cowfs} {choice:b}: nothing is written to be shown");
            let next = stick_boot(&machine, &stick, &kargs);
            let (mode, fallbacks) = (next.mode(), &next.report.fallbacks);
            assert_eq!(mode.persistence, "partition", "{cowfs} {choice:b}: {fallbacks:?}");
            repaired += u32::from(mode.notes.iter().any(|note| note.contains("a power cut had torn the superblock")));
            // Where all of it is the older one, nothing had been written before the cut.
            if choice & 1 == 0 {
                assert_eq!(kept(&next).as_deref(), Some(cowfs), "{choice:b}: {fallbacks:?}");
            }
            drop(next);
            let checked = fs::File::create(machine.path("area")).unwrap();
            checked.write_all_at(&stick.bytes(area.start, (area.end() - area.start) as usize), 0).unwrap();
            match cowfs {
                "ext4" => machine::run("e2fsck", &[Path::new("-fn"), &machine.path("area")]),
                _ => machine::run("btrfs", &[Path::new("check"), &machine.path("area")]),
            };
        }
        // All of the mixes, but for the two that are whole.
        assert_eq!(repaired, (1 << differing.len()) - 2, "{cowfs}");
    }
}

/// Two bytes are wrong, in the superblock and in the copy: that is no tear.
#[test]
fn loop_a_damaged_superblock_is_left_as_it_is() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let start = stick.table().partitions.last().unwrap().start as usize;
    let mut damaged = stick.all();
    // The number of free blocks, and the UUID.
    damaged[start + 1024 + 0xc] ^= 1;
    damaged[start + 1024 + 0x68] ^= 1;
    stick.write(&damaged);
    stick.rescan();
    let next = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(next.mode().persistence, "temporary", "{:?}", next.mode().notes);
    drop(next);
    assert!(stick.all() == damaged);
}

#[test]
fn loop_reset_makes_an_area_anew_that_is_beyond_repair() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let table = stick.table();
    let new = table.partitions.last().unwrap();
    let mut bytes = stick.all();
    bytes[new.start as usize + 4096..new.end() as usize].fill(0xa5);
    stick.write(&bytes);
    stick.rescan();
    // Hardly anything is beyond the real one.
    let (usr, programs) = (machine.path("usr"), machine.path("usr/sbin"));
    fs::remove_file(&usr).unwrap();
    fs::create_dir_all(&programs).unwrap();
    machine::run(
        "sh",
        &[
            Path::new("-ec"),
            Path::new(
                "ln -s $(command -v mkfs.ext4) $0; printf '#!/bin/sh\\necho beyond; exit 4\\n' > $0/e2fsck; chmod +x $0/e2fsck",
            ),
            &programs,
        ],
    );
    let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
    fs::remove_dir_all(&usr).unwrap();
    machine.link_usr();
    assert_eq!(reset.mode().persistence, "partition", "{:?}", reset.report.fallbacks);
    assert!(reset.mode().notes.iter().any(|note| note.contains("discarded area")), "{:?}", reset.mode().notes);
    remember(&reset, "anew");
    drop(reset);
    assert_eq!(kept(&stick_boot(&machine, &stick, PERSISTENT)).as_deref(), Some("anew"));
    assert_eq!(stick.table(), table);
}

/// attacks.md F6: an area that was left in order has a directory that the kernel calls damaged. More than changes may lie on it.
#[test]
fn loop_f6_reset_repairs_a_damaged_area_and_keeps_what_lies_beside() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let first = stick_boot(&machine, &stick, PERSISTENT);
    remember(&first, "old");
    fs::write(first.area().join("thesis"), "a year of work").unwrap();
    drop(first);
    let part = stick.table().partitions.last().unwrap().clone();
    let area = machine.path("area");
    fs::write(&area, stick.bytes(part.start, part.size as usize)).unwrap();
    let block = machine::run("debugfs", &[Path::new("-R"), Path::new("blocks /"), &area]);
    let size = machine::run("debugfs", &[Path::new("-R"), Path::new("stats -h"), &area]);
    let size = size.lines().find_map(|line| line.strip_prefix("Block size:")).unwrap().trim().parse::<usize>().unwrap();
    // The checksum of the top directory is the end of its block.
    let at = part.start as usize + (block.trim().parse::<usize>().unwrap() + 1) * size - 4;
    let mut bytes = stick.all();
    bytes[at] ^= 0xff;
    stick.write(&bytes);
    stick.rescan();

    let plain = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(plain.mode().persistence, "temporary", "{:?}", plain.mode().notes);
    assert!(plain.report.fallbacks.join(" ").contains("RDL-052"), "{:?}", plain.report.fallbacks);
    drop(plain);
    let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
    assert_eq!(reset.mode().persistence, "partition", "{:?}", reset.report.fallbacks);
    assert!(!reset.report.steps.iter().any(|step| step.step.starts_with("format")), "made anew");
    assert_eq!(kept(&reset), None);
    assert_eq!(fs::read_to_string(reset.area().join("thesis")).unwrap(), "a year of work");
    drop(reset);
}

/// A power cut leaves a journal, and no errors: nothing is checked, nothing given up, and no program is needed for that.
#[test]
fn loop_f6_reset_of_an_area_that_was_cut_off_keeps_what_lies_beside() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let part = stick.table().partitions.last().unwrap().clone();
    // The owner's own, with the label that a message names; no session of ours has been there.
    let (image, at) = (machine.path("image"), machine.path("image.at"));
    fs::File::create(&image).unwrap().set_len(part.size).unwrap();
    machine::run(
        "mke2fs",
        &[Path::new("-q"), Path::new("-t"), Path::new("ext4"), Path::new("-L"), Path::new("cow"), &image],
    );
    fs::create_dir_all(&at).unwrap();
    machine::run("mount", &[Path::new("-o"), Path::new("loop"), &image, &at]);
    fs::write(at.join("thesis"), "a year of work").unwrap();
    rustix::fs::syncfs(fs::File::open(&at).unwrap()).unwrap();
    let cut = fs::read(&image).unwrap();
    machine::run("umount", &[&at]);
    let mut bytes = stick.all();
    bytes[part.start as usize..part.end() as usize].copy_from_slice(&cut);
    stick.write(&bytes);
    stick.rescan();
    fs::remove_file(machine.path("usr")).unwrap();
    let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
    machine.link_usr();
    assert_eq!(reset.mode().persistence, "partition", "{:?}", reset.report.fallbacks);
    assert!(!reset.report.steps.iter().any(|step| step.step.starts_with("format")), "made anew");
    assert_eq!(fs::read_to_string(reset.area().join("thesis")).unwrap(), "a year of work");
}

/// attacks.md F6: an errno of ours is no verdict on a file system, whatever made us think that it is damaged.
#[test]
fn loop_f6_an_area_that_cannot_be_emptied_is_not_made_anew() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let first = stick_boot(&machine, &stick, PERSISTENT);
    remember(&first, "old");
    let rw = first.area().join("rw");
    fs::write(first.area().join("thesis"), "a year of work").unwrap();
    assert!(std::process::Command::new("chattr").arg("+i").arg(&rw).status().unwrap().success());
    drop(first);

    let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
    assert_eq!(reset.mode().persistence, "temporary", "{:?}", reset.mode().notes);
    let why = reset.report.fallbacks.join(" ");
    assert!(why.contains("RDL-050") && why.contains("setting") && why.contains("lsattr"), "{why}");
    assert!(!reset.report.steps.iter().any(|step| step.step.starts_with("format")), "made anew");
    drop(reset);

    let shown = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.readonly"));
    assert_eq!(kept(&shown).as_deref(), Some("old"), "{:?}", shown.report.fallbacks);
    drop(shown);
    let text = b"a year of work";
    assert!(stick.all().windows(text.len()).any(|bytes| bytes == text), "a neighbour of the changes is gone");
}

#[test]
fn loop_reset_makes_nothing_anew_that_is_in_use() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let part = stick.table().partitions.last().unwrap().clone();
    let target =
        Target::Discarded { disk: Seen { node: stick.node(), ..Seen::default() }, start: part.start, size: part.size };
    let format = [Step::Area(AreaAct::Format { target, fs: Kind::Ext4, label: Some("cow".into()) })];
    let (node, at) = (format!("{}p{}", stick.node().display(), part.number), machine.path("mounted"));
    fs::create_dir_all(&at).unwrap();
    machine::run("mount", &[Path::new(&node), &at]);
    let mut exec = Executor::new(&machine.env, &machine::nothing_to_load);
    let stop = exec.perform("", &format).unwrap_err();
    assert!(stop.cause.contains("is in use"), "{:?}", stop.lines());
    assert!(at.join(".rdlive-identity").exists());
    machine::run("umount", &[&at]);
    exec.perform("", &format).unwrap();
}

/// A cut between wiping and the superblock of the new file system. Only a GPT says that the partition is ours.
#[test]
fn loop_reset_of_what_a_cut_reset_left() {
    for (layout, ours) in [("gpt", true), ("mbr", false)] {
        let machine = Machine::new();
        let stick = Stick::new(&machine, layout, STICK);
        drop(stick_boot(&machine, &stick, PERSISTENT));
        let part = stick.table().partitions.last().unwrap().clone();
        let mut bytes = stick.all();
        bytes[part.start as usize..(part.start + (1 << 20)) as usize].fill(0);
        bytes[(part.start + (8 << 20)) as usize..(part.start + (30 << 20)) as usize].fill(0xa5);
        stick.write(&bytes);
        stick.rescan();
        let plain = stick_boot(&machine, &stick, PERSISTENT);
        let why = plain.report.fallbacks.join(" ");
        assert_eq!(plain.mode().persistence, "temporary", "{layout}: {why}");
        for word in ["is not empty", "label cow", "a GPT names rdlive-cow"] {
            assert!(why.contains(word), "{layout}: {word} is not in {why}");
        }
        drop(plain);
        assert!(stick.all() == bytes, "{layout}: nothing was written");
        let reset = stick_boot(&machine, &stick, &format!("{PERSISTENT} rd.live.overlay.reset"));
        let why = reset.report.fallbacks.join(" ");
        assert_eq!(reset.mode().persistence == "partition", ours, "{layout}: {why}");
        drop(reset);
        assert!(ours || stick.all() == bytes, "{layout}: nothing was written");
    }
}

#[test]
fn loop_t30_an_empty_partition_that_was_left_is_formatted() {
    let machine = Machine::new();
    let (stick, _, _) = stick_with_an_empty_partition(&machine);
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "partition", "{:?}", booted.report.fallbacks);
    assert!(booted.mode().notes[0].contains("empty partition"), "{:?}", booted.mode().notes);
}

/// A stick with a partition behind the image that holds nothing; that, and the bytes of the whole.
fn stick_with_an_empty_partition(machine: &Machine) -> (Stick, rdlive::format::partition::Partition, Vec<u8>) {
    let stick = Stick::new(machine, "gpt", STICK);
    drop(stick_boot(machine, &stick, PERSISTENT));
    let new = stick.table().partitions.last().unwrap().clone();
    let mut bytes = stick.all();
    bytes[new.start as usize..new.end() as usize].fill(0);
    stick.write(&bytes);
    stick.rescan();
    (stick, new, bytes)
}

/// A mkfs that writes something in the middle and ends there, as far as the disk can tell by a power cut.
fn with_a_cut_mkfs<T>(machine: &Machine, boot: impl FnOnce() -> T) -> T {
    let (usr, programs) = (machine.path("usr"), machine.path("usr/sbin"));
    fs::remove_file(&usr).unwrap();
    fs::create_dir_all(&programs).unwrap();
    let script = r#"printf '%s\n' '#!/bin/sh' 'for last; do :; done' \
        'seq 3000 | dd of="$last" bs=4096 seek=2304 conv=notrunc,fsync status=none; echo cut; exit 1' > "$0/mkfs.ext4"
        chmod +x "$0/mkfs.ext4""#;
    machine::run("sh", &[Path::new("-ec"), Path::new(script), &programs]);
    let booted = boot();
    fs::remove_dir_all(&usr).unwrap();
    machine.link_usr();
    booted
}

/// attacks.md F7: what was cut short is taken up again, by us alone, and once.
#[test]
fn loop_f7_an_interrupted_mkfs_in_an_empty_partition_is_taken_up_again() {
    let machine = Machine::new();
    let (stick, new, bytes) = stick_with_an_empty_partition(&machine);
    let cut = with_a_cut_mkfs(&machine, || stick_boot(&machine, &stick, PERSISTENT));
    assert_eq!(cut.mode().persistence, "temporary", "{:?}", cut.mode().notes);
    drop(cut);
    let left = stick.all();
    assert!(left != bytes, "it has begun");
    // Somebody else's beginning is not ours.
    let mut taken = left.clone();
    taken[new.start as usize..new.start as usize + 8].copy_from_slice(b"a letter");
    stick.write(&taken);
    stick.rescan();
    let refused = stick_boot(&machine, &stick, PERSISTENT);
    let why = refused.report.fallbacks.join(" ");
    assert!(refused.mode().persistence == "temporary" && why.contains("not empty"), "{why}");
    drop(refused);
    assert!(stick.all() == taken);
    stick.write(&left);
    stick.rescan();
    for expected in [None, Some("made")] {
        let booted = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(booted.mode().persistence, "partition", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "made");
    }
    assert_eq!(stick.bytes(new.end() - 4096, 4096), vec![0; 4096], "it is complete");
}

/// mkfs was through, and the power went before that was said. The owner has used the file system since.
#[test]
fn loop_f7_what_was_mounted_since_is_complete() {
    let machine = Machine::new();
    let (stick, new, _) = stick_with_an_empty_partition(&machine);
    drop(with_a_cut_mkfs(&machine, || stick_boot(&machine, &stick, PERSISTENT)));
    let block = stick.bytes(new.end() - 4096, 4096);
    let uuid = std::str::from_utf8(&block[24..60]).unwrap().to_owned();
    for (mounted, thesis) in [(false, None), (true, Some("a year of work"))] {
        let (image, at) = (machine.path("image"), machine.path("image.at"));
        fs::File::create(&image).unwrap().set_len(new.size - (1 << 20)).unwrap();
        let options = ["-q", "-F", "-t", "ext4", "-L", "cow", "-U", &uuid].map(Path::new);
        machine::run("mke2fs", &[&options[..], &[&image]].concat());
        fs::create_dir_all(&at).unwrap();
        if mounted {
            machine::run("mount", &[Path::new("-o"), Path::new("loop"), &image, &at]);
            fs::write(at.join("thesis"), thesis.unwrap()).unwrap();
            machine::run("umount", &[&at]);
        }
        let mut left = stick.all();
        let file = fs::read(&image).unwrap();
        left[new.start as usize..new.start as usize + file.len()].copy_from_slice(&file);
        left[new.end() as usize - 4096..new.end() as usize].copy_from_slice(&block);
        stick.write(&left);
        stick.rescan();
        let booted = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(booted.mode().persistence, "partition", "{mounted}: {:?}", booted.report.fallbacks);
        let made = booted.report.steps.iter().any(|step| step.step.starts_with("format"));
        assert_eq!(made, !mounted, "{:?}", booted.mode().notes);
        assert_eq!(fs::read_to_string(booted.area().join("thesis")).ok().as_deref(), thesis);
        drop(booted);
    }
}

/// The same on a device that was named.
#[test]
fn loop_f7_an_interrupted_mkfs_on_a_named_device_is_taken_up_again() {
    let machine = Machine::new();
    let (host, label) = host_with_medium(&machine, "ext4", 32 << 20);
    let path = machine.path("blank");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let blank = machine::Disk::attach(&machine, path, "blank");
    let boot = || {
        let kargs = format!("rd.overlay={} rd.live.overlay.cowfs=ext4", blank.node);
        file_boot(&machine, (&host, &label), &kargs)
    };
    let cut = with_a_cut_mkfs(&machine, boot);
    assert_eq!(cut.mode().persistence, "temporary", "{:?}", cut.mode().notes);
    drop(cut);
    for expected in [None, Some("made")] {
        let booted = boot();
        assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "made");
    }
}

/// The host is named: a search would mount the disks of the tests beside this one.
fn file_boot(machine: &Machine, (host, label): (&machine::Disk, &str), more: &str) -> Booted {
    let scan = format!("iso-scan/filename=LABEL={}:/{}.iso", host.label, machine.name);
    machine.boot(&format!("root=live:CDLABEL={label} rd.retry=20 {scan} {more}"))
}

/// A disk with a file system and the ISO file on it; the second value is where it can be mounted from outside.
fn host_with_medium(machine: &Machine, fs_name: &str, size: u64) -> (machine::Disk, String) {
    let label = machine.label();
    let iso = machine.medium(&label);
    let disk = machine::Disk::formatted(machine, fs_name, size);
    let name = format!("{}.iso", machine.name);
    disk.inside(|at| {
        fs::copy(&iso, at.join(name)).unwrap();
    });
    (disk, label)
}

#[test]
fn loop_t38_t39_cow_file_on_each_host() {
    for fs_name in ["ext4", "vfat", "exfat", "xfs", "btrfs"] {
        if !machine::kernel_has(fs_name) {
            println!("skipped {fs_name}: this kernel has no driver for it");
            continue;
        }
        let machine = Machine::new();
        let (disk, label) = host_with_medium(&machine, fs_name, if fs_name == "xfs" { 400 << 20 } else { 260 << 20 });
        let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=48");
        let first = file_boot(&machine, (&disk, &label), &kargs);
        assert_eq!(first.mode().persistence, "file", "{fs_name}: {:?}", first.report.fallbacks);
        remember(&first, fs_name);
        drop(first);
        let second = file_boot(&machine, (&disk, &label), &format!("{PERSISTENT} rd.live.cowfile.mbsize=96"));
        assert_eq!(kept(&second).as_deref(), Some(fs_name), "{:?}", second.report.fallbacks);
        drop(second);
        disk.inside(|at| {
            let facts = fs::metadata(at.join("live_system.cow")).unwrap();
            assert_eq!(facts.len(), 48 << 20, "{fs_name}: size stays");
            // What others write to the stick later must not take the room that the area counts on.
            assert!(facts.blocks() * 512 >= facts.len(), "{fs_name}: {} blocks", facts.blocks());
            assert_eq!(notes(at), 0, "{fs_name}");
        });
    }
}

#[test]
fn loop_t40_t42_cow_files_that_are_not_ours() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 260 << 20);
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40");
    // Directories are made (T-40).
    let first = file_boot(&machine, (&disk, &label), &format!("{kargs} rd.live.cowfile.path=/a/b/x.cow"));
    assert_eq!(first.mode().persistence, "file", "{:?}", first.report.fallbacks);
    drop(first);
    disk.inside(|at| fs::write(at.join("live_system.cow"), vec![9; 5000]).unwrap());
    // T-42: what is not known stays.
    let second = file_boot(&machine, (&disk, &label), &kargs);
    assert_eq!(second.mode().persistence, "temporary");
    assert!(second.report.fallbacks[0].contains("kept as it is"), "{:?}", second.report.fallbacks);
    drop(second);
    disk.inside(|at| {
        assert_eq!(fs::read(at.join("live_system.cow")).unwrap(), vec![9; 5000]);
        fs::remove_file(at.join("live_system.cow")).unwrap();
    });
    // A reset asks for a new area, not for somebody's file: the image gets its own beside it.
    disk.inside(|at| fs::write(at.join("live_system.cow"), vec![9; 5000]).unwrap());
    let reset = file_boot(&machine, (&disk, &label), &format!("{kargs} rd.live.overlay.reset"));
    assert_eq!(reset.mode().persistence, "file", "{:?}", reset.report.fallbacks);
    drop(reset);
    disk.inside(|at| {
        assert_eq!(fs::read(at.join("live_system.cow")).unwrap(), vec![9; 5000]);
        for entry in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.file_name().unwrap().to_string_lossy().starts_with("live_system") {
                fs::remove_file(entry).unwrap();
            }
        }
    });
    // Another ISO's file under the usual name: this one gets its own.
    let third = file_boot(&machine, (&disk, &label), &kargs);
    fs::write(third.area().join(".rdlive-identity"), r#"{"volume_id":"OTHER","image_uuid":"x","agent":"0"}"#).unwrap();
    remember(&third, "other");
    drop(third);
    let fourth = file_boot(&machine, (&disk, &label), &kargs);
    assert_eq!((fourth.mode().persistence.as_str(), kept(&fourth)), ("file", None), "{:?}", fourth.report.fallbacks);
    remember(&fourth, "mine");
    drop(fourth);
    let fifth = file_boot(&machine, (&disk, &label), &kargs);
    assert_eq!(kept(&fifth).as_deref(), Some("mine"));
    drop(fifth);
    disk.inside(|at| {
        let names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let own = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(&format!("live_system-{label}-"));
        assert!(names.iter().any(own), "{names:?}");
    });
}

/// A reset asks for a new area, not for somebody's file that happens to be named.
#[test]
fn loop_t42_reset_replaces_nothing_that_is_known() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 260 << 20);
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40 rd.live.overlay.reset");
    let put = |path: &Path, what: &str| {
        fs::File::create(path).unwrap().set_len(8 << 20).unwrap();
        let script = match what {
            "vfat" => "mkfs.vfat \"$1\"",
            "squashfs" => "rm \"$1\"; mksquashfs /etc/hostname \"$1\" -quiet -no-progress",
            "iso9660" => "rm \"$1\"; xorriso -as mkisofs -quiet -o \"$1\" /etc/hostname",
            "swap" => "chmod 600 \"$1\"; mkswap \"$1\"",
            "a partition table" => "echo 'label: gpt\n2048,4096' | sfdisk -q \"$1\"",
            "a table of an old kind" => "echo 'label: dos\n2048,4096' | sfdisk -q \"$1\"",
            "a link" => "mv \"$1\" \"$1.to\"; ln -s \"$1.to\" \"$1\"",
            "a pipe" => "rm \"$1\"; mkfifo \"$1\"",
            _ => "printf 'nothing known' >\"$1\"",
        };
        machine::run("sh", &[Path::new("-c"), Path::new(script), Path::new("sh"), path]);
    };
    let kinds =
        ["vfat", "squashfs", "iso9660", "swap", "a partition table", "a table of an old kind", "a link", "a pipe"];
    // The same rule for the file that bears the image's name, which is made when the usual one is another image's.
    let own = format!("live_system-{label}-");
    let identity = r#"{"volume_id":"OTHER","image_uuid":"x","agent":"0"}"#;
    let first = file_boot(&machine, (&disk, &label), &kargs);
    fs::write(first.area().join(".rdlive-identity"), identity).unwrap();
    drop(first);
    drop(file_boot(&machine, (&disk, &label), &kargs));
    let mut bound = String::new();
    disk.inside(|at| {
        let names = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        bound = names.filter(|name| name.starts_with(&own)).collect();
    });
    assert!(bound.ends_with(".cow"), "{bound}");
    for name in [bound.as_str(), "live_system.cow"] {
        for what in kinds {
            let content = |at: &Path| match what {
                "a pipe" => Vec::new(),
                _ => fs::read(at.join(name).read_link().map_or(at.join(name), |to| at.join(to.file_name().unwrap())))
                    .unwrap(),
            };
            let mut before = Vec::new();
            disk.inside(|at| {
                put(&at.join(name), what);
                before = content(at);
            });
            let booted = file_boot(&machine, (&disk, &label), &kargs);
            assert_eq!(booted.mode().persistence, "temporary", "{what}: {name} was used or replaced");
            let why = booted.report.fallbacks.join(" ");
            assert!(why.contains("kept as it is"), "{what}: {why}");
            drop(booted);
            disk.inside(|at| {
                assert!(content(at) == before, "{what}: {name} was written to");
                assert_eq!(notes(at), 0, "{what}");
                fs::remove_file(at.join(name)).unwrap();
            });
        }
        // What is not known at all may be replaced under the image's own name; under any other it may be somebody's thesis
        // (attacks.md F13), and the image gets its own file. To read all of a large file of zeros would hold up the boot.
        for what in ["unknown", "zeros"] {
            let taken = bound.as_str();
            disk.inside(|at| match what {
                "zeros" => fs::File::create(at.join(name)).unwrap().set_len(9 << 20).unwrap(),
                _ => put(&at.join(name), what),
            });
            let booted = file_boot(&machine, (&disk, &label), &kargs);
            assert_eq!(booted.mode().persistence, "file", "{what} {name}: {:?}", booted.report.fallbacks);
            let place = booted.mode().place.clone().unwrap_or_default();
            assert!(place.starts_with(taken), "{what} {name}: {place}");
            drop(booted);
            disk.inside(|at| {
                if taken != name {
                    let kept = fs::read(at.join(name)).unwrap();
                    let same = if what == "zeros" { kept == vec![0; 9 << 20] } else { kept == b"nothing known" };
                    assert!(same, "{what} {name} was written to");
                    fs::remove_file(at.join(taken)).unwrap();
                }
                fs::remove_file(at.join(name)).unwrap();
            });
        }
    }
}

/// attacks.md F13: names that an attempt of ours would leave, planted by somebody else.
#[test]
fn loop_f13_planted_notes_end_no_persistence() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 260 << 20);
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40");
    disk.inside(|at| {
        fs::create_dir(at.join("live_system.cow.rdlive-new-11111111-2222-4333-8444-555555555555")).unwrap();
        fs::write(at.join("live_system.cow.rdlive-new-$(reboot)"), "").unwrap();
        fs::write(at.join("live_system.cow.rdlive-new-11111111-2222-4333-8444-555555555556"), "text").unwrap();
    });
    for expected in [None, Some("mine")] {
        let booted = file_boot(&machine, (&disk, &label), &kargs);
        assert_eq!(booted.mode().persistence, "file", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "mine");
    }
}

/// Another image on the stick is newer, and its file has what this kernel does not know.
#[test]
fn loop_reset_keeps_a_healthy_cow_file_that_cannot_be_mounted() {
    for (name, fields) in [("clean", "feature_incompat=0x80000000"), ("dirty", "state=0 feature_incompat=0x80000000")] {
        let machine = Machine::new();
        let (disk, label) = host_with_medium(&machine, "ext4", 260 << 20);
        disk.inside(|at| {
            cow_file(at, "11111111-2222-4333-8444-555555555555");
            let cow = at.join("live_system.cow");
            // The checksum would be wrong with the new field, and that is damage.
            machine::run("tune2fs", &[Path::new("-O"), Path::new("^metadata_csum"), &cow]);
            for field in fields.split(' ') {
                let (field, value) = field.split_once('=').unwrap();
                let request = format!("set_super_value {field} {value}");
                machine::run("debugfs", &[Path::new("-w"), Path::new("-R"), Path::new(&request), &cow]);
            }
        });
        let mut before = Vec::new();
        disk.inside(|at| before = fs::read(at.join("live_system.cow")).unwrap());
        let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40 rd.live.overlay.reset");
        let booted = file_boot(&machine, (&disk, &label), &kargs);
        let why = booted.report.fallbacks.join(" ");
        assert_eq!(booted.mode().persistence, "temporary", "{name}: {why}");
        assert!(why.contains("RDL-050"), "{name}: {why}");
        drop(booted);
        disk.inside(|at| assert!(fs::read(at.join("live_system.cow")).unwrap() == before, "{name}: it was changed"));
    }
}

/// Whose a damaged file is cannot be read.
#[test]
fn loop_reset_keeps_a_damaged_cow_file_that_may_be_another_images() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 260 << 20);
    let mut before = Vec::new();
    disk.inside(|at| {
        cow_file(at, "11111111-2222-4333-8444-555555555555");
        let cow = fs::File::options().write(true).open(at.join("live_system.cow")).unwrap();
        cow.write_all_at(&vec![0xa5; 20 << 20], 4096).unwrap();
    });
    // The kernel notes the error in the superblock.
    let content = |at: &Path| fs::read(at.join("live_system.cow")).unwrap()[4096..].to_vec();
    disk.inside(|at| before = content(at));
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40");
    for (more, expected) in [("rd.live.overlay.reset", None), ("", Some("own"))] {
        let booted = file_boot(&machine, (&disk, &label), &format!("{kargs} {more}"));
        assert_eq!(booted.mode().persistence, "file", "{more}: {:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected, "{more}");
        remember(&booted, "own");
    }
    disk.inside(|at| {
        assert!(content(at) == before, "it was changed");
        let names = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let own: Vec<_> = names.filter(|name| name.starts_with(&format!("live_system-{label}-"))).collect();
        fs::remove_file(at.join(&own[0])).unwrap();
    });
    let taken = format!("{PERSISTENT}=accept rd.live.cowfile.mbsize=40 rd.live.overlay.reset");
    assert_eq!(file_boot(&machine, (&disk, &label), &taken).mode().persistence, "file");
    disk.inside(|at| assert!(content(at) != before, "with accept it is replaced"));
}

/// Files that say that a cow file is not complete.
/// A squashfs has neither label nor UUID: two of them on one stick are told apart all the same.
#[test]
fn loop_w13_two_bare_squashfs_files_have_a_cow_file_each() {
    let machine = Machine::new();
    let disk = machine::Disk::formatted(&machine, "ext4", 200 << 20);
    for name in ["a", "b"] {
        let tree = machine.path(name);
        fs::create_dir_all(tree.join("usr")).unwrap();
        fs::write(tree.join("usr/mark"), name).unwrap();
        // Made in one second: they differ in their sizes.
        fs::write(tree.join("usr").join(name), name).unwrap();
        fs::write(tree.join("usr/b"), "in both, or more").unwrap();
        let image = machine.path(&format!("{name}.squashfs"));
        let quiet = ["-quiet", "-no-progress", "-noappend"].map(Path::new);
        machine::run("mksquashfs", &[&[tree.as_path(), image.as_path()], &quiet[..]].concat());
        disk.inside(|at| {
            fs::copy(&image, at.join(format!("{}-{name}.squashfs", machine.name))).unwrap();
        });
    }
    let boot = |name: &str| {
        let scan = format!("iso-scan/filename=LABEL={}:/{}-{name}.squashfs", disk.label, machine.name);
        let booted = machine.boot(&format!(
            "root=live:/dev/none rd.live.dialect=kiwi rd.retry=20 {scan} {PERSISTENT} rd.live.cowfile.mbsize=40"
        ));
        assert_eq!(booted.mode().persistence, "file", "{name}: {:?}", booted.report.fallbacks);
        assert_eq!(fs::read_to_string(booted.sysroot.join("usr/mark")).unwrap(), name);
        booted
    };
    for (name, before) in [("a", None), ("b", None), ("a", Some("a")), ("b", Some("b"))] {
        let booted = boot(name);
        assert_eq!(kept(&booted).as_deref(), before, "{name}");
        remember(&booted, name);
    }
}

fn notes(at: &Path) -> usize {
    let names = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("rdlive-new")).count()
}

/// The UUID in the name of a note.
const BEGUN: &str = "0f6c3a52-8f8b-4a0e-9d55-5f0a3c1b7e11";

fn note(at: &Path) {
    fs::write(at.join(format!("live_system.cow.rdlive-new-{BEGUN}")), "").unwrap();
}

/// A file with an ext4 of this UUID, with one file in the upper layer.
fn cow_file(at: &Path, uuid: &str) {
    let (cow, tree) = (at.join("live_system.cow"), at.join("tree"));
    fs::create_dir_all(tree.join("rw")).unwrap();
    fs::write(tree.join("rw/kept"), "by hand").unwrap();
    fs::File::create(&cow).unwrap().set_len(32 << 20).unwrap();
    let words = ["-q", "-t", "ext4", "-U", uuid, "-d"].map(Path::new);
    machine::run("mke2fs", &[&words[..], &[&tree, &cow]].concat());
    fs::remove_dir_all(tree).unwrap();
}

/// Puts something on the file system of the ISO file.
type Left = Box<dyn Fn(&Path)>;

#[test]
fn loop_cow_file_cut_short_is_made_again() {
    let full = |at: &Path, length: usize| fs::write(at.join("live_system.cow"), vec![0; length]).unwrap();
    let rows: Vec<(&str, Left)> = vec![
        ("the note alone", Box::new(note)),
        ("an empty file", Box::new(move |at| (note(at), full(at, 0)).0)),
        ("a part of the zeros", Box::new(move |at| (note(at), full(at, 5000)).0)),
        // There is no room for a second one of this size.
        ("all zeros", Box::new(move |at| (note(at), full(at, 80 << 20)).0)),
        ("the file system", Box::new(|at| (note(at), cow_file(at, BEGUN)).0)),
    ];
    for (name, left) in rows {
        let machine = Machine::new();
        let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
        disk.inside(&left);
        let booted = file_boot(&machine, (&disk, &label), &format!("{PERSISTENT} rd.live.cowfile.mbsize=80"));
        assert_eq!(booted.mode().persistence, "file", "{name}: {:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted), None, "{name}");
        remember(&booted, name);
        drop(booted);
        disk.inside(|at| {
            assert_eq!(notes(at), 0, "{name}");
            assert_eq!(fs::metadata(at.join("live_system.cow")).unwrap().len(), 80 << 20, "{name}");
        });
        let second = file_boot(&machine, (&disk, &label), PERSISTENT);
        assert_eq!(kept(&second).as_deref(), Some(name));
    }
}

#[test]
fn loop_unknown_file_of_somebody_else_survives_a_note() {
    // f2fs begins as our file does, but for its superblock; qcow2 with its own magic.
    for (name, at, magic) in
        [("f2fs", 1024, &b"\x10\x20\xf5\xf2"[..]), ("qcow2", 0, b"QFI\xfb"), ("text", 0, b"a diary")]
    {
        let machine = Machine::new();
        let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
        let mut content = vec![0; 1 << 20];
        content[at..at + magic.len()].copy_from_slice(magic);
        disk.inside(|at| (note(at), fs::write(at.join("live_system.cow"), &content).unwrap()).0);
        let booted = file_boot(&machine, (&disk, &label), PERSISTENT);
        assert_eq!(booted.mode().persistence, "temporary", "{name}: {:?}", booted.report.fallbacks);
        drop(booted);
        disk.inside(|at| assert!(fs::read(at.join("live_system.cow")).unwrap() == content, "{name}: it was changed"));
    }
}

#[test]
fn loop_cow_file_of_somebody_else_survives_a_note() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
    // A backup was copied over the unfinished file.
    disk.inside(|at| (note(at), cow_file(at, "11111111-2222-4333-8444-555555555555")).0);
    let booted = file_boot(&machine, (&disk, &label), PERSISTENT);
    assert_eq!(booted.mode().persistence, "file", "{:?}", booted.report.fallbacks);
    assert_eq!(kept(&booted).as_deref(), Some("by hand"));
}

#[test]
fn loop_host_is_known_as_ours_at_every_moment_of_a_session() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40");
    let (ours, other) = (machine.path("x/run/initramfs/isoscan"), machine.path("x/media/stick"));
    let write = |at: &Path| {
        let file = fs::File::create(at.join("written")).unwrap();
        file.sync_all().unwrap();
    };
    // The path of the first file has the time of the mount in it (bytes 44 to 47 of the superblock).
    let signed = |at: &Path, more: u32| {
        let mut time = [0; 4];
        fs::File::open(&disk.node).unwrap().read_exact_at(&mut time, 1024 + 44).unwrap();
        let shown = machine.path(&format!("run/rdlive/at-{:08x}", u32::from_le_bytes(time) + more));
        fs::create_dir_all(&shown).unwrap();
        machine::run("mount", &[Path::new("--bind"), at, &shown]);
        write(&shown);
        machine::run("umount", &[&shown]);
    };
    let sign = |at: &Path| signed(at, 0);
    let sign_of_another_time = |at: &Path| signed(at, 60);
    let nothing = |_: &Path| ();
    // What the disk is like at that moment. What the file system has not written yet is not in the file.
    type Row<'a> = (&'a str, &'a Path, &'a dyn Fn(&Path), bool);
    let rows: [Row<'_>; 6] = [
        ("mounted", &ours, &nothing, true),
        ("the sign is in the journal", &ours, &sign, true),
        ("a sign of another mount", &ours, &sign_of_another_time, false),
        ("written by kiwi-live", &ours, &write, true),
        ("mounted by another system", &other, &nothing, true),
        ("written by another system", &other, &write, false),
    ];
    for (name, at, act, expected) in rows {
        fs::create_dir_all(at).unwrap();
        let clean = fs::read(&disk.path).unwrap();
        machine::run("mount", &[Path::new(&disk.node), at]);
        act(at);
        let cut = fs::read(&disk.path).unwrap();
        machine::run("umount", &[at]);
        assert!(cut != clean, "{name}: nothing was written");
        disk.write(&cut);
        let booted = file_boot(&machine, (&disk, &label), &kargs);
        let fallbacks = booted.report.fallbacks.join(" ");
        assert_eq!(booted.mode().persistence == "file", expected, "{name}: {fallbacks}");
        assert!(expected || fallbacks.contains("not cleanly unmounted"), "{name}: {fallbacks}");
        drop(booted);
        disk.write(&clean);
    }
}

#[test]
fn loop_cow_file_is_found_again_after_a_cut_in_its_first_second() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
    let kargs = format!("{PERSISTENT} rd.live.cowfile.mbsize=40");
    let first = file_boot(&machine, (&disk, &label), &kargs);
    remember(&first, "synchronised");
    fs::File::open(first.sysroot.join("kept")).unwrap().sync_all().unwrap();
    let cut = fs::read(&disk.path).unwrap();
    drop(first);
    disk.write(&cut);
    let second = file_boot(&machine, (&disk, &label), &kargs);
    assert_eq!(second.mode().persistence, "file", "{:?}", second.report.fallbacks);
    assert_eq!(kept(&second).as_deref(), Some("synchronised"));
}

#[test]
fn loop_c1_c8_c11_named_directory() {
    let machine = Machine::new();
    let (host, label) = host_with_medium(&machine, "ext4", 32 << 20);
    let disk = machine::Disk::formatted(&machine, "ext4", 64 << 20);
    let kargs = |more: &str| format!("rd.live.overlay=LABEL={} {more}", disk.label);
    let first = file_boot(&machine, (&host, &label), &kargs(""));
    assert_eq!(first.mode().persistence, "named", "{:?}", first.report.fallbacks);
    remember(&first, "named");
    drop(first);
    disk.inside(|at| {
        let dirs: Vec<_> = fs::read_dir(at.join("LiveOS")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(dirs.iter().any(|name| name == "ovlwork"), "{dirs:?}");
        let prefix = format!("overlay-{}-", label);
        assert!(dirs.iter().any(|name| name.to_string_lossy().starts_with(&prefix)), "{dirs:?}");
    });
    assert_eq!(kept(&file_boot(&machine, (&host, &label), &kargs("rd.overlay.readonly"))).as_deref(), Some("named"));
    let reset = file_boot(&machine, (&host, &label), &kargs("rd.overlay.reset"));
    assert_eq!(kept(&reset), None);
}

/// field.md K: the upper directory stands in for that of the image in everything that `/` shows.
#[test]
fn loop_the_root_has_the_attributes_and_the_time_of_the_images() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir_all(tree.join("usr")).unwrap();
    for (name, value) in [("security.rdlive", "root_t"), ("user.rdlive", "of a user"), ("trusted.rdlive", "no")] {
        setxattr(&tree, name, value.as_bytes(), XattrFlags::empty()).unwrap();
    }
    fs::set_permissions(&tree, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let (host, label) = host_with_medium(&machine, "ext4", 96 << 20);
    let shown = |booted: &Booted, name: &str| {
        let mut value = [0; 16];
        let length = getxattr(&booted.sysroot, name, &mut value).ok()?;
        Some(String::from_utf8_lossy(&value[..length]).into_owned())
    };
    let at = tree.metadata().unwrap().modified().unwrap();
    let small = format!("{PERSISTENT} rd.live.cowfile.mbsize=34");
    for kargs in ["", &small] {
        let booted = file_boot(&machine, (&host, &label), kargs);
        assert_eq!(shown(&booted, "security.rdlive").as_deref(), Some("root_t"), "{kargs}");
        assert_eq!(shown(&booted, "user.rdlive").as_deref(), Some("of a user"), "{kargs}");
        assert_eq!(shown(&booted, "trusted.rdlive"), None, "{kargs}");
        let now = booted.sysroot.metadata().unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&now.permissions()) & 0o7777, 0o711, "{kargs}");
        let differ = now.modified().unwrap().max(at).duration_since(now.modified().unwrap().min(at)).unwrap();
        assert!(differ.as_secs() <= 1, "{kargs}: {differ:?}");
        // What the system makes of it stays, once there is something else to keep.
        setxattr(&booted.sysroot, "user.rdlive", b"changed", XattrFlags::empty()).unwrap();
        remember(&booted, "kept");
    }
    let again = file_boot(&machine, (&host, &label), &small);
    assert_eq!((kept(&again).as_deref(), shown(&again, "user.rdlive").as_deref()), (Some("kept"), Some("changed")));
}

/// attacks.md F13: whoever mistypes a path loses nothing.
#[test]
fn loop_f13_a_reset_empties_no_directory_that_never_held_changes() {
    let machine = Machine::new();
    let (host, label) = host_with_medium(&machine, "ext4", 32 << 20);
    let disk = machine::Disk::formatted(&machine, "ext4", 64 << 20);
    disk.inside(|at| {
        fs::create_dir(at.join("photos")).unwrap();
        fs::write(at.join("photos/one.jpg"), "a photo").unwrap();
    });
    let boot =
        |more: &str| file_boot(&machine, (&host, &label), &format!("rd.overlay=LABEL={}:/photos {more}", disk.label));
    let reset = boot("rd.overlay.reset");
    let why = reset.report.fallbacks.join(" ");
    assert_eq!(reset.mode().persistence, "temporary", "{why}");
    assert!(why.contains("never was a place for changes") && why.contains("name another path"), "{why}");
    drop(reset);
    disk.inside(|at| assert_eq!(fs::read_to_string(at.join("photos/one.jpg")).unwrap(), "a photo"));
    // Nor one that lies beside a place for changes.
    let beside = format!("rd.overlay=LABEL={}:/changes", disk.label);
    drop(file_boot(&machine, (&host, &label), &beside));
    let reset = boot("rd.overlay.reset");
    assert_eq!(reset.mode().persistence, "temporary", "{:?}", reset.report.fallbacks);
    drop(reset);
    disk.inside(|at| assert_eq!(fs::read_to_string(at.join("photos/one.jpg")).unwrap(), "a photo"));
    let reset = file_boot(&machine, (&host, &label), &format!("{beside} rd.overlay.reset"));
    assert_eq!(reset.mode().persistence, "named", "{:?}", reset.report.fallbacks);
    drop(reset);
    // Once it has been one, it is emptied; and an empty one may become one.
    let used = boot("");
    assert_eq!(used.mode().persistence, "named", "{:?}", used.report.fallbacks);
    remember(&used, "changed");
    drop(used);
    let reset = boot("rd.overlay.reset");
    assert_eq!((reset.mode().persistence.as_str(), kept(&reset)), ("named", None), "{:?}", reset.report.fallbacks);
    drop(reset);
    disk.inside(|at| {
        fs::remove_dir_all(at.join("photos")).unwrap();
        fs::remove_dir_all(at.join("ovlwork")).unwrap();
        fs::create_dir(at.join("photos")).unwrap();
    });
    assert_eq!(boot("rd.overlay.reset").mode().persistence, "named");
}

#[test]
fn loop_c5_named_image_file() {
    let machine = Machine::new();
    let (host, label) = host_with_medium(&machine, "ext4", 32 << 20);
    let disk = machine::Disk::formatted(&machine, "ext4", 96 << 20);
    let image = machine.dir.path().join("inner");
    fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    machine::run("mke2fs", &[Path::new("-q"), Path::new("-t"), Path::new("ext4"), &image]);
    disk.inside(|at| {
        fs::copy(&image, at.join("ovl.img")).unwrap();
    });
    for expected in [None, Some("in the image")] {
        let booted = file_boot(&machine, (&host, &label), &format!("rd.overlay=LABEL={}:/ovl.img", disk.label));
        assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected);
        remember(&booted, "in the image");
    }
}

#[test]
fn loop_c17_c18_named_partition_is_made_once() {
    // The disk may show what it was in an earlier life: the record of a RAID (0.90) at its end, where the partition comes to be.
    for (table, earlier_life) in [("gpt", false), ("dos", false), ("dos", true)] {
        let machine = Machine::new();
        let (label, name) = (machine.label(), format!("P{}", machine.name));
        let stick = Stick::plain_of(&machine, &label, STICK, 512, table);
        if earlier_life {
            stick.put((STICK & !0xffff) - 0x1_0000, b"\xfc\x4e\x2b\xa9");
        }
        let before = stick.table();
        let kargs = format!("root=live:LABEL={label} rd.retry=20 rd.overlay=LABEL={name} rd.live.autooverlay");
        for expected in [None, Some("kept there")] {
            let booted = machine.boot(&kargs);
            assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
            assert_eq!(kept(&booted).as_deref(), expected);
            remember(&booted, "kept there");
        }
        let after = stick.table();
        assert_eq!(after.partitions.len(), before.partitions.len() + 1);
        assert_eq!(after.partitions[..1], before.partitions[..]);
    }
}

/// What was made on a disk is in the report of a boot that comes to nothing, too.
#[test]
fn loop_what_was_given_up_and_made_is_in_the_report_of_a_failed_boot() {
    let machine = Machine::new();
    let (label, name) = (machine.label(), format!("P{}", machine.name));
    let _stick = Stick::plain(&machine, &label, STICK);
    let named = format!("rd.overlay=LABEL={name} rd.live.autooverlay");
    let kargs = format!("root=live:LABEL={label} rd.retry=20 rd.live.dialect=kiwi {named} rootflags=no_such_option");
    let (result, report) = machine.boot_anyway(&kargs);
    assert_eq!(result.unwrap_err().code, Code::OverlayMount);
    assert!(report.fallbacks.join(" ").contains("changes are not kept"), "{:?}", report.fallbacks);
    let mode = report.write_mode.unwrap();
    let notes = mode.notes.join(" ");
    assert!(notes.contains("added partition") && notes.contains("made"), "{notes}");
    assert_eq!((&*mode.method, &*mode.persistence), ("none", "temporary"));
}

#[test]
fn loop_t29_foreign_area_is_left_alone() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let other = machine::Disk::labelled(&machine, "ext4", 64 << 20, "cow");
    let before = fs::read(&other.path).unwrap();
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "partition", "{:?}", booted.report.fallbacks);
    let notes = booted.mode().notes.join(" ");
    assert!(notes.contains("not on the boot disk") && notes.contains(&other.node), "{notes}");
    drop(booted);
    assert!(fs::read(&other.path).unwrap() == before);
}

#[test]
fn loop_missing_tools_and_read_only_disks_end_in_ram() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let before = stick.all();
    fs::remove_file(machine.path("usr")).unwrap();
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "temporary");
    assert!(booted.report.fallbacks[0].contains("mkfs.ext4"), "{:?}", booted.report.fallbacks);
    drop(booted);
    assert!(stick.all() == before, "nothing is written without the tool");
    machine.link_usr();
    stick.set_read_only();
    let booted = stick_boot(&machine, &stick, PERSISTENT);
    assert_eq!(booted.mode().persistence, "temporary");
    assert!(booted.report.fallbacks[0].contains("refuses writes"), "{:?}", booted.report.fallbacks);
    assert!(!booted.area().join(".rdlive-identity").exists());
}

#[test]
fn loop_required_ends_a_boot_that_has_no_place_for_an_area() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 60 << 20);
    let scan = format!("iso-scan/filename=LABEL={}:/{}.iso", disk.label, machine.name);
    for more in ["rd.live.overlay=none rw", "rd.writable.fsimg"] {
        let line = format!("root=live:CDLABEL={label} rd.retry=20 {scan} {PERSISTENT}=required {more}");
        let stop = machine.try_boot(&line).err().unwrap();
        assert_eq!(stop.code, Code::AreaUnavailable, "{more}: {:?}", stop.lines());
    }
    disk.inside(|at| assert!(!at.join("live_system.cow").exists()));
}

/// The medium's own file system keeps the changes: a directory, then an image file on it.
#[test]
fn loop_c16_area_on_the_medium_itself() {
    let machine = Machine::new();
    let label = machine.label();
    let _stick = Stick::plain(&machine, &label, STICK);
    let boot = |more: &str| machine.boot(&format!("root=live:LABEL={label} rd.retry=20 {more}"));
    for (kargs, expected) in [
        (":auto", None),
        (":auto", Some("auto")),
        (":/LiveOS/other", None),
        (&format!("LABEL={label}"), Some("auto")),
        (&format!("LABEL={label}:/LiveOS/other"), Some("auto")),
    ] {
        let booted = boot(&format!("rd.live.overlay={kargs}"));
        assert_eq!(booted.mode().persistence, "named", "{kargs}: {:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected, "{kargs}");
        remember(&booted, "auto");
    }
    assert_eq!(kept(&boot("rd.live.overlay=:auto rd.overlay.readonly")).as_deref(), Some("auto"));
    assert_eq!(kept(&boot("rd.live.overlay=:auto rd.overlay.reset")), None);
}

/// The same beside an ISO file. Power is cut after the first boot: what it left in the journal is known as ours.
#[test]
fn loop_area_beside_the_iso_file() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 96 << 20);
    for (kargs, expected) in [(":auto".to_owned(), None), (format!("LABEL={}", disk.label), Some("beside"))] {
        let booted = file_boot(&machine, (&disk, &label), &format!("rd.live.overlay={kargs}"));
        assert_eq!(booted.mode().persistence, "named", "{kargs}: {:?}", booted.report.fallbacks);
        assert_eq!(kept(&booted).as_deref(), expected, "{kargs}");
        remember(&booted, "beside");
        fs::File::open(booted.sysroot.join("kept")).unwrap().sync_all().unwrap();
        let cut = fs::read(&disk.path).unwrap();
        drop(booted);
        disk.write(&cut);
    }
}

/// Found by generated disks: Promise's RAIDs leave their mark 3087 sectors before the end, VMFS at the first and the second MiB, and
/// whoever reads one takes the new area for a part of that.
#[test]
fn loop_f7_marks_far_from_the_ends_of_the_room_go() {
    let machine = Machine::new();
    let stick = Stick::new(&machine, "gpt", STICK);
    let fresh = stick.all();
    drop(stick_boot(&machine, &stick, PERSISTENT));
    let area = stick.table().partitions.last().unwrap().clone();
    let (start, end) = (area.start as usize, area.end() as usize);
    for (at, mark) in [
        (end - 3087 * 512, &b"Promise Technology, Inc."[..]),
        (start + (1 << 20), b"\x0d\xd0\x01\xc0"),
        (start + (2 << 20), b"\x5e\xf1\xab\x2f"),
    ] {
        let mut old = fresh.clone();
        old[at..at + mark.len()].copy_from_slice(mark);
        stick.write(&old);
        stick.rescan();
        let first = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(first.mode().persistence, "partition", "{:?}", first.report.fallbacks);
        remember(&first, "kept");
        drop(first);
        assert_eq!(stick.last_by_others()[1..], ["ext4", "cow"], "{mark:x?}");
        let second = stick_boot(&machine, &stick, PERSISTENT);
        assert_eq!(kept(&second).as_deref(), Some("kept"), "{:?}", second.report.fallbacks);
    }
}
