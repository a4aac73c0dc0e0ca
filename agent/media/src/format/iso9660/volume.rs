//! Files of a volume, found by path without mounting it.

use std::io::{Read, Seek};
use std::ops::ControlFlow;

use super::descriptor::{self, Descriptors, Root};
use super::directory::{self, Record};
use super::el_torito::{self, BootEntry};
use super::entry::{Entry, Extent};
use super::error::Error;
use super::names::{joliet_name, plain_name};
use super::rock_ridge::{self, RockRidge};
use crate::format::bytes::read_at;
use crate::format::text;

/// Names in a path.
pub const MAX_DEPTH: usize = 64;
/// Bytes of one directory that are looked at.
pub const MAX_DIRECTORY: u64 = 8 * 1024 * 1024;
/// Entries of one directory that are listed; with names of at most 1 KiB this bounds a list at 32 MiB.
pub const MAX_ENTRIES: usize = 32_768;

/// Records of one directory that are looked at: twice as many as entries, as a file may have several.
pub const MAX_RECORDS: usize = 2 * MAX_ENTRIES;
/// Rock Ridge continuations, and directories that were moved, that are looked at in one directory: one for each of its entries. The
/// names of real media rarely need one.
pub const MAX_AREAS: usize = MAX_ENTRIES;

/// How names are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    RockRidge { skip: usize },
    Joliet,
    Plain,
}

/// An ISO 9660 volume.
#[derive(Debug)]
pub struct Volume<R> {
    reader: R,
    descriptors: Descriptors,
    names: Names,
    root: Extent,
}

impl<R: Read + Seek> Volume<R> {
    /// Reads the descriptors and finds out how names are stored.
    ///
    /// # Errors
    /// There is no volume, or it could not be read.
    pub fn open(mut reader: R) -> Result<Self, Error> {
        let len = descriptor::LEN * descriptor::MAX;
        let bytes = read_at(&mut reader, "the volume descriptors", descriptor::START as u64, len)?;
        let descriptors = Descriptors::parse(&bytes).ok_or(Error::NoVolume)?;
        if !matches!(descriptors.block_size, 512 | 1024 | 2048) {
            return Err(Error::BlockSize(descriptors.block_size));
        }
        let block_size = u64::from(descriptors.block_size);
        let mut root = extent(descriptors.root, block_size);
        let names = match (rock_ridge_skip(&mut reader, root, block_size)?, descriptors.joliet) {
            (Some(skip), _) => Names::RockRidge { skip },
            (None, Some(joliet)) => {
                root = extent(joliet, block_size);
                Names::Joliet
            }
            (None, None) => Names::Plain,
        };
        Ok(Self { reader, descriptors, names, root })
    }

    /// What the volume descriptors say.
    #[must_use]
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// The reader, for reading extents.
    pub fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Where a file or directory is, `None` if there is none. Empty names and `.` are skipped, `..` is a name like others.
    ///
    /// # Errors
    /// A directory on the way is damaged or unreadable, or the file is in several pieces.
    pub fn find(&mut self, path: &str) -> Result<Option<Extent>, Error> {
        match self.entry(path)? {
            None => Ok(None),
            Some(entry) => match entry.contiguous() {
                Some(extent) => Ok(Some(extent)),
                None => Err(Error::Scattered(path.to_owned())),
            },
        }
    }

