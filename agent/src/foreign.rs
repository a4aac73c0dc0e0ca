//! Files on file systems that are not ours. What lies there may do harm, by intent or by chance: a link leads to any
//! device and directory of this machine, a pipe holds up whoever reads it, a file may be larger than the RAM. So no link
//! is followed, only a file is opened, and nothing is read without a limit.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2, renameat, syncfs, unlinkat,
};
use rustix::io::Errno;

use crate::env::Env;
use crate::error::{Code, Stop};

/// What a person reads about a link; a name goes before it.
pub const LINK: &str = "is a link or lies behind a link";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Absent,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link, or the path leads over one.
    Link,
    /// A pipe, a device, a place outside of the file system, or nothing that can be looked at.
    Other,
}

/// Looks at a path on the file system that is mounted at `root`.
pub fn entry(root: &Path, path: &Path) -> Entry {
    look(root, path, ResolveFlags::NO_XDEV).unwrap_or(Entry::Other)
}

/// Opens a file on the file system that is mounted at `root`, to read it.
///
/// # Errors
/// `InvalidData` where there is no file but something else; otherwise the error of opening it.
pub fn open(root: &Path, path: &Path) -> io::Result<File> {
    open_file(root, path, OFlags::RDONLY, ResolveFlags::NO_XDEV)
}

/// Where a file is that a path leads to on the file system mounted at `root`, below that. Links are followed as if it were the root
/// of all, as its own system and boot loaders do (field.md E); `None` where no file is there.
///
/// # Errors
/// The error of looking, such as that of a damaged file system.
pub fn file_in(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let dir = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = match open_at(&dir, path, OFlags::PATH, inside) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    // The kernel knows where both are; without /proc the path itself must do.
    let place = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
    let below = place(&file).zip(place(&dir)).and_then(|(file, dir)| Some(file.strip_prefix(dir).ok()?.to_owned()));
    Ok(Some(below.unwrap_or_else(|| path.strip_prefix("/").unwrap_or(path).to_owned())))
}

/// Opens a file of a tree that is mounted at `root`, as its own system would: a link leads to what it names in that tree.
///
/// # Errors
/// As [`open`].
pub fn open_inside(root: &Path, path: &Path) -> io::Result<File> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let open = |access| {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        open_at(&root, path, access, inside)
    };
    // Looked at before it is opened, as everywhere here.
    match FileType::from_raw_mode(fstat(open(OFlags::PATH)?)?.st_mode) {
        FileType::RegularFile => Ok(File::from(open(OFlags::RDONLY)?)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file")),
    }
}

