//! Programs that make and check persistent areas, from the tree, with the libraries and the loader they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use goblin::elf::Elf;

use super::Archive;
use crate::tree::resolve;

/// A file system that a persistent area can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AreaFs {
    /// ext4, with e2fsck.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl AreaFs {
    /// The programs, and the package that has each.
    const fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ext4 => &[("mkfs.ext4", "e2fsprogs"), ("e2fsck", "e2fsprogs")],
            Self::Xfs => &[("mkfs.xfs", "xfsprogs")],
            Self::Btrfs => &[("mkfs.btrfs", "btrfs-progs")],
        }
    }
}

const PROGRAMS: [&str; 4] = ["usr/sbin", "sbin", "usr/bin", "bin"];
/// Where the loaders of the distributions look without a cache, beside what a program says itself.
const LIBRARIES: [&str; 8] = [
    "usr/lib64",
    "lib64",
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib",
    "lib",
];

/// Opens and makes encrypted areas.
const CRYPTSETUP: (&str, &str) = ("cryptsetup", "cryptsetup (on Debian cryptsetup-bin)");
/// libargon2 ends its threads with this library, and loads it only then.
const GCC: &str = "libgcc_s.so.1";

/// Adds the programs of `kinds`, with `encryption` cryptsetup, too, and what each of them needs to start.
///
/// # Errors
/// A program or library that the tree does not have; the text names the package.
pub(super) fn add(root: &Path, kinds: &[AreaFs], encryption: bool, archive: &mut Archive) -> Result<()> {
    let mut libraries = BTreeSet::new();
    // An encrypted area needs a file system inside.
    let kinds = if encryption && kinds.is_empty() { &[AreaFs::Ext4] } else { kinds };
    let programs = kinds.iter().flat_map(|kind| kind.programs()).map(|program| ("--persistence", program));
    for (option, (name, package)) in programs.chain(encryption.then_some(("--encryption", &CRYPTSETUP))) {
        let found = PROGRAMS.iter().find_map(|dir| resolve(root, &Path::new(dir).join(name)));
        let Some(path) = found else {
            bail!("{option} needs {name}: install {package} into {}", root.display());
        };
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        needed(root, &path, &content, &mut libraries)?;
        archive.file(&format!("usr/sbin/{name}"), 0o755, content);
    }
    // mke2fs takes its features from here; a kernel of the same tree knows them all.
    if kinds.contains(&AreaFs::Ext4)
        && let Some(conf) = resolve(root, Path::new("etc/mke2fs.conf"))
    {
        archive.file("etc/mke2fs.conf", 0o644, fs::read(conf).context("reading etc/mke2fs.conf")?);
    }
    if encryption && let Some(gcc) = place(root, GCC) {
        libraries.insert(gcc);
    }
    for inside in libraries {
        let path = resolve(root, &inside).with_context(|| format!("{} has gone", inside.display()))?;
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        archive.file(&inside.to_string_lossy(), 0o755, content);
    }
    Ok(())
}

/// Collects the loader and all libraries below a program, as paths inside the tree.
fn needed(root: &Path, path: &Path, content: &[u8], found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let elf = Elf::parse(content).with_context(|| format!("{} is no program", path.display()))?;
    if let Some(loader) = elf.interpreter {
        let inside = PathBuf::from(loader.trim_start_matches('/'));
        if resolve(root, &inside).is_none() {
            bail!("{} needs {loader}, which the tree does not have", path.display());
        }
        found.insert(inside);
    }
    let own: Vec<String> = elf.runpaths.iter().chain(&elf.rpaths).flat_map(|list| list.split(':')).map(clean).collect();
    for name in &elf.libraries {
        let places = own.iter().map(String::as_str).chain(LIBRARIES);
        let inside = places.map(|dir| Path::new(dir).join(name)).find(|inside| resolve(root, inside).is_some());
        let Some(inside) = inside else {
            bail!("{} needs {name}, which the tree does not have", path.display());
        };
        let known = found.iter().any(|other| other.file_name() == inside.file_name());
        if known || !found.insert(inside.clone()) {
            continue;
        }
        let Some(library) = resolve(root, &inside) else { continue };
        let bytes = fs::read(&library).with_context(|| format!("reading {}", library.display()))?;
        needed(root, &library, &bytes, found)?;
    }
    Ok(())
}

/// Where the loader finds a library.
fn place(root: &Path, name: &str) -> Option<PathBuf> {
    LIBRARIES.iter().map(|dir| Path::new(dir).join(name)).find(|inside| resolve(root, inside).is_some())
}

/// A directory of a run path below the tree; `$ORIGIN` is not used by programs in system directories.
fn clean(dir: &str) -> String {
    dir.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_come_with_all_they_need() {
        let mut archive = Archive::default();
        // This machine as the tree: the lab needs its mkfs.ext4 anyhow.
        add(Path::new("/"), &[AreaFs::Ext4], false, &mut archive).unwrap();
        let mut packed = Vec::new();
        archive.write(&mut packed, 0).unwrap();
        let has = |name: &str| packed.windows(name.len()).any(|window| window == name.as_bytes());
        for name in ["usr/sbin/mkfs.ext4", "usr/sbin/e2fsck", "libext2fs.so.2", "libc.so.6", "lib64/ld-linux"] {
            assert!(has(name), "{name}");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let error = add(dir.path(), &[AreaFs::Xfs], false, &mut Archive::default()).unwrap_err().to_string();
        assert!(error.contains("mkfs.xfs") && error.contains("xfsprogs"), "{error}");
        // This machine has the programs of ext4, and in an empty tree the first one is missed.
        let error = add(dir.path(), &[], true, &mut Archive::default()).unwrap_err().to_string();
        assert!(error.contains("mkfs.ext4"), "{error}");
        let (name, package) = CRYPTSETUP;
        assert!(name == "cryptsetup" && package.contains("cryptsetup-bin"));
    }
}
