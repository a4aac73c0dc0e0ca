//! Linux software RAID: superblock 1.1 at the start, 1.2 at 4 KiB, 0.90 and 1.0 near the end.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::text::label;
use super::uuid::uuid;
use super::{Error, Kind, Superblock};

const MAGIC: u32 = 0xa92b_4efc;
/// Bytes of a superblock that are looked at.
const LEN: usize = 256;

/// Versions 1.1 and 1.2.
pub(super) fn parse_start(head: &[u8]) -> Option<Superblock> {
    [0, 4096].into_iter().find_map(|at| version_1(head.span(at, LEN)?, at as u64))
}

/// Versions 1.0 and 0.90.
pub(super) fn at_end<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    let size = source.size()?;
    if let Some(offset) = (size / 512).checked_sub(16).map(|sector| (sector & !7) * 512) {
        let sb = source.read("a RAID superblock", offset, LEN)?;
        if let Some(found) = version_1(&sb, offset) {
            return Ok(Some(found));
        }
    }
    let Some(offset) = (size & !0xffff).checked_sub(0x1_0000) else {
        return Ok(None);
    };
    let sb = source.read("a RAID superblock", offset, LEN)?;
    Ok(version_0(&sb))
}

/// Whether the record at the start can be of a device with so many bytes: its sum is right, and its data lie there.
pub(super) fn fits_at_start(head: &[u8], size: u64) -> bool {
    let at = if head.le32(0) == Some(MAGIC) { 0 } else { 4096 };
    let fields = || {
        let sb = head.span(at, LEN)?;
        let length = LEN.checked_add(usize::try_from(sb.le32(220)?).ok()?.checked_mul(2)?)?;
        let end = sb.le64(128)?.checked_add(sb.le64(136)?)?.checked_mul(512)?;
        Some(end <= size && sb.le32(216)? == sum(head.span(at, length)?)?)
    };
    fields().unwrap_or(false)
}

/// The sum of a record of version 1, whose own field counts as zero (`sb_csum`).
fn sum(record: &[u8]) -> Option<u32> {
    let words = record.chunks(4).enumerate().filter(|(index, _)| *index != 216 / 4);
    let all: u64 = words.map(|(_, word)| word.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))).sum();
    u32::try_from((all & 0xffff_ffff) + (all >> 32)).ok()
}

/// `offset` is where `sb` was found, which a valid superblock repeats.
fn version_1(sb: &[u8], offset: u64) -> Option<Superblock> {
    let ours = sb.le32(0)? == MAGIC && sb.le32(4)? == 1 && sb.le64(144)?.checked_mul(512)? == offset;
    if !ours {
        return None;
    }
    Some(Superblock { label: label(sb.span(32, 32)?), uuid: uuid(&sb.array(16)?), ..Superblock::new(Kind::Raid) })
}

fn version_0(sb: &[u8]) -> Option<Superblock> {
    if sb.le32(0)? != MAGIC || sb.le32(4)? != 0 {
        return None;
    }
    let mut id = [0; 16];
    let [first, rest @ ..] = id.as_chunks_mut::<4>().0 else {
        return None;
    };
    *first = sb.array(20)?;
    for (word, at) in rest.iter_mut().zip([52, 56, 60]) {
        *word = sb.array(at)?;
    }
    // Version 0.90 is in the order of the machine that made it; blkid shows the words most significant byte first.
    for word in id.as_chunks_mut::<4>().0 {
        word.reverse();
    }
    Some(Superblock { uuid: uuid(&id), ..Superblock::new(Kind::Raid) })
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 0x3_0000];
    let at = 0x3_0000 - 8192;
    image[at..at + 4].copy_from_slice(&MAGIC.to_le_bytes());
    image[at + 4] = 1;
    image[at + 16..at + 32].copy_from_slice(&[0x44; 16]);
    image[at + 32..at + 38].copy_from_slice(b"host:0");
    image[at + 144..at + 152].copy_from_slice(&(at as u64 / 512).to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn end_of_a_mirror_leg() {
        let mut reader = Cursor::new(sample());
        let found = at_end(&mut Source::new(&mut reader)).unwrap().unwrap();
        assert_eq!(found.label.as_deref(), Some("host:0"));
    }

    #[test]
    fn superblock_must_repeat_its_place() {
        for (at, place, found) in [(0usize, 0u64, true), (4096, 8, true), (4096, 0, false)] {
            let mut image = vec![0; 8192];
            image[at..at + 4].copy_from_slice(&MAGIC.to_le_bytes());
            image[at + 4] = 1;
            image[at + 144..at + 152].copy_from_slice(&place.to_le_bytes());
            assert_eq!(parse_start(&image).is_some(), found, "{at} {place}");
        }
    }

    /// A record that `mdadm --examine` (4.2) calls correct, of a disk of 8 MiB.
    #[test]
    fn a_record_fits_with_its_sum_and_its_data() {
        const DISK: u64 = 8 << 20;
        let mut head = vec![0; 8192];
        let mut set = |at: usize, bytes: &[u8]| head[4096 + at..4096 + at + bytes.len()].copy_from_slice(bytes);
        set(0, &MAGIC.to_le_bytes());
        set(4, &[1]);
        set(16, &std::array::from_fn::<u8, 16, _>(|at| at as u8));
        set(32, b"nas:0");
        set(64, &[1]);
        set(72, &[1]);
        set(80, &14_336_u64.to_le_bytes());
        set(92, &[2]);
        set(128, &2048_u64.to_le_bytes());
        set(136, &14_336_u64.to_le_bytes());
        set(144, &8_u64.to_le_bytes());
        set(168, &[0x55; 16]);
        set(216, &0x5d12_9a1a_u32.to_le_bytes());
        set(220, &[8]);
        (0..8).for_each(|at| set(256 + 2 * at, &[[0, 0], [1, 0], [0xfe, 0xff]][at.min(2)]));
        assert!(parse_start(&head).is_some() && fits_at_start(&head, DISK));
        assert!(!fits_at_start(&head, DISK - 512), "its data end behind the disk");
        head[4096 + 100] ^= 1;
        assert!(!fits_at_start(&head, DISK), "its sum is wrong");
        assert!(!fits_at_start(&head[..4096 + 260], DISK));
        head[4096 + 220..4096 + 224].fill(0xff);
        assert!(!fits_at_start(&head, DISK));
    }

    #[test]
    fn tiny_inputs() {
        for len in [0, 1, 8191, 8192, 65_535, 65_536] {
            let mut reader = Cursor::new(vec![0; len]);
            assert_eq!(at_end(&mut Source::new(&mut reader)).unwrap(), None, "{len}");
        }
    }
}
