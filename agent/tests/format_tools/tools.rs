//! Programs that make images, and programs that say what is in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which package has a tool.
const PACKAGES: [(&str, &str); 17] = [
    ("blkid", "util-linux"),
    ("cryptsetup", "cryptsetup-bin"),
    ("debugfs", "e2fsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.erofs", "erofs-utils"),
    ("mkfs.exfat", "exfatprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkntfs", "ntfs-3g"),
    ("mksquashfs", "squashfs-tools"),
    ("mkswap", "util-linux"),
    ("mkudffs", "udftools"),
    ("ntfslabel", "ntfs-3g"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
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
