//! The container: the file on the medium that holds the root file system.

mod erofs;
pub mod nested;
mod squashfs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rdlive_media::layout;

pub use self::nested::Nested;
use crate::epoch::Epoch;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::tools::{self, Tool};
use crate::tree::identity::Edits;
use crate::tree::kernel_config::KernelConfig;
use crate::tree::size::TreeSize;
use crate::tree::view;

/// How the container is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Best choice for most media: nearly as small as xz, several times faster to read.
    Zstd,
    /// For very old kernels.
    Gzip,
    /// Smallest, slow to read.
    Xz,
    /// Fast to read, bigger.
    Lzo,
    /// Fastest to read, bigger.
    Lz4,
    /// Not at all.
    Uncompressed,
}

impl Compression {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
            Self::Uncompressed => "uncompressed",
        }
    }

    /// Parts in a hundred that a tree may keep when compressed: a pessimistic guess for the space check, not a promise.
    fn percent_kept(self) -> u64 {
        match self {
            Self::Zstd | Self::Xz | Self::Gzip => 55,
            Self::Lzo | Self::Lz4 => 70,
            Self::Uncompressed => 102,
        }
    }
}

/// The container's own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
}

impl Format {
    /// The name as `blkid` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
        }
    }
}

/// Everything that decides how the container is made.
#[derive(Clone, Debug)]
pub struct ContainerPlan {
    /// The input tree.
    pub root: PathBuf,
    /// squashfs or EROFS.
    pub format: Format,
    /// Compressor.
    pub compression: Compression,
    /// Level, if the operator chose one.
    pub level: Option<u32>,
    /// Put the tree into an image of this file system first.
    pub nested: Option<Nested>,
    /// Directory of the live image, also inside the container.
    pub live_dir: String,
    /// What is left out.
    pub edits: Edits,
    /// Size of the tree.
    pub size: TreeSize,
    /// The build's time.
    pub epoch: Epoch,
}

impl ContainerPlan {
    /// Estimated size of the container in bytes.
    pub fn estimate(&self) -> u64 {
        // Inodes and directories take about 64 bytes each after compression.
        (self.size.bytes / 100).saturating_mul(self.compression.percent_kept()) + self.size.inodes * 64 + (1 << 20)
    }

    /// Estimated bytes of disk that a nested image takes while the container is made.
    pub fn nested_estimate(&self) -> u64 {
        match self.nested {
            Some(_) => self.size.block_bytes + self.size.inodes * 512 + (16 << 20),
            None => 0,
        }
    }

    /// Programs that [`ContainerPlan::make`] runs.
    pub fn tools(&self) -> Vec<Tool> {
        let mut tools = vec![match self.format {
            Format::Squashfs => tools::MKSQUASHFS,
            Format::Erofs => tools::MKFS_EROFS,
        }];
        if self.needs_view() {
            tools.extend([tools::MOUNT, tools::UMOUNT]);
        }
        tools.extend(self.nested.map(Nested::tools).unwrap_or_default());
        tools
    }

    fn needs_view(&self) -> bool {
        // mksquashfs would make a file with other content without the labels that it has. Who is not root cannot have a view.
        let labels = || rustix::process::geteuid().is_root() && self.edits.have_attributes(&self.root);
        self.nested.is_some() || self.format == Format::Erofs || labels()
    }

    /// Refuses what the installed programs cannot make or the kernel cannot read.
    ///
    /// # Errors
    /// Names the compressor, and the program or the kernel option.
    pub fn check(&self, kernel: &str, config: Option<&KernelConfig>) -> Result<()> {
        match self.format {
            Format::Erofs => erofs::check(self.compression)?,
            Format::Squashfs => squashfs::check(self.compression, self.level)?,
        }
        let lacking = config.map(|config| config.lacks(&self.kernel_options())).unwrap_or_default();
        if !lacking.is_empty() {
            bail!(
                "kernel {kernel} is built without {}: it could not read this container; choose another --compression",
                lacking.join(" and ")
            );
        }
        Ok(())
    }

