//! Programs of the image that make and check the place for changes where the initrd has none (decision 0031), on real loop devices. Needs
//! a C compiler with a static library besides.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rdlive::error::Code;

use crate::machine::{self, Booted, Machine, Stick};
use crate::{PERSISTENT, STICK};

/// A machine whose initrd has no program, with an image whose tree is made by `fill`.
fn bare(fill: impl FnOnce(&Path)) -> (Machine, Stick) {
    bare_of(STICK, fill)
}

fn bare_of(size: u64, fill: impl FnOnce(&Path)) -> (Machine, Stick) {
    let machine = Machine::new();
    fs::remove_file(machine.path("usr")).unwrap();
    let tree = machine.path("tree");
    for dir in ["dev", "proc", "usr/sbin", "usr/lib64", "usr/lib"] {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    // As distributions have it: one of them with an absolute link.
    for (name, to) in [("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "/usr/lib64")] {
        symlink(to, tree.join(name)).unwrap();
    }
    fill(&tree);
    let stick = Stick::new(&machine, "gpt", size);
    (machine, stick)
}

/// Puts a program of this machine into a tree, with all that it needs to start.
fn install(tree: &Path, name: &str) {
    let program = Path::new("/usr/sbin").join(name);
    fs::copy(&program, tree.join("usr/sbin").join(name)).unwrap();
    for word in machine::run("ldd", &[&program]).split_whitespace().filter(|word| word.starts_with('/')) {
        let to = tree.join("usr").join(Path::new(word).strip_prefix("/").unwrap());
        let to = PathBuf::from(to.to_string_lossy().replace("/usr/usr/", "/usr/"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(word, to).unwrap();
    }
}

/// Puts a program without any needs there.
fn compile(tree: &Path, name: &str, source: &str) {
    let file = tree.with_extension("c");
    fs::write(&file, source).unwrap();
    let to = tree.join("usr/sbin").join(name);
    machine::run("cc", &["-static".as_ref(), "-o".as_ref(), &to, &file]);
}

fn boot(machine: &Machine, stick: &Stick) -> Booted {
    stick.boot(machine, PERSISTENT).unwrap_or_else(|stop| panic!("{:?}", stop.lines()))
}

/// Boots with changes in RAM, and returns why.
fn refused(machine: &Machine, stick: &Stick) -> String {
    let before = stick.all();
    let booted = boot(machine, stick);
    assert_eq!(booted.mode().persistence, "temporary");
    let why = booted.report.fallbacks.join(" ");
    drop(booted);
    assert!(stick.all() == before, "nothing was written: {why}");
    let required = stick.boot(machine, &format!("{PERSISTENT}=required")).unwrap_err();
    assert!(why.contains(&required.code.to_string()), "{required:?}, {why}");
    why
}

#[test]
fn loop_the_image_makes_and_checks_the_area() {
    let (machine, stick) = bare(|tree| {
        install(tree, "mkfs.ext4");
        install(tree, "e2fsck");
    });
    let first = boot(&machine, &stick);
    assert_eq!(first.mode().persistence, "partition", "{:?}", first.report.fallbacks);
    fs::write(first.sysroot.join("kept"), "x").unwrap();
    let steps: Vec<_> = first.report.steps.iter().map(|step| step.step.as_str()).collect();
    assert!(steps.contains(&"programs of /run/overlay/squashfs_container where the initrd has none"), "{steps:?}");
    drop(first);
    assert_eq!(stick.last_by_others(), ["Linux filesystem", "ext4", "cow"]);
    // It is said to have errors.
    let area = stick.table().partitions.last().unwrap().start;
    stick.put(area + 1024 + 0x3a, &[2, 0]);
    let second = boot(&machine, &stick);
    assert_eq!(fs::read_to_string(second.sysroot.join("kept")).unwrap(), "x", "{:?}", second.report.fallbacks);
    let notes = second.mode().notes.join(" ");
    assert!(notes.contains("repaired") && !notes.contains("not checked"), "{notes}");
}

#[test]
fn loop_the_image_makes_an_xfs_and_a_btrfs() {
    for (cowfs, size) in [("xfs", 420 << 20), ("btrfs", 200 << 20)] {
        let (machine, stick) = bare_of(size, |tree| install(tree, &format!("mkfs.{cowfs}")));
        let kargs = format!("{PERSISTENT} rd.live.overlay.cowfs={cowfs}");
        let booted = stick.boot(&machine, &kargs).unwrap();
        assert_eq!(booted.mode().persistence, "partition", "{cowfs}: {:?}", booted.report.fallbacks);
        drop(booted);
        assert_eq!(stick.last_by_others(), ["Linux filesystem", cowfs, "cow"]);
        drop(stick.boot(&machine, &format!("{kargs}=required")).unwrap());
    }
}

/// The initrd's own program is the one that is run, and then the image is not even looked at.
#[test]
fn loop_the_initrd_comes_first() {
    let (machine, stick) = bare(|tree| compile(tree, "mkfs.ext4", "int main() { return 9; }"));
    machine.link_usr();
    let booted = boot(&machine, &stick);
    assert_eq!(booted.mode().persistence, "partition", "{:?}", booted.report.fallbacks);
    assert!(!booted.report.steps.iter().any(|step| step.step.starts_with("programs")));
}

#[test]
fn loop_what_cannot_run_is_named() {
    let (machine, stick) = bare(|_| {});
    let why = refused(&machine, &stick);
    for words in ["RDL-055", "neither in the initrd nor in the image", "install e2fsprogs into the image"] {
        assert!(why.contains(words), "{why}");
    }
    let (machine, stick) = bare(|tree| {
        install(tree, "mkfs.ext4");
        let path = tree.join("usr/sbin/mkfs.ext4");
        let mut bytes = fs::read(&path).unwrap();
        bytes[18] = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
        fs::write(path, bytes).unwrap();
    });
    let why = refused(&machine, &stick);
    assert!(why.contains("/usr/sbin/mkfs.ext4 of the image is for another processor"), "{why}");
    let (machine, stick) = bare(|tree| {
        install(tree, "mkfs.ext4");
        fs::remove_file(tree.join("lib64")).unwrap();
        fs::remove_file(tree.join("lib")).unwrap();
    });
    let why = refused(&machine, &stick);
    assert!(why.contains("ld-linux") && why.contains("which the image does not have"), "{why}");
    let (machine, stick) = bare(|tree| fs::write(tree.join("usr/sbin/mkfs.ext4"), "#!/bin/sh\n").unwrap());
    let why = refused(&machine, &stick);
    assert!(why.contains("/usr/sbin/mkfs.ext4 of the image is no program"), "{why}");
}

/// Its output is in the reason; and it sees of this machine nothing but its device.
#[test]
fn loop_a_program_that_fails_is_quoted_and_has_no_more_than_its_device() {
    let source = r#"
        #include <dirent.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/stat.h>
        #include <sys/sysmacros.h>
        #include <unistd.h>
        static void list(const char *path) {
            DIR *dir = opendir(path);
            for (struct dirent *entry; dir && (entry = readdir(dir));)
                if (entry->d_name[0] != '.') printf(" %s:%s", path, entry->d_name);
        }
        static void may(const char *what, int result) { printf(" %s=%s", what, result < 0 ? strerror(errno) : "yes"); }
        extern char **environ;
        int main(int count, char **words) {
            list("/dev");
            may("device", open(words[count - 1], O_RDWR | O_EXCL));
            may("zero", open("/dev/zero", O_RDONLY));
            may("mknod", mknod("/dev/other", S_IFBLK | 0600, makedev(7, 0)));
            may("proc", open("/proc/sys/kernel/hostname", O_WRONLY));
            may("image", open("/usr/new", O_WRONLY | O_CREAT, 0600));
            may("chroot", chroot("/usr"));
            list("/sys/class/net");
            char text[4096] = "";
            int net = open("/proc/self/net/dev", O_RDONLY);
            read(net, text, sizeof text - 1);
            printf(" eth=%s", strstr(text, "eth0") ? "yes" : "no");
            for (char **variable = environ; *variable; variable++) printf(" [%s]", *variable);
            printf(" the end\n");
            return 3;
        }
    "#;
    let (machine, stick) = bare(|tree| compile(tree, "mkfs.ext4", source));
    let booted = boot(&machine, &stick);
    assert_eq!(booted.mode().persistence, "temporary");
    let why = booted.report.fallbacks.join(" ");
    println!("{why}");
    for words in [
        "RDL-053",
        "/usr/sbin/mkfs.ext4 of the image ended with exit status: 3",
        "device=yes",
        "zero=yes",
        "mknod=Operation not permitted",
        "proc=Read-only file system",
        "image=Read-only file system",
        "chroot=Operation not permitted",
        "eth=no",
        "[LC_ALL=C]",
        "the end",
    ] {
        assert!(why.contains(words), "{words} is not in {why}");
    }
    let devices: Vec<_> = why.split(' ').filter_map(|word| word.strip_prefix("/dev:")).collect();
    assert_eq!(devices.iter().filter(|name| name.starts_with("loop")).count(), 1, "{devices:?}");
    assert_eq!(devices.len(), 5, "{devices:?}");
    assert!(!why.contains("PWD=") && !why.contains("CARGO"), "{why}");
    drop(booted);
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(machine.dir.path().to_str().unwrap()));
    let required = stick.boot(&machine, &format!("{PERSISTENT}=required")).unwrap_err();
    assert_eq!(required.code, Code::AreaFormat);
}

/// A library that is missing shows only when the loader looks for it, and that says which.
#[test]
fn loop_a_library_that_is_missing_is_named_by_the_loader() {
    let (machine, stick) = bare(|tree| {
        install(tree, "mkfs.ext4");
        let found = Command::new("find").arg(tree).args(["-name", "libext2fs*", "-delete", "-print"]).output().unwrap();
        assert!(!found.stdout.is_empty(), "mkfs.ext4 of this machine has no such library");
    });
    let booted = boot(&machine, &stick);
    let why = booted.report.fallbacks.join(" ");
    assert!(why.contains("libext2fs.so.2: cannot open shared object file"), "{why}");
}
