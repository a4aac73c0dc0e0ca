//! `rdlive-image inspect`: what a live ISO is made of. Reads, never mounts, needs no rights but to read.

pub(super) mod look;
mod text;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rdlive_media::format::iso9660::BootEntry as FirmwareEntry;
use rdlive_media::format::partition::Table;
use serde::Serialize;

use crate::bootloader::menu_reader::BootEntry;
use crate::iso::info::Info;

/// Arguments of `rdlive-image inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The ISO file, or a device that holds one
    #[arg(value_name = "ISO")]
    pub iso: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was found. The names of the fields are the keys of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// Volume id.
    pub volume_id: Option<String>,
    /// ISO UUID, as `blkid` prints it.
    pub uuid: Option<String>,
    /// Bytes of the file or device.
    pub size: u64,
    /// Bytes of the volume as its descriptor says.
    pub volume_size: u64,
    /// Program that made the image, as it calls itself.
    pub preparer: Option<String>,
    /// Partition table.
    pub partition_table: Option<Table>,
    /// Entries of the El Torito catalog.
    pub el_torito: Vec<FirmwareEntry>,
    /// Boot entries of the GRUB menu.
    pub boot_entries: Vec<BootEntry>,
    /// Paths of `loopback.cfg`, if there is one.
    pub loopback: Option<String>,
    /// The container.
    pub container: Option<Container>,
    /// Kernel of the first boot entry.
    pub kernel: Option<MediumFile>,
    /// Initramfs files of the first boot entry.
    pub initrds: Vec<MediumFile>,
    /// Media sum in the application-use field: `isomd5`, `susetag` or `unknown`.
    pub media_sum: Option<&'static str>,
    /// What rdlive-image wrote about the medium.
    pub rdlive: Option<Info>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// A file on the medium.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MediumFile {
    /// Path, with a leading slash.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// The container on the medium.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Where it is.
    #[serde(flatten)]
    pub file: MediumFile,
    /// Format, as `blkid` calls it.
    pub kind: Option<String>,
    /// Compressor.
    pub compression: Option<String>,
}

/// Looks at the ISO and prints what it is.
///
/// # Errors
/// When it cannot be read or is no ISO 9660 image.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let found = look::look(&args.iso)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print!("{}", text::text(&found));
    }
    Ok(())
}
