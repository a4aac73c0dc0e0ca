//! Names, as udev gives them.

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
    for (name, expected) in [
        ("vda", vec!["virtio-LIVE_1"]),
        ("nvme0n1", vec!["nvme-QEMU_NVMe_Ctrl_abc", "nvme-QEMU_NVMe_Ctrl_abc_1"]),
        ("sdz", vec![]),
    ] {
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
            Some(("usb2/version", " 3.00\n")),
            vec!["pci-0000:00:05.0-usb-0:1:1.0-scsi-0:0:0:0", "pci-0000:00:05.0-usbv3-0:1:1.0-scsi-0:0:0:0"],
        ),
        (
            "sdb",
            "ata3/host2/target2:0:0/2:0:0:0/block/sdb",
            Some(("ata3/ata_port/ata3/port_no", "3\n")),
            vec!["pci-0000:00:05.0-ata-3", "pci-0000:00:05.0-ata-3.0"],
        ),
        (
            "sdc",
            "virtio1/host0/target0:0:2/0:0:2:1/block/sdc",
            None,
            vec!["pci-0000:00:05.0-scsi-0:0:2:1", "virtio-pci-0000:00:05.0-scsi-0:0:2:1"],
        ),
        ("nvme0n1", "nvme/nvme0/nvme0n1", Some(("nvme/nvme0/nvme0n1/nsid", "1\n")), vec!["pci-0000:00:05.0-nvme-1"]),
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
/// A machine whose disk has these attributes below its directory; `at` is that below `/sys/devices`.
fn machine(at: &str, files: &[(&str, &[u8])]) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    let device = env.path("sys/devices").join(at);
    for (file, bytes) in files {
        create_dir_all(device.join(file).parent().unwrap()).unwrap();
        write(device.join(file), bytes).unwrap();
    }
    create_dir_all(env.path("sys/class/block")).unwrap();
    let link = env.path("sys/class/block").join(device.file_name().unwrap());
    std::os::unix::fs::symlink(&device, link).unwrap();
    (dir, env)
}

