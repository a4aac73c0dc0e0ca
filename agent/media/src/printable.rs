//! What a person reads: texts of media, made harmless for a terminal, and sizes.

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

/// C0, DEL, C1; line and paragraph separators; marks, embeddings, overrides and isolates of writing direction (UAX #9).
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A size for a person, in binary units.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    let scaled = bytes >> (10 * unit);
    format!("{scaled} {}", UNITS[unit as usize])
}
