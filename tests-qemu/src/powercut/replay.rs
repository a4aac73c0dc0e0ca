//! The disk as it was at the moment of a cut: the original medium and the part of the log that had reached it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::log::{Log, What};
use super::random::Random;
use super::sparse;

/// Bytes that a disk writes as a whole or not at all.
const ATOM: u64 = 512;

/// What became of the writes that no flush had followed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// All are on the disk, in their order: a disk without a cache, or a QEMU that was killed.
    Kept,
    /// Each was kept, lost or torn: a disk with a cache. This seed decides.
    Lost(u64),
}

/// Writes `to`: `original` with the first `count` entries of the log.
pub fn disk(log: &Log, original: &Path, count: usize, cache: Cache, to: &Path) -> Result<()> {
    sparse::copy(original, to)?;
    let disk = File::options().write(true).open(to).with_context(|| format!("opening {}", to.display()))?;
    let entries = log.entries.get(..count).context("the cut is behind the end of the log")?;
    let flushed = entries.iter().rposition(|entry| entry.what == What::Flush).map_or(0, |index| index + 1);
    let mut luck = match cache {
        Cache::Kept => None,
        Cache::Lost(seed) => Some(Random::new(seed, "cache")),
    };
    for (index, entry) in entries.iter().enumerate() {
        let What::Write { at, length, data, durable } = entry.what else { continue };
        let parts = match &mut luck {
            Some(random) if index >= flushed && !durable => kept_parts(random, length),
            _ => whole(length),
        };
        for part in parts {
            disk.write_all_at(&log.bytes(data + part.start, part.end - part.start)?, at + part.start)?;
        }
    }
    Ok(())
}

fn whole(length: u64) -> Vec<Range<u64>> {
    std::iter::once(0..length).collect()
}

/// A third of the writes is kept, a third lost; of the others a beginning, an end, or every other atom is kept.
fn kept_parts(random: &mut Random, length: u64) -> Vec<Range<u64>> {
    let atoms = length / ATOM;
    match random.below(6) {
        0 | 1 => whole(length),
        2 | 3 => Vec::new(),
        4 => {
            let middle = random.below(atoms + 1) * ATOM;
            let part = if random.below(2) == 0 { 0..middle } else { middle..length };
            vec![part]
        }
        _ => (0..atoms).filter(|_| random.below(2) == 0).map(|atom| atom * ATOM..(atom + 1) * ATOM).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::{file, sample};
    use super::*;

    /// Twelve sectors of `.`, then writes of 1, 2, 3 …; `f` is a flush.
    fn after(entries: &[(u64, u8, u64, u64)], count: usize, cache: Cache) -> String {
        let (path, _dir) = file("log", &sample(entries));
        let original = path.with_extension("original");
        std::fs::write(&original, vec![b'.'; 12 * 512]).unwrap();
        let to = path.with_extension("disk");
        disk(&Log::read(&path).unwrap(), &original, count, cache, &to).unwrap();
        let bytes = std::fs::read(&to).unwrap();
        bytes
            .chunks(512)
            .map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector");
                char::from(sector[0])
            })
            .collect()
    }

    const WRITES: &[(u64, u8, u64, u64)] =
        &[(0, b'a', 4, 0), (2, b'b', 4, 0), (0, 0, 0, 1), (5, b'c', 4, 0), (0, b'd', 1, 2), (8, b'e', 4, 0)];

    #[test]
    fn without_a_cache_a_cut_leaves_a_prefix() {
        let disks: Vec<String> = (0..=WRITES.len()).map(|count| after(WRITES, count, Cache::Kept)).collect();
        let expected = [
            "............",
            "aaaa........",
            "aabbbb......",
            "aabbbb......",
            "aabbbcccc...",
            "dabbbcccc...",
            "dabbbccceeee",
        ];
        assert_eq!(disks, expected);
    }

    #[test]
    fn with_a_cache_only_what_was_flushed_is_certain() {
        let disks: Vec<String> = (0..60).map(|seed| after(WRITES, WRITES.len(), Cache::Lost(seed))).collect();
        for disk in &disks {
            // Before the flush, and forced through the cache.
            assert!(disk.starts_with("dabbb"), "{disk}");
        }
        let some = |what: &str, test: &dyn Fn(&str) -> bool| {
            assert!(disks.iter().any(|disk| test(disk)), "never {what}: {disks:?}");
        };
        some("all kept", &|disk| disk == "dabbbb......");
        some("all lost", &|disk| disk == "dabbbb......");
        some("the later without the earlier", &|disk| disk.ends_with("eeee") && !disk.contains('c'));
        some("a beginning", &|disk| disk.contains("bcc.") || disk.contains("bc."));
        some("an end", &|disk| disk.contains(".cc."));
        let again: Vec<String> = (0..60).map(|seed| after(WRITES, WRITES.len(), Cache::Lost(seed))).collect();
        assert_eq!(disks, again, "a seed decides");
    }
}
