//! A squashfs container, by mksquashfs. The input is read as it is; exclusions and replacements are options.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Compression, ContainerPlan};
use crate::epoch;
use crate::progress::{Progress, percent_in};
use crate::run::run_watched;
use crate::scratch::Scratch;
use crate::tools;
use crate::tree::identity::Edits;

/// Block size in bytes. A live root reads many small files at random, and each read unpacks a whole block. Measured with
/// Debian 13, time from switch_root to the end of systemd's start (QEMU -icount) and size: 128 KiB 5.7 s, 302 MB;
/// 256 KiB 5.8 s, 300 MB; 1 MiB 7.5 s, 294 MB.
const BLOCK: u32 = 256 << 10;

/// zstd's level, unless the operator chooses: mksquashfs's own default, fixed here because it is part of the bytes.
const ZSTD_LEVEL: u32 = 15;

/// Refuses a compression level that the compressor does not have.
pub fn check(compression: Compression, level: Option<u32>) -> Result<()> {
    let Some(level) = level else { return Ok(()) };
    let range = match compression {
        Compression::Zstd => 1..=22,
        Compression::Gzip | Compression::Lzo => 1..=9,
        Compression::Xz | Compression::Lz4 | Compression::Uncompressed => {
            bail!("--compression-level: {} has no levels", compression.name())
        }
    };
    if !range.contains(&level) {
        bail!("--compression-level {level}: {} has {} to {}", compression.name(), range.start(), range.end());
    }
    Ok(())
}

/// Makes the container from `tree`, leaving out what `edits` say.
pub fn make(
    plan: &ContainerPlan,
    tree: &Path,
    edits: Option<&Edits>,
    scratch: &Scratch,
    output: &Path,
    progress: &Progress,
) -> Result<()> {
    let mut command = tools::MKSQUASHFS.command()?;
    command.arg(tree).arg(output).args(["-noappend", "-xattrs", "-exit-on-error", "-b", &BLOCK.to_string()]);
    command.args(compressor(plan.compression, plan.level));
    // mksquashfs refuses the variable together with options of its own, and alone it only clamps newer times.
    command.env_remove(epoch::VARIABLE);
    if plan.epoch.fixed {
        let seconds = plan.epoch.seconds.to_string();
        command.args(["-mkfs-time", &seconds, "-all-time", &seconds]);
    }
    command.arg(progress_flag(&tools::MKSQUASHFS.version()));
    if let Some(edits) = edits {
        exclude(&mut command, edits, tree, scratch)?;
    }
    let name = format!("squashfs ({})", plan.compression.name());
    progress.stage(&name);
    run_watched(&mut command, |piece| {
        if let Some(percent) = percent_in(piece) {
            progress.percent(&name, percent);
        }
    })?;
    progress.done(&name);
    Ok(())
}

fn compressor(compression: Compression, level: Option<u32>) -> Vec<String> {
    let words: &[&str] = match compression {
        Compression::Uncompressed => &["-noI", "-noD", "-noF", "-noX"],
        // Without the x86 filter: it helps code by 1 % and costs kernels built without it the boot.
        other => &["-comp", other.name()],
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let level = level.or((compression == Compression::Zstd).then_some(ZSTD_LEVEL));
    if let Some(level) = level {
        words.extend(["-Xcompression-level".to_owned(), level.to_string()]);
    }
    words
}

/// 4.6 brought `-percentage`, made for programs; before, the bar is read.
fn progress_flag(version: &str) -> &'static str {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts = number.unwrap_or_default().split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= (4, 6) => "-percentage",
        _ => "-progress",
    }
}

fn exclude(command: &mut Command, edits: &Edits, tree: &Path, scratch: &Scratch) -> Result<()> {
    let mut list = String::new();
    for dir in &edits.emptied {
        // The pattern language keeps a leading dot from matching a star.
        list.push_str(&format!("{0}/*\n{0}/.*\n", literal(dir)));
    }
    for path in edits.removed.iter().chain(edits.replaced.iter().map(|replaced| &replaced.path)) {
        list.push_str(&format!("{}\n", literal(path)));
    }
    let file = scratch.file("exclude");
    fs::write(&file, list).context("writing the exclude list")?;
    command.arg("-wildcards").arg("-ef").arg(&file);
    let dir = scratch.subdir("replaced")?;
    for (number, replaced) in edits.replaced.iter().enumerate() {
        let path = &replaced.path;
        let meta = fs::symlink_metadata(tree.join(path)).with_context(|| format!("examining {}", path.display()))?;
        let content = dir.join(number.to_string());
        fs::write(&content, &replaced.content).with_context(|| format!("writing {}", content.display()))?;
        // A file made from what a shell's command prints.
        let definition = format!(
            "{} F {} {:o} {} {} cat {}",
            quoted(path),
            meta.mtime(),
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid(),
            for_shell(&content)
        );
        command.args(["-p", &definition]);
    }
    Ok(())
}

/// A name as mksquashfs reads it from a definition.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

fn for_shell(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

fn literal(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if "*?[]\\!+@()|".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_flag_follows_the_version() {
        for (version, flag) in [
            ("mksquashfs version 4.5.1 (2022/03/17)", "-progress"),
            ("mksquashfs version 4.6.1 (2023/03/25)", "-percentage"),
            ("mksquashfs version 4.6 (2023)", "-percentage"),
            ("mksquashfs version 5.0-rc1 (2030)", "-percentage"),
            ("unknown", "-progress"),
        ] {
            assert_eq!(progress_flag(version), flag, "{version}");
        }
    }

    #[test]
    fn levels_are_checked() {
        for (compression, level, good) in [
            (Compression::Zstd, Some(22), true),
            (Compression::Zstd, Some(23), false),
            (Compression::Gzip, Some(0), false),
            (Compression::Xz, Some(6), false),
            (Compression::Xz, None, true),
        ] {
            assert_eq!(check(compression, level).is_ok(), good, "{compression:?} {level:?}");
        }
    }
}
