//! Checked access to the fields of on-disk structures.
//!
//! All offsets and lengths may come from the medium, so nothing here indexes or adds without a check.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use super::Error;

/// Fields of a byte slice; `None` when the field lies outside.
pub trait Fields {
    /// `N` bytes at `at`.
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]>;
    /// `len` bytes at `at`.
    fn span(&self, at: usize, len: usize) -> Option<&[u8]>;

    /// One byte.
    fn u8(&self, at: usize) -> Option<u8> {
        self.array::<1>(at).map(|[byte]| byte)
    }
    /// Little-endian 16 bits.
    fn le16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    /// Little-endian 32 bits.
    fn le32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    /// Little-endian 64 bits.
    fn le64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
    /// Big-endian 16 bits.
    fn be16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }
    /// Big-endian 32 bits.
    fn be32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
    /// Big-endian 64 bits.
    fn be64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }
    /// Whether `magic` stands at `at`.
    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.span(at, magic.len()) == Some(magic)
    }
}

impl Fields for [u8] {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.span(at, N)?.try_into().ok()
    }

    fn span(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.get(at..at.checked_add(len)?)
    }
}

/// Reads up to `len` bytes at `offset`; fewer where the input ends. Callers bound `len` by a constant.
///
/// # Errors
/// The bytes read before the device failed come back beside its error.
pub fn read_partly<R: Read + Seek>(
    reader: &mut R,
    what: &'static str,
    offset: u64,
    len: usize,
) -> (Vec<u8>, Option<Error>) {
    let mut bytes = Vec::new();
    match reader.seek(SeekFrom::Start(offset)) {
        Ok(_) => {}
        // A block device refuses to seek past its end, a file past the largest offset: there is nothing there.
        Err(error) if error.kind() == ErrorKind::InvalidInput => return (bytes, None),
        Err(source) => return (bytes, Some(Error::Seek { what, source })),
    }
    bytes.reserve_exact(len);
    match reader.take(len as u64).read_to_end(&mut bytes) {
        Ok(_) => (bytes, None),
        Err(source) => (bytes, Some(Error::Read { what, offset, source })),
    }
}

/// Reads up to `len` bytes at `offset`; fewer where the input ends. Callers bound `len` by a constant.
///
/// # Errors
/// The device failed.
pub fn read_at<R: Read + Seek>(reader: &mut R, what: &'static str, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
    match read_partly(reader, what, offset, len) {
        (bytes, None) => Ok(bytes),
        (_, Some(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn fields_outside_are_none() {
        let bytes: &[u8] = &[1, 2, 3, 4];
        assert_eq!(bytes.le32(0), Some(0x0403_0201));
        assert_eq!(bytes.be16(2), Some(0x0304));
        for at in [1, 4, usize::MAX - 1, usize::MAX] {
            assert_eq!(bytes.le32(at), None, "{at}");
        }
        assert!(!bytes.has(usize::MAX, b"x"));
    }

    #[test]
    fn read_past_the_end_is_short() {
        let mut reader = Cursor::new(vec![7; 10]);
        for (offset, len, got) in [(0, 4, 4), (8, 4, 2), (10, 1, 0), (u64::MAX, 9, 0)] {
            let bytes = read_at(&mut reader, "test", offset, len).unwrap();
            assert_eq!(bytes.len(), got, "{offset} {len}");
        }
    }
}
