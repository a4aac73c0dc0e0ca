//! The proof that a place holds nothing (attacks.md F7). What is not read is not known, and what takes too long is not proven.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use crate::format::{self, Kind, Superblock};

/// Read in full at the start: tables, superblocks, and the beginning of a first partition wherever that is put.
const START: u64 = 16 << 20;
/// Read in full at the end: backup tables, and what RAIDs of all makes and ZFS leave there, the farthest 3087 sectors away.
const END: u64 = 4 << 20;
/// Where partitions begin: a table that was wiped does not wipe what it named.
const STARTS: [u64; 6] = [0, 63 * 512, 1 << 20, 2 << 20, 4 << 20, 8 << 20];
/// Up to here a sample is taken from each MiB.
const DENSE: u64 = 1 << 30;
/// Bytes of a sample: no file system that is larger has smaller blocks by default.
const SAMPLE: usize = 4096;
/// Samples behind [`DENSE`], evenly over the rest; and for each doubling of the offset, so that what begins early is met early.
const EVEN: u64 = 512;
const PER_DOUBLING: u64 = 32;
/// Bytes read at a time where all is read.
const PART: usize = 1 << 20;

/// How much must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Of a device or a file that somebody has named: start and end in full, samples between.
    Samples,
    /// Of a place that nobody has named: every byte.
    Everything,
}

/// Why a place is not known to be empty.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Doubt {
    /// A signature.
    #[error("it holds {kind}{}", place(*at))]
    Holds {
        /// What it is.
        kind: Kind,
        /// Where that begins.
        at: u64,
    },
    /// A byte other than zero.
    #[error("there is something at byte {0}")]
    Something(u64),
    /// A place that cannot be read.
    #[error("byte {0} cannot be read: {1}")]
    Unreadable(u64, io::Error),
    /// The device is too slow, or too large.
    #[error("reading it takes longer than {} s, and all that was read is empty", .0.as_secs())]
    Late(Duration),
}

fn place(at: u64) -> String {
    if at == 0 { String::new() } else { format!(" from byte {at} on") }
}

/// Reads a device of `size` bytes, at most for `limit`.
///
/// # Errors
/// Why it may not be empty.
pub(crate) fn proof(device: &File, size: u64, extent: Extent, limit: Duration) -> Result<(), Doubt> {
    proof_from(device, 0, size, extent, limit)
}

/// As [`proof`], for `size` bytes from `base` on. The places that doubts name are counted from there.
///
/// # Errors
/// As those of [`proof`].
pub(crate) fn proof_from(device: &File, base: u64, size: u64, extent: Extent, limit: Duration) -> Result<(), Doubt> {
    let mut proof = Proof { device, base, size, until: Instant::now() + limit, limit, buffer: vec![0; PART] };
    for at in STARTS.into_iter().filter(|at| *at < size) {
        proof.signatures(at)?;
    }
    match extent {
        Extent::Everything => proof.all(0, size),
        Extent::Samples => {
            proof.all(0, START.min(size))?;
            proof.all(size.saturating_sub(END), size)?;
            samples(size).try_for_each(|at| proof.zero(at, SAMPLE))
        }
    }
}

/// What the readers know of what begins in `size` bytes from `base` on, wherever something usually does.
///
/// # Errors
/// A place that cannot be read.
pub(crate) fn signatures(device: &File, base: u64, size: u64) -> Result<Vec<Superblock>, format::Error> {
    let mut all = Vec::new();
    for at in STARTS.into_iter().filter(|at| *at < size) {
        all.extend(format::identify_all(&mut From { device, base: base + at, at: 0, size: size - at })?);
    }
    Ok(all)
}

/// Offsets of the samples between start and end, in rising order but for the second round.
fn samples(size: u64) -> impl Iterator<Item = u64> {
    let last = size.saturating_sub(END);
    let dense = (START..DENSE.min(last)).step_by(1 << 20);
    let even = (1..=EVEN).map(move |number| DENSE + last.saturating_sub(DENSE) / EVEN * number);
    let rising = std::iter::successors(Some(DENSE), |at| at.checked_add(at / PER_DOUBLING));
    let rising = rising.take_while(move |at| *at < last);
    // Where blocks begin, so that a sample is one.
    dense.chain(rising).chain(even).map(|at| at & !(SAMPLE as u64 - 1)).filter(move |at| *at < last)
}

