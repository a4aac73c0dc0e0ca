//! What is mounted: `/proc/self/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::format::lossless;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount.
    pub id: u32,
    /// Number of the mount it lies on.
    pub parent: u32,
    /// Number of the device, as sysfs writes it: `8:1`.
    pub device: String,
    /// Mount point.
    pub at: PathBuf,
    /// Type of the file system.
    pub fs: String,
    /// What it is made from: a node, for most.
    pub source: String,
}

/// All mounts, oldest first; none where there is no table.
#[must_use]
pub fn all(env: &Env) -> Vec<Mount> {
    std::fs::read(env.path("proc/self/mountinfo")).map_or_else(|_| Vec::new(), |table| parse(&table))
}

/// What is seen at a path, if something is mounted there: the last of those at one place.
#[must_use]
pub fn at<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    mounts.iter().rev().find(|mount| mount.at == path)
}

/// The mount on which a path lies.
#[must_use]
pub fn around<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    // The last of those at one place is the one that is seen.
    mounts.iter().filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.components().count())
}

/// Parses the table; lines that cannot be read are left out.
#[must_use]
pub fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let device = lossless(fields.next()?);
    let at = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    // Fields of a number that is not fixed end with a hyphen.
    fields.find(|field| *field == b"-")?;
    let (fs, source) = (lossless(fields.next()?), lossless(&unescape(fields.next().unwrap_or_default())));
    Some(Mount { id, parent, device, at, fs, source })
}

/// The kernel writes space, tab, line feed, backslash and `#` as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_is_whatever_its_bytes() {
        let table = b"34 30 8:1 / /mnt/a\\040b\\134c\xff rw shared:1 - ext4 /dev/sda1 rw\n40 30 0:5 / /x rw - tmpfs\nnonsense\n1 2 3 4";
        let found = parse(table);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].at.as_os_str().as_encoded_bytes(), b"/mnt/a b\\c\xff");
        assert_eq!((&*found[0].device, &*found[0].fs, &*found[0].source), ("8:1", "ext4", "/dev/sda1"));
        assert_eq!((&*found[1].fs, &*found[1].source), ("tmpfs", ""));
    }

    #[test]
    fn the_last_mount_at_a_place_is_the_one_that_is_seen() {
        let table =
            b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /m rw - ext4 /dev/b rw\n3 2 8:3 / /m rw - xfs /dev/c rw\n";
        let mounts = parse(table);
        let source = |found: Option<&Mount>| found.map(|mount| mount.source.clone());
        assert_eq!(source(at(&mounts, Path::new("/m"))).as_deref(), Some("/dev/c"));
        assert_eq!(source(at(&mounts, Path::new("/m/x"))), None);
        assert_eq!(source(around(&mounts, Path::new("/m/x"))).as_deref(), Some("/dev/c"));
        assert_eq!(source(around(&mounts, Path::new("/mm"))).as_deref(), Some("/dev/a"));
    }

    #[test]
    fn unescape_table() {
        for (text, expected) in [("/a", "/a"), ("/a\\040b", "/a b"), ("\\134", "\\"), ("\\9", "\\9"), ("\\04", "\\04")]
        {
            assert_eq!(unescape(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
