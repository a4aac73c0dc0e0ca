//! Puts files where servers show them, so that no client ever sees a part of one: each is written under a name that nobody
//! asks for, is on the disk, and gets its name then.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// What a server of any user can read, whatever the umask says.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Begins the names of what is not complete; servers are not asked for it.
const UNFINISHED: &str = ".rdlive-image.";

/// Makes a directory in one that exists, for everybody to read; one that is there already stays as it is.
///
/// # Errors
/// It cannot be made.
pub fn directory(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("making {}", dir.display())),
        Ok(()) => open_for_all(dir, DIRECTORY_MODE),
    }
}

fn open_for_all(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

/// Gives the file its content at once: who opens it finds the old content or the new one.
///
/// # Errors
/// It cannot be written.
pub fn file(path: &Path, content: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let context = || format!("writing {}", path.display());
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir).with_context(context)?;
    file.write_all(content).with_context(context)?;
    open_for_all(file.path(), FILE_MODE)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).map_err(|error| error.error).with_context(context)?;
    sync(dir)
}

/// A directory that is on the disk under its name, or not there at all.
#[derive(Debug)]
pub struct Staged {
    dir: TempDir,
    parent: PathBuf,
}

impl Staged {
    /// Begins one in `parent`.
    ///
    /// # Errors
    /// `parent` cannot be written.
    pub fn new(parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent);
        let dir = dir.with_context(|| format!("making a directory in {}", parent.display()))?;
        Ok(Self { dir, parent: parent.to_owned() })
    }

    /// Where it is until then.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Gives it its name, when all its files are on the disk.
    ///
    /// # Errors
    /// Something cannot be written, or the name is taken.
    pub fn finish(self, name: &str) -> Result<()> {
        let target = self.parent.join(name);
        for entry in fs::read_dir(self.path()).context("reading what was written")? {
            let path = entry.context("reading what was written")?.path();
            open_for_all(&path, FILE_MODE)?;
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.with_context(|| format!("writing {}", path.display()))?;
        }
        open_for_all(self.path(), DIRECTORY_MODE)?;
        sync(self.path())?;
        fs::rename(self.path(), &target).with_context(|| format!("renaming to {}", target.display()))?;
        // Its name is another one now, under which nothing is to be removed.
        let _ = self.dir.keep();
        sync(&self.parent)
    }
}

/// Names in a directory are on the disk afterwards.
fn sync(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("writing the names in {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_directory_has_its_name_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let staged = Staged::new(dir.path()).unwrap();
        fs::write(staged.path().join("x"), "x").unwrap();
        open_for_all(&staged.path().join("x"), 0o600).unwrap();
        assert!(names(dir.path()).iter().all(|name| name.starts_with(UNFINISHED)));
        staged.finish("build").unwrap();
        assert_eq!(names(dir.path()), ["build"]);
        assert_eq!((mode(&dir.path().join("build")), mode(&dir.path().join("build/x"))), (0o755, 0o644));
    }

    #[test]
    fn what_is_given_up_or_has_no_free_name_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Staged::new(dir.path()).unwrap());
        assert_eq!(names(dir.path()), Vec::<String>::new());
        directory(&dir.path().join("build")).unwrap();
        file(&dir.path().join("build/old"), b"old").unwrap();
        let staged = Staged::new(dir.path()).unwrap();
        fs::write(staged.path().join("new"), "new").unwrap();
        staged.finish("build").unwrap_err();
        assert_eq!(names(dir.path()), ["build"]);
        assert_eq!(names(&dir.path().join("build")), ["old"]);
    }

    #[test]
    fn a_file_is_replaced_and_never_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        file(&path, b"old").unwrap();
        let mut open = File::open(&path).unwrap();
        file(&path, b"new").unwrap();
        let mut seen = String::new();
        std::io::Read::read_to_string(&mut open, &mut seen).unwrap();
        assert_eq!((seen.as_str(), fs::read(&path).unwrap().as_slice()), ("old", &b"new"[..]));
        assert_eq!((mode(&path), names(dir.path())), (0o644, vec!["a".to_owned()]));
    }
}
