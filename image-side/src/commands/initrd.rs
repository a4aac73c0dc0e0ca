//! `rdlive-image initrd`: the native initramfs alone.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::epoch::Epoch;
use crate::initrd::{self, AddFile, AreaFs, Compress, Profile, Recipe};
use crate::progress::{Progress, human};
use crate::scratch::Partial;
use crate::tree::kernel;

/// Arguments of `rdlive-image initrd`.
#[derive(Args, Clone, Debug)]
pub struct InitrdArgs {
    /// Directory with the operating system tree
    #[arg(long)]
    pub root: PathBuf,
    /// Kernel release, such as 6.12.48-amd64 (default: the newest in the tree)
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// The initramfs to write
    #[arg(long, short)]
    pub output: PathBuf,
    /// Which drivers to pack
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
    /// Leave out what the network needs, which the profile generic has: drivers of cards, and the tree's CA certificates
    #[arg(long)]
    pub no_network: bool,
    /// Pack this kernel module too, with what it needs and its firmware
    #[arg(long = "add-module", value_name = "MODULE")]
    pub add_module: Vec<String>,
    /// Pack this file too
    #[arg(long = "add-file", value_name = "SOURCE:DESTINATION")]
    pub add_file: Vec<AddFile>,
    /// Add a line to /etc/rdlive.conf
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub conf: Vec<(String, String)>,
    /// Put a static busybox in, as a shell for the rescue prompt
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
    /// Compression of the archive
    #[arg(long, value_enum, default_value_t)]
    pub compress: Compress,
    /// Store every module plain instead of compressed one by one
    #[arg(long)]
    pub plain_modules: bool,
    /// The agent's binary (default: beside this program)
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Only print warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Builds the initramfs.
///
/// # Errors
/// When the tree lacks something, or writing fails.
pub fn initrd(args: &InitrdArgs) -> Result<()> {
    let progress = Progress::new(args.quiet);
    let version = match &args.kernel {
        Some(version) => version.clone(),
        None => kernel::choose(&args.root, None)?.version,
    };
    let modules = kernel::modules_dir(&args.root, &version)
        .with_context(|| format!("no modules of kernel {version} in {}", args.root.display()))?;
    let recipe = Recipe {
        root: args.root.clone(),
        version,
        modules,
        agent: initrd::agent::find(args.agent.as_deref())?,
        profile: args.profile,
        network: !args.no_network,
        add_modules: args.add_module.clone(),
        add_files: args.add_file.clone(),
        conf: args.conf.clone(),
        shell: args.shell,
        persistence: args.persistence.clone(),
        encryption: args.encryption,
        compress: args.compress,
        plain_modules: args.plain_modules,
        epoch: Epoch::from_environment()?,
    };
    let privacy = initrd::privacy(&args.add_file)?;
    let notes = initrd::notes(&recipe)?;
    progress.stage("initramfs");
    let output = Partial::new(&args.output)?;
    let output = if privacy.is_some() { output.private()? } else { output };
    let summary = initrd::build(&recipe, output.path())?;
    output.finish()?;
    progress.done(&format!(
        "initramfs for {}: {} modules, {} → {}",
        recipe.version,
        summary.modules.len(),
        human(summary.content_bytes),
        human(summary.bytes)
    ));
    let biggest: Vec<String> =
        summary.modules.iter().take(12).map(|(name, size)| format!("{name} {}", human(*size))).collect();
    notes.iter().chain(&privacy).chain(&summary.notes()).for_each(|note| progress.note(note));
    progress.note(&format!("biggest modules: {}", biggest.join(", ")));
    Ok(())
}
