//! Where an image goes.

use std::io;
use std::ops::Range;

/// What takes the bytes of an image: memory, a file, a disk.
pub trait Output {
    /// Takes bytes that belong at this offset (in bytes from the image's first one). Offsets may come in any order, but none twice.
    ///
    /// # Errors
    /// What the place itself says: no space, a write error.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// All bytes were taken: makes sure that they are where they belong before somebody is told so.
    ///
    /// # Errors
    /// What the place itself says when it is flushed.
    fn finish(&mut self) -> io::Result<()>;

    /// Bytes of this very file that are there from an earlier transfer: they need not come again.
    fn kept(&self) -> Range<u64> {
        0..0
    }

    /// Reads bytes that were kept.
    ///
    /// # Errors
    /// What the place itself says; nothing was kept.
    fn read_kept(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let _ = (offset, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
}
