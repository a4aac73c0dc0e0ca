//! Which interface a socket uses (`socket(7)`, `SO_BINDTOIFINDEX`, Linux 5.0), and how large its segments are (`tcp(7)`).

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
    set(socket, (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX), index)
}

/// Bounds the segments of a TCP socket in both directions, in bytes without headers: the other end is told with the first packet.
/// Before it is connected.
///
/// # Errors
/// `EINVAL` for what is no size of a segment (88 to 32767).
pub fn limit_segments(socket: impl AsFd, bytes: u16) -> io::Result<()> {
    set(socket, (libc::IPPROTO_TCP, libc::TCP_MAXSEG), c_int::from(bytes))
}

fn set(socket: impl AsFd, (level, option): (c_int, c_int), value: c_int) -> io::Result<()> {
    // SAFETY: the option is an int, which lives until the call is over.
    let set = unsafe {
        let (fd, size) = (socket.as_fd().as_raw_fd(), size_of::<c_int>() as libc::socklen_t);
        libc::setsockopt(fd, level, option, (&raw const value).cast(), size)
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
