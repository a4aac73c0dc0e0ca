//! A writable view of the input tree: an overlay whose upper directory is scratch. The input itself never changes.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::identity::Edits;
use crate::scratch::Scratch;

/// Mounts an overlay over `root` at the scratch directory `NAME/merged` and returns its path.
///
/// # Errors
/// Without root rights, or when the scratch file system cannot hold an overlay.
pub fn mount(scratch: &Scratch, root: &Path, name: &str) -> Result<PathBuf> {
    let lower = scratch.subdir(&format!("{name}/lower"))?;
    scratch.subdir(&format!("{name}/upper"))?;
    scratch.subdir(&format!("{name}/work"))?;
    let merged = scratch.subdir(&format!("{name}/merged"))?;
    // A bind mount and relative names: the input's path may hold the commas and colons that separate options.
    let root = fs::canonicalize(root).with_context(|| format!("resolving {}", root.display()))?;
    scratch.mount(&["--bind".as_ref(), root.as_os_str()], &lower)?;
    let options = format!("lowerdir={name}/lower,upperdir={name}/upper,workdir={name}/work");
    scratch.mount(&["-t", "overlay", "overlay", "-o", &options], &merged).context(
        "the scratch directory must be on a file system that overlayfs can write to, such as ext4, xfs or tmpfs",
    )?;
    Ok(merged)
}

/// Carries out `edits` in a view.
///
/// # Errors
/// When a file cannot be changed.
pub fn apply(view: &Path, edits: &Edits) -> Result<()> {
    for dir in &edits.emptied {
        let dir = view.join(dir);
        keeping_time(&dir, || empty(&dir))?;
    }
    for path in &edits.removed {
        let path = view.join(path);
        let parent = path.parent().unwrap_or(view);
        keeping_time(parent, || fs::remove_file(&path).with_context(|| format!("removing {}", path.display())))?;
    }
    for replaced in &edits.replaced {
        let path = view.join(&replaced.path);
        keeping_time(&path, || {
            fs::write(&path, &replaced.content).with_context(|| format!("changing {}", path.display()))
        })?;
    }
    Ok(())
}

fn empty(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        let removed = if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// The modification time of what stays must be the input's.
fn keeping_time(path: &Path, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let time = fs::metadata(path).and_then(|meta| meta.modified()).with_context(|| path.display().to_string())?;
    change()?;
    File::open(path)
        .and_then(|file| file.set_times(FileTimes::new().set_modified(time)))
        .with_context(|| format!("setting the time of {}", path.display()))
}
