//! What the host must have: found by looking for the programs, installed with apt where that is possible; and the
//! standard library that the agent is built with.

mod target;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{progress, tool};

/// A program (or file) the lab needs and the Debian package that brings it.
struct Need {
    /// Program name, or absolute path, in which one directory may end in `*`.
    what: &'static str,
    package: &'static str,
}

const fn need(what: &'static str, package: &'static str) -> Need {
    Need { what, package }
}

const NEEDS: &[Need] = &[
    // The agent's bindings for device-mapper are made when it is compiled (docs/decisions/0023-device-mapper.md).
    need("/usr/include/libdevmapper.h", "libdevmapper-dev"),
    need("/usr/lib/llvm-*/lib/libclang.so", "libclang-dev"),
    need("pkg-config", "pkg-config"),
    // ring is partly C, and is compiled for the agent's target.
    need("musl-gcc", "musl-tools"),
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("/usr/share/seabios/bios-256k.bin", "seabios"),
    need("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    // What firmware starts over a network.
    need("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu"),
    need("/usr/lib/ipxe/snponly.efi", "ipxe"),
    need("/usr/lib/PXELINUX/pxelinux.0", "pxelinux"),
    need("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
    need("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grub-efi-amd64-signed"),
    need("debootstrap", "debootstrap"),
    need("xorriso", "xorriso"),
    need("mksquashfs", "squashfs-tools"),
    need("mkfs.erofs", "erofs-utils"),
    need("mcopy", "mtools"),
    need("file", "file"),
    need("mkfs.vfat", "dosfstools"),
    need("mke2fs", "e2fsprogs"),
    need("mkfs.xfs", "xfsprogs"),
    need("mkfs.btrfs", "btrfs-progs"),
    need("mkfs.exfat", "exfatprogs"),
    need("cryptsetup", "cryptsetup-bin"),
    need("mount.exfat-fuse", "exfat-fuse"),
    need("mkntfs", "ntfs-3g"),
    need("mkudffs", "udftools"),
    // What others keep on disks is made by the programs that make it (agent/tests/format_tools/made.rs).
    need("mkfs.f2fs", "f2fs-tools"),
    need("mkfs.jfs", "jfsutils"),
    need("mkreiserfs", "reiserfsprogs"),
    need("mkfs.reiser4", "reiser4progs"),
    need("mkfs.nilfs2", "nilfs-tools"),
    need("mkfs.ocfs2", "ocfs2-tools"),
    need("mkfs.gfs2", "gfs2-utils"),
    need("hformat", "hfsutils"),
    need("mkapfs", "apfsprogs"),
    need("make-bcache", "bcache-tools"),
    need("drbdmeta", "drbd-utils"),
    need("pvcreate", "lvm2"),
    need("makefs", "makefs"),
    need("genromfs", "genromfs"),
    need("mkfs.ubifs", "mtd-utils"),
    // In Debian 12 these are part of util-linux.
    need("mkfs.minix", "util-linux-extra"),
    need("mkfs.bfs", "util-linux-extra"),
    need("mkfs.cramfs", "util-linux-extra"),
    need("sfdisk", "fdisk"),
    need("sgdisk", "gdisk"),
    need("uuidparse", "uuid-runtime"),
    need("checkpolicy", "checkpolicy"),
    need("dnsmasq", "dnsmasq-base"),
    need("modprobe", "kmod"),
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
    if !what.starts_with('/') {
        return tool::exists(what);
    }
    let Some((start, rest)) = what.split_once('*') else { return Path::new(what).exists() };
    let (dir, prefix) = start.rsplit_once('/').unwrap_or(("", start));
    let entries = std::fs::read_dir(if dir.is_empty() { "/" } else { dir }).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| name.starts_with(prefix) && Path::new(&format!("{dir}/{name}{rest}")).exists())
}

/// Makes this machine ready, or says what somebody has to do for that.
pub fn ensure() -> Result<()> {
    // Asked for first, because it needs no root: the packages are refused where they do.
    let target = target::ensure();
    packages()?;
    target
}

/// Installs what is missing; where that cannot be done, says which packages to install by hand.
fn packages() -> Result<()> {
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
    progress::doing("installing", "packages", || {
        if apt(&packages, &[]).is_ok() {
            return Ok(());
        }
        // The lists may be old or absent; and a backported library may stand in the way of the release's own qemu.
        tool::run(Command::new("apt-get").args(["update", "-q"]))?;
        apt(&packages, &[]).or_else(|_| apt(&packages, &["--allow-downgrades"]))
    })
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
         Try: {}   (or run it in a container or VM as root)",
        as_root(&words())
    );
}

