//! Rock Ridge: POSIX names in the system-use area of directory records (SUSP).

use std::io::{Read, Seek};

use crate::format::Error;
use crate::format::bytes::{Fields, read_at};

/// Continuation areas that one record may have.
const MAX_CONTINUATIONS: usize = 8;
/// Bytes of one continuation area; it never leaves its sector.
const MAX_AREA: usize = 2048;
/// Bytes of a name, as in Linux.
pub(super) const MAX_NAME: usize = 255;
const NAME_CONTINUES: u8 = 0x1;

/// What a record's system-use area adds.
#[derive(Default)]
pub(super) struct RockRidge {
    /// The POSIX name.
    pub(super) name: Option<Vec<u8>>,
    /// Block of a directory that was moved up because it was too deep.
    pub(super) child: Option<u32>,
    /// This is the directory's place after the move; it is seen at its link only.
    pub(super) relocated: bool,
    /// A symbolic link.
    pub(super) symlink: bool,
    /// Continuation areas that were read.
    pub(super) areas: usize,
}

/// Bytes to skip at the start of each system-use area, if the root's first record announces SUSP.
pub(super) fn announced(system_use: &[u8]) -> Option<usize> {
    // A CD-ROM XA record of 14 bytes may come first.
    [0, 14].into_iter().find_map(|at| {
        let entry = system_use.span(at, 7)?;
        (entry.has(0, b"SP") && entry.has(4, &[0xbe, 0xef])).then(|| entry.u8(6).map(usize::from))?
    })
}

/// Reads the entries of one record, following its continuation areas.
pub(super) fn read<R: Read + Seek>(reader: &mut R, system_use: &[u8], block_size: u64) -> Result<RockRidge, Error> {
    let mut found = RockRidge::default();
    let mut area = system_use.to_vec();
    for _ in 0..=MAX_CONTINUATIONS {
        let Some(next) = found.take(&area) else {
            break;
        };
        let place = u64::from(next.block) * block_size + u64::from(next.offset);
        let len = usize::try_from(next.len).unwrap_or(MAX_AREA).min(MAX_AREA);
        found.areas += 1;
        area = read_at(reader, "a Rock Ridge continuation", place, len)?;
    }
    Ok(found)
}

/// Where a record's entries go on.
struct Continuation {
    block: u32,
    offset: u32,
    len: u32,
}

impl RockRidge {
    /// Takes the entries of one area; each has at least 4 bytes.
    fn take(&mut self, area: &[u8]) -> Option<Continuation> {
        let mut next = None;
        let mut rest = area;
        while let Some(len) = rest.u8(2).map(usize::from).filter(|len| *len >= 4) {
            let Some((entry, tail)) = rest.split_at_checked(len) else {
                break;
            };
            match entry.get(..2) {
                Some(b"NM") => self.add_name(entry),
                Some(b"CL") => self.child = entry.le32(4),
                Some(b"RE") => self.relocated = true,
                Some(b"SL") => self.symlink = true,
                Some(b"CE") => next = continuation(entry),
                Some(b"ST") => break,
                _ => {}
            }
            rest = tail;
        }
        next
    }

    fn add_name(&mut self, entry: &[u8]) {
        // Flags other than "continues" say that this is the directory itself or its parent, which have no name here.
        let Some(flags) = entry.u8(4).filter(|flags| flags & !NAME_CONTINUES == 0) else {
            return;
        };
        let _ = flags;
        let name = self.name.get_or_insert_default();
        let part = entry.get(5..).unwrap_or_default();
        let room = MAX_NAME.saturating_sub(name.len()).min(part.len());
        name.extend_from_slice(part.get(..room).unwrap_or_default());
    }
}

fn continuation(entry: &[u8]) -> Option<Continuation> {
    Some(Continuation { block: entry.le32(4)?, offset: entry.le32(12)?, len: entry.le32(20)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn nm(flags: u8, part: &[u8]) -> Vec<u8> {
        let mut entry = vec![b'N', b'M', 5 + part.len() as u8, 1, flags];
        entry.extend_from_slice(part);
        entry
    }

    fn ce(block: u32, offset: u32, len: u32) -> Vec<u8> {
        let mut entry = b"CE\x1c\x01".to_vec();
        for value in [block, offset, len] {
            entry.extend_from_slice(&value.to_le_bytes());
            entry.extend_from_slice(&value.to_be_bytes());
        }
        entry
    }

    #[test]
    fn name_continues_in_another_area() {
        let part = nm(0, b"fs.img");
        let mut medium = vec![0; 2048 + 100];
        medium[2048 + 8..2048 + 8 + part.len()].copy_from_slice(&part);
        let area = [nm(1, b"squash"), ce(1, 8, part.len() as u32)].concat();
        let found = read(&mut Cursor::new(medium), &area, 2048).unwrap();
        assert_eq!(found.name.as_deref(), Some(&b"squashfs.img"[..]));
    }

    #[test]
    fn continuation_in_a_circle_ends() {
        let area = [nm(1, &[b'x'; 100]), ce(0, 0, 200)].concat();
        let found = read(&mut Cursor::new(area.clone()), &area, 2048).unwrap();
        assert_eq!(found.name.map(|name| name.len()), Some(MAX_NAME));
    }

    #[test]
    fn short_entries_end_the_area() {
        for area in [&b""[..], b"NM", b"NM\x00\x01", b"NM\xff\x01\0a", b"CE\x05\x01\0"] {
            let found = read(&mut Cursor::new([0; 4]), area, 2048).unwrap();
            assert_eq!(found.name, None, "{area:?}");
        }
    }

    #[test]
    fn announcement() {
        assert_eq!(announced(b"SP\x07\x01\xbe\xef\x00"), Some(0));
        assert_eq!(announced(b"xxxxxxxxxxxxxxSP\x07\x01\xbe\xef\x0e"), Some(14));
        assert_eq!(announced(b"SP\x07\x01\xbe\xee\x00"), None);
    }
}
