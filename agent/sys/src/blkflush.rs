//! Forgetting what is cached of a block device (`include/uapi/linux/fs.h`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{self, NoArg, Opcode};

const BLKFLSBUF: Opcode = 0x1261;

/// Writes out what waits in the cache of a disk or partition, and forgets what is in it: the next read asks the disk.
///
/// # Errors
/// The errno of the ioctl: `EACCES` without the right to it, `ENOTTY` for what is no block device.
pub fn flush(device: &File) -> io::Result<()> {
    // SAFETY: BLKFLSBUF takes no argument and touches no memory of ours.
    unsafe { ioctl::ioctl(device.as_fd(), NoArg::<BLKFLSBUF>::new()) }?;
    Ok(())
}
