//! What is on a disk that is given away. Of what its table lists the ends become zeros, so that neither changes of before are found behind the
//! image, nor a RAID or LVM that somebody would assemble. What is at the end of the disk goes too: that is our room.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::exec::fetch::MIB;
use crate::format::partition;
use crate::probe::deploying::{HEAD, Old, ROOM};
use crate::probe::empty::sought;

/// Wiped at both ends: as much as of a place that is formatted.
const WIPED: u64 = 3 * MIB;

/// What is there now.
pub(super) fn on(disk: &File, size: u64) -> io::Result<Old> {
    let mut head = vec![0; HEAD];
    disk.read_exact_at(&mut head, 0)?;
    Ok(beginning_with(head, disk, size))
}

/// What was there when the disk began with this.
pub(super) fn beginning_with(head: Vec<u8>, disk: &File, size: u64) -> Old {
    let mut whole = Whole { head: &head, disk, size, at: 0 };
    let table = partition::table(&mut whole, size).ok().flatten();
    let entries = table.map(|table| table.partitions).unwrap_or_default();
    let both = entries.iter().flat_map(|entry| {
        let end = entry.end();
        [(entry.start, end.min(entry.start.saturating_add(WIPED))), (entry.start.max(end.saturating_sub(WIPED)), end)]
    });
    let inside = both.map(|(start, end)| (start.max(HEAD as u64), end.min(size - ROOM)));
    let places = inside.filter(|(start, end)| start < end).map(|(start, end)| (start, end - start)).collect();
    Old { head, places }
}

/// A disk with its beginning as it was.
struct Whole<'a> {
    head: &'a [u8],
    disk: &'a File,
    size: u64,
    at: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let head = usize::try_from(self.at).ok().and_then(|at| self.head.get(at..)).unwrap_or_default();
        let read = match head {
            [] => self.disk.read_at(bytes, self.at)?,
            mut head => head.read(bytes)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Whole<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(self.at, self.size, to)?;
        Ok(self.at)
    }
}
