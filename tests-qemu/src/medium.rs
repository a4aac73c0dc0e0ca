//! Fixtures as values: what a medium consists of, from the whole disk down to the root tree. Made on first use, cached by content.

use std::path::PathBuf;

use anyhow::Result;

use crate::fixture;
use crate::guest::{self, Tree};
use crate::lab::Lab;
use crate::mode::kernel_key;

/// A file system or archive that can hold files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    /// ISO 9660 with Rock Ridge.
    Iso,
    /// squashfs with this compressor (`-comp`), or `none`.
    Squashfs(&'static str),
    /// EROFS with lz4.
    Erofs,
    /// ext4.
    Ext4,
    /// XFS (at least 300 MiB).
    Xfs,
    /// btrfs (at least 110 MiB).
    Btrfs,
    /// FAT32.
    Vfat,
    /// exFAT.
    Exfat,
    /// NTFS.
    Ntfs,
}

/// How to make one file of a fixture; recipes nest as the layers of a live medium do.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// Literal bytes.
    Text(&'static str),
    /// This many MiB of zeros.
    Zeros(u64),
    /// A whole root tree in a file system.
    Image { tree: Tree, fs: Fs, marker: &'static str, label: &'static str },
    /// Files (path → recipe) in a file system. The label may end in `@` and what sets the UUID: `YYYYMMDDhhmmsscc` for an
    /// ISO, the UUID itself for ext4.
    Folder { fs: Fs, label: String, files: Vec<(String, Recipe)> },
    /// A disk with a GPT and one partition.
    Partition(Box<Recipe>),
    /// The first `percent` of the bytes.
    Truncated(Box<Recipe>, u8),
    /// Padded with zeros by this many MiB: a medium written onto a larger disk.
    Grown(Box<Recipe>, u64),
    /// An ISO made by `rdlive-image build` with extra arguments.
    Built { tree: Tree, args: Vec<String> },
    /// A stick with its own GRUB that starts an ISO file on itself through loopback.cfg.
    GrubStick { fs: Fs, iso: Box<Recipe>, path: &'static str },
}

impl Recipe {
    /// Makes the file, or finds it in the cache.
    pub fn file(&self, lab: &Lab) -> Result<PathBuf> {
        let key = format!("fixture 2 {self:?} {}", self.inputs(lab)?);
        lab.cache.file(self.name(), &key, |path| fixture::make(lab, self, path))
    }

    /// Everything outside the recipe that decides its bytes.
    fn inputs(&self, lab: &Lab) -> Result<String> {
        Ok(match self {
            Self::Text(_) | Self::Zeros(_) => String::new(),
            Self::Image { tree, .. } => format!("{:x}", guest::key(*tree, lab)),
            Self::Folder { files, .. } => {
                let keys: Result<Vec<String>> = files.iter().map(|(_, recipe)| recipe.inputs(lab)).collect();
                keys?.join(" ")
            }
            Self::Partition(inner) | Self::Truncated(inner, _) | Self::Grown(inner, _) => inner.inputs(lab)?,
            Self::GrubStick { iso, .. } => iso.inputs(lab)?,
            Self::Built { tree, .. } => {
                let built = &lab.built;
                format!("{:x} {:x} {:x}", kernel_key(*tree, lab)?, built.agent.hash, built.builder.hash)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Zeros(_) => "zeros",
            Self::Image { .. } => "image",
            Self::Folder { fs: Fs::Iso, .. } => "iso",
            Self::Folder { .. } => "folder",
            Self::Partition(_) => "disk",
            Self::Truncated(..) => "truncated",
            Self::Grown(..) => "grown",
            Self::Built { .. } => "built",
            Self::GrubStick { .. } => "grubstick",
        }
    }
}

/// The tiny tree in a file system, as an image file.
pub fn image(fs: Fs) -> Recipe {
    Recipe::Image { tree: Tree::Tiny, fs, marker: "tiny", label: "" }
}

/// F7 of dracut-live spec 7: the tiny tree in a labelled file system.
pub fn labelled(fs: Fs, label: &'static str) -> Recipe {
    Recipe::Image { tree: Tree::Tiny, fs, marker: "tiny", label }
}

/// Files in a file system.
pub fn folder(fs: Fs, label: &str, files: Vec<(&str, Recipe)>) -> Recipe {
    let files = files.into_iter().map(|(path, recipe)| (path.to_owned(), recipe)).collect();
    Recipe::Folder { fs, label: label.to_owned(), files }
}

/// A container with a nested root image (`LiveOS/rootfs.img` in a squashfs).
pub fn nested(fs: Fs) -> Recipe {
    folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image(fs))])
}

/// F3 of dracut-live spec 7: volume id `ISO`, `LiveOS/squashfs.img` is a squashfs of the root.
pub fn iso() -> Recipe {
    iso_with("ISO", image(Fs::Squashfs("zstd")))
}

/// F2: as [`iso`], with an ext4 nested in the squashfs.
pub fn nested_iso() -> Recipe {
    iso_with("ISO", nested(Fs::Ext4))
}

/// An ISO with any volume id and container.
pub fn iso_with(volume_id: &str, container: Recipe) -> Recipe {
    folder(Fs::Iso, volume_id, vec![("LiveOS/squashfs.img", container)])
}

/// F6: a disk with one partition of this file system that holds an ISO file.
pub fn disk_with_iso(fs: Fs, path: &str, iso: Recipe) -> Recipe {
    Recipe::Partition(Box::new(folder(fs, "STORE", vec![(path, iso)])))
}
