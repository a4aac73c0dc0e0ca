//! The kernel's own reading of a table that was added to, on a loop device. Needs root.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use rdlive::table::{Disk, name};
use rdlive_sys::blkpg;
use rdlive_sys::loopdev::{self, Setup};

const MIB: u64 = 1 << 20;

#[test]
fn loop_kernel_is_told_while_the_disk_is_in_use() {
    assert!(rustix::process::geteuid().is_root(), "needs root: run `cargo lab test` as root");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    File::create(&path).unwrap().set_len(32 * MIB).unwrap();
    let script = "label: gpt\nsize=8MiB, type=L\n";
    let status = Command::new("sh").args(["-c", &format!("echo '{script}' | sfdisk -q {}", path.display())]).status();
    assert!(status.unwrap().success());

    let backing = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let setup = Setup { autoclear: true, ..Setup::default() };
    let device = loopdev::attach(Path::new("/dev"), &backing, "table_kernel", setup).unwrap();
    let disk = Disk { size: 32 * MIB, sector: 512, image: 0, least: MIB };
    let addition = disk.addition(&mut &device.device, &[], [1; 16]).unwrap();
    let gap = addition.gap;
    // Loop devices show partitions only with LO_FLAGS_PARTSCAN; the ioctl works without.
    match blkpg::add_partition(&device.device, gap.number, gap.start, gap.size) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => panic!("{error}"),
        Err(error) => panic!("adding partition {gap:?}: {error}"),
    }
    let node = name::of(&format!("loop{}", device.number), gap.number);
    let sysfs = |file: &str| fs::read_to_string(format!("/sys/class/block/{node}/{file}")).unwrap().trim().to_owned();
    assert_eq!((sysfs("start"), sysfs("size")), ((gap.start / 512).to_string(), (gap.size / 512).to_string()));
    let twice = blkpg::add_partition(&device.device, gap.number, gap.start, gap.size).unwrap_err();
    assert_eq!(twice.raw_os_error(), Some(16), "EBUSY: {twice}");
    blkpg::delete_partition(&device.device, gap.number).unwrap();
}
