//! File systems that belong to somebody else, as they would be laid out to do harm: links, pipes, a second device of the
//! same name, a system that sleeps.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::machine::{Booted, Disk, Machine, run};
use crate::{file_boot, host_with_medium};

const PERSISTENT: &str = "rd.live.overlay.persistent rd.live.cowfile.mbsize=40";
/// There is no room for a second file, which a file of another image would lead to.
const NO_SECOND: &str = "rd.live.overlay.persistent rd.live.cowfile.mbsize=4000";

/// A file system that holds the ISO file.
struct Host {
    disk: Disk,
    label: String,
}

impl Host {
    fn new(machine: &Machine, size: u64) -> Self {
        let (disk, label) = host_with_medium(machine, "ext4", size);
        Self { disk, label }
    }

    fn boot(&self, machine: &Machine, more: &str) -> Booted {
        file_boot(machine, (&self.disk, &self.label), more)
    }

    /// Looks into the cow file from outside.
    fn inside_cow(&self, machine: &Machine, look: impl FnOnce(&Path)) {
        self.disk.inside(|at| {
            let inner = machine.path("inner");
            fs::create_dir_all(&inner).unwrap();
            run("mount", &[Path::new("-o"), Path::new("loop"), &at.join("live_system.cow"), &inner]);
            look(&inner);
            run("umount", &[&inner]);
        });
    }
}

fn temporary(booted: &Booted, why: &[&str], what: &str) {
    let text = booted.report.fallbacks.join(" ");
    assert_eq!(booted.mode().persistence, "temporary", "{what}: {text}");
    for word in why {
        assert!(text.contains(word), "{what}: {word} is not in {text}");
    }
}

/// Whoever opens a pipe to read waits for a writer. This one comes late, and tells.
fn late_writer(pipe: &Path) -> Arc<AtomicBool> {
    let (waited, pipe) = (Arc::new(AtomicBool::new(false)), pipe.to_owned());
    let told = Arc::clone(&waited);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(10));
        while OpenOptions::new().write(true).custom_flags(0o4000).open(&pipe).is_ok() {
            told.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    waited
}

#[test]
fn loop_a_cow_file_that_is_a_link_is_left_alone() {
    for (what, more) in [("as it is", ""), ("reset", "rd.live.overlay.reset"), ("read-only", "rd.overlay.readonly")] {
        let machine = Machine::new();
        let (host, victim) = (Host::new(&machine, 160 << 20), Disk::formatted(&machine, "ext4", 64 << 20));
        let before = fs::read(&victim.path).unwrap();
        host.disk.inside(|at| symlink(&victim.node, at.join("live_system.cow")).unwrap());
        let booted = host.boot(&machine, &format!("{PERSISTENT} {more}"));
        temporary(&booted, &["live_system.cow is a link"], what);
        drop(booted);
        assert!(fs::read(&victim.path).unwrap() == before, "{what}: the link's target was written to");
        host.disk.inside(|at| assert_eq!(fs::read_link(at.join("live_system.cow")).unwrap(), Path::new(&victim.node)));
    }
}

