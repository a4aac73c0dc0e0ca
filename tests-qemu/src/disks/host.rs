//! A worker's own place on the host: mounts that nobody else sees, no news of other workers' disks, and loop devices without a program.
//!
//! All of it is in this process, because a disk takes a tenth of a processor second: a script of twenty programs took twice that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::CloneFlags;
use rdlive_sys::{blkpg, loopdev};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use crate::namespace::{self, Role};
use crate::spent;

/// Where loop devices are.
const DEV: &str = "/dev";
/// How often something that is still in use is tried again, and after how long.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Gives this thread, and the programs that it starts, mounts of their own and a place where the kernel tells nothing of devices.
///
/// # Errors
/// Outside of the lab's own namespace (`crate::namespace`): there the host would see the mounts.
pub fn enter() -> Result<()> {
    ensure!(namespace::role() == Role::Inside, "disks are booted only inside of the lab's own namespace");
    apart()?;
    // What the agent says to the kernel's log stays here.
    for node in ["kmsg", "console"].map(|name| Path::new(DEV).join(name)).iter().filter(|node| node.exists()) {
        mount_bind(Path::new("/dev/null"), node).with_context(|| format!("hiding {}", node.display()))?;
    }
    if let Some(quiet) = quiet() {
        nix::sched::setns(quiet, CloneFlags::CLONE_NEWNET).context("a network namespace of its own")?;
    }
    Ok(())
}

/// Mounts of this thread alone, behind [`enter`].
///
/// # Errors
/// As those of [`enter`].
pub fn apart() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("mounts of its own")
}

/// A network namespace that belongs to another user namespace: the kernel sends no events there. Each machine has one disk, and would
/// hear of the hundreds that come and go beside it; a boot then waits until its patience ends. `None` where the host allows no such
/// namespace, as in a chroot: then it does wait.
fn quiet() -> Option<&'static OwnedFd> {
    static QUIET: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let made = || -> Result<OwnedFd> {
        let mut holder = Command::new("unshare")
            .args(["--user", "--net", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = String::new();
        let out = holder.stdout.take().context("no output")?;
        let ready = BufReader::new(out).read_line(&mut said);
        let place = File::open(format!("/proc/{}/ns/net", holder.id()));
        drop(holder.stdin.take());
        holder.wait()?;
        ensure!(ready? == 1, "no namespace");
        Ok(place?.into())
    };
    QUIET.get_or_init(|| made().ok()).as_ref()
}

/// A disk in a machine that has no other: a directory to be the agent's root.
#[derive(Debug)]
pub struct Plugged {
    dir: PathBuf,
    device: loopdev::LoopDevice,
}

impl Plugged {
    /// A loop device over `image`, of which the kernel shows these partitions: number, first byte, and the byte behind the last.
    pub fn new(dir: &Path, image: &Path, sector: u64, shown: &[(u32, std::ops::Range<u64>)]) -> Result<Self> {
        let block = dir.join("sys/class/block");
        for sub in [&block, &dir.join("run"), &dir.join("sysroot")] {
            fs::create_dir_all(sub)?;
        }
        for name in ["proc", "dev", "usr"] {
            symlink(Path::new("/").join(name), dir.join(name))?;
        }
        for name in ["dev", "module"] {
            symlink(Path::new("/sys").join(name), dir.join("sys").join(name))?;
        }
        let plugged = Self { dir: dir.to_owned(), device: looped(image, sector, false)? };
        // Of whoever had this device before.
        plugged.forget()?;
        let show = |name: &str| symlink(Path::new("/sys/class/block").join(name), block.join(name));
        show(&plugged.name())?;
        for (number, place) in shown {
            blkpg::add_partition(&plugged.device.device, *number, place.start, place.end - place.start)
                .with_context(|| format!("showing partition {number} at {place:?}"))?;
            show(&format!("{}p{number}", plugged.name()))?;
        }
        Ok(plugged)
    }

    fn name(&self) -> String {
        format!("loop{}", self.device.number)
    }

    /// Its node.
    pub fn node(&self) -> PathBuf {
        node(&self.device)
    }

    /// Carries out the agent's boot; `LOOP` in the command line is the node.
    pub fn boot(&self, agent: &Path, kargs: &str, patience: Duration) -> Result<()> {
        let said = File::create(self.dir.join("out"))?;
        let kargs = kargs.replace("LOOP", &self.node().to_string_lossy());
        let mut command = Command::new(agent);
        command.arg("boot").arg("--root").arg(&self.dir).args(["--sysroot", "/sysroot", "--cmdline", &kargs]);
        command.stdout(said.try_clone()?).stderr(said);
        spent::watched(&mut command, patience).context("running the agent").map(drop)
    }

    /// Takes all mounts away; the next boot finds the machine as after power-on.
    pub fn unmount(&self) -> Result<()> {
        unmount_below(&self.dir)?;
        for name in ["run", "sysroot"] {
            crate::remove::tree(&self.dir.join(name))?;
            fs::create_dir(self.dir.join(name))?;
        }
        Ok(())
    }

    /// Unmounts all, and pulls it out.
    pub fn out(self) -> Result<()> {
        unmount_below(&self.dir)?;
        self.forget()
    }

    fn forget(&self) -> Result<()> {
        let own = format!("{}p", self.name());
        let below = fs::read_dir(Path::new("/sys/class/block").join(self.name()))?;
        let names = below.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        for number in names.filter_map(|name| name.strip_prefix(&own)?.parse().ok()) {
            again(|| blkpg::delete_partition(&self.device.device, number))
                .with_context(|| format!("{own}{number} is still in use"))?;
        }
        Ok(())
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // The device goes with its last user; whoever gets it next looks for partitions.
        let _ = unmount_below(&self.dir);
        let _ = self.forget();
    }
}

/// Where the device is.
pub fn node(device: &loopdev::LoopDevice) -> PathBuf {
    Path::new(DEV).join(format!("loop{}", device.number))
}

/// A loop device that the kernel frees with its last user.
pub fn looped(image: &Path, sector: u64, read_only: bool) -> Result<loopdev::LoopDevice> {
    let file = File::options().read(true).write(!read_only).open(image)?;
    let setup =
        loopdev::Setup { sector: u32::try_from(sector)?, autoclear: true, read_only, ..loopdev::Setup::default() };
    let name = image.to_string_lossy();
    again(|| loopdev::attach(Path::new(DEV), &file, &name, setup)).context("a loop device")
}

/// A read-only loop device over a part of a file.
pub fn looped_at(image: &Path, place: &std::ops::Range<u64>) -> Result<loopdev::LoopDevice> {
    let file = File::open(image)?;
    let setup = loopdev::Setup {
        read_only: true,
        autoclear: true,
        offset: place.start,
        size_limit: place.end - place.start,
        ..loopdev::Setup::default()
    };
    let name = image.to_string_lossy();
    again(|| loopdev::attach(Path::new(DEV), &file, &name, setup)).context("a loop device")
}

fn unmount_below(dir: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/thread-self/mounts")?;
    let points: Vec<&Path> = table.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new).collect();
    for point in points.iter().rev().filter(|point| point.starts_with(dir)) {
        again(|| Ok(unmount(*point, UnmountFlags::empty())?))
            .with_context(|| format!("{} is still in use", point.display()))?;
    }
    Ok(())
}

/// The kernel closes a device a moment after its last user.
pub fn again<T>(mut act: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let mut tries = 0;
    loop {
        match act() {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}
