//! A file that grows, read once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// What has been read of a file so far.
pub struct Tail {
    path: PathBuf,
    offset: u64,
    /// The beginning of a character whose end is not there yet.
    rest: Vec<u8>,
    text: String,
}

impl Tail {
    /// Nothing has been read; the file need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: Vec::new(), text: String::new() }
    }

    /// All of it, as of now. Bytes that are no text are replaced.
    pub fn text(&mut self) -> &str {
        if let Ok(mut file) = File::open(&self.path) {
            let mut new = std::mem::take(&mut self.rest);
            let kept = new.len();
            // A read that fails has still read what is in front of it.
            let _ = file.seek(SeekFrom::Start(self.offset)).and_then(|_| file.read_to_end(&mut new));
            self.offset += (new.len() - kept) as u64;
            self.add(new);
        }
        &self.text
    }

    fn add(&mut self, mut bytes: Vec<u8>) {
        let cut = match bytes.utf8_chunks().last() {
            // Up to three bytes may be a character that is not complete.
            Some(last) if last.invalid().len() < 4 && bytes.ends_with(last.invalid()) && starts(last.invalid()) => {
                bytes.len() - last.invalid().len()
            }
            _ => bytes.len(),
        };
        self.rest = bytes.split_off(cut);
        self.text.push_str(&String::from_utf8_lossy(&bytes));
    }
}

/// Do these bytes begin a character of several?
fn starts(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| *byte >= 0xc2)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_byte_is_read_once_wherever_a_character_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.text(), "");
        let mut file = File::create(&path).unwrap();
        let whole = "eins…zwei\u{1f980}\n";
        for byte in whole.as_bytes() {
            file.write_all(&[*byte]).unwrap();
            assert!(whole.starts_with(tail.text()), "{:?}", tail.text());
        }
        assert_eq!(tail.text(), whole);
        file.write_all(b"a\xffb\xe2").unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(tail.text(), format!("{whole}a\u{fffd}b\u{fffd}x"));
        assert_eq!(tail.offset, whole.len() as u64 + 5);
    }
}
