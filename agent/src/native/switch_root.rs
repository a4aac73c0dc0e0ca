//! From the initramfs to the real root: mounts moved, the initramfs' memory freed, the real init executed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::mount_move;
use rustix::process::{chdir, chroot};

use crate::console;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::probe::init;

/// Mounts that go along.
const MOVED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// Replaces this program by the real init; returns only if that fails.
pub fn switch(env: &Env, sysroot: &Path, init: Option<&Path>, arguments: &[String]) -> Stop {
    // Checked while there still is a way back.
    let program = match init::program(sysroot, init) {
        Ok((program, _)) => program,
        Err(stop) => return stop,
    };
    log::info!("switching to {} in {}", program.display(), sysroot.display());
    match enter(env, sysroot) {
        Ok(()) => {}
        Err(stop) => return stop,
    }
    let error = exec(&program, arguments);
    Stop::new(Code::SwitchRoot, format!("executing {}: {error}", program.display()))
}

fn enter(env: &Env, sysroot: &Path) -> Result<(), Stop> {
    let fail = |operation: &str, path: &Path, error: &dyn std::fmt::Display| {
        Stop::new(Code::SwitchRoot, format!("{operation} {}: {error}", path.display()))
    };
    for name in MOVED {
        let (from, to) = (env.path(name), sysroot.join(name));
        fs::create_dir_all(&to).map_err(|error| fail("making", &to, &error))?;
        mount_move(&from, &to).map_err(|errno| fail("moving to", &to, &errno))?;
    }
    free_initramfs(env.root(), sysroot);
    chdir(sysroot).map_err(|errno| fail("entering", sysroot, &errno))?;
    mount_move(".", "/").map_err(|errno| fail("moving to /", sysroot, &errno))?;
    chroot(".").map_err(|errno| fail("changing root to", sysroot, &errno))?;
    chdir("/").map_err(|errno| fail("entering", Path::new("/"), &errno))?;
    Ok(())
}

/// Deletes the initramfs' files: they are RAM that the live system would never get back. Stays on the initramfs' own
/// device, so nothing mounted is touched.
fn free_initramfs(root: &Path, sysroot: &Path) {
    let Ok(device) = fs::metadata(root).map(|meta| meta.dev()) else { return };
    // A root that is not the initramfs must never be emptied.
    if fs::metadata(sysroot).map_or(true, |meta| meta.dev() == device) || !is_ram(root) {
        log::warn!("{} is no initramfs, its memory is not freed, ignoring", root.display());
        return;
    }
    remove_below(root, device);
}

/// `ramfs` and `tmpfs` are what the kernel unpacks an initramfs into.
fn is_ram(root: &Path) -> bool {
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::statfs(root).is_ok_and(|stat| [RAMFS_MAGIC, TMPFS_MAGIC].contains(&stat.f_type))
}

fn remove_below(dir: &Path, device: u64) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.dev() != device {
            continue;
        }
        // What cannot be removed stays allocated, nothing worse.
        if meta.is_dir() {
            remove_below(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

fn exec(program: &Path, arguments: &[String]) -> io::Error {
    // init gets the console, as from the kernel.
    console::become_standard_streams();
    Command::new(program).args(arguments.iter().map(OsStr::new)).exec()
}
