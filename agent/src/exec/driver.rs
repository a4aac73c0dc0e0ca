//! What the loader of kernel modules, which is the initrd's own or ours, can fail with.

use std::io;

/// Why a kernel module is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Nobody has it.
    #[error("module {0} is not in this initrd")]
    Absent(String),
    /// Its parameters are no text that the kernel takes.
    #[error("{0}: bad parameters")]
    Parameters(String),
    /// Name, file, and what the kernel says.
    #[error("module {0} ({1}): {2}")]
    Refused(String, String, io::Error),
    /// There is no modprobe.
    #[error("modprobe: {0}")]
    NoModprobe(io::Error),
    /// The words of modprobe.
    #[error("{0}")]
    Modprobe(String),
    /// It is not there yet; for how many seconds.
    #[error("modprobe {0} has not ended for {1} s: it waits for a device")]
    Silent(String, u64),
}

/// Loads a kernel module by name with all it needs.
pub type LoadModule<'a> = &'a (dyn Fn(&str) -> Result<(), ModuleError> + Sync);

impl super::Executor<'_> {
    /// Sees that there are loop devices. Their driver is asked for when the boot begins, and loaded beside the search: a medium that is
    /// there at once may be faster. That there is none is said by who attaches one.
    pub(super) fn loop_driver(&self) {
        if !self.env.path("dev/loop-control").exists()
            && let Err(why) = (self.load)("loop")
        {
            log::debug!("loop: {why}");
        }
    }
}
