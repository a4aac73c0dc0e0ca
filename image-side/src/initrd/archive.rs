//! The cpio archive (newc): entries in sorted order, fixed owner, time and inode numbers.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, ensure};
use cpio::newc::{Builder, trailer};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

#[derive(Clone, Debug)]
struct Node {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

/// The content of an initramfs, by path without a leading slash.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a directory with permissions `mode`, and its parents.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, DIRECTORY | mode, (0, 0), Vec::new());
    }

    /// Adds a regular file, and its parents.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        self.insert(path, FILE | mode, (0, 0), content);
    }

    /// Adds a symbolic link, and its parents.
    pub fn link(&mut self, path: &str, target: &str) {
        self.insert(path, LINK | 0o777, (0, 0), target.as_bytes().to_vec());
    }

    /// Adds a character device, and its parents.
    pub fn character_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.insert(path, CHARACTER_DEVICE | mode, (major, minor), Vec::new());
    }

    /// Bytes of all files together.
    pub fn content_bytes(&self) -> u64 {
        self.nodes.values().map(|node| node.content.len() as u64).sum()
    }

    fn insert(&mut self, path: &str, mode: u32, device: (u32, u32), content: Vec<u8>) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.nodes.entry(path[..at].to_owned()).or_insert(Node {
                mode: DIRECTORY | 0o755,
                device: (0, 0),
                content: Vec::new(),
            });
        }
        self.nodes.insert(path.to_owned(), Node { mode, device, content });
    }

    /// Writes the archive; the same content and `mtime` give the same bytes.
    ///
    /// # Errors
    /// When a file is 4 GiB or more, or writing fails.
    pub fn write(&self, mut out: impl Write, mtime: u32) -> Result<()> {
        for (number, (path, node)) in self.nodes.iter().enumerate() {
            let size = u32::try_from(node.content.len()).with_context(|| format!("{path} is too big for cpio"))?;
            ensure!(!path.is_empty(), "an initramfs entry without a name");
            let entry = Builder::new(path)
                .ino(u32::try_from(number).unwrap_or(u32::MAX) + 1)
                .mode(node.mode)
                .nlink(if node.mode & DIRECTORY == DIRECTORY { 2 } else { 1 })
                .mtime(mtime)
                .rdev_major(node.device.0)
                .rdev_minor(node.device.1);
            let mut writer = entry.write(&mut out, size);
            writer.write_all(&node.content).with_context(|| format!("writing {path}"))?;
            writer.finish().with_context(|| format!("writing {path}"))?;
        }
        trailer(&mut out).context("writing the end of the archive")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::default();
        archive.file("usr/lib/b", 0o644, b"bbb".to_vec());
        archive.link("bin", "usr/bin");
        archive.character_device("dev/console", 0o600, 5, 1);
        archive.directory("tmp", 0o1777);
        archive
    }

    #[test]
    fn parents_come_first_and_numbers_are_in_order() {
        let mut bytes = Vec::new();
        sample().write(&mut bytes, 7).unwrap();
        let mut seen = Vec::new();
        let mut rest = &bytes[..];
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            assert_eq!((entry.uid(), entry.mtime()), (0, 7), "{}", entry.name());
            seen.push((entry.name().to_owned(), entry.mode(), entry.ino(), entry.rdev_major()));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("bin", 0o120_777, 1, 0),
            ("dev", 0o040_755, 2, 0),
            ("dev/console", 0o020_600, 3, 5),
            ("tmp", 0o041_777, 4, 0),
            ("usr", 0o040_755, 5, 0),
            ("usr/lib", 0o040_755, 6, 0),
            ("usr/lib/b", 0o100_644, 7, 0),
        ];
        assert_eq!(seen, expected.map(|(name, mode, ino, major)| (name.to_owned(), mode, ino, major)));
    }

    /// The crate that wrote it reads what it wrote; GNU's cpio knows the format from elsewhere.
    #[test]
    fn gnu_cpio_lists_what_was_put_in() {
        let mut bytes = Vec::new();
        sample().write(&mut bytes, 86_400 * 365).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut cpio = std::process::Command::new("cpio");
        cpio.args(["-tvn", "--quiet"]).stdin(file).env("LC_ALL", "C").env("TZ", "UTC");
        let output = cpio.output().expect("cpio is missing: cargo lab install brings it");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = [
            "lrwxrwxrwx 1 0 0 7 Jan 1 1971 bin -> usr/bin",
            "drwxr-xr-x 2 0 0 0 Jan 1 1971 dev",
            "crw------- 1 0 0 5, 1 Jan 1 1971 dev/console",
            "drwxrwxrwt 2 0 0 0 Jan 1 1971 tmp",
            "drwxr-xr-x 2 0 0 0 Jan 1 1971 usr",
            "drwxr-xr-x 2 0 0 0 Jan 1 1971 usr/lib",
            "-rw-r--r-- 1 0 0 3 Jan 1 1971 usr/lib/b",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn b49_same_content_same_bytes() {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        sample().write(&mut a, 1).unwrap();
        sample().write(&mut b, 1).unwrap();
        assert_eq!(a, b);
        b.clear();
        sample().write(&mut b, 2).unwrap();
        assert_ne!(a, b, "the time is part of the bytes");
    }
}
