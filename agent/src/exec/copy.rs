//! Copies an image into RAM: large chunks, holes left out, every read checked, the source's page cache given back.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Advice, SeekFrom, fadvise, seek};

use super::digest::Beside;
use super::progress::Meter;
use crate::probe::ram::next_data;

/// Bytes read and written at a time: small enough for the processor's cache, large enough to make calls cheap.
const CHUNK: usize = 1 << 20;
/// Bytes after which the kernel is told to give their cache back.
const WINDOW: u64 = 8 << 20;

/// A copy that failed, and where.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be opened or searched.
    #[error("opening {0}: {1}")]
    Open(PathBuf, io::Error),
    /// The copy cannot be made.
    #[error("making {0}: {1}")]
    Create(PathBuf, io::Error),
    /// A read failed.
    #[error("reading {path} at byte {offset}: {error}")]
    Read {
        /// The source.
        path: PathBuf,
        /// First byte that could not be read.
        offset: u64,
        /// The error.
        error: io::Error,
    },
    /// The source ends early.
    #[error("{path} ends at byte {offset}, {expected} were expected")]
    Short {
        /// The source.
        path: PathBuf,
        /// Its end.
        offset: u64,
        /// The end that was expected.
        expected: u64,
    },
    /// A write failed, most likely for want of room.
    #[error("writing {path} at byte {offset}: {error}")]
    Write {
        /// The copy.
        path: PathBuf,
        /// First byte that was not written.
        offset: u64,
        /// The error.
        error: io::Error,
    },
    /// The digest cannot be computed.
    #[error("computing the SHA-256: {0}")]
    Digest(io::Error),
}

/// Copies the first `bytes` bytes of `from` to the new file `to`; `say` is given a line about every second. With `digest`,
/// the SHA-256 of these bytes is the result, as lower-case hex.
///
/// # Errors
/// What failed, and at which byte. The unfinished copy is left to the caller, who unmounts the file system it is on.
pub fn copy(
    from: &Path,
    to: &Path,
    bytes: u64,
    digest: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Option<String>, CopyError> {
    let opening = |error: io::Error| CopyError::Open(from.to_owned(), error);
    let source = File::open(from).map_err(opening)?;
    let end = seek(&source, SeekFrom::End(0)).map_err(|errno| opening(errno.into()))?;
    if end < bytes {
        return Err(CopyError::Short { path: from.to_owned(), offset: end, expected: bytes });
    }
    // Twice the usual read-ahead. Asking for whole windows ahead (`WillNeed`) was measured to be slower.
    let _ = fadvise(&source, 0, None, Advice::Sequential);
    let making = |error: io::Error| CopyError::Create(to.to_owned(), error);
    let copy = OpenOptions::new().write(true).create_new(true).mode(0o444).open(to).map_err(making)?;
    // The size comes first: huge pages are only used where the file is known to fill them.
    copy.set_len(bytes).map_err(making)?;
    let mut job = Job {
        source: Side { file: source, path: from },
        copy: Side { file: copy, path: to },
        buffer: vec![0; CHUNK],
        meter: Meter::new(bytes, Instant::now()),
        digest: if digest { Some(Beside::start(CHUNK).map_err(CopyError::Digest)?) } else { None },
    };
    let mut at = 0;
    while let Some((start, end)) = next_data(&job.source.file, at, bytes).map_err(opening)? {
        job.hole(start - at)?;
        job.stretch(start, end, say)?;
        at = end;
    }
    job.hole(bytes - at)?;
    job.digest.map(Beside::finish).transpose().map_err(CopyError::Digest)
}

struct Side<'a> {
    file: File,
    path: &'a Path,
}

struct Job<'a> {
    source: Side<'a>,
    copy: Side<'a>,
    buffer: Vec<u8>,
    meter: Meter,
    digest: Option<Beside>,
}

impl Job<'_> {
    /// Passes bytes that are not there; the copy has them as zeros.
    fn hole(&self, length: u64) -> Result<(), CopyError> {
        self.digest.as_ref().map_or(Ok(()), |digest| digest.hole(length)).map_err(CopyError::Digest)
    }

    /// Copies one stretch of data, window by window.
    fn stretch(&mut self, start: u64, end: u64, say: &mut dyn FnMut(&str)) -> Result<(), CopyError> {
        let mut from = start;
        while from < end {
            let to = from.saturating_add(WINDOW).min(end);
            self.window(from, to, end, say)?;
            // Otherwise the image would be in memory twice.
            // Advice only: a file system that cannot follow it is no error.
            let _ = fadvise(&self.source.file, from, NonZeroU64::new(to - from), Advice::DontNeed);
            from = to;
        }
        Ok(())
    }

    fn window(&mut self, mut at: u64, to: u64, end: u64, say: &mut dyn FnMut(&str)) -> Result<(), CopyError> {
        while at < to {
            let want = usize::try_from(to - at).map_or(CHUNK, |left| left.min(CHUNK));
            let got = self.read(at, want, end)?;
            self.copy.file.write_all_at(&self.buffer[..got], at).map_err(|error| CopyError::Write {
                path: self.copy.path.to_owned(),
                offset: at,
                error,
            })?;
            if let Some(digest) = &self.digest {
                let full = std::mem::take(&mut self.buffer);
                self.buffer = digest.exchange(full, got).map_err(CopyError::Digest)?;
            }
            at += got as u64;
            self.meter.at(at, Instant::now, say);
        }
        Ok(())
    }

    /// Reads at least one byte.
    fn read(&mut self, offset: u64, want: usize, expected: u64) -> Result<usize, CopyError> {
        let path = self.source.path;
        loop {
            match self.source.file.read_at(&mut self.buffer[..want], offset) {
                Ok(0) => return Err(CopyError::Short { path: path.to_owned(), offset, expected }),
                Ok(got) => return Ok(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CopyError::Read { path: path.to_owned(), offset, error }),
            }
        }
    }
}
