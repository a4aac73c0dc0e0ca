//! A part of a disk as the host's kernel shows it: a loop device, mounted in a namespace of its own, and looked at by the checker of
//! its file system. Without a shell between, of which each cut would need several.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::CloneFlags;
use rdlive_sys::loopdev::{self, LoopDevice, Setup};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::namespace::{self, Role};
use crate::tool;

/// So long a mount may be in use: another thread starts a program, which has all our files until it runs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Does something with mounts that nobody else has: a script of another thread would copy those of the lab to a namespace of its own, and
/// a file system that is mounted there too is not at its end when it is unmounted here.
pub fn apart<T: Send>(act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    ensure!(namespace::role() == Role::Inside, "mounts are made only inside of the lab's own namespace");
    let alone = move || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("a namespace for mounts")?;
        act()
    };
    std::thread::scope(|scope| scope.spawn(alone).join()).unwrap_or_else(|_| bail!("looking at it failed"))
}

/// A loop device that goes with its last user.
#[derive(Debug)]
pub struct Shown {
    device: LoopDevice,
    node: PathBuf,
}

impl Shown {
    /// A range of a file.
    pub fn part(file: &Path, range: &Range<u64>) -> Result<Self> {
        let fail = || format!("showing {}", file.display());
        let backing = File::options().read(true).write(true).open(file).with_context(fail)?;
        let setup =
            Setup { offset: range.start, size_limit: range.end - range.start, autoclear: true, ..Setup::default() };
        let device = loopdev::attach(Path::new("/dev"), &backing, &file.to_string_lossy(), setup).with_context(fail)?;
        let node = PathBuf::from(format!("/dev/loop{}", device.number));
        Ok(Self { device, node })
    }

    /// A whole file.
    pub fn whole(file: &Path) -> Result<Self> {
        let length = std::fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?.len();
        Self::part(file, &(0..length))
    }

    /// The device.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// The file system that its first bytes announce; whether it is one, mount and checker say.
    pub fn kind(&self) -> Result<&'static str> {
        const NAMES: [(u64, &[u8], &str); 6] = [
            (1080, &[0x53, 0xef], "ext4"),
            (0, b"XFSB", "xfs"),
            ((64 << 10) + 64, b"_BHRfS_M", "btrfs"),
            (82, b"FAT32", "vfat"),
            (3, b"EXFAT   ", "exfat"),
            (3, b"NTFS    ", "ntfs"),
        ];
        for (at, magic, name) in NAMES {
            let mut bytes = vec![0; magic.len()];
            if self.device.device.read_exact_at(&mut bytes, at).is_ok() && bytes == magic {
                return Ok(name);
            }
        }
        bail!("it is no file system that is known")
    }

    /// Mounts it at a directory that is made, which replays a journal; only [`apart`].
    pub fn mount(&self, at: &Path) -> Result<Mounted> {
        let kind = self.kind()?;
        // All cuts of a recording have one UUID, and are looked at side by side, which XFS refuses.
        let option = if kind == "xfs" { Some(c"nouuid") } else { None };
        std::fs::create_dir_all(at)?;
        rustix::mount::mount(&self.node, at, kind, MountFlags::empty(), option)
            .map_err(io::Error::from)
            .with_context(|| format!("mounting the {kind}"))?;
        Ok(Mounted { at: at.to_owned() })
    }

    /// The checker of its file system finds nothing. Call it when the file system is not mounted any more: the machine was switched
    /// off and not shut down, so only mounting it has replayed the journal.
    pub fn is_sound(&self) -> Result<()> {
        let (program, arguments): (_, &[&str]) = match self.kind()? {
            "ext4" => ("e2fsck", &["-fn"]),
            "xfs" => ("xfs_repair", &["-n"]),
            "btrfs" => ("btrfs", &["check", "--readonly"]),
            other => bail!("it is {other}, for which there is no checker here"),
        };
        tool::run(Command::new(program).args(arguments).arg(&self.node)).map(drop)
    }
}

/// A mount that ends with this value.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// What somebody else has mounted there.
    pub fn by_others(at: &Path) -> Self {
        Self { at: at.to_owned() }
    }

    /// Where.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Unmounts it: all of it is on the disk then.
    pub fn end(self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match rustix::mount::unmount(&self.at, UnmountFlags::empty()) {
                Err(Errno::BUSY) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
                // The error is told, and the mount is taken away all the same.
                ended => return ended.with_context(|| format!("unmounting {}", self.at.display())),
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.at, UnmountFlags::DETACH);
    }
}
