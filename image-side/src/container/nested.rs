//! A nested root image: a writable kind of file system as one file inside the container.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::ContainerPlan;
use crate::digest;
use crate::iso::identity::uuid_from;
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
    let uuid = plan.epoch.fixed.then(|| uuid_from(&digest::of_texts(&["nested", &plan.epoch.seconds.to_string()])));
    match kind {
        Nested::Ext4 => ext4(plan, tree, image, size, uuid.as_deref()),
        Nested::Xfs | Nested::Btrfs => {
            format(kind, image, uuid.as_deref())?;
            copy(tree, scratch, image)
        }
    }
}

fn ext4(plan: &ContainerPlan, tree: &Path, image: &Path, size: u64, uuid: Option<&str>) -> Result<()> {
    let inodes = (size / 16384).max(plan.size.inodes * 5 / 4 + 1024);
    let mut command = tools::MKE2FS.command()?;
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", &inodes.to_string()]);
    let mut extended = "lazy_itable_init=0,lazy_journal_init=0".to_owned();
    if let Some(uuid) = uuid {
        extended.push_str(&format!(",hash_seed={uuid}"));
        command.args(["-U", uuid]).env("E2FSPROGS_FAKE_TIME", plan.epoch.seconds.to_string());
    }
    command.args(["-E", &extended]).arg("-d").arg(tree).arg(image);
    run(&mut command)?;
    Ok(())
}

fn format(kind: Nested, image: &Path, uuid: Option<&str>) -> Result<()> {
    let mut command = if kind == Nested::Xfs { tools::MKFS_XFS } else { tools::MKFS_BTRFS }.command()?;
    command.arg("-q");
    match (kind, uuid) {
        (Nested::Xfs, Some(uuid)) => drop(command.args(["-m", &format!("uuid={uuid}")])),
        (_, Some(uuid)) => drop(command.args(["-U", uuid])),
        _ => {}
    }
    run(command.arg(image))?;
    Ok(())
}

fn copy(tree: &Path, scratch: &Scratch, image: &Path) -> Result<()> {
    let at = scratch.subdir("image")?;
    scratch.mount(&["-o".as_ref(), "loop".as_ref(), image.as_os_str()], &at)?;
    // -a keeps owners, times, xattrs and hard links.
    run(tools::CP.command()?.args(["-a", "--sparse=auto"]).arg(tree.join(".")).arg(&at))?;
    scratch.unmount(&at)
}
