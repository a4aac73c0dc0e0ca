//! User-mode Linux: the kernel is a process, a disk is a file, and a boot is over before QEMU's firmware has begun.
//!
//! Options and the control socket: the kernel's `Documentation/virt/uml/user_mode_linux_howto_v2.rst`; why each of ours, and
//! what was measured: docs/decisions/0025-machines.md.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::names::{letter, uml_shift};
use super::{Backend, Clock, Drive, Hardware, Machine, Plug, Start, cards};
use crate::guest::Tree;
use crate::lab::Lab;
use crate::{cache, tool};

/// Where a guest's memory is: a file that the host never writes to a disk.
const MEMORY: &str = "/dev/shm";
/// The name of each machine in its own directory, where its control socket is.
const NAME: &str = "uml";
/// The kernel need not measure the speed of the processor, and picks no functions for RAID 6 by trying them out: both take
/// longer than all the rest of a boot. On a panic it ends with status 134 instead of waiting.
const OPTIONS: &[&str] = &[
    "con=null",
    "ssl=null",
    "con0=fd:0,fd:0",
    "ssl1=null,fd:2",
    "noreboot",
    "lpj=20000000",
    "initcall_blacklist=raid6_select_algo",
];

/// The kernel with its modules, and the script that starts it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its release, the name of the modules' directory.
    pub version: String,
    /// Starts it with the C library that it was linked with.
    pub run: PathBuf,
    /// A layer with its modules, to be laid over a tree.
    pub layer: PathBuf,
    /// What tells it from others of this release.
    pub identity: String,
}

/// Debian 13's package `user-mode-linux`, unpacked beside the tree of that release. The suite is fixed: newer ones have
/// a vDSO that stops rustix, and so the agent.
///
/// # Errors
/// No package, or no network to fetch it.
pub fn kernel(lab: &Lab) -> Result<Kernel> {
    let key = format!("uml 3 {} {XSTATE} {FETCH} {RUN}", Tree::Trixie.identity(lab)?);
    let dir = lab.cache.tree("uml", "the kernel of user-mode Linux", &key, |dir| fetch(lab, dir))?;
    let layer = dir.join("layer");
    let mut versions = fs::read_dir(layer.join("usr/lib/modules"))?.flatten().map(|entry| entry.file_name());
    let version = versions.next().context("the package has no modules")?.to_string_lossy().into_owned();
    Ok(Kernel { version, run: dir.join("run"), layer, identity: cache::identity(&dir)? })
}

fn fetch(lab: &Lab, dir: &Path) -> Result<()> {
    let tree = Tree::Trixie.ensure(lab)?;
    tool::shell_with_mounts(FETCH, &[&tree, dir]).context("fetching Debian's package user-mode-linux")?;
    fs::write(dir.join("xstate.c"), XSTATE)?;
    // Rust itself links with it. Where it is missing all the same, most processors need no such help.
    if tool::exists("cc") {
        tool::shell("cd \"$1\"; cc -shared -fPIC -O2 -o xstate.so xstate.c", &[dir])?;
    }
    let run = dir.join("run");
    fs::write(&run, RUN)?;
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).context("the script that starts the kernel")
}

/// Starts it. The kernel asks for the C library of its own release, which is beside it. A panic aborts, which the first process of
/// a namespace cannot, and before that ends all processes of its group: hence a process of its own, in a group of its own. To the kernel's
/// scheduler such a session weighs as much as all the rest of the lab (sched(7), autogroup): six of them would leave QEMU's guests, which
/// find their timers broken, a seventh of the processors, whatever their nice values.
const RUN: &str = r#"#!/bin/sh
dir=$(dirname "$0"); host=/usr/lib/x86_64-linux-gnu
[ ! -d $host ] || mount --bind "$dir/lib" $host || exit 125
[ ! -e "$dir/xstate.so" ] || export LD_PRELOAD="$dir/xstate.so"
setsid sh -c '{ echo 5 >/proc/self/autogroup; } 2>/dev/null; exec "$0" "$@"' "$dir/usr/bin/linux.uml" "$@"
exit $?
"#;

