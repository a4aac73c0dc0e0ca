//! A cow file while it is being made, and how a later boot knows that it never was complete.
//!
//! Beside the file lies a note: an empty file whose name ends in the UUID that the new file system gets. It is on the disk
//! before the file is touched, and removing it is the commit. An empty file, because it must not take room of its own: on FAT
//! a name and the clusters behind it are written at different times, and a cut between them leaves a file that cannot even
//! be removed. A new name for the complete file would be shorter, but FAT and exFAT write the new name and remove the old one
//! in two writes, and first without the place of the content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatfs, statfs};
use rustix::io::Errno;

use crate::area::Found;
use crate::env::Env;
use crate::format::uuid;
use crate::plan::Replace;
use crate::plan::persist::is_area;
use crate::probe::area::content;
use crate::probe::block;

/// Between the name of the file and the UUID, in the name of a note.
const BETWEEN: &str = ".rdlive-new-";
/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// `f_type` of FAT in statfs(2).
const FAT: u64 = 0x4d44;
/// The same of exFAT.
const EXFAT: u64 = 0x2011_bab0;

/// The file system that was begun in a file.
#[derive(Clone, Debug)]
pub(super) struct Note {
    path: PathBuf,
    file: PathBuf,
    /// Its UUID.
    pub uuid: String,
}

impl Note {
    /// The file is complete: from now on it is an area like any other.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_dir(&self.path)
    }

    /// ntfs3 marks its file system as dirty while files are made, and as clean again when all of it is synchronised: a power
    /// cut later must not leave one that is refused.
    pub(super) fn settle(&self) {
        if let Some(dir) = self.path.parent().and_then(|dir| File::open(dir).ok()) {
            let _ = rustix::fs::syncfs(&dir);
        }
    }

    /// It cannot be made complete: its room is given back. What cannot be removed stays unfinished, for a later boot.
    pub(super) fn give_up(&self) {
        let _ = remove(&self.file).and_then(|()| self.remove());
    }
}

/// Whether a file (or none) is what an attempt of ours left that was cut short. One with a file system of another UUID was
/// put there by somebody else since.
pub fn is_unfinished(env: &Env, file: &Path) -> bool {
    let notes = notes(&env.path(file)).unwrap_or_default();
    !notes.is_empty() && may_be_made(env, file, &notes)
}

/// Bytes on the disk that an unfinished file has taken; 0 for any other. On FAT an empty one may have all its clusters
/// already and does not tell how many: then the attempt shows whether there is room.
pub fn room(env: &Env, file: &Path) -> u64 {
    let Some(facts) = env.path(file).symlink_metadata().ok().filter(|_| is_unfinished(env, file)) else { return 0 };
    match facts.len() == 0 && is_on(&env.path(file), FAT) {
        true => u64::MAX,
        false => facts.blocks().saturating_mul(512),
    }
}

fn may_be_made(env: &Env, file: &Path, notes: &[Note]) -> bool {
    match env.path(file).symlink_metadata() {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(facts) if !facts.is_file() => false,
        Ok(_) => match block::identify(env, file) {
            Ok((Some(found), _)) => notes.iter().any(|note| found.uuid.as_deref() == Some(&note.uuid)),
            Ok((None, _)) => begins_as_ours(&env.path(file)).unwrap_or(false),
            Err(_) => false,
        },
    }
}

/// What an interrupted mkfs can leave where nothing is known: the file was zeros, and its first three sectors stay so until
/// the superblock is written. XFS has the headers of its first group there, which a torn write can leave alone. The image of
/// a disk, f2fs or qcow2 has something else; ReiserFS, JFS and UFS would not be told from ours.
fn begins_as_ours(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(3 * SECTOR as u64).read_to_end(&mut head)?;
    Ok(begins_with_zeros(&head))
}

/// As [`begins_as_ours`], of the bytes at the beginning.
pub(super) fn begins_with_zeros(head: &[u8]) -> bool {
    let zero = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    let ours = |(at, sector): (usize, &[u8])| match at {
        1 => zero(sector) || sector.starts_with(b"XAGF"),
        2 => zero(sector) || sector.starts_with(b"XAGI"),
        _ => zero(sector),
    };
    head.chunks(SECTOR).take(3).enumerate().all(ours)
}

/// Whether a file may give way to a new one.
fn may_be_replaced(path: &Path, replace: Replace) -> bool {
    if path.symlink_metadata().is_err() {
        return true;
    }
    match content(path) {
        Found::File(Some(kind)) => is_area(kind),
        found => found.is_replaceable(replace == Replace::Own),
    }
}

fn notes(path: &Path) -> io::Result<Vec<Note>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Vec::new()) };
    let begin = format!("{}{BETWEEN}", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Anybody can leave a name there: ours is an empty file and ends with a UUID, which goes to mkfs.
        let empty = entry.metadata().is_ok_and(|facts| facts.is_file() && facts.len() == 0);
        if let Some(uuid) =
            entry.file_name().to_string_lossy().strip_prefix(&begin).filter(|uuid| empty && uuid::is_uuid(uuid))
        {
            found.push(Note { path: entry.path(), file: path.to_owned(), uuid: uuid.to_owned() });
        }
    }
    Ok(found)
}

