//! The `/dev/disk/by-id` and `by-path` names of a device: udev's, or the common ones built from sysfs.

use std::fs;

use crate::env::Env;

/// Link names without directory. Without udev the serial-number names of virtio, NVMe, SCSI/ATA and USB disks are
/// built from sysfs, in the form udev's `60-persistent-storage.rules` documents.
pub fn of(env: &Env, name: &str) -> Vec<String> {
    let known = from_udev(env, name);
    if known.is_empty() { from_sysfs(env, name) } else { known }
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

/// Unit serial number from vital product data page 0x80, which the kernel keeps for SCSI and ATA disks.
fn unit_serial(env: &Env, name: &str) -> Option<String> {
    let page = fs::read(env.path(format!("sys/class/block/{name}/device/vpd_pg80"))).ok()?;
    let serial = underscores(&String::from_utf8_lossy(page.get(4..)?));
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
            assert_eq!(of(&env, name), expected, "{name}");
        }
    }

    #[test]
    fn udev_links_win() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        create_dir_all(env.path("dev/disk/by-id")).unwrap();
        std::os::unix::fs::symlink("../../vda", env.path("dev/disk/by-id/virtio-real")).unwrap();
        assert_eq!(of(&env, "vda"), ["virtio-real"]);
    }
}
