//! Archives of files, unpacked into RAM. Who writes one decides what runs, as with `updates/` of a medium; but no member of it gets out of
//! the directory by `..` or over a link, and it ends where the RAM does.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rdlive_fetch::sniff::is_cpio;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, fchmod, fchown, futimens, linkat,
    mkdirat, openat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::apply::Executor;
use super::basics::make_dir;
use super::fetch::BESIDE;

use crate::env::Env;
use crate::error::{Code, Stop};
use crate::foreign::open_at;
use crate::probe::ram::available;

/// More members than any update has.
const MEMBERS: usize = 100_000;
/// Bytes that are written between two looks at the memory.
const STRIDE: usize = 1 << 20;

impl Executor<'_> {
    /// Unpacks an archive (tar, cpio) into a directory, which is made.
    pub(super) fn unpack(&mut self, archive: &Path, at: &Path) -> Result<(), Stop> {
        let failed = |why: &dyn std::fmt::Display| Stop::new(Code::Updates, format!("{}: {why}", archive.display()));
        let target = self.env.path(at);
        make_dir(&target)?;
        let unpacked = File::open(self.env.path(archive)).and_then(|file| {
            let root = openat(CWD, &target, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let mut tree = Tree { env: self.env, root, members: 0, left_out: Vec::new() };
            tree.fill(file)?;
            Ok(tree)
        });
        let tree = unpacked.map_err(|error| failed(&error))?;
        tree.left_out.iter().for_each(|what| log::warn!("{}: {what}, left out", archive.display()));
        if tree.members == 0 {
            return Err(failed(&"the archive is empty, or is damaged at its beginning"));
        }
        Ok(())
    }
}

/// What a member is.
enum What<'a> {
    Directory,
    File(&'a mut dyn Read),
    /// A symbolic link, to this.
    Link(PathBuf),
    /// One more name of a member.
    Name(PathBuf),
    Other,
}

/// Owner, permissions, time.
struct About {
    mode: u32,
    owner: (u32, u32),
    time: i64,
}

/// The directory that an archive is unpacked into.
struct Tree<'a> {
    env: &'a Env,
    root: OwnedFd,
    members: usize,
    left_out: Vec<String>,
}

