//! GRUB's own images: one file for El Torito and the MBR code on BIOS, one program for UEFI.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::epoch;
use crate::run::run;
use crate::tools;
use crate::tree::resolve;

/// Modules that both images carry: the medium has no module directory, so that nothing is loaded from a wrong place.
const MODULES: [&str; 44] = [
    "all_video",
    "boot",
    "cat",
    "chain",
    "configfile",
    "echo",
    "exfat",
    "ext2",
    "fat",
    "font",
    "gfxterm",
    "gzio",
    "halt",
    "help",
    "iso9660",
    "keystatus",
    "linux",
    "loadenv",
    "loopback",
    "ls",
    "minicmd",
    "normal",
    "ntfs",
    "part_gpt",
    "part_msdos",
    "probe",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "serial",
    "sleep",
    "terminal",
    "terminfo",
    "test",
    "true",
    "udf",
    "usb_keyboard",
    "video",
    "videoinfo",
    "videotest",
    "date",
];
const BIOS_MODULES: [&str; 8] = ["biosdisk", "vbe", "vga", "vga_text", "video_bochs", "video_cirrus", "acpi", "cpuid"];
const UEFI_MODULES: [&str; 5] = ["efi_gop", "efi_uga", "efifwsetup", "fwsetup", "efinet"];

/// Directories with GRUB's modules for BIOS and 64-bit UEFI.
#[derive(Clone, Debug)]
pub struct Grub {
    bios: PathBuf,
    uefi: PathBuf,
}

impl Grub {
    /// The tree's GRUB if it is complete, so that the medium boots what the system ships; else this machine's.
    ///
    /// # Errors
    /// When neither has one; the text names the packages.
    pub fn find(root: &Path) -> Result<Self> {
        let find = |platform: &str, mark: &str, debian: &str, fedora: &str| {
            let dirs = ["usr/lib/grub", "usr/share/grub2", "usr/lib/grub2"];
            let of = |root: &Path| {
                dirs.iter()
                    .filter_map(|dir| resolve(root, &Path::new(dir).join(platform)))
                    .find(|dir| dir.join(mark).is_file() && dir.join("normal.mod").is_file())
            };
            match of(root).or_else(|| of(Path::new("/"))) {
                Some(dir) => Ok(dir),
                None => bail!(
                    "no GRUB for {platform} in {} or on this machine (Debian package {debian}, Fedora package {fedora})",
                    root.display()
                ),
            }
        };
        Ok(Self {
            bios: find("i386-pc", "boot_hybrid.img", "grub-pc-bin", "grub2-pc-modules")?,
            uefi: find("x86_64-efi", "moddep.lst", "grub-efi-amd64-bin", "grub2-efi-x64-modules")?,
        })
    }

    /// Boot code for sector 0.
    pub fn mbr(&self) -> PathBuf {
        self.bios.join("boot_hybrid.img")
    }

    /// Links the El Torito image with the early configuration `config`.
    ///
    /// # Errors
    /// When grub-mkimage fails.
    pub fn link_bios(&self, config: &Path, output: &Path) -> Result<()> {
        link("i386-pc-eltorito", &self.bios, &BIOS_MODULES, config, output)
    }

    /// Links the UEFI program with the early configuration `config`.
    ///
    /// # Errors
    /// When grub-mkimage fails.
    pub fn link_uefi(&self, config: &Path, output: &Path) -> Result<()> {
        link("x86_64-efi", &self.uefi, &UEFI_MODULES, config, output)
    }
}

fn link(format: &str, dir: &Path, more: &[&str], config: &Path, output: &Path) -> Result<()> {
    // GRUB versions differ in their modules; one that is not there is not needed there.
    let modules = MODULES.iter().chain(more).filter(|name| dir.join(format!("{name}.mod")).is_file());
    let mut command = tools::GRUB_MKIMAGE.command()?;
    command.env_remove(epoch::VARIABLE).args(["-O", format, "-p", "/boot/grub", "-d"]).arg(dir);
    command.arg("-c").arg(config).arg("-o").arg(output).args(modules);
    run(&mut command).with_context(|| format!("linking GRUB for {format}"))?;
    Ok(())
}