/// Processors with AMX have more registers than the kernel knows.
const XSTATE: &str = include_str!("../../uml/xstate.c");

/// What QEMU's guests have as their console, and what is in its place: what programs write to `ttyS0` stays in the kernel when
/// it is the console too.
const SERIAL: &str = "console=ttyS0";
const CONSOLE: &str = "console=tty0";

// apt runs in the tree's own system and leaves it as it is.
const FETCH: &str = r#"
    tree=$1 out=$2; mkdir -p "$out"
    work=$(mktemp -d); mount -t tmpfs tmpfs "$work"; mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$work/root"
    cp -L /etc/resolv.conf "$work/root/etc/resolv.conf" || true
    chroot "$work/root" sh -ec '
        apt-get -q update; mkdir /deb; cd /deb; chmod 777 .; apt-get -q download user-mode-linux; dpkg-deb -x *.deb tree' >&2
    cp -a "$work/root/deb/tree/." "$out"
    mkdir -p "$out/layer/usr/lib" "$out/lib"; mv "$out/usr/lib/uml/modules" "$out/layer/usr/lib/"
    for name in libc.so.6 ld-linux-x86-64.so.2; do cp -L "$tree/usr/lib/x86_64-linux-gnu/$name" "$out/lib/"; done
    umount "$work/root" "$work"; rmdir "$work""#;

/// What one machine may need of [`MEMORY`]: a scenario's largest guest, and some more.
const OF_ONE: u64 = 1 << 30;

/// How many machines find room in memory; where there is less than they need, the kernel kills them in the middle of a boot.
pub fn fit() -> usize {
    let free = rustix::fs::statvfs(MEMORY).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    usize::try_from(free / OF_ONE).unwrap_or(usize::MAX)
}

/// Why this host cannot run it; asked once for each run of the lab.
pub fn missing(lab: &Lab) -> Option<String> {
    let tried = || -> Result<()> {
        ensure!(fit() > 0, "{MEMORY} has less than {} MiB free (docker run --shm-size=4g gives it more)", OF_ONE >> 20);
        let kernel = kernel(lab)?;
        let dir = lab.cache.scratch("uml")?;
        let initrd = dir.join("initrd");
        tool::shell(PROBE, &[&dir, &lab.built.guest.path, &initrd])?;
        let append = "root=none console=ttyS0 panic=-1".to_owned();
        let start = Start::Kernel { kernel: kernel.run, initrd: Some(initrd), append };
        let hardware = Hardware { start, drives: Vec::new(), memory: 128, clock: Clock::Host { cpus: 1 }, net: None };
        let mut running = hardware.power_on(Machine::Uml, &dir)?;
        while running.ended()?.is_none() {
            ensure!(running.age() < PATIENCE, "it neither works nor stops");
            running.pause();
        }
        let good = crate::outcome::guest_result(running.result()).is_some();
        ensure!(good, "{}\n{}", tool::tail(running.result(), 3), tool::tail(running.console(), 3));
        crate::remove::tree(&dir)?;
        Ok(())
    };
    tried().err().map(|error| format!("{error:#}"))
}

/// The lab's program as the only one: it looks at its system, says so, and switches off. That takes ptrace, memory that can be
/// executed, and registers that the kernel knows.
const PROBE: &str = r#"
    cd "$1"; mkdir -p probe/proc probe/sys probe/dev; cp "$2" probe/init
    cd probe; find . -print0 | cpio -0 -o -H newc --quiet > "$3""#;

/// A hundred times what that takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// `abort()` as a shell sees it.
const CRASHED: i32 = 134;

