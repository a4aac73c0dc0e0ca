//! The volume descriptors: 2 KiB each from byte 32768 on.

use serde::{Deserialize, Serialize};

use crate::format::bytes::Fields;
use crate::format::text;

/// Byte offset of the first descriptor.
pub(super) const START: usize = 0x8000;
/// Bytes per descriptor.
pub(super) const LEN: usize = 2048;
/// Descriptors that are looked at.
pub(super) const MAX: usize = 16;
/// Byte offset in the image and length of the application-use field, where media sums are kept (dracut-live spec 5.3).
pub const APPLICATION_USE: (u64, usize) = (0x8000 + 883, 512);

/// What the descriptors say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// Volume id as blkid shows it: without trailing spaces, characters that ISO 9660 lacks taken from Joliet.
    pub label: Option<String>,
    /// Modification date, else creation date, as `YYYY-MM-DD-HH-MM-SS-cc`.
    pub uuid: Option<String>,
    /// Volume size in bytes.
    pub size: u64,
    /// Bytes per logical block, 2048 in practice.
    pub block_size: u16,
    /// System id.
    pub system: Option<String>,
    /// Volume set id.
    pub volume_set: Option<String>,
    /// Publisher.
    pub publisher: Option<String>,
    /// Data preparer: the program that made the image.
    pub preparer: Option<String>,
    /// Application id.
    pub application: Option<String>,
    /// The 512 bytes for applications' own use.
    pub application_use: Vec<u8>,
    /// Block of the El Torito catalog.
    pub boot_catalog: Option<u32>,
    /// Root directories.
    #[serde(skip)]
    pub(super) root: Root,
    /// Root of the Joliet tree.
    #[serde(skip)]
    pub(super) joliet: Option<Root>,
}

/// Where a root directory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Root {
    /// First block.
    pub(super) block: u32,
    /// Length in bytes.
    pub(super) size: u32,
}

/// Descriptors by type, as they are found.
#[derive(Default)]
struct Found<'a> {
    primary: Option<&'a [u8]>,
    joliet: Option<&'a [u8]>,
    boot: Option<&'a [u8]>,
}

impl Descriptors {
    /// Parses the descriptors in `bytes`, which begin with the first one; `None` without a primary descriptor.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let found = collect(bytes);
        let primary = found.primary?;
        let block_size = primary.le16(128)?;
        Some(Self {
            label: volume_id(primary, found.joliet),
            uuid: stamp(primary.span(830, 17)?).or_else(|| stamp(primary.span(813, 17)?)),
            size: u64::from(primary.le32(80)?) * u64::from(block_size),
            block_size,
            system: text::label(primary.span(8, 32)?),
            volume_set: text::label(primary.span(190, 128)?),
            publisher: text::label(primary.span(318, 128)?),
            preparer: text::label(primary.span(446, 128)?),
            application: text::label(primary.span(574, 128)?),
            application_use: primary.span(883, APPLICATION_USE.1)?.to_vec(),
            boot_catalog: found.boot.and_then(|boot| boot.le32(0x47)),
            root: root(primary)?,
            joliet: found.joliet.and_then(root),
        })
    }
}

fn collect(bytes: &[u8]) -> Found<'_> {
    let mut found = Found::default();
    for descriptor in bytes.chunks_exact(LEN).take(MAX) {
        if !descriptor.has(1, b"CD001") {
            break;
        }
        match descriptor.first() {
            Some(0) if descriptor.has(7, b"EL TORITO SPECIFICATION") => {
                found.boot.get_or_insert(descriptor);
            }
            Some(1) => {
                found.primary.get_or_insert(descriptor);
            }
            Some(2) if is_joliet(descriptor) => {
                found.joliet.get_or_insert(descriptor);
            }
            Some(255) => break,
            _ => {}
        }
    }
    found
}

fn is_joliet(descriptor: &[u8]) -> bool {
    [b"%/@", b"%/C", b"%/E"].into_iter().any(|escape| descriptor.has(88, escape))
}

fn root(descriptor: &[u8]) -> Option<Root> {
    Some(Root { block: descriptor.le32(156 + 2)?, size: descriptor.le32(156 + 10)? })
}

/// The volume id as libblkid has it: the primary one has room for 32 bytes, Joliet's for 16 characters of all kinds. Where both say the
/// same, an underscore stands for a character that only the other could keep; where they do not, Joliet's counts.
fn volume_id(primary: &[u8], joliet: Option<&[u8]>) -> Option<String> {
    let id = primary.span(40, 32)?;
    let Some(wide) = joliet.and_then(|joliet| joliet.span(40, 32)) else {
        return text::label(id);
    };
    let mut units: Vec<u16> = id.iter().map(|byte| u16::from(*byte)).collect();
    for (unit, wide) in units.iter_mut().zip(text::units_be(wide)) {
        *unit = match (u8::try_from(*unit), u8::try_from(wide)) {
            (Ok(b'_'), _) => wide,
            (_, Ok(b'_')) => *unit,
            (Ok(one), Ok(other)) if one == other => *unit,
            (Ok(one), Ok(other)) if one.eq_ignore_ascii_case(&other) => one.to_ascii_lowercase().into(),
            _ => return text::utf16(text::units_be(joliet.and_then(|joliet| joliet.span(40, 32))?)),
        };
    }
    text::utf16(units.into_iter())
}

