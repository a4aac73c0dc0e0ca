//! Signing a file system that belongs to somebody else: after a power cut the next boot knows whose unfinished work is on it
//! (`format/left.rs` says what is read then).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, syncfs};

use super::unfinished::Room;
use super::{mount, unfinished};
use crate::env::Env;
use crate::foreign;
use crate::format::{self, left, xfs_log};
use crate::mountinfo;
use crate::probe::unfinished::{Note, notes};

/// A FAT or exFAT that is mounted, and what it is mounted from.
#[derive(Debug)]
pub(super) struct Noted {
    at: PathBuf,
    source: PathBuf,
    /// An attempt of ours was cut short there, which began then. A note that it has made later may have got its name and length, and not its
    /// content: it has what lay in its cluster before.
    cut: Option<SystemTime>,
}

/// Signs what is mounted at a path and was just made writable: no file on it may have been opened for that before. An ext and an
/// XFS are signed so; for others this does nothing that lasts.
pub(super) fn sign(env: &Env, at: &Path) {
    let mounted = mounted_at(env, at).and_then(|source| left::mount_time(&mut File::open(source).ok()?));
    let Some(mounted) = mounted else { return open_a_file(at) };
    let shown = env.path(left::signing_path(mounted));
    let signed = fs::create_dir_all(&shown).map_err(|error| error.to_string()).and_then(|()| {
        mount::bind(at, &shown).map_err(|error| error.to_string())?;
        open_a_file(&shown);
        mount::release_patiently(&shown).or_else(|_| mount::detach(&shown)).map_err(|error| error.to_string())
    });
    if let Err(why) = signed {
        log::warn!("signing {}: {why}; after a power cut its own system must check it, ignoring", at.display());
    }
    let _ = fs::remove_dir(shown);
}

/// An ext notes where it is mounted when a file is opened, and writes that much later; an XFS writes the first record of a session.
/// What cannot do this does not need it.
fn open_a_file(at: &Path) {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(at, flags, Mode::RUSR) {
        let _ = syncfs(&file);
    }
}

/// What is mounted at a path, topmost.
fn mounted_at(env: &Env, at: &Path) -> Option<PathBuf> {
    mountinfo::at(&mountinfo::all(env), at).map(|mount| PathBuf::from(&mount.source))
}

/// The option by which the records of an XFS are told from those of others; none where it cannot be mounted with that.
pub(super) fn option(fs: &str, source: &str, options: &[String]) -> Option<&'static str> {
    let replays = fs == "xfs" && !options.iter().any(|option| option == "norecovery");
    (replays && xfs_log::takes_ours(&mut File::open(source).ok()?)).then_some(xfs_log::OPTION)
}

/// The FAT or exFAT on which a file lies or will lie.
pub(super) fn noted(env: &Env, file: &Path) -> Option<Noted> {
    let mounts = mountinfo::all(env);
    let mount = mountinfo::around(&mounts, &env.path(file))?;
    let began = |note: &Note| note.path.metadata().and_then(|facts| facts.modified()).ok();
    let cut = || notes(&env.path(file)).ok()?.iter().filter_map(began).min();
    left::has_note(&mount.fs).then(|| Noted { at: mount.at.clone(), source: PathBuf::from(&mount.source), cut: cut() })
}

impl Noted {
    /// What was written down is of a state that is about to change: until it is written anew, it says how the file system looked just before
    /// that. The file stays, so that nothing but its one sector changes.
    ///
    /// One that a cut has left without content goes, before room is taken for anything else: its name may have reached the disk without its
    /// place in the table or the bitmap, and that would be given to the next file, too.
    pub(super) fn begin(&self) {
        let path = self.at.join(left::NOTE);
        let begun = match self.known() {
            Some(known) if left::is_empty(&known) || self.is_torn(&known) => unfinished::remove(&path),
            Some(known) if left::is_ours(&known) => self.write_begun(&path),
            _ => Ok(()),
        };
        if let Err(error) = begun {
            log::warn!("writing the note on {}: {error}, ignoring", self.at.display());
        }
    }

    /// Whether it is a note whose content never came to the disk.
    fn is_torn(&self, known: &[u8]) -> bool {
        let made = || self.at.join(left::NOTE).metadata().and_then(|facts| facts.modified()).ok();
        let is_later = self.cut.is_some_and(|began| made().is_some_and(|made| made >= began));
        is_later && known.len() == left::NOTE_LENGTH && !left::is_ours(known)
    }

    fn write_begun(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        // What cannot be read is not known to be the same later.
        let now = self.fingerprint(&file).unwrap_or_else(|_| "-".repeat(64));
        let now = left::begun(&now);
        file.write_all_at(&now, 0)?;
        file.sync_all()
    }

    /// What a file of the note's name holds, as far as it may be a note; `None` where there is no file, or it is longer.
    fn known(&self) -> Option<Vec<u8>> {
        foreign::read(&self.at, Path::new(left::NOTE), left::NOTE_LENGTH as u64).ok()
    }

