//! What the host must have: found by looking for the programs, installed with apt where that is possible.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::tool;

/// A program (or file) the lab needs and the Debian package that brings it.
struct Need {
    /// Program name, or absolute path.
    what: &'static str,
    package: &'static str,
}

const fn need(what: &'static str, package: &'static str) -> Need {
    Need { what, package }
}

const NEEDS: &[Need] = &[
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("/usr/share/seabios/bios-256k.bin", "seabios"),
    need("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    need("debootstrap", "debootstrap"),
    need("xorriso", "xorriso"),
    need("mksquashfs", "squashfs-tools"),
    need("mkfs.erofs", "erofs-utils"),
    need("mcopy", "mtools"),
    need("mkfs.vfat", "dosfstools"),
    need("mke2fs", "e2fsprogs"),
    need("mkfs.xfs", "xfsprogs"),
    need("mkfs.btrfs", "btrfs-progs"),
    need("mkfs.exfat", "exfatprogs"),
    need("mount.exfat-fuse", "exfat-fuse"),
    need("mkntfs", "ntfs-3g"),
    need("sfdisk", "fdisk"),
    need("cpio", "cpio"),
    need("zstd", "zstd"),
    need("xz", "xz-utils"),
    need("grub-mkstandalone", "grub-common"),
    need("/usr/lib/grub/i386-pc/moddep.lst", "grub-pc-bin"),
    need("/usr/lib/grub/x86_64-efi/moddep.lst", "grub-efi-amd64-bin"),
    need("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// Packages of missing programs.
fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDS.iter().filter(|need| !present(need.what)).map(|need| need.package).collect();
    packages.dedup();
    packages
}

fn present(what: &str) -> bool {
    if what.starts_with('/') { Path::new(what).exists() } else { tool::exists(what) }
}

/// Installs what is missing; where that cannot be done, says which packages to install by hand.
pub fn ensure() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !tool::exists("apt-get") {
        bail!("missing programs, and no apt-get here. Install what Debian has in these packages: {list}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("missing packages; as root run: apt-get install --no-install-recommends {list}");
    }
    println!("lab: installing {list}");
    if apt(&packages, &[]).is_ok() {
        return Ok(());
    }
    // The lists may be old or absent; and a backported library may stand in the way of the release's own qemu.
    tool::run(Command::new("apt-get").args(["update", "-q"]))?;
    apt(&packages, &[]).or_else(|_| apt(&packages, &["--allow-downgrades"]))
}

fn apt(packages: &[&str], extra: &[&str]) -> Result<()> {
    tool::run(
        Command::new("apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(extra)
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map(drop)
}

/// The lab makes Debian trees (debootstrap, chroot) and loop mounts: both need root.
pub fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "this needs root: guest trees are made with debootstrap and chroot, and some fixtures with loop mounts.\n\
         Try: sudo -E env PATH=\"$PATH\" cargo lab test   (or run it in a container or VM as root)"
    );
}
