//! Locks between runs: flock on a file, given back by the kernel however its holder ends.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A lock, held for as long as this lives. Programs that are started do not inherit it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing it gives the lock back")] File);

impl Lock {
    /// Waits until no one else has the lock in any way.
    pub fn exclusive(path: &Path) -> Result<Self> {
        loop {
            if let Some(lock) = Self::take(path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// Waits until no one has it exclusively.
    pub fn shared(path: &Path) -> Result<Self> {
        loop {
            if let Some(lock) = Self::take(path, FlockOperation::LockShared)? {
                return Ok(lock);
            }
        }
    }

    /// The exclusive lock, if it can be had at once.
    pub fn now(path: &Path) -> Result<Option<Self>> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Option<Self>> {
        let options = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.with_context(|| format!("opening the lock {}", path.display()))?;
        match rustix::fs::flock(&file, how) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("locking {}", path.display())),
        }
        // Whoever had it may have removed the file: then this is the lock of nothing.
        let (ours, there) = (file.metadata()?.ino(), std::fs::metadata(path).map(|found| found.ino()));
        Ok(there.is_ok_and(|there| there == ours).then_some(Self(file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped_and_ends_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::now(&path).unwrap().is_none());
        drop(held);
        let shared = Lock::shared(&path).unwrap();
        assert!(Lock::now(&path).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(Lock::now(&path).unwrap().is_some(), "the new file is another lock");
        drop(shared);
    }
}
