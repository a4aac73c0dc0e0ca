//! Deleting a tree that may be large, broken or odd, while somebody waits for the boot: within a time, without ever leaving
//! the file system that it is on, and going on behind what cannot be deleted.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, open, openat2, unlinkat};
use rustix::io::Errno;

/// Names read at once: a directory may have more than fit into memory.
const BATCH: usize = 4096;
/// Each level keeps a descriptor open; there are 1024.
const DEPTH: usize = 200;

/// Why something is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeldUp {
    /// The time was over.
    Late,
    /// The first thing that could not be deleted, and why.
    Refused(String),
}

/// One deletion, of one path or of several.
#[derive(Debug)]
pub(super) struct Deletion {
    deadline: Instant,
    /// Names from the path that was given down to where we are.
    trail: Vec<CString>,
    /// Why not all is gone.
    pub held: Option<HeldUp>,
}

impl Deletion {
    /// One that ends at some time.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, trail: Vec::new(), held: None }
    }

    /// Deletes a path and all below it; links are not followed.
    pub(super) fn delete(&mut self, path: &Path) {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(name) = CString::new(name.as_bytes()) else { return };
        match open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(dir) => drop(self.entry(dir.as_fd(), &name, FileType::Unknown)),
            Err(error) => self.refused(error),
        }
    }

    fn late(&mut self) -> bool {
        let late = Instant::now() >= self.deadline;
        if late {
            self.held.get_or_insert(HeldUp::Late);
        }
        late
    }

    /// Deletes an entry of a directory; whether it is gone.
    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr, kind: FileType) -> bool {
        if self.late() {
            return false;
        }
        self.trail.push(name.to_owned());
        let done = match kind {
            FileType::Directory => self.directory(dir, name),
            _ => match unlinkat(dir, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => self.directory(dir, name),
                result => result,
            },
        };
        if let Err(error) = done {
            self.refused(error);
        }
        self.trail.pop();
        done.is_ok()
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        // An empty one, also an empty subvolume of btrfs, needs no look inside.
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            result => return result,
        }
        if self.trail.len() > DEPTH {
            return Err(Errno::NAMETOOLONG);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is mounted inside is not ours to delete.
        let opened = openat2(dir, name, flags, Mode::empty(), ResolveFlags::NO_XDEV)?;
        self.content(&opened)?;
        unlinkat(dir, name, AtFlags::REMOVEDIR)
    }

    fn content(&mut self, dir: &OwnedFd) -> Result<(), Errno> {
        loop {
            let names = batch(dir)?;
            let gone = names.iter().filter(|(name, kind)| self.entry(dir.as_fd(), name, *kind)).count();
            // What is left cannot be deleted, or there is no time.
            if gone == 0 || names.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// The first reason counts: that a directory is not empty follows from what is inside.
    fn refused(&mut self, error: Errno) {
        let names: Vec<_> = self.trail.iter().map(|name| name.to_string_lossy()).collect();
        self.held.get_or_insert(HeldUp::Refused(format!("{}: {error}", names.join("/"))));
    }
}

/// Some of the names in a directory. They are read before anything is deleted, for not every file system goes on where it
/// was after that.
fn batch(dir: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        names.push((entry.file_name().to_owned(), entry.file_type()));
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    #[test]
    fn deletes_everything_and_follows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (doomed, other) = (dir.path().join("doomed"), dir.path().join("other"));
        fs::create_dir_all(doomed.join("a/b/c")).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("stays"), "").unwrap();
        symlink(&other, doomed.join("a/link")).unwrap();
        symlink(&other, doomed.join("link")).unwrap();
        for number in 0..BATCH + 50 {
            fs::write(doomed.join(format!("a/b/{number}")), "").unwrap();
        }
        let mut deep = doomed.clone();
        (0..DEPTH - 10).for_each(|_| deep.push("d"));
        fs::create_dir_all(&deep).unwrap();
        let mut deletion = Deletion::until(Instant::now() + Duration::from_secs(60));
        deletion.delete(&doomed);
        assert_eq!(deletion.held, None);
        assert!(!doomed.exists() && other.join("stays").exists());
        for (name, make) in [("file", true), ("link", false)] {
            let path = dir.path().join(name);
            if make {
                fs::write(&path, "").unwrap()
            } else {
                symlink(&other, &path).unwrap()
            }
            deletion.delete(&path);
            assert!(path.symlink_metadata().is_err() && other.join("stays").exists(), "{name}");
        }
    }

    #[test]
    fn says_why_something_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let doomed = dir.path().join("doomed");
        let mut deep = doomed.clone();
        (0..DEPTH + 10).for_each(|_| deep.push("d"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(doomed.join("file"), "").unwrap();
        let mut late = Deletion::until(Instant::now());
        late.delete(&doomed);
        assert_eq!(late.held, Some(HeldUp::Late));
        assert!(doomed.join("file").exists());
        let mut deletion = Deletion::until(Instant::now() + Duration::from_secs(60));
        deletion.delete(&doomed);
        let Some(HeldUp::Refused(why)) = &deletion.held else { panic!("{:?}", deletion.held) };
        assert!(why.contains("doomed/d/d"), "{why}");
        assert!(doomed.exists() && !doomed.join("file").exists(), "what can go is gone");
    }
}
