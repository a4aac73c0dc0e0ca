//! udev's escaping of labels in `/dev/disk/by-label` and `by-partlabel`.

use std::fmt::Write;

use super::text::lossless;

/// Escapes a label as udev does for a link name: ASCII other than `[0-9A-Za-z#+-.:=@_]` becomes `\xNN`, other UTF-8 stays.
#[must_use]
pub fn udev_encode(label: &str) -> String {
    let mut out = String::with_capacity(label.len());
    for c in label.chars() {
        if !c.is_ascii() || c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
    }
    out
}

/// Undoes [`udev_encode`]. A backslash that starts no `\xNN` stays; bytes that are not UTF-8 stay `\xNN`.
#[must_use]
pub fn udev_decode(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if let Some((byte, after)) = escape(rest) {
            out.push(byte);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    lossless(&out)
}

fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', b'x', high, low, after @ ..] = bytes else {
        return None;
    };
    Some((hex(*high)? << 4 | hex(*low)?, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_a3_encode_and_back() {
        for (label, link) in [
            ("My Live", r"My\x20Live"),
            ("a/b", r"a\x2fb"),
            (r"a\b", r"a\x5cb"),
            ("#+-.:=@_", "#+-.:=@_"),
            ("a,b;c", r"a\x2cb\x3bc"),
            ("Größe", "Größe"),
            ("tab\t", r"tab\x09"),
            ("", ""),
        ] {
            assert_eq!(udev_encode(label), link, "{label}");
            assert_eq!(udev_decode(link), label, "{link}");
        }
    }

    #[test]
    fn decode_of_other_text() {
        for (link, label) in [
            (r"\x", r"\x"),
            (r"\x2", r"\x2"),
            (r"\xzz", r"\xzz"),
            (r"\x2F", "/"),
            (r"\xc3\xa9", "é"),
            (r"\xff", r"\xff"),
            (r"caf\xE9", r"caf\xe9"),
            (r"a\", r"a\"),
        ] {
            assert_eq!(udev_decode(link), label, "{link}");
        }
    }
}
