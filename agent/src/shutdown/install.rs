//! At boot: leaves this program where systemd looks for it at power-off.
//!
//! systemd-shutdown goes back into `/run/initramfs` if `/run/initramfs/shutdown` may be executed (`access(2)`), with
//! the old root at `/oldroot`. A mount of `/run` that refuses programs would hide it.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::env::Env;
use crate::exec::mount;
use crate::layout;

/// The directory that becomes the root again.
const DIR: &str = "run/initramfs";
/// Mount points that systemd, and nobody else, fills there.
const EMPTY: [&str; 5] = ["oldroot", "proc", "sys", "dev", "run"];
/// By this name dracut's service knows that an initrd has been unpacked here already (its `ConditionPathExists`). It would
/// unpack the one in `/boot` otherwise, when another module of dracut has asked for it: over our program or beside it,
/// and without our program if that fails.
const OCCUPIED: &str = "bin/sh";

/// Makes sure, before anything is mounted below it, that programs in `/run/initramfs` may run: where `/run` refuses
/// them, the directory becomes a mount of its own that does not.
///
/// # Errors
/// The error of looking, making or mounting.
pub fn prepare(env: &Env) -> io::Result<()> {
    let dir = env.path(DIR);
    fs::create_dir_all(&dir)?;
    if !statvfs(&dir)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Ok(());
    }
    mount::let_programs_run(&dir).map_err(io::Error::other)
}

/// Copies this program to `/run/initramfs/shutdown`, as a whole or not at all, and sees to it that dracut leaves it
/// there. One that is there already stays: it belongs to another program of the initrd.
///
/// # Errors
/// The error of reading this program or of writing the copy.
pub fn leave(env: &Env) -> io::Result<()> {
    let dir = env.path(DIR);
    for name in EMPTY {
        fs::create_dir_all(dir.join(name))?;
    }
    let program = dir.join("shutdown");
    if program.exists() {
        return Ok(());
    }
    copy(&env.path("proc/self/exe"), &program)?;
    link(&dir.join(OCCUPIED))?;
    command(env)
}

/// The same program under its own name, for `rdlive report` in a live system that does not have it.
fn command(env: &Env) -> io::Result<()> {
    link(&env.path(layout::COMMAND))
}

/// A link to the copy, unless something has that name.
fn link(at: &Path) -> io::Result<()> {
    at.parent().map_or(Ok(()), fs::create_dir_all)?;
    match symlink(Path::new("/").join(DIR).join("shutdown"), at) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let partial = to.with_extension("new");
    fs::copy(from, &partial)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
    fs::rename(&partial, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_ones_shutdown_program_stays() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/proc", dir.path().join("proc")).unwrap();
        let env = Env::new(dir.path());
        fs::create_dir_all(dir.path().join(DIR)).unwrap();
        let program = dir.path().join(DIR).join("shutdown");
        fs::write(&program, "dracut's").unwrap();
        leave(&env).unwrap();
        assert_eq!(fs::read(&program).unwrap(), b"dracut's");
        let occupied = dir.path().join(DIR).join(OCCUPIED);
        assert!(fs::symlink_metadata(&occupied).is_err(), "dracut may unpack what its program needs");
        fs::remove_file(&program).unwrap();
        leave(&env).unwrap();
        assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(fs::read(&program).unwrap() == fs::read("/proc/self/exe").unwrap());
        assert!(dir.path().join(DIR).join("oldroot").is_dir());
        // H1: `[ -e ]` and ConditionPathExists follow the second one, in the booted system.
        for link in [dir.path().join(layout::COMMAND), occupied] {
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("/run/initramfs/shutdown"), "{}", link.display());
        }
    }
}
