//! What a mounted medium or container holds.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::block;
use crate::config::Config;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::{Content, ImageFile, Inner, human};
use crate::format::{self, Kind, lossless};
use crate::layout::{EXT3FS_IMG, LIVE_DIR, ROOTFS_IMG};

/// Directories of which a root tree has at least one (dracut-live spec 2.6 step 5, kiwi-live spec 2.5).
const ROOT_MARKS: [&str; 3] = ["usr", "ostree", "proc"];
/// Names shown of a directory that holds nothing usable.
const SHOWN: usize = 12;

/// Looks at a medium mounted at `live`.
///
/// # Errors
/// [`Code::ContainerMissing`] with what is there instead, [`Code::ImageDamaged`] for an image that cannot be used.
pub fn medium(env: &Env, config: &Config, live: &Path) -> Result<Content, Stop> {
    let dir = Path::new(&config.live_dir);
    let container = dir.join(&config.squashimg);
    let root = env.path(live);
    let unread = |why: Unread| Stop::new(Code::MediumMount, format!("on the medium, {why}")).advice(UNREAD);
    if let Some(found) = file(&root, &container).map_err(unread)? {
        let file = image(env, live, found)?;
        let is_container = matches!(file.kind, Kind::Squashfs | Kind::Erofs);
        return Ok(if is_container { Content::Container(file) } else { Content::Image(file) });
    }
    for name in [ROOTFS_IMG, EXT3FS_IMG] {
        if let Some(found) = file(&root, &dir.join(name)).map_err(unread)? {
            return Ok(Content::Image(image(env, live, found)?));
        }
    }
    // `rd.live.dir` names a directory that is not there: a root tree on the same medium is not what was asked for.
    let is_tree = is_root_tree(&root).map_err(unread)?;
    if is_tree && !root.join(dir).is_dir() && config.live_dir == LIVE_DIR {
        return Ok(Content::Tree);
    }
    let wanted = format!("{} or {}", container.display(), dir.join(ROOTFS_IMG).display());
    let stop = Stop::new(Code::ContainerMissing, "Failed to find a root filesystem on the medium")
        .wanted(wanted)
        .found(listing(&root, dir));
    Err(match cut_name(&root, &container) {
        Some(name) => stop.advice(format!(
            "{} is a name cut to eight and three letters: write the medium again as it is, or with a program that keeps names",
            name.display()
        )),
        None => stop,
    })
}

/// A path beside a wanted one of which a name was cut, as where files were copied without Rock Ridge, Joliet or FAT's long names.
fn cut_name(root: &Path, wanted: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::new();
    for name in wanted {
        let entries = std::fs::read_dir(root.join(&at)).ok()?;
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        let name = name.to_string_lossy();
        let is = |other: &&std::ffi::OsString| other.to_string_lossy().eq_ignore_ascii_case(&name);
        match (names.iter().find(is), names.iter().find(|other| is_cut(&other.to_string_lossy(), &name))) {
            (Some(same), _) => at.push(same),
            (None, cut) => return cut.map(|cut| at.join(cut)),
        }
    }
    None
}

/// Whether a name is what is left of a longer one: its first eight letters, or fewer and a number, and three behind the dot.
fn is_cut(name: &str, whole: &str) -> bool {
    let parts = |name: &str| {
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
        (stem.to_ascii_lowercase(), end.to_ascii_lowercase())
    };
    let ((stem, end), (whole, whole_end)) = (parts(name), parts(whole));
    let first = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let numbered = stem.split_once('~').filter(|(_, number)| number.parse::<u32>().is_ok());
    let begins = match numbered {
        Some((begin, _)) => !begin.is_empty() && whole.starts_with(begin) && stem.chars().count() <= 8,
        None => stem == first(&whole, 8),
    };
    begins && end == first(&whole_end, 3) && (stem, end) != (whole, whole_end)
}

