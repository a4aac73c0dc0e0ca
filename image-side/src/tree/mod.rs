//! The input: a directory with an installed operating system. Nothing here changes it.

pub mod identity;
pub mod kernel;
pub mod kernel_config;
pub mod machine;
pub mod os_release;
pub mod size;
pub mod view;

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Follows symbolic links of `path` as if `root` were `/`; the last component is followed too.
///
/// Returns `None` when something is missing or links run in a circle.
pub fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut left: Vec<PathBuf> = components(path);
    let mut inside = PathBuf::new();
    let mut hops = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            inside.pop();
            continue;
        }
        let next = inside.join(&part);
        let meta = fs::symlink_metadata(root.join(&next)).ok()?;
        if !meta.is_symlink() {
            inside = next;
            continue;
        }
        hops += 1;
        if hops > 40 {
            return None;
        }
        let target = fs::read_link(root.join(&next)).ok()?;
        if target.is_absolute() {
            inside = PathBuf::new();
        }
        left.extend(components(&target));
    }
    Some(root.join(inside))
}

/// Normal and parent components, last one first.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("usr/lib/modules")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/file"), "").unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/etc/file", root.join("absolute")).unwrap();
        symlink("../../../etc/file", root.join("usr/lib/above")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, expected) in [
            ("lib/modules", Some("usr/lib/modules")),
            ("/lib/modules", Some("usr/lib/modules")),
            ("absolute", Some("etc/file")),
            ("lib/above", Some("etc/file")),
            ("loop", None),
            ("nothing", None),
        ] {
            assert_eq!(resolve(root, Path::new(path)), expected.map(|path| root.join(path)), "{path}");
        }
    }
}
