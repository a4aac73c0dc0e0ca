//! Large files with holes, copied and compared without looking at what is not there: a disk is mostly that, and there is one for
//! each cut.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Bytes that are looked at in one go.
const STEP: u64 = 1 << 18;
/// What is zero over this length becomes a hole in a copy.
const PAGE: usize = 4096;

/// Copies a range of a file to the begin of a new one; zeros become holes.
pub fn cut_out(from: &Path, range: &Range<u64>, to: &Path) -> Result<()> {
    let fail = || format!("copying {} to {}", from.display(), to.display());
    let (old, new) = (File::open(from).with_context(fail)?, File::create(to).with_context(fail)?);
    new.set_len(range.end - range.start)?;
    let mut buffer = vec![0; STEP as usize];
    let mut at = range.start;
    while let Some(place) = data(&old, at, range.end)? {
        let bytes = &mut buffer[..(place.end - place.start).min(STEP) as usize];
        old.read_exact_at(bytes, place.start).with_context(fail)?;
        at = place.start + bytes.len() as u64;
        for (index, page) in bytes.chunks(PAGE).enumerate() {
            if !is_zero(page) {
                new.write_all_at(page, place.start - range.start + (index * PAGE) as u64).with_context(fail)?;
            }
        }
    }
    Ok(())
}

/// Copies a whole file.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let length = std::fs::metadata(from).with_context(|| format!("looking at {}", from.display()))?.len();
    cut_out(from, &(0..length), to)
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Whole words: the lab is built with little optimisation.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// Compares two files byte by byte outside of the allowed ranges.
pub fn same_outside(before: &Path, after: &Path, allowed: &[Range<u64>]) -> Result<()> {
    let (old, new) = (File::open(before)?, File::open(after)?);
    let size = old.metadata()?.len();
    ensure!(size == new.metadata()?.len(), "the disk's length changed");
    let (mut one, mut two) = (vec![0; STEP as usize], vec![0; STEP as usize]);
    for range in outside(allowed, size) {
        let mut at = range.start;
        while let Some(place) = first(data(&old, at, range.end)?, data(&new, at, range.end)?) {
            let step = (place.end - place.start).min(STEP) as usize;
            old.read_exact_at(&mut one[..step], place.start)?;
            new.read_exact_at(&mut two[..step], place.start)?;
            if one[..step] != two[..step] {
                let mut differs = (0..step).filter(|index| one[*index] != two[*index]);
                let byte = place.start + differs.next().unwrap_or_default() as u64;
                let more = differs.count();
                bail!("byte {byte} of the disk changed, and {more} more behind it; allowed: {allowed:?}");
            }
            at = place.start + step as u64;
        }
    }
    Ok(())
}

/// What of a file of this size is in none of the ranges.
fn outside(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    let mut at = 0;
    for range in sorted {
        if at < range.start.min(size) {
            left.push(at..range.start.min(size));
        }
        at = at.max(range.end);
    }
    if at < size {
        left.push(at..size);
    }
    left
}

/// The stretch that begins first, up to where the other one begins or ends: what is read of both.
fn first(one: Option<Range<u64>>, two: Option<Range<u64>>) -> Option<Range<u64>> {
    match (one, two) {
        (Some(one), Some(two)) => {
            let start = one.start.min(two.start);
            let ends = [one.start, one.end, two.start, two.end].into_iter().filter(|end| *end > start);
            Some(start..ends.min().unwrap_or(one.end))
        }
        (one, two) => one.or(two),
    }
}

/// The first stretch between two places that is no hole.
fn data(file: &File, from: u64, end: u64) -> Result<Option<Range<u64>>> {
    if from >= end {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(io::Error::from(error)).context("looking for holes"),
    };
    let stop = rustix::fs::seek(file, SeekFrom::Hole(start)).map_err(io::Error::from).context("looking for holes")?;
    Ok((start < end).then(|| start..stop.min(end)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::log::tests::file;
    use super::*;

    #[test]
    fn one_changed_byte_is_found_unless_it_is_allowed() {
        let mut bytes = vec![7; (1 << 20) + 4096];
        let (before, _dir) = file("before", &bytes);
        let after = before.with_extension("after");
        bytes[(1 << 20) + 9] = 8;
        std::fs::write(&after, &bytes).unwrap();
        let at = (1 << 20) + 9;
        for (allowed, good) in [
            (0..at, false),
            (at..at + 1, true),
            (at + 1..at + 9, false),
            (0..1 << 40, true),
            (0..0, false),
            (1 << 40..1 << 41, false),
        ] {
            let found = same_outside(&before, &after, std::slice::from_ref(&allowed));
            assert_eq!(found.is_ok(), good, "{allowed:?}: {found:?}");
        }
        let both = [at + 1..at + 3, 5..at];
        assert!(same_outside(&before, &after, &both).is_err(), "between two ranges");
        std::fs::write(&after, &bytes[1..]).unwrap();
        assert!(same_outside(&before, &after, &[]).is_err(), "another length");
    }

    #[test]
    fn a_hole_is_zeros_and_nothing_else() {
        let (before, _dir) = file("before", &[]);
        let after = before.with_extension("after");
        for path in [&before, &after] {
            File::create(path).unwrap().set_len(8 << 20).unwrap();
        }
        let write = |path: &Path, at: u64, byte: u8| {
            File::options().write(true).open(path).unwrap().write_all_at(&[byte; 4096], at).unwrap();
        };
        write(&before, 4 << 20, 0);
        assert!(same_outside(&before, &after, &[]).is_ok(), "zeros that take room");
        write(&after, 6 << 20, 1);
        assert!(same_outside(&before, &after, &[]).is_err(), "only the second has something there");
        assert!(same_outside(&after, &before, &[]).is_err(), "only the first has something there");
        let allowed = 6 << 20..(6 << 20) + 4096;
        assert!(same_outside(&before, &after, std::slice::from_ref(&allowed)).is_ok());
        write(&before, 6 << 20, 1);
        write(&before, 1 << 20, 3);
        write(&after, 1 << 20, 3);
        assert!(same_outside(&before, &after, &[]).is_ok());
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_takes_less_room() {
        let mut bytes = vec![0; 3 << 20];
        for at in [0, 5000, 1 << 20, (3 << 20) - 1] {
            bytes[at] = 9;
        }
        let (from, _dir) = file("from", &bytes);
        let to = from.with_extension("to");
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), bytes);
        assert!(to.metadata().unwrap().blocks() * 512 <= 1 << 20, "{}", to.metadata().unwrap().blocks());
        cut_out(&from, &(4096..(1 << 20) + 8192), &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), bytes[4096..(1 << 20) + 8192]);
    }
}