    /// As [`Noted::note`], where there is a note: one of an earlier session may be of another state.
    pub(super) fn renew(&self) {
        if matches!(foreign::entry(&self.at, Path::new(left::NOTE)), foreign::Entry::File) {
            self.note();
        }
    }

    /// Writes down what it looks like. Without the note, its own system must check it after a power cut: so one that is there is never made
    /// anew, which would leave none for a moment, but written over, a sector that a disk writes as a whole.
    pub(super) fn note(&self) {
        if let Err(error) = self.try_note() {
            log::warn!("noting the state of {}: {error}, ignoring", self.at.display());
        }
    }

    fn try_note(&self) -> io::Result<()> {
        let file = self.open()?;
        let now = left::note(&self.fingerprint(&file)?);
        let mut known = vec![0; now.len()];
        if file.read_exact_at(&mut known, 0).is_ok() && known == now {
            return Ok(());
        }
        file.write_all_at(&now, 0)?;
        file.sync_all()
    }

    /// What the file system looks like on the disk; `file` is any on it. Counts and entries that wait in memory are part of it. syncfs(2)
    /// writes them, and of FAT leaves them in the cache of the disk: what is written down must not come before them.
    fn fingerprint(&self, file: &File) -> io::Result<String> {
        syncfs(file)?;
        file.sync_all()?;
        let mut device = File::open(&self.source)?;
        let found = format::identify(&mut device).map_err(io::Error::other)?;
        let now = found.and_then(|found| left::fingerprint(&mut device, &found));
        now.ok_or_else(|| io::Error::other("it cannot be read"))
    }

