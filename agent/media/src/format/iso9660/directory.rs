//! Directory records, sector by sector.

use std::io::{Read, Seek};
use std::ops::ControlFlow;

use super::SECTOR;
use super::entry::Extent;
use super::error::Error;
use super::volume::{MAX_DIRECTORY, MAX_RECORDS};
use crate::format::bytes::{Fields, read_at};

const FLAG_DIRECTORY: u8 = 0x02;
const FLAG_ASSOCIATED: u8 = 0x04;
const FLAG_MORE: u8 = 0x80;
/// Bytes of a record before its name.
const FIXED: usize = 33;

/// One directory record, as stored.
pub(super) struct Record {
    pub(super) extent: Extent,
    /// More extents of the same file follow.
    pub(super) more: bool,
    /// A resource fork or the like, which shares its file's name.
    pub(super) associated: bool,
    pub(super) name: Vec<u8>,
    pub(super) system_use: Vec<u8>,
}

impl Record {
    /// `None` if the record says it is longer than it is.
    fn parse(record: &[u8], block_size: u64) -> Option<Self> {
        let flags = record.u8(25)?;
        let name_len = usize::from(record.u8(32)?);
        // Padded so that the system-use area begins at an even byte.
        let system_use = FIXED + name_len + usize::from(name_len.is_multiple_of(2));
        let block = u64::from(record.le32(2)?) + u64::from(record.u8(1)?);
        Some(Self {
            extent: Extent {
                offset: block * block_size,
                size: u64::from(record.le32(10)?),
                is_dir: flags & FLAG_DIRECTORY != 0,
            },
            more: flags & FLAG_MORE != 0,
            associated: flags & FLAG_ASSOCIATED != 0,
            name: record.span(FIXED, name_len)?.to_vec(),
            system_use: record.get(system_use..).unwrap_or_default().to_vec(),
        })
    }

    /// The directory itself or its parent.
    pub(super) fn is_dot(&self) -> bool {
        matches!(self.name.as_slice(), [0] | [1])
    }
}

/// Calls `visit` for each record of `directory` until it breaks. At most [`MAX_DIRECTORY`] bytes and [`MAX_RECORDS`] records are read.
pub(super) fn walk<R: Read + Seek>(
    reader: &mut R,
    directory: Extent,
    block_size: u64,
    mut visit: impl FnMut(&mut R, Record) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let damaged = || Error::Directory { offset: directory.offset };
    let (mut at, mut records) = (0, 0);
    let end = directory.size.min(MAX_DIRECTORY);
    while at < end {
        let want = (end - at).min(SECTOR);
        let offset = directory.offset.checked_add(at).ok_or_else(damaged)?;
        let sector = read_at(reader, "an ISO 9660 directory", offset, want as usize)?;
        if (sector.len() as u64) < want {
            return Err(damaged());
        }
        let mut rest = sector.as_slice();
        // A length of zero means that the next record did not fit in this sector.
        while let Some(len) = rest.first().map(|len| usize::from(*len)).filter(|len| *len > 0) {
            let (record, tail) = rest.split_at_checked(len).ok_or_else(damaged)?;
            records += 1;
            if records > MAX_RECORDS {
                return Err(Error::Crowded { offset: directory.offset, what: "records", max: MAX_RECORDS });
            }
            let record = Record::parse(record, block_size).ok_or_else(damaged)?;
            if visit(reader, record)?.is_break() {
                return Ok(());
            }
            rest = tail;
        }
        at += want;
    }
    Ok(())
}
