//! LUKS 1 and 2: big-endian header at byte 0; LUKS 2 keeps a second header further in.

use std::io::{Read, Seek};

use super::bytes::Fields;
use super::source::Source;
use super::text::label;
use super::{Error, Kind, Superblock};

/// Where the second header of LUKS 2 may be: one place for each size of the JSON area.
const SECONDARY: [u64; 9] = [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
const HEADER: usize = 512;

pub(super) fn parse(head: &[u8]) -> Option<Superblock> {
    if !head.has(0, b"LUKS\xba\xbe") {
        return None;
    }
    fields(head)
}

/// The second header, for volumes whose first one was overwritten; still somebody's data.
pub(super) fn secondary<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Superblock>, Error> {
    for offset in SECONDARY {
        let header = source.read("the second LUKS header", offset, HEADER)?;
        if header.has(0, b"SKUL\xba\xbe") && header.be64(256) == Some(offset) {
            return Ok(fields(&header));
        }
    }
    Ok(None)
}

fn fields(header: &[u8]) -> Option<Superblock> {
    let version = header.be16(6)?;
    let (own_label, subsystem) = match version {
        1 => (None, None),
        2 => (label(header.span(24, 48)?), label(header.span(208, 48)?)),
        _ => return None,
    };
    let uuid = label(header.span(168, 40)?);
    Some(Superblock { label: own_label, uuid, subsystem, ..Superblock::new(Kind::Luks) })
}

#[cfg(test)]
pub(super) fn sample() -> Vec<u8> {
    let mut image = vec![0; 8192];
    image[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    image[24..28].copy_from_slice(b"lcow");
    image[168..204].copy_from_slice(b"0b4d6f2e-9d7c-4b8a-8a3e-2f1d6c5b4a39");
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn versions() {
        let both = Some((Some("lcow"), Some("rdlive:x")));
        for (version, expected) in [(1, Some((None, None))), (2, both), (3, None)] {
            let mut image = sample();
            image[7] = version;
            image[208..216].copy_from_slice(b"rdlive:x");
            let found = parse(&image);
            let text = found.as_ref().map(|f| (f.label.as_deref(), f.subsystem.as_deref()));
            assert_eq!(text, expected, "{version}");
        }
        assert_eq!(parse(&sample()).unwrap().uuid.as_deref(), Some("0b4d6f2e-9d7c-4b8a-8a3e-2f1d6c5b4a39"));
    }

    #[test]
    fn second_header_must_name_its_own_place() {
        for (place, found) in [(0x4000u64, true), (0x8000, false)] {
            let mut image = vec![0; 0x8000];
            let header = &mut image[0x4000..];
            header[..8].copy_from_slice(b"SKUL\xba\xbe\0\x02");
            header[256..264].copy_from_slice(&place.to_be_bytes());
            let mut reader = Cursor::new(image);
            let result = secondary(&mut Source::new(&mut reader)).unwrap();
            assert_eq!(result.is_some(), found, "{place:x}");
        }
    }
}