/// The command that was typed.
pub fn typed() -> String {
    command(&words())
}

fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

fn command(typed: &[String]) -> String {
    let words: Vec<String> = typed.iter().map(|word| format!(" {}", quoted(word))).collect();
    format!("cargo lab{}", words.concat())
}

/// The command with these arguments, as root types it. sudo would take another PATH, without cargo.
fn as_root(typed: &[String]) -> String {
    format!("sudo -E env PATH=\"$PATH\" {}", command(typed))
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{NEEDS, as_root, present};

    #[test]
    fn a_star_stands_for_the_rest_of_a_directorys_name() {
        let dir = std::env::temp_dir().join(format!("lab-install-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("llvm-14/lib")).unwrap();
        std::fs::write(dir.join("llvm-14/lib/libx.so"), "").unwrap();
        let base = dir.to_str().unwrap();
        for (path, expected) in
            [("llvm-*/lib/libx.so", true), ("llvm-*/lib/liby.so", false), ("gcc-*/lib/libx.so", false)]
        {
            assert_eq!(present(&format!("{base}/{path}")), expected, "{path}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Builder and tests have lists of their own, with the Debian package of each program.
    #[test]
    fn what_others_list_is_installed() {
        const ESSENTIAL: [&str; 3] = ["coreutils", "mount", "util-linux"];
        let builder = include_str!("../../image-side/src/tools.rs");
        let tests = include_str!("../../agent/tests/format_tools/tools.rs");
        let rows = |text: &'static str, begin: &'static str| {
            text.lines().filter_map(move |line| {
                let words: Vec<&str> = line.split_once(begin)?.1.split('"').collect();
                (words.len() > 3).then(|| (words[0], words[2]))
            })
        };
        let listed: Vec<_> = rows(builder, "Tool = tool(\"").chain(rows(tests, "    (\"")).collect();
        assert!(listed.contains(&("mmd", "mtools")) && listed.contains(&("sgdisk", "gdisk")), "{listed:?}");
        for (program, package) in listed {
            let known = ESSENTIAL.contains(&package) || NEEDS.iter().any(|need| need.package == package);
            assert!(known, "{program} of {package} is not installed");
        }
    }

    /// The cc crate takes `musl-gcc` for a musl target (`x86_64-linux-musl-gcc` before it, which the same package has).
    #[test]
    fn what_compiles_c_for_the_agent_is_installed() {
        let crates = include_str!("../../Cargo.lock");
        assert!(crates.contains("name = \"ring\""), "nothing of the agent is C any more");
        assert!(NEEDS.iter().any(|need| need.package == "musl-tools"));
    }

    #[test]
    fn the_hint_is_the_command_that_was_typed() {
        for (typed, expected) in [
            (&["test"][..], "test"),
            (&["demo", "--keep"], "demo --keep"),
            (
                &["test", "persist/T-18 T-21 GPT", "--json=/tmp/a.json"],
                "test 'persist/T-18 T-21 GPT' --json=/tmp/a.json",
            ),
            (&["boot", "--cmdline", "it's $HOME"], r"boot --cmdline 'it'\''s $HOME'"),
            (&["test", ""], "test ''"),
        ] {
            let typed: Vec<String> = typed.iter().map(ToString::to_string).collect();
            let hint = as_root(&typed);
            assert_eq!(hint, format!("sudo -E env PATH=\"$PATH\" cargo lab {expected}"));
            // A shell is the judge of quotes: with another program for sudo, it passes on the words that were typed.
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &format!("sudo() {{ shift 5; printf '%s\\0' \"$@\"; }}; {hint}")]);
            let said = shell.output().unwrap().stdout;
            let words: Vec<&str> = std::str::from_utf8(&said).unwrap().split_terminator('\0').collect();
            assert_eq!(words, typed);
        }
    }
}
