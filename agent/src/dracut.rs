//! The dracut personality: a service or hook in somebody else's initrd. It leaves the root at the sysroot and reports.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::attempt::{self, Avoid, Message, Supervisor, Watchdog, fault};
use crate::boot::{self, Boot};
use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Config, Warning, Warnings};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::exec::{Executor, MODULE_LIMIT, ModuleError};
use crate::handover::Report;
use crate::kmsg;
use crate::layout;
use crate::machine::Machine;
use crate::native::{finish, room_for_shutdown};
use crate::patient::Apart;
use crate::plan::{Step, prepare};
use crate::probe::uevent::Socket;
use crate::terminal;
use crate::watch::Watch;

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
    /// Only give the root its SELinux labels, where an earlier call has built it and nothing else of the initrd is left to do.
    pub labels: bool,
}

/// What a call is about: the machine, the command line as meant, and what to warn of.
pub fn read(call: &Call) -> Result<(Env, Config, Warnings), Stop> {
    let env = Env::new(&call.root);
    let cmdline = match &call.cmdline {
        Some(text) => Cmdline::parse(text),
        None => Cmdline::load(env.root()).map_err(|error| Stop::new(Code::Environment, error.to_string()))?,
    };
    let conf = Conf::load(env.root()).map_err(|error| Stop::new(Code::Environment, error.to_string()))?;
    let (config, warnings) = config::interpret(&cmdline, &conf);
    Ok((env, config, warnings))
}

/// Builds the root, as `rdlive boot` with these arguments. `Ok(false)` when the command line does not ask for a live root.
///
/// # Errors
/// Why the boot stopped; it has been logged and left in `/run/rdlive/error`.
pub fn run(call: &Call, arguments: &[String]) -> Result<bool, Stop> {
    let env = Env::new(&call.root);
    kmsg::start(&env);
    on_fault(env.clone(), told(arguments));
    let limit = kmsg::lift_limit(&env);
    let words = ["attempt", "boot"].into_iter().chain(arguments.iter().map(String::as_str));
    let result = match Supervisor::new(&env, &call.sysroot, words).run() {
        Ok(message) => Ok(matches!(message, Message::Built { .. })),
        Err(trouble) => {
            if !trouble.reported
                && let Ok((env, config, warnings)) = read(call)
            {
                let warnings = warnings.for_a_person();
                finish(&env, &config, Report::new("dracut", &config, &warnings), &Err(trouble.stop.clone()));
            }
            Err(trouble.stop)
        }
    };
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

/// A fault of ours in the process that dracut waits for ends it as any other reason does: with a number and advice for the prompt.
fn on_fault(env: Env, told: impl Fn(&Stop) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let (place, what) = fault::described(info);
        let stop = fault::stop(&place, &what);
        for line in stop.lines() {
            log::error!("{line}");
        }
        let _ = leave_error(&env, Some(&stop));
        told(&stop);
        std::process::exit(1);
    }));
}

/// Has the report of a fault written in another process: that is done by code that may have failed here.
fn told(arguments: &[String]) -> impl Fn(&Stop) + Send + Sync + 'static {
    let arguments = arguments.to_vec();
    move |stop| {
        let Ok(stop) = crate::json::line(stop) else { return };
        let words: Vec<&str> =
            ["fault", "boot", &stop].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        if let Err(error) = attempt::answer(&words, FAULT_LIMIT) {
            log::warn!("writing the report: {error}, ignoring");
        }
    }
}

/// Writes the report of a fault in the process that dracut waits for, into what is there of one (`rdlive fault boot`).
///
/// # Errors
/// The command line cannot be read.
pub fn leave_fault(call: &Call, stop: Stop) -> Result<(), Stop> {
    let (env, config, warnings) = read(call)?;
    let report = Report::load(&env).unwrap_or_else(|| Report::new("dracut", &config, &warnings.for_a_person()));
    finish(&env, &config, report, &Err(stop));
    Ok(())
}

/// One attempt, in its own process.
pub fn work(call: &Call, avoid: Avoid, watchdog: &Watchdog) -> (Message, Option<Watch>) {
    let mut watch = None;
    let message = match logged(call, avoid, watchdog, &mut watch) {
        Ok(Some(config)) => Message::Built { init: config.init.path },
        Ok(None) => Message::Declined,
        Err(stop) => Message::Stopped(stop),
    };
    (message, watch)
}

