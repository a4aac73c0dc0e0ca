//! Interfaces, addresses and routes of the kernel (rtnetlink(7)): what there is, what changes, and what is set. Thin
//! effects; nothing is decided here.
//!
//! Frames of netlink and its attributes by `netlink-packet-core`. The messages in them are ours: `netlink-packet-route`
//! 0.34 reads every attribute of every kind of interface and costs 550 kB of a static binary, `neli` is under the BSD
//! licence.

mod event;
mod handle;
mod neighbour;
mod wire;

pub use event::{Event, Events};
pub use handle::{Handle, Held, Lifetime, RouteOptions};
pub use wire::{Doing, Failure, Link};

use std::fs;
use std::path::Path;

/// The name of the driver of an interface, from `/sys` below `root` (`/` on a real machine); `None` for one without a device.
#[must_use]
pub fn driver(root: &Path, name: &str) -> Option<String> {
    let target = fs::read_link(root.join("sys/class/net").join(name).join("device/driver")).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_where_sysfs_says() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/class/net/eth0/device");
        fs::create_dir_all(&device).unwrap();
        assert_eq!(driver(root.path(), "eth0"), None);
        std::os::unix::fs::symlink("../../../bus/pci/drivers/e1000e", device.join("driver")).unwrap();
        assert_eq!(driver(root.path(), "eth0").as_deref(), Some("e1000e"));
        assert_eq!(driver(root.path(), "eth1"), None);
    }
}
