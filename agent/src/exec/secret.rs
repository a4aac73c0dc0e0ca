//! Keys and passphrases in memory: never printed, overwritten when they are no longer needed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::env::Env;
use crate::random;

/// The longest key: what a pipe holds, so that handing it over cannot block.
const LONGEST: usize = 32 << 10;
/// Random bytes of a key that nobody types: 128 hexadecimal digits, as dracut's (dracut-live spec 1.5).
const RANDOM: usize = 64;

/// A key or passphrase.
pub struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The whole content of a file.
    ///
    /// # Errors
    /// It cannot be read, is empty, or is longer than any key.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        // A pipe would hold us up.
        match path.metadata()?.is_file() {
            true => Self::read(File::open(path)?),
            false => Err(io::Error::other("it is no file")),
        }
    }

    /// The whole content of an open file.
    ///
    /// # Errors
    /// As [`Secret::of_file`].
    pub fn read(file: File) -> io::Result<Self> {
        // Room for all of it from the start: growing would leave copies behind.
        let mut bytes = Vec::with_capacity(LONGEST + 1);
        let length = file.take(LONGEST as u64 + 1).read_to_end(&mut bytes);
        let secret = Self::new(bytes);
        match length? {
            0 => Err(io::Error::other("it is empty")),
            length if length > LONGEST => Err(io::Error::other("it is longer than 32 KiB")),
            _ => Ok(secret),
        }
    }

    /// 128 hexadecimal digits from the kernel.
    ///
    /// # Errors
    /// The kernel's random numbers cannot be read.
    pub fn random(env: &Env) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; RANDOM]);
        random::fill(env, bytes.as_mut_slice())?;
        let digit = |half: u8| char::from_digit(u32::from(half), 16).map_or(b'0', |digit| digit as u8);
        let mut text = Vec::with_capacity(2 * RANDOM);
        text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        Ok(Self::new(text))
    }

    /// The bytes, for handing over.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same.
    pub fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (content, expected) in [
            (Vec::new(), None),
            (b"word\n".to_vec(), Some(b"word\n".to_vec())),
            (vec![7; LONGEST], Some(vec![7; LONGEST])),
            (vec![7; LONGEST + 1], None),
        ] {
            std::fs::write(&path, &content).unwrap();
            let read = Secret::of_file(&path).ok().map(|secret| secret.bytes().to_vec());
            assert_eq!(read, expected, "{} bytes", content.len());
        }
    }

    #[test]
    fn a_pipe_is_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(Secret::of_file(&path).is_err());
    }

    #[test]
    fn random_ones_are_digits_and_differ_and_are_not_printed() {
        let env = Env::default();
        let (one, other) = (Secret::random(&env).unwrap(), Secret::random(&env).unwrap());
        assert_eq!(one.bytes().len(), 128);
        assert!(one.bytes().iter().all(u8::is_ascii_hexdigit));
        assert!(!one.same(&other));
        assert_eq!(format!("{one:?}"), "Secret");
    }
}
