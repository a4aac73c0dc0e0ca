//! An image that is being written to a disk, and how a later boot knows how far that is (docs/decisions/0035-deployment.md).
//!
//! The disk's last MiB belongs to nobody until the image is there: notes in its last two blocks say that the work is ours. They take turns,
//! so that one is whole while the other is written; the one of the higher number counts. The image's first bytes, [`HEAD`] of them, by which
//! everybody knows it, are written last. Until then the disk begins with zeros, and the notes say how many bytes there are. Before the first
//! ones are written, a copy of them is in the last MiB, and a note says so with their sum: wherever a power cut comes, the next boot writes
//! them once more. At the end the last MiB is zeros again, but for a mark by which the image is found whatever the disk is called then
//! (docs/decisions/0040-found-by-its-mark.md). In the same way the beginning of what is replaced is kept until it is zeros. Whoever has put
//! something else at the beginning meanwhile has a disk that is not ours any more.

mod note;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use note::{BLOCK, Note, State};

/// Bytes at the end that the image does not get.
pub(crate) const ROOM: u64 = crate::layout::DEPLOYED_ROOM;
/// Bytes at the beginning that are written last: what has room beside both blocks.
pub(crate) const HEAD: usize = ROOM as usize - 2 * BLOCK;
/// A table that is changed for a partition lies in front of this byte, in sectors of any size; an image is known by what is behind it.
const TABLE: usize = 32 << 10;

/// What an image on a disk is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whose {
    /// Where it comes from, without credentials.
    pub url: String,
    /// A sum of all by which the same file is known again; without it nothing is gone on with.
    pub file: Option<[u8; 32]>,
    /// A sum of the name that the disk has wherever it is, if it is known.
    pub disk: Option<[u8; 7]>,
}

impl Whose {
    /// Whether work that was begun is on the same file, and the disk is none that is known to be another one.
    pub(crate) fn goes_on_with(&self, begun: &Self) -> bool {
        let is_other = |disk: [u8; 7]| begun.disk.is_some_and(|begun| begun != disk);
        self.file.is_some() && self.file == begun.file && !self.disk.is_some_and(is_other)
    }
}

/// How far the work on a disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deploying {
    /// What was there before, of which these are the first bytes, becomes zeros.
    Clearing(Vec<u8>),
    /// The image is being written; the disk begins with zeros.
    Writing {
        /// Bytes from the beginning that are there, but for the first ones.
        done: u64,
    },
    /// All of it is there but for these first bytes, which may be.
    Closing(Vec<u8>),
    /// All of it is there.
    Whole,
}

/// What an earlier boot of ours has done on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub whose: Whose,
    pub how_far: Deploying,
}

/// What an earlier boot of ours has done on a disk of `size` bytes, if nobody has written there since.
///
/// # Errors
/// The disk cannot be read.
pub(crate) fn known(disk: &File, size: u64) -> io::Result<Option<Known>> {
    if size < 4 * ROOM {
        return Ok(None);
    }
    let (note, mark) = (newest(disk, size)?, Note::read(disk, size, size - ROOM)?);
    if note.is_none() && mark.is_none() {
        return Ok(None);
    }
    let mut head = vec![0; HEAD];
    disk.read_exact_at(&mut head, 0)?;
    if let Some(note) = note {
        let mut copy = vec![0; HEAD];
        disk.read_exact_at(&mut copy, size - ROOM)?;
        if let Some(how_far) = unfinished(&note, &head, copy) {
            return Ok(Some(Known { whose: note.whose, how_far }));
        }
    }
    let whole = mark.filter(|mark| mark.state == State::Whole && mark.sum[..] == Sha256::digest(&head[TABLE..])[..]);
    Ok(whole.map(|mark| Known { whose: mark.whose, how_far: Deploying::Whole }))
}

fn unfinished(note: &Note, head: &[u8], copy: Vec<u8>) -> Option<Deploying> {
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let is_torn = || {
        let same = |(there, wanted): (&[u8], &[u8])| there == wanted || zeros(there);
        Sha256::digest(&copy)[..] == note.sum && head.chunks(512).zip(copy.chunks(512)).all(same)
    };
    match note.state {
        // A copy that was being made is of no use, and there is no harm in it.
        State::Writing if zeros(head) => Some(Deploying::Writing { done: note.done }),
        State::Clearing if is_torn() => Some(Deploying::Clearing(copy)),
        State::Closing if is_torn() => Some(Deploying::Closing(copy)),
        _ => None,
    }
}

