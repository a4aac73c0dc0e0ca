//! What must not be the same on every machine that boots the image, and what is only run-time state.
//!
//! Both lists are applied as a view on the tree: squashfs gets exclude patterns, the other kinds an overlay.

use std::fs;
use std::path::{Path, PathBuf};

use super::resolve;
use super::size::VOLATILE;

/// How the container differs from the input tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Directories that stay, but empty; relative to the root.
    pub emptied: Vec<PathBuf>,
    /// Files that are left out.
    pub removed: Vec<PathBuf>,
    /// Files that become empty.
    pub blanked: Vec<PathBuf>,
}

/// Seeds and keys of one machine, besides `/etc/machine-id`.
const SECRETS: [&str; 4] = [
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/urandom/random-seed",
];

/// Decides what is left out. With `keep_identity` only run-time state and package caches go.
pub fn edits(root: &Path, keep_identity: bool) -> Edits {
    let mut edits = Edits {
        emptied: VOLATILE.iter().map(PathBuf::from).filter(|dir| is_dir(&root.join(dir))).collect(),
        ..Edits::default()
    };
    edits.removed = matching(root, "var/cache/apt/archives", |name| name.ends_with(".deb"));
    if keep_identity {
        return edits;
    }
    edits.removed.extend(SECRETS.iter().map(PathBuf::from).filter(|path| is_file(&root.join(path))));
    edits.removed.extend(matching(root, "etc/ssh", |name| name.starts_with("ssh_host_") && name.contains("_key")));
    let id = PathBuf::from("etc/machine-id");
    // Empty and not absent: systemd then makes an id for this boot without treating it as a first boot.
    if is_file(&root.join(&id)) {
        edits.blanked.push(id);
    }
    edits
}

/// A remark on an fstab that wants to mount a root of its own; it stays as it is.
pub fn fstab_note(root: &Path) -> Option<String> {
    let path = resolve(root, Path::new("etc/fstab"))?;
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| {
        let mut fields = line.split_whitespace();
        let source = fields.next().unwrap_or_default();
        !source.starts_with('#') && fields.next() == Some("/")
    })?;
    let source = line.split_whitespace().next().unwrap_or_default();
    Some(format!("/etc/fstab names {source} for /; it is kept, and systemd may remount the live root with its options"))
}

fn matching(root: &Path, dir: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(dir)) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wanted(name))
        .map(|name| Path::new(dir).join(name))
        .collect();
    found.sort();
    found
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("etc/machine-id", "0123"),
            ("etc/ssh/ssh_host_rsa_key", "k"),
            ("etc/ssh/ssh_host_rsa_key.pub", "k"),
            ("etc/ssh/sshd_config", "c"),
            ("etc/fstab", "# a\nUUID=12 / ext4 defaults 0 1\n"),
            ("run/x", ""),
            ("var/cache/apt/archives/a.deb", ""),
            ("var/cache/apt/archives/lock", ""),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn b30_machine_identity_does_not_travel() {
        let dir = tree();
        let edits = edits(dir.path(), false);
        let expected = ["var/cache/apt/archives/a.deb", "etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub"];
        assert_eq!(edits.removed, expected.map(PathBuf::from));
        assert_eq!(edits.blanked, [PathBuf::from("etc/machine-id")]);
        assert_eq!(edits.emptied, [PathBuf::from("run")]);
    }

    #[test]
    fn identity_can_be_kept() {
        let dir = tree();
        let edits = edits(dir.path(), true);
        assert_eq!(edits.removed, [PathBuf::from("var/cache/apt/archives/a.deb")]);
        assert_eq!(edits.blanked, Vec::<PathBuf>::new());
    }

    #[test]
    fn an_fstab_with_a_root_is_mentioned() {
        let dir = tree();
        assert!(fstab_note(dir.path()).unwrap().contains("UUID=12"));
        fs::write(dir.path().join("etc/fstab"), "#UUID=1 / ext4\nproc /proc proc\n").unwrap();
        assert_eq!(fstab_note(dir.path()), None);
    }
}
