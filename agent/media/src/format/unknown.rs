//! What can be said of content that no reader knows: it may be a live medium whose beginning is lost.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use super::bytes::Fields;
use super::source::{Input, Source};

/// Content that is nothing known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Zeros, as far as was looked.
    Zeros,
    /// A disc image whose first descriptor is damaged.
    IsoHeader,
}

/// What is left of an input that [`identify`](super::identify) does not know; `None` for anything.
pub fn unknown<R: Read + Seek>(reader: &mut R) -> Option<Unknown> {
    let head = Source::new(&mut (reader as &mut dyn Input)).head;
    match head.iter().all(|byte| *byte == 0) {
        true => (!head.is_empty()).then_some(Unknown::Zeros),
        false => was_iso(&head).then_some(Unknown::IsoHeader),
    }
}

/// Whether the other descriptors of a volume are there still (ECMA-119 8), or a table that only the image of a disc has: a partition that
/// begins where the table itself is, or 32 KiB behind it where no other file system is, or one that is named after the disc.
fn was_iso(head: &[u8]) -> bool {
    const SECTOR: usize = 2048;
    let descriptor = (16..32).any(|sector| head.has(sector * SECTOR + 1, b"CD001"));
    let from_start = |entry: usize| {
        let (kind, start, sectors) = (head.u8(entry + 4), head.le32(entry + 8), head.le32(entry + 12));
        let zeros = || head.get(64 * 512..128 * 512).is_some_and(|part| part.iter().all(|byte| *byte == 0));
        let begins = start == Some(0) || start == Some(64) && zeros();
        kind != Some(0xee) && begins && sectors.is_some_and(|sectors| sectors > 0)
    };
    let hybrid = head.has(510, &[0x55, 0xaa]) && (0..4).any(|entry| from_start(446 + 16 * entry));
    // Names of a GPT are UTF-16; those are xorriso's.
    let named = |name: &str| {
        let name: Vec<u8> = name.bytes().flat_map(|byte| [byte, 0]).collect();
        head.get(1024..17_408).is_some_and(|entries| entries.windows(name.len()).any(|part| part == name))
    };
    descriptor || hybrid || (head.has(512, b"EFI PART") && (named("ISO") || named("Gap0")))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_left_of_a_disc_is_told_from_zeros_and_from_anything() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut image = vec![0; 1 << 17];
            parts.iter().for_each(|(at, bytes)| image[*at..*at + bytes.len()].copy_from_slice(bytes));
            unknown(&mut Cursor::new(image))
        };
        let entry = |kind: u8, start: u8| [0, 0, 0, 0, kind, 0, 0, 0, start, 0, 0, 0, 9, 0, 0, 0];
        let magic: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        assert_eq!(with(&[]), Some(Unknown::Zeros));
        assert_eq!(with(&[(100_000, b"x")]), Some(Unknown::Zeros));
        assert_eq!(unknown(&mut Cursor::new(Vec::new())), None);
        // The boot catalogue of El Torito, behind a first descriptor of zeros.
        assert_eq!(with(&[(17 * 2048, b"\0CD001")]), Some(Unknown::IsoHeader));
        assert_eq!(with(&[magic, (446, &entry(0x17, 0))]), Some(Unknown::IsoHeader));
        assert_eq!(with(&[magic, (446, &entry(0x17, 64))]), Some(Unknown::IsoHeader));
        assert_eq!(with(&[magic, (446, &entry(0x83, 64)), (33 * 1024, b"ext")]), None);
        assert_eq!(with(&[magic, (446, &entry(0x83, 63))]), None);
        assert_eq!(with(&[magic, (446, &entry(0xee, 0))]), None);
        let gpt: (usize, &[u8]) = (512, b"EFI PART");
        assert_eq!(with(&[magic, gpt, (1024 + 56, b"G\0a\0p\x000\0")]), Some(Unknown::IsoHeader));
        assert_eq!(with(&[magic, gpt, (1024 + 56, b"d\0a\0t\0a\0")]), None);
        assert_eq!(with(&[(0, b"text")]), None);
    }
}
