//! How big the tree is: the base of every estimate.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::interrupt;

/// Size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSize {
    /// Bytes of file content; hard links once, holes not at all.
    pub bytes: u64,
    /// Bytes when every file is rounded up to 4 KiB blocks.
    pub block_bytes: u64,
    /// Number of inodes.
    pub inodes: u64,
}

impl TreeSize {
    /// The same without so many bytes of files.
    pub fn without(self, bytes: u64) -> Self {
        Self { bytes: self.bytes.saturating_sub(bytes), block_bytes: self.block_bytes.saturating_sub(bytes), ..self }
    }
}

/// Top directories whose content is run-time state and never part of an image.
pub const VOLATILE: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// Adds up the tree below `root`, without the content of the [`VOLATILE`] directories.
///
/// # Errors
/// When a directory cannot be read.
pub fn measure(root: &Path) -> Result<TreeSize> {
    let mut size = TreeSize::default();
    let mut seen = HashSet::new();
    walk(root, true, &mut seen, &mut size)?;
    Ok(size)
}

fn walk(dir: &Path, top: bool, seen: &mut HashSet<(u64, u64)>, size: &mut TreeSize) -> Result<()> {
    interrupt::check()?;
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).with_context(|| format!("examining {}", path.display()))?;
        if meta.nlink() > 1 && !meta.is_dir() && !seen.insert((meta.dev(), meta.ino())) {
            continue;
        }
        size.inodes += 1;
        if meta.is_dir() {
            let volatile = top && VOLATILE.iter().any(|name| entry.file_name() == *name);
            if !volatile {
                walk(&path, false, seen, size)?;
            }
        } else if meta.is_file() {
            let bytes = meta.len().min(meta.blocks() * 512);
            size.bytes += bytes;
            size.block_bytes += bytes.next_multiple_of(4096);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_links_count_once_and_run_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("run")).unwrap();
        fs::create_dir_all(root.join("usr/run")).unwrap();
        fs::write(root.join("run/big"), vec![1; 100_000]).unwrap();
        fs::write(root.join("usr/run/file"), vec![1; 5000]).unwrap();
        fs::hard_link(root.join("usr/run/file"), root.join("usr/link")).unwrap();
        let size = measure(root).unwrap();
        assert_eq!((size.bytes, size.block_bytes, size.inodes), (5000, 8192, 4));
    }
}
