//! An image that is being written to a disk, and how a later boot knows that it never was complete (docs/decisions/0035-deployment.md).
//!
//! The disk's last MiB belongs to nobody until the image is there: its last two blocks say that the work is ours, each of them some of the
//! states, so that one is whole while the other is written. The image's first bytes,
//! [`HEAD`] of them, by which everybody knows it, are written last. Until then the disk begins with zeros. Before they are written, a copy
//! of them is in the last MiB, and the block says so with their sum: wherever a power cut comes, the next boot writes them once more. At the
//! end the last MiB is zeros again. In the same way the beginning of what is replaced is kept until it is zeros. Whoever has put something
//! else at the beginning meanwhile has a disk that is not ours any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// Bytes at the end that the image does not get.
pub(crate) const ROOM: u64 = 1 << 20;
/// A sum shows whether it was written as a whole.
const BLOCK: usize = 4096;
/// Bytes at the beginning that are written last: what has room beside both blocks.
pub(crate) const HEAD: usize = ROOM as usize - 2 * BLOCK;
const MAGIC: &[u8; 16] = b"rdlive deploying";
/// Where the sum of all before it begins.
const SUMMED: usize = BLOCK - 32;
/// Bytes of the URL that are kept, for people who look at the disk.
const TEXT: usize = 1024;

/// How far the work on a disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deploying {
    /// The image is being written; the disk begins with zeros.
    Writing,
    /// All of it is there but for these first bytes, which may be.
    Closing(Vec<u8>),
}

/// What an earlier boot of ours has begun on a disk of `size` bytes, if nobody has written there since.
///
/// # Errors
/// The disk cannot be read.
pub(crate) fn known(disk: &File, size: u64) -> io::Result<Option<Deploying>> {
    if size < 4 * ROOM {
        return Ok(None);
    }
    let mut blocks = [[0; BLOCK]; 2];
    for (block, state) in blocks.iter_mut().zip([WRITING, CLOSING]) {
        disk.read_exact_at(block, place(size, state))?;
    }
    let ours = blocks.iter().filter(|block| is_ours(block, size));
    let Some(block) = ours.max_by_key(|block| block[24]) else { return Ok(None) };
    let (mut copy, mut head) = (vec![0; HEAD], vec![0; HEAD]);
    disk.read_exact_at(&mut copy, size - ROOM)?;
    disk.read_exact_at(&mut head, 0)?;
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let is_torn = || {
        let same = |(there, wanted): (&[u8], &[u8])| there == wanted || zeros(there);
        Sha256::digest(&copy)[..] == block[32..64] && head.chunks(512).zip(copy.chunks(512)).all(same)
    };
    Ok(match block[24] {
        // A copy that was being made is of no use, and there is no harm in it.
        WRITING if zeros(&head) => Some(Deploying::Writing),
        CLEARING if is_torn() => Some(Deploying::Writing),
        CLOSING if is_torn() => Some(Deploying::Closing(copy)),
        _ => None,
    })
}

/// States, in their order: what was at the beginning before becomes zeros; the image is being written; its first bytes are.
const CLEARING: u8 = 1;
const WRITING: u8 = 2;
const CLOSING: u8 = 3;

/// Where the block of a state is: never where that of the state before is.
fn place(size: u64, state: u8) -> u64 {
    size - BLOCK as u64 * if state == WRITING { 2 } else { 1 }
}

fn is_ours(block: &[u8; BLOCK], size: u64) -> bool {
    let sum = Sha256::digest(&block[..SUMMED]);
    block.starts_with(MAGIC) && block[16..24] == size.to_le_bytes() && block[SUMMED..] == sum[..]
}

fn block(size: u64, url: &str, state: u8, copy: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..16].copy_from_slice(MAGIC);
    block[16..24].copy_from_slice(&size.to_le_bytes());
    block[24] = state;
    block[32..64].copy_from_slice(&Sha256::digest(copy));
    let text = &url.as_bytes()[..url.len().min(TEXT)];
    block[64..64 + text.len()].copy_from_slice(text);
    let sum = Sha256::digest(&block[..SUMMED]);
    block[SUMMED..].copy_from_slice(&sum);
    block
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

impl Disk for File {
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
    /// What would be taken for something of use behind the new image, as first byte and length: it becomes zeros first.
    pub places: Vec<(u64, u64)>,
}

