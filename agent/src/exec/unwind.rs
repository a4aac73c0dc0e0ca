//! Undoing: each step that takes something records how to give it back.

use std::path::PathBuf;
use std::time::Duration;

use rustix::mount::MountFlags;

use super::cryptsetup::Mapped;
use super::mount;
use crate::mapper::{self, MapperError};
use crate::patient::patiently;
use crate::plan::Slot;

/// How to give back what one step took.
#[derive(Debug, PartialEq, Eq)]
pub enum Undo {
    /// Unmount; the loop device below frees itself with its last user.
    Unmount(PathBuf),
    /// Take a mount back to where it was.
    MoveBack {
        /// Where it is now.
        from: PathBuf,
        /// Where it was.
        to: PathBuf,
        /// What was not obeyed on it there.
        ignored: MountFlags,
    },
    /// Forbid writing to a file system again.
    ReadOnly(PathBuf),
    /// Remove a link.
    Unlink(PathBuf),
    /// Close an opened LUKS volume.
    Close(Mapped),
    /// Remove a device-mapper device.
    Unmap(String),
    /// Let go of a device, which frees a loop device: whatever it was made of is busy until then.
    Forget(Slot),
}

/// How long a device that is given back may stay in use: udev looks into each new one.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

fn remove(name: &str) -> Result<(), MapperError> {
    patiently(BUSY_LIMIT, Duration::from_millis(20), |_| true, || mapper::remove(name))
}

/// What was taken so far, newest last.
#[derive(Debug, Default)]
pub struct Undos(Vec<Undo>);

impl Undos {
    /// Records an undo.
    pub fn push(&mut self, undo: Undo) {
        self.0.push(undo);
    }

    /// Takes back the newest record of an undo that has been done.
    pub fn forget(&mut self, undo: &Undo) {
        if let Some(at) = self.0.iter().rposition(|recorded| recorded == undo) {
            self.0.remove(at);
        }
    }

    /// A mark to unwind to.
    pub fn mark(&self) -> usize {
        self.0.len()
    }

    /// Takes out what was recorded between two marks, newest first.
    pub fn take(&mut self, mark: usize, end: usize) -> impl Iterator<Item = Undo> {
        let end = end.min(self.0.len());
        self.0.drain(mark.min(end)..end).rev().collect::<Vec<_>>().into_iter()
    }
}

impl Undo {
    /// Does it, but for [`Undo::Forget`], which is the executor's business.
    ///
    /// # Errors
    /// Why it is not undone.
    pub fn apply(self) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            Undo::Unmount(at) => mount::detach(&at)?,
            Undo::MoveBack { from, to, ignored } => {
                mount::bind(&from, &to)?;
                mount::give_back(&to, ignored)?;
                mount::detach(&from)?;
            }
            Undo::ReadOnly(at) => mount::forbid_writes_patiently(&at)?,
            Undo::Unlink(at) => {
                std::fs::remove_file(&at).map_err(|error| format!("removing {}: {error}", at.display()))?;
            }
            Undo::Close(mapped) => mapped.close()?,
            Undo::Unmap(name) => remove(&name)?,
            Undo::Forget(_) => {}
        }
        Ok(())
    }
}