struct Proof<'a> {
    device: &'a File,
    base: u64,
    size: u64,
    until: Instant,
    limit: Duration,
    buffer: Vec<u8>,
}

impl Proof<'_> {
    fn in_time(&self) -> Result<(), Doubt> {
        if Instant::now() < self.until { Ok(()) } else { Err(Doubt::Late(self.limit)) }
    }

    /// What the readers know of what begins here.
    fn signatures(&self, at: u64) -> Result<(), Doubt> {
        self.in_time()?;
        let mut from = From { device: self.device, base: self.base + at, at: 0, size: self.size - at };
        let found = format::identify_all(&mut from).map_err(|error| Doubt::Unreadable(at, io::Error::other(error)))?;
        found.first().map_or(Ok(()), |found| Err(Doubt::Holds { kind: found.kind, at }))
    }

    /// Every byte of a stretch is zero.
    fn all(&mut self, start: u64, end: u64) -> Result<(), Doubt> {
        let mut at = start;
        while at < end {
            let length = usize::try_from(end - at).map_or(PART, |left| left.min(PART));
            self.zero(at, length)?;
            // What is read to see that it is nothing is not worth its memory. Advice only.
            let _ = fadvise(self.device, self.base + at, NonZeroU64::new(length as u64), Advice::DontNeed);
            at += length as u64;
        }
        Ok(())
    }

    fn zero(&mut self, at: u64, length: usize) -> Result<(), Doubt> {
        self.in_time()?;
        let length = usize::try_from(self.size - at).map_or(length, |left| left.min(length));
        let bytes = &mut self.buffer[..length];
        self.device.read_exact_at(bytes, self.base + at).map_err(|error| Doubt::Unreadable(at, error))?;
        match bytes.iter().position(|byte| *byte != 0) {
            Some(first) => Err(Doubt::Something(at + first as u64)),
            None => Ok(()),
        }
    }
}

