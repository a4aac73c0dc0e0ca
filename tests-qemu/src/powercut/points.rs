//! Where the power is cut: every write to a table, those to superblocks, and a seeded choice of all others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use super::log::{Log, What};
use super::random::Random;
use super::recording::ANNOUNCED;
use super::replay::Cache;
use super::reset::Old;

/// One cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Entries of the log in front of it.
    pub after: usize,
    /// What became of the disk's cache.
    pub cache: Cache,
    /// Why here.
    pub why: &'static str,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after entry {}", self.why, self.after)?;
        match self.cache {
            Cache::Kept => Ok(()),
            Cache::Lost(seed) => write!(f, " (cache {seed:x})"),
        }
    }
}

/// Which part of a recording is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The area is made.
    Creation,
    /// It is made, after a cut in the first attempt.
    SecondCreation,
    /// A place with changes is emptied.
    Reset(Old),
    /// The guest writes files.
    Use,
    /// Any: QEMU is killed.
    Killed,
}

/// What on the disk deserves a cut at every write.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    /// Partition tables, or a directory.
    pub tables: Vec<Range<u64>>,
    /// Superblocks of the area.
    pub superblocks: Vec<Range<u64>>,
    /// Entries of the log around which what is there changes its meaning: a cut in front of each.
    pub turns: Vec<usize>,
    /// So many entries at the beginning, while the file system around a cow file becomes writable.
    pub first: usize,
}

/// Chooses `count` points of a phase: in a creation those at landmarks first, or some of them if there are more. There are fewer only
/// where a cut is at every place already.
pub fn choose(log: &Log, phase: Phase, landmarks: &Landmarks, count: usize, seed: u64) -> Vec<Point> {
    let started = started(log);
    let creation = matches!(phase, Phase::Creation | Phase::SecondCreation | Phase::Reset(_));
    let range = if creation { 0..started } else { started + 1..log.entries.len() };
    let mut random = Random::new(seed, if creation { "creation" } else { "use" });
    // By place, so that each is there once: with the cache kept (0), or lost.
    let mut chosen = BTreeMap::new();
    if creation {
        chosen.insert((0, 0), point(0, Cache::Kept, "before the first write"));
        for turn in landmarks.turns.iter().filter(|turn| range.contains(turn)) {
            chosen.insert((*turn, 0), point(*turn, Cache::Kept, "at a turn"));
        }
        for index in writes(log, &range) {
            if touches(log, index, &landmarks.tables) {
                chosen.insert((index, 0), point(index, Cache::Kept, "before a write to the table"));
                chosen.insert((index + 1, 0), point(index + 1, Cache::Kept, "after a write to the table"));
            } else if touches(log, index, &landmarks.superblocks) {
                let after = point(index + 1, Cache::Kept, "after a write to a superblock");
                chosen.entry((index + 1, 0)).or_insert(after);
            } else if index < landmarks.first {
                chosen.entry((index + 1, 0)).or_insert(point(index + 1, Cache::Kept, "in the first writes"));
            }
        }
    }
    while chosen.len() > count.max(1) {
        let nth = random.below(chosen.len() as u64) as usize;
        if let Some(key) = chosen.keys().nth(nth).copied() {
            chosen.remove(&key);
        }
    }
    let wanted = count.saturating_sub(chosen.len());
    let cached = log.entries.iter().filter(|entry| entry.what == What::Flush).count() > 4;
    let length = range.len() as u64;
    for stratum in 0..wanted as u64 {
        let before = chosen.len();
        for attempt in 0..100_u32 {
            // Spread over the phase; when all places nearby are taken, anywhere.
            let (first, width) = match attempt < 10 {
                true => (stratum * length / wanted as u64, length / wanted as u64),
                false => (0, length),
            };
            let index = range.start + (first + random.below(width.max(1))) as usize;
            let new = if cached && random.below(2) == 0 {
                // Just before a flush the cache is fullest.
                let flush = (index..range.end).find(|at| log.entries[*at].what == What::Flush);
                point(flush.unwrap_or(index), Cache::Lost(random.next()), "somewhere, with the cache lost")
            } else {
                point((index + 1).min(range.end), Cache::Kept, "somewhere")
            };
            let mut loss = u64::from(new.cache != Cache::Kept);
            // Where all places are taken, the cache of one can be lost in another way.
            while loss > 0 && attempt >= CROWDED && chosen.contains_key(&(new.after, loss)) {
                loss += 1;
            }
            if let Entry::Vacant(place) = chosen.entry((new.after, loss)) {
                place.insert(new);
                break;
            }
        }
        let vacant = || (range.start + 1..=range.end).find(|after| !chosen.contains_key(&(*after, 0)));
        if let Some(after) = (chosen.len() == before).then(vacant).flatten() {
            chosen.insert((after, 0), point(after, Cache::Kept, "somewhere"));
        }
    }
    chosen.into_values().collect()
}

/// So many places were taken already.
const CROWDED: u32 = 60;

/// A point at which the table does not have the area yet, and something has been written.
pub fn unfinished(log: &Log, landmarks: &Landmarks, random: &mut Random) -> Point {
    let creation = 0..started(log);
    let commit = writes(log, &creation).filter(|index| touches(log, *index, &landmarks.tables)).last();
    let end = commit.unwrap_or(creation.end) as u64;
    point(1 + random.below(end.max(1)) as usize, Cache::Kept, "somewhere before the commit")
}

