//! The `/dev/disk/by-id` and `by-path` names of a device: udev's, or the common ones built from sysfs.

use std::fs;
use std::path::Path;

use crate::env::Env;
use crate::format::lossless;

/// Link names without directory. Without udev the names of virtio, NVMe, SCSI/ATA and USB disks by their serial number
/// and by their connection are built from sysfs, in the form udev's `60-persistent-storage.rules` documents. Those of a
/// partition are its disk's then; `disk` is the kernel name of that.
pub fn of(env: &Env, name: &str, disk: Option<&str>) -> Vec<String> {
    let known = from_udev(env, name);
    if !known.is_empty() {
        return known;
    }
    let disk = disk.unwrap_or(name);
    let mut built = from_sysfs(env, disk);
    built.extend(by_path(env, disk));
    built
}

fn from_udev(env: &Env, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for dir in ["dev/disk/by-id", "dev/disk/by-path"] {
        let Ok(entries) = fs::read_dir(env.path(dir)) else { continue };
        for entry in entries.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if target.file_name().is_some_and(|target| target == name) {
                found.extend(entry.file_name().into_string());
            }
        }
    }
    found
}

fn from_sysfs(env: &Env, name: &str) -> Vec<String> {
    let text = |file: &str| {
        let text = env.text(format!("sys/class/block/{name}/{file}"))?;
        let text = underscores(&text);
        (!text.is_empty()).then_some(text)
    };
    let mut found = Vec::new();
    if name.starts_with("vd") {
        found.extend(text("serial").map(|serial| format!("virtio-{serial}")));
    } else if name.starts_with("nvme") {
        if let (Some(model), Some(serial)) = (text("device/model"), text("device/serial")) {
            found.push(format!("nvme-{model}_{serial}"));
        }
    } else if let (Some(vendor), Some(model)) = (text("device/vendor"), text("device/model")) {
        let usb = env
            .path(format!("sys/class/block/{name}"))
            .canonicalize()
            .ok()
            .filter(|path| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb")));
        match usb.and_then(|path| path.ancestors().find_map(|dir| fs::read_to_string(dir.join("serial")).ok())) {
            Some(serial) => found.push(format!("usb-{vendor}_{model}_{}-0:0", underscores(&serial))),
            None if vendor == "ATA" => {
                if let Some(serial) = unit_serial(env, name) {
                    found.push(format!("ata-{model}_{serial}"));
                }
            }
            None => {}
        }
    }
    found.extend(text("wwid").or_else(|| text("device/wwid")).map(|wwid| wwid.replacen("naa.", "wwn-0x", 1)));
    found
}

/// The names by connection: the PCI function, and what lies between it and the disk.
fn by_path(env: &Env, name: &str) -> Vec<String> {
    let Ok(path) = env.path("sys/class/block").join(name).canonicalize() else { return Vec::new() };
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let Some(at) = parts.iter().rposition(|part| is_pci(part)) else { return Vec::new() };
    let (pci, below) = (parts[at], &parts[at + 1..]);
    let Some(rest) = connection(env, name, &path, below) else { return Vec::new() };
    let mut names = vec![format!("pci-{pci}{rest}")];
    if below.first().is_some_and(|part| part.starts_with("virtio")) {
        names.push(format!("virtio-pci-{pci}{rest}"));
    }
    names
}

/// Domain, bus, device and function: `0000:00:1f.2`.
fn is_pci(part: &str) -> bool {
    let hexadecimal = part.split([':', '.']).all(|field| !field.is_empty() && u32::from_str_radix(field, 16).is_ok());
    hexadecimal && part.matches(':').count() == 2 && part.matches('.').count() == 1
}

/// What follows the PCI function in the name; empty where the disk is the function, `None` for a bus we do not know.
fn connection(env: &Env, name: &str, path: &Path, below: &[&str]) -> Option<String> {
    if name.starts_with("nvme") {
        return Some(format!("-nvme-{}", env.text(format!("sys/class/block/{name}/nsid"))?));
    }
    if name.starts_with("vd") {
        return Some(String::new());
    }
    if let Some(ata) = below.iter().find(|part| part.strip_prefix("ata").is_some_and(is_number)) {
        let dir = path.ancestors().find(|dir| dir.ends_with(ata))?;
        let port = fs::read_to_string(dir.join("ata_port").join(ata).join("port_no")).ok()?;
        return Some(format!("-ata-{}", port.trim()));
    }
    let usb = below.iter().rev().find_map(|part| {
        let (_, port) = part.split_once('-')?;
        port.contains(':').then(|| format!("-usb-0:{port}"))
    });
    // host:channel:target:lun; udev counts the hosts of each controller, and there is one.
    let address = below.iter().rev().find(|part| part.split(':').count() == 4 && part.split(':').all(is_number))?;
    let (_, address) = address.split_once(':')?;
    Some(format!("{}-scsi-0:{address}", usb.unwrap_or_default()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Unit serial number from vital product data page 0x80, which the kernel keeps for SCSI and ATA disks.
fn unit_serial(env: &Env, name: &str) -> Option<String> {
    serial(&fs::read(env.path(format!("sys/class/block/{name}/device/vpd_pg80"))).ok()?)
}

/// The serial number in that page (SPC-4, 7.8.19): a head of four bytes, then text.
pub(crate) fn serial(page: &[u8]) -> Option<String> {
    let serial = underscores(&lossless(page.get(4..)?));
    (!serial.is_empty()).then_some(serial)
}

/// udev's spelling of free text in a link name: trimmed, inner white space as one underscore.
fn underscores(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    clean.split_whitespace().collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn names_from_sysfs_table() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let put = |path: &str, text: &str| {
            let path = env.path(path);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(path, text).unwrap();
        };
        put("sys/class/block/vda/serial", "LIVE 1\n");
        put("sys/class/block/nvme0n1/device/model", "QEMU NVMe Ctrl   \n");
        put("sys/class/block/nvme0n1/device/serial", "abc\n");
        for (name, expected) in
            [("vda", vec!["virtio-LIVE_1"]), ("nvme0n1", vec!["nvme-QEMU_NVMe_Ctrl_abc"]), ("sdz", vec![])]
        {
            assert_eq!(of(&env, name, None), expected, "{name}");
        }
    }

    /// dracut-live C13; the names are those that udev of Debian 13 gave in QEMU.
    #[test]
    fn c13_names_by_connection_table() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        create_dir_all(env.path("sys/class/block")).unwrap();
        let pci = "pci0000:00/0000:00:05.0";
        for (name, device, file, expected) in [
            ("vda", "virtio0/block/vda", None, vec!["pci-0000:00:05.0", "virtio-pci-0000:00:05.0"]),
            (
                "sda",
                "usb2/2-1/2-1:1.0/host2/target2:0:0/2:0:0:0/block/sda",
                None,
                vec!["pci-0000:00:05.0-usb-0:1:1.0-scsi-0:0:0:0"],
            ),
            (
                "sdb",
                "ata3/host2/target2:0:0/2:0:0:0/block/sdb",
                Some(("ata3/ata_port/ata3/port_no", "3\n")),
                vec!["pci-0000:00:05.0-ata-3"],
            ),
            (
                "sdc",
                "virtio1/host0/target0:0:2/0:0:2:1/block/sdc",
                None,
                vec!["pci-0000:00:05.0-scsi-0:0:2:1", "virtio-pci-0000:00:05.0-scsi-0:0:2:1"],
            ),
            (
                "nvme0n1",
                "nvme/nvme0/nvme0n1",
                Some(("nvme/nvme0/nvme0n1/nsid", "1\n")),
                vec!["pci-0000:00:05.0-nvme-1"],
            ),
            ("mmcblk0", "mmc_host/mmc0/mmc0:aaaa/block/mmcblk0", None, vec![]),
        ] {
            let base = env.path("sys/devices").join(pci);
            create_dir_all(base.join(device)).unwrap();
            if let Some((file, text)) = file {
                create_dir_all(base.join(file).parent().unwrap()).unwrap();
                write(base.join(file), text).unwrap();
            }
            std::os::unix::fs::symlink(base.join(device), env.path("sys/class/block").join(name)).unwrap();
            assert_eq!(by_path(&env, name), expected, "{name}");
        }
        // A partition has its disk's names; the number is compared elsewhere.
        assert_eq!(of(&env, "vda1", Some("vda")), ["pci-0000:00:05.0", "virtio-pci-0000:00:05.0"]);
    }

    #[test]
    fn udev_links_win() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        create_dir_all(env.path("dev/disk/by-id")).unwrap();
        std::os::unix::fs::symlink("../../vda", env.path("dev/disk/by-id/virtio-real")).unwrap();
        assert_eq!(of(&env, "vda", None), ["virtio-real"]);
    }
}
