//! Block devices from sysfs and their own first bytes; no udev needed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::links;
use crate::env::Env;
use crate::facts::{Device, Holds, Seen, is_optical};
use crate::format;
use crate::format::partition::{self, Table};
use crate::table::Shown;

/// Kernel names of all block devices that can hold a medium, sorted.
pub fn names(env: &Env) -> Vec<String> {
    let Ok(entries) = fs::read_dir(env.path("sys/class/block")) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_candidate(name))
        .collect();
    names.sort();
    names
}

/// Floppies take seconds to fail; RAM disks and compressed RAM hold nothing at boot.
pub fn is_candidate(name: &str) -> bool {
    !["fd", "ram", "zram", "mtdblock"]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
}

/// The kernel makes some loop devices in advance; without a file there is nothing in them.
pub fn is_unused_loop(env: &Env, name: &str) -> bool {
    let text = |file: &str| env.text(format!("sys/class/block/{name}/{file}"));
    name.starts_with("loop") && text("loop/backing_file").is_none() && text("partition").is_none()
}

/// Whether a device is memory that firmware has filled, and no module that keeps what is in it: the table of ACPI names modules for those
/// (`mappings`), a device tree calls it volatile, and a `memmap=` is RAM (`drivers/nvdimm`, Linux 4.4 to 6.12).
pub fn is_filled_memory(env: &Env, name: &str) -> bool {
    let Ok(dir) = env.path("sys/class/block").join(name).canonicalize() else { return false };
    let dir = dir.to_string_lossy();
    let Some((region, _)) = dir.split_once("/namespace") else { return false };
    let text = |file: &str| fs::read_to_string(Path::new(region).join(file)).unwrap_or_default();
    text("uevent").contains("DEVTYPE=nd_volatile")
        || (region.contains("/ACPI0012") && text("mappings").trim() == "0")
        || (region.contains("/e820_pmem") && env.text("proc/cmdline").is_some_and(|line| line.contains("memmap=")))
}

/// Whether a device is a disk, or a partition of it; with a number it must still be that disk
/// ([`Device::sequence`](crate::facts::Device::sequence)).
pub fn belongs_to(env: &Env, name: &str, disk: &str, sequence: Option<u64>) -> bool {
    let Ok(dir) = env.path("sys/class/block").join(name).canonicalize() else { return name == disk };
    let (dir, is_part) = match (dir.join("partition").exists(), dir.parent()) {
        (true, Some(parent)) => (parent.to_owned(), true),
        _ => (dir.clone(), false),
    };
    let named = if is_part { dir.file_name().is_some_and(|parent| parent == disk) } else { name == disk };
    named && (sequence.is_none() || number(&dir, "diskseq") == sequence)
}

/// Everything known about a device; `None` if it has gone.
pub fn device(env: &Env, name: &str) -> Option<Device> {
    // The link resolves to …/block/sda or …/block/sda/sda1.
    let dir = env.path("sys/class/block").join(name).canonicalize().ok()?;
    // The name of a partition stands in it as the kernel has it: the low byte of each of its UTF-16 units.
    let uevent = format::lossless(&fs::read(dir.join("uevent")).ok()?);
    let value =
        |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
    let partition: Option<u32> = number(&dir, "partition");
    let parent = partition.and_then(|_| dir.parent()?.file_name()?.to_str().map(str::to_owned));
    let devname = value("DEVNAME").unwrap_or_else(|| name.to_owned());
    let mut device = Device {
        name: name.to_owned(),
        node: PathBuf::from("/dev").join(devname),
        size: number::<u64>(&dir, "size").unwrap_or(0).saturating_mul(512),
        parent,
        partition,
        sequence: number(&dir, "diskseq").or_else(|| number(dir.parent()?, "diskseq")),
        part_uuid: value("PARTUUID"),
        part_label: value("PARTNAME"),
        // The driver of AoE does not know what its server allows, and others may boot from the same image (network.md 2.2).
        read_only: number::<u8>(&dir, "ro") == Some(1) || name.starts_with("etherd!"),
        removable: is_removable(if partition.is_some() { dir.parent()? } else { &dir }),
        optical: is_optical(name),
        ..Device::default()
    };
    device.links = links::of(env, name, device.parent.as_deref());
    device.paths = links::paths(env, &device);
    // A loop device without a file and a card reader without a card have no size and nothing to read. An optical
    // drive learns its size only when it is opened.
    if device.size > 0 || device.optical {
        read_content(env, &dir, &mut device);
    }
    Some(device)
}

