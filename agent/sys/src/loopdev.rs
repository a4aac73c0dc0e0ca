//! Loop devices, set up by the single `LOOP_CONFIGURE` ioctl (Linux 5.8, `include/uapi/linux/loop.h`).
//!
//! The older pair `LOOP_SET_FD` and `LOOP_SET_STATUS64` shows a half-configured, writable device in between; with one
//! call there is no such moment.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::ioctl::{self, Ioctl, IoctlOutput, NoArg, Opcode, Setter};

const LOOP_CLR_FD: Opcode = 0x4C01;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;

const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// How often another process may take the free device before us. A guard against looping for ever, far above need.
const ATTEMPTS: usize = 64;

/// What a loop device shows of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Refuse writes.
    pub read_only: bool,
    /// Bypass the page cache of the backing file; the kernel ignores it where the file system cannot.
    pub direct_io: bool,
    /// First byte shown.
    pub offset: u64,
    /// Number of bytes shown; 0 shows all.
    pub size_limit: u64,
    /// Let the kernel free the device with its last user.
    pub autoclear: bool,
    /// Bytes per logical sector; 0 for the kernel's choice, 512. What is made on a device with short sectors may not be
    /// usable on one with long ones, so a loop device over a disk has to have the disk's.
    pub sector: u32,
}

/// An attached loop device. Keep it until the device is mounted: with autoclear the last close frees the device.
#[derive(Debug)]
pub struct LoopDevice {
    /// Kernel number: `/dev/loop<number>`.
    pub number: u32,
    /// The open device.
    pub device: File,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

/// `LOOP_CTL_GET_FREE` answers with its return value.
struct GetFree;

// SAFETY: the request takes no argument, touches no memory of ours, and its result is the ioctl's return value.
unsafe impl Ioctl for GetFree {
    type Output = u32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    // SAFETY: the argument pointer is not used.
    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(out).map_err(|_| rustix::io::Errno::RANGE)
    }
}

/// Attaches `backing` to the first free loop device. `dev` is the directory of device nodes, usually `/dev`;
/// `name` is what `losetup` will show, cut to 63 bytes.
///
/// # Errors
/// The errno of the ioctl that failed, or of opening `loop-control` or the device.
pub fn attach(dev: &Path, backing: &File, name: &str, setup: Setup) -> io::Result<LoopDevice> {
    let control = OpenOptions::new().read(true).write(true).open(dev.join("loop-control"))?;
    let mut last = io::Error::from(io::ErrorKind::ResourceBusy);
    for _ in 0..ATTEMPTS {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument and returns a number; see `GetFree`.
        let number = unsafe { ioctl::ioctl(control.as_fd(), GetFree) }?;
        match attach_to(dev, number, backing, name, setup) {
            // Somebody else configured the device between the two calls, or has claimed it for a moment.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                last = error;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            other => return other,
        }
    }
    Err(last)
}

/// As [`attach`], to the loop device of this number.
///
/// # Errors
/// As those of [`attach`]; `EBUSY` if it has a file already.
pub fn attach_to(dev: &Path, number: u32, backing: &File, name: &str, setup: Setup) -> io::Result<LoopDevice> {
    let device = OpenOptions::new().read(true).write(!setup.read_only).open(dev.join(format!("loop{number}")))?;
    configure(&device, backing, name, setup)?;
    Ok(LoopDevice { number, device })
}

fn configure(device: &File, backing: &File, name: &str, setup: Setup) -> io::Result<()> {
    let mut file_name = [0; 64];
    let length = name.len().min(63);
    file_name[..length].copy_from_slice(&name.as_bytes()[..length]);
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let config = LoopConfig {
        fd: u32::try_from(backing.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?,
        block_size: setup.sector,
        info: LoopInfo64 {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: setup.offset,
            sizelimit: setup.size_limit,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: flag(setup.read_only, LO_FLAGS_READ_ONLY)
                | flag(setup.autoclear, LO_FLAGS_AUTOCLEAR)
                | flag(setup.direct_io, LO_FLAGS_DIRECT_IO),
            file_name,
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`, whose layout the assertion above pins; the descriptor in
    // it is open for the whole call because `backing` is borrowed.
    unsafe { ioctl::ioctl(device.as_fd(), Setter::<LOOP_CONFIGURE, LoopConfig>::new(config)) }?;
    Ok(())
}

/// Detaches the backing file; with other users left the kernel does it at their last close.
///
/// # Errors
/// The errno of the ioctl; `ENXIO` if nothing is attached.
pub fn detach(device: &File) -> io::Result<()> {
    // SAFETY: LOOP_CLR_FD takes no argument and touches no memory of ours.
    unsafe { ioctl::ioctl(device.as_fd(), NoArg::<LOOP_CLR_FD>::new()) }?;
    Ok(())
}
