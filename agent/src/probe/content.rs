//! What a mounted medium or container holds.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

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
    if env.path(live).join(&container).is_file() {
        let file = image(env, live, container)?;
        let is_container = matches!(file.kind, Kind::Squashfs | Kind::Erofs);
        return Ok(if is_container { Content::Container(file) } else { Content::Image(file) });
    }
    for name in [ROOTFS_IMG, EXT3FS_IMG] {
        if env.path(live).join(dir).join(name).is_file() {
            return Ok(Content::Image(image(env, live, dir.join(name))?));
        }
    }
    // `rd.live.dir` names a directory that is not there: a root tree on the same medium is not what was asked for.
    if is_root_tree(&env.path(live)) && !env.path(live).join(dir).is_dir() && config.live_dir == LIVE_DIR {
        return Ok(Content::Tree);
    }
    let wanted = format!("{} or {}", container.display(), dir.join(ROOTFS_IMG).display());
    Err(Stop::new(Code::ContainerMissing, "Failed to find a root filesystem on the medium")
        .wanted(wanted)
        .found(listing(&env.path(live), dir)))
}

/// Looks into a container mounted at `at`.
///
/// # Errors
/// [`Code::RootMissing`] with what is there instead, [`Code::ImageDamaged`] for a nested image that cannot be used.
pub fn container(env: &Env, config: &Config, at: &Path) -> Result<Inner, Stop> {
    for dir in [config.live_dir.as_str(), LIVE_DIR] {
        for name in [ROOTFS_IMG, EXT3FS_IMG] {
            let path = Path::new(dir).join(name);
            if env.path(at).join(&path).is_file() {
                return Ok(Inner::Image(image(env, at, path)?));
            }
        }
    }
    if is_root_tree(&env.path(at)) {
        return Ok(Inner::Tree);
    }
    Err(Stop::new(Code::RootMissing, "Failed to find a root filesystem in the container")
        .wanted(format!("{LIVE_DIR}/{ROOTFS_IMG}, or a directory usr, ostree or proc"))
        .found(listing(&env.path(at), Path::new("")))
        .advice("build the medium again; its container holds no root tree"))
}

fn is_root_tree(dir: &Path) -> bool {
    ROOT_MARKS.iter().any(|mark| dir.join(mark).is_dir())
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
