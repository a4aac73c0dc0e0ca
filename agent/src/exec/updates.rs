//! `updates/` on the medium, copied over the new root (dracut-live spec 2.13). Who writes the medium decides what runs, so this gives nobody
//! more; but what lies there may be broken or made to do harm by chance. Only files, directories and links are copied, none of them is
//! followed on the medium, and each goes to where its directory leads *inside of the new root*.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, fchmod, fchown,
    fstat, fstatvfs, futimens, mkdirat, open, openat, readlinkat, renameat, statat, statvfs, symlinkat, syncfs,
    unlinkat,
};
use rustix::io::Errno;

use super::apply::Executor;
use super::labels;
use crate::error::{Code, Stop};
use crate::facts::{Updated, human};
use crate::foreign::{self, Entry, open_at};
use crate::mapper::{self, Status};
use crate::mountinfo;
use crate::plan::snapshot::{LIVE, STORE_DIR, THIN_DIR};

/// Each level keeps two descriptors open; there are 1024.
const DEPTH: usize = 100;
/// A medium with a damaged directory may show it inside of itself, without an end.
const ENTRIES: u64 = 100_000;
/// What an entry takes beside its bytes.
const ENTRY_BYTES: u64 = 4096;
/// A file until it is whole; then it takes its name, and a link or file that had that is gone.
const UNFINISHED: &CStr = c".rdlive-unfinished";
/// Bits of a mode that are taken over; set-uid and set-gid are not.
const FILE_MODE: u32 = 0o777;
/// The same of a directory: others cannot delete in it.
const DIRECTORY_MODE: u32 = 0o1777;

