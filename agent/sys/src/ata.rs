//! What a disk or drive of ATA says of itself (`include/uapi/linux/hdreg.h`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Getter, Opcode};

const HDIO_GET_IDENTITY: Opcode = 0x030d;

/// Bytes of an answer to IDENTIFY DEVICE, or to IDENTIFY PACKET DEVICE (ATA/ATAPI-7, 6.17 and 6.18).
pub const IDENTITY_BYTES: usize = 512;

/// The answer that the kernel keeps, without asking the device again. Its words are in this machine's order of bytes, its texts
/// in the order in which they are read (`ata_get_identity`, drivers/ata/libata-scsi.c).
///
/// # Errors
/// The errno of the ioctl: `ENOTTY` or `EINVAL` of what is no device of ATA.
pub fn identity(device: &File) -> io::Result<[u8; IDENTITY_BYTES]> {
    // SAFETY: HDIO_GET_IDENTITY writes at most 512 bytes through its argument.
    Ok(unsafe { ioctl::ioctl(device.as_fd(), Getter::<HDIO_GET_IDENTITY, [u8; IDENTITY_BYTES]>::new()) }?)
}
