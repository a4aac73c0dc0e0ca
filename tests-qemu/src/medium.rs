//! Fixtures as values: what a medium consists of, from the whole disk down to the root tree. Made on first use, cached by content.

use std::path::PathBuf;

use anyhow::Result;

use crate::guest::Tree;
use crate::lab::Lab;
use crate::mode::{Mode, kernel_key};
use crate::{cache, fixture, packages, sources};

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

/// The partition table of a hybrid ISO (kiwi-live spec 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// GPT with the ISO and an EFI system partition.
    Gpt,
    /// As [`Table::Gpt`], with a second, active MBR entry.
    GptHybrid,
    /// MBR with the ISO and an EFI system partition.
    MbrEsp,
    /// MBR with the ISO alone.
    Mbr,
    /// GPT whose partitions do not begin where the ISO does: it is mounted from the whole disk.
    GptWhole,
    /// MBR whose first partition is of type Linux and begins at sector 0, with the ISO.
    MbrWhole,
    /// None at all: an ISO for CDs.
    None,
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
    /// An ext4 of a whole Debian tree with the initrds of a mode in its `/boot`, by the names that dracut looks for.
    WithInitrd(Box<Recipe>, Mode),
    /// Files (path → recipe) in a file system. The label may end in `@` and what sets the UUID: `YYYYMMDDhhmmsscc` for an
    /// ISO, the UUID itself for ext4.
    Folder { fs: Fs, label: String, files: Vec<(String, Recipe)> },
    /// An ISO with this label (and date, as in a folder) that is a disk too. It cannot start a machine by itself, but is made in a second.
    Hybrid { table: Table, label: &'static str, container: Box<Recipe> },
    /// A file system labelled `STORE` in the only partition of a disk, with files and this many MiB of room.
    Store { fs: Fs, files: Vec<(String, Recipe)>, room: u64 },
    /// A disk with a GPT and one partition.
    Partition(Box<Recipe>),
    /// A copy (`$1`) that a bash script (`-euo pipefail`) has changed.
    Changed(Box<Recipe>, String),
    /// The first `percent` of the bytes.
    Truncated(Box<Recipe>, u8),
    /// Padded with zeros by this many MiB: a medium written onto a larger disk.
    Grown(Box<Recipe>, u64),
    /// An ISO made by `rdlive-image build` with extra arguments, from a tree and what is laid over it.
    Built { tree: Tree, over: Over, args: Vec<String> },
    /// A stick with its own GRUB for BIOS, on FAT for UEFI too, and an ISO file at a path. `menu` is what GRUB does when it has found the
    /// stick.
    GrubStick { fs: Fs, iso: Box<Recipe>, path: &'static str, menu: &'static str },
}

/// What is laid over a tree before an ISO is built from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Over {
    /// Packages of Debian 13, over its tree alone.
    pub packages: &'static str,
    /// What a bash script (`-euo pipefail`) makes in the directory `$1`; `$2` is the tree, which stays as it is.
    pub script: &'static str,
    /// What a bash script does to the whole of it, which is at `$1` for this one build.
    pub whole: &'static str,
    /// The tiny tree's kernel keeps its drivers of network cards, and the initrd gets them.
    pub network: bool,
}

impl Recipe {
    /// Makes the file, or finds it in the cache.
    pub fn file(&self, lab: &Lab) -> Result<PathBuf> {
        let key = format!("fixture 3 {:x} {self:?} {}", sources::fixtures(), self.inputs(lab)?);
        lab.cache.file(self.name(), &self.what(), &key, |path| fixture::make(lab, self, path))
    }

    /// What tells the file from others of this recipe.
    fn identity(&self, lab: &Lab) -> Result<String> {
        match self {
            // All of them are alike.
            Self::Text(_) | Self::Zeros(_) => Ok(String::new()),
            _ => cache::identity(&self.file(lab)?),
        }
    }

    /// What a person reads while it is made.
    fn what(&self) -> String {
        let name = self.name();
        match self {
            Self::Image { tree, fs, .. } => format!("{fs:?} of the {} tree", tree.name()),
            Self::Built { tree, args, .. } => format!("ISO of the {} tree {}", tree.name(), args.join(" ")),
            Self::WithInitrd(inner, mode) => format!("{} with the initrd {mode:?}", inner.what()),
            Self::Folder { files, .. } | Self::Store { files, .. } => {
                let files: Vec<String> = files.iter().map(|(_, recipe)| recipe.what()).collect();
                format!("{name} with {}", files.join(", "))
            }
            Self::Hybrid { container: inner, .. }
            | Self::Partition(inner)
            | Self::Changed(inner, _)
            | Self::Truncated(inner, _)
            | Self::Grown(inner, _)
            | Self::GrubStick { iso: inner, .. } => format!("{name} with {}", inner.what()),
            Self::Text(_) | Self::Zeros(_) => name.to_owned(),
        }
    }

