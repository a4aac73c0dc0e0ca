//! PID 1 of a native initramfs: what systemd, udev, modprobe and a shell do elsewhere.

pub mod modules;
pub mod pseudo;
pub mod rescue;
pub mod switch_root;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::attempt::{Avoid, Message, Supervisor, Watchdog};
use crate::boot::Boot;
use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Config, Source, Warning, Warnings};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::exec::{Executor, MODULE_LIMIT};
use crate::facts::PATIENCE;
use crate::handover::{Outcome, Report};
use crate::kmsg;
use crate::machine::Machine;
use crate::plan::{Step, prepare};
use crate::probe::uevent::Socket;
use crate::shutdown::install;
use crate::watch::{Hardware, Watch};

use modules::Loader;

/// Where the native personality builds the root.
const SYSROOT: &str = "/sysroot";

/// Boots; returns only if even the rescue prompt was left.
pub fn run(arguments: &[String]) -> Stop {
    let env = Env::default();
    let mounted = pseudo::mount_all(&env);
    let limit = kmsg::lift_limit(&env);
    kmsg::start(&env);
    rescue::on_fault();
    pseudo::report(&mounted);
    pseudo::poll_media(&env);
    let supervisor = Supervisor::new(&env, Path::new(SYSROOT), ["attempt", "init"]);
    loop {
        let stop = match supervisor.run() {
            Ok(Message::Built { init }) => {
                kmsg::restore_limit(&env, limit.as_deref());
                switch_root::switch(&env, Path::new(SYSROOT), init.as_deref(), arguments)
            }
            Ok(_) => Stop::new(Code::RootMalformed, "the command line asks for no root that is known"),
            Err(trouble) if trouble.reported => trouble.stop,
            Err(trouble) => {
                let (config, warnings, _) = asked(&env);
                let warnings = warnings.for_a_person();
                finish(&env, &config, Report::new("native", &config, &warnings), &Err(trouble.stop.clone()));
                trouble.stop
            }
        };
        rescue::run(&env, &asked(&env).0, &stop);
    }
}

/// Writes the report of a fault in the process that must not end, into what is there of one (`rdlive fault init`).
pub fn leave_fault(env: &Env, stop: Stop) {
    let (config, warnings, _) = asked(env);
    let report = Report::load(env).unwrap_or_else(|| Report::new("native", &config, &warnings.for_a_person()));
    finish(env, &config, report, &Err(stop));
}

/// What the command line asks for; the last value is why it could not be read.
pub fn asked(env: &Env) -> (Config, Warnings, Option<String>) {
    let conf = Conf::load(env.root()).unwrap_or_default();
    let (cmdline, error) = match Cmdline::load(env.root()) {
        Ok(cmdline) => (cmdline, None),
        Err(error) => (Cmdline::parse(""), Some(error.to_string())),
    };
    let (config, warnings) = config::interpret(&cmdline, &conf);
    (config, warnings, error)
}

/// One attempt to build the root, in its own process; the rescue prompt's "retry" is another.
pub fn work(env: &Env, avoid: Avoid, watchdog: &Watchdog) -> (Message, Option<Watch>) {
    let (config, warnings, error) = asked(env);
    if let Some(error) = error {
        log::error!("{error}, going on with an empty command line");
    }
    kmsg::verbose(config.debug);
    let warnings = warnings.for_a_person();
    for warning in &warnings {
        log::warn!("{}: {}", warning.karg, warning.message);
    }
    let loader = watchdog.telling("loading what rd.driver.pre= asks for", || Loader::start(env, &config.modules));
    let (result, watch) = attempt(env, &config, &warnings, &loader, (avoid, watchdog));
    let message = match result {
        Ok(()) => {
            let load = || loader.load_all(&config.modules.post, PATIENCE);
            watchdog.telling("loading what rd.driver.post= asks for", load);
            Message::Built { init: config.init.path }
        }
        Err(stop) => Message::Stopped(stop),
    };
    (message, Some(watch))
}

fn attempt(
    env: &Env,
    config: &Config,
    warnings: &[Warning],
    loader: &Arc<Loader>,
    (avoid, watchdog): (Avoid, &Watchdog),
) -> (Result<(), Stop>, Watch) {
    let mut report = Report::new("native", config, warnings);
    report.moment("agent");
    room_for_shutdown(env);
    let load = |name: &str| loader.load_within(name, MODULE_LIMIT);
    let exec = Executor::new(env, &load).watched(watchdog);
    let sysroot = PathBuf::from(SYSROOT);
    let mut machine = Machine::new(env, exec).avoiding(avoid.devices).asking(config.paths());
    let nudge = machine.watch.nudge();
    loader.on_idle(Box::new(move || nudge.nudge()));
    let (result, report) = match Socket::open() {
        Ok(socket) => {
            let (for_events, for_patience) = (Arc::clone(loader), Arc::clone(loader));
            let hardware = Hardware {
                announce: Box::new(move |modalias| for_events.announce(modalias)),
                drivers: Box::new(move || for_patience.progress()),
            };
            for step in prepare::drivers(config) {
                if let Step::Driver { module, .. } = step {
                    loader.request(&module);
                }
            }
            machine.watch.listen(socket, Some(hardware));
            loader.coldplug(env);
            let mut boot = Boot::new(&mut machine, config, &sysroot, report).avoiding_area(avoid.area);
            let result = boot.run();
            (result, boot.report)
        }
        Err(error) => (Err(Stop::new(Code::Environment, format!("opening the event socket: {error}"))), report),
    };
    watchdog.telling("handing over the report", || finish(env, config, report, &result));
    (result, machine.watch)
}

/// Lets the program for power-off run from `/run/initramfs`, before anything is mounted there.
pub fn room_for_shutdown(env: &Env) {
    if let Err(error) = install::prepare(env) {
        log::warn!("/run/initramfs refuses programs: {error}, ignoring; systemd will not call rdlive at power-off");
    }
}

/// Completes the report and hands it over.
pub fn finish(env: &Env, config: &Config, mut report: Report, result: &Result<(), Stop>) {
    report.outcome = match (result, &config.source) {
        (Ok(()), Source::NotLive(_)) if !config.covers_root() => Outcome::Declined,
        (Ok(()), _) => Outcome::Ok,
        (Err(_), _) => Outcome::Failed,
    };
    report.stop = result.as_ref().err().cloned();
    if report.outcome == Outcome::Ok
        && let Err(error) = install::leave(env)
    {
        let why = format!("/run/initramfs/shutdown: {error}, falling back to systemd's own shutdown");
        kmsg::fall_back(env, &why);
        report.fallbacks.push(why);
    }
    if let Err(error) = report.save(env) {
        log::warn!("writing the report: {error}, ignoring");
    }
    if let Some(device) = &config.report
        && let Err(error) = report.send(env, device)
    {
        log::warn!("rd.live.report={}: {error}, ignoring", device.display());
    }
}
