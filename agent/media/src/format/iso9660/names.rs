//! Names that are not from Rock Ridge.

use crate::format::text;

/// A Joliet name without its version.
pub(super) fn joliet_name(name: &[u8]) -> String {
    let text = text::utf16(text::units_be(name)).unwrap_or_default();
    without_version(&text).to_owned()
}

/// An ISO 9660 name as Linux shows it: lower case, no version, no empty extension.
pub(super) fn plain_name(name: &[u8]) -> String {
    let text = text::lossless(name).to_lowercase();
    let text = without_version(&text);
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

fn without_version(name: &str) -> &str {
    match name.rsplit_once(';') {
        Some((name, version)) if version.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (stored, name) in [(&b"KERNEL.;1"[..], "kernel"), (b"A.IMG;1", "a.img"), (b"ODD;X", "odd;x"), (b"", "")] {
            assert_eq!(plain_name(stored), name, "{stored:?}");
        }
        assert_eq!(joliet_name(&[0, b'a', 0, b';', 0, b'1']), "a");
    }
}