/// Looks into a container mounted at `at`.
///
/// # Errors
/// [`Code::RootMissing`] with what is there instead, [`Code::ImageDamaged`] for a nested image that cannot be used.
pub fn container(env: &Env, config: &Config, at: &Path) -> Result<Inner, Stop> {
    let root = env.path(at);
    let unread = |why: Unread| Stop::new(Code::ImageDamaged, format!("in the container, {why}")).advice(UNREAD);
    for dir in [config.live_dir.as_str(), LIVE_DIR] {
        for name in [ROOTFS_IMG, EXT3FS_IMG] {
            if let Some(found) = file(&root, &Path::new(dir).join(name)).map_err(unread)? {
                return Ok(Inner::Image(image(env, at, found)?));
            }
        }
    }
    if is_root_tree(&root).map_err(unread)? {
        return Ok(Inner::Tree);
    }
    Err(Stop::new(Code::RootMissing, "Failed to find a root filesystem in the container")
        .wanted(format!("{LIVE_DIR}/{ROOTFS_IMG}, or a directory usr, ostree or proc"))
        .found(listing(&env.path(at), Path::new("")))
        .advice("build the medium again; its container holds no root tree"))
}

/// What to do about a name that can be neither found nor missed.
const UNREAD: &str = "the copy is damaged, or the medium cannot be read: write it again or use another one; see dmesg";

/// A name whose directory cannot be read: nobody knows whether it is there.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be looked for: {}", .0.display(), .1)]
struct Unread(PathBuf, io::Error);

/// What is at a path, if anything is.
fn at(root: &Path, path: &Path) -> Result<Option<Metadata>, Unread> {
    match root.join(path).metadata() {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(Unread(path.to_owned(), error)),
    }
}

/// Whether an error says that there is nothing of a name, and not that nobody can tell.
pub fn is_absence(error: &io::Error) -> bool {
    let absent = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG];
    absent.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The path of a file as its file system spells it, if it is there.
fn file(root: &Path, path: &Path) -> Result<Option<PathBuf>, Unread> {
    let is_file = |path: &Path| Ok(at(root, path)?.is_some_and(|facts| facts.is_file()));
    if is_file(path)? {
        return Ok(Some(path.to_owned()));
    }
    let other = spelled(root, path);
    Ok(if other != path && is_file(&other)? { Some(other) } else { None })
}

/// A path on a mounted file system as that spells it. Where ISO 9660 has neither Rock Ridge nor Joliet, the kernel shows all names in
/// small letters, whatever they were; NTFS has names without case, and the kernel looks them up with it.
pub fn spelled(root: &Path, path: &Path) -> PathBuf {
    const ISO9660_MAGIC: i64 = 0x9660;
    const UDF_MAGIC: i64 = 0x1501_3346;
    const NTFS3_MAGIC: i64 = 0x7366_746e;
    let magics = [ISO9660_MAGIC, UDF_MAGIC, NTFS3_MAGIC];
    let is_caseless = rustix::fs::statfs(root).is_ok_and(|facts| magics.contains(&facts.f_type));
    if is_caseless { without_case(root, path) } else { path.to_owned() }
}

/// Each name of a path as it is, or else as it is but for its case.
fn without_case(root: &Path, path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for name in path {
        if root.join(&found).join(name).symlink_metadata().is_err() {
            let wanted = name.to_string_lossy().to_lowercase();
            let entries = std::fs::read_dir(root.join(&found)).into_iter().flatten().flatten();
            let mut same =
                entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().to_lowercase() == wanted);
            found.push(same.next().as_deref().unwrap_or(name));
        } else {
            found.push(name);
        }
    }
    found
}

