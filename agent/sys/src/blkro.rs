//! Write protection of a block device, as the kernel keeps it (`include/uapi/linux/fs.h`).

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Getter, Opcode, Setter};

const BLKROSET: Opcode = 0x125d;
const BLKROGET: Opcode = 0x125e;

/// Whether the device refuses writes.
///
/// # Errors
/// The errno of the ioctl: `ENOTTY` if it is no block device.
pub fn is_read_only(device: &File) -> io::Result<bool> {
    // SAFETY: BLKROGET writes one int through its argument.
    let flag = unsafe { ioctl::ioctl(device.as_fd(), Getter::<BLKROGET, c_int>::new()) }?;
    Ok(flag != 0)
}

/// Makes the device refuse writes, or accept them again. What is mounted for writing already goes on writing.
///
/// # Errors
/// The errno of the ioctl: `EACCES` without root rights, `ENOTTY` if it is no block device.
pub fn set_read_only(device: &File, read_only: bool) -> io::Result<()> {
    // SAFETY: BLKROSET reads one int through its argument.
    unsafe { ioctl::ioctl(device.as_fd(), Setter::<BLKROSET, c_int>::new(c_int::from(read_only))) }?;
    Ok(())
}
