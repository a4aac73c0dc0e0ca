//! A shell for the rescue prompt: a busybox that needs no libraries.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::elf::{Linkage, linkage};
use crate::tree::resolve;

/// A static busybox of the tree, else of this machine.
///
/// # Errors
/// When there is none; the text names the packages.
pub fn find(root: &Path) -> Result<PathBuf> {
    let places = ["usr/bin/busybox", "bin/busybox", "usr/sbin/busybox", "sbin/busybox"];
    let of = |root: &Path| {
        places.iter().filter_map(|path| resolve(root, Path::new(path))).find(|path| linkage(path) == Linkage::Static)
    };
    match of(root).or_else(|| of(Path::new("/"))) {
        Some(path) => Ok(path),
        None => bail!(
            "--shell needs a static busybox in {} or on this machine (Debian package busybox-static, Fedora package busybox)",
            root.display()
        ),
    }
}
