//! The only recursive delete of the lab. It cannot leave the tree that it was given: it walks on descriptors, follows no
//! link, and enters neither another file system nor a mount point. Trees get the host's nodes mounted into them while they
//! are made; should such a mount ever be left, it is found here before anything behind it is lost.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// Which of what is found goes.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    /// What is no directory and whose name begins so.
    Files(&'a [u8]),
}

/// Removes a directory with all below it, or a single file; one that is not there is no error.
///
/// # Errors
/// A mount point or another file system in it, named by its path; what the mount shows is untouched.
pub fn tree(path: &Path) -> Result<()> {
    walk(path, Which::All)
}

/// Removes the files below a directory whose names begin with `start`, and links of that name.
///
/// # Errors
/// As those of [`tree`].
pub fn files(path: &Path, start: &str) -> Result<()> {
    walk(path, Which::Files(start.as_bytes()))
}

fn walk(path: &Path, which: Which<'_>) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().with_context(|| format!("{} has no name to remove", path.display()))?;
    let name = std::ffi::CString::new(name.as_bytes())?;
    let open = rustix::fs::openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let parent = match open {
        Err(Errno::NOENT) => return Ok(()),
        other => other.with_context(|| format!("opening {}", parent.display()))?,
    };
    match look(parent.as_fd(), &name) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
        Ok(root) => entry(parent.as_fd(), &name, device(&root), path, which),
    }
}

fn device(of: &Statx) -> (u32, u32) {
    (of.stx_dev_major, of.stx_dev_minor)
}

fn look(dir: BorrowedFd<'_>, name: &CStr) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)
}

/// A mount point is one on the same file system too: a bind mount has the device number of what it shows.
fn refuse_mounts(found: &Statx, root: (u32, u32), path: &Path) -> Result<()> {
    if !found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        bail!(
            "{}: this kernel does not say what is a mount point (Linux 5.8 does); nothing is removed",
            path.display()
        );
    }
    if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || device(found) != root {
        bail!("{} is a mount point: it is not removed, nor what it is in", path.display());
    }
    Ok(())
}

fn entry(dir: BorrowedFd<'_>, name: &CStr, root: (u32, u32), path: &Path, which: Which<'_>) -> Result<()> {
    let said = || format!("removing {}", path.display());
    let found = match look(dir, name) {
        // Somebody else removed it.
        Err(Errno::NOENT) => return Ok(()),
        other => other.with_context(said)?,
    };
    refuse_mounts(&found, root, path)?;
    if rustix::fs::FileType::from_raw_mode(found.stx_mode.into()) != rustix::fs::FileType::Directory {
        let goes = match which {
            Which::All => true,
            Which::Files(start) => name.to_bytes().starts_with(start),
        };
        return if goes { gone(rustix::fs::unlinkat(dir, name, AtFlags::empty())).with_context(said) } else { Ok(()) };
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.with_context(said)?,
    };
    // Asked again of what was opened: a mount may have come in between.
    let opened = rustix::fs::statx(&open, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).with_context(said)?;
    refuse_mounts(&opened, root, path)?;
    emptied(&open, root, path, which)?;
    match which {
        Which::All => gone(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)).with_context(said),
        Which::Files(_) => Ok(()),
    }
}

