//! Programs that make images, and programs that say what is in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rdlive::format::Kind;

/// Which package has a tool.
const PACKAGES: [(&str, &str); 37] = [
    ("blkid", "util-linux"),
    ("cryptsetup", "cryptsetup-bin"),
    ("debugfs", "e2fsprogs"),
    ("drbdmeta", "drbd-utils"),
    ("genromfs", "genromfs"),
    ("hformat", "hfsutils"),
    ("make-bcache", "bcache-tools"),
    ("makefs", "makefs"),
    ("mkapfs", "apfsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.bfs", "util-linux"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.cramfs", "util-linux"),
    ("mkfs.erofs", "erofs-utils"),
    ("mkfs.exfat", "exfatprogs"),
    ("mkfs.f2fs", "f2fs-tools"),
    ("mkfs.gfs2", "gfs2-utils"),
    ("mkfs.jfs", "jfsutils"),
    ("mkfs.minix", "util-linux"),
    ("mkfs.nilfs2", "nilfs-tools"),
    ("mkfs.ocfs2", "ocfs2-tools"),
    ("mkfs.reiser4", "reiser4progs"),
    ("mkfs.ubifs", "mtd-utils"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkntfs", "ntfs-3g"),
    ("mkreiserfs", "reiserfsprogs"),
    ("mksquashfs", "squashfs-tools"),
    ("mkswap", "util-linux"),
    ("mkudffs", "udftools"),
    ("ntfslabel", "ntfs-3g"),
    ("pvcreate", "lvm2"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("ubinize", "mtd-utils"),
    ("veritysetup", "cryptsetup-bin"),
    ("xorriso", "xorriso"),
];

/// A command, wherever the tool is.
pub fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    let Some(found) = found else {
        let package = PACKAGES.iter().find(|(tool, _)| *tool == name);
        let package = package.map_or("an unlisted package", |(_, package)| package);
        panic!("{name} is missing: install {package} (cargo lab install brings it)");
    };
    let mut command = Command::new(found);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Types of blkid that are one kind of ours; of all others the type is the kind's name.
const TYPES: [(Kind, &[&str]); 7] = [
    (Kind::Gfs2, &["gfs2", "gfs"]),
    (Kind::Ocfs2, &["ocfs2", "ocfs"]),
    (Kind::Reiserfs, &["reiserfs", "reiser4"]),
    (Kind::Ubi, &["ubi", "ubifs"]),
    (Kind::Vmfs, &["VMFS_volume_member", "VMFS"]),
    (Kind::Drbd, &["drbd", "drbdmanage_control_volume", "drbdproxy_datalog"]),
    (
        Kind::FirmwareRaid,
        &[
            "ddf_raid_member",
            "isw_raid_member",
            "lsi_mega_raid_member",
            "via_raid_member",
            "silicon_medley_raid_member",
            "nvidia_raid_member",
            "promise_fasttrack_raid_member",
            "hpt45x_raid_member",
            "hpt37x_raid_member",
            "adaptec_raid_member",
            "jmicron_raid_member",
        ],
    ),
];

/// What blkid may call a kind.
pub fn types(kind: Kind) -> Vec<&'static str> {
    TYPES.iter().find(|row| row.0 == kind).map_or_else(|| vec![kind.name()], |row| row.1.to_vec())
}

/// Runs a tool that must succeed; returns what it printed.
pub fn run(name: &str, args: &[&str]) -> String {
    let output = tool(name).args(args).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An empty file of `mib` MiB.
pub fn blank(dir: &Path, name: &str, mib: u64) -> PathBuf {
    let path = dir.join(name);
    let file = File::create(&path).unwrap();
    file.set_len(mib << 20).unwrap();
    path
}

/// What blkid finds, by its udev names without `ID_FS_` or `ID_PART_`.
pub fn blkid(path: &Path) -> BTreeMap<String, String> {
    let output = tool("blkid").args(["-p", "-o", "udev"]).arg(path).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(key, value)| {
            let key = key.strip_prefix("ID_FS_").or(key.strip_prefix("ID_"))?;
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
