//! `cargo lab`: the test bench of rdlive. It makes guests and media and boots them on real kernels, in user-mode Linux and in QEMU.

mod artifact;
mod bench;
mod boot;
mod cache;
mod check;
#[path = "../guest/content.rs"]
mod content;
mod demo;
mod disks;
mod fixture;
mod floor;
mod fuzz;
mod guest;
mod hold;
mod install;
mod lab;
mod lock;
mod loops;
mod machine;
mod medium;
mod mirror;
mod mode;
mod namespace;
mod net;
mod outcome;
mod packages;
mod powercut;
mod progress;
mod prune;
mod qmp;
mod remove;
mod rundir;
mod runner;
mod scenarios;
mod slots;
mod sources;
mod spent;
mod suite;
mod test;
mod tier;
mod times;
mod tool;
mod vmlinux;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::artifact::Builder;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Machine, Start, Wanted};
use crate::mode::Mode;
use crate::namespace::Role;
use crate::powercut::Choice;

/// The test bench of rdlive.
#[derive(Parser)]
#[command(name = "cargo lab")]
struct Args {
    #[command(subcommand)]
    command: Cmd,
    /// Debian mirror for guest trees, instead of the one in the host's apt configuration
    #[arg(long, global = true)]
    mirror: Option<String>,
}