/// A device from some byte on.
struct From<'a> {
    device: &'a File,
    base: u64,
    at: u64,
    size: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(buffer.len()).min(buffer.len());
        let length = self.device.read_at(&mut buffer[..left], self.base + self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// Where a reader of so many bytes, that is at `at`, is sent to.
pub(crate) fn sought(at: u64, size: u64, to: SeekFrom) -> io::Result<u64> {
    let to = match to {
        SeekFrom::Start(at) => Some(at),
        SeekFrom::End(by) => size.checked_add_signed(by),
        SeekFrom::Current(by) => at.checked_add_signed(by),
    };
    Ok(to.ok_or(io::ErrorKind::InvalidInput)?)
}

impl Seek for From<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(self.at, self.size, to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    fn device(size: u64, content: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        content.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
        file
    }

    fn said(size: u64, content: &[(u64, &[u8])], extent: Extent) -> String {
        proof(&device(size, content), size, extent, LIMIT).map_or_else(|doubt| doubt.to_string(), |()| "empty".into())
    }

    #[test]
    fn sizes_from_one_sector_to_a_large_disk_are_proven_empty() {
        for size in [512, 4096, 1 << 20, START, START + END, DENSE + 512, 512 << 30, 8 << 40] {
            assert_eq!(said(size, &[], Extent::Samples), "empty", "{size}");
        }
        assert_eq!(said(300 << 20, &[], Extent::Everything), "empty");
    }

    #[test]
    fn f7_what_lies_at_one_place_only_is_seen() {
        let gib = 1 << 30;
        let photos = vec![7; 3 << 20];
        for (size, at, bytes) in [
            // VMFS begins at 1 MiB, a Promise RAID ends 3087 sectors before the end, records of a database lie at 8 MiB.
            (4 * gib, 1 << 20, &b"\x0d\xd0\x01\xc0"[..]),
            (4 * gib, 4 * gib - 3087 * 512, b"Promise Technology, Inc."),
            (4 * gib, 8 << 20, b"record"),
            (4 * gib, (16 << 20) - 1, b"x"),
            (4 * gib, 4 * gib - 1, b"x"),
            // A file of 3 MiB anywhere in the first GiB.
            (4 * gib, 700_000_001, &photos),
            // Sizes that are no multiple of anything.
            (4 * gib + 512, 4 * gib + 511, b"x"),
            (512, 511, b"x"),
        ] {
            let said = said(size, &[(at, bytes)], Extent::Samples);
            assert!(said.contains("something at byte") || said.contains("it holds"), "{size} {at}: {said}");
        }
    }

    #[test]
    fn f7_every_signature_at_every_place_is_named() {
        // The second size is no multiple of what the places at the end are rounded to.
        for size in [64 << 20, (64 << 20) + 3 * 512] {
            for signature in format::signatures(size) {
                let writes: Vec<(u64, &[u8])> = signature.writes.iter().map(|(at, bytes)| (*at, &**bytes)).collect();
                for extent in [Extent::Samples, Extent::Everything] {
                    let said = said(size, &writes, extent);
                    assert_eq!(said, format!("it holds {}", signature.kind), "{size} {extent:?} {writes:x?}");
                }
            }
        }
    }

    #[test]
    fn f7_what_is_left_of_a_disk_at_one_documented_place_is_refused() {
        let end: u64 = 64 << 20;
        let word = b"left over";
        for (what, at) in [
            ("GPT, the copy of its header", end - 512),
            ("GPT, the copy of its entries", end - 33 * 512),
            ("Linux RAID 0.90", end - (64 << 10)),
            ("Linux RAID 1.0", end - 8192),
            ("LUKS 2, its second header", 16 << 10),
            ("LUKS 2, its second header after the largest first one", 4 << 20),
            ("NTFS, the copy of its boot sector", end - 512),
            ("exFAT, the copy of its boot sector", 12 * 512),
            ("FAT32, the copy of its boot sector", 6 * 512),
            ("ext, the copy in group 1 with blocks of 1 KiB", 8193 << 10),
            ("HFS+, the copy of its header", end - 1024),
            ("GFS2 and OCFS2, what lies behind the first superblock", 68 << 10),
            ("JFS, its second superblock", 60 << 10),
            ("XFS, group 1 of 4", end / 4),
            ("UDF, its anchor at the end", end - 2048),
            ("ReFS, the copy of its boot sector", end - 512),
            ("bcachefs, its superblock at the end", end - (1 << 20)),
            ("LVM, a second label", 3 * 512),
            ("Promise", end - 3087 * 512),
        ] {
            let said = said(end, &[(at, word)], Extent::Samples);
            assert_eq!(said, format!("there is something at byte {at}"), "{what}");
        }
    }

    #[test]
    fn a_disk_whose_table_was_wiped_is_named() {
        let mut superblock = vec![0; 4096];
        superblock[..8].copy_from_slice(b"XFSB\0\0\x10\0");
        superblock[100..106].copy_from_slice(&[0xb4, 0xa5, 2, 0, 2, 0]);
        for at in STARTS {
            let said = said(512 << 30, &[(at, &superblock)], Extent::Samples);
            let expected = if at == 0 { "it holds xfs".to_owned() } else { format!("it holds xfs from byte {at} on") };
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_twentieth_of_a_large_disk_is_met_wherever_it_is() {
        let size = 512u64 << 30;
        let samples: Vec<u64> = samples(size).collect();
        assert!(samples.len() < 3000, "{} samples take too long", samples.len());
        for part in 0..20 {
            let stretch = size / 20 * part..size / 20 * (part + 1);
            assert!(samples.iter().filter(|at| stretch.contains(at)).count() >= 20, "part {part}");
        }
    }

    #[test]
    fn where_nobody_has_named_a_place_one_byte_is_enough() {
        assert_eq!(said(300 << 20, &[(123_456_789, b"x")], Extent::Everything), "there is something at byte 123456789");
    }

    #[test]
    fn what_takes_too_long_is_not_proven() {
        let doubt = proof(&device(1 << 30, &[]), 1 << 30, Extent::Samples, Duration::ZERO).unwrap_err();
        assert!(matches!(doubt, Doubt::Late(_)), "{doubt}");
        // A device that ends early cannot be read.
        let doubt = proof(&device(1 << 20, &[]), 2 << 20, Extent::Everything, LIMIT).unwrap_err();
        assert!(matches!(doubt, Doubt::Unreadable(..)), "{doubt}");
    }
}
