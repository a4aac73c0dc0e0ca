//! Device-mapper, as much as a teardown needs (`include/uapi/linux/dm-ioctl.h`).

use std::ffi::c_void;
use std::fs::OpenOptions;
use std::io;
use std::mem::size_of;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, opcode};

/// Longest name with its final zero byte (`DM_NAME_LEN`).
const NAME_BYTES: usize = 128;

#[repr(C)]
#[derive(Clone, Copy)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME_BYTES],
    uuid: [u8; 129],
    data: [u8; 7],
}

const _: () = assert!(size_of::<DmIoctl>() == 312);

const DM_DEV_REMOVE: Opcode = opcode::read_write::<DmIoctl>(0xfd, 4);

struct Remove(DmIoctl);

// SAFETY: the request reads and writes one `struct dm_ioctl`, whose layout the assertion above pins; `data_size` is its
// size, so the kernel touches nothing behind it.
unsafe impl Ioctl for Remove {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        DM_DEV_REMOVE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    // SAFETY: the argument pointer is not used.
    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Removes a device by its name; data it still holds is written first. `dev` is the directory of device nodes.
///
/// # Errors
/// `ENXIO` if there is none of this name, `EBUSY` while it is used, or the errno of opening `mapper/control`.
pub fn remove(dev: &Path, name: &str) -> io::Result<()> {
    let control = OpenOptions::new().read(true).write(true).open(dev.join("mapper/control"))?;
    if name.len() >= NAME_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let size = u32::try_from(size_of::<DmIoctl>()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut request = DmIoctl {
        version: [4, 0, 0],
        data_size: size,
        data_start: size,
        target_count: 0,
        open_count: 0,
        flags: 0,
        event_nr: 0,
        padding: 0,
        dev: 0,
        name: [0; NAME_BYTES],
        uuid: [0; 129],
        data: [0; 7],
    };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: DM_DEV_REMOVE takes one `struct dm_ioctl`; see `Remove`.
    unsafe { ioctl::ioctl(control.as_fd(), Remove(request)) }?;
    Ok(())
}