impl Tree<'_> {
    fn fill(&mut self, mut file: File) -> io::Result<()> {
        let mut head = [0; 6];
        file.read_exact(&mut head)?;
        file.rewind()?;
        if is_cpio(&head) { self.cpio(BufReader::new(file)) } else { self.tar(BufReader::new(file)) }
    }

    fn tar(&mut self, file: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let (path, kind, header) = (entry.path()?.into_owned(), entry.header().entry_type(), entry.header());
            let owner = |id: io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
            let about = About {
                mode: header.mode().unwrap_or(0o644),
                owner: (owner(header.uid()), owner(header.gid())),
                time: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
            };
            let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
            let what = match (kind, link) {
                (tar::EntryType::Directory, _) => What::Directory,
                (tar::EntryType::Symlink, Some(to)) => What::Link(to),
                (tar::EntryType::Link, Some(to)) => What::Name(to),
                (tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse, _) => {
                    What::File(&mut entry)
                }
                // Comments, and what only some programs know.
                (tar::EntryType::XGlobalHeader, _) => continue,
                _ => What::Other,
            };
            self.member(&path, what, &about)?;
        }
        Ok(())
    }

    /// Of a file with several names only the last has its bytes.
    fn cpio(&mut self, mut file: impl Read) -> io::Result<()> {
        let mut empty: Vec<(u32, PathBuf)> = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(file)?;
            let entry = reader.entry();
            if entry.is_trailer() {
                return Ok(());
            }
            let path = PathBuf::from(entry.name());
            let about = About { mode: entry.mode(), owner: (entry.uid(), entry.gid()), time: i64::from(entry.mtime()) };
            let (ino, shared, bytes) = (entry.ino(), entry.nlink() > 1, entry.file_size());
            match about.mode & 0o170_000 {
                0o040_000 => self.member(&path, What::Directory, &about)?,
                0o100_000 => {
                    self.member(&path, What::File(&mut reader), &about)?;
                    if shared && bytes == 0 {
                        empty.push((ino, path));
                    } else if shared {
                        for (_, name) in empty.extract_if(.., |(of, _)| *of == ino) {
                            self.member(&name, What::Name(path.clone()), &about)?;
                        }
                    }
                }
                0o120_000 => {
                    let mut to = String::new();
                    reader.by_ref().take(4096).read_to_string(&mut to)?;
                    self.member(&path, What::Link(to.into()), &about)?;
                }
                _ => self.member(&path, What::Other, &about)?,
            }
            file = reader.finish()?;
        }
    }

    fn member(&mut self, path: &Path, what: What<'_>, about: &About) -> io::Result<()> {
        self.members += 1;
        if self.members > MEMBERS {
            return Err(io::Error::other(format!("it holds more than {MEMBERS} files")));
        }
        match self.put(path, what, about) {
            Err(error)
                if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Err(error)
            }
            Err(error) => {
                self.left_out.push(format!("{}: {error}", path.display()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn put(&self, path: &Path, what: What<'_>, about: &About) -> io::Result<()> {
        let path = inside(path)?;
        let Some(name) = path.file_name() else { return Ok(()) };
        if let What::Directory = what {
            return about.apply(self.directory(&path)?, 0o1777);
        }
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        match unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => {}
            Err(errno) => return Err(errno.into()),
        }
        match what {
            What::File(bytes) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut file = File::from(openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?);
                self.fill_file(bytes, &mut file)?;
                about.apply(file, 0o7777)
            }
            What::Link(to) => Ok(symlinkat(to, &parent, name)?),
            What::Name(other) => {
                let other = inside(&other)?;
                let there = self.directory(other.parent().unwrap_or(Path::new("")))?;
                let other = other.file_name().ok_or(Errno::INVAL)?;
                Ok(linkat(there, other, &parent, name, AtFlags::empty())?)
            }
            What::Directory | What::Other => Err(io::Error::other("neither a file nor a directory nor a link")),
        }
    }

    fn fill_file(&self, bytes: &mut dyn Read, file: &mut File) -> io::Result<()> {
        let mut piece = vec![0; STRIDE];
        loop {
            let read = bytes.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            if available(self.env).is_some_and(|has| has < BESIDE) {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the RAM has no room for what is in it"));
            }
            file.write_all(piece.get(..read).unwrap_or_default())?;
        }
    }

    /// A directory of the tree, made where it is missing.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let mut here = open_at(&self.root, Path::new("."), flags, beneath)?;
        for part in path.components() {
            match mkdirat(&here, part.as_os_str(), Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH) {
                Err(Errno::EXIST) | Ok(()) => {}
                Err(errno) => return Err(errno.into()),
            }
            here = open_at(&here, Path::new(part.as_os_str()), flags, beneath)?;
        }
        Ok(here)
    }
}

impl About {
    fn apply(&self, made: impl AsFd, bits: u32) -> io::Result<()> {
        fchown(&made, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)))?;
        fchmod(&made, Mode::from_raw_mode(self.mode & bits))?;
        let time = Timespec { tv_sec: self.time, tv_nsec: 0 };
        Ok(futimens(&made, &Timestamps { last_access: time, last_modification: time })?)
    }
}

