//! LUKS 1 and 2: big-endian header at byte 0; LUKS 2 keeps a second header further in.

use std::io::{Read, Seek};

use serde_json::Value;

use super::bytes::{Fields, read_at};
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

/// Bytes of the part of a header before its JSON area, and of the largest header there is (LUKS2 On-Disk Format, 2.1 and 2.2).
const BINARY: u64 = 4096;
const LONGEST: u64 = 4 << 20;

/// Bytes of memory that each key slot of a LUKS 2 volume wants for making a key of a passphrase. Both headers are asked, for
/// cryptsetup takes the second where the first is damaged; the larger wish counts. LUKS 1 and PBKDF2 want none.
///
/// # Errors
/// The device could not be read.
pub fn key_memory<R: Read + Seek>(reader: &mut R) -> Result<Vec<(String, u64)>, Error> {
    let mut slots: Vec<(String, u64)> = Vec::new();
    for (at, magic) in std::iter::once((0, b"LUKS\xba\xbe")).chain(SECONDARY.map(|at| (at, b"SKUL\xba\xbe"))) {
        let header = read_at(reader, "a LUKS header", at, HEADER)?;
        let size = header.be64(8).filter(|size| (BINARY..=LONGEST).contains(size));
        let Some(size) = size.filter(|_| header.has(0, magic) && header.be16(6) == Some(2)) else { continue };
        let length = usize::try_from(size - BINARY).unwrap_or(0);
        let area = read_at(reader, "the JSON area of a LUKS header", at + BINARY, length)?;
        let text = area.split(|byte| *byte == 0).next().unwrap_or_default();
        // As loosely as cryptsetup reads it: of two members with one name the last counts, and a slot for re-encryption has no function
        // for keys. What is no JSON to it either is a damaged header.
        let Ok(area) = crate::json::read::<Value>(text) else { continue };
        for (slot, content) in area.get("keyslots").and_then(Value::as_object).into_iter().flatten() {
            // In units of 1024 bytes.
            let wanted = memory(content).saturating_mul(1024);
            match slots.iter_mut().find(|(known, _)| known == slot) {
                Some((_, known)) => *known = wanted.max(*known),
                None => slots.push((slot.clone(), wanted)),
            }
        }
    }
    Ok(slots)
}

/// What the function that makes a slot's key wants; more than there is where that is no number that can be read.
fn memory(slot: &Value) -> u64 {
    match slot.get("kdf").and_then(|kdf| kdf.get("memory")) {
        None => 0,
        Some(memory) => memory.as_u64().unwrap_or(u64::MAX),
    }
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
    fn each_slot_says_how_much_memory_it_wants() {
        let header = |magic: &[u8], at: usize, image: &mut [u8], json: &str| {
            image[at..at + 6].copy_from_slice(magic);
            image[at + 7] = 2;
            image[at + 8..at + 16].copy_from_slice(&0x4000_u64.to_be_bytes());
            image[at + 4096..at + 4096 + json.len()].copy_from_slice(json.as_bytes());
        };
        let slots = |first: &str, second: &str| {
            let mut image = vec![0; 0x8000];
            header(b"LUKS\xba\xbe", 0, &mut image, first);
            header(b"SKUL\xba\xbe", 0x4000, &mut image, second);
            key_memory(&mut Cursor::new(image)).unwrap()
        };
        let json = |kib: &str| {
            format!(
                r#"{{"keyslots":{{"0":{{"kdf":{{"type":"argon2id","memory":{kib}}}}},"1":{{"kdf":{{"type":"pbkdf2"}}}}}}}}"#
            )
        };
        let expected = |bytes| vec![("0".to_owned(), bytes), ("1".to_owned(), 0)];
        assert_eq!(slots(&json("1024"), &json("1024")), expected(1 << 20));
        assert_eq!(slots(&json("1024"), &json("4096")), expected(4 << 20));
        assert_eq!(slots("{", &json("4096")), expected(4 << 20));
        assert_eq!(slots(&json("18446744073709551615"), ""), expected(u64::MAX));
        let kdf = r#""kdf":{"memory":4096}"#;
        for (content, bytes) in [
            (r#"{"type":"reencrypt"}"#.to_owned(), 0),
            (format!(r#"{{"type":"luks2",{kdf},{kdf}}}"#), 4 << 20),
            (format!(r#"{{"kdf":{{"memory":1}},{kdf}}}"#), 4 << 20),
            (r#"{"kdf":{"memory":-1}}"#.to_owned(), u64::MAX),
            (r#"{"kdf":{"memory":"4096"}}"#.to_owned(), u64::MAX),
            (r#"{"kdf":{"memory":4e9}}"#.to_owned(), u64::MAX),
        ] {
            let area = format!(r#"{{"keyslots":{{"0":{content}}}}}"#);
            assert_eq!(slots(&area, ""), [("0".to_owned(), bytes)], "{content}");
        }
        assert_eq!(key_memory(&mut Cursor::new(vec![0; 100])).unwrap().len(), 0);
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
