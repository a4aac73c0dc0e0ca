//! Which interface a socket uses (`socket(7)`, `SO_BINDTOIFINDEX`, Linux 5.0).

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Makes all packets of the socket go out of the interface with this index, and takes only those that come in there.
/// Before it is connected.
///
/// # Errors
/// `ENODEV` without the interface.
pub fn bind_to_interface(socket: impl AsFd, index: u32) -> io::Result<()> {
    let index = c_int::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: the option is an int, which lives until the call is over.
    let set = unsafe {
        let (fd, size) = (socket.as_fd().as_raw_fd(), size_of::<c_int>() as libc::socklen_t);
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, (&raw const index).cast(), size)
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
