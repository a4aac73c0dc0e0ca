//! The names of a device below `/dev`: those that udev has made, or the same built from sysfs.

pub mod by_id;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::facts::Device;

/// Link names of `/dev/disk/by-id` and `by-path`, without directory. Without udev they are built from sysfs, in the form udev's
/// `60-persistent-storage.rules` documents. Those of a partition are its disk's then; `disk` is the kernel name of that.
pub fn of(env: &Env, name: &str, disk: Option<&str>) -> Vec<String> {
    if let Some(known) = given(env).remove(name) {
        return known;
    }
    let disk = disk.unwrap_or(name);
    let mut built = by_id::of(env, disk);
    built.extend(by_path(env, disk));
    built
}

/// The other paths that usually lead to a device, whether or not anybody has made a link: those of an optical drive, of a mapped
/// device (`10-dm.rules`, `11-dm-lvm.rules`), the one by the number of the disk, and the one by the numbers of the device.
pub fn paths(env: &Env, device: &Device) -> Vec<PathBuf> {
    let text =
        |file: &str| env.text(format!("sys/class/block/{}/{file}", device.name)).map(|text| text.trim().to_owned());
    let mut found: Vec<String> = Vec::new();
    if device.optical {
        found.extend(["cdrom", "cdrw", "dvd", "dvdrw"].map(str::to_owned));
    }
    if let Some(name) = text("dm/name") {
        if text("dm/uuid").is_some_and(|uuid| uuid.starts_with("LVM-")) {
            found.extend(volume(&name));
        }
        found.push(format!("mapper/{name}"));
    }
    if let Some(number) = device.sequence {
        let part = device.partition.map(|part| format!("-part{part}")).unwrap_or_default();
        found.push(format!("disk/by-diskseq/{number}{part}"));
    }
    found.extend(text("dev").filter(|numbers| numbers.contains(':')).map(|numbers| format!("block/{numbers}")));
    found.iter().map(|path| Path::new("/dev").join(path)).collect()
}

/// `group/volume` of a mapped device that LVM has named: a hyphen stands between them, and two stand for one in them.
fn volume(name: &str) -> Option<String> {
    let marked = name.replace("--", "\0");
    let (group, volume) = marked.split_once('-')?;
    // Parts of a volume have a second one.
    (!volume.contains('-')).then(|| format!("{group}/{volume}").replace('\0', "-"))
}

/// Kernel name of the block device that a path leads to, if it does.
pub fn target(env: &Env, path: &Path) -> Option<String> {
    // A link below the root of a test leads there too.
    let node = fs::metadata(env.path(path)).ok()?;
    let (major, minor) = (rustix::fs::major(node.rdev()), rustix::fs::minor(node.rdev()));
    let dir = env.path(format!("sys/dev/block/{major}:{minor}")).canonicalize().ok()?;
    dir.file_name()?.to_str().map(str::to_owned).filter(|_| node.mode() & S_IFMT == S_IFBLK)
}

/// See inode(7).
const S_IFMT: u32 = 0o170_000;
const S_IFBLK: u32 = 0o060_000;

/// What udev has given until now, by kernel name.
pub fn given(env: &Env) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for dir in ["dev/disk/by-id", "dev/disk/by-path"] {
        let Ok(entries) = fs::read_dir(env.path(dir)) else { continue };
        for entry in entries.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if let (Some(name), Ok(link)) =
                (target.file_name().and_then(|name| name.to_str()), entry.file_name().into_string())
            {
                found.entry(name.to_owned()).or_default().push(link);
            }
        }
    }
    found
}

/// The names by connection: the PCI function, and what lies between it and the disk.
fn by_path(env: &Env, name: &str) -> Vec<String> {
    let Ok(path) = env.path("sys/class/block").join(name).canonicalize() else { return Vec::new() };
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let Some(at) = parts.iter().rposition(|part| is_pci(part)) else { return Vec::new() };
    let (pci, below) = (parts[at], &parts[at + 1..]);
    let mut names = Vec::new();
    for rest in connections(env, name, &path, below) {
        names.push(format!("pci-{pci}{rest}"));
        if below.first().is_some_and(|part| part.starts_with("virtio")) {
            names.push(format!("virtio-pci-{pci}{rest}"));
        }
    }
    names
}

/// Domain, bus, device and function: `0000:00:1f.2`.
fn is_pci(part: &str) -> bool {
    let hexadecimal = part.split([':', '.']).all(|field| !field.is_empty() && u32::from_str_radix(field, 16).is_ok());
    hexadecimal && part.matches(':').count() == 2 && part.matches('.').count() == 1
}

/// What follows the PCI function in the names; empty where the disk is the function, none for a bus we do not know.
fn connections(env: &Env, name: &str, path: &Path, below: &[&str]) -> Vec<String> {
    if name.starts_with("nvme") {
        let number = env.text(format!("sys/class/block/{name}/nsid"));
        return number.map(|number| format!("-nvme-{}", number.trim())).into_iter().collect();
    }
    if name.starts_with("vd") {
        return vec![String::new()];
    }
    // host:channel:target:lun; udev counts the hosts of each controller, and there is one.
    let address = below.iter().rev().find(|part| part.split(':').count() == 4 && part.split(':').all(is_number));
    let Some((_, address)) = address.and_then(|address| address.split_once(':')) else { return Vec::new() };
    if let Some(ata) = below.iter().find(|part| part.strip_prefix("ata").is_some_and(is_number)) {
        return ata_connections(path, ata, address).unwrap_or_default();
    }
    let usb = below.iter().rev().find_map(|part| {
        let (_, port) = part.split_once('-')?;
        port.contains(':').then_some(port)
    });
    let Some(port) = usb else { return vec![format!("-scsi-0:{address}")] };
    let mut kinds = vec!["usb".to_owned()];
    // systemd 254: the same port is one of USB 2 and one of USB 3.
    let root =
        path.ancestors().find(|dir| dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"usb")));
    let version = root.and_then(|dir| fs::read_to_string(dir.join("version")).ok());
    kinds.extend(version.and_then(|text| Some(format!("usbv{}", text.trim().split_once('.')?.0))));
    kinds.iter().map(|usb| format!("-{usb}-0:{port}-scsi-0:{address}")).collect()
}

/// By the number of the port, and by what is behind it: a multiplier has channels, a cable with two ends has targets.
fn ata_connections(path: &Path, ata: &str, address: &str) -> Option<Vec<String>> {
    let dir = path.ancestors().find(|dir| dir.ends_with(ata))?;
    let port = fs::read_to_string(dir.join("ata_port").join(ata).join("port_no")).ok()?;
    let (port, mut behind) = (port.trim(), address.split(':'));
    let (channel, target) = (behind.next()?, behind.next()?);
    let exact = if channel == "0" { format!("-ata-{port}.{target}") } else { format!("-ata-{port}.{channel}.0") };
    Some(vec![format!("-ata-{port}"), exact])
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
