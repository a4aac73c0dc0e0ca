//! What is on a medium that `rdlive explain` is shown: read, not mounted.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::assumed;
use crate::config::Config;
use crate::facts::{Content, ImageFile};
use crate::format::{self, Kind, Superblock, iso9660};
use crate::layout::{EXT3FS_IMG, ROOTFS_IMG};

/// What is on a medium: its superblock, and what a mount of it would offer.
pub(super) type Medium = (Superblock, Option<Content>);

/// Reads a medium without mounting it.
pub(super) fn look(config: &Config, path: &Path) -> Result<Medium, Box<dyn Error>> {
    let say = |error: &dyn std::fmt::Display| Box::<dyn Error>::from(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(|error| say(&error))?;
    let found =
        format::identify(&mut file).map_err(|error| say(&error))?.ok_or_else(|| say(&"no medium is known on it"))?;
    let raid = found.kind == Kind::Raid;
    let found = if raid { format::beside_raid(&mut file).ok().flatten().unwrap_or(found) } else { found };
    if found.kind != Kind::Iso9660 {
        let content = (!matches!(found.kind, Kind::Squashfs | Kind::Erofs)).then(|| assumed::usual_content(config));
        return Ok((found, content));
    }
    let mut volume = iso9660::Volume::open(&mut file).map_err(|error| say(&error))?;
    let dir = Path::new(&config.live_dir);
    for name in [config.squashimg.as_str(), ROOTFS_IMG, EXT3FS_IMG] {
        let inside = dir.join(name);
        let Some(extent) = volume.find(&format!("/{}", inside.display())).map_err(|error| say(&error))? else {
            continue;
        };
        let mut inside_file = Window { inner: volume.reader(), start: extent.offset, size: extent.size, at: 0 };
        let kind = format::identify(&mut inside_file).map_err(|error| say(&error))?;
        let Some(kind) = kind else { return Err(say(&format!("{} is no file system", inside.display()))) };
        let image = ImageFile { path: inside, kind: kind.kind, compressor: kind.compressor, dirty: kind.dirty };
        let container = matches!(image.kind, Kind::Squashfs | Kind::Erofs) && name == config.squashimg;
        return Ok((found, Some(if container { Content::Container(image) } else { Content::Image(image) })));
    }
    Err(say(&format!("neither {} nor {} is on it", config.squashimg, ROOTFS_IMG)))
}

/// A part of a reader, as a reader of its own.
struct Window<'a, R> {
    inner: &'a mut R,
    start: u64,
    size: u64,
    at: u64,
}

impl<R: Read + Seek> Read for Window<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        self.inner.seek(SeekFrom::Start(self.start.saturating_add(self.at)))?;
        let length = self.inner.read(&mut buffer[..length])?;
        self.at += length as u64;
        Ok(length)
    }
}

impl<R> Seek for Window<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