    /// The note, with all its room: what is written into it later changes nothing else.
    fn open(&self) -> io::Result<File> {
        let name = Path::new(left::NOTE);
        let path = self.at.join(name);
        match foreign::entry(&self.at, name) {
            foreign::Entry::File => match self.known() {
                Some(known) if left::is_ours(&known) && known.len() == left::NOTE_LENGTH => {
                    OpenOptions::new().read(true).write(true).open(path)
                }
                // A power cut has ended its making.
                Some(known) if left::is_empty(&known) || self.is_torn(&known) => {
                    unfinished::remove(&path)?;
                    unfinished::allocated(&path, left::NOTE_LENGTH as u64, Room::Reserved)
                }
                _ => {
                    Err(io::Error::other(format!("there is another file of its name: remove or rename {}", left::NOTE)))
                }
            },
            foreign::Entry::Absent => unfinished::allocated(&path, left::NOTE_LENGTH as u64, Room::Reserved),
            _ => Err(io::Error::other("something else has its name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rdlive_sys::loopdev::{self, Setup};

    use super::*;
    use crate::format::Kind;
    use crate::format::left::{Left, left};

    fn run(program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error} (cargo lab install brings it)"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// An image file, mounted by the kernel of this machine.
    struct Disk {
        dir: tempfile::TempDir,
        kind: Kind,
    }

    impl Disk {
        fn new(kind: Kind) -> Self {
            let disk = Self { dir: tempfile::tempdir().unwrap(), kind };
            fs::create_dir(disk.dir.path().join("at")).unwrap();
            std::os::unix::fs::symlink("/proc", disk.dir.path().join("proc")).unwrap();
            let size = if kind == Kind::Xfs { 320 << 20 } else { 32 << 20 };
            File::create(disk.path("disk")).unwrap().set_len(size).unwrap();
            run(&format!("mkfs.{}", kind.name()), &["-q", &disk.path("disk")]);
            disk
        }

        fn path(&self, name: &str) -> String {
            self.dir.path().join(name).to_str().unwrap().to_owned()
        }

        /// As a boot does it: for reading first.
        fn mount_as_we_do(&self) {
            let ours = option(self.kind.name(), &self.path("disk"), &[]);
            assert_eq!(ours.is_some(), self.kind == Kind::Xfs);
            let options = format!("ro,{}", ours.unwrap_or("defaults"));
            // `mount -o loop,ro` would make the device itself read-only.
            let backing = File::options().read(true).write(true).open(self.path("disk")).unwrap();
            let setup = Setup { autoclear: true, ..Setup::default() };
            let device = loopdev::attach(Path::new("/dev"), &backing, "disk", setup).unwrap();
            run("mount", &["-o", &options, &format!("/dev/loop{}", device.number), &self.path("at")]);
            run("mount", &["-o", "remount,rw", &self.path("at")]);
            sign(&Env::new(self.dir.path()), &self.dir.path().join("at"));
        }

        fn mount_as_others_do(&self) {
            // A second before the next mount time.
            std::thread::sleep(std::time::Duration::from_millis(1100));
            run("mount", &["-o", "loop", &self.path("disk"), &self.path("at")]);
        }

        fn write(&self, name: &str) {
            fs::write(self.path("at") + "/" + name, "text").unwrap();
            run("sync", &["-f", &self.path("at")]);
        }

        fn unmount(&self) {
            run("umount", &[&self.path("at")]);
        }

        /// The power fails.
        fn cut(&self) {
            run("cp", &["--sparse=always", &self.path("disk"), &self.path("seen")]);
            self.unmount();
            fs::rename(self.path("seen"), self.path("disk")).unwrap();
        }

        fn left(&self) -> Left {
            let mut file = File::open(self.path("disk")).unwrap();
            let found = format::identify(&mut file).unwrap().unwrap();
            assert_eq!(found.kind, self.kind);
            left(&mut file, &found, None)
        }
    }

    /// The driver of FAT is not in every kernel, so a directory stands for what is mounted from a FAT.
    #[test]
    fn f3_a_note_says_what_is_or_that_it_is_being_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (at, source) = (dir.path().join("at"), dir.path().join("disk"));
        fs::create_dir(&at).unwrap();
        File::create(&source).unwrap().set_len(4 << 20).unwrap();
        run("mkfs.vfat", &[source.to_str().unwrap()]);
        let (noted, path) = (Noted { at, source, cut: None }, dir.path().join("at").join(left::NOTE));
        let content = || fs::read(&path).unwrap();
        let now = || {
            let mut device = File::open(&noted.source).unwrap();
            let found = format::identify(&mut device).unwrap().unwrap();
            left::fingerprint(&mut device, &found).unwrap()
        };
        // Where there is none, there is nothing to be changed or renewed.
        noted.begin();
        noted.renew();
        assert!(!path.exists());
        noted.note();
        assert_eq!(content(), left::note(&now()));
        noted.begin();
        assert_eq!(content(), left::begun(&now()));
        // Another state: it is not the one of the note any more.
        run("mmd", &["-i", noted.source.to_str().unwrap(), "::/photos"]);
        let before = content();
        assert!(before != left::begun(&now()));
        noted.renew();
        assert_eq!(content(), left::note(&now()));
        // What a cut has left without content goes before anything else is made, and is made anew behind that.
        for length in [0, 100, left::NOTE_LENGTH] {
            fs::write(&path, vec![0; length]).unwrap();
            noted.begin();
            assert!(!path.exists(), "{length}");
            noted.note();
            assert_eq!(content(), left::note(&now()), "{length}");
        }
        // Somebody's file of that name and length stays.
        for theirs in [vec![b'x'; left::NOTE_LENGTH], vec![b'0'; left::NOTE_LENGTH], vec![0; left::NOTE_LENGTH + 1]] {
            fs::write(&path, &theirs).unwrap();
            noted.begin();
            noted.renew();
            noted.note();
            assert_eq!(content(), theirs);
        }
        // Unless an attempt of ours was cut short there: then it is a note that has what lay in its cluster before.
        let (before, later) = (SystemTime::UNIX_EPOCH, SystemTime::now() + std::time::Duration::from_secs(60));
        fs::write(&path, [b'x'; left::NOTE_LENGTH]).unwrap();
        let other = Noted { cut: Some(later), at: noted.at.clone(), source: noted.source.clone() };
        other.begin();
        other.note();
        assert_eq!(content(), [b'x'; left::NOTE_LENGTH], "it was there before the attempt");
        let noted = Noted { cut: Some(before), ..other };
        for begins in [false, true] {
            fs::write(&path, [b'x'; left::NOTE_LENGTH]).unwrap();
            if begins {
                noted.begin();
                assert!(!path.exists());
            }
            noted.note();
            assert_eq!(content(), left::note(&now()), "{begins}");
        }
        fs::write(&path, vec![b'x'; left::NOTE_LENGTH + 1]).unwrap();
        noted.begin();
        noted.note();
        assert_eq!(content(), vec![b'x'; left::NOTE_LENGTH + 1]);
        fs::remove_file(&path).unwrap();
        noted.note();
        // What cannot be read now is not known to be the same later.
        File::options().write(true).open(&noted.source).unwrap().set_len(0).unwrap();
        noted.begin();
        assert!(!left::is_whole(&content()) && left::is_ours(&content()) && !left::is_empty(&content()));
    }

    /// What the real kernel leaves on the disk; needs root.
    #[test]
    fn loop_f3_a_session_of_ours_is_told_from_that_of_another_system() {
        for kind in [Kind::Ext2, Kind::Ext3, Kind::Ext4, Kind::Xfs] {
            let disk = Disk::new(kind);
            assert_eq!(disk.left(), Left::InOrder, "{kind}: new");
            disk.mount_as_we_do();
            disk.cut();
            assert_eq!(disk.left(), Left::ByUs, "{kind}: cut at once");
            disk.mount_as_we_do();
            disk.write("one");
            disk.cut();
            assert_eq!(disk.left(), Left::ByUs, "{kind}: cut after a session behind a cut");
            disk.mount_as_others_do();
            disk.write("two");
            disk.cut();
            assert_eq!(disk.left(), Left::ByOthers, "{kind}: another system has mounted what we left");
            disk.mount_as_we_do();
            disk.write("three");
            disk.unmount();
            // Without a journal only a check makes it clean again.
            let ended = if kind == Kind::Ext2 { Left::ByUs } else { Left::InOrder };
            assert_eq!(disk.left(), ended, "{kind}: in order");
            disk.mount_as_others_do();
            disk.write("four");
            disk.cut();
            assert_eq!(disk.left(), Left::ByOthers, "{kind}: another system behind one of ours that ended well");
        }
    }
}
