//! The dracut personality: a service or hook in somebody else's initrd. It leaves the root at the sysroot and reports.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::boot::{self, Boot};
use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Config, Warning};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::exec::Executor;
use crate::handover::Report;
use crate::kmsg;
use crate::layout;
use crate::native::{finish, room_for_shutdown};
use crate::plan::{Step, prepare};
use crate::probe::uevent::Socket;

/// How `rdlive boot` was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Prefix of `/proc`, `/sys`, `/dev`, `/run` and `/etc`.
    pub root: PathBuf,
    /// Where the root is attached.
    pub sysroot: PathBuf,
    /// Instead of the kernel's command line.
    pub cmdline: Option<String>,
    /// Only tell whether the command line asks for a live root.
    pub claims: bool,
}

/// What a call is about: the machine, the command line as meant, and what to warn of.
pub fn read(call: &Call) -> Result<(Env, Config, Vec<Warning>), Stop> {
    let env = Env::new(&call.root);
    let cmdline = match &call.cmdline {
        Some(text) => Cmdline::parse(text),
        None => Cmdline::load(env.root()).map_err(|error| Stop::new(Code::Environment, error.to_string()))?,
    };
    let conf = Conf::load(env.root()).map_err(|error| Stop::new(Code::Environment, error.to_string()))?;
    let (config, warnings) = config::interpret(&cmdline, &conf);
    Ok((env, config, warnings))
}

/// Builds the root. `Ok(false)` when the command line does not ask for a live root.
///
/// # Errors
/// Why the boot stopped; it has been logged and left in `/run/rdlive/error`.
pub fn run(call: &Call) -> Result<bool, Stop> {
    let env = Env::new(&call.root);
    kmsg::start(&env);
    let limit = kmsg::lift_limit(&env);
    let result = logged(call);
    if let Err(stop) = &result {
        for line in stop.lines() {
            log::error!("{line}");
        }
    }
    if let Err(error) = leave_error(&env, result.as_ref().err()) {
        log::warn!("{}: {error}, ignoring", layout::ERROR);
    }
    kmsg::restore_limit(&env, limit.as_deref());
    result
}

/// What dracut's emergency hook prints; nothing once a later run has succeeded.
fn leave_error(env: &Env, stop: Option<&Stop>) -> io::Result<()> {
    let path = env.path(layout::ERROR);
    match stop {
        Some(stop) => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, stop.lines().join("\n") + "\n")
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn logged(call: &Call) -> Result<bool, Stop> {
    let (env, config, warnings) = read(call)?;
    kmsg::verbose(config.debug);
    if !config.concerns_us() {
        return Ok(false);
    }
    if boot::already_done(&env, &call.sysroot) {
        log::info!("the root is at {} already", call.sysroot.display());
        return Ok(true);
    }
    for warning in &warnings {
        log::warn!("{}: {}", warning.karg, warning.message);
    }
    attempt(&env, &config, &warnings, call).map(|()| true)
}

fn attempt(env: &Env, config: &Config, warnings: &[Warning], call: &Call) -> Result<(), Stop> {
    let mut report = Report::new("dracut", config, warnings);
    report.moment("agent");
    room_for_shutdown(env);
    // udev loads drivers for hardware; what no device announces is asked for here, beside the search for the medium.
    let drivers = prepare::drivers(config);
    let live = config.source.is_live();
    let prefetch = thread::spawn(move || {
        let modules = drivers.iter().filter_map(|step| match step {
            Step::Driver { module, .. } if live || module == "overlay" => Some(module.as_str()),
            _ => None,
        });
        // The step that needs a driver reports its absence, with more to say about it.
        let _ = Command::new("modprobe").arg("-qab").args(modules).status();
    });
    let exec = Executor::new(env, &modprobe);
    let mut boot = Boot::new(env, config, &call.sysroot, exec, report);
    let result = match Socket::open() {
        Ok(socket) => {
            boot.watch.listen(socket, None);
            boot.run()
        }
        Err(error) => Err(Stop::new(Code::Environment, format!("opening the event socket: {error}"))),
    };
    finish(env, config, boot.report, &result);
    // A module load that still runs must not be cut off by the end of this program.
    let _ = prefetch.join();
    result
}

/// Loads a module the way this initrd does: its own modprobe knows blacklists, options and compression.
fn modprobe(name: &str) -> Result<(), String> {
    let output =
        Command::new("modprobe").args(["-q", "--", name]).output().map_err(|error| format!("modprobe: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if words.is_empty() { format!("module {name} is not in this initrd") } else { words })
}
