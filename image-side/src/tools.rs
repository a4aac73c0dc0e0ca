//! The external programs we drive, and the packages that bring them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

/// An external program.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Name of the executable.
    pub program: &'static str,
    /// Debian package that holds it.
    pub debian: &'static str,
    /// Fedora package that holds it.
    pub fedora: &'static str,
    /// Argument that prints the version; empty when the program has none.
    version_flag: &'static str,
}

const fn tool(program: &'static str, debian: &'static str, fedora: &'static str, version_flag: &'static str) -> Tool {
    Tool { program, debian, fedora, version_flag }
}

/// Writes the ISO.
pub const XORRISO: Tool = tool("xorriso", "xorriso", "xorriso", "-version");
/// Writes a squashfs container.
pub const MKSQUASHFS: Tool = tool("mksquashfs", "squashfs-tools", "squashfs-tools", "-version");
/// Writes an EROFS container.
pub const MKFS_EROFS: Tool = tool("mkfs.erofs", "erofs-utils", "erofs-utils", "-V");
/// Formats the EFI system partition.
pub const MKFS_FAT: Tool = tool("mkfs.fat", "dosfstools", "dosfstools", "--help");
/// Fills the EFI system partition: directories.
pub const MMD: Tool = tool("mmd", "mtools", "mtools", "-V");
/// Fills the EFI system partition: files.
pub const MCOPY: Tool = tool("mcopy", "mtools", "mtools", "-V");
/// Links the boot loader images.
pub const GRUB_MKIMAGE: Tool = tool("grub-mkimage", "grub-common", "grub2-tools", "-V");
/// Makes a nested ext4 image.
pub const MKE2FS: Tool = tool("mke2fs", "e2fsprogs", "e2fsprogs", "-V");
/// Makes a nested xfs image.
pub const MKFS_XFS: Tool = tool("mkfs.xfs", "xfsprogs", "xfsprogs", "-V");
/// Makes a nested btrfs image.
pub const MKFS_BTRFS: Tool = tool("mkfs.btrfs", "btrfs-progs", "btrfs-progs", "--version");
/// Mounts overlay views and loop images.
pub const MOUNT: Tool = tool("mount", "mount", "util-linux", "-V");
/// Undoes [`MOUNT`].
pub const UMOUNT: Tool = tool("umount", "mount", "util-linux", "-V");
/// Runs a program inside the input tree.
pub const CHROOT: Tool = tool("chroot", "coreutils", "coreutils", "--version");
/// Copies a tree into a mounted image.
pub const CP: Tool = tool("cp", "coreutils", "coreutils", "--version");

impl Tool {
    /// Where the program is: `PATH`, then the system directories that an ordinary user's `PATH` lacks.
    pub fn find(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|dir| dir.join(self.program))
            .find(|candidate| candidate.is_file())
    }

    /// A command that runs this program.
    ///
    /// # Errors
    /// When it is not installed; the text names the package.
    pub fn command(&self) -> Result<Command> {
        match self.find() {
            Some(path) => Ok(Command::new(path)),
            None => bail!("{}", missing(&[*self])),
        }
    }

    /// First line of the program's own version text, or "unknown".
    pub fn version(&self) -> String {
        let Some(output) = self.find().and_then(|path| Command::new(path).arg(self.version_flag).output().ok()) else {
            return "unknown".into();
        };
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::trim)
            .find(|line| line.contains(|c: char| c.is_ascii_digit()))
            .unwrap_or("unknown")
            .to_owned()
    }
}

/// Refuses to start when a program is missing; names all of them at once.
///
/// # Errors
/// Names each missing program with its Debian and Fedora package.
pub fn require(tools: &[Tool]) -> Result<()> {
    let absent: Vec<Tool> = tools.iter().filter(|tool| tool.find().is_none()).copied().collect();
    if absent.is_empty() {
        return Ok(());
    }
    bail!("{}", missing(&absent));
}

fn missing(tools: &[Tool]) -> String {
    let list: Vec<String> = tools
        .iter()
        .map(|tool| format!("{} (Debian package {}, Fedora package {})", tool.program, tool.debian, tool.fedora))
        .collect();
    format!("not installed: {}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_both_packages() {
        let ghost = tool("no-such-program", "deb-pkg", "rpm-pkg", "-V");
        let text = require(&[ghost, CP]).unwrap_err().to_string();
        assert!(text.contains("no-such-program"), "{text}");
        assert!(text.contains("deb-pkg") && text.contains("rpm-pkg"), "{text}");
        assert!(!text.contains("coreutils"), "{text}");
    }
}
