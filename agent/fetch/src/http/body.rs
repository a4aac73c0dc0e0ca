//! The body of an answer, by the way in which its end is known (RFC 9112, section 6).

use std::io;
use std::time::Instant;

use super::client::Connection;
use super::error::{Doing, Error};
use super::{Head, Limits};

/// The longest line between chunks.
const MAX_LINE: usize = 1024;
/// The most lines behind the last chunk.
const MAX_TRAILERS: usize = 64;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes are left of this chunk; none is open before the first one.
    Chunked {
        left: u64,
        open: bool,
    },
    /// The connection ends with it.
    Close,
    Done,
}

/// The bytes of an answer. Dropped before its end, the connection is not used again.
pub struct Body<'a> {
    connection: &'a mut Connection,
    framing: Framing,
    /// Bytes that must come, where that is known.
    expected: Option<u64>,
    got: u64,
    keep: bool,
    limits: Limits,
}

impl<'a> Body<'a> {
    /// `expected`: the bytes of the part that was asked for.
    pub(super) fn new(connection: &'a mut Connection, head: &Head, expected: Option<u64>, limits: Limits) -> Self {
        let (framing, keep) = match (head.chunked, head.length, expected) {
            (true, ..) => (Framing::Chunked { left: 0, open: false }, head.keep),
            (false, Some(length), _) => (Framing::Length(length), head.keep),
            (false, None, Some(length)) => (Framing::Length(length), false),
            (false, None, None) => (Framing::Close, false),
        };
        let expected = expected.or(head.length.filter(|_| !head.chunked));
        let mut body = Self { connection, framing, expected, got: 0, keep, limits };
        if matches!(body.framing, Framing::Length(0)) {
            body.done();
        }
        body
    }

    /// Reads into the buffer, which is not empty; 0 at the end of the body.
    ///
    /// # Errors
    /// The connection ended or was silent, or the frames make no sense.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        self.connection.wire.ends_at(Instant::now() + self.limits.body);
        // What comes beyond the part that was asked for is nobody's.
        let rest = self.expected.map_or(u64::MAX, |expected| expected - self.got);
        let most = match self.framing {
            Framing::Done => return Ok(0),
            Framing::Length(left) => left,
            Framing::Close => u64::MAX,
            Framing::Chunked { left: 0, open } => match self.next_chunk(open)? {
                0 => return self.end(),
                size => size,
            },
            Framing::Chunked { left, .. } => left,
        };
        if rest == 0 {
            self.framing = Framing::Done;
            return Ok(0);
        }
        let most = usize::try_from(most.min(rest)).unwrap_or(usize::MAX).min(into.len());
        let read = self.connection.wire.read(&mut into[..most]).map_err(|error| self.failed(&error))?;
        if read == 0 {
            return self.end();
        }
        self.got += read as u64;
        match &mut self.framing {
            Framing::Length(left) => {
                *left -= read as u64;
                if *left == 0 {
                    self.done();
                }
            }
            Framing::Chunked { left, .. } => *left -= read as u64,
            Framing::Close | Framing::Done => {}
        }
        Ok(read)
    }

    /// The stream or the chunks ended: is it the end of the body?
    fn end(&mut self) -> Result<usize, Error> {
        match (self.framing, self.expected) {
            (Framing::Chunked { left: 0, open: _ }, None) => self.done(),
            (Framing::Chunked { left: 0, .. }, Some(expected)) if self.got == expected => self.done(),
            (Framing::Close, _) => self.framing = Framing::Done,
            (_, expected) => {
                return Err(Error::Short { address: self.connection.wire.address, got: self.got, expected });
            }
        }
        Ok(0)
    }

    fn done(&mut self) {
        self.framing = Framing::Done;
        self.connection.clean = self.keep;
    }

    /// The size of the next chunk, 0 behind the last one and its trailers.
    fn next_chunk(&mut self, open: bool) -> Result<u64, Error> {
        let damaged = Error::Chunks { address: self.connection.wire.address };
        if open && !self.line()?.is_empty() {
            return Err(damaged);
        }
        let line = self.line()?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let hex = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let size =
            std::str::from_utf8(digits).ok().filter(|_| hex).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let size = size.ok_or_else(|| damaged.clone())?;
        if size == 0 {
            let mut lines = 0;
            while !self.line()?.is_empty() {
                lines += 1;
                if lines > MAX_TRAILERS {
                    return Err(damaged);
                }
            }
        }
        self.framing = Framing::Chunked { left: size, open: true };
        Ok(size)
    }

    /// A line without its end, which is taken from the wire.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            let buffered = self.connection.wire.buffered();
            if let Some(end) = buffered.iter().position(|byte| *byte == b'\n') {
                let line = buffered[..end].strip_suffix(b"\r").unwrap_or(&buffered[..end]).to_vec();
                self.connection.wire.consume(end + 1);
                return Ok(line);
            }
            if buffered.len() > MAX_LINE {
                return Err(Error::Chunks { address: self.connection.wire.address });
            }
            match self.connection.wire.fill() {
                Ok(0) => {
                    let (address, got) = (self.connection.wire.address, self.got);
                    return Err(Error::Short { address, got, expected: self.expected });
                }
                Ok(_) => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn failed(&self, error: &io::Error) -> Error {
        let doing = if self.got == 0 { Doing::Start } else { Doing::Body };
        self.connection.failed(doing, error, self.limits.idle)
    }
}
