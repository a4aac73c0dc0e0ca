//! `rdlive-image`: builds live media, inspects them, and lays them out for boots over a network.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rdlive_image::commands;
use rdlive_image::commands::build::Refused;
use rdlive_image::interrupt::{self, Interrupted};

/// Builds and inspects live ISO images that the rdlive agent boots
#[derive(Debug, Parser)]
#[command(name = "rdlive-image", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a hybrid live ISO (BIOS and UEFI, CD and stick) from a root tree
    Build(Box<commands::build::BuildArgs>),
    /// Build the native initramfs alone
    Initrd(commands::initrd::InitrdArgs),
    /// Show what a live ISO is made of
    Inspect(commands::inspect::InspectArgs),
    /// Lay out an ISO or a tree for machines that boot over a network: iPXE, pxelinux, GRUB
    Pxe(commands::pxe::PxeArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::listen().and_then(|()| match cli.command {
        Command::Build(args) => commands::build::build(&args),
        Command::Initrd(args) => commands::initrd::initrd(&args),
        Command::Inspect(args) => commands::inspect::inspect(&args),
        Command::Pxe(args) => commands::pxe::pxe(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted; nothing is left behind");
            ExitCode::from(130)
        }
        Err(error) if error.is::<Refused>() => {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join(": "));
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