/// The note that counts, whatever else is on the disk.
fn newest(disk: &File, size: u64) -> io::Result<Option<Note>> {
    let [one, other] = [0, 1].map(|number| Note::read(disk, size, place(size, number)));
    Ok(one?.into_iter().chain(other?).max_by_key(|note| note.number))
}

/// Where the note of a number is: never where that of the one before is.
fn place(size: u64, number: u64) -> u64 {
    size - BLOCK as u64 * (1 + number % 2)
}

/// A disk as far as a deployment writes to it; a test has one that remembers each write.
pub(crate) trait Disk {
    /// Writes bytes there.
    ///
    /// # Errors
    /// What the disk says.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// All that was written is on the disk.
    ///
    /// # Errors
    /// What the disk says.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for Arc<File> {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What is on a disk that is given away.
pub(crate) struct Old {
    /// Its first [`HEAD`] bytes.
    pub head: Vec<u8>,
    /// What would be taken for something of use behind the new image, as first byte and length: it becomes zeros too.
    pub places: Vec<(u64, u64)>,
}

/// The number of the last note on a disk, which the next one has to exceed.
///
/// # Errors
/// The disk cannot be read.
pub(crate) fn number(disk: &File, size: u64) -> io::Result<u64> {
    Ok(newest(disk, size)?.map_or(0, |note| note.number))
}

/// A deployment on a disk of `size` bytes, which is noted there.
pub(crate) struct Notes<D> {
    disk: D,
    size: u64,
    whose: Whose,
    /// Of the last note.
    number: u64,
}

impl<D: Disk> Notes<D> {
    /// One that was begun, with the number of its last note.
    pub(crate) fn of(disk: D, size: u64, whose: Whose, number: u64) -> Self {
        Self { disk, size, whose, number }
    }

    /// Says that the image is being written, and makes the disk begin with zeros, where it does not.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn begin(&mut self, old: Option<&Old>) -> io::Result<()> {
        let Some(Old { head, places }) = old else { return self.note(State::Writing, &[], 0) };
        self.disk.write(head, self.size - ROOM)?;
        self.disk.sync()?;
        // Up to here it is what it was; from here on it is ours.
        self.note(State::Clearing, head, 0)?;
        self.zero(0, HEAD as u64)?;
        for (at, length) in places {
            self.zero(*at, *length)?;
        }
        self.disk.sync()?;
        self.note(State::Writing, &[], 0)?;
        // Nobody is to find at the end what was at the beginning.
        self.zero(self.size - ROOM, HEAD as u64)?;
        self.disk.sync()
    }

    /// Notes that so many bytes from the beginning are there, but for the first ones. They have to be on the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn came(&mut self, done: u64) -> io::Result<()> {
        self.note(State::Writing, &[], done)
    }

    /// Ends a deployment of which all but the first bytes is there: these, and a mark at the end.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn close(&mut self, head: &[u8]) -> io::Result<()> {
        self.disk.sync()?;
        let mut whole = head.to_vec();
        whole.resize(HEAD, 0);
        self.disk.write(&whole, self.size - ROOM)?;
        self.disk.sync()?;
        self.note(State::Closing, &whole, 0)?;
        self.finish(&whole)
    }

    /// Writes the first bytes, which are in the last MiB too, and frees that but for the mark.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn finish(&self, head: &[u8]) -> io::Result<()> {
        self.disk.write(head, 0)?;
        self.disk.sync()?;
        // The notes first: what they say is not so any more.
        self.zero(self.size - 2 * BLOCK as u64, 2 * BLOCK as u64)?;
        self.disk.sync()?;
        let mark = self.block(State::Whole, &head[TABLE..], 0);
        self.disk.write(&mark, self.size - ROOM)?;
        self.zero(self.size - ROOM + BLOCK as u64, ROOM - 3 * BLOCK as u64)?;
        self.disk.sync()
    }

    fn note(&mut self, state: State, copy: &[u8], done: u64) -> io::Result<()> {
        self.number += 1;
        self.disk.write(&self.block(state, copy, done), place(self.size, self.number))?;
        self.disk.sync()
    }

    fn block(&self, state: State, summed: &[u8], done: u64) -> Vec<u8> {
        let sum = Sha256::digest(summed).into();
        Note { state, number: self.number, sum, done, whose: self.whose.clone() }.bytes(self.size)
    }

    fn zero(&self, at: u64, length: u64) -> io::Result<()> {
        const PART: u64 = 256 << 10;
        let zeros = vec![0; PART as usize];
        let mut done = 0;
        while done < length {
            let part = PART.min(length - done);
            self.disk.write(&zeros[..part as usize], at + done)?;
            done += part;
        }
        Ok(())
    }
}
