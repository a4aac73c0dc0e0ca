//! Optical drives (`include/uapi/linux/cdrom.h`).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::ioctl::{self, IntegerSetter, NoArg, Opcode};

const CDROMEJECT: Opcode = 0x5309;
const CDROM_LOCKDOOR: Opcode = 0x5329;

/// Unlocks the door of a drive and opens it.
///
/// # Errors
/// The errno of opening the device or of the ioctl: `EBUSY` while something is mounted from it, `ENOTTY` or `ENOSYS` if
/// it is no optical drive or cannot eject.
pub fn eject(device: &Path) -> io::Result<()> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    // Without O_NONBLOCK the open waits for a disc.
    let drive = OpenOptions::new().read(true).custom_flags(flags).open(device)?;
    // SAFETY: CDROM_LOCKDOOR takes an integer in the argument's place and touches no memory of ours.
    let unlocked = unsafe { ioctl::ioctl(drive.as_fd(), IntegerSetter::<CDROM_LOCKDOOR>::new_usize(0)) };
    // A drive without a lock says so; whether it can eject is another question.
    let _ = unlocked;
    // SAFETY: CDROMEJECT takes no argument and touches no memory of ours.
    unsafe { ioctl::ioctl(drive.as_fd(), NoArg::<CDROMEJECT>::new()) }?;
    Ok(())
}
