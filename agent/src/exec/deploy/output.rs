//! An image on its way to a disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rdlive_fetch::Output;

use super::TooSmall;
use crate::exec::fetch::MIB;
use crate::probe::deploying::{HEAD, Notes};

/// So many bytes are written before the disk has to have them: what a slow disk is behind must fit into the memory of a small machine. As
/// often it is noted how many there are; at first more often.
const STRIDE: Range<u64> = 4 * MIB..32 * MIB;

/// The image on the disk, without its first bytes until all is there.
pub(super) struct DiskFile {
    pub file: Arc<File>,
    pub notes: Notes<Arc<File>>,
    pub head: Vec<u8>,
    /// Bytes that it may have.
    pub has: u64,
    pub came: Came,
    /// What was there when it was begun.
    pub kept: Range<u64>,
    unsynced: u64,
}

impl DiskFile {
    /// With so many bytes there already, but for the first ones.
    pub(super) fn new(file: Arc<File>, notes: Notes<Arc<File>>, has: u64, done: u64) -> Self {
        let kept = HEAD as u64..done.max(HEAD as u64);
        Self { file, notes, head: vec![0; HEAD], has, came: Came::new(kept.end), kept, unsynced: 0 }
    }
}

impl Output for DiskFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.has {
            let small = TooSmall { needs: end, has: self.has, grows: true };
            return Err(io::Error::new(io::ErrorKind::StorageFull, small));
        }
        let first = usize::try_from(offset).map_or(0, |offset| HEAD.saturating_sub(offset)).min(bytes.len());
        let (first, rest) = bytes.split_at(first);
        if !first.is_empty() {
            let at = offset as usize;
            self.head[at..at + first.len()].copy_from_slice(first);
        }
        self.file.write_all_at(rest, offset + first.len() as u64)?;
        self.came.add(offset + first.len() as u64..end);
        self.unsynced += rest.len() as u64;
        if self.unsynced >= (self.came.upto() / 2).clamp(STRIDE.start, STRIDE.end) {
            self.file.sync_data()?;
            self.unsynced = 0;
            self.notes.came(self.came.upto())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.notes.close(&self.head)
    }

    fn kept(&self) -> Range<u64> {
        self.kept.clone()
    }

    fn read_kept(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }
}

/// Up to where all bytes have come that may come in any order.
#[derive(Debug)]
pub(super) struct Came {
    upto: u64,
    /// What has come behind that: first byte, and the byte behind the last one.
    behind: BTreeMap<u64, u64>,
}

impl Came {
    fn new(upto: u64) -> Self {
        Self { upto, behind: BTreeMap::new() }
    }

    fn upto(&self) -> u64 {
        self.upto
    }

    fn add(&mut self, part: Range<u64>) {
        if part.start > self.upto {
            // Each connection brings its part in order.
            match self.behind.iter_mut().find(|(_, end)| **end == part.start) {
                Some((_, end)) => *end = part.end,
                None => drop(self.behind.insert(part.start, part.end)),
            }
            return;
        }
        self.upto = self.upto.max(part.end);
        while let Some(first) = self.behind.first_entry().filter(|first| *first.key() <= self.upto) {
            self.upto = self.upto.max(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_without_a_gap() {
        let mut came = Came::new(10);
        for (part, upto) in [
            (0..5, 10),
            (20..30, 10),
            (30..35, 10),
            (50..60, 10),
            (10..12, 12),
            (12..20, 35),
            (35..50, 60),
            (60..60, 60),
            (5..8, 60),
        ] {
            came.add(part.clone());
            assert_eq!(came.upto(), upto, "{part:?}");
        }
        assert!(came.behind.is_empty());
    }
}
