//! Which mounts have to go, and in which order.

use std::path::{Path, PathBuf};

use crate::mountinfo::Mount;

/// Mounts of the running kernel's own interfaces, needed to the end, and where dracut's program for power-off has moved those
/// of the old root.
const KEPT: [&str; 3] = ["/run", "/oldsys/run", "/"];
/// The same for what is below them too.
const KEPT_BELOW: [&str; 6] = ["/proc", "/sys", "/dev", "/oldsys/proc", "/oldsys/sys", "/oldsys/dev"];

/// The mounts below the directory `below` that have to go, in the order in which they can: newest first, so that nothing is still
/// mounted on or made from what comes before it, as far as the table tells.
pub fn doomed(mounts: &[Mount], below: &Path) -> Vec<Mount> {
    let kept =
        |at: &Path| KEPT.iter().any(|kept| at == Path::new(kept)) || KEPT_BELOW.iter().any(|kept| at.starts_with(kept));
    mounts
        .iter()
        .rev()
        .filter(|mount| mount.at.starts_with(below) && mount.at != below && !kept(&mount.at))
        .cloned()
        .collect()
}

/// What is mounted directly on the mount at `at`, oldest first.
pub fn children(mounts: &[Mount], at: &Path) -> Vec<PathBuf> {
    let Some(top) = mounts.iter().rev().find(|mount| mount.at == at) else { return Vec::new() };
    mounts.iter().filter(|mount| mount.parent == top.id).map(|mount| mount.at.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo::parse;

    // As systemd 257 leaves it: the bind of /run/initramfs is the root, what was below it is there twice.
    const TABLE: &str = "\
24 1 0:22 /initramfs / rw,nosuid,nodev shared:1 - tmpfs run rw,size=20%
30 24 0:23 / /oldroot rw,relatime - overlay LiveOS_rootfs rw,lowerdir=/run/rootfsbase
31 30 0:22 / /oldroot/run rw - tmpfs run rw
32 31 11:0 / /oldroot/run/initramfs/live ro - iso9660 /dev/sr0 ro
33 31 7:0 / /oldroot/run/rdlive/container ro - squashfs /dev/loop0 ro
34 30 8:1 / /oldroot/mnt/a\\040b\\134c rw - ext4 /dev/sda1 rw
40 24 11:0 / /live ro - iso9660 /dev/sr0 ro
41 24 0:4 / /proc rw - proc proc rw
42 24 0:5 / /sys rw - sysfs sysfs rw
43 42 0:6 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
44 24 0:7 / /dev rw - devtmpfs devtmpfs rw
45 44 0:8 / /dev/shm rw - tmpfs tmpfs rw
46 24 0:22 / /run rw - tmpfs run rw
47 46 0:30 / /run/credentials rw - ramfs none rw
nonsense
";

    #[test]
    fn h2_everything_goes_but_the_kernels_own() {
        let found: Vec<_> =
            doomed(&parse(TABLE.as_bytes()), Path::new("/")).into_iter().map(|mount| mount.at).collect();
        let expected = [
            "/run/credentials",
            "/live",
            "/oldroot/mnt/a b\\c",
            "/oldroot/run/rdlive/container",
            "/oldroot/run/initramfs/live",
            "/oldroot/run",
            "/oldroot",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        let below: Vec<_> =
            doomed(&parse(TABLE.as_bytes()), Path::new("/oldroot/run")).into_iter().map(|m| m.fs).collect();
        assert_eq!(below, ["squashfs", "iso9660"]);
    }

    // As dracut's shutdown.sh leaves it when its hooks run: the old root is gone, its /run has been moved aside.
    const DRACUT: &str = "\
24 1 0:22 /initramfs / rw,nosuid,nodev shared:1 - tmpfs run rw,size=20%
31 24 0:22 / /oldsys/run rw - tmpfs run rw
32 31 253:1 / /oldsys/run/initramfs/overlayfs rw - ext4 /dev/vdb1 rw
33 24 0:4 / /oldsys/proc rw - proc proc rw
34 24 0:5 / /oldsys/sys rw - sysfs sysfs rw
35 34 0:6 / /oldsys/sys/fs/cgroup rw - cgroup2 cgroup2 rw
36 24 0:7 / /oldsys/dev rw - devtmpfs devtmpfs rw
37 36 0:8 / /oldsys/dev/shm rw - tmpfs tmpfs rw
41 24 0:4 / /proc rw - proc proc rw
46 24 0:22 / /run rw - tmpfs run rw
";

    #[test]
    fn h1_below_dracuts_program_what_was_moved_aside_goes() {
        let found: Vec<_> =
            doomed(&parse(DRACUT.as_bytes()), Path::new("/")).into_iter().map(|mount| mount.at).collect();
        assert_eq!(found, [PathBuf::from("/oldsys/run/initramfs/overlayfs")]);
    }

    #[test]
    fn children_are_those_directly_on_it() {
        let found = children(&parse(TABLE.as_bytes()), Path::new("/oldroot"));
        assert_eq!(found, ["/oldroot/run", "/oldroot/mnt/a b\\c"].map(PathBuf::from));
        assert_eq!(children(&parse(TABLE.as_bytes()), Path::new("/nowhere")), Vec::<PathBuf>::new());
    }
}
