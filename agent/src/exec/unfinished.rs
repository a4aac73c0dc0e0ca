//! A cow file that is made: its note first ([`crate::probe::unfinished`]), then its room, and at the end the note goes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatfs};
use rustix::io::Errno;

use super::blank::PROOF_LIMIT;
use crate::area::Found;
use crate::env::Env;
use crate::foreign::sync_new;
use crate::plan::act::Replace;
use crate::plan::persist::is_area;
use crate::probe::block;
use crate::probe::empty::{self, Doubt, Extent};
use crate::probe::site::content;
use crate::probe::unfinished::{BETWEEN, EXFAT, FAT, Note, is_on, may_be_made, notes};
use crate::random;

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

    /// It cannot be made complete: its room is given back. What cannot be removed stays unfinished, for a later boot. `given_back` is called
    /// between the file and its note.
    pub(super) fn give_up(&self, given_back: impl FnOnce()) {
        let _ = remove(&self.file).and_then(|()| {
            given_back();
            self.remove()
        });
    }
}

/// Removes the notes of attempts to replace a file that were cut short before anything was done to it: it has another file system than they
/// say, and is used after all.
pub(super) fn forget_replacing(env: &Env, file: &Path) {
    let Ok((Some(found), _)) = block::identify(env, file) else { return };
    let stale =
        notes(&env.path(file)).unwrap_or_default().into_iter().filter(|note| found.uuid.as_ref() != Some(&note.uuid));
    for note in stale {
        match note.remove() {
            Ok(()) => note.settle(),
            Err(error) => log::warn!("removing {}: {error}, ignoring", note.path.display()),
        }
    }
}

/// Why a file may not give way to a new one.
fn refused(path: &Path, replace: Replace) -> Option<String> {
    if path.symlink_metadata().is_err() {
        return None;
    }
    let found = content(path);
    match found {
        Found::File(None) if replace == Replace::Zeros => not_zeros(path).map(|doubt| doubt.to_string()),
        Found::File(Some(kind)) if replace != Replace::Zeros && is_area(kind) => None,
        found if found.is_replaceable(replace == Replace::Own) => None,
        found => Some(format!("it {}", found.objection())),
    }
}

/// Why a file holds more than zeros, for all that is known: it is read to its last byte.
fn not_zeros(path: &Path) -> Option<Doubt> {
    let file = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let proof = file
        .map_err(|error| Doubt::Unreadable(0, error))
        .and_then(|(size, file)| empty::proof(&file, size, Extent::Everything, PROOF_LIMIT));
    proof.err()
}

/// What becomes of the file system on which a file is made, for who has noted its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// It is going to change, be it by a directory that is missing.
    Changes,
    /// Nothing was made but that.
    Stays,
    /// The room of a file that cannot be made is free again, and its note is still there.
    GotBack,
}

/// What room a file gets when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// All of it.
    Reserved,
    /// What is written to it, where its file system can do that; and it holds zeros from the first moment on.
    Holes,
}

/// Makes a file of zeros of this length, and the note beside it; `told` of what becomes of its file system.
pub(super) fn begin(
    env: &Env,
    file: &Path,
    (size, room): (u64, Room),
    replace: Replace,
    told: impl Fn(Host),
) -> io::Result<(File, Note)> {
    let path = env.path(file);
    let discard = replace != Replace::Nothing;
    // Looked at once more, before there is a note: what is planned protects nobody's file.
    if let Some(why) = refused(&path, replace).filter(|_| discard) {
        return Err(io::Error::other(format!("{why} and is kept as it is")));
    }
    told(Host::Changes);
    let note = noted(env, file, &path, discard).inspect_err(|_| told(Host::Stays))?;
    match allocated(&path, size, room) {
        Ok(file) => Ok((file, note)),
        // It is there as it was.
        Err(error) if replace == Replace::Zeros && path.exists() => {
            told(Host::GotBack);
            note.remove()?;
            Err(error)
        }
        Err(error) => {
            note.give_up(|| told(Host::GotBack));
            Err(error)
        }
    }
}

/// The note beside a file that is going to be made.
fn noted(env: &Env, file: &Path, path: &Path, discard: bool) -> io::Result<Note> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let known = notes(path)?;
    let note = match known.first() {
        Some(note) => note.clone(),
        None => {
            let uuid = random::uuid_v4(env)?;
            let note = Note { path: with_suffix(path, &format!("{BETWEEN}{uuid}")), file: path.to_owned(), uuid };
            // Before the note is there, nothing may be: it would make any file that is there an unfinished one.
            if !discard && path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            sync_new(&OpenOptions::new().write(true).create_new(true).open(&note.path)?)?;
            sync_dir(path)?;
            note
        }
    };
    if !discard && !may_be_made(env, file, std::slice::from_ref(&note)) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(note)
}

