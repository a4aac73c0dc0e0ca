//! `rdlive-image pxe`: what machines load that boot over a network, for any HTTP and TFTP server.
//!
//! Everything that can be refused is refused before anything is written. A build gets a directory of its own that never
//! changes; the loaders' files beside it lead to the newest one, and are replaced when that is complete.

mod check;
mod plan;
mod source;
mod steps;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::commands::build::Refused;
use crate::netboot::{BaseUrl, Loader};
use crate::progress::Progress;

/// Arguments of `rdlive-image pxe`.
#[derive(Args, Clone, Debug)]
pub struct PxeArgs {
    /// The ISO to boot, or the directory with the tree of an installed system, of which an ISO is built first
    #[arg(long, value_name = "ISO|DIR", required_unless_present = "check")]
    pub input: Option<PathBuf>,
    /// The directory that the HTTP and TFTP servers show
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// The URL under which the HTTP server shows it, such as http://192.168.1.1/live
    #[arg(long, value_name = "URL", required_unless_present = "check")]
    pub url: Option<BaseUrl>,
    /// Add a kernel argument to the entries
    #[arg(long = "append-karg", value_name = "KARG", allow_hyphen_values = true)]
    pub append_karg: Vec<String>,
    /// The loaders to write files for
    #[arg(long, value_enum, value_name = "LOADER", value_delimiter = ',', default_values_t = Loader::ALL)]
    pub loader: Vec<Loader>,
    /// The machines are in this VLAN, and their switch expects its tag
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub vlan: Option<u16>,
    /// The agent's binary, which is asked what it would say to the entries (default: beside this program)
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Write nothing, and compare what is in the output with its manifest
    #[arg(long, conflicts_with_all = ["input", "url", "append_karg", "vlan", "agent"])]
    pub check: bool,
    /// Only print warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Lays out an ISO for network boots, or checks what was laid out.
///
/// # Errors
/// [`Refused`] (as context) for what is found wrong before any work, and when `--check` cannot tell; anything else stops the
/// work, and what clients see is what they saw before.
pub fn pxe(args: &PxeArgs) -> Result<()> {
    let progress = Progress::new(args.quiet);
    let (Some(input), Some(url), false) = (&args.input, &args.url, args.check) else {
        return check::check(&args.output, &progress);
    };
    // Before a tree becomes an ISO, which takes its time.
    plan::own_kargs(args).map_err(|error| error.context(Refused))?;
    let built = steps::iso_of(args, input, &progress)?;
    let iso = built.as_ref().map_or(input.as_path(), |(_, iso)| iso);
    let plan = plan::Plan::new(args, iso, url).map_err(|error| error.context(Refused))?;
    plan.notes.iter().for_each(|note| progress.note(note));
    plan.warnings.iter().for_each(|warning| progress.warn(warning));
    steps::run(&plan, &progress)
}
