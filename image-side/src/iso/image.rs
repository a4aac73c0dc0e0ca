//! Writes the hybrid image with xorriso: CD and stick, BIOS and UEFI, in one file (image-builder spec 3.1 to 3.5).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;

use super::identity::Identity;
use crate::epoch::{self, Epoch};
use crate::progress::{Progress, percent_in};
use crate::run::run_watched;
use crate::tools;

/// Where the BIOS boot image is on the medium.
pub const BIOS_IMAGE: &str = "/boot/grub/eltorito.img";

/// An EFI system partition. In a GPT xorriso writes the type GUID for it; a GUID of our own once was a wrong one.
const ESP_TYPE: &str = "0xef";

/// Partition table of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// Protective MBR and a valid GPT.
    #[default]
    Gpt,
    /// MBR only, for firmware that stumbles over a GPT.
    Msdos,
}

/// Everything that goes into the image.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Volume id.
    pub volume_id: &'a str,
    /// Identity of the build.
    pub identity: &'a Identity,
    /// Time of all files.
    pub epoch: Epoch,
    /// Kind of partition table.
    pub table: Table,
    /// MBR boot code (`boot_hybrid.img`).
    pub mbr: &'a Path,
    /// The EFI system partition.
    pub esp: &'a Path,
    /// Files: path on the medium, source.
    pub files: Vec<(String, PathBuf)>,
}

impl Image<'_> {
    /// Writes the image to `output`.
    ///
    /// # Errors
    /// When xorriso fails.
    pub fn write(&self, output: &Path, progress: &Progress) -> Result<()> {
        progress.stage("ISO");
        let mut command = tools::XORRISO.command()?;
        command.args(self.arguments(output)).env(epoch::VARIABLE, self.epoch.seconds.to_string());
        run_watched(&mut command, |piece| {
            // "xorriso : UPDATE :  42.10% done"
            if let Some(percent) = piece.split(" done").next().and_then(percent_in) {
                progress.percent("ISO", percent);
            }
        })?;
        Ok(())
    }

    fn arguments(&self, output: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |list: &[&str]| words.extend(list.iter().map(OsString::from));
        add(&["-as", "mkisofs", "-iso-level", "3", "-r", "-J", "-joliet-long", "-graft-points"]);
        add(&[
            "-V",
            self.volume_id,
            "-sysid",
            "LINUX",
            "-A",
            "RDLIVE",
            "-p",
            "RDLIVE-IMAGE",
            "-publisher",
            "RDLIVE-IMAGE",
        ]);
        add(&[&format!("--modification-date={}", self.identity.date)]);
        add(&["--set_all_file_dates", &format!("{}00", self.epoch.digits())]);
        // Partition 1 gets a volume descriptor of its own, so that it can be mounted and the disk stays free.
        add(&["-partition_offset", "16"]);
        // The appended partition and the backup GPT already keep the data away from the end, where old drives read too far.
        add(&["-no-pad"]);
        if self.table == Table::Gpt {
            add(&["-appended_part_as_gpt", "--gpt_disk_guid", &self.identity.disk_guid()]);
        }
        // Some BIOSes boot a stick only if an MBR entry is active.
        add(&["--mbr-force-bootable", "-c", "/boot/boot.cat"]);
        add(&["-b", BIOS_IMAGE, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info"]);
        add(&["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]);
        let mut pair = |option: &str, path: &Path| words.extend([option.into(), path.as_os_str().to_owned()]);
        pair("--grub2-mbr", self.mbr);
        pair("-o", output);
        words.extend(["-append_partition".into(), "2".into(), ESP_TYPE.into(), self.esp.as_os_str().to_owned()]);
        for (target, source) in &self.files {
            let mut word = OsString::from(format!("{target}="));
            word.push(escape(source));
            words.push(word);
        }
        words
    }
}

/// In a graft point a backslash protects itself and the equals sign.
fn escape(path: &Path) -> OsString {
    OsString::from(path.to_string_lossy().replace('\\', "\\\\").replace('=', "\\="))
}