/// Two labs may clean up after the same dead run: what the other one has removed is removed.
fn gone(removed: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn emptied(dir: &OwnedFd, root: (u32, u32), path: &Path, which: Which<'_>) -> Result<()> {
    // All names first: what is deleted while one reads may hide others.
    let entries: Vec<_> = Dir::read_from(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name().to_owned())).collect())
        .with_context(|| format!("reading {}", path.display()))?;
    for name in entries.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let below: PathBuf = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        entry(dir.as_fd(), name, root, &below, which)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::mount::{MountFlags, mount, mount_bind};

    use super::*;

    fn sample() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        fs::create_dir(dir.path().join("host")).unwrap();
        fs::write(dir.path().join("host/null"), "the host's").unwrap();
        (dir, tree)
    }

    /// Mounts of this thread alone; `false`, with the reason, where it may not have any.
    fn own_mounts() -> bool {
        let can = rdlive_sys::mounts::own().is_ok();
        if !can {
            println!("skipped: no mount namespace for this user");
        }
        can
    }

    #[test]
    fn a_tree_goes_and_what_links_in_it_lead_to_stays() {
        let (dir, tree_path) = sample();
        symlink("../../host", tree_path.join("a/link")).unwrap();
        symlink("nowhere", tree_path.join("dangling")).unwrap();
        tree(&tree_path).unwrap();
        assert!(!tree_path.exists());
        assert!(dir.path().join("host/null").exists());
        tree(&tree_path).unwrap();
        tree(&tree_path.join("deeper")).unwrap();
    }

    #[test]
    fn of_files_only_those_that_were_named_go_and_none_behind_a_link() {
        let (dir, tree_path) = sample();
        let host = dir.path().join("host");
        for path in [tree_path.join("medium0"), tree_path.join("a/medium.cut"), host.join("medium.rs")] {
            fs::write(path, "").unwrap();
        }
        symlink(&host, tree_path.join("usr")).unwrap();
        symlink(dir.path(), tree_path.join("a/round")).unwrap();
        files(&tree_path, "medium").unwrap();
        assert!(host.join("medium.rs").exists() && tree_path.join("a/b/file").exists());
        assert!(!tree_path.join("medium0").exists() && !tree_path.join("a/medium.cut").exists());
    }

    #[test]
    fn two_may_remove_the_same() {
        for _ in 0..8 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("tree");
            for number in 0..300 {
                fs::create_dir_all(path.join(format!("{number}/deep"))).unwrap();
                fs::write(path.join(format!("{number}/deep/file")), "").unwrap();
            }
            std::thread::scope(|scope| {
                let both = [scope.spawn(|| tree(&path)), scope.spawn(|| tree(&path))];
                for one in both {
                    one.join().unwrap().unwrap();
                }
            });
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_link_is_removed_itself_when_it_is_what_was_named() {
        let (dir, tree_path) = sample();
        let link = dir.path().join("link");
        symlink(&tree_path, &link).unwrap();
        tree(&link).unwrap();
        assert!(link.symlink_metadata().is_err() && tree_path.join("a/b/file").exists());
    }

    #[test]
    fn a_bind_mount_of_the_same_file_system_is_not_entered() {
        let (dir, tree_path) = sample();
        let host = dir.path().join("host");
        let dev = tree_path.join("a/b/dev");
        fs::create_dir(&dev).unwrap();
        if !own_mounts() {
            return;
        }
        mount_bind(&host, &dev).unwrap();
        for named in [&tree_path, &dev] {
            let error = tree(named).unwrap_err().to_string();
            assert!(error.contains(dev.to_str().unwrap()), "{error}");
        }
        assert_eq!(fs::read_to_string(host.join("null")).unwrap(), "the host's");
        rustix::mount::unmount(&dev, rustix::mount::UnmountFlags::empty()).unwrap();
    }

    #[test]
    fn a_file_that_is_mounted_over_is_no_file_of_the_tree() {
        let (dir, tree_path) = sample();
        let (host, file) = (dir.path().join("host/null"), tree_path.join("a/b/file"));
        if !own_mounts() {
            return;
        }
        mount_bind(&host, &file).unwrap();
        assert!(tree(&tree_path).unwrap_err().to_string().contains(file.to_str().unwrap()));
        assert!(host.exists());
        rustix::mount::unmount(&file, rustix::mount::UnmountFlags::empty()).unwrap();
    }

    #[test]
    fn another_file_system_is_not_entered() {
        let (_dir, tree_path) = sample();
        let inside = tree_path.join("a/tmpfs");
        fs::create_dir(&inside).unwrap();
        if !own_mounts() {
            return;
        }
        mount("tmpfs", &inside, "tmpfs", MountFlags::empty(), None).unwrap();
        fs::write(inside.join("kept"), "").unwrap();
        assert!(tree(&tree_path).unwrap_err().to_string().contains(inside.to_str().unwrap()));
        assert!(inside.join("kept").exists());
        rustix::mount::unmount(&inside, rustix::mount::UnmountFlags::empty()).unwrap();
    }
}
