//! The files of a file system that holds more than ours: those of somebody else must all be the same after a cut.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::shown::{Mounted, Shown};
use crate::tool;

/// By this the next live session knows that nobody else has written here since.
const NOTE: &str = ".rdlive-host";

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file with this content.
    File(Vec<u8>),
    /// Anything else.
    Other,
}

/// All of them by their path from the top.
pub type Files = BTreeMap<PathBuf, Entry>;

/// The files of a file system in a range of a disk, within reach of this process.
pub struct Host {
    /// Where they are.
    pub at: PathBuf,
    /// They can be changed there, as a file system inside a file is when its journal is replayed.
    pub writable: bool,
    kept: Kept,
}

/// What brings them into reach.
enum Kept {
    Mounted(Shown, Mounted),
    Fuse(Mounted),
    Copied,
}

impl Host {
    /// Mounts it below `dir`, or copies its files there: the host's kernel may not know FAT, mtools do.
    pub fn reach(disk: &Path, range: &Range<u64>, dir: &Path) -> Result<Self> {
        let at = dir.join("host");
        let shown = Shown::part(disk, range)?;
        fs::create_dir_all(&at)?;
        let kept = match shown.kind()? {
            "vfat" => {
                let image = format!("{}@@{}", disk.display(), range.start);
                let mut mcopy = Command::new("mcopy");
                mcopy.env("MTOOLS_SKIP_CHECK", "1").args(["-s", "-n", "-Q", "-i", &image, "::*"]).arg(&at);
                tool::run(&mut mcopy)?;
                Kept::Copied
            }
            "exfat" => {
                tool::run(Command::new("mount").args(["-t", "exfat-fuse", "-o", "ro"]).args([shown.node(), &at]))?;
                Kept::Fuse(Mounted::by_others(&at))
            }
            "ntfs" => {
                // What a check of Windows does first: the copy of the first records is made as they are.
                let _ = tool::run(Command::new("ntfsfix").arg("-d").arg(shown.node()));
                tool::run(Command::new("ntfs-3g").args(["-o", "ro"]).args([shown.node(), &at]))?;
                Kept::Fuse(Mounted::by_others(&at))
            }
            _ => {
                let mounted = shown.mount(&at)?;
                Kept::Mounted(shown, mounted)
            }
        };
        Ok(Self { at, writable: !matches!(kept, Kept::Fuse(_)), kept })
    }

    /// Ends it; the checker of a file system that was mounted finds nothing.
    pub fn end(self) -> Result<()> {
        match self.kept {
            Kept::Mounted(shown, mounted) => {
                mounted.end()?;
                shown.is_sound()
            }
            Kept::Fuse(mounted) => mounted.end(),
            Kept::Copied => crate::remove::tree(&self.at),
        }
    }
}

/// Reads all files.
pub fn read(at: &Path) -> Result<Files> {
    let mut files = Files::new();
    walk(at, Path::new(""), &mut |path, kind| {
        let entry = match kind {
            Kind::Directory => Entry::Directory,
            Kind::File => Entry::File(fs::read(at.join(path)).with_context(|| format!("reading {}", path.display()))?),
            Kind::Other => Entry::Other,
        };
        files.insert(path.to_owned(), entry);
        Ok(true)
    })?;
    Ok(files)
}

/// The files are the same as before, but for those that are `ours` now or were ours before; a directory of ours is not entered.
pub fn same(before: &Files, at: &Path, ours: &dyn Fn(&Path) -> bool) -> Result<()> {
    let mut seen = 0;
    walk(at, Path::new(""), &mut |path, kind| {
        if path == Path::new(NOTE) || ours(path) {
            return Ok(false);
        }
        let old = before.get(path).with_context(|| format!("{} was not there before", path.display()))?;
        let same = match (old, kind) {
            (Entry::Directory, Kind::Directory) | (Entry::Other, Kind::Other) => true,
            (Entry::File(bytes), Kind::File) => holds(&at.join(path), bytes)?,
            _ => false,
        };
        ensure!(same, "{} is not what it was", path.display());
        seen += 1;
        Ok(true)
    })?;
    let is_ours = |path: &Path| path.ancestors().any(ours);
    let kept = before.keys().filter(|path| *path != Path::new(NOTE) && !is_ours(path));
    let missing: Vec<_> = kept.clone().filter(|path| at.join(path).symlink_metadata().is_err()).collect();
    ensure!(missing.is_empty(), "gone: {missing:?}");
    ensure!(seen == kept.count(), "some were not looked at");
    Ok(())
}

