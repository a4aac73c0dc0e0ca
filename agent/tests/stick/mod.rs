//! Sticks made for KIWI before 8, whose cow file is zeros at first (seed-audit SD-6).

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::machine::{Booted, Disk, Machine};
use crate::{host_with_medium, kept, remember};

/// What live-grub-stick makes beside the ISO file.
const FILE: &str = "boot/x-cowfile";

/// A boot as live-grub-stick's menu does it: the line has no `root=`.
fn boot(machine: &Machine, (host, cow): (&Disk, &Disk), more: &str) -> Booted {
    let iso = format!("isofrom_device=LABEL={} isofrom_system=/{}.iso", host.label, machine.name);
    machine.boot(&format!("{iso} kiwi_cowdevice=LABEL={} kiwi_cowsystem=/{FILE} rd.retry=20 {more}", cow.label))
}

fn zeros(disk: &Disk, size: u64) {
    disk.inside(|at| {
        fs::create_dir_all(at.join("boot")).unwrap();
        File::create(at.join(FILE)).unwrap().set_len(size).unwrap();
    });
}

#[test]
fn loop_sd6_a_file_of_zeros_is_made_ready_and_keeps_changes() {
    for fs_name in ["vfat", "exfat", "ext4"] {
        if !crate::machine::kernel_has(fs_name) {
            println!("skipped {fs_name}: this kernel has no driver for it");
            continue;
        }
        for beside in [true, false] {
            let machine = Machine::new();
            let (host, _) = host_with_medium(&machine, fs_name, 160 << 20);
            let other = (!beside).then(|| Disk::formatted(&machine, fs_name, 160 << 20));
            let cow = other.as_ref().unwrap_or(&host);
            zeros(cow, 48 << 20);
            let first = boot(&machine, (&host, cow), "");
            let what = format!("{fs_name} {beside}: {:?}", first.report.fallbacks);
            assert_eq!((first.mode().persistence.as_str(), kept(&first)), ("named", None), "{what}");
            remember(&first, fs_name);
            drop(first);
            let second = boot(&machine, (&host, cow), "rd.live.cowfile.mbsize=96");
            assert_eq!(kept(&second).as_deref(), Some(fs_name), "{what}: {:?}", second.report.fallbacks);
            drop(second);
            cow.inside(|at| {
                let facts = at.join(FILE).metadata().unwrap();
                assert_eq!(facts.len(), 48 << 20, "{what}");
                assert!(facts.blocks() * 512 >= facts.len(), "{what}: it has its room");
                assert_eq!(crate::notes(&at.join("boot")), 0, "{what}");
            });
        }
    }
}

#[test]
fn loop_sd6_what_is_no_cow_file_is_left_and_another_is_made() {
    let letter = vec![7; 50_000];
    // Between the samples of a look, which only a reading to the last byte finds.
    let mut hidden = vec![0; 40 << 20];
    hidden[30_000_000] = 7;
    for (content, why, advice) in [
        (&letter, "holds nothing that is known and is kept as it is", "kiwi_cowsystem=/boot/x-cowfile.new"),
        (&hidden, "there is something at byte 30000000", "remove or rename it"),
    ] {
        let machine = Machine::new();
        let (host, _) = host_with_medium(&machine, "ext4", 160 << 20);
        host.inside(|at| {
            fs::create_dir(at.join("boot")).unwrap();
            fs::write(at.join(FILE), content).unwrap();
        });
        let booted = boot(&machine, (&host, &host), "");
        let said = booted.report.fallbacks.join(" ");
        assert_eq!(booted.mode().persistence, "temporary", "{said}");
        assert!(said.contains(why) && said.contains(advice), "{said}");
        drop(booted);
        host.inside(|at| {
            assert!(fs::read(at.join(FILE)).unwrap() == *content, "{why}");
            assert_eq!(fs::read_dir(at.join("boot")).unwrap().count(), 1, "{why}");
        });
        // As advised.
        let new = |booted: &Booted| (booted.mode().persistence.clone(), kept(booted));
        let more = "kiwi_cowsystem=/boot/x-cowfile.new rd.live.cowfile.mbsize=40";
        let first = boot(&machine, (&host, &host), more);
        assert_eq!(new(&first), ("named".to_owned(), None), "{:?}", first.report.fallbacks);
        remember(&first, "new");
        drop(first);
        assert_eq!(new(&boot(&machine, (&host, &host), more)), ("named".to_owned(), Some("new".to_owned())));
    }
}

#[test]
fn loop_sd6_what_is_a_directory_is_no_cow_file() {
    let machine = Machine::new();
    let (host, _) = host_with_medium(&machine, "ext4", 96 << 20);
    host.inside(|at| fs::create_dir_all(at.join(FILE)).unwrap());
    let booted = boot(&machine, (&host, &host), "");
    let said = booted.report.fallbacks.join(" ");
    assert_eq!(booted.mode().persistence, "temporary", "{said}");
    assert!(said.contains("is no file and is kept as it is"), "{said}");
    drop(booted);
    host.inside(|at| assert_eq!(fs::read_dir(at.join(FILE)).unwrap().count(), 0));
}

/// The holes of a file that nothing was written to yet.
#[test]
fn loop_sd6_without_room_the_file_stays_as_it_is() {
    let machine = Machine::new();
    let (host, _) = host_with_medium(&machine, "ext4", 64 << 20);
    zeros(&host, 256 << 20);
    let booted = boot(&machine, (&host, &host), "");
    let said = booted.report.fallbacks.join(" ");
    assert_eq!(booted.mode().persistence, "temporary", "{said}");
    assert!(said.contains("No space left"), "{said}");
    drop(booted);
    host.inside(|at| {
        assert_eq!(at.join(FILE).metadata().unwrap().len(), 256 << 20);
        assert_eq!(crate::notes(&at.join("boot")), 0);
    });
    let shown = boot(&machine, (&host, &host), "rd.overlay.readonly");
    assert!(shown.report.fallbacks.join(" ").contains("so there is nothing to show"), "{:?}", shown.report.fallbacks);
    drop(shown);
    host.inside(|at: &Path| assert!(at.join(FILE).metadata().unwrap().blocks() * 512 < 64 << 20));
}

/// The power was cut while the file system was made: what lies there takes the room that the next attempt needs.
#[test]
fn loop_sd6_what_was_begun_is_made_complete_in_its_own_room() {
    let machine = Machine::new();
    let (host, _) = host_with_medium(&machine, "ext4", 96 << 20);
    host.inside(|at| {
        let mut begun = vec![0; 48 << 20];
        begun[9 << 20..].fill(7);
        fs::create_dir(at.join("boot")).unwrap();
        fs::write(at.join(FILE), begun).unwrap();
        File::create(at.join(format!("{FILE}.rdlive-new-{}", crate::BEGUN))).unwrap();
    });
    let again = || boot(&machine, (&host, &host), "rd.live.cowfile.mbsize=48");
    let booted = again();
    assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
    remember(&booted, "complete");
    drop(booted);
    assert_eq!(kept(&again()).as_deref(), Some("complete"));
    host.inside(|at| assert_eq!(crate::notes(&at.join("boot")), 0));
}