/// What dracut's emergency hook prints; nothing once a later run has succeeded.
fn leave_error(env: &Env, stop: Option<&Stop>) -> io::Result<()> {
    let path = env.path(layout::ERROR);
    match stop {
        Some(stop) => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, terminal::printable_lines(stop.lines()))
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn logged(call: &Call, avoid: Avoid, watchdog: &Watchdog, watch: &mut Option<Watch>) -> Result<Option<Config>, Stop> {
    let (env, config, warnings) = read(call)?;
    kmsg::verbose(config.debug);
    if !config.concerns_us() {
        return Ok(None);
    }
    if boot::already_done(&env, &call.sysroot) != call.labels {
        log::info!("nothing to do for {}", call.sysroot.display());
        return Ok(Some(config));
    }
    let warnings = if call.labels { Vec::new() } else { warnings.for_a_person() };
    for warning in &warnings {
        log::warn!("{}: {}", warning.karg, warning.message);
    }
    let (result, used) = attempt(&env, &config, &warnings, call, (avoid, watchdog));
    *watch = Some(used);
    result.map(|()| Some(config))
}

fn attempt(
    env: &Env,
    config: &Config,
    warnings: &[Warning],
    call: &Call,
    (avoid, watchdog): (Avoid, &Watchdog),
) -> (Result<(), Stop>, Watch) {
    let mut report = Report::new("dracut", config, warnings);
    report.moment("agent");
    if !call.labels {
        room_for_shutdown(env);
        prefetch(config);
    }
    let exec = Executor::new(env, &modprobe).watched(watchdog);
    let mut machine = Machine::new(env, exec).avoiding(avoid.devices).asking(config.paths());
    if let Some(built) = call.labels.then(|| Report::load(env)).flatten() {
        let mut boot = Boot::new(&mut machine, config, &call.sysroot, built);
        let result = boot.label_later();
        if let Err(error) = boot.report.save(env) {
            log::warn!("writing the report: {error}, ignoring");
        }
        return (result, machine.watch);
    }
    let (result, report) = match Socket::open() {
        Ok(socket) => {
            machine.watch.listen(socket, None);
            let mut boot = Boot::new(&mut machine, config, &call.sysroot, report).avoiding_area(avoid.area);
            let result = boot.run();
            (result, boot.report)
        }
        Err(error) => (Err(Stop::new(Code::Environment, format!("opening the event socket: {error}"))), report),
    };
    watchdog.telling("handing over the report", || finish(env, config, report, &result));
    (result, machine.watch)
}

/// udev loads drivers for hardware; what no device announces is asked for here, beside the search for the medium. The program
/// that loads them goes on when this one has ended.
fn prefetch(config: &Config) {
    let live = config.source.is_live();
    let modules = prepare::drivers(config).into_iter().filter_map(|step| match step {
        Step::Driver { module, .. } if live || module == "overlay" => Some(module),
        _ => None,
    });
    let mut command = Command::new("modprobe");
    command.arg("-qab").args(modules).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The step that needs a driver reports its absence, with more to say about it.
    if let Ok(mut child) = command.spawn() {
        // Only collects it.
        thread::spawn(move || child.wait());
    }
}

/// How long the report of a fault may take.
const FAULT_LIMIT: Duration = Duration::from_secs(3);
/// How long all that one needs may take together.
const MODULES_LIMIT: Duration = Duration::from_secs(120);
/// How long one is waited for before another modprobe goes on with those that need it.
const SLICE: Duration = Duration::from_secs(3);

/// Loads a module the way this initrd does: its own modprobe knows blacklists, options and compression. One that does not come back
/// goes on alone.
fn modprobe(name: &str) -> Result<(), ModuleError> {
    let begun = Instant::now();
    let (mut loaded, mut since) = (loaded_modules(), begun);
    let output = loop {
        let mut command = Command::new("modprobe");
        // Without -q: its words say whether the module is missing or refused.
        command.args(["--", name]);
        if let Some(output) = output_within(command, SLICE).map_err(ModuleError::NoModprobe)? {
            break output;
        }
        // What it waits for is at work already, and the next one goes on behind it.
        let now = loaded_modules();
        if now != loaded {
            (loaded, since) = (now, Instant::now());
        }
        if since.elapsed() >= MODULE_LIMIT || begun.elapsed() >= MODULES_LIMIT {
            let waited = begun.elapsed().as_secs();
            return Err(ModuleError::Silent(name.to_owned(), waited));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if words.is_empty() { ModuleError::Absent(name.to_owned()) } else { ModuleError::Modprobe(words) })
}

/// How many modules the kernel has.
fn loaded_modules() -> usize {
    fs::read_to_string("/proc/modules").map_or(0, |text| text.lines().count())
}

/// What a program has left; `None` when it has not ended in time, and goes on alone.
fn output_within(mut command: Command, limit: Duration) -> io::Result<Option<Output>> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn()?;
    Apart::begin(move || child.wait_with_output())?.within(limit).map_or(Ok(None), |output| output.map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::fault::tests::child;
    use crate::terminal::{printable, tests::HOSTILE};

    #[test]
    fn f1_a_module_that_does_not_come_back_has_a_limit() {
        let command = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let begun = Instant::now();
        assert!(output_within(command("exec sleep 5"), Duration::from_millis(100)).unwrap().is_none());
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let output = output_within(command("echo why >&2; exit 3"), Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(3), &b"why\n"[..]));
    }

    #[test]
    fn f9_a_fault_in_the_process_that_dracut_waits_for_says_its_number() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("run/rdlive")).unwrap();
        let faulty = |env: Env| {
            on_fault(env, |_| {});
            panic!("provoked");
        };
        let name = "dracut::tests::f9_a_fault_in_the_process_that_dracut_waits_for_says_its_number";
        let Some(mut command) = child(name, dir.path(), faulty) else { return };
        assert_eq!(command.status().unwrap().code(), Some(1));
        let left = fs::read_to_string(Env::new(dir.path()).path(layout::ERROR)).unwrap();
        assert!(left.starts_with("RDL-041: a fault in rdlive itself, at ") && left.contains("provoked"), "{left}");
        assert!(left.contains("\ntry:"), "{left}");
    }

    #[test]
    fn f12_what_dracuts_prompt_repeats_is_not_obeyed() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let stop = Stop::new(Code::MediumNotFound, "none").found([format!("label {HOSTILE}")]).advice("look");
        leave_error(&env, Some(&stop)).unwrap();
        let left = fs::read_to_string(env.path(layout::ERROR)).unwrap();
        assert_eq!(left, format!("RDL-010: none\nfound:  label {}\ntry:    look\n", printable(HOSTILE)));
        leave_error(&env, None).unwrap();
        assert!(!env.path(layout::ERROR).exists());
    }
}
