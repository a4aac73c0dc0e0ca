//! Devices that are unlike others: one that never answers, sectors of 4096 bytes, a partition that somebody still reads.
//! On real loop devices; needs what `loop_area` needs.

mod sectors;
mod silent;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::machine::{Disk, Machine, eventually, nothing_to_load, run};
use crate::{PERSISTENT, cow_file, file_boot, host_with_medium};
use rdlive::config::Access;
use rdlive::exec::Executor;
use rdlive::facts::Seen;
use rdlive::format::Kind;
use rdlive::plan::act::{AreaAct, MapAct};
use rdlive::plan::{Place, Slot, Step};
use rdlive::probe::block;
use rdlive_sys::blkpg;
use rdlive_sys::loopdev::{self, Setup};

/// Options of the file system itself that is mounted at a path, not those of the mount.
fn file_system_options(at: &Path) -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().rev().find(|line| line.split(' ').nth(4) == at.to_str());
    let line = line.unwrap_or_else(|| panic!("nothing is mounted at {}: {table}", at.display()));
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Files of a machine that a loop device holds.
fn looped(machine: &Machine, name: &str) -> bool {
    let devices = fs::read_dir("/sys/class/block").unwrap();
    let files = devices.filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok());
    files.into_iter().any(|file| Path::new(file.trim()).starts_with(machine.dir.path()) && file.contains(name))
}

#[test]
fn loop_t42_host_of_a_damaged_cow_file_is_read_only_again() {
    let machine = Machine::new();
    let (disk, label) = host_with_medium(&machine, "ext4", 160 << 20);
    disk.inside(|at| {
        cow_file(at, "11111111-2222-4333-8444-555555555555");
        // Its superblock is sound, so it is known and clean; the descriptors behind it are not.
        let cow = File::options().write(true).open(at.join("live_system.cow")).unwrap();
        cow.write_all_at(&[0xff; 2048], 2048).unwrap();
    });
    let before = fs::read(&disk.path).unwrap();
    let booted = file_boot(&machine, (&disk, &label), PERSISTENT);
    assert_eq!(booted.mode().persistence, "temporary");
    assert!(booted.report.fallbacks.join(" ").contains("RDL-05"), "{:?}", booted.report.fallbacks);
    let options = file_system_options(&machine.path("run/initramfs/isoscan"));
    assert!(options.starts_with("ro"), "the disk of another system stays writable: {options}");
    assert!(eventually(|| !looped(&machine, "live_system.cow")), "the cow file is still attached");
    drop(booted);
    let after = fs::read(&disk.path).unwrap();
    let changed = before.chunks(4096).zip(after.chunks(4096)).filter(|(before, after)| before != after).count();
    assert!(changed < 64, "{changed} blocks of the host were written");
}

