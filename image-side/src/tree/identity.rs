//! What must not be the same on every machine that boots the image, and what is only run-time state.
//!
//! Both lists are applied as a view on the tree: squashfs gets exclude patterns, the other kinds an overlay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::machine::{self, Replaced};
use super::size::VOLATILE;

/// How the container differs from the input tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Directories that stay, but empty; relative to the root.
    pub emptied: Vec<PathBuf>,
    /// Files that are left out.
    pub removed: Vec<PathBuf>,
    /// Files that get other content.
    pub replaced: Vec<Replaced>,
    /// What a person may want to know of that.
    pub notes: Vec<String>,
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
    let left = machine::of_tree(root);
    if keep_identity {
        let kept =
            left.notes.iter().map(|note| format!("kept, and a live boot on another machine may wait for it: {note}"));
        edits.notes = kept.collect();
        return edits;
    }
    edits.removed.extend(SECRETS.iter().map(PathBuf::from).filter(|path| is_file(&root.join(path))));
    edits.removed.extend(matching(root, "etc/ssh", |name| name.starts_with("ssh_host_") && name.contains("_key")));
    let known: Vec<PathBuf> = left.removed.into_iter().filter(|path| !edits.removed.contains(path)).collect();
    edits.removed.extend(known);
    let id = PathBuf::from("etc/machine-id");
    // Empty and not absent: systemd then makes an id for this boot without treating it as a first boot.
    if is_file(&root.join(&id)) {
        edits.replaced.push(Replaced { path: id, content: Vec::new() });
    }
    edits.replaced.extend(left.replaced);
    let noted = left
        .notes
        .iter()
        .map(|note| format!("left out, as it is of another machine (--keep-identity keeps it): {note}"));
    edits.notes = noted.collect();
    edits
}

impl Edits {
    /// Bytes of the tree that are left out, each file as far as it takes room.
    pub fn bytes(&self, root: &Path) -> u64 {
        let size = |path: &PathBuf| {
            fs::symlink_metadata(root.join(path)).map_or(0, |meta| meta.len().min(meta.blocks() * 512))
        };
        self.removed.iter().map(size).sum()
    }

    /// Whether a file that gets other content has labels or other extended attributes, which must stay.
    pub fn have_attributes(&self, root: &Path) -> bool {
        let any = |replaced: &Replaced| {
            rustix::fs::llistxattr_query(root.join(&replaced.path)).is_ok_and(|length| length > 0)
        };
        self.replaced.iter().any(any)
    }
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
        let replaced = |path: &str, content: &str| Replaced { path: path.into(), content: content.into() };
        assert_eq!(edits.replaced, [replaced("etc/machine-id", ""), replaced("etc/fstab", "# a\n")]);
        assert!(edits.notes[0].contains("/etc/fstab: / (UUID=12)"), "{:?}", edits.notes);
        assert_eq!(edits.emptied, [PathBuf::from("run")]);
    }

    #[test]
    fn identity_can_be_kept() {
        let dir = tree();
        let edits = edits(dir.path(), true);
        assert_eq!(edits.removed, [PathBuf::from("var/cache/apt/archives/a.deb")]);
        assert_eq!(edits.replaced, Vec::<Replaced>::new());
        assert!(edits.notes[0].starts_with("kept") && edits.notes[0].contains("/ (UUID=12)"), "{:?}", edits.notes);
    }
}
