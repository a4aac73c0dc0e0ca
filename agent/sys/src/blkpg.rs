//! Partitions told to the kernel one by one (`include/uapi/linux/blkpg.h`).
//!
//! A re-read of the whole table fails while any partition of the disk is in use, and on a live medium one always is.

use std::ffi::{c_int, c_longlong};
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Opcode, Setter};

const BLKPG: Opcode = 0x1269;
const BLKPG_ADD_PARTITION: c_int = 1;
const BLKPG_DEL_PARTITION: c_int = 2;

#[repr(C)]
struct Partition {
    start: c_longlong,
    length: c_longlong,
    number: c_int,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

#[repr(C)]
struct Argument {
    operation: c_int,
    flags: c_int,
    length: c_int,
    data: *mut Partition,
}

const _: () = assert!(size_of::<Partition>() == 152);

/// Makes the kernel show bytes `start` to `start + length` of `disk` as partition `number`.
///
/// # Errors
/// The errno of the ioctl: `EBUSY` if the number or a part of the range is taken, `EINVAL` for odd sectors.
pub fn add_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    call(disk, BLKPG_ADD_PARTITION, number, start, length)
}

/// Makes the kernel forget a partition; nothing on the disk changes.
///
/// # Errors
/// The errno of the ioctl: `ENXIO` if there is none, `EBUSY` if it is in use.
pub fn delete_partition(disk: &File, number: u32) -> io::Result<()> {
    call(disk, BLKPG_DEL_PARTITION, number, 0, 0)
}

/// Makes the kernel read the whole table of a disk again.
///
/// # Errors
/// The errno of the ioctl: `EBUSY` while a partition is in use, `EINVAL` for a partition.
pub fn read_again(disk: &File) -> io::Result<()> {
    // SAFETY: the ioctl has no argument.
    unsafe { ioctl::ioctl(disk.as_fd(), ioctl::NoArg::<BLKRRPART>::new()) }.map_err(Into::into)
}

/// `_IO(0x12, 95)` of `include/uapi/linux/fs.h`.
const BLKRRPART: Opcode = 0x125f;

fn call(disk: &File, operation: c_int, number: u32, start: u64, length: u64) -> io::Result<()> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut partition = Partition {
        start: c_longlong::try_from(start).map_err(out_of_range)?,
        length: c_longlong::try_from(length).map_err(out_of_range)?,
        number: c_int::try_from(number).map_err(out_of_range)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let length = size_of::<Partition>() as c_int;
    let argument = Argument { operation, flags: 0, length, data: &raw mut partition };
    // SAFETY: BLKPG reads one `struct blkpg_ioctl_arg`, which `Setter` holds for the whole call, and through its pointer
    // one `struct blkpg_partition`, whose size the assertion pins and which outlives the call; it writes to neither.
    unsafe { ioctl::ioctl(disk.as_fd(), Setter::<BLKPG, Argument>::new(argument)) }?;
    Ok(())
}
