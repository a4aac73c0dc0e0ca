//! The store of a device-mapper snapshot, read without device-mapper: few hosts of a lab have `dm-snapshot`, and the guest's kernel
//! must not be its own only witness.
//!
//! The format is the kernel's (`drivers/md/dm-snap-persistent.c`). All numbers are little-endian; a chunk is so many sectors as the header
//! says. Chunk 0 has the header: magic, whether it is valid, version, sectors of a chunk. Chunk 1 is a list of changes of 16 bytes each: the
//! chunk of the origin, and the chunk of the store that has it now. A zero for the latter ends the list; one that is full goes
//! on behind as many chunks as it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::sparse;

const MAGIC: u32 = 0x7041_6e53;
const SECTOR: u64 = 512;
const ENTRY: u64 = 16;
/// The first chunks of a store that begins with nothing, for those that look for one on a disk.
pub const BEGIN: &[u8] = b"SnAp\x01\0\0\0\x01\0\0\0\x08\0\0\0";
/// The same of one that our agent is clearing: not valid, and a word for the next boot.
const CLEARING: &[u8] = b"SnAp\0\0\0\0\x01\0\0\0\x08\0\0\0rdlive reset";

/// What a store says.
#[derive(Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes of a chunk.
    pub chunk: u64,
    /// By the chunk of the origin, the chunk of the store.
    pub changes: BTreeMap<u64, u64>,
}

/// Whether a reset has voided a store and was cut before it was empty: no kernel takes it then.
pub fn is_being_cleared(path: &Path) -> Result<bool> {
    let mut head = vec![0; CLEARING.len()];
    File::open(path)?.read_exact(&mut head).context("reading the header of the store")?;
    Ok(head == CLEARING)
}

impl Store {
    /// One without changes.
    pub fn empty() -> Self {
        Self { chunk: 4096, changes: BTreeMap::new() }
    }

    /// Reads header and lists.
    ///
    /// # Errors
    /// What no kernel would have written.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut head = [0; 16];
        (&file).read_exact(&mut head).context("reading the header of the store")?;
        let word = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        ensure!(word(0) == MAGIC, "the store has no header: {head:02x?}");
        ensure!(word(4) == 1 && word(8) == 1, "valid {}, version {}", word(4), word(8));
        let chunk = u64::from(word(12)) * SECTOR;
        ensure!(chunk.is_power_of_two() && (4096..=1 << 20).contains(&chunk), "chunks of {chunk} bytes");
        let (size, per_list) = (file.metadata()?.len() / chunk, chunk / ENTRY);
        let mut store = Self { chunk, changes: BTreeMap::new() };
        let mut taken = BTreeSet::new();
        let mut list = vec![0; usize::try_from(chunk)?];
        for place in (0..).map(|nth| 1 + nth * (per_list + 1)) {
            file.read_exact_at(&mut list, place * chunk).with_context(|| format!("reading list {place}"))?;
            let (entries, _) = list.as_chunks::<16>();
            let numbers = |entry: &[u8; 16]| {
                let number = |at: usize| entry[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                (number(0), number(8))
            };
            let named = entries.iter().map(numbers).take_while(|(_, new)| *new != 0);
            let before = store.changes.len();
            for (old, new) in named {
                ensure!(new < size && new > 1 && (new - 1) % (per_list + 1) != 0, "chunk {old} is said to be at {new}");
                ensure!(taken.insert(new), "chunk {new} is said to hold two");
                ensure!(store.changes.insert(old, new).is_none(), "chunk {old} is there twice");
            }
            let count = store.changes.len() - before;
            if (count as u64) < per_list {
                // What is behind the end would come to life as soon as the list reaches it.
                ensure!(
                    entries[count..].iter().all(|entry| *entry == [0; 16]),
                    "list {place} has {count} entries, and more"
                );
                break;
            }
        }
        Ok(store)
    }

    /// Writes the origin with its changes.
    pub fn merge(&self, origin: &Path, path: &Path, to: &Path) -> Result<()> {
        sparse::copy(origin, to)?;
        let (store, merged) = (File::open(path)?, File::options().write(true).open(to)?);
        let end = merged.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(self.chunk)?];
        for (old, new) in &self.changes {
            let at = old * self.chunk;
            ensure!(at < end, "chunk {old} is behind the end of the image");
            store.read_exact_at(&mut bytes, new * self.chunk)?;
            let length = (end - at).min(self.chunk);
            merged.write_all_at(&bytes[..usize::try_from(length)?], at)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::file;
    use super::*;

    /// A store of 600 chunks with these changes, each in the next chunk that is no list.
    fn sample(old: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut bytes = vec![0; 600 * 4096];
        bytes[..16].copy_from_slice(BEGIN);
        let mut new = 2;
        for (nth, old) in old.into_iter().enumerate() {
            let (list, index) = (1 + nth / 256 * 257, nth % 256);
            let at = list * 4096 + index * 16;
            bytes[at..at + 8].copy_from_slice(&old.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&(new as u64).to_le_bytes());
            bytes[new * 4096..(new + 1) * 4096].fill(old as u8);
            new += if (new - 1) % 257 == 256 { 2 } else { 1 };
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Store> {
        let (path, _dir) = file("store", bytes);
        Store::read(&path)
    }

    #[test]
    fn changes_of_two_lists_are_merged_into_the_image() {
        for count in [0, 1, 255, 256, 257, 400] {
            let bytes = sample((0..count).map(|nth| nth * 2));
            let (path, _dir) = file("store", &bytes);
            let store = Store::read(&path).unwrap();
            assert_eq!(store.changes.len() as u64, count);
            let (origin, to) = (path.with_extension("origin"), path.with_extension("merged"));
            // The last chunk of an image may be a part of one.
            std::fs::write(&origin, vec![0xaa; 800 * 4096 + 512]).unwrap();
            store.merge(&origin, &path, &to).unwrap();
            let merged = std::fs::read(&to).unwrap();
            assert_eq!(merged.len(), 800 * 4096 + 512);
            for (nth, chunk) in merged.chunks(4096).enumerate() {
                let expected = if nth % 2 == 0 && (nth as u64) < count * 2 { nth as u8 } else { 0xaa };
                assert!(chunk.iter().all(|byte| *byte == expected), "chunk {nth} of {count}");
            }
        }
    }

    #[test]
    fn what_no_kernel_writes_is_refused() {
        let sound = sample([5, 6, 7]);
        let with = |at: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes[at] = value;
            bytes
        };
        for (what, bytes, words) in [
            ("no magic", with(0, 0), "no header"),
            ("overflowed", with(4, 0), "valid 0"),
            ("another version", with(8, 2), "version 2"),
            ("odd chunks", with(12, 7), "chunks of"),
            ("a chunk behind the end", with(4096 + 8 + 2, 9), "is said to be at"),
            ("a chunk that is a list", with(4096 + 8, 1), "is said to be at"),
            ("one place for two", with(4096 + 16 + 8, 2), "is said to hold two"),
            ("two places for one", with(4096 + 16, 5), "is there twice"),
            ("something behind the end", with(4096 + 200, 1), "and more"),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(format!("{error:#}").contains(words), "{what}: {error:#}");
        }
        read(&sound).unwrap();
    }
}