/// The place of the mark at which the guest begins to use its root.
fn started(log: &Log) -> usize {
    let first = log.entries.iter().position(|entry| matches!(entry.what, What::Mark(_)));
    first.unwrap_or(log.entries.len())
}

fn point(after: usize, cache: Cache, why: &'static str) -> Point {
    Point { after, cache, why }
}

fn writes<'a>(log: &'a Log, range: &Range<usize>) -> impl Iterator<Item = usize> + 'a {
    range.clone().filter(|index| matches!(log.entries[*index].what, What::Write { .. }))
}

fn touches(log: &Log, index: usize, table: &[Range<u64>]) -> bool {
    let What::Write { at, length, .. } = log.entries[index].what else { return false };
    table.iter().any(|range| at < range.end && range.start < at + length)
}

/// The number in the last mark in front of a cut: that file, and all before it, were announced as being on the disk.
pub fn promised(log: &Log, after: usize) -> Option<u32> {
    log.entries[..after].iter().rev().find_map(|entry| match &entry.what {
        What::Mark(text) => text.strip_prefix(ANNOUNCED)?.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::{file, sample};
    use super::super::log::with_marks;
    use super::*;

    /// 40 writes, a flush after every fourth; the table is written by number 20, a superblock by number 10.
    fn log() -> Log {
        let mut entries = Vec::new();
        for number in 0..40 {
            let place = match number {
                20 => 1,
                10 => 100,
                other => 1000 + other,
            };
            entries.push((place, number as u8, 1, 0));
            if number % 4 == 3 {
                entries.push((0, 0, 0, 1));
            }
        }
        let (path, _dir) = file("log", &sample(&entries));
        let out = path.with_extension("marked");
        // Each write takes two sectors of the log, each flush one, and one comes first: the use begins behind 36 writes.
        let marks: Vec<_> =
            (0..4).map(|number| (512 * (1 + 9 * (9 + number) - 1), format!("LAB-SYNCED {number}"))).collect();
        with_marks(&path, &marks[..1], &out).unwrap();
        Log::read(&out).unwrap()
    }

    fn landmarks() -> Landmarks {
        let bytes = |range| std::iter::once(range).collect();
        Landmarks { tables: bytes(512..1024), superblocks: bytes(100 * 512..108 * 512), ..Landmarks::default() }
    }

    #[test]
    fn landmarks_come_first_among_the_points_of_a_creation() {
        for (count, seed) in [(2, 1), (4, 1), (12, 1), (12, 2), (30, 9)] {
            let points = choose(&log(), Phase::Creation, &landmarks(), count, seed);
            // Flushes stand in front of number 10 (two) and number 20 (five).
            let is_one = |after: &usize| {
                points
                    .iter()
                    .any(|point| point.after == *after && point.cache == Cache::Kept && point.why != "somewhere")
            };
            let found = [0, 13, 25, 26].iter().filter(|after| is_one(after)).count();
            assert_eq!(found, count.min(4), "{count}: {points:?}");
            assert_eq!(points.len(), count, "{points:?}");
            assert!(points.is_sorted_by_key(|point| point.after), "{points:?}");
            assert_eq!(points, choose(&log(), Phase::Creation, &landmarks(), count, seed), "a seed decides");
        }
        let (one, two) = [1, 2].map(|seed| choose(&log(), Phase::Creation, &landmarks(), 12, seed)).into();
        assert_ne!(one, two);
    }

    #[test]
    fn there_are_as_many_as_were_asked_for_while_there_are_places() {
        // Without a flush no cache can be lost: then a place is cut once.
        let mut log = log();
        log.entries.retain(|entry| entry.what != What::Flush);
        let places = started(&log) + 1;
        for (count, expected) in [(1, 1), (30, 30), (places - 1, places - 1), (places, places), (places + 9, places)] {
            for seed in 0..20 {
                let points = choose(&log, Phase::Creation, &landmarks(), count, seed);
                assert_eq!(points.len(), expected, "{count} {seed}");
            }
        }
    }

    #[test]
    fn turns_get_a_cut_each() {
        let landmarks = Landmarks { turns: vec![7, 9, 4000], ..Landmarks::default() };
        let points = choose(&log(), Phase::Reset(Old::Other), &landmarks, 6, 1);
        assert_eq!(points.len(), 6, "{points:?}");
        for turn in [0, 7, 9] {
            assert!(points.contains(&point(
                turn,
                Cache::Kept,
                if turn == 0 { "before the first write" } else { "at a turn" }
            )));
        }
    }

    #[test]
    fn points_of_the_use_lie_behind_its_begin() {
        let log = log();
        let started = log.entries.iter().position(|entry| matches!(entry.what, What::Mark(_))).unwrap();
        for seed in 0..20 {
            for point in choose(&log, Phase::Use, &landmarks(), 3, seed) {
                assert!(point.after > started && promised(&log, point.after) == Some(0), "{point:?}");
            }
        }
        assert_eq!(promised(&log, started), None);
    }
}