#[test]
fn loop_links_to_the_directory_of_a_cow_file_are_left_alone() {
    let machine = Machine::new();
    let host = Host::new(&machine, 160 << 20);
    let elsewhere = machine.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    host.disk.inside(|at| symlink(&elsewhere, at.join("dir")).unwrap());
    let booted = host.boot(&machine, &format!("{PERSISTENT} rd.live.cowfile.path=/dir/x.cow"));
    temporary(&booted, &["lies behind a link"], "directory");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn loop_links_in_an_area_are_not_followed() {
    let machine = Machine::new();
    let host = Host::new(&machine, 160 << 20);
    let (dir, file) = (machine.path("precious"), machine.path("precious/file"));
    fs::create_dir(&dir).unwrap();
    fs::write(&file, "precious").unwrap();
    drop(host.boot(&machine, PERSISTENT));
    // The mark is written anew beside the old one; the link there leads to a file of the host.
    host.inside_cow(&machine, |at| {
        fs::remove_file(at.join(".rdlive-identity")).unwrap();
        symlink(&file, at.join(".rdlive-identity.new")).unwrap();
    });
    let booted = host.boot(&machine, PERSISTENT);
    assert_eq!(booted.mode().persistence, "file", "{:?}", booted.report.fallbacks);
    drop(booted);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    // A mark that is a link says nothing.
    host.inside_cow(&machine, |at| {
        fs::rename(at.join(".rdlive-identity"), at.join("mark")).unwrap();
        symlink("mark", at.join(".rdlive-identity")).unwrap();
    });
    temporary(&host.boot(&machine, NO_SECOND), &["RDL-051"], "mark");
    host.inside_cow(&machine, |at| fs::rename(at.join("mark"), at.join(".rdlive-identity")).unwrap());
    for (what, more) in [("rw", ""), ("work", ""), ("rw", "rd.overlay.readonly")] {
        host.inside_cow(&machine, |at| {
            fs::rename(at.join(what), at.join("aside")).unwrap();
            symlink(&dir, at.join(what)).unwrap();
        });
        let booted = host.boot(&machine, &format!("{PERSISTENT} {more}"));
        temporary(&booted, &["is a link"], &format!("{what} {more}"));
        drop(booted);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious", "{what} {more}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "{what} {more}");
        host.inside_cow(&machine, |at| {
            fs::remove_file(at.join(what)).unwrap();
            fs::rename(at.join("aside"), at.join(what)).unwrap();
        });
    }
    // A reset removes the link itself.
    host.inside_cow(&machine, |at| {
        fs::remove_dir_all(at.join("rw")).unwrap();
        symlink(&dir, at.join("rw")).unwrap();
    });
    let booted = host.boot(&machine, &format!("{PERSISTENT} rd.live.overlay.reset"));
    assert_eq!(booted.mode().persistence, "file", "{:?}", booted.report.fallbacks);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(booted.area().join("rw").symlink_metadata().unwrap().is_dir());
}

#[test]
fn loop_named_places_that_are_links_are_left_alone() {
    let machine = Machine::new();
    let (host, disk) = (Host::new(&machine, 60 << 20), Disk::formatted(&machine, "ext4", 64 << 20));
    let dir = machine.path("precious");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "precious").unwrap();
    disk.inside(|at| {
        fs::create_dir_all(at.join("real/deep")).unwrap();
        symlink(&dir, at.join("link")).unwrap();
        symlink(&dir, at.join("real/ovlwork")).unwrap();
    });
    for (path, more, word) in [
        ("link", "", "is a link"),
        ("link", "rd.overlay.reset", "is a link"),
        ("link/new", "", "is a link"),
        ("link/new", "rd.overlay.reset", "is a link"),
        ("real/deep", "", "ovlwork is a link"),
    ] {
        let booted = host.boot(&machine, &format!("rd.overlay=LABEL={}:/{path} {more}", disk.label));
        temporary(&booted, &[word], &format!("{path} {more}"));
        drop(booted);
        assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "precious", "{path} {more}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "{path} {more}");
    }
}

#[test]
fn loop_pipes_and_devices_hold_up_no_boot() {
    let machine = Machine::new();
    let host = Host::new(&machine, 160 << 20);
    let pipe = |at: &Path| run("mkfifo", &[at]);
    // As files for changes.
    host.disk.inside(|at| drop(pipe(&at.join("live_system.cow"))));
    let waited = late_writer(&machine.path("run/initramfs/isoscan/live_system.cow"));
    temporary(&host.boot(&machine, PERSISTENT), &["live_system.cow is no file"], "pipe");
    let booted = host.boot(&machine, "rd.live.overlay=:/live_system.cow rd.live.cowfile.mbsize=40");
    temporary(&booted, &["live_system.cow on ", "is no file"], "named pipe");
    drop(booted);
    assert!(!waited.load(Ordering::Relaxed), "the boot waited for a cow file");
    host.disk.inside(|at| {
        fs::remove_file(at.join("live_system.cow")).unwrap();
        run("mknod", &[&at.join("live_system.cow"), Path::new("b"), Path::new("7"), Path::new("999")]);
    });
    temporary(&host.boot(&machine, PERSISTENT), &["live_system.cow is no file"], "device");
    host.disk.inside(|at| fs::remove_file(at.join("live_system.cow")).unwrap());
    // As the mark of an area.
    drop(host.boot(&machine, PERSISTENT));
    host.inside_cow(&machine, |at| {
        fs::remove_file(at.join(".rdlive-identity")).unwrap();
        pipe(&at.join(".rdlive-identity"));
    });
    let waited = late_writer(&machine.path("run/overlay/overlayfs/.rdlive-identity"));
    temporary(&host.boot(&machine, NO_SECOND), &["RDL-051"], "mark");
    assert!(!waited.load(Ordering::Relaxed), "the boot waited for a mark");
}

