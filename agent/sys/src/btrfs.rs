//! Which devices a btrfs lies on (`include/uapi/linux/btrfs.h`).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::ioctl::{self, Opcode, Setter, opcode};

/// `struct btrfs_ioctl_vol_args`: a descriptor that is not used here, and the path of a device, which ends in a zero byte.
#[repr(C)]
struct Volume {
    fd: i64,
    name: [u8; 4088],
}

const BTRFS_IOC_SCAN_DEV: Opcode = opcode::write::<Volume>(0x94, 4);

/// Lets the driver read the superblock of a device, so that it finds this device when another one of the same file system is mounted.
/// Nothing is written. `control` is `/dev/btrfs-control`.
///
/// # Errors
/// Of opening `control`, which is there with the driver; of the ioctl: `EINVAL` for what holds no btrfs; `ENAMETOOLONG`.
pub fn scan(control: &Path, device: &Path) -> io::Result<()> {
    let path = device.as_os_str().as_bytes();
    let mut volume = Volume { fd: 0, name: [0; 4088] };
    let room = volume.name.len() - 1;
    let name = volume.name.get_mut(..path.len()).filter(|name| name.len() <= room);
    name.ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?.copy_from_slice(path);
    let control = OpenOptions::new().read(true).write(true).open(control)?;
    // SAFETY: BTRFS_IOC_SCAN_DEV reads one such structure through its argument.
    unsafe { ioctl::ioctl(control.as_fd(), Setter::<BTRFS_IOC_SCAN_DEV, Volume>::new(volume)) }?;
    Ok(())
}
