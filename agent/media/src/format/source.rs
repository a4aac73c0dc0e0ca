//! The device or file under examination, with its first bytes at hand.

use std::io::{Read, Seek, SeekFrom};

use super::Error;
use super::bytes::{read_at, read_partly};

/// Bytes read once from the start: up to the end of the btrfs superblock, the deepest of the fixed places.
pub(super) const HEAD: usize = 0x1_0000 + 4096;

/// Any input. Readers are compiled once for it, and not for each type that is read.
pub trait Input: Read + Seek {}

impl<T: Read + Seek> Input for T {}

/// An input being identified.
pub(super) struct Source<'a, R> {
    reader: &'a mut R,
    /// The first [`HEAD`] bytes, fewer if the input is shorter or failed.
    pub(super) head: Vec<u8>,
    /// Why `head` is shorter than it could be.
    pub(super) failure: Option<Error>,
}

impl<'a, R: Read + Seek> Source<'a, R> {
    /// Reads the head.
    pub(super) fn new(reader: &'a mut R) -> Self {
        let (head, failure) = read_partly(reader, "the first 68 KiB", 0, HEAD);
        Self { reader, head, failure }
    }

    /// Up to `len` bytes at `offset`; callers bound `len` by a constant.
    pub(super) fn read(&mut self, what: &'static str, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        read_at(self.reader, what, offset, len)
    }

    /// Length of the input in bytes.
    pub(super) fn size(&mut self) -> Result<u64, Error> {
        self.reader.seek(SeekFrom::End(0)).map_err(|source| Error::Seek { what: "the end", source })
    }
}
