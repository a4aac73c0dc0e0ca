//! A block device that refuses writes for a moment.
//!
//! A read-only mount of ext4 with `noload` replays no journal, but it still removes files that were deleted while open, and
//! writes that to the device (`ext4_orphan_cleanup`). It only lets be what refuses writes.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rdlive_sys::blkro;

/// The protection; taken away when dropped.
#[derive(Debug)]
pub(super) struct Protected(File);

impl Protected {
    /// Protects a device that is not protected yet; `None` for anything else.
    pub(super) fn new(device: &Path) -> Option<Self> {
        let file = File::open(device).ok().filter(|file| {
            let is_device = file.metadata().is_ok_and(|facts| facts.file_type().is_block_device());
            is_device && blkro::is_read_only(file).is_ok_and(|protected| !protected)
        })?;
        match blkro::set_read_only(&file, true) {
            Ok(()) => Some(Self(file)),
            Err(error) => {
                log::warn!("protecting {} from writes: {error}, ignoring", device.display());
                None
            }
        }
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        if let Err(error) = blkro::set_read_only(&self.0, false) {
            log::warn!("taking the protection from writes away: {error}, ignoring");
        }
    }
}
