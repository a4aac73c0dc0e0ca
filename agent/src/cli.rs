//! `rdlive …`: from arguments to one personality or one question.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::attempt::{self, Stays};
use crate::dracut::{self, Call};
use crate::env::Env;
use crate::facts::Provider;
use crate::kmsg;
use crate::native;
use crate::plan::provider::waits_to_be_asked;
use crate::terminal;

const HELP: &str = "\
rdlive: finds a live medium in the initrd and builds the root file system on it

As PID 1 it boots. Otherwise:
  rdlive init                          boot, as PID 1 does
  rdlive boot [--sysroot DIR] [--cmdline TEXT] [--root DIR] [--claims | --labels]
                                       build the live root at DIR (default /sysroot); with --claims only tell
                                       whether the command line asks for one (exit 0 yes, 1 no); with --labels
                                       give the one that was built its SELinux labels
  rdlive generator NORMAL EARLY LATE   systemd generator
  rdlive explain [--cmdline TEXT] [--medium FILE|DEV | --facts FILE] [--json]
                                       what a command line means, every warning, and the plan; touches nothing
  rdlive report [--json]               in a booted system: what was done, with times, and how full the store of a
                                       snapshot is now
  rdlive shutdown VERB                 what systemd runs last (as /run/initramfs/shutdown): unmounts the live root
  rdlive teardown VERB                 the same from dracut's own program for power-off, which goes on afterwards
  rdlive --version
";

/// Runs one call; the first argument is the program's name.
pub fn run(arguments: &[String]) -> ExitCode {
    let (name, rest) = arguments.split_first().map_or(("rdlive", &[][..]), |(name, rest)| (name.as_str(), rest));
    let base = name.rsplit('/').next().unwrap_or(name);
    let first = rest.first().map(String::as_str);
    match (base, first) {
        // systemd starts it as PID 1 with this name, so it comes before init.
        ("shutdown", Some("report")) if std::process::id() != 1 => answer(crate::report::run(&rest[1..])),
        ("shutdown", _) => crate::shutdown::run(rest),
        _ if std::process::id() == 1 => init(rest),
        ("modprobe", _) => modprobe(rest),
        ("rdlive-generator", _) => generator(rest),
        (_, Some("init")) => init(&rest[1..]),
        (_, Some("boot")) => answer(boot(&rest[1..])),
        (_, Some("attempt")) => answer(attempt(&rest[1..])),
        (_, Some("devices")) => {
            attempt::fault::only_probes_may_fail();
            let (lines, watch) = crate::watch::summaries(&Env::default());
            terminal::print(lines);
            // Whoever reads this has all of it.
            let _ = rustix::stdio::dup2_stdout(std::io::stderr());
            watch.stay();
            ExitCode::SUCCESS
        }
        (_, Some("detach")) => {
            attempt::detach(&rest[1..]);
            ExitCode::SUCCESS
        }
        (_, Some("fault")) => answer(fault(&rest[1..])),
        (_, Some("shutdown")) => crate::shutdown::run(&rest[1..]),
        (_, Some("teardown")) => crate::shutdown::for_dracut(&rest[1..]),
        (_, Some("generator")) => generator(&rest[1..]),
        (_, Some("explain")) => answer(crate::explain::run(&rest[1..])),
        (_, Some("report")) => answer(crate::report::run(&rest[1..])),
        (_, Some("--version" | "-V")) => {
            terminal::print([concat!("rdlive ", env!("CARGO_PKG_VERSION"))]);
            ExitCode::SUCCESS
        }
        (_, Some("--help" | "-h" | "help")) => {
            terminal::print(HELP.lines());
            ExitCode::SUCCESS
        }
        _ => {
            HELP.lines().for_each(terminal::complain);
            ExitCode::from(2)
        }
    }
}

fn init(arguments: &[String]) -> ExitCode {
    let stop = native::run(arguments);
    terminal::complain(&stop.to_string());
    ExitCode::FAILURE
}

fn modprobe(arguments: &[String]) -> ExitCode {
    let env = Env::default();
    match native::modules::modprobe(&env, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            kmsg::start(&env);
            log::debug!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn generator(arguments: &[String]) -> ExitCode {
    answer(crate::generator::run(arguments).map(|()| ExitCode::SUCCESS).map_err(Into::into))
}

/// What one call of the command line came to.
pub(crate) type Answer = Result<ExitCode, Box<dyn Error>>;

fn answer(result: Answer) -> ExitCode {
    result.unwrap_or_else(|why| {
        terminal::complain(&format!("rdlive: {why}"));
        ExitCode::from(2)
    })
}

fn boot(arguments: &[String]) -> Answer {
    let call = boot_call(arguments)?;
    if call.claims {
        let (env, config, _) = dracut::read(&call)?;
        if waits_to_be_asked(&config, Provider::of(&env)) {
            terminal::print(["network"]);
        }
        let live = !matches!(config.source, crate::config::Source::NotLive(_));
        return Ok(if live { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    // The reason was logged and left in /run; a second copy would only push it off the screen.
    Ok(match dracut::run(&call, arguments) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// What init and boot start in a process of its own ([`crate::attempt`]). The first argument is the personality, the second what
/// is avoided.
fn attempt(arguments: &[String]) -> Answer {
    let [personality, avoid, rest @ ..] = arguments else {
        return Err("attempt is called by rdlive itself".into());
    };
    let avoid = crate::json::read(avoid.as_bytes())?;
    match personality.as_str() {
        "init" => {
            let env = Env::default();
            kmsg::start(&env);
            Ok(attempt::run(&env, |watchdog| native::work(&env, avoid, watchdog)))
        }
        "boot" => {
            let call = boot_call(rest)?;
            let env = Env::new(&call.root);
            kmsg::start(&env);
            Ok(attempt::run(&env, |watchdog| dracut::work(&call, avoid, watchdog)))
        }
        other => Err(format!("{other} is no personality").into()),
    }
}

/// What init and boot start when a fault of ours stops them. The first argument is the personality, the second why it stopped.
fn fault(arguments: &[String]) -> Answer {
    let [personality, stop, rest @ ..] = arguments else {
        return Err("fault is called by rdlive itself".into());
    };
    let stop = crate::json::read(stop.as_bytes())?;
    match personality.as_str() {
        "init" => {
            let env = Env::default();
            kmsg::start(&env);
            // First what is waited for: the report may go through a slow line.
            let failure = native::asked(&env).0.failure;
            terminal::print([crate::json::line(&failure)?]);
            native::leave_fault(&env, stop);
        }
        "boot" => {
            let call = boot_call(rest)?;
            kmsg::start(&Env::new(&call.root));
            dracut::leave_fault(&call, stop)?;
        }
        other => return Err(format!("{other} is no personality").into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn boot_call(arguments: &[String]) -> Result<Call, lexopt::Error> {
    let mut call = Call { root: "/".into(), sysroot: "/sysroot".into(), cmdline: None, claims: false, labels: false };
    let mut parser = lexopt::Parser::from_args(arguments.iter().map(OsString::from));
    while let Some(argument) = parser.next()? {
        match argument {
            Long("sysroot") => call.sysroot = PathBuf::from(parser.value()?),
            Long("root") => call.root = PathBuf::from(parser.value()?),
            Long("cmdline") => call.cmdline = Some(parser.value()?.string()?),
            Long("claims") => call.claims = true,
            Long("labels") => call.labels = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(call)
}
