//! What a guest leaves: files that were asked for, and a machine that was shut down and not cut off.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{Error, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use rustix::mount::{MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, chdir, chroot, kill_process, pivot_root, wait};

/// Where the initrd left its program for power-off.
const INITRD: &str = "/run/initramfs";

/// `lab.write=/path:text` makes a file and does not go on before it is on the disk; what was there is replaced.
pub fn written() {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for place in cmdline.split_whitespace().filter_map(|karg| karg.strip_prefix("lab.write=")) {
        let (path, text) = place.split_once(':').unwrap_or((place, ""));
        if let Err(error) = write(Path::new(path), text) {
            println!("lab-guest: writing {path}: {error}");
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = File::create(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// What other modules of dracut do, and what follows from it:
/// * `lab.need_shutdown`: one asks for dracut's own program at power-off; and as on a machine without a clock, what the
///   boot left seems to be older than what is in the initrd, so that unpacking this overwrites it.
/// * `lab.dracut_shutdown`: besides, nothing keeps dracut's service from unpacking.
pub fn asked_for_dracut() {
    let unpack = crate::look::asked("lab.dracut_shutdown");
    let wanted = unpack || crate::look::asked("lab.need_shutdown");
    if wanted && let Err(error) = ask_for_dracut(unpack) {
        println!("lab-guest: asking for dracut's program: {error}");
    }
}

fn ask_for_dracut(unpack: bool) -> std::io::Result<()> {
    let inside = |name: &str| Path::new(INITRD).join(name);
    fs::write(inside(".need_shutdown"), "")?;
    File::options().write(true).open(inside("shutdown"))?.set_modified(SystemTime::UNIX_EPOCH)?;
    if unpack {
        fs::remove_file(inside("bin/sh"))?;
        // In an initrd that is a link.
        fs::remove_dir(inside("bin"))?;
        // It did not start at boot, because of that file. It unpacks when it is stopped.
        Command::new("systemctl").args(["start", "dracut-shutdown.service"]).status()?;
    }
    Ok(())
}

/// What systemd-shutdown does at the end: `/run/initramfs` becomes the root, the old one lies in `/oldroot`, and
/// `/shutdown` takes over. Returns only if that fails.
pub fn back_to_initrd() -> Error {
    let Err(error) = go_back();
    error
}

/// As every real init does before it leaves the root: whoever is left over, such as the initrd's udevd on a slow host, ends.
fn end_programs() -> std::io::Result<()> {
    let numbers = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in numbers.filter(|pid: &i32| *pid != 1).filter_map(Pid::from_raw) {
        // A thread of the kernel has no program.
        if let Ok(program) = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())) {
            println!("lab-guest: ends {}", program.display());
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    // All of them are children of the first process. None left is an error.
    while wait(WaitOptions::empty()).is_ok() {}
    Ok(())
}

fn go_back() -> Result<Infallible, Error> {
    end_programs()?;
    std::io::stdout().flush()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_bind(INITRD, INITRD)?;
    let inside = |name: &str| Path::new(INITRD).join(name);
    for name in ["dev", "proc", "sys", "run", "oldroot"] {
        fs::create_dir_all(inside(name))?;
    }
    for name in ["dev", "proc", "sys", "run"] {
        mount_bind_recursive(Path::new("/").join(name), inside(name))?;
    }
    chdir(INITRD)?;
    pivot_root(".", "oldroot")?;
    chroot(".")?;
    Err(Command::new("/shutdown").arg("poweroff").exec())
}
