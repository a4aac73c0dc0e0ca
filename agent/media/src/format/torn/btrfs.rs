//! btrfs: eight sectors at 64 KiB, and copies at 64 MiB and 256 GiB. The copies are as old as the last transaction: a call of
//! fsync(2) writes only the first superblock, with the place of its log.

use std::io::{Read, Seek};
use std::ops::Range;

use super::{Mend, SECTOR};
use crate::format::Error;
use crate::format::bytes::{Fields, read_at};
use crate::format::crc::crc32c;

mod tree;

const AT: u64 = 64 << 10;
const SIZE: usize = 4096;
const COPIES: [u64; 2] = [64 << 20, 256 << 30];
const CHECKSUM: Range<usize> = 0..32;
const PLACE: Range<usize> = 48..56;
const GENERATION: usize = 72;

const MIXED: &str = "a power cut had torn the superblock: it is written anew";
const COPIED: &str =
    "a power cut had torn the superblock: its copy is in its place, what was synchronised since may be missing";

/// The UUID, flags, sizes, the kind of checksum; the device itself; the label.
const CONSTANT: [Range<usize>; 7] = [32..48, 56..72, 112..120, 128..160, 196..198, 201..217, 299..555];
/// How long the list of system chunks is.
const CHUNKS: Range<usize> = 160..164;
/// What a new transaction changes behind the first sector: two generations, and where the roots are of the last four.
const CHANGING: [Range<usize>; 2] = [555..571, 2859..3531];

pub(super) fn mend<R: Read + Seek>(reader: &mut R) -> Result<Option<Mend>, Error> {
    let primary = read_at(reader, "the btrfs superblock", AT, SIZE)?;
    if !is_one(&primary, AT) || is_whole(&primary) {
        return Ok(None);
    }
    for at in COPIES {
        let copy = read_at(reader, "a copy of the btrfs superblock", at, SIZE)?;
        let choices = if is_one(&copy, at) { choices(&primary, &copy) } else { Choices::default() };
        let newest = choices.newest.filter(|newest| tree::root_is_written(reader, newest));
        let whole = choices.exact.or(newest).map(|whole| (whole, MIXED));
        if let Some((whole, words)) = whole.or_else(|| choices.copied.map(|whole| (whole, COPIED))) {
            return Ok(Some(Mend { patches: sectors(&primary, &whole), words }));
        }
    }
    Ok(None)
}

/// The superblock of a file system on one device, with checksums of the usual kind, that says that its place is `at`.
fn is_one(sb: &[u8], at: u64) -> bool {
    sb.len() == SIZE
        && sb.has(64, b"_BHRfS_M")
        && sb.le64(PLACE.start) == Some(at)
        && sb.le64(136) == Some(1)
        && sb.le16(196) == Some(0)
}

fn is_whole(sb: &[u8]) -> bool {
    sb.le32(CHECKSUM.start) == Some(crc32c(&sb[CHECKSUM.end..]))
}

/// What the superblock can be, the best first.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choices {
    /// It was this before the cut, or was to be it after it: its own checksum says so.
    exact: Option<Vec<u8>>,
    /// Its first sector is of the transaction after that of the copy, and names all that matters; in the others only what
    /// every transaction changes and no mount needs is older. Good if its root is on the disk: files that were
    /// synchronised since the copy was written may be in it.
    newest: Option<Vec<u8>>,
    /// What the copy says.
    copied: Option<Vec<u8>>,
}

fn choices(primary: &[u8], copy: &[u8]) -> Choices {
    let same = CONSTANT.into_iter().all(|range| primary.get(range.clone()) == copy.get(range));
    let (Some(own), Some(copys)) = (primary.le64(GENERATION), copy.le64(GENERATION)) else { return Choices::default() };
    // Each transaction writes all of them: more than one apart is no tear, and what the older names may be overwritten.
    if !same || own.abs_diff(copys) > 1 {
        return Choices::default();
    }
    let copied = mix(copy, primary).map(|whole| moved(whole, AT));
    let next = Some(own) == copys.checked_add(1);
    let newest = copied.as_ref().filter(|copied| next && stable(primary) == stable(copied));
    Choices { exact: mix(primary, copy), newest: newest.map(|_| moved(primary.to_vec(), AT)), copied }
}

/// The list of system chunks, and what no transaction changes behind the first sector.
fn stable(sb: &[u8]) -> Vec<u8> {
    let mut rest = sb.to_vec();
    rest[..CHUNKS.start].fill(0);
    rest[CHUNKS.end..SECTOR].fill(0);
    CHANGING.into_iter().for_each(|range| rest[range].fill(0));
    rest
}

