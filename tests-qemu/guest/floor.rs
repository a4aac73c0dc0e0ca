//! The floor of the boot bench: an init that knows its device and does nothing but the mounts.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdlive_sys::loopdev::{self, Setup};
use rustix::mount::{MountFlags, mount, mount_move};

const RO: MountFlags = MountFlags::RDONLY;
const RW: MountFlags = MountFlags::empty();

/// Boots /dev/sr0 → LiveOS/squashfs.img → LiveOS/rootfs.img → overlay → `/usr/bin/lab-guest`. Stops with the reason on the console.
pub fn boot() -> ! {
    let error = steps().err().unwrap_or_else(|| std::io::Error::other("the real init returned"));
    println!("floor: {error}");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn steps() -> std::io::Result<()> {
    mount("devtmpfs", "/dev", "devtmpfs", RW, None)?;
    for module in fs::read_to_string("/floor.modules")?.lines() {
        let file = File::open(Path::new("/modules").join(module))?;
        rustix::system::finit_module(&file, c"", 0).map_err(|e| std::io::Error::other(format!("{module}: {e}")))?;
    }
    wait_for("/dev/sr0");
    mount("/dev/sr0", "/live", "iso9660", RO, None)?;
    mount_image("/live/LiveOS/squashfs.img", "/container", "squashfs")?;
    mount_image("/container/LiveOS/rootfs.img", "/lower", "ext4")?;
    mount("tmpfs", "/write", "tmpfs", RW, None)?;
    fs::create_dir("/write/rw")?;
    fs::create_dir("/write/work")?;
    let layers = c"lowerdir=/lower,upperdir=/write/rw,workdir=/write/work";
    mount("LiveOS_rootfs", "/sysroot", "overlay", RW, Some(layers))?;
    mount_move("/dev", "/sysroot/dev")?;
    std::env::set_current_dir("/sysroot")?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    mount("proc", "/proc", "proc", RW, None)?;
    Err(Command::new("/usr/bin/lab-guest").exec())
}

/// The SCSI layer scans in the background after the driver has loaded.
fn wait_for(device: &str) {
    while !Path::new(device).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn mount_image(file: &str, at: &str, kind: &str) -> std::io::Result<()> {
    let setup = Setup { read_only: true, ..Setup::default() };
    let device = loopdev::attach(Path::new("/dev"), &File::open(file)?, file, setup)?;
    mount(format!("/dev/loop{}", device.number), at, kind, RO, None)?;
    Ok(())
}