#[test]
fn loop_what_a_partition_showed_before_it_was_formatted_is_forgotten() {
    let machine = Machine::new();
    let path = machine.path("disk");
    File::create(&path).unwrap().set_len(32 << 20).unwrap();
    let disk = Disk::attach(&machine, path, "");
    let whole = File::options().read(true).write(true).open(&disk.node).unwrap();
    blkpg::add_partition(&whole, 1, 1 << 20, 16 << 20).unwrap();
    let node = format!("{}p1", disk.node);
    // udev, which looks at the partition while its file system is made through the disk.
    let udev = File::open(&node).unwrap();
    let first = || {
        let mut bytes = [7; 4096];
        udev.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    assert_eq!(first(), [0; 4096]);
    whole.write_all_at(&[1; 4096], 1 << 20).unwrap();
    whole.sync_all().unwrap();
    assert_eq!(first(), [0; 4096], "the test would show nothing");
    let nothing = |_: &str| Err(rdlive::exec::ModuleError::Absent(String::new()));
    let mut exec = Executor::new(&machine.env, &nothing);
    exec.perform("assemble", &[Step::Device { device: Seen::named(node), into: Slot::Cow }]).unwrap();
    assert_eq!(first(), [1; 4096]);
}

/// The same device, but somebody has made another file system on it meanwhile.
#[test]
fn loop_f5_a_device_that_holds_something_else_is_not_touched() {
    let machine = Machine::new();
    let path = machine.path("disk");
    File::create(&path).unwrap().set_len(16 << 20).unwrap();
    run("mkfs.ext4", &["-q".as_ref(), "-L".as_ref(), "mine".as_ref(), &path]);
    let disk = Disk::attach(&machine, path, "");
    let node = Path::new(&disk.node);
    machine.show();
    let seen = block::device(&machine.env, node.file_name().unwrap().to_str().unwrap()).unwrap().seen();
    run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-L".as_ref(), "theirs".as_ref(), node]);
    let before = fs::read(&disk.node).unwrap();
    let mount = Step::Mount {
        what: Place::Slot(Slot::Cow),
        fs: "ext4".into(),
        access: Access::ReadWrite,
        options: Vec::new(),
        at: "/at".into(),
    };
    for step in [
        Step::Area(AreaAct::Check { what: Slot::Cow, fs: Kind::Ext4 }),
        Step::Area(AreaAct::Mend { what: Slot::Cow }),
        mount,
    ] {
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let device = Step::Device { device: seen.clone(), into: Slot::Cow };
        let stop = exec.perform("assemble", &[device, step.clone()]).unwrap_err();
        let why = "it held ext4 LABEL=\"mine\" UUID=";
        assert!(
            stop.cause.contains(why) && stop.cause.contains("and holds ext4 LABEL=\"theirs\""),
            "{:?}",
            stop.lines()
        );
        assert!(fs::read(&disk.node).unwrap() == before, "{step}");
    }
    // What a step of ours has made is another file system, too.
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let device = Step::Device { device: seen.made_anew(), into: Slot::Cow };
    exec.perform("assemble", &[device, Step::Area(AreaAct::Check { what: Slot::Cow, fs: Kind::Ext4 })]).unwrap();
}

/// attacks.md F5: what is about to be checked, mounted for writing or cleared is still what was seen.
#[test]
fn loop_f5_another_disk_under_the_name_is_not_touched() {
    let machine = Machine::new();
    let [seen_file, other] = ["seen", "other"].map(|name| {
        let path = machine.path(name);
        File::create(&path).unwrap().set_len(16 << 20).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), &path]);
        path
    });
    let opened = |path: &Path| File::options().read(true).write(true).open(path).unwrap();
    let (dev, setup) = (Path::new("/dev"), Setup { autoclear: true, ..Setup::default() });
    // Another test may take the number as soon as it is free.
    let in_turn = || {
        let device = loopdev::attach(dev, &opened(&seen_file), "seen", setup).unwrap();
        let number = device.number;
        machine.show();
        let seen = block::device(&machine.env, &format!("loop{number}")).unwrap().seen();
        drop(device);
        loopdev::attach_to(dev, number, &opened(&other), "other", setup).ok().map(|other| (seen, other))
    };
    let (seen, _other) = (0..100).find_map(|_| in_turn()).expect("a number that is ours twice");
    let before = fs::read(&other).unwrap();
    let device = || Step::Device { device: seen.clone(), into: Slot::Cow };
    let at = machine.path("at").strip_prefix(machine.dir.path()).unwrap().to_owned();
    let mount = Step::Mount {
        what: Place::Slot(Slot::Cow),
        fs: "ext4".into(),
        access: Access::ReadWrite,
        options: Vec::new(),
        at: Path::new("/").join(at),
    };
    let window = Step::Area(AreaAct::Window {
        disk: seen.clone(),
        start: 0,
        size: 1 << 20,
        access: Access::ReadWrite,
        into: Slot::Cow,
    });
    for steps in [
        vec![device(), Step::Area(AreaAct::Check { what: Slot::Cow, fs: Kind::Ext4 })],
        vec![device(), Step::Area(AreaAct::Mend { what: Slot::Cow })],
        vec![device(), mount],
        vec![device(), Step::Map(MapAct::Clear { what: Slot::Cow })],
        vec![window],
    ] {
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let stop = exec.perform("assemble", &steps).unwrap_err();
        assert!(stop.cause.contains("another disk has its name"), "{steps:?}: {:?}", stop.lines());
        assert!(fs::read(&other).unwrap() == before, "{steps:?}");
    }
}
