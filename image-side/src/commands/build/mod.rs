//! `rdlive-image build`: a root tree becomes a hybrid live ISO.
//!
//! First the plan (everything that can be refused is refused there), then container, initramfs, boot loader, image.

mod plan;
mod steps;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::plan::BuildPlan;
use crate::container::{Compression, Nested};
use crate::initrd::{AddFile, AreaFs, Profile};
use crate::iso::image::Table;
use crate::progress::Progress;

/// Who makes the initramfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// We do: the agent is its init.
    #[default]
    Native,
    /// The tree's dracut does, with the module rdlive.
    Dracut,
}

impl Mode {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Dracut => "dracut",
        }
    }
}

/// Whose meaning the boot options have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// KIWI's kiwi-live.
    Kiwi,
    /// dracut's dmsquash-live.
    Dmsquash,
}

/// Arguments of `rdlive-image build`.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// Directory with the tree of an installed system
    #[arg(long, value_name = "DIR")]
    pub input: PathBuf,
    /// The ISO to write
    #[arg(long, short, value_name = "ISO")]
    pub output: PathBuf,
    /// Who makes the initramfs
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Volume id (default: unique, from os-release and the content)
    #[arg(long, value_name = "ID")]
    pub volume_id: Option<String>,
    /// Allow every printable ASCII character in the volume id
    #[arg(long)]
    pub allow_unusual_volume_id: bool,
    /// Add a kernel argument to every boot entry
    #[arg(long = "append-karg", value_name = "KARG", allow_hyphen_values = true)]
    pub append_karg: Vec<String>,
    /// Compressor of the container (default: zstd, or lz4 with --erofs)
    #[arg(long, value_enum)]
    pub compression: Option<Compression>,
    /// Level of the compressor
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<u32>,
    /// Make an EROFS container instead of squashfs
    #[arg(long, conflicts_with = "nested")]
    pub erofs: bool,
    /// Put the tree into an image of this file system inside the container
    #[arg(long, value_enum, value_name = "FILESYSTEM")]
    pub nested: Option<Nested>,
    /// Which drivers a native initramfs packs
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
    /// Kernel release to boot (default: the newest in the tree)
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// The agent's binary (default: beside this program)
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Directory of the dracut module (default: beside this program, or installed)
    #[arg(long, value_name = "DIR")]
    pub dracut_module: Option<PathBuf>,
    /// Leave out of a native initramfs what the network needs, which the profile generic has: drivers of cards, and the tree's CA
    /// certificates
    #[arg(long)]
    pub no_network: bool,
    /// Pack this kernel module into a native initramfs too, with what it needs and its firmware
    #[arg(long = "add-module", value_name = "MODULE")]
    pub add_module: Vec<String>,
    /// Pack this file into a native initramfs too
    #[arg(long = "add-file", value_name = "SOURCE:DESTINATION")]
    pub add_file: Vec<AddFile>,
    /// Put a static busybox into a native initramfs, as a shell for the rescue prompt
    #[arg(long)]
    pub shell: bool,
    /// Put in the programs for persistent areas (rd.live.overlay.persistent) with these file systems, for an image that has none: 1.4 MB
    /// for ext4, 2.3 MB for all
    #[arg(
        long,
        value_enum,
        value_name = "FS",
        value_delimiter = ',',
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ext4"
    )]
    pub persistence: Vec<AreaFs>,
    /// Put in what encrypted areas need (rd.live.encrypt, rd.overlay.crypt): cryptsetup and the kernel's ciphers; implies --persistence
    #[arg(long)]
    pub encryption: bool,
    /// Title of the normal boot entry (default: the system's own name)
    #[arg(long, value_name = "TEXT")]
    pub label_title: Option<String>,
    /// Boot menu and kernel console on the first serial port too
    #[arg(long)]
    pub serial: bool,
    /// Seconds until the normal entry starts
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub timeout: u32,
    /// Add a boot entry that checks the medium first
    #[arg(long)]
    pub media_check: bool,
    /// Whose meaning the boot options have, if not decided by the kernel command line
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
    /// Directory of the live image on the medium
    #[arg(long, value_name = "NAME", default_value = rdlive_media::layout::LIVE_DIR)]
    pub live_dir: String,
    /// File name of the container
    #[arg(long, value_name = "NAME", default_value = rdlive_media::layout::SQUASHIMG)]
    pub squashimg: String,
    /// Partition table of the image
    #[arg(long, value_enum, default_value_t)]
    pub table: Table,
    /// Keep machine-id, ssh host keys and random seeds of the tree, and what names disks, shares and network cards of its machine
    #[arg(long)]
    pub keep_identity: bool,
    /// Directory for scratch files (default: that of the output)
    #[arg(long, value_name = "DIR")]
    pub scratch_dir: Option<PathBuf>,
    /// Only print warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The input or the arguments were refused before any work; main turns it into exit code 2.
#[derive(Debug)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused before any work")
    }
}

impl std::error::Error for Refused {}

/// Builds the ISO.
///
/// # Errors
/// [`Refused`] (as context) for what is found wrong before any work; anything else stops the work and leaves nothing.
pub fn build(args: &BuildArgs) -> Result<()> {
    let progress = Progress::new(args.quiet);
    let plan = BuildPlan::new(args).map_err(|error| error.context(Refused))?;
    if args.dry_run {
        print!("{}", plan.describe());
        return Ok(());
    }
    plan.notes().iter().for_each(|note| progress.note(note));
    steps::run(&plan, &progress)
}
