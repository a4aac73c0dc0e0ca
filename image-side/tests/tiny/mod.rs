//! A tiny system tree with a kernel made of words: enough for everything but booting, which is the lab's part.
#![allow(dead_code, missing_docs)] // Each test program uses its own half.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const VERSION: &str = "6.1.0-test";

pub struct Tiny {
    dir: tempfile::TempDir,
}

impl Tiny {
    pub fn new() -> Self {
        let tiny = Self { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(tiny.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for dir in ["tree", "out", "tree/dev", "tree/proc", "tree/sys", "tree/run", "tree/tmp", "tree/usr/bin"] {
            fs::create_dir_all(tiny.dir.path().join(dir)).unwrap();
        }
        tiny.file("etc/os-release", "ID=tiny\nVERSION_ID=\"1.0\"\nPRETTY_NAME=\"Tiny Linux 1.0\"\n");
        tiny.file(&format!("boot/vmlinuz-{VERSION}"), "kernel");
        let config = "CONFIG_SQUASHFS=m\nCONFIG_SQUASHFS_ZSTD=y\nCONFIG_SQUASHFS_XZ=y\nCONFIG_SQUASHFS_ZLIB=y\n\
                      CONFIG_SQUASHFS_LZ4=y\nCONFIG_EROFS_FS=m\nCONFIG_EROFS_FS_ZIP=y\n";
        tiny.file(&format!("boot/config-{VERSION}"), config);
        let modules = format!("usr/lib/modules/{VERSION}");
        for name in ["fs/isofs/isofs", "block/loop", "drivers/cdrom/cdrom", "drivers/scsi/sr_mod", "net/other"] {
            tiny.file(&format!("{modules}/kernel/{name}.ko"), "");
        }
        let dep = "kernel/fs/isofs/isofs.ko: kernel/drivers/cdrom/cdrom.ko\nkernel/block/loop.ko:\n\
                   kernel/drivers/cdrom/cdrom.ko:\nkernel/drivers/scsi/sr_mod.ko: kernel/drivers/cdrom/cdrom.ko\n\
                   kernel/net/other.ko:\n";
        tiny.file(&format!("{modules}/modules.dep"), dep);
        tiny.file(&format!("{modules}/modules.alias"), "alias fs-iso9660 isofs\nalias net-pf-1 other\n");
        fs::write(tiny.agent(), "#!/bin/sh\necho rdlive 9.9.9\n").unwrap();
        fs::set_permissions(tiny.agent(), PermissionsExt::from_mode(0o755)).unwrap();
        tiny
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub fn iso(&self) -> PathBuf {
        self.out().join("test.iso")
    }

    pub fn agent(&self) -> PathBuf {
        self.dir.path().join("rdlive")
    }

    /// Writes a file of the tree.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The build command for this tree.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdlive-image"));
        command.arg("build").arg("--input").arg(self.root()).arg("--output").arg(self.iso());
        command.arg("--agent").arg(self.agent()).args(args).env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// Builds, and fails the test if that fails.
    pub fn build(&self, args: &[&str]) -> PathBuf {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "build {args:?}: {}", stderr(&output));
        self.iso()
    }

    /// Builds, expecting exit code `code`; returns what it says.
    pub fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.command(args).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "build {args:?}: {text}");
        assert_eq!(names(&self.out()), Vec::<String>::new(), "something is left behind");
        text
    }

    /// Takes a file out of an ISO.
    pub fn extract(&self, iso: &Path, path: &str) -> PathBuf {
        let target = self.dir.path().join("extracted");
        let _ = fs::remove_file(&target);
        run(Command::new("xorriso").args(["-osirrox", "on", "-indev"]).arg(iso).args(["-extract", path]).arg(&target));
        target
    }

    /// Runs `check` on the container (or the image in it), mounted.
    pub fn mounted(&self, iso: &Path, nested: Option<&str>, check: impl Fn(&Path)) {
        let container = self.extract(iso, "/LiveOS/squashfs.img");
        let at = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-o", "loop,ro"]).arg(&container).arg(at.path()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match nested {
            None => check(at.path()),
            Some(options) => {
                let image = tempfile::tempdir().unwrap();
                let file = at.path().join("LiveOS/rootfs.img");
                run(Command::new("mount").args(["-o", options]).arg(&file).arg(image.path()));
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(image.path())));
                run(Command::new("umount").arg(image.path()));
                result.unwrap();
            }
        }));
        run(Command::new("umount").arg(at.path()));
        result.unwrap();
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs a program that must succeed and returns all it prints.
pub fn run(command: &mut Command) -> String {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (cargo lab install brings the programs of the tests)"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// True without root rights; says so, because a silent skip looks like a pass.
pub fn skip_without_root(name: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped {name}: needs root");
    }
    !root
}
