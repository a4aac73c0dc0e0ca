//! Directories that belong to one run, and what runs that ended early have left of them.
//!
//! Beside a directory `PREFIX` + run lies `PREFIX` + run + `.lock`, which the run holds (flock) from before the directory
//! exists until after it is gone. Process numbers could not tell: each run has a PID namespace of its own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};

use crate::lock::Lock;
use crate::remove;

/// The time, as part of a name that nobody else has.
pub fn nanoseconds() -> u128 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos()
}

/// The directory of a live run; removed when dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock_file: PathBuf,
    _lock: Lock,
}

impl RunDir {
    /// Makes one in `parent`, readable for its owner alone.
    pub fn make(parent: &Path, prefix: &str) -> Result<Self> {
        for _ in 0..8 {
            let name = format!("{prefix}{:x}", nanoseconds());
            // Locked under another name first: as soon as others look at it, it is held.
            let (new, lock_file) = (parent.join(format!(".{name}.new")), parent.join(format!("{name}.lock")));
            let Some(lock) = Lock::now(&new)? else { continue };
            if fs::hard_link(&new, &lock_file).is_err() {
                let _ = fs::remove_file(&new);
                continue;
            }
            let _ = fs::remove_file(&new);
            let path = parent.join(name);
            fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("making {}", path.display()))?;
            return Ok(Self { path, lock_file, _lock: lock });
        }
        bail!("no directory for this run can be made in {}", parent.display());
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if let Err(error) = remove::tree(&self.path) {
            eprintln!("lab: {error:#}");
        }
        let _ = fs::remove_file(&self.lock_file);
    }
}

/// What is in `parent`: directories of live runs, and how many of dead ones were removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Live runs.
    pub live: Vec<PathBuf>,
    /// Dead runs, whose directories are gone now.
    pub removed: usize,
}

/// Removes what dead runs of this user left in `parent`.
///
/// # Errors
/// A directory that cannot be removed, because something is mounted in it.
pub fn sweep(parent: &Path, prefix: &str) -> Result<Found> {
    let mut found = Found::default();
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).with_context(|| format!("reading {}", parent.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Others have files whose names begin so, too.
        let begin = name.strip_prefix('.').unwrap_or(&name);
        if !begin.strip_prefix(prefix).is_some_and(is_run) {
            continue;
        }
        // What is gone meanwhile went with its lock.
        if !entry.metadata().is_ok_and(|metadata| metadata.uid() == own) {
            continue;
        }
        if name.starts_with(&format!(".{prefix}")) && name.ends_with(".new") {
            if let Ok(Some(_lock)) = Lock::now(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        } else if let Some(run) = name.strip_suffix(".lock").filter(|run| run.starts_with(prefix)) {
            let dir = parent.join(run);
            match Lock::now(&entry.path())? {
                None => found.live.push(dir),
                Some(_lock) => {
                    found.removed += usize::from(dir.exists());
                    remove::tree(&dir)?;
                    let _ = fs::remove_file(entry.path());
                }
            }
        } else if name.starts_with(prefix) && !parent.join(format!("{name}.lock")).exists() {
            found.removed += 1;
            remove::tree(&entry.path())?;
        }
    }
    Ok(found)
}

/// Whether a name goes on as those that [`RunDir::make`] gives, or that the cache gives to what it has put aside.
fn is_run(rest: &str) -> bool {
    let number = rest.split('.').next().unwrap_or_default();
    let number = number.strip_prefix("old-").unwrap_or(number);
    // Nanoseconds since 1970.
    (12..=20).contains(&number.len()) && u128::from_str_radix(number, 16).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_run_keeps_its_directory_and_a_dead_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let live = RunDir::make(dir.path(), "run-").unwrap();
        fs::write(live.path().join("file"), "").unwrap();
        fs::create_dir_all(dir.path().join("run-18ec7491896a4b0e/deep")).unwrap();
        fs::write(dir.path().join("run-18ec7491896a4b0e.lock"), "").unwrap();
        fs::write(dir.path().join(".run-18ec7491896a4b0f.new"), "").unwrap();
        for name in ["run-18ec7491896a4b0d", "run-old-18ec7491896a4b0c", "run-notes", "run-18ec"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["another", "run-list.txt", "run-.iso"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let expected = Found { live: vec![live.path().to_owned()], removed: 3 };
        assert_eq!(sweep(dir.path(), "run-").unwrap(), expected);
        assert!(live.path().join("file").exists());
        drop(live);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["another", "run-.iso", "run-18ec", "run-list.txt", "run-notes"]);
    }
}
