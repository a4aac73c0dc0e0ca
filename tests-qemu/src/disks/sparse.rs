//! Large files that are almost empty: what of them is there, copied, put into others, and compared.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Result, ensure};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};

const STEP: usize = 1 << 16;
/// Within a step that differs, this many bytes are looked at one by one.
const FINE: usize = 512;

/// Where a sparse file has data.
pub fn data(file: &File) -> Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(start) = seek(file, SeekFrom::Data(at)) {
        let end = seek(file, SeekFrom::Hole(start))?;
        found.push(start..end);
        at = end;
    }
    Ok(found)
}

/// Makes a place of a file empty again.
pub fn empty(file: &File, place: &Range<u64>) -> Result<()> {
    let length = place.end - place.start;
    if length > 0 {
        fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, place.start, length)?;
    }
    Ok(())
}

/// Puts what is in `from` at a place of `to`, which is empty there; as much of it as `to` has room for.
pub fn put(from: &File, to: &File, at: u64) -> Result<()> {
    let room = to.metadata()?.len().saturating_sub(at);
    let mut bytes = vec![0; STEP];
    for stretch in data(from)? {
        let mut place = stretch.start;
        while place < stretch.end.min(room) {
            let step = STEP.min(usize::try_from(stretch.end.min(room) - place)?);
            from.read_exact_at(&mut bytes[..step], place)?;
            to.write_all_at(&bytes[..step], at + place)?;
            place += step as u64;
        }
    }
    Ok(())
}

/// Copies a file.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (File::open(from)?, File::create_new(to)?);
    to.set_len(from.metadata()?.len())?;
    put(&from, &to, 0)
}

/// Stretches of bytes outside of `allowed` in which two files differ.
pub fn changed(before: &Path, after: &Path, allowed: &[Range<u64>]) -> Result<Vec<Range<u64>>> {
    let (old, new) = (File::open(before)?, File::open(after)?);
    ensure!(old.metadata()?.len() == new.metadata()?.len(), "the disk's length changed");
    let (mut one, mut two) = (vec![0; STEP], vec![0; STEP]);
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut done = 0;
    for stretch in without(union([data(&old)?, data(&new)?].concat()), allowed) {
        let mut at = stretch.start.max(done);
        while at < stretch.end {
            let step = STEP.min(usize::try_from(stretch.end - at)?);
            old.read_exact_at(&mut one[..step], at)?;
            new.read_exact_at(&mut two[..step], at)?;
            if one[..step] != two[..step] {
                differing(&one[..step], &two[..step], at, &mut found);
            }
            at += step as u64;
        }
        done = done.max(stretch.end);
    }
    Ok(found)
}

fn differing(one: &[u8], two: &[u8], at: u64, found: &mut Vec<Range<u64>>) {
    for (nth, (one, two)) in one.chunks(FINE).zip(two.chunks(FINE)).enumerate().filter(|(_, (one, two))| one != two) {
        for index in (0..one.len()).filter(|index| one[*index] != two[*index]) {
            let byte = at + (nth * FINE + index) as u64;
            match found.last_mut().filter(|last| last.end == byte) {
                Some(last) => last.end = byte + 1,
                None => found.push(byte..byte + 1),
            }
        }
    }
}

/// Sorted, and none meets another.
fn union(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut found: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match found.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => found.push(range),
        }
    }
    found
}

fn without(ranges: Vec<Range<u64>>, taken: &[Range<u64>]) -> Vec<Range<u64>> {
    taken.iter().fold(ranges, |ranges, taken| {
        let cut = |range: Range<u64>| [range.start..range.end.min(taken.start), range.start.max(taken.end)..range.end];
        ranges.into_iter().flat_map(cut).filter(|range| range.start < range.end).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_byte_is_found_and_none_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = (dir.path().join("before"), dir.path().join("after"));
        let file = File::create_new(&before).unwrap();
        file.set_len(4 << 20).unwrap();
        for at in [0, 1 << 20, (3 << 20) + 77] {
            file.write_all_at(&[7; 5000], at).unwrap();
        }
        copy(&before, &after).unwrap();
        assert!(changed(&before, &after, &[]).unwrap().is_empty());
        let file = File::options().read(true).write(true).open(&after).unwrap();
        assert!(data(&file).unwrap().len() > 1, "the copy has no holes");
        // In data, in a hole, data that is made a hole, and the last byte.
        file.write_all_at(&[8, 8], 4999).unwrap();
        file.write_all_at(&[1], 2 << 20).unwrap();
        empty(&file, &((1 << 20)..(1 << 20) + 8192)).unwrap();
        file.write_all_at(&[1], (4 << 20) - 1).unwrap();
        let all = [4999..5001, 1 << 20..(1 << 20) + 5000, 2 << 20..(2 << 20) + 1, (4 << 20) - 1..4 << 20];
        assert_eq!(changed(&before, &after, &[]).unwrap(), all);
        assert_eq!(changed(&before, &after, &[0..5001, (2 << 20) - 9..4 << 20]).unwrap(), all[1..2]);
        assert_eq!(changed(&before, &after, &[0..4999, 5000..4 << 20]).unwrap().len(), 1);
        assert!(changed(&before, &after, &all).unwrap().is_empty());
        file.set_len(1).unwrap();
        assert!(changed(&before, &after, &[]).is_err(), "another length");
    }
}
