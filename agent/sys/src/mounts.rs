//! Mounts that nobody else sees: a mount namespace of one's own (`mount_namespaces(7)`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::PidfdFlags;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags};

/// Gives the calling thread, and what it starts, mounts of its own: none of them reaches the rest of the system, and they end with the
/// last process that has them. It works in a chroot, and mounts a `/proc` where there is none.
///
/// # Errors
/// The errno of the system call that failed: `EPERM` without `CAP_SYS_ADMIN`.
pub fn own() -> io::Result<()> {
    // SAFETY: only CLONE_FILES could take descriptors away from others; this flag leaves them as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    // In a chroot `/` is a directory, not a mount, so nothing at it can be changed: step out to the namespace's own root for
    // that, and back in.
    let open =
        |path: &str| rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let (root, here) = (open("/")?, open(".")?);
    enter_root()?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(&here)?;
    if !std::path::Path::new("/proc/self").exists() {
        rustix::mount::mount("proc", "/proc", "proc", MountFlags::empty(), None)?;
    }
    Ok(())
}

/// Entering the namespace that one is in leads to its root, whatever chroot one was in.
fn enter_root() -> io::Result<()> {
    if rustix::thread::gettid() == rustix::process::getpid() {
        let own: OwnedFd = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        rustix::thread::move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::MOUNT)?;
        return Ok(());
    }
    // Another thread's namespace is not that of its process.
    let own = File::open("/proc/thread-self/ns/mnt")?;
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// In a thread and in its chroot without a mount point at `/`. Needs root; who is not cannot have mounts.
    #[test]
    fn mounts_are_seen_by_nobody_else_in_a_chroot_too() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return;
        }
        let dir = std::env::temp_dir().join(format!("rdlive-mounts-{}", std::process::id()));
        for name in ["proc", "at"] {
            fs::create_dir_all(dir.join("root").join(name)).unwrap();
        }
        let table = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let at = |table: &str| table.lines().filter(|line| line.contains("/rdlive-mounts-")).count();
        let root = dir.join("root");
        let inside = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                own().unwrap();
                assert!(!table().contains(" shared:"), "{}", table());
                rustix::mount::mount_bind("/proc", root.join("proc")).unwrap();
                // As a chroot into a directory: its root is no mount.
                rustix::process::chroot(&root).unwrap();
                rustix::process::chdir("/").unwrap();
                own().unwrap();
                rustix::mount::mount("tmpfs", "/at", "tmpfs", MountFlags::empty(), None).unwrap();
                fs::write("/at/file", "").unwrap();
                assert!(!Path::new("/root/at").exists() && Path::new("/proc/self").exists());
                fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
            });
            thread.join().unwrap()
        });
        assert!(inside.contains(" /at "), "{inside}");
        assert_eq!(at(&table()), 0, "{}", table());
        assert!(!dir.join("root/at/file").exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