/// A file of this length at the path; what is there may be replaced.
pub(super) fn allocated(path: &Path, size: u64, room: Room) -> io::Result<File> {
    let again = room == Room::Reserved && !is_on(path.parent().unwrap_or(path), EXFAT);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // An attempt came this far: its room is used again. A file that is replaced may have holes. On exFAT the entry of a file may
        // have reached the disk without the bitmap, and its room would be given to the next file, too.
        Ok(facts) if facts.is_file() && facts.len() == size && again => {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            reserve(&file, size)?;
            sync_new(&file)?;
            return Ok(file);
        }
        _ => remove(path)?,
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    sync_new(&file)?;
    sync_dir(path)?;
    if is_on(path, FAT) {
        // The chain of clusters first, then the name that points to it. Synchronising the directory writes the table too,
        // and not the file's own entry.
        if fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size).is_ok() {
            sync_dir(path)?;
            sync_new(&file)?;
        }
    }
    if is_on(path, EXFAT) {
        grow(&file, size)?;
    }
    match room {
        Room::Reserved => reserve(&file, size)?,
        Room::Holes => file.set_len(size)?,
    }
    sync_new(&file)?;
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
pub(super) fn remove(path: &Path) -> io::Result<()> {
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    sync_new(&File::open(path.parent().unwrap_or(Path::new("/")))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_note_for_a_file_that_is_used_after_all_goes() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let uuids = ["11111111-2222-4333-8444-555555555555", "21111111-2222-4333-8444-555555555555"];
        let path = dir.path().join("x.cow");
        let file = File::create(&path).unwrap();
        file.set_len(8 << 20).unwrap();
        let note = |uuid: &str| dir.path().join(format!("x.cow{BETWEEN}{uuid}"));
        uuids.iter().for_each(|uuid| drop(File::create(note(uuid)).unwrap()));
        // Nothing is known in it yet: either may be going on.
        forget_replacing(&env, Path::new("/x.cow"));
        assert!(uuids.iter().all(|uuid| note(uuid).exists()));
        let made = std::process::Command::new("mke2fs").args(["-q", "-F", "-U", uuids[0]]).arg(&path).status();
        assert!(made.unwrap().success());
        forget_replacing(&env, Path::new("/x.cow"));
        assert_eq!(uuids.map(|uuid| note(uuid).exists()), [true, false]);
    }

    /// On FAT its host is noted between the file and its sign: before that the file is a part of the state, behind it the sign is missing.
    #[test]
    fn what_cannot_be_made_goes_before_its_note() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = (dir.path().join(format!("x{BETWEEN}u")), dir.path().join("x"));
        for path in [&path, &file] {
            File::create(path).unwrap();
        }
        let mut seen = None;
        let note = Note { path, file, uuid: String::new() };
        note.give_up(|| seen = Some([&note.file, &note.path].map(|path| path.exists())));
        assert_eq!(seen, Some([false, true]));
        assert_eq!([&note.file, &note.path].map(|path| path.exists()), [false; 2]);
    }

    /// Of a host only that is said which it was left in: before anything is made, and when it cannot be.
    #[test]
    fn a_host_is_told_before_a_directory_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::os::unix::fs::symlink("/dev", dir.path().join("dev")).unwrap();
        let below = dir.path().join("new/deep");
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |host| told.borrow_mut().push((host, below.exists()));
        let (_, note) = begin(&env, Path::new("/new/deep/x"), (4096, Room::Reserved), Replace::Nothing, tell).unwrap();
        assert_eq!(told.take(), [(Host::Changes, false)]);
        note.remove().unwrap();
        // It is there now, and complete.
        let again = begin(&env, Path::new("/new/deep/x"), (4096, Room::Reserved), Replace::Nothing, tell);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(told.take(), [(Host::Changes, true), (Host::Stays, true)]);
        // No file system has so much room.
        assert!(begin(&env, Path::new("/new/deep/y"), (1 << 60, Room::Reserved), Replace::Nothing, tell).is_err());
        assert_eq!(told.take(), [(Host::Changes, true), (Host::GotBack, true)]);
        assert!(!below.join("y").exists() && notes(&below.join("y")).unwrap().is_empty());
    }

    /// seed-audit SD-6.
    #[test]
    fn sd6_only_a_file_of_zeros_to_its_last_byte_is_made_an_area() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        std::os::unix::fs::symlink("/dev", dir.path().join("dev")).unwrap();
        let path = dir.path().join("x");
        let size = 64 << 20;
        let begin = |size| begin(&env, Path::new("/x"), (size, Room::Reserved), Replace::Zeros, |_| ());
        // No sample is taken there.
        for at in [40_000_000, size - 1] {
            let mut content = vec![0; usize::try_from(size).unwrap()];
            content[usize::try_from(at).unwrap()] = 1;
            fs::write(&path, &content).unwrap();
            let error = begin(size).unwrap_err().to_string();
            assert!(error.ends_with("is kept as it is"), "{error}");
            assert!(fs::read(&path).unwrap() == content && notes(&path).unwrap().is_empty(), "{at}");
        }
        let made = std::process::Command::new("mke2fs").args(["-q", "-F"]).arg(&path).status();
        assert!(made.unwrap().success());
        assert!(begin(size).is_err(), "it has a file system");
        File::create(&path).unwrap().set_len(size).unwrap();
        let (file, note) = begin(size).unwrap();
        assert_eq!((file.metadata().unwrap().len(), notes(&path).unwrap().len()), (size, 1));
        note.remove().unwrap();
    }

    /// What lies in it may be what lay in its clusters before.
    #[test]
    fn a_file_of_zeros_that_was_begun_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        drop(allocated(&path, 1 << 20, Room::Holes).unwrap());
        assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
        assert!(path.metadata().unwrap().blocks() == 0 && path.metadata().unwrap().len() == 1 << 20);
    }

    #[test]
    fn room_that_is_used_again_has_no_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cow");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        allocated(&path, 1 << 20, Room::Reserved).unwrap();
        assert!(path.metadata().unwrap().blocks() * 512 >= 1 << 20);
    }
}