fn is_root_tree(dir: &Path) -> Result<bool, Unread> {
    for mark in ROOT_MARKS {
        if at(dir, Path::new(mark))?.is_some_and(|facts| facts.is_dir()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn image(env: &Env, base: &Path, path: PathBuf) -> Result<ImageFile, Stop> {
    let damaged = |cause: String| {
        Stop::new(Code::ImageDamaged, cause).advice("the image is damaged or incomplete: write or download it again")
    };
    let shown = path.display();
    let (found, size) =
        block::identify(env, &base.join(&path)).map_err(|error| damaged(format!("reading {shown}: {error}")))?;
    let Some(found) = found else {
        return Err(damaged(format!("{shown} ({}) is no file system that is known", human(size))));
    };
    if let Some(missing) = format::truncated(&found, size) {
        return Err(damaged(format!(
            "{shown} is truncated: {} of its {} file system are missing",
            human(missing),
            found.kind.name()
        )));
    }
    if found.kind.driver().is_none() {
        return Err(damaged(format!("{shown} holds {}, which cannot be a root", found.kind.name())));
    }
    Ok(ImageFile { path, kind: found.kind, compressor: found.compressor, dirty: found.dirty })
}

/// Whether the last bytes of a file can be read: of an image on a medium that was cut short, the end is what is missing first.
pub fn has_end(path: &Path) -> bool {
    let end = || -> io::Result<()> {
        let mut file = File::open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
        file.read_to_end(&mut Vec::new()).map(drop)
    };
    end().is_ok()
}

/// Bytes at the end of a file that are read for that.
const END: u64 = 4096;

/// What a directory, and the live directory in it, hold: enough to see a misspelt name.
fn listing(root: &Path, live_dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for dir in [PathBuf::new(), live_dir.to_owned()] {
        let Ok(entries) = std::fs::read_dir(root.join(&dir)) else { continue };
        let mut names: Vec<_> = entries.flatten().map(|entry| lossless(entry.file_name().as_encoded_bytes())).collect();
        names.sort();
        names.truncate(SHOWN);
        lines.push(format!("/{}: {}", dir.display(), names.join(" ")));
        if live_dir.as_os_str().is_empty() {
            break;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_it_is_and_then_without_its_case() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("liveos/Sub")).unwrap();
        std::fs::write(dir.path().join("liveos/squashfs.img"), "").unwrap();
        for (path, expected) in [
            ("LiveOS/squashfs.img", "liveos/squashfs.img"),
            ("liveos/SUB", "liveos/Sub"),
            ("LIVEOS/Sub/none", "liveos/Sub/none"),
            ("none/Sub", "none/Sub"),
        ] {
            assert_eq!(without_case(dir.path(), Path::new(path)), Path::new(expected));
            // A file system that has both spellings is taken at its word.
            assert_eq!(spelled(dir.path(), Path::new(path)), Path::new(path));
        }
    }

    /// field.md N.
    #[test]
    fn names_that_were_cut() {
        for (name, whole, cut) in [
            ("SQUASH~1.IMG", "squashfs.img", true),
            ("squash~1.img", "squashfs.img", true),
            ("FILESYST.SQU", "filesystem.squashfs", true),
            ("FILESY~1.SQU", "filesystem.squashfs", true),
            ("MYLIVEDI", "MyLiveDirectory", true),
            ("SQUASHFS.IMG", "squashfs.img", false),
            ("ROOTFS~1.IMG", "squashfs.img", false),
            ("squashfs.im~", "squashfs.img", false),
            ("squash~x.img", "squashfs.img", false),
            ("~1.IMG", "squashfs.img", false),
        ] {
            assert_eq!(is_cut(name, whole), cut, "{name}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("LIVEOS")).unwrap();
        let read = |kargs: &str| {
            let (config, _) = crate::config::interpret_text(kargs);
            medium(&Env::new(dir.path()), &config, Path::new("/")).unwrap_err().advice
        };
        let usual = read("");
        std::fs::write(dir.path().join("LIVEOS/SQUASH~1.IMG"), "").unwrap();
        std::fs::write(dir.path().join("VERYLONG"), "").unwrap();
        assert!(read("").starts_with("LIVEOS/SQUASH~1.IMG is a name cut"), "{}", read(""));
        assert!(read("rd.live.dir=VeryLongName").starts_with("VERYLONG is a name cut"));
        assert_eq!(read("rd.live.squashimg=other.img"), usual);
    }

    #[test]
    fn what_cannot_be_read_is_not_absent() {
        let dir = Path::new("/proc/self");
        assert!(file(dir, Path::new("status")).unwrap().is_some());
        for absent in ["none", "status/none", &"x".repeat(300)] {
            assert!(file(dir, Path::new(absent)).unwrap().is_none(), "{absent}");
        }
        for (errno, absent) in [(Errno::NOENT, true), (Errno::IO, false), (Errno::UCLEAN, false), (Errno::INVAL, false)]
        {
            assert_eq!(is_absence(&errno.into()), absent, "{errno}");
        }
    }
}