/// Says on a disk that an image from this URL (without credentials) is being written to it, and makes it begin with zeros, where it does
/// not.
///
/// # Errors
/// What the disk says.
pub(crate) fn begin(disk: &dyn Disk, size: u64, url: &str, old: Option<&Old>) -> io::Result<()> {
    let mark = |state, copy: &[u8]| {
        disk.write(&block(size, url, state, copy), place(size, state))?;
        disk.sync()
    };
    let Some(Old { head, places }) = old else { return mark(WRITING, &[]) };
    for (at, length) in places {
        zero(disk, *at, *length)?;
    }
    disk.sync()?;
    disk.write(head, size - ROOM)?;
    disk.sync()?;
    mark(CLEARING, head)?;
    zero(disk, 0, HEAD as u64)?;
    disk.sync()?;
    mark(WRITING, &[])
}

/// Ends a deployment of which all but the first bytes is there: these, and nothing of ours at the end.
///
/// # Errors
/// What the disk says.
pub(crate) fn close(disk: &dyn Disk, size: u64, url: &str, head: &[u8]) -> io::Result<()> {
    disk.sync()?;
    let mut whole = head.to_vec();
    whole.resize(HEAD, 0);
    disk.write(&whole, size - ROOM)?;
    disk.sync()?;
    disk.write(&block(size, url, CLOSING, &whole), place(size, CLOSING))?;
    disk.sync()?;
    finish(disk, size, &whole)
}

/// Writes the first bytes, which are in the last MiB too, and frees that.
///
/// # Errors
/// What the disk says.
pub(crate) fn finish(disk: &dyn Disk, size: u64, head: &[u8]) -> io::Result<()> {
    disk.write(head, 0)?;
    disk.sync()?;
    // The block of this state first: what the other one says is not so any more.
    zero(disk, place(size, CLOSING), BLOCK as u64)?;
    disk.sync()?;
    zero(disk, size - ROOM, ROOM)?;
    disk.sync()
}