/// A date of 16 digits and a time zone; `None` when unset.
fn stamp(date: &[u8]) -> Option<String> {
    let (digits, zone) = (date.span(0, 16)?, date.u8(16)?);
    if !digits.iter().all(u8::is_ascii_digit) || (zone == 0 && digits.iter().all(|d| *d == b'0')) {
        return None;
    }
    let mut text = String::with_capacity(22);
    for (i, digit) in digits.iter().enumerate() {
        if i >= 4 && i % 2 == 0 {
            text.push('-');
        }
        text.push(char::from(*digit));
    }
    Some(text)
}

#[cfg(test)]
pub(in crate::format) mod tests {
    use super::*;

    /// A primary descriptor in an otherwise empty image.
    pub(in crate::format) fn sample() -> Vec<u8> {
        let mut image = vec![0; START + 2 * LEN];
        let pvd = &mut image[START..START + LEN];
        pvd[..7].copy_from_slice(b"\x01CD001\x01");
        pvd[8..72].fill(b' ');
        pvd[40..47].copy_from_slice(b"MY_LIVE");
        pvd[80..84].copy_from_slice(&100u32.to_le_bytes());
        pvd[128..130].copy_from_slice(&2048u16.to_le_bytes());
        pvd[813..829].copy_from_slice(b"2024050112304599");
        pvd[830..846].copy_from_slice(b"0000000000000000");
        image[START + LEN..START + LEN + 7].copy_from_slice(b"\xffCD001\x01");
        image
    }

    fn parse(image: &[u8]) -> Option<Descriptors> {
        Descriptors::parse(&image[START..])
    }

    #[test]
    fn fields() {
        let found = parse(&sample()).unwrap();
        assert_eq!(found.label.as_deref(), Some("MY_LIVE"));
        assert_eq!(found.uuid.as_deref(), Some("2024-05-01-12-30-45-99"));
        assert_eq!(found.size, 204_800);
    }

    #[test]
    fn modification_date_goes_first() {
        let mut image = sample();
        image[START + 830..START + 846].copy_from_slice(b"2025010203040506");
        let found = parse(&image).unwrap();
        assert_eq!(found.uuid.as_deref(), Some("2025-01-02-03-04-05-06"));
        image[START + 830..START + 846].copy_from_slice(b"2025x10203040506");
        let found = parse(&image).unwrap();
        assert_eq!(found.uuid.as_deref(), Some("2024-05-01-12-30-45-99"));
    }

    /// A volume whose two descriptors have these ids.
    fn labelled(primary: &str, wide: &str) -> Option<String> {
        let mut image = sample();
        image[START + 40..START + 72].fill(b' ');
        image[START + 40..START + 40 + primary.len()].copy_from_slice(primary.as_bytes());
        let joliet = &mut image[START + LEN..];
        joliet[..7].copy_from_slice(b"\x02CD001\x01");
        joliet[88..91].copy_from_slice(b"%/E");
        for (at, unit) in joliet[40..72].chunks_mut(2).zip(wide.encode_utf16().chain(std::iter::repeat(0x20))) {
            at.copy_from_slice(&unit.to_be_bytes());
        }
        parse(&image).unwrap().label
    }

    /// As blkid has them; xorriso writes the second to the last with `-J -V`.
    #[test]
    fn joliet_fills_the_underscores_and_has_what_is_no_ascii() {
        for (primary, wide, expected) in [
            ("MY_LIVE", "MY LIVE", "MY LIVE"),
            ("MY_LIVE", "MY_LIVE", "MY_LIVE"),
            ("MY_LIVE", "my live", "my live"),
            ("my live", "MY LIVE", "my live"),
            ("My LiVe", "mY lIvE", "my live"),
            ("MY_LIVE", "OTHER", "OTHER"),
            ("MY_LIVE_AND_A_LONG_NAME", "MY LIVE AND A LO", "MY LIVE AND A LONG_NAME"),
            ("MY_LIVE_AND_A_LONG_NAME", "MY LIVE AND B LO", "MY LIVE AND B LO"),
            ("Größe", "Gr____e", "GrÃ¶Ã\u{9f}e"),
            ("Größe", "Größe", "Größe"),
            ("My_Größe", "My_Größe", "My_Größe"),
            ("Größe eines Namens", "Größe eines Name", "Größe eines Name"),
        ] {
            assert_eq!(labelled(primary, wide).as_deref(), Some(expected), "{primary}");
        }
    }

    #[test]
    fn no_primary_descriptor() {
        let mut image = sample();
        image[START + 1] = b'X';
        assert_eq!(parse(&image), None);
        assert_eq!(Descriptors::parse(&[]), None);
    }
}