#[derive(Subcommand)]
enum Cmd {
    /// Run cargo's tests, and boots in user-mode Linux and QEMU
    Test {
        /// Only scenarios whose name has one of these texts (and no cargo tests)
        filter: Vec<String>,
        /// Also what shows the same in a further initrd
        #[arg(long)]
        all: bool,
        /// Only print the names
        #[arg(long)]
        list: bool,
        /// Write the verdicts to this file
        #[arg(long)]
        json: Option<PathBuf>,
        /// QEMU for everything (before releases, with --all), or only what user-mode Linux can do; else the cheapest for each
        #[arg(long, value_enum)]
        machine: Option<Machine>,
        /// Machines of QEMU side by side (one more at the end), and three times as many of user-mode Linux
        #[arg(long, default_value_t = processors())]
        jobs: usize,
        /// Decides where the power is cut in the scenarios power/… and what the disks of disks/… are like (0: from the clock)
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Power cuts or disks in each of these scenarios, instead of its own number
        #[arg(long)]
        points: Option<usize>,
    },
    /// Install what is missing on this machine for the lab and for compiling the agent, and nothing else
    Install,
    /// Build the agent and the builder as they are given to users: the same bytes on every machine, and none of its folders in them
    Release,
    /// Run the fuzz targets of the agent, where a nightly compiler is
    Fuzz {
        /// Only targets whose name has one of these texts
        filter: Vec<String>,
        /// Seconds for each
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Put what reaches code that nothing in agent/fuzz/corpus reaches into it
        #[arg(long)]
        keep: bool,
    },
    /// Run dracut-ng's own tests with our module in place of its live modules
    DracutSuite {
        /// Only tests whose name has one of these texts (TEST-30), or any other test of dracut by its name
        tests: Vec<String>,
    },
    /// Make a Debian live ISO and boot it to a login prompt on this terminal
    Demo {
        /// Stay at the prompt (needs a terminal; this is also what a terminal gets without the option)
        #[arg(long)]
        keep: bool,
        /// What starts the machine
        #[arg(long, value_enum, default_value_t = FirmwareArg::Bios)]
        firmware: FirmwareArg,
    },
    /// Hold a mount, a loop device and a process that nobody waits for, until it is killed: what tests/killed.rs looks at
    #[command(hide = true)]
    Hold,
    /// Boot a slice of the generated disks: a process that the lab starts itself
    #[command(hide = true)]
    Disks {
        /// Which, and where
        order: String,
    },
    /// Measure ours, the originals and the floor in one run
    Bench {
        /// What to measure
        #[arg(value_enum)]
        what: BenchArg,
        /// Only rows with this text in their name
        #[arg(long)]
        only: Option<String>,
        /// Only the times counted in instructions, which do not depend on the host
        #[arg(long)]
        instructions: bool,
        /// How often each time is taken
        #[arg(long, default_value_t = 3)]
        repeats: usize,
        /// Write the numbers to this file
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Boot any ISO on this terminal
    Boot {
        /// The ISO, or any raw disk image
        #[arg(long)]
        iso: PathBuf,
        /// Boot the mode's kernel and initrd with this command line, instead of through firmware
        #[arg(long)]
        cmdline: Option<String>,
        /// Which initrd, together with --cmdline
        #[arg(long, value_enum, default_value_t = Mode::Native)]
        mode: Mode,
        /// What starts the machine
        #[arg(long, value_enum, default_value_t = FirmwareArg::Bios)]
        firmware: FirmwareArg,
        /// Where the medium is attached
        #[arg(long, value_enum, default_value_t = Bus::IdeCd)]
        bus: Bus,
    },
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Firmware by name.
#[derive(Clone, Copy, ValueEnum)]
enum FirmwareArg {
    /// SeaBIOS
    Bios,
    /// OVMF
    Uefi,
}

impl FirmwareArg {
    fn start(self) -> Start {
        match self {
            Self::Bios => Start::SeaBios,
            Self::Uefi => Start::Ovmf,
        }
    }
}

/// Benches by name.
#[derive(Clone, Copy, ValueEnum)]
enum BenchArg {
    /// Kernel start to real init, from a CD; then what `write` measures
    Boot,
    /// Persistence, snapshots and the copy to RAM alone
    Write,
    /// An ISO over HTTP into RAM; with --only memory or --only transfer that part alone
    Net,
}

fn main() -> ExitCode {
    let done = match namespace::role() {
        Role::Init(outer) => namespace::init(outer),
        Role::Inside => run(Args::parse()),
        Role::Outer => start(Args::parse()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

/// What changes nothing but packages, or nothing at all, is done at once; all else inside of the lab's own namespace.
fn start(args: Args) -> Result<ExitCode> {
    if matches!(args.command, Cmd::Install | Cmd::Release | Cmd::Fuzz { .. } | Cmd::Test { list: true, .. }) {
        return run(args);
    }
    install::require_root()?;
    if !matches!(args.command, Cmd::Hold) {
        install::ensure()?;
    }
    namespace::start()
}

fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Cmd::Test { filter, all, list, json, machine, jobs, seed, points } => {
            let cuts = Choice { seed, points, many: all }.settled();
            let wanted = machine.map_or(Wanted::Cheapest, Wanted::Only);
            let chosen = test::Chosen { filter, all, wanted };
            test::run(args.mirror, cuts, &chosen, list, json.as_deref(), jobs)
        }
        Cmd::Release => artifact::release().map(|()| ExitCode::SUCCESS),
        Cmd::Fuzz { filter, seconds, keep } => fuzz::run(&filter, seconds, keep),
        Cmd::Install => install::ensure().map(|()| ExitCode::SUCCESS),
        Cmd::Disks { order } => disks::slice(&order),
        Cmd::Hold => hold::hold().map(|()| ExitCode::SUCCESS),
        Cmd::DracutSuite { tests } => suite::run(&Lab::open(args.mirror, &[Tree::Trixie], Builder::Tested)?, &tests),
        Cmd::Demo { keep, firmware } => {
            let keep = keep || std::io::stdin().is_terminal();
            demo::demo(&Lab::open(args.mirror, &[Tree::Trixie], Builder::Shipped)?, keep, firmware.start())
        }
        Cmd::Bench { what, only, instructions, repeats, json } => {
            let tree = if matches!(what, BenchArg::Net) { Tree::Trixie } else { Tree::Bookworm };
            let lab = Lab::open(args.mirror, &[tree], Builder::Shipped)?;
            let repeats = repeats.max(1);
            let clock = if instructions { Clock::Instructions } else { Clock::Host { cpus: 2 } };
            let only = only.as_deref();
            let mut all = match what {
                BenchArg::Boot => bench::boot::run(&lab, only, instructions, repeats)?,
                BenchArg::Write => serde_json::json!({}),
                BenchArg::Net => bench::net::run(&lab, only, instructions, repeats)?,
            };
            // A name of the first table means that the second is not wanted.
            if matches!((what, only), (BenchArg::Boot, None) | (BenchArg::Write, _)) {
                all["writable"] = bench::write::run(&lab, only, clock, repeats)?;
            }
            if let Some(path) = json {
                std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Boot { iso, cmdline, mode, firmware, bus } => {
            let lab = Lab::open(args.mirror, &[], Builder::Tested)?;
            let start = match cmdline {
                None => firmware.start(),
                Some(append) => mode.start(&lab, Machine::Qemu, append)?,
            };
            demo::boot(&lab, &demo::machine(start, iso, bus))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in fenced blocks, in columns.
    fn commands(page: &str) -> Vec<&str> {
        let blocks = page.split("```").skip(1).step_by(2);
        let columns = blocks.flat_map(str::lines).flat_map(|line| line.split("  ")).map(str::trim);
        columns.filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn what_the_pages_say_to_type_is_what_the_lab_takes() {
        let (readme, testing) = (include_str!("../../README.md"), include_str!("../../docs/testing.md"));
        let ours = |page| commands(page).into_iter().filter(|line| line.starts_with("cargo lab")).collect::<Vec<_>>();
        assert!(ours(readme).len() >= 4, "{:?}", ours(readme));
        for line in ours(readme).into_iter().chain(ours(testing)) {
            // Of alternatives the first.
            let words = line.split_whitespace().skip(1).filter_map(|word| word.split('|').next());
            if let Err(error) = Args::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
        let used = readme.split("## Use it").nth(1).unwrap();
        assert_eq!(commands(used)[0], "cargo lab install", "what the others need comes first");
    }
}
