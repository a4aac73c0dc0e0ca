//! `cargo lab demo` and `cargo lab boot`: a machine on this terminal.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Drive, Hardware, Machine, Start, Trouble};
use crate::medium::{Over, Recipe};

/// What a person sees last when all went well.
const PROMPT: &str = "login:";

/// Makes the Debian live ISO and boots it. Without a terminal (or `keep`), ends at the login prompt.
pub fn demo(lab: &Lab, keep: bool, firmware: Start) -> Result<ExitCode> {
    lab.say("making the Debian live ISO (rdlive-image build)");
    let iso = debian_iso().file(lab)?;
    lab.say(&format!("ISO: {}", iso.display()));
    let machine = machine(firmware, iso, Bus::IdeCd);
    if keep {
        lab.say("booting; log in as root, password live; quit QEMU with Ctrl-A X");
        return interactive(lab, &machine);
    }
    watch(lab, &machine, PROMPT, Duration::from_secs(900))
}

/// Boots any ISO on this terminal; without one, prints the console until the machine ends.
pub fn boot(lab: &Lab, machine: &Hardware) -> Result<ExitCode> {
    if std::io::stdin().is_terminal() {
        return interactive(lab, machine);
    }
    watch(lab, machine, PROMPT, Duration::from_secs(900))
}

/// A machine for one ISO.
pub fn machine(start: Start, iso: std::path::PathBuf, bus: Bus) -> Hardware {
    let drive =
        Drive { file: iso, bus, late: None, keep_writes: false, log: None, locked: false, trouble: Trouble::default() };
    Hardware { start, drives: vec![drive], memory: 2048, clock: Clock::Host { cpus: 2 }, net: None }
}

/// The demo's ISO: Debian 13, console on the serial port as well as on the screen.
fn debian_iso() -> Recipe {
    Recipe::Built { tree: Tree::Trixie, over: Over::default(), args: vec!["--serial".to_owned()] }
}

fn interactive(lab: &Lab, machine: &Hardware) -> Result<ExitCode> {
    let dir = lab.cache.scratch("demo")?;
    let status = machine.terminal(&dir)?.status().context("starting qemu-system-x86_64")?;
    crate::remove::tree(&dir)?;
    if !status.success() {
        bail!("QEMU ended with {status}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the console as it grows until `text` appears; says how long that took.
fn watch(lab: &Lab, machine: &Hardware, text: &str, limit: Duration) -> Result<ExitCode> {
    let dir = lab.cache.scratch("demo")?;
    let mut running = machine.power_on(Machine::Qemu, &dir)?;
    let mut shown = 0;
    loop {
        let console = running.console();
        if let Some(new) = console.get(shown..) {
            print!("{new}");
            shown = console.len();
        }
        if console.contains(text) {
            println!("\n\nlab: login prompt after {:.1} s", running.age().as_secs_f64());
            running.kill();
            clean(&dir);
            return Ok(ExitCode::SUCCESS);
        }
        if running.ended()?.is_some() || running.age() > limit {
            running.kill();
            println!(
                "\n\nlab: no login prompt; console: {}",
                crate::lab::keep("demo", &dir)?.join("console.log").display()
            );
            return Ok(ExitCode::FAILURE);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn clean(dir: &Path) {
    let _ = crate::remove::tree(dir);
}

/// QEMU with its serial console on this terminal.
impl Hardware {
    fn terminal(&self, dir: &Path) -> Result<Command> {
        let mut command = self.command_with_console(dir, "mon:stdio")?;
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        Ok(command)
    }
}