/// Whether a file has just this content.
pub fn holds(path: &Path, expected: &[u8]) -> Result<bool> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    if file.metadata()?.len() != expected.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; 1 << 18];
    for part in expected.chunks(buffer.len()) {
        file.read_exact(&mut buffer[..part.len()]).with_context(|| format!("reading {}", path.display()))?;
        if &buffer[..part.len()] != part {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names in a directory, for the text of an error.
pub fn listed(at: &Path) -> String {
    match names(at) {
        Ok(names) => format!("{}: {}", at.display(), names.join(" ")),
        Err(error) => format!("{}: {error:#}", at.display()),
    }
}

/// Names in a directory, in order.
pub fn names(at: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(at).with_context(|| format!("listing {}", at.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[derive(Clone, Copy)]
enum Kind {
    Directory,
    File,
    Other,
}

/// Calls `act` for everything below a directory; it says whether a directory is entered.
fn walk(top: &Path, below: &Path, act: &mut dyn FnMut(&Path, Kind) -> Result<bool>) -> Result<()> {
    let dir = top.join(below);
    for entry in fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        let kind = match () {
            () if kind.is_dir() => Kind::Directory,
            () if kind.is_file() => Kind::File,
            () => Kind::Other,
        };
        if act(&path, kind)? && matches!(kind, Kind::Directory) {
            walk(top, &path, act)?;
        }
    }
    Ok(())
}

/// The only directory or file at a place whose name begins so.
pub fn only(at: &Path, begin: &str) -> Result<PathBuf> {
    let names: Vec<String> = names(at)?.into_iter().filter(|name| name.starts_with(begin)).collect();
    match names.as_slice() {
        [name] => Ok(at.join(name)),
        _ => bail!("{begin}* is not there once: {names:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_stay_and_none_joins_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        fs::create_dir_all(at.join("photos/old")).unwrap();
        fs::write(at.join("photos/one.jpg"), "a photo").unwrap();
        fs::write(at.join("ours"), "1").unwrap();
        let before = read(at).unwrap();
        let ours = |path: &Path| path == Path::new("ours");
        let same = || same(&before, at, &ours).map_err(|error| format!("{error:#}"));
        fs::write(at.join("ours"), "2").unwrap();
        fs::write(at.join(NOTE), "noted").unwrap();
        same().unwrap();
        fs::remove_file(at.join("ours")).unwrap();
        same().unwrap();
        fs::write(at.join("photos/two.jpg"), "").unwrap();
        assert!(same().unwrap_err().contains("photos/two.jpg was not there"));
        fs::remove_file(at.join("photos/two.jpg")).unwrap();
        for text in ["a photp", "a photo!", ""] {
            fs::write(at.join("photos/one.jpg"), text).unwrap();
            assert!(same().unwrap_err().contains("is not what it was"), "{text}");
        }
        fs::remove_file(at.join("photos/one.jpg")).unwrap();
        assert!(same().unwrap_err().contains("gone"));
        fs::create_dir(at.join("photos/one.jpg")).unwrap();
        assert!(same().unwrap_err().contains("is not what it was"));
        fs::remove_dir(at.join("photos/one.jpg")).unwrap();
        fs::write(at.join("photos/one.jpg"), "a photo").unwrap();
        fs::remove_dir(at.join("photos/old")).unwrap();
        assert!(same().unwrap_err().contains("gone"));
    }
}
