//! A network of one's own (`network_namespaces(7)`), in which there is none.

use std::io;

use rustix::thread::UnshareFlags;

/// Takes the network away from the calling thread, and from what it starts.
///
/// # Errors
/// `EINVAL` where the kernel has no such namespaces, `EPERM` without `CAP_SYS_ADMIN`.
pub fn without_network() -> io::Result<()> {
    // SAFETY: only CLONE_FILES could take descriptors away from others; this flag leaves them as they are.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}
