//! Labels and names as text.

use std::fmt::Write;

/// Bytes as text of which nothing is lost: what is no UTF-8 becomes the `\xNN` of each byte, as udev writes it in links. So two
/// labels that differ there stay two, and either can be typed.
#[must_use]
pub fn lossless(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Cuts at the first NUL and trailing white space; `None` if nothing is left.
pub(super) fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    trimmed(&lossless(bytes.get(..end)?))
}

/// UTF-16 units up to the first NUL, without trailing white space; `None` if nothing is left. Of half a surrogate pair nothing is lost:
/// it becomes the `\xNN` of the three bytes that stand for it where such halves are written at all (WTF-8).
pub(super) fn utf16(units: impl Iterator<Item = u16>) -> Option<String> {
    let mut text = String::new();
    for c in char::decode_utf16(units.take_while(|unit| *unit != 0)) {
        match c {
            Ok(c) => text.push(c),
            Err(half) => {
                let [high, low] = half.unpaired_surrogate().to_be_bytes();
                let bytes = [0xe0 | high >> 4, 0x80 | (high & 0x0f) << 2 | low >> 6, 0x80 | low & 0x3f];
                text.push_str(&lossless(&bytes));
            }
        }
    }
    trimmed(&text)
}

/// The little-endian UTF-16 units of `bytes`.
pub(super) fn units_le(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// The big-endian UTF-16 units of `bytes`.
pub(super) fn units_be(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim_end_matches(|c: char| c.is_ascii_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_at_nul_and_blanks() {
        for (bytes, expected) in [
            (&b"LIVE   "[..], Some("LIVE")),
            (b"a b\0junk", Some("a b")),
            (b" x ", Some(" x")),
            (b"    ", None),
            (b"", None),
            (b"\xff", Some(r"\xff")),
            (b"caf\xe9 \xc3", Some(r"caf\xe9 \xc3")),
            ("é\u{fffd}".as_bytes(), Some("é\u{fffd}")),
        ] {
            assert_eq!(label(bytes).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn utf16_survives_lone_surrogates() {
        // Python: '\ud800'.encode('utf-8', 'surrogatepass').
        assert_eq!(utf16(units_le(&[0x41, 0, 0, 0xd8, 0x42, 0, 9])).as_deref(), Some(r"A\xed\xa0\x80B"));
        assert_eq!(utf16(units_le(&[0xff, 0xdf])).as_deref(), Some(r"\xed\xbf\xbf"));
        assert_eq!(utf16(units_le(&[0x3d, 0xd8, 0, 0xde])).as_deref(), Some("\u{1f600}"));
        assert_eq!(utf16(units_be(&[0, 0x41, 0, 0x20])).as_deref(), Some("A"));
    }
}