fn zero(disk: &dyn Disk, at: u64, length: u64) -> io::Result<()> {
    const PART: u64 = 256 << 10;
    let zeros = vec![0; PART as usize];
    let mut done = 0;
    while done < length {
        let part = PART.min(length - done);
        disk.write(&zeros[..part as usize], at + done)?;
        done += part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Read;

    use super::*;

    const SIZE: u64 = 8 << 20;

    /// Where, and what; `None` is a flush.
    type Entry = Option<(u64, Vec<u8>)>;

    /// Remembers writes.
    #[derive(Default)]
    struct Log(RefCell<Vec<Entry>>);

    impl Disk for Log {
        fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            // In pieces, as a disk takes them: a cut may come between any two.
            for (number, piece) in bytes.chunks(128 << 10).enumerate() {
                self.0.borrow_mut().push(Some((at + (number as u64 * (128 << 10)), piece.to_vec())));
            }
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            self.0.borrow_mut().push(None);
            Ok(())
        }
    }

    fn image(seed: u8) -> Vec<u8> {
        (0..5 << 20).map(|at: usize| (at as u8).wrapping_mul(31) ^ (at >> 9) as u8 ^ seed).collect()
    }

    /// The writes of a whole deployment of an image.
    fn deployed(log: &Log, image: &[u8], old: Option<&Old>) {
        begin(log, SIZE, "http://h/x", old).unwrap();
        log.write(&image[HEAD..], HEAD as u64).unwrap();
        close(log, SIZE, "http://h/x", &image[..HEAD]).unwrap();
    }

    fn disk(before: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        file.write_all_at(before, 0).unwrap();
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut file = file;
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// At each of some 180 cuts, with what the disk's cache holds kept, lost, or torn, the disk is what it was, ours and unfinished, or
    /// complete; and what is unfinished ends complete.
    #[test]
    fn wherever_the_power_is_cut_the_work_is_known() {
        let (old, new) = (image(0), image(0x55));
        let replaced = Old { head: old[..HEAD].to_vec(), places: vec![(6 << 20, 64 << 10)] };
        for (before, replaced) in [(&[][..], None), (&old[..], Some(&replaced))] {
            let log = Log::default();
            deployed(&log, &new, replaced);
            let writes = log.0.into_inner();
            assert!(writes.len() > 60, "{}", writes.len());
            for cut in 0..=writes.len() {
                for cache in ["kept", "lost", "every second", "half of the last"] {
                    let file = disk(before);
                    let flushed = writes[..cut].iter().rposition(Option::is_none).map_or(0, |at| at + 1);
                    for (number, write) in writes[..cut].iter().enumerate() {
                        let Some((at, bytes)) = write else { continue };
                        let is_safe = number < flushed;
                        let length = match cache {
                            "lost" if !is_safe => 0,
                            "every second" if !is_safe && number % 2 == 0 => 0,
                            "half of the last" if !is_safe && number + 1 == cut => bytes.len() / 1024 * 512,
                            _ => bytes.len(),
                        };
                        file.write_all_at(&bytes[..length], *at).unwrap();
                    }
                    let (state, now) = (known(&file, SIZE).unwrap(), content(&file));
                    let begins_as = |image: &[u8]| !image.is_empty() && now[..HEAD] == image[..HEAD];
                    let why = || format!("cut at {cut} of {}, cache {cache}: {state:?}", writes.len());
                    match &state {
                        Some(Deploying::Writing) => {
                            let zero_or_old = |(at, byte): (usize, &u8)| *byte == 0 || before.get(at) == Some(byte);
                            assert!(now[..HEAD].iter().enumerate().all(zero_or_old), "{}", why());
                        }
                        Some(Deploying::Closing(head)) => {
                            assert!(
                                *head == new[..HEAD] && now[HEAD..new.len()] == new[HEAD..],
                                "cut at {cut}, {cache}"
                            );
                            finish(&file, SIZE, head).unwrap();
                            assert!(content(&file)[..new.len()] == new && known(&file, SIZE).unwrap().is_none());
                        }
                        // Nothing has been done that anybody would see, the old image is whole, or the new one is.
                        None if begins_as(&new) => assert!(now[..new.len()] == new, "cut at {cut}, {cache}"),
                        None if before.is_empty() => {
                            assert!(now.iter().all(|byte| *byte == 0) || torn_at_start(&now), "{}", why())
                        }
                        None => assert!(begins_as(&old), "{}", why()),
                    }
                }
            }
        }
    }

    /// The block itself was not there yet, and what came before it is zeros.
    fn torn_at_start(now: &[u8]) -> bool {
        now[..now.len() - 2 * BLOCK].iter().all(|byte| *byte == 0)
    }

    #[test]
    fn what_somebody_else_has_begun_since_is_not_ours() {
        let new = image(1);
        let file = disk(&[]);
        begin(&file, SIZE, "http://h/x", None).unwrap();
        assert_eq!(known(&file, SIZE).unwrap(), Some(Deploying::Writing));
        for at in [0, 510, 1024, 32_768, HEAD as u64 - 1] {
            file.write_all_at(b"x", at).unwrap();
            assert_eq!(known(&file, SIZE).unwrap(), None, "{at}");
            file.write_all_at(b"\0", at).unwrap();
        }
        // A disk of another size is another one: a copy of ours.
        assert_eq!(known(&file, SIZE - 512).unwrap(), None);
        file.write_all_at(&new[HEAD..], HEAD as u64).unwrap();
        let mut head = new[..HEAD].to_vec();
        file.write_all_at(&head, SIZE - ROOM).unwrap();
        file.write_all_at(&block(SIZE, "", CLOSING, &head), place(SIZE, CLOSING)).unwrap();
        assert!(matches!(known(&file, SIZE).unwrap(), Some(Deploying::Closing(_))));
        file.write_all_at(b"a table of somebody", 440).unwrap();
        assert_eq!(known(&file, SIZE).unwrap(), None);
        file.write_all_at(&new[..HEAD], 0).unwrap();
        assert!(matches!(known(&file, SIZE).unwrap(), Some(Deploying::Closing(_))));
        // A copy that is not what the block says.
        head[7] ^= 1;
        file.write_all_at(&head, SIZE - ROOM).unwrap();
        assert_eq!(known(&file, SIZE).unwrap(), None);
        assert_eq!(known(&disk(&[]), SIZE).unwrap(), None);
        assert_eq!(known(&disk(&[]), 4096).unwrap(), None);
    }
}
