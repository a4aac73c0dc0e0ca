//! What the kernel shows of its firmware only when it is asked to.

use std::fs;

use super::Executor;
use super::mount::{self, FileSystem, Purpose};
use crate::probe::loader::VARIABLES;

impl Executor<'_> {
    /// Takes a look while the variables of UEFI, or the drives of a BIOS, are shown. What cannot be shown is not seen.
    pub(crate) fn with_firmware<T>(&self, look: impl FnOnce() -> T) -> T {
        let at = self.env.path(VARIABLES);
        if !self.env.path("sys/firmware/efi").exists() {
            let _ = (self.load)("edd");
            return look();
        }
        // Where systemd is, they are shown already.
        let empty = fs::read_dir(&at).is_ok_and(|mut entries| entries.next().is_none());
        let fs = "efivarfs";
        let what = FileSystem { fs, source: fs, options: Vec::new(), read_only: true, purpose: Purpose::Data };
        let mounted = empty && (self.load)(fs).is_ok() && mount::attach(&what, &at).is_ok();
        let seen = look();
        // The system wants to write to them, and mounts them itself.
        if mounted && let Err(error) = mount::detach(&at) {
            log::warn!("{error}");
        }
        seen
    }
}