    /// Kernel options without which the container cannot be read.
    fn kernel_options(&self) -> Vec<&'static str> {
        match (self.format, self.compression) {
            (Format::Squashfs, Compression::Zstd) => vec!["CONFIG_SQUASHFS", "CONFIG_SQUASHFS_ZSTD"],
            (Format::Squashfs, Compression::Gzip) => vec!["CONFIG_SQUASHFS", "CONFIG_SQUASHFS_ZLIB"],
            (Format::Squashfs, Compression::Xz) => vec!["CONFIG_SQUASHFS", "CONFIG_SQUASHFS_XZ"],
            (Format::Squashfs, Compression::Lzo) => vec!["CONFIG_SQUASHFS", "CONFIG_SQUASHFS_LZO"],
            (Format::Squashfs, Compression::Lz4) => vec!["CONFIG_SQUASHFS", "CONFIG_SQUASHFS_LZ4"],
            (Format::Squashfs, Compression::Uncompressed) => vec!["CONFIG_SQUASHFS"],
            (Format::Erofs, Compression::Zstd) => vec!["CONFIG_EROFS_FS", "CONFIG_EROFS_FS_ZIP_ZSTD"],
            (Format::Erofs, Compression::Xz) => vec!["CONFIG_EROFS_FS", "CONFIG_EROFS_FS_ZIP_LZMA"],
            (Format::Erofs, Compression::Gzip) => vec!["CONFIG_EROFS_FS", "CONFIG_EROFS_FS_ZIP_DEFLATE"],
            (Format::Erofs, Compression::Lz4) => vec!["CONFIG_EROFS_FS", "CONFIG_EROFS_FS_ZIP"],
            (Format::Erofs, Compression::Uncompressed | Compression::Lzo) => vec!["CONFIG_EROFS_FS"],
        }
    }

    /// Makes the container at `output`.
    ///
    /// # Errors
    /// When a program fails or the disk is full.
    pub fn make(&self, scratch: &Scratch, output: &Path, progress: &Progress) -> Result<()> {
        if !self.needs_view() {
            return squashfs::make(self, &self.root, Some(&self.edits), scratch, output, progress);
        }
        let tree = view::mount(scratch, &self.root, "view")?;
        view::apply(&tree, &self.edits)?;
        if let Some(kind) = self.nested {
            let holder = scratch.subdir("nested")?;
            let image = scratch.subdir(&format!("nested/{}", self.live_dir))?.join(layout::ROOTFS_IMG);
            progress.stage(&format!("nested {} image", kind.name()));
            nested::make(kind, self, &tree, scratch, &image)?;
            progress.done(&format!("nested {} image", kind.name()));
            self.pack(&holder, scratch, output, progress)?;
            std::fs::remove_file(&image).with_context(|| format!("removing {}", image.display()))?;
        } else {
            self.pack(&tree, scratch, output, progress)?;
        }
        scratch.unmount(&scratch.file("view"))
    }

    fn pack(&self, tree: &Path, scratch: &Scratch, output: &Path, progress: &Progress) -> Result<()> {
        match self.format {
            Format::Squashfs => squashfs::make(self, tree, None, scratch, output, progress),
            Format::Erofs => erofs::make(self, tree, output, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b26_a_container_the_kernel_cannot_read_is_refused() {
        let config = KernelConfig::parse("CONFIG_SQUASHFS=m\nCONFIG_SQUASHFS_XZ=y\nCONFIG_EROFS_FS=m\n");
        let plan = |format, compression| ContainerPlan {
            root: PathBuf::new(),
            format,
            compression,
            level: None,
            nested: None,
            live_dir: String::new(),
            edits: Edits::default(),
            size: TreeSize::default(),
            epoch: Epoch { seconds: 0, fixed: true },
        };
        for (format, compression, missing) in [
            (Format::Squashfs, Compression::Xz, None),
            (Format::Squashfs, Compression::Uncompressed, None),
            (Format::Squashfs, Compression::Zstd, Some("CONFIG_SQUASHFS_ZSTD")),
            (Format::Erofs, Compression::Uncompressed, None),
            (Format::Erofs, Compression::Lzo, Some("EROFS has no lzo")),
        ] {
            let text = plan(format, compression).check("6.1", Some(&config)).err().map(|error| error.to_string());
            let good = match (missing, &text) {
                (None, None) => true,
                (Some(part), Some(text)) => text.contains(part),
                _ => false,
            };
            assert!(good, "{format:?} {compression:?}: {text:?}");
            if format == Format::Squashfs {
                plan(format, compression).check("6.1", None).unwrap();
            }
        }
    }
}