/// Without udev nothing but the content tells two sticks apart; the first one to answer would get the changes.
#[test]
fn loop_of_two_devices_with_one_name_none_is_used() {
    let machine = Machine::new();
    let host = Host::new(&machine, 60 << 20);
    let one = Disk::formatted(&machine, "ext4", 64 << 20);
    let name = format!("LABEL={}", one.label);
    let booted = host.boot(&machine, &format!("rd.overlay={name}"));
    assert_eq!(booted.mode().persistence, "named", "{:?}", booted.report.fallbacks);
    drop(booted);
    let other = Disk::labelled(&machine, "ext4", 64 << 20, &one.label);
    let before = [fs::read(&one.path).unwrap(), fs::read(&other.path).unwrap()];
    temporary(&host.boot(&machine, &format!("rd.overlay={name}")), &[&name, &one.node, &other.node], "two");
    assert!([fs::read(&one.path).unwrap(), fs::read(&other.path).unwrap()] == before);
}

/// Shows a machine a swap partition in which a system sleeps, which is a file.
fn asleep(machine: &Machine) {
    let (sys, dev) = (machine.path("sys"), machine.path("dev"));
    fs::remove_file(&dev).unwrap();
    fs::create_dir(&dev).unwrap();
    let loops = (0..256).map(|number| format!("loop{number}"));
    for name in loops.chain(["loop-control", "urandom", "null"].map(str::to_owned)) {
        symlink(Path::new("/dev").join(&name), dev.join(name)).unwrap();
    }
    let class = sys.join("class/block");
    fs::create_dir_all(class.join("vdz")).unwrap();
    for (file, text) in [("uevent", "DEVNAME=vdz\n"), ("size", "16384\n"), ("ro", "0\n")] {
        fs::write(class.join("vdz").join(file), text).unwrap();
    }
    let swap = File::create(dev.join("vdz")).unwrap();
    swap.set_len(8 << 20).unwrap();
    swap.write_all_at(b"S1SUSPEND\0", 4086).unwrap();
}

#[test]
fn loop_t41_a_sleeping_system_loses_nothing_to_a_named_place() {
    let machine = Machine::new();
    let (host, home) = (Host::new(&machine, 60 << 20), Disk::formatted(&machine, "ext4", 64 << 20));
    // As the kernel leaves it when the machine goes to sleep: not unmounted.
    let at = machine.path("scratch");
    fs::create_dir_all(&at).unwrap();
    run("mount", &[Path::new(&home.node), &at]);
    fs::write(at.join("file"), "of the sleeping system").unwrap();
    File::open(at.join("file")).unwrap().sync_all().unwrap();
    let left = fs::read(&home.path).unwrap();
    run("umount", &[&at]);
    home.write(&left);
    let hosts = fs::read(&host.disk.path).unwrap();
    asleep(&machine);
    let places = [format!("LABEL={}", home.label), format!("LABEL={}:/x.cow", home.label), ":auto".to_owned()];
    for place in places {
        // What is only shown is not written to, so it is looked at.
        for (more, why) in [
            ("", &["/dev/vdz", "hibernated"][..]),
            ("rd.overlay.readonly", &["nothing to show"]),
            ("rd.overlay.reset", &["/dev/vdz", "hibernated"]),
        ] {
            let what = format!("{place} {more}");
            let booted = host.boot(&machine, &format!("rd.overlay={what}"));
            temporary(&booted, why, &what);
            drop(booted);
            assert!(fs::read(&home.path).unwrap() == left, "{what}: written to");
            assert!(fs::read(&host.disk.path).unwrap() == hosts, "{what}: the host was written to");
        }
    }
}