/// The superblock that begins with the first sector of `first`, each other sector from one of the two, with the checksum that
/// it has: what was there before the cut, or was to be there after it.
fn mix(first: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let differing: Vec<usize> =
        (1..SIZE / SECTOR).filter(|sector| part(first, *sector) != part(other, *sector)).collect();
    (0..1_u32 << differing.len()).find_map(|choice| {
        let mut whole = first.to_vec();
        for (bit, sector) in differing.iter().enumerate() {
            if choice >> bit & 1 == 1 {
                whole[sector * SECTOR..][..SECTOR].copy_from_slice(part(other, *sector));
            }
        }
        is_whole(&whole).then_some(whole)
    })
}

fn part(sb: &[u8], sector: usize) -> &[u8] {
    &sb[sector * SECTOR..][..SECTOR]
}

/// A superblock as it is at another place.
fn moved(mut sb: Vec<u8>, at: u64) -> Vec<u8> {
    sb[PLACE].copy_from_slice(&at.to_le_bytes());
    let sum = crc32c(&sb[CHECKSUM.end..]);
    sb[CHECKSUM].fill(0);
    sb[..4].copy_from_slice(&sum.to_le_bytes());
    sb
}

/// The sectors to write. The first comes last: until then the same copy leads to the same result.
fn sectors(old: &[u8], new: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let differing = (0..SIZE / SECTOR).rev().filter(|sector| part(old, *sector) != part(new, *sector));
    differing.map(|sector| (AT + (sector * SECTOR) as u64, part(new, sector).to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const NODE: usize = 4096;
    const COPY: usize = 64 << 20;
    /// Where the tree of chunks and the root of each transaction are on the disk; in btrfs' own addresses the same and 16 MiB more.
    const CHUNK_TREE: u64 = 1 << 20;
    const ROOTS: u64 = 2 << 20;
    const MOVED: u64 = 16 << 20;

    fn put(bytes: &mut [u8], at: usize, value: u64) {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Key and chunk: the first 32 MiB.
    fn chunk() -> Vec<u8> {
        let mut chunk = vec![0; KEY_AND_CHUNK];
        chunk[8] = 228;
        put(&mut chunk, 9, MOVED);
        put(&mut chunk, 17, 32 << 20);
        put(&mut chunk, 17 + 24, 0x22);
        chunk[17 + 44] = 1;
        chunk
    }
    const KEY_AND_CHUNK: usize = 17 + 48 + 32;

    fn root(generation: u64) -> u64 {
        ROOTS + generation * NODE as u64
    }

    fn superblock(at: u64, generation: u64, log: u64) -> Vec<u8> {
        let mut sb = vec![0; SIZE];
        sb[32..48].fill(0x33);
        sb[64..72].copy_from_slice(b"_BHRfS_M");
        for (at, value) in
            [(72, generation), (80, root(generation) + MOVED), (88, CHUNK_TREE + MOVED), (96, log), (136, 1)]
        {
            put(&mut sb, at, value);
        }
        sb[148..152].copy_from_slice(&(NODE as u32).to_le_bytes());
        sb[160] = KEY_AND_CHUNK as u8;
        put(&mut sb, 164, 3);
        put(&mut sb, 563, generation);
        sb[811..811 + KEY_AND_CHUNK].copy_from_slice(&chunk());
        // The transactions of the last four backups of the roots; one of them is in two sectors.
        for back in 0..4 {
            let entry = 2859 + 168 * (generation - back) as usize % (4 * 168);
            put(&mut sb, entry, root(generation - back) + MOVED);
            put(&mut sb, entry + 160, generation - back);
        }
        moved(sb, at)
    }

    fn tree_block(image: &mut [u8], place: u64, generation: u64, fill: impl FnOnce(&mut [u8])) {
        let node = &mut image[place as usize..][..NODE];
        put(node, 48, place + MOVED);
        put(node, 80, generation);
        fill(node);
        let sum = crc32c(&node[32..]);
        node[..4].copy_from_slice(&sum.to_le_bytes());
    }

    fn disk(primary: &[u8], copy: &[u8]) -> Vec<u8> {
        let mut image = vec![0; COPY + SIZE];
        tree_block(&mut image, CHUNK_TREE, 3, |leaf| {
            leaf[96] = 1;
            leaf[101..101 + 17].copy_from_slice(&chunk()[..17]);
            leaf[101 + 17..101 + 21].copy_from_slice(&2000_u32.to_le_bytes());
            leaf[2101..2101 + KEY_AND_CHUNK - 17].copy_from_slice(&chunk()[17..]);
        });
        for generation in 14..18 {
            tree_block(&mut image, root(generation), generation, |_| {});
        }
        image[AT as usize..][..SIZE].copy_from_slice(primary);
        image[COPY..].copy_from_slice(copy);
        image
    }

    /// The superblock that is made of the one on a disk, whatever of it a second cut leaves unwritten.
    fn mended(mut image: Vec<u8>) -> Option<Vec<u8>> {
        let first = mend(&mut Cursor::new(&mut image)).unwrap()?;
        for (at, bytes) in &first.patches {
            assert_eq!(bytes.len(), SECTOR);
            assert!(mend(&mut Cursor::new(&mut image)).unwrap().is_some(), "again after a cut");
            image[*at as usize..][..SECTOR].copy_from_slice(bytes);
        }
        assert!(mend(&mut Cursor::new(&mut image)).unwrap().is_none(), "mended once");
        Some(image[AT as usize..][..SIZE].to_vec())
    }

    fn torn(old: &[u8], new: &[u8], choice: u32) -> Vec<u8> {
        let sectors =
            (0..8).flat_map(|sector| part(if choice >> sector & 1 == 0 { old } else { new }, sector).to_vec());
        sectors.collect()
    }

    /// The choices among the sectors in which two of the superblocks here differ; generation 17 is noted in two.
    fn choices() -> impl Iterator<Item = u32> {
        (0..256).filter(|choice| choice & !0b0110_0011 == 0)
    }

    #[test]
    fn every_mix_of_two_transactions_becomes_one_of_them() {
        let (old, new) = (superblock(AT, 16, 0x77_7000), superblock(AT, 17, 0));
        for (number, copy) in [superblock(COPIES[0], 16, 0), superblock(COPIES[0], 17, 0)].into_iter().enumerate() {
            for choice in choices() {
                let at = format!("{choice:08b} with copy {number}");
                let torn = torn(&old, &new, choice);
                let Some(whole) = mended(disk(&torn, &copy)) else {
                    assert!(torn == old || torn == new, "{at}: not mended");
                    continue;
                };
                let good = match (choice & 1, number) {
                    // The old one with its log cannot be had any more: the new one has come into force.
                    (1, 0) => is_whole(&whole) && whole[32..SECTOR] == new[32..SECTOR],
                    (1, _) => whole == new,
                    (_, 0) => whole == old,
                    (_, _) => whole == old || whole == new,
                };
                assert!(good, "{at}");
            }
        }
    }

    #[test]
    fn both_torn_in_the_same_moment_become_one_if_all_sectors_of_one_are_left() {
        let pair = |at| [superblock(at, 16, 0), superblock(at, 17, 0)];
        let (firsts, copies) = (pair(AT), pair(COPIES[0]));
        for (choice, copys) in choices().flat_map(|choice| choices().map(move |copys| (choice, copys))) {
            let (primary, copy) = (torn(&firsts[0], &firsts[1], choice), torn(&copies[0], &copies[1], copys));
            let left = [0, 1].into_iter().any(|bit| {
                [0, 1, 5, 6].into_iter().all(|sector| [choice, copys].iter().any(|choice| choice >> sector & 1 == bit))
            });
            if left && !is_whole(&primary) {
                assert!(mended(disk(&primary, &copy)).is_some(), "{choice:08b} {copys:08b}");
            }
        }
    }

    #[test]
    fn a_root_that_is_not_there_leads_to_the_copy() {
        let (old, new) = (superblock(AT, 16, 0x77_7000), superblock(AT, 17, 0));
        let copy = superblock(COPIES[0], 16, 0);
        let torn = torn(&old, &new, 1);
        let whole = moved(copy.clone(), AT);
        for (what, at) in
            [("the root", root(17) + 200), ("its generation", root(17) + 80), ("the chunks", CHUNK_TREE + 101)]
        {
            let mut image = disk(&torn, &copy);
            image[at as usize] ^= 1;
            assert!(mended(image).unwrap() == whole, "{what}");
        }
    }

    #[test]
    fn what_is_not_torn_is_left() {
        let torn = torn(&superblock(AT, 16, 0), &superblock(AT, 17, 0), 1);
        let copy = superblock(COPIES[0], 16, 0);
        assert!(mended(disk(&torn, &copy)).is_some());
        for (what, at, value) in [
            ("no magic number", 64, 0),
            ("another place", 49, 9),
            ("two devices", 136, 2),
            ("another kind of checksum", 196, 1),
            ("another UUID", 32, 0),
            ("another size", 112, 1),
            ("another label", 299, b'x'),
            ("a generation far away", 72, 19),
        ] {
            let mut primary = torn.clone();
            primary[at] = value;
            assert!(mended(disk(&primary, &copy)).is_none(), "{what}");
        }
        let (mut primary, mut damaged) = (torn.clone(), copy.clone());
        (primary[2000], damaged[2000]) = (8, 9);
        assert!(mended(disk(&primary, &damaged)).is_none(), "both are damaged");
        let mut other = torn.clone();
        other[2000] = 8;
        assert!(mended(disk(&other, &copy)).unwrap() == moved(copy.clone(), AT), "the first one is damaged");
        let mut short = disk(&torn, &copy);
        short.truncate(COPY);
        assert!(mended(short).is_none(), "no copy");
    }
}