impl Executor<'_> {
    /// Copies all below `from` over what is mounted at `to`. `kept`: there changes outlive the boot.
    pub(super) fn updates(&mut self, from: &Path, to: &Path, kept: bool) -> Result<(), Stop> {
        let failed = |cause: String| Stop::new(Code::Updates, format!("{}: {cause}", from.display()));
        let refused = |errno: Errno| failed(errno.to_string());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let shown = self.env.path(from);
        // What a step has mounted there itself is no way out of a medium.
        let top = match mountinfo::at(&mountinfo::all(self.env), &shown) {
            Some(_) => {
                open(&shown, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(refused)?
            }
            None => self.top(from)?,
        };
        let root = openat(CWD, self.env.path(to), flags, Mode::empty()).map_err(refused)?;
        let mut needs = Needs::default();
        let into = inside(&root, Path::new("")).map_err(refused)?;
        needs.add(&top, &root, Some(&into), Path::new("")).map_err(refused)?;
        if needs.entries > ENTRIES {
            return Err(failed(format!("it holds more than {ENTRIES} files, or a directory inside of itself")));
        }
        let room = self.room(&root).map_err(refused)?;
        if needs.bytes > room {
            return Err(failed(format!("it needs {}, and there is room for {}", human(needs.bytes), human(room))));
        }
        let mut copy = Copy { root: &root, done: Updated::default() };
        let result = copy.all(&top, &into, Path::new(""));
        if kept && result.is_ok() {
            let _ = syncfs(&into);
        }
        self.updated(copy.done);
        result.map_err(|error| failed(format!("copied in part: {error}")))
    }

    /// The directory of a medium that is copied.
    fn top(&self, from: &Path) -> Result<OwnedFd, Stop> {
        let failed = |cause: String| Stop::new(Code::Updates, format!("{}: {cause}", from.display()));
        let refused = |errno: Errno| failed(errno.to_string());
        let live = self.env.path(from.parent().unwrap_or(from));
        match foreign::entry(&live, from.file_name().unwrap_or_default().as_ref()) {
            Entry::Link => return Err(failed(format!("it {}", foreign::LINK))),
            Entry::File | Entry::Other => return Err(failed("it is no directory".to_owned())),
            Entry::Absent | Entry::Directory => {}
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let live = open(&live, flags, Mode::empty()).map_err(refused)?;
        directory(&live, from.file_name().unwrap_or_default()).map_err(refused)
    }

    /// Bytes for which there is room in the root and in what takes its changes: half of what is free, the rest stays for what the system
    /// itself writes. A write area in RAM may be larger than the RAM.
    fn room(&self, root: &OwnedFd) -> Result<u64, Errno> {
        let free = |stat: rustix::fs::StatVfs| stat.f_bavail.saturating_mul(stat.f_frsize);
        let mut room = free(fstatvfs(root)?) / 2;
        for dir in [STORE_DIR, THIN_DIR] {
            room = statvfs(self.env.path(dir)).map_or(room, |stat| room.min(free(stat) / 2));
        }
        match mapper::status(LIVE) {
            Ok(Status::Used { used, total }) => Ok(room.min(total.saturating_sub(used).saturating_mul(512) / 2)),
            _ => Ok(room),
        }
    }
}

/// What a tree takes beside what is there already.
#[derive(Default)]
struct Needs {
    entries: u64,
    bytes: u64,
}

impl Needs {
    /// Adds all in a directory of the medium; `to` is that of the root, if there is one, `path` that of both.
    fn add(&mut self, from: &OwnedFd, root: &OwnedFd, to: Option<&OwnedFd>, path: &Path) -> Result<(), Errno> {
        for name in names(from)? {
            self.entries += 1;
            if self.entries > ENTRIES {
                break;
            }
            // What cannot be looked at is left out when its turn comes.
            let Ok(facts) = statat(from, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if to.is_some_and(|to| is_there(from, to, &name, &facts)) {
                continue;
            }
            let bytes = match FileType::from_raw_mode(facts.st_mode) {
                FileType::RegularFile => facts.st_size.unsigned_abs().saturating_add(ENTRY_BYTES),
                FileType::Directory if path.components().count() < DEPTH => {
                    let at = path.join(OsStr::from_bytes(name.to_bytes()));
                    let there = to.and_then(|_| inside(root, &at).ok());
                    if let Ok(below) = directory(from, OsStr::from_bytes(name.to_bytes())) {
                        self.add(&below, root, there.as_ref(), &at)?;
                    }
                    if there.is_some() { 0 } else { ENTRY_BYTES }
                }
                _ => ENTRY_BYTES,
            };
            self.bytes = self.bytes.saturating_add(bytes);
        }
        Ok(())
    }
}

/// Whether a file or link is there as it would be after it was copied: by an earlier boot, or in the image. It is not copied again then,
/// for a copy takes its room before what it replaces gives up any.
fn is_there(from: &OwnedFd, to: &OwnedFd, name: &CStr, facts: &Stat) -> bool {
    let Ok(now) = statat(to, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let kind = FileType::from_raw_mode(facts.st_mode);
    if FileType::from_raw_mode(now.st_mode) != kind {
        return false;
    }
    let target = |dir: &OwnedFd| readlinkat(dir, name, Vec::new()).ok();
    match kind {
        FileType::Symlink => target(from).is_some_and(|wanted| target(to) == Some(wanted)),
        FileType::RegularFile => {
            let of = |facts: &Stat| (facts.st_size, facts.st_mtime, facts.st_uid, facts.st_gid);
            let is = of(facts) == of(&now) && now.st_mode & 0o7777 == facts.st_mode & FILE_MODE;
            is && is_same(from, to, name).unwrap_or(false)
        }
        _ => false,
    }
}

/// Whether two files have the same bytes.
fn is_same(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<bool> {
    let (mut one, mut other) = (plain_file(from, name)?, plain_file(to, name)?);
    let mut bytes = [vec![0; COMPARED], vec![0; COMPARED]];
    loop {
        let [first, second] = &mut bytes;
        let read = one.read(first)?;
        if read == 0 {
            return Ok(other.read(second)? == 0);
        }
        match other.read_exact(&mut second[..read]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if first[..read] != second[..read] {
            return Ok(false);
        }
    }
}

/// Bytes that are compared at a time.
const COMPARED: usize = 1 << 16;

struct Copy<'a> {
    root: &'a OwnedFd,
    done: Updated,
}

impl Copy<'_> {
    /// All in a directory of the medium, into one of the root; `path` is that of both. Ends when the room does.
    fn all(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> io::Result<()> {
        for name in names(from)? {
            let at = path.join(OsStr::from_bytes(name.to_bytes()));
            match self.entry(from, to, &name, &at) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
                Err(error) => self.done.leave_out(format!("{}: {error}", at.display())),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, at: &Path) -> io::Result<()> {
        let facts = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(facts.st_mode) {
            FileType::Directory if at.components().count() > DEPTH => Err(Errno::NAMETOOLONG.into()),
            FileType::Directory => {
                let below = directory(from, OsStr::from_bytes(name.to_bytes()))?;
                self.all(&below, &self.entered(to, name, at, &facts)?, at)
            }
            FileType::RegularFile => {
                self.done.bytes += match is_there(from, to, name, &facts) {
                    true => facts.st_size.unsigned_abs(),
                    false => file(from, to, name, &facts)?,
                };
                self.done.files += 1;
                if facts.st_mode & 0o6000 != 0 {
                    self.done.leave_out(format!("{}: its set-uid and set-gid bits", at.display()));
                }
                Ok(())
            }
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new())?;
                if !is_there(from, to, name, &facts) {
                    finished(to, name, || Ok(symlinkat(&target, to, UNFINISHED)?))?;
                }
                self.done.files += 1;
                Ok(())
            }
            _ => Err(io::Error::other("neither a file nor a directory nor a link")),
        }
    }

    /// The directory of the root that a name leads to, inside of it; one that is not there is made.
    fn entered(&self, to: &OwnedFd, name: &CStr, at: &Path, facts: &Stat) -> io::Result<OwnedFd> {
        match inside(self.root, at) {
            Err(Errno::NOENT) => {
                mkdirat(to, name, Mode::RWXU)?;
                labels::like(to, c".", name);
                let made = inside(self.root, at)?;
                as_there(&made, facts, DIRECTORY_MODE)?;
                Ok(made)
            }
            found => Ok(found?),
        }
    }
}

/// Opens a file for reading: no link, and nothing that holds a reader up.
fn plain_file(dir: &OwnedFd, name: &CStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(dir, name, flags, Mode::empty())?);
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Copies one file; its bytes.
fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr, facts: &Stat) -> io::Result<u64> {
    let mut source = plain_file(from, name)?;
    finished(to, name, || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut copy = File::from(openat(to, UNFINISHED, flags, Mode::RUSR | Mode::WUSR)?);
        let bytes = io::copy(&mut source, &mut copy)?;
        as_there(&copy, facts, FILE_MODE)?;
        let time = Timespec { tv_sec: facts.st_mtime, tv_nsec: 0 };
        futimens(&copy, &Timestamps { last_access: time, last_modification: time })?;
        Ok(bytes)
    })
}

/// Makes something under another name, and gives it its own when it is whole. A directory of that name stays.
fn finished<T>(to: &OwnedFd, name: &CStr, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let remove = || unlinkat(to, UNFINISHED, AtFlags::empty());
    // A boot that was cut short may have left one.
    let _ = remove();
    let made = make().and_then(|made| {
        labels::like(to, name, UNFINISHED);
        renameat(to, UNFINISHED, to, name)?;
        Ok(made)
    });
    if made.is_err() {
        let _ = remove();
    }
    made
}

/// Owner and mode as on the medium.
fn as_there(made: impl AsFd, facts: &Stat, mode: u32) -> io::Result<()> {
    fchown(&made, Some(Uid::from_raw(facts.st_uid)), Some(Gid::from_raw(facts.st_gid)))?;
    Ok(fchmod(&made, Mode::from_raw_mode(facts.st_mode & mode))?)
}

/// Opens a directory of the medium: no link, and nothing that is mounted there.
fn directory(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    open_at(dir, Path::new(name), flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV)
}

/// Opens a directory of the root, by the root's own links.
fn inside(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    open_at(root, path, flags, resolve)
}

/// The names in a directory, at most [`ENTRIES`].
fn names(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
        if names.len() as u64 > ENTRIES {
            break;
        }
    }
    Ok(names)
}
