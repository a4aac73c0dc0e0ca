//! A nested root image: a writable kind of file system as one file inside the container.
//!
//! Not reproducible: every mkfs takes inode times and the order of directories from the running machine.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::ContainerPlan;
use crate::run::run;
use crate::scratch::Scratch;
use crate::tools::{self, Tool};

const MIB: u64 = 1 << 20;

/// File system of a nested root image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Nested {
    /// ext4, filled without mounting.
    Ext4,
    /// xfs, filled through a loop mount.
    Xfs,
    /// btrfs, filled through a loop mount.
    Btrfs,
}

impl Nested {
    /// The name as `blkid` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Programs that [`make`] runs.
    pub fn tools(self) -> Vec<Tool> {
        match self {
            Self::Ext4 => vec![tools::MKE2FS],
            Self::Xfs => vec![tools::MKFS_XFS, tools::CP],
            Self::Btrfs => vec![tools::MKFS_BTRFS, tools::CP],
        }
    }

    /// Smallest image its mkfs accepts, in bytes.
    fn smallest(self) -> u64 {
        match self {
            Self::Ext4 => 32 * MIB,
            Self::Xfs => 320 * MIB,
            Self::Btrfs => 160 * MIB,
        }
    }
}

/// Size of the image in bytes: half as much again as the content, because with a snapshot the free space inside is all
/// that the running system can write.
fn image_size(kind: Nested, plan: &ContainerPlan) -> u64 {
    let content = plan.size.block_bytes + plan.size.inodes * 512;
    (content * 3 / 2 + 64 * MIB).next_multiple_of(MIB).max(kind.smallest())
}

/// Makes the image from the view `tree`.
pub fn make(kind: Nested, plan: &ContainerPlan, tree: &Path, scratch: &Scratch, image: &Path) -> Result<()> {
    let size = image_size(kind, plan);
    let file = File::create(image).with_context(|| format!("creating {}", image.display()))?;
    file.set_len(size).with_context(|| format!("creating {}", image.display()))?;
    drop(file);
    match kind {
        Nested::Ext4 => ext4(plan, tree, image, size),
        Nested::Xfs => {
            run(tools::MKFS_XFS.command()?.arg("-q").arg(image))?;
            copy(tree, scratch, image)
        }
        Nested::Btrfs => {
            run(tools::MKFS_BTRFS.command()?.arg("-q").arg(image))?;
            copy(tree, scratch, image)
        }
    }
}

fn ext4(plan: &ContainerPlan, tree: &Path, image: &Path, size: u64) -> Result<()> {
    let inodes = (size / 16384).max(plan.size.inodes * 5 / 4 + 1024);
    let mut command = tools::MKE2FS.command()?;
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", &inodes.to_string()]);
    command.args(["-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg("-d").arg(tree).arg(image);
    run(&mut command)?;
    Ok(())
}

fn copy(tree: &Path, scratch: &Scratch, image: &Path) -> Result<()> {
    let at = scratch.subdir("image")?;
    scratch.mount(&["-o".as_ref(), "loop".as_ref(), image.as_os_str()], &at)?;
    // -a keeps owners, times, xattrs and hard links.
    run(tools::CP.command()?.args(["-a", "--sparse=auto"]).arg(tree.join(".")).arg(&at))?;
    scratch.unmount(&at)
}
