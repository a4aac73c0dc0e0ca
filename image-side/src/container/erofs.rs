//! An EROFS container, by mkfs.erofs, from a view of the tree in which the exclusions are already done.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Compression, ContainerPlan};
use crate::digest;
use crate::epoch;
use crate::iso::identity::uuid_from;
use crate::progress::Progress;
use crate::run::run;
use crate::tools;

/// Name of the compressor in mkfs.erofs.
fn compressor(compression: Compression) -> Option<&'static str> {
    match compression {
        // The high-compression encoder: same speed to read.
        Compression::Lz4 => Some("lz4hc"),
        Compression::Zstd => Some("zstd"),
        Compression::Xz => Some("lzma"),
        Compression::Gzip => Some("deflate"),
        Compression::Lzo | Compression::Uncompressed => None,
    }
}

/// Refuses a compressor that this mkfs.erofs was not built with.
pub fn check(compression: Compression) -> Result<()> {
    if compression == Compression::Lzo {
        bail!("EROFS has no lzo; use lz4");
    }
    let (Some(name), Some(path)) = (compressor(compression), tools::MKFS_EROFS.find()) else { return Ok(()) };
    let output = Command::new(path).arg("--help").output()?;
    let help = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let known = help.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
    if !known {
        bail!("the installed mkfs.erofs cannot compress with {name}; use --compression lz4 or a newer erofs-utils");
    }
    Ok(())
}

/// Makes the container from `tree`.
pub fn make(plan: &ContainerPlan, tree: &Path, output: &Path, progress: &Progress) -> Result<()> {
    let mut command = tools::MKFS_EROFS.command()?;
    command.env_remove(epoch::VARIABLE).args(["--quiet"]);
    if let Some(name) = compressor(plan.compression) {
        let level = plan.level.map_or(String::new(), |level| format!(",{level}"));
        // 64 KiB clusters: half way to squashfs's size, still far less to unpack per random read.
        command.arg(format!("-z{name}{level}")).arg("-C65536");
    }
    if plan.epoch.fixed {
        let seconds = plan.epoch.seconds.to_string();
        command.arg(format!("-T{seconds}"));
        command.arg(format!("-U{}", uuid_from(&digest::of_texts(&["erofs", &seconds]))));
    }
    command.arg(output).arg(tree);
    let name = format!("erofs ({})", plan.compression.name());
    progress.stage(&name);
    run(&mut command)?;
    progress.done(&name);
    Ok(())
}