/// The kernel in namespaces of its own: all that it has started ends with the first process. Mounts are private in the lab already.
fn command(run: &Path, dir: &Path, net: Option<&Plug>) -> Command {
    let mut command = cards::program("unshare", net);
    command.args(["--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child=KILL"]).arg(run);
    command.arg(format!("uml_dir={}", dir.display())).arg(format!("umid={NAME}"));
    command.args(OPTIONS).env("TMPDIR", MEMORY);
    command
}

/// Starts it with what is plugged in from the beginning.
pub(super) fn start(hardware: &Hardware, dir: &Path) -> Result<(Child, Backend)> {
    let Start::Kernel { kernel, initrd, append } = &hardware.start else {
        bail!("user-mode Linux has no firmware");
    };
    let mut command = command(kernel, dir, hardware.net.as_ref());
    command.arg(format!("mem={}M", hardware.memory));
    if let Some(initrd) = initrd {
        command.arg(format!("initrd={}", initrd.display()));
    }
    let shift = uml_shift(&hardware.drives);
    for (index, drive) in hardware.drives.iter().enumerate().filter(|(_, drive)| drive.late.is_none()) {
        command.arg(disk(index + shift, drive, dir)?);
    }
    command.args(cards::uml(hardware.net.as_ref()));
    // Without this it adds a root of its own behind ours.
    if !append.starts_with("root=") {
        command.arg("root=none");
    }
    // One word for all of it: the kernel gets the line as it is, quotes and spaces too.
    command.arg(append.replace(SERIAL, CONSOLE));
    fs::write(dir.join("uml.command"), format!("{command:?}\n"))?;
    let (ours, theirs) = UnixStream::pair()?;
    let child = command
        .stdin(OwnedFd::from(theirs))
        .stdout(File::create(dir.join("uml.start"))?)
        .stderr(File::options().create(true).append(true).open(dir.join("result"))?)
        .spawn()
        .context("starting user-mode Linux")?;
    let copy = copier(ours.try_clone()?, File::create(dir.join("console.log"))?);
    let control = Control { dir: dir.to_owned(), console: ours, copy: Some(copy), shift };
    Ok((child, Backend::Uml(control)))
}

/// `ubda=FILE` and its relatives. Writes that are dropped go to a file above the medium.
fn disk(number: usize, drive: &Drive, dir: &Path) -> Result<String> {
    let file = drive.file.display().to_string();
    // Both separate the names in an option.
    ensure!(!file.contains([',', ':']), "user-mode Linux cannot open {file}");
    let name = letter(number);
    // A medium that comes later is read-only in QEMU, too.
    if drive.locked || drive.late.is_some() {
        return Ok(format!("ubd{name}r={file}"));
    }
    if drive.keep_writes {
        return Ok(format!("ubd{name}={file}"));
    }
    let above = dir.join(format!("ubd{name}.cow"));
    let _ = fs::remove_file(&above);
    Ok(format!("ubd{name}={},{file}", above.display()))
}

/// What the guest says, until its end of the line is closed.
fn copier(mut from: UnixStream, mut to: File) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

/// Did it panic?
///
/// # Errors
/// It could not start.
pub(super) fn judge(status: ExitStatus, dir: &Path) -> Result<bool> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(false),
        // Beside much other work the program itself sometimes aborts when the kernel has already switched the machine off.
        (Some(CRASHED), _) | (None, Some(6)) => Ok(!is_switched_off(dir)),
        _ => {
            let said = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
            bail!(
                "user-mode Linux ended with {status}: {}\n{}",
                tool::tail(&said("uml.start"), 5),
                tool::tail(&said("result"), 5)
            )
        }
    }
}

/// The kernel's last words, before it switches a machine off or restarts it.
const LAST: [&str; 3] = ["reboot: Power down", "reboot: Restarting system", "reboot: System halted"];

fn is_switched_off(dir: &Path) -> bool {
    let console = fs::read(dir.join("console.log")).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    console
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| LAST.iter().any(|last| line.contains(last)))
}