/// A member's path, from the top of the tree.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(io::Error::other("it leads out of the archive")),
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// A machine with an archive: what comes of it, and where.
    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), Stop>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("archive"), bytes).unwrap();
        let env = Env::new(dir.path());
        let result = Executor::new(&env, &|_| Ok(())).unpack(Path::new("/archive"), Path::new("/tree"));
        (dir, result)
    }

    fn header(path: &str, kind: tar::EntryType, size: usize, link: Option<&str>) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        // As hostile programs write it: without a look at the path.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o751);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        header
    }

    fn tar_of(members: &[(&str, tar::EntryType, &str, Option<&str>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, text, link) in members {
            builder.append(&header(path, *kind, text.len(), *link), text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn e10_files_of_a_tar() {
        use tar::EntryType::{Block, Directory, Link, Regular, Symlink};
        let (dir, result) = unpacked(&tar_of(&[
            ("./etc/", Directory, "", None),
            ("./etc/motd", Regular, "hello", None),
            ("etc/again", Link, "", Some("./etc/motd")),
            ("usr/lib/deep/file", Regular, "deep", None),
            ("etc/link", Symlink, "", Some("/absolute/place")),
            ("dev/disk", Block, "", None),
        ]));
        result.unwrap();
        let tree = dir.path().join("tree");
        let motd = tree.join("etc/motd");
        assert_eq!(fs::read_to_string(&motd).unwrap(), "hello");
        let facts = fs::metadata(&motd).unwrap();
        assert_eq!(
            (facts.mode() & 0o7777, facts.uid(), facts.gid(), facts.mtime(), facts.nlink()),
            (0o751, 7, 8, 1_000_000_000, 2)
        );
        assert_eq!(fs::read_to_string(tree.join("usr/lib/deep/file")).unwrap(), "deep");
        assert_eq!(fs::read_link(tree.join("etc/link")).unwrap(), Path::new("/absolute/place"));
        assert!(!tree.join("dev/disk").exists());
    }

    #[test]
    fn no_member_gets_out_of_the_archive() {
        use tar::EntryType::{Link, Regular, Symlink};
        let (dir, result) = unpacked(&tar_of(&[
            ("../beside", Regular, "bad", None),
            ("a/../../beside", Regular, "bad", None),
            ("way", Symlink, "", Some("..")),
            ("way/beside", Regular, "bad", None),
            ("name", Link, "", Some("../archive")),
            ("/rooted", Regular, "good", None),
        ]));
        result.unwrap();
        let names = |path: &Path| {
            let mut names: Vec<_> =
                fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names(dir.path()), ["archive", "tree"]);
        assert_eq!(names(&dir.path().join("tree")), ["rooted", "way"]);
    }

    #[test]
    fn e10_files_of_a_cpio() {
        let mut bytes = Vec::new();
        let mut add = |name: &str, mode: u32, ino: u32, nlink: u32, text: &str| {
            let builder = cpio::newc::Builder::new(name).mode(mode).ino(ino).nlink(nlink).mtime(1_000_000_000);
            let mut writer = builder.write(&mut bytes, u32::try_from(text.len()).unwrap());
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap();
        };
        add(".", 0o040_755, 1, 2, "");
        add("etc", 0o040_755, 2, 2, "");
        add("etc/motd", 0o100_644, 3, 1, "hello");
        add("etc/one", 0o100_644, 4, 2, "");
        add("etc/two", 0o100_644, 4, 2, "shared");
        add("etc/link", 0o120_777, 5, 1, "motd");
        add("../beside", 0o100_644, 6, 1, "bad");
        cpio::newc::trailer(&mut bytes).unwrap();
        let (dir, result) = unpacked(&bytes);
        result.unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join("tree").join(path)).unwrap();
        assert_eq!(
            (read("etc/motd"), read("etc/link"), read("etc/one")),
            ("hello".into(), "hello".into(), "shared".into())
        );
        assert!(!dir.path().join("beside").exists());
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let whole = tar_of(&[("file", tar::EntryType::Regular, &"x".repeat(5000), None)]);
        for length in [700, 3000, 0] {
            let (_dir, result) = unpacked(&whole[..length]);
            assert_eq!(result.unwrap_err().code, Code::Updates, "{length}");
        }
    }
}