    /// Everything outside the recipe that decides its bytes.
    fn inputs(&self, lab: &Lab) -> Result<String> {
        Ok(match self {
            Self::Text(_) | Self::Zeros(_) => String::new(),
            Self::Image { tree, .. } => cache::identity(&tree.ensure(lab)?)?,
            Self::WithInitrd(inner, mode) => {
                let mut all = vec![inner.identity(lab)?];
                for initrd in mode.initrds(lab)? {
                    all.push(cache::identity(&initrd.path)?);
                }
                all.join(" ")
            }
            Self::Folder { files, .. } | Self::Store { files, .. } => {
                let all: Result<Vec<String>> = files.iter().map(|(_, recipe)| recipe.identity(lab)).collect();
                all?.join(" ")
            }
            Self::Hybrid { container: inner, .. }
            | Self::Partition(inner)
            | Self::Truncated(inner, _)
            | Self::Grown(inner, _)
            | Self::Changed(inner, _)
            | Self::GrubStick { iso: inner, .. } => inner.identity(lab)?,
            Self::Built { tree, over, .. } => {
                let built = &lab.built;
                let packages = match over.packages {
                    "" => String::new(),
                    packages => cache::identity(&packages::over_debian(lab, "packages", packages)?)?,
                };
                format!("{} {:x} {:x} {packages}", kernel_key(*tree, lab)?, built.agent.hash, built.builder.hash)
            }
        })
    }

    /// A driver that it takes and that not every kernel has.
    pub fn driver(&self) -> Option<&'static str> {
        let of = |fs: Fs| match fs {
            Fs::Exfat => Some("exFAT"),
            Fs::Ntfs => Some("NTFS"),
            _ => None,
        };
        match self {
            Self::Text(_) | Self::Zeros(_) | Self::Built { .. } => None,
            Self::Image { fs, .. } => of(*fs),
            Self::Folder { fs, files, .. } | Self::Store { fs, files, .. } => {
                of(*fs).or_else(|| files.iter().find_map(|(_, recipe)| recipe.driver()))
            }
            Self::GrubStick { fs, iso, .. } => of(*fs).or_else(|| iso.driver()),
            Self::Hybrid { container: inner, .. }
            | Self::WithInitrd(inner, _)
            | Self::Partition(inner)
            | Self::Truncated(inner, _)
            | Self::Grown(inner, _)
            | Self::Changed(inner, _) => inner.driver(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Zeros(_) => "zeros",
            Self::Image { .. } => "image",
            Self::WithInitrd(..) => "withinitrd",
            Self::Folder { fs: Fs::Iso, .. } => "iso",
            Self::Folder { .. } => "folder",
            Self::Hybrid { .. } => "hybrid",
            Self::Store { .. } => "store",
            Self::Partition(_) => "disk",
            Self::Changed(..) => "changed",
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

/// Volume id `ISO`, made by our builder. Its own initrd, which is never booted, has the fewest drivers.
pub fn built_iso() -> Recipe {
    Recipe::Built {
        tree: Tree::Tiny,
        over: Over::default(),
        args: ["--volume-id=ISO", "--profile=minimal"].map(str::to_owned).to_vec(),
    }
}

/// F2: as [`iso`], with an ext4 nested in the squashfs.
pub fn nested_iso() -> Recipe {
    iso_with("ISO", nested(Fs::Ext4))
}

/// An ISO with any volume id and container.
pub fn iso_with(volume_id: &str, container: Recipe) -> Recipe {
    folder(Fs::Iso, volume_id, vec![("LiveOS/squashfs.img", container)])
}

/// An ISO labelled `ISO` that is a disk too, on one with this many MiB behind it.
pub fn hybrid(table: Table, mib: u64) -> Recipe {
    hybrid_with(table, image(Fs::Squashfs("zstd")), mib)
}

/// As [`hybrid`], with any container.
pub fn hybrid_with(table: Table, container: Recipe, mib: u64) -> Recipe {
    let container = Box::new(container);
    Recipe::Grown(Box::new(Recipe::Hybrid { table, label: "ISO", container }), mib)
}

/// A disk with files and this many MiB of room on its only file system.
pub fn store(fs: Fs, files: Vec<(&str, Recipe)>, room: u64) -> Recipe {
    let files = files.into_iter().map(|(path, recipe)| (path.to_owned(), recipe)).collect();
    Recipe::Store { fs, files, room }
}

/// A medium that a bash script (`-euo pipefail`) has changed at `$1`.
pub fn changed(recipe: Recipe, script: &str) -> Recipe {
    Recipe::Changed(Box::new(recipe), script.to_owned())
}

/// F6: a disk with one partition of this file system that holds an ISO file.
pub fn disk_with_iso(fs: Fs, path: &str, iso: Recipe) -> Recipe {
    Recipe::Partition(Box::new(folder(fs, "STORE", vec![(path, iso)])))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn parts_that_are_made_again_make_what_holds_them_anew() {
        let dir = tempfile::tempdir().unwrap();
        let lab = || Lab::for_tests(dir.path());
        // With a random UUID.
        let part = folder(Fs::Ext4, "", vec![("a", Recipe::Text("a"))]);
        for whole in [
            Recipe::Grown(Box::new(part.clone()), 1),
            Recipe::Truncated(Box::new(Recipe::Grown(Box::new(part.clone()), 1)), 50),
            Recipe::Partition(Box::new(part.clone())),
            folder(Fs::Squashfs("zstd"), "", vec![("a/b", part.clone()), ("c", Recipe::Text("c"))]),
        ] {
            let first = lab();
            let (one, held) = (part.file(&first).unwrap(), whole.file(&first).unwrap());
            let bytes = fs::read(&one).unwrap();
            assert_eq!(whole.file(&first).unwrap(), held, "nothing has changed: {whole:?}");
            drop(first);
            assert_eq!(whole.file(&lab()).unwrap(), held, "nothing has changed: {whole:?}");
            // As when there was too much in the cache.
            fs::remove_file(one.with_extension("key")).unwrap();
            fs::remove_file(&one).unwrap();
            let other = lab();
            assert_ne!(whole.file(&other).unwrap(), held, "{whole:?}");
            assert_ne!(fs::read(part.file(&other).unwrap()).unwrap(), bytes);
        }
    }
}