/// The content of a file of a tree, as [`open_inside`]; `limit` is in bytes.
///
/// # Errors
/// As [`open`]; `FileTooLarge` where it is longer.
pub fn read_inside(root: &Path, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_inside(root, path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// openat2(2), again where a name was moved or something mounted meanwhile: then the kernel cannot say that a `..` stays inside, and lets
/// its caller try once more. On a machine that boots, both happen all the time.
///
/// # Errors
/// As openat2(2).
pub fn open_at(dir: impl AsFd, path: &Path, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let mut tries = 0;
    loop {
        match openat2(dir.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            opened => return opened,
        }
    }
}

/// How often a path is walked that others disturb.
const TRIES: u32 = 1000;

/// Opens a file to write to it. No part of its path, from the environment's root on, may be a link.
///
/// # Errors
/// As [`open`].
pub fn open_for_writing(env: &Env, path: &Path) -> io::Result<File> {
    open_file(env.root(), path.strip_prefix("/").unwrap_or(path), OFlags::RDWR, ResolveFlags::empty())
}

/// The content of a file on the file system that is mounted at `root`; `limit` is in bytes.
///
/// # Errors
/// As [`open`]; `InvalidData` also where it is longer.
pub fn read(root: &Path, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(root, path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// Writes a file as a whole or not at all, whatever had its name. The directory itself has been looked at.
///
/// # Errors
/// The error of writing it; then the old file is there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = openat(CWD, dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut new = name.to_owned();
    new.push(".new");
    match unlinkat(&dir, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    // EXCL: nothing that comes to lie there meanwhile is followed either.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(openat(&dir, &new, flags, Mode::from_raw_mode(0o644))?);
    file.write_all(bytes)?;
    sync_new(&file)?;
    renameat(&dir, &new, &dir, name)?;
    sync_new(&File::from(dir))
}

/// `f_type` of btrfs in statfs(2).
const BTRFS: u64 = 0x9123_683e;

/// A new file, or all that was done in a directory, is on the disk. On btrfs by a commit of the whole file system: from the log that
/// fsync(2) writes of a directory the next mount may take *other files of that directory* for deleted (power cuts, after the note beside a
/// cow file had gone; Linux 6.12 and 6.18).
///
/// # Errors
/// Of fsync(2) or syncfs(2).
pub fn sync_new(file: &File) -> io::Result<()> {
    match fstatfs(file)?.f_type as u64 == BTRFS {
        true => Ok(syncfs(file)?),
        false => file.sync_all(),
    }
}

/// Makes sure that a path is a directory, or that one can be made there. No part of it, from the environment's root on, may
/// be a link.
///
/// # Errors
/// [`Code::AreaUnavailable`] with what is in the way.
pub fn directory(env: &Env, path: &Path) -> Result<(), Stop> {
    let refused = |why: &str| {
        Err(Stop::new(Code::AreaUnavailable, format!("{} {why}", path.display()))
            .advice("remove it, or name another place with rd.overlay=<device>"))
    };
    for part in path.strip_prefix("/").unwrap_or(path).ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match look(env.root(), part, ResolveFlags::empty()) {
            Ok(Entry::Directory) => return Ok(()),
            Ok(Entry::Absent) => {}
            Ok(Entry::Link) => return refused(LINK),
            Ok(Entry::File | Entry::Other) => return refused("is no directory"),
            Err(errno) => return refused(&format!("cannot be looked at: {errno}")),
        }
    }
    Ok(())
}

fn look(root: &Path, path: &Path, more: ResolveFlags) -> rustix::io::Result<Entry> {
    match resolve(root, path, OFlags::PATH, more).and_then(|found| fstat(&found)) {
        Ok(facts) => Ok(match FileType::from_raw_mode(facts.st_mode) {
            FileType::Directory => Entry::Directory,
            FileType::RegularFile => Entry::File,
            FileType::Symlink => Entry::Link,
            _ => Entry::Other,
        }),
        Err(Errno::NOENT) => Ok(Entry::Absent),
        Err(Errno::LOOP) => Ok(Entry::Link),
        // A file lies where a directory should be.
        Err(Errno::NOTDIR) => Ok(Entry::Other),
        Err(errno) => Err(errno),
    }
}

fn open_file(root: &Path, path: &Path, access: OFlags, more: ResolveFlags) -> io::Result<File> {
    let no_file = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    // Looked at before it is opened: opening a pipe waits, opening a device may do anything.
    match look(root, path, more)? {
        Entry::File => Ok(File::from(resolve(root, path, access, more)?)),
        Entry::Absent => Err(io::ErrorKind::NotFound.into()),
        Entry::Link => no_file(&format!("it {LINK}")),
        Entry::Directory | Entry::Other => no_file("it is no file"),
    }
}

fn resolve(root: &Path, path: &Path, access: OFlags, more: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    open_at(root, path, access | OFlags::NOFOLLOW, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn laid_out() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        fs::create_dir(at.join("dir")).unwrap();
        fs::write(at.join("dir/file"), "text").unwrap();
        symlink("file", at.join("dir/link")).unwrap();
        symlink("/nowhere", at.join("dangling")).unwrap();
        symlink("dir", at.join("dir-link")).unwrap();
        rustix::fs::mknodat(CWD, at.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        dir
    }

    #[test]
    fn only_files_are_opened_and_no_link_is_followed() {
        use Entry::{Absent, Directory, File, Link, Other};
        let dir = laid_out();
        let env = Env::new(dir.path());
        for (path, expected, may_be_directory) in [
            ("dir", Directory, true),
            ("dir/file", File, false),
            ("dir/link", Link, false),
            ("dangling", Link, false),
            ("dir-link", Link, false),
            ("dir-link/file", Link, false),
            ("dir-link/new/deep", Link, false),
            ("pipe", Other, false),
            ("new", Absent, true),
            ("dir/new/deep", Absent, true),
            ("dir/file/new", Other, false),
            ("../x", Other, false),
        ] {
            let inside = Path::new(path);
            assert_eq!(entry(dir.path(), inside), expected, "{path}");
            assert_eq!(open(dir.path(), inside).is_ok(), expected == File, "{path}");
            assert_eq!(open_for_writing(&env, inside).is_ok(), expected == File, "{path}");
            assert_eq!(directory(&env, &Path::new("/").join(path)).is_ok(), may_be_directory, "{path}");
        }
    }

    #[test]
    fn links_are_followed_as_if_the_file_system_were_all_there_is() {
        let dir = laid_out();
        for (link, to) in [
            ("absolute", "/dir/file"),
            ("relative", "dir/../dir/file"),
            ("above", "../../../../dir/file"),
            ("outside", "/etc/hostname"),
            ("chain", "/absolute"),
            ("to-dir", "/dir"),
            ("circle", "/circle"),
            ("magic", "/proc/self/exe"),
        ] {
            symlink(to, dir.path().join(link)).unwrap();
        }
        let file = Some(PathBuf::from("dir/file"));
        for (path, expected) in [
            ("dir/file", &file),
            ("/dir/file", &file),
            ("dir/link", &file),
            ("absolute", &file),
            ("relative", &file),
            ("above", &file),
            ("chain", &file),
            ("to-dir/file", &file),
            ("dir-link/file", &file),
            ("outside", &None),
            ("circle", &None),
            ("magic", &None),
            ("dangling", &None),
            ("dir", &None),
            ("pipe", &None),
            ("new", &None),
            ("dir/file/new", &None),
        ] {
            assert_eq!(&file_in(dir.path(), Path::new(path)).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn reading_ends_at_the_limit() {
        let dir = laid_out();
        let kind = |path: &str, limit| read(dir.path(), Path::new(path), limit).map_err(|error| error.kind());
        assert_eq!(kind("dir/file", 4), Ok(b"text".to_vec()));
        assert_eq!(kind("dir/file", 3), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind("dir/link", 9), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind("pipe", 9), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind("new", 9), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn what_had_the_name_is_replaced_and_not_followed() {
        let dir = laid_out();
        symlink("dir/file", dir.path().join("mark.new")).unwrap();
        for old in ["dir/link", "pipe", "mark"] {
            replace(&dir.path().join(old), b"new").unwrap();
            assert_eq!(read(dir.path(), Path::new(old), 9).unwrap(), b"new", "{old}");
        }
        assert_eq!(fs::read(dir.path().join("dir/file")).unwrap(), b"text");
    }
}
