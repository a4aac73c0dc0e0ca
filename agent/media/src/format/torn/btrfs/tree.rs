//! Whether the root that a superblock names is on the disk: the kernel writes it before the superblock.

use std::io::{Read, Seek};

use crate::format::bytes::{Fields, read_at};
use crate::format::crc::crc32c;

const NODE_SIZES: std::ops::RangeInclusive<u32> = 4096..=64 << 10;
const CHUNK: u8 = 228;
/// Key, and header of a chunk before its stripes.
const KEY: usize = 17;
const STRIPES: usize = 48;
/// Header of a node, and an item in a leaf.
const HEADER: usize = 101;
const ITEM: usize = 25;
/// Data, system, metadata, each once or twice on the same device: all else takes more than one.
const SIMPLE: u64 = 0x7 | 0x20;

/// Where a tree block must be, and what it says about itself.
struct Block {
    logical: u64,
    generation: u64,
    level: u8,
}

pub(super) fn root_is_written<R: Read + Seek>(reader: &mut R, sb: &[u8]) -> bool {
    found(reader, sb).is_some()
}

fn found<R: Read + Seek>(reader: &mut R, sb: &[u8]) -> Option<()> {
    let size = sb.le32(148).filter(|size| NODE_SIZES.contains(size))? as usize;
    let array = sb.span(811, sb.le32(160).filter(|size| *size <= 2048)? as usize)?;
    let chunks = Block { logical: sb.le64(88)?, generation: sb.le64(164)?, level: sb.u8(199)? };
    let leaf = block(reader, system(array, chunks.logical)?, size, &chunks)?;
    let root = Block { logical: sb.le64(80)?, generation: sb.le64(72)?, level: sb.u8(198)? };
    // Of thousands of chunks, which fill more than a leaf, no use is made.
    let place = if chunks.level == 0 { listed(&leaf, root.logical)? } else { return None };
    block(reader, place, size, &root).map(drop)
}

/// Reads a tree block that is what it should be.
fn block<R: Read + Seek>(reader: &mut R, place: u64, size: usize, wanted: &Block) -> Option<Vec<u8>> {
    let node = read_at(reader, "a btrfs tree block", place, size).ok().filter(|node| node.len() == size)?;
    let same = node.le32(0)? == crc32c(node.get(32..)?)
        && node.le64(48)? == wanted.logical
        && node.le64(80)? == wanted.generation
        && node.u8(100)? == wanted.level;
    same.then_some(node)
}

/// The place of a logical address in the chunks that the superblock itself lists.
fn system(array: &[u8], logical: u64) -> Option<u64> {
    let mut at = 0;
    while let (Some(key), Some(chunk)) = (array.span(at, KEY), array.get(at + KEY..)) {
        if let Some(place) = inside(key, chunk, logical) {
            return Some(place);
        }
        at += KEY + STRIPES + 32 * usize::from(chunk.le16(44)?);
    }
    None
}

/// The same in a leaf of the tree of chunks.
fn listed(leaf: &[u8], logical: u64) -> Option<u64> {
    let items = (leaf.le32(96)? as usize).min(leaf.len() / ITEM);
    (0..items).find_map(|number| {
        let item = leaf.span(HEADER + number * ITEM, ITEM)?;
        let chunk = leaf.get(HEADER.checked_add(item.le32(KEY)? as usize)?..)?;
        inside(item, chunk, logical)
    })
}

fn inside(key: &[u8], chunk: &[u8], logical: u64) -> Option<u64> {
    let offset = logical.checked_sub(key.le64(9)?)?;
    let ours = key.u8(8)? == CHUNK && offset < chunk.le64(0)? && chunk.le64(24)? & !SIMPLE == 0;
    ours.then_some(chunk.le64(STRIPES + 8)?)?.checked_add(offset)
}