/// Makes a file of zeros of this length, and the note beside it; `begun` is called between them.
pub(super) fn begin(
    env: &Env,
    file: &Path,
    size: u64,
    replace: Replace,
    begun: impl FnOnce(),
) -> io::Result<(File, Note)> {
    let path = env.path(file);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let discard = replace != Replace::Nothing;
    // Looked at once more, before there is a note: what is planned protects nobody's file.
    if discard && !may_be_replaced(&path, replace) {
        return Err(io::Error::other(format!("it {} and is kept as it is", content(&path).objection())));
    }
    let known = notes(&path)?;
    let note = match known.first() {
        Some(note) => note.clone(),
        None => {
            let uuid = random_uuid(super::area::random(env)?);
            let note = Note { path: with_suffix(&path, &format!("{BETWEEN}{uuid}")), file: path.clone(), uuid };
            // Before the note is there, nothing may be: it would make any file that is there an unfinished one.
            if !discard && path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            OpenOptions::new().write(true).create_new(true).open(&note.path)?.sync_all()?;
            sync_dir(&path)?;
            note
        }
    };
    if !discard && !may_be_made(env, file, std::slice::from_ref(&note)) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    begun();
    match allocated(&path, size) {
        Ok(file) => Ok((file, note)),
        Err(error) => {
            note.give_up();
            Err(error)
        }
    }
}

/// A file of this length at the path; what is there may be replaced.
pub(super) fn allocated(path: &Path, size: u64) -> io::Result<File> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // An attempt came this far: its room is used again. A file that is replaced may have holes. On exFAT the entry of a file may
        // have reached the disk without the bitmap, and its room would be given to the next file, too.
        Ok(facts) if facts.is_file() && facts.len() == size && !is_on(path.parent().unwrap_or(path), EXFAT) => {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            reserve(&file, size)?;
            file.sync_all()?;
            return Ok(file);
        }
        _ => remove(path)?,
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.sync_all()?;
    sync_dir(path)?;
    if is_on(path, FAT) {
        // The chain of clusters first, then the name that points to it. Synchronising the directory writes the table too,
        // and not the file's own entry.
        if fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size).is_ok() {
            sync_dir(path)?;
            file.sync_all()?;
        }
    }
    if is_on(path, EXFAT) {
        grow(&file, size)?;
    }
    reserve(&file, size)?;
    file.sync_all()?;
    Ok(file)
}

/// Gives a file its length and the room for it: in a file with holes, a write that finds the file system full is lost after
/// the program that made it was told that it is done. FAT and exFAT have no holes; ext2 and ext3 cannot reserve.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP) => file.set_len(size),
        reserved => Ok(reserved?),
    }
}

/// The room is given back when the file is closed: not before the name is gone from the disk.
fn remove(path: &Path) -> io::Result<()> {
    let _old = File::open(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_dir(path),
    }
}

/// The driver of exFAT does not even look at a file that is longer than all that the bitmap says is in use, and it writes the entry
/// of the file before the bitmap: after a cut between them, nothing could be done with the file. So it never grows by more than is
/// in use on the disk already.
fn grow(file: &File, size: u64) -> io::Result<()> {
    loop {
        let facts = fstatfs(file)?;
        let used = facts.f_blocks.saturating_sub(facts.f_bfree).saturating_mul(facts.f_bsize.unsigned_abs());
        if size <= used || used <= file.metadata()?.len() {
            return Ok(());
        }
        file.set_len(used)?;
        file.sync_all()?;
        rustix::fs::syncfs(file)?;
    }
}

/// Whether what is at a path lies on a file system of this type.
fn is_on(path: &Path, fs: u64) -> bool {
    statfs(path).is_ok_and(|facts| facts.f_type as u64 == fs)
}

/// Version 4, variant 1 (RFC 9562).
pub(super) fn random_uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    // The version makes sure that not all bytes are zero.
    uuid::uuid(&bytes).unwrap_or_default()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_used_again_has_no_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cow");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        allocated(&path, 1 << 20).unwrap();
        assert!(path.metadata().unwrap().blocks() * 512 >= 1 << 20);
    }

    /// Version and variant as another program reads them, whatever the random bytes are.
    #[test]
    fn uuidparse_takes_it_for_a_random_uuid() {
        for bytes in [[0; 16], [0xff; 16], [0x5a; 16]] {
            let uuid = random_uuid(bytes);
            let mut uuidparse = std::process::Command::new("uuidparse");
            let output = uuidparse.args(["-n", "-o", "variant,type", &uuid]).output();
            let said = output.expect("uuidparse is missing: cargo lab install brings it").stdout;
            let words: Vec<&str> = std::str::from_utf8(&said).unwrap().split_whitespace().collect();
            assert_eq!(words, ["DCE", "random"], "{uuid}");
        }
    }
}