    /// The entry of a file or directory, `None` if there is none. The root has an empty name.
    ///
    /// # Errors
    /// A directory on the way is damaged or unreadable.
    pub fn entry(&mut self, path: &str) -> Result<Option<Entry>, Error> {
        let mut entry = Entry { name: String::new(), is_symlink: false, extents: vec![self.root] };
        let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        for (depth, name) in names.enumerate() {
            if depth == MAX_DEPTH {
                return Err(Error::TooDeep(path.to_owned()));
            }
            let Some(directory) = entry.contiguous().filter(|extent| extent.is_dir) else {
                return Ok(None);
            };
            match self.child(directory, name)? {
                Some(child) => entry = child,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    /// The entries of a directory, without `.` and `..`, in the order of the medium; `None` if it is no directory.
    ///
    /// # Errors
    /// A directory is damaged, unreadable or too large.
    pub fn list(&mut self, path: &str) -> Result<Option<Vec<Entry>>, Error> {
        let Some(entry) = self.entry(path)?.filter(Entry::is_dir) else {
            return Ok(None);
        };
        let directory = entry.contiguous().ok_or_else(|| Error::Scattered(path.to_owned()))?;
        if directory.size > MAX_DIRECTORY {
            return Err(Error::TooMany(path.to_owned()));
        }
        let mut entries = Vec::new();
        let mut too_many = false;
        self.each(directory, |entry| {
            too_many = entries.len() == MAX_ENTRIES;
            if too_many {
                return ControlFlow::Break(());
            }
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        if too_many {
            return Err(Error::TooMany(path.to_owned()));
        }
        Ok(Some(entries))
    }

    /// The content of a file of at most `max` bytes.
    ///
    /// # Errors
    /// There is no such file, it is larger, or it could not be read.
    pub fn read(&mut self, path: &str, max: u64) -> Result<Vec<u8>, Error> {
        let entry =
            self.entry(path)?.filter(|entry| !entry.is_dir()).ok_or_else(|| Error::NotFound(path.to_owned()))?;
        let size = entry.size();
        if size > max {
            return Err(Error::TooLarge { path: path.to_owned(), size, max });
        }
        let mut content = Vec::new();
        for extent in &entry.extents {
            self.append(*extent, &mut content)?;
        }
        match size - content.len() as u64 {
            0 => Ok(content),
            missing => Err(Error::Truncated { path: path.to_owned(), missing }),
        }
    }

    /// The entries of the El Torito boot catalog; empty without one.
    ///
    /// # Errors
    /// The catalog could not be read.
    pub fn boot_entries(&mut self) -> Result<Vec<BootEntry>, Error> {
        match self.descriptors.boot_catalog {
            Some(block) => Ok(el_torito::read(&mut self.reader, block)?),
            None => Ok(Vec::new()),
        }
    }

    /// In pieces, so that a size made up by a hostile medium allocates no more than the medium really holds.
    fn append(&mut self, extent: Extent, content: &mut Vec<u8>) -> Result<(), Error> {
        const PIECE: u64 = 64 * 1024;
        let mut done = 0;
        while done < extent.size {
            let want = (extent.size - done).min(PIECE);
            let offset = extent.offset.saturating_add(done);
            let piece = read_at(&mut self.reader, "a file of the volume", offset, want as usize)?;
            content.extend_from_slice(&piece);
            if (piece.len() as u64) < want {
                break;
            }
            done += want;
        }
        Ok(())
    }

    fn child(&mut self, directory: Extent, name: &str) -> Result<Option<Entry>, Error> {
        // ISO 9660 names are upper case on the medium and lower case in Linux; without Rock Ridge case means nothing.
        let exact = matches!(self.names, Names::RockRidge { .. });
        let mut found = None;
        self.each(directory, |entry| {
            if entry.name == name || (!exact && entry.name.eq_ignore_ascii_case(name)) {
                found = Some(entry);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Calls `visit` for each file and directory in `directory`, joining the records of files in several pieces.
    fn each(&mut self, directory: Extent, mut visit: impl FnMut(Entry) -> ControlFlow<()>) -> Result<(), Error> {
        let (names, block_size) = (self.names, u64::from(self.descriptors.block_size));
        let mut pending: Option<Entry> = None;
        let mut areas = 0;
        directory::walk(&mut self.reader, directory, block_size, |reader, record| {
            if record.is_dot() || record.associated {
                return Ok(ControlFlow::Continue(()));
            }
            let more = record.more;
            let next = named(reader, names, record, block_size, &mut areas)?;
            if areas > MAX_AREAS {
                return Err(Error::Crowded { offset: directory.offset, what: "continuations", max: MAX_AREAS });
            }
            let Some(next) = next else {
                return Ok(ControlFlow::Continue(()));
            };
            let entry = match pending.take() {
                Some(mut first) if first.name == next.name => {
                    first.join(next.extents)?;
                    first
                }
                // The pieces before have no end; what is here stands for itself.
                _ => next,
            };
            if more {
                pending = Some(entry);
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(entry))
        })
    }
}

fn extent(root: Root, block_size: u64) -> Extent {
    Extent { offset: u64::from(root.block) * block_size, size: u64::from(root.size), is_dir: true }
}

/// Whether the root's first record announces Rock Ridge, and how many bytes to skip. A damaged root says so later.
fn rock_ridge_skip<R: Read + Seek>(reader: &mut R, root: Extent, block_size: u64) -> Result<Option<usize>, Error> {
    let mut skip = None;
    let walked = directory::walk(reader, root, block_size, |_, record| {
        skip = rock_ridge::announced(&record.system_use);
        Ok(ControlFlow::Break(()))
    });
    match walked {
        Ok(()) | Err(Error::Directory { .. }) => Ok(skip),
        Err(error) => Err(error),
    }
}

/// The entry of a record, `None` for one that is seen elsewhere. `areas` grows by the places that were read for it.
fn named<R: Read + Seek>(
    reader: &mut R,
    names: Names,
    record: Record,
    block_size: u64,
    areas: &mut usize,
) -> Result<Option<Entry>, Error> {
    let extra = match names {
        Names::RockRidge { skip } => {
            let area = record.system_use.get(skip..).unwrap_or_default();
            rock_ridge::read(reader, area, block_size)?
        }
        Names::Joliet | Names::Plain => RockRidge::default(),
    };
    *areas += extra.areas + usize::from(extra.child.is_some());
    if extra.relocated {
        return Ok(None);
    }
    let name = match (extra.name, names) {
        (Some(name), _) => text::lossless(&name),
        (None, Names::Joliet) => joliet_name(&record.name),
        (None, _) => plain_name(&record.name),
    };
    let place = match extra.child {
        Some(block) => moved(reader, block, block_size)?,
        None => record.extent,
    };
    Ok(Some(Entry { name, is_symlink: extra.symlink, extents: vec![place] }))
}

/// A directory that Rock Ridge moved up: its own first record has its length.
fn moved<R: Read + Seek>(reader: &mut R, block: u32, block_size: u64) -> Result<Extent, Error> {
    let offset = u64::from(block) * block_size;
    let first_sector = Extent { offset, size: super::SECTOR, is_dir: true };
    let mut size = 0;
    directory::walk(reader, first_sector, block_size, |_, record| {
        size = record.extent.size;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(Extent { offset, size, is_dir: true })
}

#[cfg(test)]
pub(in crate::format) mod tests;
