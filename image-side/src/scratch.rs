//! Scratch space and mounts that never outlive us.
//!
//! Mounts are made in a mount namespace of our own thread: even SIGKILL leaves none behind. Still, a directory is only
//! deleted when nothing is mounted below it, because deleting through a mount would erase someone's data.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::run::run;
use crate::tools;

/// A directory that is removed with everything in it, after everything mounted below it.
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
    mounts: RefCell<Vec<PathBuf>>,
}

/// Permissions of a result that holds what not everybody may read.
const PRIVATE_MODE: u32 = 0o600;

thread_local! {
    static PRIVATE: Cell<bool> = const { Cell::new(false) };
}

impl Scratch {
    /// Makes a scratch directory inside `parent`.
    ///
    /// # Errors
    /// When `parent` cannot be written.
    pub fn new(parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(".rdlive-image.")
            .tempdir_in(parent)
            .with_context(|| format!("making a scratch directory in {}", parent.display()))?;
        // Overlay and loop mounts need the canonical name to be found in mountinfo again.
        let path = fs::canonicalize(dir.path()).with_context(|| format!("resolving {}", dir.path().display()))?;
        Ok(Self { dir: Some(dir), path, mounts: RefCell::default() })
    }

    /// A path for a file inside; nothing is created.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a directory inside.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn subdir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// Mounts something at `at`, which is inside this directory; `args` come before the mount point, and relative paths in
    /// them start at this directory.
    ///
    /// # Errors
    /// Without root rights, or when mount fails.
    pub fn mount<S: AsRef<OsStr>>(&self, args: &[S], at: &Path) -> Result<()> {
        if !at.starts_with(&self.path) {
            bail!("mount point {} is outside the scratch directory", at.display());
        }
        enter_private_namespace()?;
        run(tools::MOUNT.command()?.args(args).arg(at).current_dir(&self.path))
            .with_context(|| format!("mounting on {}", at.display()))?;
        self.mounts.borrow_mut().push(at.to_owned());
        Ok(())
    }

    /// Takes down every mount at or below `at`, last one first.
    ///
    /// # Errors
    /// When something keeps a mount busy.
    pub fn unmount(&self, at: &Path) -> Result<()> {
        let mut mounts = self.mounts.borrow_mut();
        while let Some(position) = mounts.iter().rposition(|mount| mount.starts_with(at)) {
            // Not through `run`: this must also work after an interruption.
            let output = tools::UMOUNT.command()?.arg(&mounts[position]).output()?;
            if !output.status.success() {
                bail!("unmounting {}: {}", mounts[position].display(), String::from_utf8_lossy(&output.stderr).trim());
            }
            mounts.remove(position);
        }
        Ok(())
    }

    fn unmount_all(&self) -> Result<()> {
        for _ in 0..20 {
            if self.unmount(&self.path).is_ok() {
                break;
            }
            // A killed child may need a moment to leave the mount.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let table = fs::read_to_string("/proc/self/mountinfo").context("reading mountinfo")?;
        let mine = self.path.to_string_lossy();
        match table.lines().find(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with(&*mine))) {
            Some(line) => bail!("still mounted: {line}"),
            None => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        if let Err(error) = self.unmount_all() {
            let kept = dir.keep();
            eprintln!("warning: keeping {}: {error:#}", kept.display());
            return;
        }
        if let Err(error) = dir.close() {
            eprintln!("warning: removing scratch files: {error}");
        }
    }
}

fn enter_private_namespace() -> Result<()> {
    if PRIVATE.get() {
        return Ok(());
    }
    rdlive_sys::mounts::own().context(
        "making a private mount namespace (this build needs root: nested images, EROFS and --mode dracut mount things)",
    )?;
    PRIVATE.set(true);
    Ok(())
}

/// A result file that appears under its name only when it is complete.
#[derive(Debug)]
pub struct Partial {
    target: PathBuf,
    partial: PathBuf,
    complete: bool,
}

impl Partial {
    /// A file `TARGET.partial`, to be renamed to `target`.
    ///
    /// # Errors
    /// When `target` has no file name.
    pub fn new(target: &Path) -> Result<Self> {
        let mut name =
            target.file_name().with_context(|| format!("{} is not a file name", target.display()))?.to_owned();
        name.push(".partial");
        Ok(Self { target: target.to_owned(), partial: target.with_file_name(name), complete: false })
    }

    /// From its first byte on the file is for its owner alone, whatever the umask says.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn private(self) -> Result<Self> {
        // A file that an earlier build has left would keep its permissions.
        let _ = fs::remove_file(&self.partial);
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(&self.partial);
        made.with_context(|| format!("making {}", self.partial.display()))?;
        Ok(self)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the finished file its name.
    ///
    /// # Errors
    /// When the rename fails.
    pub fn finish(mut self) -> Result<()> {
        fs::rename(&self.partial, &self.target).with_context(|| format!("renaming to {}", self.target.display()))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.complete {
            // It may not exist yet.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_vanishes_and_a_finished_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.iso");
        let partial = Partial::new(&target).unwrap();
        fs::write(partial.path(), "x").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let partial = Partial::new(&target).unwrap();
        fs::write(partial.path(), "x").unwrap();
        partial.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn mounts_outside_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path()).unwrap();
        let text = scratch.mount(&["-t", "tmpfs", "none"], Path::new("/mnt")).unwrap_err().to_string();
        assert!(text.contains("outside"), "{text}");
    }
}
