//! A disk that never answers, beside those that a boot needs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{Booted, Disk, Machine};
use crate::ordinary::root_disk;
use crate::{PERSISTENT, host_with_medium};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Links to all entries of a directory but one.
fn linked(from: &Path, to: &Path, except: &str) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name() != except {
            symlink(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Gives the machine one more disk, whose node blocks whoever opens it: a pipe that nobody writes to.
fn beside_a_silent_disk(machine: &Machine) {
    let block = machine.path("sys/class/block");
    fs::create_dir_all(block.join("sdz")).unwrap();
    fs::write(block.join("sdz/uevent"), "DEVNAME=sdz\n").unwrap();
    fs::write(block.join("sdz/size"), "2048\n").unwrap();
    fs::remove_file(machine.path("dev")).unwrap();
    linked(Path::new("/dev"), &machine.path("dev"), "sdz");
    // Those that the boot itself will make.
    for number in 0..256 {
        let name = format!("loop{number}");
        let _ = symlink(Path::new("/dev").join(&name), machine.path("dev").join(name));
    }
    mknodat(CWD, machine.path("dev/sdz"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn reported(booted: &Booted) {
    let considered = &booted.report.considered;
    let silent = considered.iter().find(|was| was.device == "sdz").unwrap_or_else(|| panic!("{considered:?}"));
    assert_eq!(silent.verdict, "does not answer");
}

#[test]
fn loop_a_disk_that_hangs_does_not_hold_up_the_medium() {
    let machine = Machine::new();
    let label = machine.label();
    let _disk = Disk::attach(&machine, machine.medium(&label), &label);
    beside_a_silent_disk(&machine);
    // At the deadline, and without a near one after the time that a sound disk needs at most.
    for seconds in [5, 60] {
        let begin = Instant::now();
        let booted = machine.boot(&format!("root=live:LABEL={label} rd.retry={seconds}"));
        assert!(begin.elapsed() < Duration::from_secs(40), "{seconds}: {:?}", begin.elapsed());
        reported(&booted);
    }
}

#[test]
fn loop_a_disk_that_hangs_does_not_hold_up_the_iso_file() {
    let machine = Machine::new();
    let (host, label) = host_with_medium(&machine, "ext4", 96 << 20);
    beside_a_silent_disk(&machine);
    let scan = format!("iso-scan/filename=LABEL={}:/{}.iso", host.label, machine.name);
    let booted = machine.boot(&format!("root=live:CDLABEL={label} rd.retry=5 {scan} {PERSISTENT}"));
    reported(&booted);
    // It might hold a hibernated system that the host belongs to.
    let fallbacks = booted.report.fallbacks.join(" ");
    assert!(booted.mode().persistence == "temporary" && fallbacks.contains("/dev/sdz does not answer"), "{fallbacks}");
}

#[test]
fn loop_a_disk_that_hangs_does_not_hold_up_an_ordinary_root() {
    let machine = Machine::new();
    let disk = root_disk(&machine);
    beside_a_silent_disk(&machine);
    let booted = machine.boot(&format!("root=LABEL={} rd.retry=5 rd.overlay", disk.label));
    reported(&booted);
    let how = booted.report.steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>().join("; ");
    assert!(how.contains("noload"), "nothing is replayed: {how}");
    assert!(booted.sysroot.join("usr/mark").exists());
}

#[test]
fn loop_a_disk_that_hangs_is_named_when_nothing_is_found() {
    let machine = Machine::new();
    beside_a_silent_disk(&machine);
    let stop = machine.try_boot("root=live:LABEL=NOTHERE rd.retry=1").unwrap_err();
    assert!(stop.found.iter().any(|line| line == "/dev/sdz: does not answer"), "{:?}", stop.found);
}
