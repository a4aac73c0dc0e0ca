//! A note on a disk, as a block of bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::Whose;
use crate::layout::DEPLOYED_MAGIC;

/// Bytes of a note. A sum shows whether it was written as a whole.
pub(super) const BLOCK: usize = 4096;
/// What a disk writes as a whole or not at all. A note that fits into it is never torn, so the first one on an empty disk leaves that empty
/// or ours.
const SECTOR: usize = 512;
/// Bytes of the sum, which comes last.
const SUM: usize = 32;
/// The URL: where its length is, where it begins, and how much of it is kept. A command line has fewer bytes.
const URL: (usize, usize, usize) = (112, 114, 3000);

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// What was at the beginning before becomes zeros.
    Clearing = 1,
    /// The image is being written.
    Writing = 2,
    /// Its first bytes are.
    Closing = 3,
    /// It is there.
    Whole = 4,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub state: State,
    /// Of two notes the one of the higher number counts.
    pub number: u64,
    /// Of what the state speaks of.
    pub sum: [u8; 32],
    /// Bytes that are there.
    pub done: u64,
    pub whose: Whose,
}

impl Note {
    /// What is noted there on a disk of `size` bytes. A disk of another size is another one: a copy.
    pub(super) fn read(disk: &File, size: u64, at: u64) -> io::Result<Option<Self>> {
        let mut block = [0; BLOCK];
        disk.read_exact_at(&mut block, at)?;
        Ok(Self::parse(&block, size))
    }

    fn parse(block: &[u8; BLOCK], size: u64) -> Option<Self> {
        let length = usize::from(u16::from_le_bytes([block[URL.0], block[URL.0 + 1]])).min(URL.2);
        let summed = summed(length);
        let is_whole = block[summed..summed + SUM] == Sha256::digest(&block[..summed])[..];
        if !is_whole || !block.starts_with(DEPLOYED_MAGIC) || block[16..24] != size.to_le_bytes() {
            return None;
        }
        let states = [State::Clearing, State::Writing, State::Closing, State::Whole];
        let state = states.into_iter().find(|state| *state as u8 == block[24])?;
        let number = |at: usize| block.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let digest = |at: usize| block.get(at..at + 32)?.try_into().ok();
        let url = String::from_utf8_lossy(block.get(URL.1..URL.1 + length)?).into_owned();
        let file = digest(80).filter(|sum| *sum != [0; 32]);
        let disk = block.get(25..32)?.try_into().ok().filter(|sum| *sum != [0; 7]);
        let whose = Whose { url, file, disk };
        Some(Self { state, number: number(64)?, sum: digest(32)?, done: number(72)?, whose })
    }

    /// The block.
    pub(super) fn bytes(&self, size: u64) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, DEPLOYED_MAGIC);
        put(16, &size.to_le_bytes());
        put(24, &[self.state as u8]);
        put(25, &self.whose.disk.unwrap_or_default());
        put(32, &self.sum);
        put(64, &self.number.to_le_bytes());
        put(72, &self.done.to_le_bytes());
        put(80, &self.whose.file.unwrap_or_default());
        let url = cut(&self.whose.url);
        put(URL.0, &(url.len() as u16).to_le_bytes());
        put(URL.1, url.as_bytes());
        let summed = summed(url.len());
        let sum = Sha256::digest(&block[..summed]);
        block[summed..summed + SUM].copy_from_slice(&sum);
        block
    }
}

/// Where the sum of all before it begins, with a URL of so many bytes.
fn summed(url: usize) -> usize {
    if URL.1 + url <= SECTOR - SUM { SECTOR - SUM } else { BLOCK - SUM }
}

/// As much of a URL as a note has.
fn cut(url: &str) -> &str {
    let end = (0..=URL.2.min(url.len())).rev().find(|end| url.is_char_boundary(*end)).unwrap_or(0);
    &url[..end]
}
