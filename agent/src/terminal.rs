//! Text on its way to a terminal.
//!
//! Labels, names and paths come from media that anybody may have made. In types and JSON they stay what they are; where text
//! becomes the bytes that a terminal obeys, what it would obey is shown instead (`docs/decisions/0010-hostile-input.md`).

use std::fmt::Write;

/// The text with control characters, and those that change the direction of writing, as the `\xNN` of their bytes. All that can
/// be seen stays. Doing it twice changes nothing.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\x{byte:02x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// As [`printable`] for a text of several lines, whose ends stay.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// C0, DEL, C1; line and paragraph separators; marks, embeddings, overrides and isolates of writing direction (UAX #9).
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, expected) in [
            ("LIVE größe 日本", "LIVE größe 日本"),
            ("\x1b[2J\x1b[8mhidden", "\\x1b[2J\\x1b[8mhidden"),
            ("a\r\nRDL-000: fine\t\x07\x7f", "a\\x0d\\x0aRDL-000: fine\\x09\\x07\\x7f"),
            ("\u{9b}31m", "\\xc2\\x9b31m"),
            ("\u{202e}gpj.exe", "\\xe2\\x80\\xaegpj.exe"),
            ("\\x1b stays", "\\x1b stays"),
        ] {
            let shown = printable(text);
            assert_eq!((shown.as_str(), printable(&shown)), (expected, expected.to_owned()), "{text:?}");
            assert!(!shown.chars().any(char::is_control), "{text:?}");
        }
        assert_eq!(printable_lines("a\nb\x1b\n"), "a\nb\\x1b\n");
    }
}