/// Whether a disk comes and goes; `disk` is its directory in sysfs. The kernel says so of sticks; a disk in a USB case is known by its
/// place, and a card in a slot by its type (`Documentation/ABI/testing/sysfs-block`, `mmc-dev-attrs`).
fn is_removable(disk: &Path) -> bool {
    let usb = disk.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.strip_prefix("usb").is_some_and(|bus| !bus.is_empty() && bus.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let card = || fs::read_to_string(disk.join("device/type")).is_ok_and(|kind| kind.trim() == "SD");
    usb || number::<u8>(disk, "removable") == Some(1) || card()
}

fn read_content(env: &Env, dir: &Path, device: &mut Device) {
    let mut file = match File::open(env.path(&device.node)) {
        Ok(file) => file,
        Err(error) => {
            // ENOMEDIUM: an empty drive is not an unreadable one.
            let empty = error.raw_os_error() == Some(rustix::io::Errno::NOMEDIUM.raw_os_error());
            device.unreadable = (!empty).then(|| error.to_string());
            device.size = 0;
            return;
        }
    };
    if device.optical {
        device.size = number::<u64>(dir, "size").unwrap_or(0).saturating_mul(512);
    }
    device.sector = sector(&file);
    match format::identify(&mut file) {
        Ok(found) => {
            let raid = found.as_ref().is_some_and(|found| found.kind == format::Kind::Raid);
            device.beside_raid = if raid { format::beside_raid(&mut file).ok().flatten() } else { None };
            device.superblock = found;
        }
        Err(error) => device.unreadable = Some(error.to_string()),
    }
    if device.superblock.is_none() && device.unreadable.is_none() {
        device.unknown = format::unknown(&mut file);
    }
    match (device.parent.clone(), device.partition) {
        (Some(parent), Some(number)) => partition_names(env, &parent, number, device),
        _ if !device.optical => {
            let table = table(&mut file, device.size);
            device.table_id = table.as_ref().and_then(|table| table.id.clone());
            device.table = table.map_or_else(Vec::new, starts);
        }
        _ => {}
    }
}

/// Old kernels do not put PARTUUID into the uevent, and none does for MBR names; of other names than ASCII no kernel has more than a part:
/// the disk's own table knows.
fn partition_names(env: &Env, parent: &str, number: u32, device: &mut Device) {
    let dir = env.path("sys/class/block").join(parent);
    let size = self::number::<u64>(&dir, "size").unwrap_or(0).saturating_mul(512);
    let table = File::open(env.path("dev").join(parent)).ok().and_then(|mut file| table(&mut file, size));
    let Some(table) = table else { return };
    if let Some(entry) = table.partitions.into_iter().find(|entry| entry.number == number) {
        device.part_uuid = device.part_uuid.take().or(entry.uuid);
        device.part_label = entry.name.or(device.part_label.take());
    }
}

fn table(file: &mut (impl io::Read + io::Seek), size: u64) -> Option<Table> {
    partition::table(file, size).ok().flatten()
}

fn starts(table: Table) -> Vec<u64> {
    table.partitions.iter().map(|entry| entry.start).collect()
}

/// An open device that is not the one that was seen, or does not hold what it held.
#[derive(Debug, thiserror::Error)]
pub enum OtherDevice {
    /// The kernel does not tell.
    #[error(transparent)]
    Unknown(#[from] io::Error),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] format::Error),
    /// The kernel has given its name to another disk.
    #[error("another disk has its name now")]
    Disk,
    /// Its bytes, before and now.
    #[error("it had {0} bytes and has {1} now")]
    Size(u64, u64),
    /// Bytes of its sectors, before and now.
    #[error("its sectors had {0} bytes and have {1} now")]
    Sectors(u32, u32),
    /// Its PARTUUID, before and now.
    #[error("its PARTUUID was {0} and is {1} now")]
    PartUuid(String, String),
    /// The first byte of a partition.
    #[error("the partition that began at byte {0} is not in its table now")]
    Partition(u64),
    /// What it holds, before and now.
    #[error("it held {0} and holds {1} now")]
    Holds(Box<Holds>, Box<Holds>),
}

/// Whether an open device is the one that was seen, and holds what it held.
///
/// # Errors
/// What is different.
pub fn is_still(env: &Env, file: &File, seen: &Seen) -> Result<(), OtherDevice> {
    if *seen == Seen::named(&seen.node) {
        return Ok(());
    }
    let facts = rustix::fs::fstat(file).map_err(io::Error::from)?;
    let (major, minor) = (rustix::fs::major(facts.st_rdev), rustix::fs::minor(facts.st_rdev));
    let dir = env.path(format!("sys/dev/block/{major}:{minor}")).canonicalize()?;
    let sequence = number(&dir, "diskseq").or_else(|| number(dir.parent()?, "diskseq"));
    let differs = |before: Option<u64>, now: Option<u64>| before.is_some() && before != now;
    if differs(seen.sequence, sequence) {
        return Err(OtherDevice::Disk);
    }
    let now = size(file)?;
    if differs((seen.size > 0).then_some(seen.size), Some(now)) {
        return Err(OtherDevice::Size(seen.size, now));
    }
    let sectors = sector(file);
    if seen.sector > 0 && seen.sector != sectors {
        return Err(OtherDevice::Sectors(seen.sector, sectors));
    }
    let uevent = fs::read_to_string(dir.join("uevent")).unwrap_or_default();
    let uuid = uevent.lines().find_map(|line| line.strip_prefix("PARTUUID="));
    if let (Some(before), Some(now)) = (&seen.part_uuid, uuid)
        && before != now
    {
        return Err(OtherDevice::PartUuid(before.clone(), now.to_owned()));
    }
    still_holds(file, now, seen)
}

/// Whether a device has what was found on it: every partition of its table, and its superblock.
fn still_holds(mut file: &File, size: u64, seen: &Seen) -> Result<(), OtherDevice> {
    if !seen.table.is_empty() {
        let now = table(&mut file, size).map_or_else(Vec::new, starts);
        if let Some(gone) = seen.table.iter().find(|start| !now.contains(start)) {
            return Err(OtherDevice::Partition(*gone));
        }
    }
    let Some(before) = &seen.holds else { return Ok(()) };
    let now = Holds::of(format::identify(&mut file)?.as_ref());
    if *before == now { Ok(()) } else { Err(OtherDevice::Holds(Box::new(before.clone()), Box::new(now))) }
}

/// Bytes of an open device or file.
///
/// # Errors
/// Of lseek(2).
pub fn size(mut file: &File) -> io::Result<u64> {
    io::Seek::seek(&mut file, io::SeekFrom::End(0))
}

/// Bytes per logical sector of an open disk or partition; 512 for a file.
pub fn sector(file: &File) -> u32 {
    rustix::fs::ioctl_blksszget(file).unwrap_or(512)
}

/// The partitions of an open disk that the kernel shows now; none of what is no block device.
///
/// # Errors
/// The kernel does not tell.
pub fn shown(env: &Env, disk: &File) -> io::Result<Vec<Shown>> {
    let facts = rustix::fs::fstat(disk)?;
    if !rustix::fs::FileType::from_raw_mode(facts.st_mode).is_block_device() {
        return Ok(Vec::new());
    }
    let (major, minor) = (rustix::fs::major(facts.st_rdev), rustix::fs::minor(facts.st_rdev));
    let mut shown = Vec::new();
    for entry in fs::read_dir(env.path(format!("sys/dev/block/{major}:{minor}")))? {
        let dir = entry?.path();
        // Files and directories of the disk itself are no partitions.
        let Some(number) = number(&dir, "partition") else { continue };
        let place = self::number::<u64>(&dir, "start").zip(self::number::<u64>(&dir, "size"));
        let (start, size) = place.ok_or_else(|| io::Error::other(format!("{} has no place", dir.display())))?;
        shown.push(Shown { number, start: start.saturating_mul(512), size: size.saturating_mul(512) });
    }
    Ok(shown)
}

fn number<T: std::str::FromStr>(dir: &Path, file: &str) -> Option<T> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

/// Opens a device or image file and tells what it holds.
///
/// # Errors
/// The error of opening or reading it.
pub fn identify(env: &Env, path: &Path) -> io::Result<(Option<format::Superblock>, u64)> {
    let path = env.path(path);
    let kind = fs::metadata(&path)?.file_type();
    // A pipe would hold us up.
    if !kind.is_file() && !kind.is_block_device() {
        return Err(io::Error::other("it is neither a file nor a disk"));
    }
    let mut file = File::open(path)?;
    let size = io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
    let found = format::identify(&mut file).map_err(|error| io::Error::other(error.to_string()))?;
    Ok((found, size))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn memory_that_firmware_has_filled_is_told_from_modules_that_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        for part in ["sys/class/block", "proc"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        let acpi = "LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0";
        for (number, (region, mappings, kind, cmdline, expected)) in [
            (acpi, "0", "nd_pmem", "", true),
            (acpi, "1", "nd_pmem", "", false),
            ("platform/e820_pmem/ndbus0/region0", "0", "nd_pmem", "quiet memmap=64M!512M", true),
            ("platform/e820_pmem/ndbus0/region0", "0", "nd_pmem", "quiet", false),
            ("platform/80000000.pmem/ndbus0/region0", "0", "nd_volatile", "", true),
            ("pci0000:00/0000:00:04.0/virtio1/ndbus0/region0", "0", "nd_pmem", "memmap=64M!512M", false),
        ]
        .into_iter()
        .enumerate()
        {
            let region = dir.path().join(format!("sys/devices/{number}")).join(region);
            let disk = region.join(format!("namespace0.0/block/pmem{number}"));
            fs::create_dir_all(&disk).unwrap();
            fs::write(region.join("mappings"), format!("{mappings}\n")).unwrap();
            fs::write(region.join("uevent"), format!("DEVTYPE={kind}\n")).unwrap();
            fs::write(dir.path().join("proc/cmdline"), cmdline).unwrap();
            symlink(&disk, dir.path().join(format!("sys/class/block/pmem{number}"))).unwrap();
            assert_eq!(is_filled_memory(&env, &format!("pmem{number}")), expected, "{number}");
        }
    }

    /// The kernel keeps the low byte of each unit of a name, which is a letter of Latin-1, or any other one.
    #[test]
    fn the_name_of_a_partition_is_that_of_its_table() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let part = dir.path().join("sys/devices/block/sda/sda1");
        fs::create_dir_all(&part).unwrap();
        fs::create_dir_all(dir.path().join("sys/class/block")).unwrap();
        fs::create_dir(dir.path().join("dev")).unwrap();
        for (name, at) in [("sda", "sda"), ("sda1", "sda/sda1")] {
            let link = dir.path().join("sys/class/block").join(name);
            symlink(Path::new("../../devices/block").join(at), link).unwrap();
        }
        fs::write(part.parent().unwrap().join("size"), "16384\n").unwrap();
        fs::write(part.join("partition"), "1\n").unwrap();
        let disk = dir.path().join("dev/sda");
        for (name, kernel) in
            [("Größe", &b"Gr\xf6\xdfe"[..]), ("条", b"a"), ("plain", b"plain"), ("", b""), ("Größe", b"Gr!!e")]
        {
            File::create(&disk).unwrap().set_len(8 << 20).unwrap();
            let named = if name.is_empty() { String::new() } else { format!(", name=\"{name}\"") };
            let sfdisk = Command::new("sfdisk")
                .args(["-q", "--no-reread", "--no-tell-kernel"])
                .arg(&disk)
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::piped())
                .spawn();
            let mut sfdisk = sfdisk.unwrap();
            let script = format!("label: gpt\nstart=2048, size=2048{named}\n");
            io::Write::write_all(&mut sfdisk.stdin.take().unwrap(), script.as_bytes()).unwrap();
            assert!(sfdisk.wait().unwrap().success());
            let mut uevent = b"DEVNAME=sda1\nPARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4\n".to_vec();
            if !kernel.is_empty() {
                uevent.extend([b"PARTNAME=", kernel, b"\n"].concat());
            }
            fs::write(part.join("uevent"), uevent).unwrap();
            fs::write(part.join("size"), "2048\n").unwrap();
            fs::write(dir.path().join("dev/sda1"), [0; 4096]).unwrap();
            let found = device(&env, "sda1").unwrap();
            assert_eq!(found.part_label.as_deref(), Some(name).filter(|name| !name.is_empty()), "{kernel:?}");
            assert_eq!(found.part_uuid.as_deref(), Some("0fc63daf-8483-4772-8e79-3d69d8477de4"), "{name}");
        }
    }
}
