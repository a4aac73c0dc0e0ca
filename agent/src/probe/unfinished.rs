//! A cow file while it is being made, and how a later boot knows that it never was complete.
//!
//! Beside the file lies a note: an empty file whose name ends in the UUID that the new file system gets. It is on the disk
//! before the file is touched, and removing it is the commit. An empty file, because it must not take room of its own: on FAT
//! a name and the clusters behind it are written at different times, and a cut between them leaves a file that cannot even
//! be removed. A new name for the complete file would be shorter, but FAT and exFAT write the new name and remove the old one
//! in two writes, and first without the place of the content.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use super::block;
use crate::env::Env;
use crate::format::uuid;

/// Between the name of the file and the UUID, in the name of a note.
pub(crate) const BETWEEN: &str = ".rdlive-new-";
/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// `f_type` of FAT in statfs(2).
pub(crate) const FAT: u64 = 0x4d44;
/// The same of exFAT.
pub(crate) const EXFAT: u64 = 0x2011_bab0;

/// The file system that was begun in a file.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The file that is being made.
    pub(crate) file: PathBuf,
    /// Its UUID.
    pub(crate) uuid: String,
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

/// Whether what is at a path was begun under one of the notes.
pub(crate) fn may_be_made(env: &Env, file: &Path, notes: &[Note]) -> bool {
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
pub(crate) fn begins_with_zeros(head: &[u8]) -> bool {
    let zero = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    let ours = |(at, sector): (usize, &[u8])| match at {
        1 => zero(sector) || sector.starts_with(b"XAGF"),
        2 => zero(sector) || sector.starts_with(b"XAGI"),
        _ => zero(sector),
    };
    head.chunks(SECTOR).take(3).enumerate().all(ours)
}

/// The notes beside a file.
///
/// # Errors
/// Of listing its directory.
pub(crate) fn notes(path: &Path) -> io::Result<Vec<Note>> {
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

/// Whether what is at a path lies on a file system of this type.
pub(crate) fn is_on(path: &Path, fs: u64) -> bool {
    statfs(path).is_ok_and(|facts| facts.f_type as u64 == fs)
}

/// What a reset has set aside bears this name and a UUID. Nothing else is ever deleted.
pub(crate) const ASIDE: &str = ".rdlive-discarded-";

/// Paths of what a reset has set aside in a directory, and what is not deleted yet.
pub(crate) fn set_aside(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let ours = |name: &str| name.strip_prefix(ASIDE).is_some_and(uuid::is_uuid);
    entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(ours)).map(|entry| entry.path()).collect()
}
