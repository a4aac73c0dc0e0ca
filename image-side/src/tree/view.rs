//! A writable view of the input tree: an overlay whose upper directory is scratch. The input itself never changes.

use std::ffi::{CStr, CString};
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

use super::identity::Edits;
use crate::scratch::Scratch;

/// Mounts an overlay over `root` at the scratch directory `NAME/merged` and returns its path.
///
/// # Errors
/// Without root rights, or when the scratch file system cannot hold an overlay.
pub fn mount(scratch: &Scratch, root: &Path, name: &str) -> Result<PathBuf> {
    let lower = scratch.subdir(&format!("{name}/lower"))?;
    let upper = scratch.subdir(&format!("{name}/upper"))?;
    scratch.subdir(&format!("{name}/work"))?;
    let merged = scratch.subdir(&format!("{name}/merged"))?;
    // A bind mount and relative names: the input's path may hold the commas and colons that separate options.
    let root = fs::canonicalize(root).with_context(|| format!("resolving {}", root.display()))?;
    as_below(&root, &upper)?;
    scratch.mount(&["--bind".as_ref(), root.as_os_str()], &lower)?;
    let options = format!("lowerdir={name}/lower,upperdir={name}/upper,workdir={name}/work");
    scratch.mount(&["-t", "overlay", "overlay", "-o", &options], &merged).context(
        "the scratch directory must be on a file system that overlayfs can write to, such as ext4, xfs or tmpfs",
    )?;
    Ok(merged)
}

/// The root of an overlay is its upper directory in mode, owner, time and extended attributes: without the label of a tree's root no system
/// that enforces SELinux starts (field.md K).
fn as_below(root: &Path, upper: &Path) -> Result<()> {
    let whose = |path: &Path| path.display().to_string();
    let meta = fs::metadata(root).with_context(|| whose(root))?;
    for name in attributes(root).with_context(|| format!("attributes of {}", root.display()))? {
        let mut value = vec![0; XATTR_SIZE_MAX];
        let length = lgetxattr(root, &name, &mut value).with_context(|| whose(root))?;
        match lsetxattr(upper, &name, &value[..length], XattrFlags::empty()) {
            // Notes of users on the root of a tree, where the scratch directory cannot hold them, and sums that the kernel makes itself.
            Err(Errno::OPNOTSUPP | Errno::PERM) if !is_needed(&name) => {}
            set => set.with_context(|| format!("{} of {}", name.to_string_lossy(), upper.display()))?,
        }
    }
    std::os::unix::fs::chown(upper, Some(meta.uid()), Some(meta.gid())).with_context(|| whose(upper))?;
    fs::set_permissions(upper, meta.permissions()).with_context(|| whose(upper))?;
    let times = FileTimes::new().set_modified(meta.modified()?);
    File::open(upper).and_then(|dir| dir.set_times(times)).with_context(|| format!("the time of {}", upper.display()))
}

/// Whether a system can be told from one without the attribute: its label, rights and access lists.
fn is_needed(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"system.")
        || name.starts_with(b"security.") && ![&b"security.ima"[..], b"security.evm"].contains(&name)
}

/// The longest value of an extended attribute (xattr(7)).
const XATTR_SIZE_MAX: usize = 64 << 10;

/// The names of a directory's attributes but for overlayfs' own, which mean nothing on another one.
fn attributes(dir: &Path) -> Result<Vec<CString>> {
    let mut names = vec![0; XATTR_SIZE_MAX];
    let length = match llistxattr(dir, &mut names) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let own = |name: &&[u8]| {
        !name.is_empty() && !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay.")
    };
    let names = names[..length].split(|byte| *byte == 0).filter(own).map(CString::new);
    Ok(names.collect::<Result<_, _>>()?)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn labels_rights_and_access_lists_are_needed() {
        for (name, needed) in [
            (c"security.selinux", true),
            (c"security.capability", true),
            (c"system.posix_acl_default", true),
            (c"security.evm", false),
            (c"user.note", false),
            (c"trusted.note", false),
        ] {
            assert_eq!(is_needed(name), needed, "{name:?}");
        }
    }

    #[test]
    fn the_root_of_a_view_is_the_root_of_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let [root, upper] = ["root", "upper"].map(|name| dir.path().join(name));
        [&root, &upper].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        let label = b"system_u:object_r:root_t:s0";
        for (name, value) in [("security.selinux", &label[..]), ("user.note", b"x"), ("user.overlay.opaque", b"y")] {
            lsetxattr(&root, name, value, XattrFlags::empty()).unwrap();
        }
        std::os::unix::fs::chown(&root, Some(12), Some(34)).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o2751)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(&root).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        as_below(&root, &upper).unwrap();
        let meta = fs::metadata(&upper).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (12, 34, 0o2751));
        assert_eq!(meta.modified().unwrap(), time);
        let mut value = [0; 64];
        let length = lgetxattr(&upper, "security.selinux", &mut value[..]).unwrap();
        assert_eq!(&value[..length], label);
        assert_eq!(lgetxattr(&upper, "user.note", &mut value[..]), Ok(1));
        assert_eq!(lgetxattr(&upper, "user.overlay.opaque", &mut value[..]), Err(Errno::NODATA));
    }
}
