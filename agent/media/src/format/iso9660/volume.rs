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
pub(in crate::format) mod tests {
    use super::*;
    use std::io::Cursor;

    struct Row<'a> {
        name: &'a [u8],
        flags: u8,
        block: u32,
        size: u32,
        system_use: Vec<u8>,
    }

    fn row(name: &[u8], flags: u8, block: u32, size: u32) -> Row<'_> {
        Row { name, flags, block, size, system_use: Vec::new() }
    }

    fn with_nm<'a>(row: Row<'a>, name: &str) -> Row<'a> {
        let mut nm = vec![b'N', b'M', 5 + name.len() as u8, 1, 0];
        nm.extend_from_slice(name.as_bytes());
        Row { system_use: nm, ..row }
    }

    fn put_directory(image: &mut [u8], block: usize, rows: &[Row]) {
        let mut at = block * 2048;
        for row in rows {
            let pad = usize::from(row.name.len().is_multiple_of(2));
            let len = 33 + row.name.len() + pad + row.system_use.len();
            let record = &mut image[at..at + len];
            record[0] = len as u8;
            record[2..6].copy_from_slice(&row.block.to_le_bytes());
            record[10..14].copy_from_slice(&row.size.to_le_bytes());
            record[25] = row.flags;
            record[32] = row.name.len() as u8;
            record[33..33 + row.name.len()].copy_from_slice(row.name);
            record[len - row.system_use.len()..].copy_from_slice(&row.system_use);
            at += len;
        }
    }

    /// A volume with Rock Ridge, a directory, a file in two pieces, and a boot catalog.
    pub(in crate::format) fn sample() -> Vec<u8> {
        let mut image = super::super::descriptors_sample();
        image.resize(40 * 2048, 0);
        let root = 16 * 2048 + 156;
        image[root + 2] = 20;
        image[root + 10..root + 14].copy_from_slice(&2048u32.to_le_bytes());
        image[17 * 2048..18 * 2048].fill(0);
        image[17 * 2048..17 * 2048 + 7].copy_from_slice(b"\0CD001\x01");
        image[17 * 2048 + 7..17 * 2048 + 30].copy_from_slice(b"EL TORITO SPECIFICATION");
        image[17 * 2048 + 0x47] = 19;
        el_torito::tests::put_catalog(&mut image[19 * 2048..20 * 2048]);

        let dot = Row { system_use: b"SP\x07\x01\xbe\xef\x00".to_vec(), ..row(b"\0", 2, 20, 2048) };
        put_directory(
            &mut image,
            20,
            &[
                dot,
                row(b"\x01", 2, 20, 2048),
                with_nm(row(b"LIVEOS", 2, 21, 2048), "LiveOS"),
                with_nm(row(b"BIG.;1", 0x80, 23, 4096), "big"),
                with_nm(row(b"BIG.;1", 0, 25, 10), "big"),
                with_nm(row(b"TORN.;1", 0x80, 23, 2048), "torn"),
                with_nm(row(b"TORN.;1", 0, 30, 10), "torn"),
            ],
        );
        put_directory(
            &mut image,
            21,
            &[
                row(b"\0", 2, 21, 2048),
                row(b"\x01", 2, 20, 2048),
                with_nm(row(b"SQUASHFS.IMG;1", 0, 22, 5), "squashfs.img"),
            ],
        );
        image[22 * 2048..22 * 2048 + 5].copy_from_slice(b"hello");
        image
    }

    fn open(image: Vec<u8>) -> Volume<Cursor<Vec<u8>>> {
        Volume::open(Cursor::new(image)).unwrap()
    }

    #[test]
    fn rock_ridge_paths() {
        let mut volume = open(sample());
        for (path, expected) in [
            ("/LiveOS/squashfs.img", Some((22, 5, false))),
            ("LiveOS//./squashfs.img", Some((22, 5, false))),
            ("/LiveOS", Some((21, 2048, true))),
            ("/", Some((20, 2048, true))),
            ("/big", Some((23, 4106, false))),
            ("/liveos/squashfs.img", None),
            ("/LiveOS/squashfs.img/x", None),
            ("/LiveOS/../big", None),
        ] {
            let found = volume.find(path).unwrap();
            let found = found.map(|e| (e.offset / 2048, e.size, e.is_dir));
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(volume.read("/LiveOS/squashfs.img", 5).unwrap(), b"hello");
    }

    #[test]
    fn plain_names_without_case() {
        let mut image = sample();
        image[20 * 2048 + 34] = b'X';
        let mut volume = open(image);
        assert!(volume.find("/LiveOS/squashfs.img").unwrap().is_some());
        let names: Vec<_> = volume.list("/").unwrap().unwrap();
        let names: Vec<_> = names.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["liveos", "big", "torn"]);
    }

    #[test]
    fn scattered_files_are_read_but_are_no_extent() {
        let mut volume = open(sample());
        assert!(matches!(volume.find("/torn"), Err(Error::Scattered(_))));
        assert_eq!(volume.read("/torn", 4096).unwrap().len(), 2058);
        assert!(matches!(volume.read("/torn", 10), Err(Error::TooLarge { size: 2058, .. })));
    }

    #[test]
    fn truncated_and_damaged() {
        let mut image = sample();
        image.truncate(22 * 2048 + 2);
        let mut volume = open(image);
        assert!(matches!(volume.read("/LiveOS/squashfs.img", 100), Err(Error::Truncated { missing: 3, .. })));
        let mut image = sample();
        image[21 * 2048] = 0xff;
        image[21 * 2048 + 32] = 0xff;
        let mut volume = open(image);
        assert!(matches!(volume.find("/LiveOS/x"), Err(Error::Directory { .. })));
        let deep = "a/".repeat(MAX_DEPTH + 1);
        assert!(volume.find(&deep).unwrap().is_none());
    }

    /// Counts the reads.
    struct Counting {
        inner: Cursor<Vec<u8>>,
        reads: usize,
    }

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.reads += 1;
            self.inner.read(buffer)
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.inner.seek(to)
        }
    }

    /// A volume whose root is as long as is looked at, filled with one record.
    fn crowded(record: &Row) -> Volume<Counting> {
        let mut image = sample();
        image.resize(64 * 2048, 0);
        image.resize(image.len() + MAX_DIRECTORY as usize, 0);
        let root = 16 * 2048 + 156;
        image[root + 2] = 64;
        image[root + 10..root + 14].copy_from_slice(&(MAX_DIRECTORY as u32).to_le_bytes());
        // A continuation that goes on in itself.
        let mut area = b"CE\x1c\x01".to_vec();
        for number in [22u32, 0, 2048] {
            area.extend([number.to_le_bytes(), number.to_be_bytes()].concat());
        }
        image[22 * 2048..22 * 2048 + area.len()].copy_from_slice(&area);
        let announced = Row { system_use: b"SP\x07\x01\xbe\xef\x00".to_vec(), ..row(b"\0", 2, 64, 2048) };
        put_directory(&mut image, 64, &[announced]);
        let len = 33 + record.name.len() + record.system_use.len();
        for block in 65..64 + MAX_DIRECTORY as usize / 2048 {
            let copies: Vec<_> =
                (0..2048 / len).map(|_| Row { system_use: record.system_use.clone(), ..*record }).collect();
            put_directory(&mut image, block, &copies);
        }
        Volume::open(Counting { inner: Cursor::new(image), reads: 0 }).unwrap()
    }

    #[test]
    fn f13_a_crowded_directory_is_refused_before_it_costs_much() {
        let mut endless = b"CE\x1c\x01".to_vec();
        for number in [22u32, 0, 2048] {
            endless.extend([number.to_le_bytes(), number.to_be_bytes()].concat());
        }
        let moved = [&b"CL\x0c\x01"[..], &21u32.to_le_bytes(), &21u32.to_be_bytes()].concat();
        let sectors = MAX_DIRECTORY as usize / 2048;
        for (system_use, what, reads) in [
            (Vec::new(), "records", MAX_RECORDS / 60 + 1),
            (endless, "continuations", sectors + MAX_AREAS),
            (moved, "continuations", sectors + MAX_AREAS),
        ] {
            let mut volume = crowded(&Row { system_use, ..row(b"A", 0, 22, 5) });
            volume.reader().reads = 0;
            let error = volume.find("/LiveOS/squashfs.img").unwrap_err();
            assert!(matches!(&error, Error::Crowded { offset: 131_072, what: found, .. } if *found == what), "{error}");
            // An end of the data shows in one more read.
            assert!(volume.reader().reads <= 2 * (reads + 2), "{what}: {} reads", volume.reader().reads);
        }
    }

    #[test]
    fn catalog() {
        assert_eq!(open(sample()).boot_entries().unwrap().len(), 2);
    }
}