/// Console and control socket of a machine that is switched on.
pub(super) struct Control {
    dir: PathBuf,
    console: UnixStream,
    copy: Option<JoinHandle<()>>,
    shift: usize,
}

impl Control {
    pub(super) fn plug_in(&mut self, index: usize, drive: &Drive) -> Result<()> {
        let word = disk(index + self.shift, drive, &self.dir)?;
        self.ask(&format!("config {word}"))
    }

    pub(super) fn pull_out(&mut self, index: usize) -> Result<()> {
        self.ask(&format!("remove ubd{}", letter(index + self.shift)))
    }

    pub(super) fn type_text(&mut self, text: &str) -> Result<()> {
        self.console.write_all(text.as_bytes()).context("typing on the console")
    }

    /// Waits until the console's last bytes are in its log.
    pub(super) fn settle(&mut self) {
        if let Some(copy) = self.copy.take() {
            let _ = copy.join();
        }
    }

    /// One request to the kernel's own control socket (`mconsole`).
    fn ask(&self, text: &str) -> Result<()> {
        const MAGIC: u32 = 0xcafe_babe;
        const VERSION: u32 = 2;
        const LENGTH: usize = 524;
        let mut request: Vec<u8> = [MAGIC, VERSION, text.len() as u32].map(u32::to_ne_bytes).concat();
        request.extend(text.as_bytes());
        ensure!(request.len() < LENGTH, "too long for the control socket: {text}");
        request.resize(LENGTH, 0);
        let own = self.dir.join("answers");
        let _ = fs::remove_file(&own);
        let socket = UnixDatagram::bind(&own)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket
            .send_to(&request, self.dir.join(NAME).join("mconsole"))
            .context("the control socket of user-mode Linux")?;
        let mut answer = [0; LENGTH];
        let length = socket.recv(&mut answer).context("waiting for user-mode Linux's answer")?;
        let error = answer.first_chunk().map_or(1, |word| u32::from_ne_bytes(*word));
        let said = String::from_utf8_lossy(answer.get(12..length).unwrap_or_default()).into_owned();
        ensure!(error == 0, "{text}: {}", said.trim_matches('\0'));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Bus, Trouble};

    #[test]
    fn an_abort_after_power_off_is_no_crash() {
        let dir = tempfile::tempdir().unwrap();
        let aborted = ExitStatus::from_raw(CRASHED << 8);
        for (console, crashed) in [
            ("lab-guest: reported, powering off\nreboot: Power down\n", false),
            ("reboot: Restarting system\n", false),
            ("Kernel panic - not syncing: Attempted to kill init!\n", true),
            ("rdlive: said \"reboot: Power down\"\nKernel panic - not syncing\n", true),
            ("", true),
        ] {
            fs::write(dir.path().join("console.log"), console).unwrap();
            assert_eq!(judge(aborted, dir.path()).unwrap(), crashed, "{console}");
        }
    }

    #[test]
    fn a_disk_is_written_kept_or_protected() {
        let dir = tempfile::tempdir().unwrap();
        let drive = |keep_writes, locked, late| Drive {
            file: "/m".into(),
            bus: Bus::Disk,
            late,
            keep_writes,
            log: None,
            locked,
            trouble: Trouble::default(),
        };
        let cow = format!("ubdb={}/ubdb.cow,/m", dir.path().display());
        for (keep, locked, late, expected) in [
            (false, false, None, cow.as_str()),
            (true, false, None, "ubdb=/m"),
            (true, true, None, "ubdbr=/m"),
            (false, false, Some(Duration::MAX), "ubdbr=/m"),
        ] {
            assert_eq!(disk(1, &drive(keep, locked, late), dir.path()).unwrap(), expected);
        }
        let odd = Drive { file: "/a,b".into(), ..drive(true, false, None) };
        assert!(disk(0, &odd, dir.path()).is_err());
    }
}