fn page(number: u8, designators: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (set, kind, name) in designators {
        bytes.extend([*set, *kind, 0, u8::try_from(name.len()).unwrap()]);
        bytes.extend(*name);
    }
    [&[0, number, 0, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat()
}

/// field.md F. The names of the first six are those that udev of Debian 13 gave in QEMU, from the same attributes.
#[test]
fn by_id_names_are_those_of_udev() {
    let naa = 0x5000_c500_15ea_71aa_u64.to_be_bytes();
    let (vendor, model) = (("device/vendor", &b"QEMU    \n"[..]), ("device/model", &b"QEMU HARDDISK   \n"[..]));
    let scsi = "pci0000:00/0000:00:03.0/virtio0/host0/target0:0:3/0:0:3:1/block/sda";
    let usb = "pci0000:00/0000:00:05.0/usb2/2-1/2-1:1.0/host9/target9:0:0/9:0:0:0/block/sda";
    let sata = "pci0000:00/0000:00:06.0/ata3/host3/target3:0:0/3:0:0:0/block/sda";
    for (at, files, expected) in [
        (
            scsi,
            vec![vendor, model, ("device/vpd_pg83", &*page(0x83, &[(2, 0, b"d1")]))],
            vec!["scsi-0QEMU_QEMU_HARDDISK_d1"],
        ),
        (
            scsi,
            vec![
                vendor,
                model,
                ("device/wwid", b"naa.5000c50015ea71aa\n"),
                ("device/vpd_pg80", b"\0\x80\0\x04SER2"),
                ("device/vpd_pg83", &page(0x83, &[(2, 0, b"SER2"), (1, 3, &naa)])),
            ],
            vec!["scsi-35000c50015ea71aa", "wwn-0x5000c50015ea71aa"],
        ),
        (usb, vec![vendor, model, ("../../../../../serial", b"USB5\n")], vec!["usb-QEMU_QEMU_HARDDISK_USB5-0:0"]),
        (
            sata,
            vec![
                ("device/vendor", b"ATA     \n"),
                ("device/model", b"My Disk 7       \n"),
                ("device/vpd_pg80", b"\0\x80\0\x14ATA7                "),
                ("device/wwid", b"naa.5000c50015ea71aa\n"),
            ],
            vec!["ata-My_Disk_7_ATA7", "wwn-0x5000c50015ea71aa"],
        ),
        (
            "pci0000:00/0000:00:07.0/nvme/nvme0/nvme0n1",
            vec![
                ("wwid", b"nvme.1b36-4e564d4539-51454d55204e564d65204374726c-00000001\n"),
                ("nsid", b"1\n"),
                ("device/model", b"QEMU NVMe Ctrl                          \n"),
                ("device/serial", b"NVME9               \n"),
            ],
            vec![
                "nvme-nvme.1b36-4e564d4539-51454d55204e564d65204374726c-00000001",
                "nvme-QEMU_NVMe_Ctrl_NVME9",
                "nvme-QEMU_NVMe_Ctrl_NVME9_1",
            ],
        ),
        ("pci0000:00/0000:00:04.0/virtio1/block/vda", vec![("serial", b"VIRT4")], vec!["virtio-VIRT4"]),
    ] {
        named(at, &files, &expected);
    }
}

/// Whether a disk with these attributes has these names.
fn named(at: &str, files: &[(&str, &[u8])], expected: &[&str]) {
    let name = Path::new(at).file_name().unwrap().to_str().unwrap();
    let (_dir, env) = machine(at, files);
    assert_eq!(by_id::of(&env, name), expected, "{at} {files:?}");
}

#[test]
fn by_id_names_of_what_qemu_has_not() {
    let naa = 0x5000_c500_15ea_71aa_u64.to_be_bytes();
    let (vendor, model) = (("device/vendor", &b"QEMU    \n"[..]), ("device/model", &b"QEMU HARDDISK   \n"[..]));
    let scsi = "pci0000:00/0000:00:03.0/virtio0/host0/target0:0:3/0:0:3:1/block/sda";
    let sata = "pci0000:00/0000:00:06.0/ata3/host3/target3:0:0/3:0:0:0/block/sda";
    let long = format!("ATA     {:40}{:20}", "Samsung SSD 860 EVO 500GB", "S3Z1NB0K").into_bytes();
    for (at, files, expected) in [
        // A name of the port is no name of the disk, and a longer one is worth more.
        (
            scsi,
            vec![
                vendor,
                model,
                (
                    "device/vpd_pg83",
                    &page(0x83, &[(1, 0x13, &[0x50; 8]), (1, 2, &[1; 8]), (1, 3, &[0x6a; 16]), (1, 3, &naa)]),
                ),
            ],
            vec!["scsi-36a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a", "wwn-0x6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"],
        ),
        (
            scsi,
            vec![vendor, model, ("device/vpd_pg83", &page(0x83, &[(2, 1, b"LIO-ORG a b/c")]))],
            vec!["scsi-1LIO-ORG_a_b_c"],
        ),
        (scsi, vec![vendor, model, ("device/vpd_pg80", b"\0\x80\0\x02S1")], vec!["scsi-SQEMU_QEMU_HARDDISK_S1"]),
        // The kernel cuts the model.
        (
            sata,
            vec![
                ("device/vendor", b"ATA     \n"),
                ("device/model", b"Samsung SSD 860 \n"),
                ("device/vpd_pg83", &page(0x83, &[(2, 0, b"S3Z1NB0K            "), (2, 1, &long), (1, 3, &naa)])),
            ],
            vec!["ata-Samsung_SSD_860_EVO_500GB_S3Z1NB0K", "wwn-0x5000c50015ea71aa"],
        ),
        // A page that lies about its length, and one without anything.
        (scsi, vec![vendor, model, ("device/vpd_pg83", b"\0\x83\xff\xff\x01\x03\0\xff\x50")], vec![]),
        (scsi, vec![vendor, model, ("device/vpd_pg83", b"")], vec![]),
        (
            "pci0000:00/0000:00:08.0/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0",
            vec![("device/name", b"SD16G\n"), ("device/serial", b"0x12ab34cd\n")],
            vec!["mmc-SD16G_0x12ab34cd"],
        ),
        (
            "virtual/block/dm-0",
            vec![("dm/name", b"vg-lv\n"), ("dm/uuid", b"LVM-abc\n")],
            vec!["dm-name-vg-lv", "dm-uuid-LVM-abc"],
        ),
    ] {
        named(at, &files, &expected);
    }
}

#[test]
fn other_paths_of_a_device() {
    for (at, files, device, expected) in [
        ("x/block/sr0", vec![], Device { optical: true, sequence: Some(7), ..Device::default() }, "/dev/cdrom"),
        (
            "x/block/sr0",
            vec![],
            Device { optical: true, sequence: Some(7), ..Device::default() },
            "/dev/disk/by-diskseq/7",
        ),
        (
            "x/block/sda1",
            vec![],
            Device { partition: Some(1), sequence: Some(9), ..Device::default() },
            "/dev/disk/by-diskseq/9-part1",
        ),
        ("x/block/sda1", vec![("dev", &b"8:1\n"[..])], Device::default(), "/dev/block/8:1"),
        ("virtual/block/dm-0", vec![("dm/name", b"ventoy\n")], Device::default(), "/dev/mapper/ventoy"),
        (
            "virtual/block/dm-1",
            vec![("dm/name", b"my--vg-root--lv\n"), ("dm/uuid", b"LVM-abc\n")],
            Device::default(),
            "/dev/my-vg/root-lv",
        ),
    ] {
        let name = Path::new(at).file_name().unwrap().to_str().unwrap().to_owned();
        let (_dir, env) = machine(at, &[&files[..], &[("size", b"8")]].concat());
        let found = paths(&env, &Device { name, ..device });
        assert!(found.contains(&expected.into()), "{expected}: {found:?}");
    }
    // What is a part of a volume, or nobody's volume, has no name there.
    for (name, uuid) in [("vg-lv-real", "LVM-abc"), ("vg-lv", "CRYPT-abc"), ("vg", "LVM-abc")] {
        let uuid = format!("{uuid}\n");
        let files = [("dm/name", name.as_bytes()), ("dm/uuid", uuid.as_bytes())];
        let (_dir, env) = machine("virtual/block/dm-0", &files);
        let found = paths(&env, &Device { name: "dm-0".to_owned(), ..Device::default() });
        assert_eq!(found, [Path::new("/dev/mapper").join(name)]);
    }
}
