//! Power-off: systemd goes back into `/run/initramfs` and starts `/shutdown` there, which is this program. All services
//! have ended by then; what is left are the layers of the live root, which only go from the top down.

mod emergency;
pub mod install;
mod medium;
pub(crate) mod mounts;
pub mod teardown;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use rustix::system::{RebootCommand, reboot};

use crate::attempt::fault;
use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Eject};
use crate::console;
use crate::env::Env;
use crate::handover::Report;
use crate::kmsg;
use crate::mountinfo;
use crate::terminal;
use teardown::{Scope, Teardown};

/// What comes after the teardown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Poweroff,
    Reboot,
    Halt,
    Kexec,
}

impl Verb {
    /// systemd-shutdown's first argument. `exit` is for containers; on a machine systemd itself powers off then.
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "poweroff" | "exit" => Self::Poweroff,
            "reboot" => Self::Reboot,
            "halt" => Self::Halt,
            "kexec" => Self::Kexec,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Halt => "halt",
            Self::Kexec => "kexec",
        }
    }

    fn command(self) -> RebootCommand {
        match self {
            Self::Poweroff => RebootCommand::PowerOff,
            Self::Reboot => RebootCommand::Restart,
            Self::Halt => RebootCommand::Halt,
            Self::Kexec => RebootCommand::Kexec,
        }
    }
}

/// For dracut's own program for power-off, which unmounts only what lies in the old root (`/oldroot`) and has moved `/run`
/// out of it: our layers go, the machine stays on. The first argument is as for [`run`]. Exits with 1 if something stayed,
/// with 2 anywhere else than below that program.
pub fn for_dracut(arguments: &[String]) -> ExitCode {
    let env = Env::default();
    if !dracut_goes_down(&env) {
        terminal::complain("rdlive teardown: only dracut's program for power-off calls this; use poweroff or reboot");
        return ExitCode::from(2);
    }
    kmsg::start(&env);
    let verb = arguments.first().and_then(|word| Verb::parse(word)).unwrap_or(Verb::Poweroff);
    if take_down(&env, verb) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where `/run` of the old root is while dracut's program runs, and at no other time.
const DRACUTS_RUN: &str = "/oldsys/run";

fn dracut_goes_down(env: &Env) -> bool {
    mountinfo::at(&mountinfo::all(env), Path::new(DRACUTS_RUN)).is_some()
}

/// Takes the machine down; returns only if it must not or cannot. The first argument says how.
pub fn run(arguments: &[String]) -> ExitCode {
    let verb = arguments.first().and_then(|word| Verb::parse(word));
    if std::process::id() != 1 {
        terminal::complain(
            "rdlive shutdown: systemd starts this as the last program of a live system; use poweroff or reboot",
        );
        return ExitCode::from(2);
    }
    // PID 1 must not return: an unknown word comes from a newer systemd, and the machine is down to its last process.
    let verb = verb.unwrap_or(Verb::Poweroff);
    let env = Env::default();
    // The streams we were given may be open on the root that is to be unmounted.
    console::become_standard_streams();
    kmsg::start(&env);
    on_fault(Env::default(), move || finally(verb));
    take_down(&env, verb);
    finally(verb)
}

/// A fault of ours must not keep the machine on, and PID 1 that ends is a kernel panic.
fn on_fault(env: Env, goes_down: impl Fn() + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let (place, what) = fault::described(info);
        log::error!("shutdown: {}, making everything read-only", fault::stop(&place, &what));
        emergency::read_only(&env);
        goes_down();
    }));
}

/// Did everything go?
fn take_down(env: &Env, verb: Verb) -> bool {
    let cmdline = Cmdline::load(env.root()).unwrap_or_else(|_| Cmdline::parse(""));
    let (config, _) = config::interpret(&cmdline, &Conf::default());
    kmsg::verbose(config.debug);
    // udev has ended and left its socket behind, by which device-mapper would take it for running and wait for it.
    let _ = fs::remove_file(env.path("run/udev/control"));
    // Before /run goes.
    let report = Report::load(env);
    let result = Teardown::new(env, Scope::machine(), config.shutdown.umount_timeout).run();
    match result.left.as_slice() {
        [] => log::info!(target: kmsg::NOTICE, "shutdown: the live system is unmounted"),
        left => log::warn!("shutdown: still in use, made read-only where possible: {}", left.join(", ")),
    }
    // kexec starts from the medium's own files again.
    if config.shutdown.eject != Eject::No && verb != Verb::Kexec {
        medium::eject(env, report.as_ref(), config.shutdown.eject == Eject::Prompt);
    }
    result.left.is_empty()
}

fn finally(verb: Verb) -> ! {
    if let Err(errno) = reboot(verb.command()) {
        log::error!("shutdown: {}: {errno}", verb.word());
    }
    if verb == Verb::Kexec {
        // No kernel was loaded: a reboot is what was meant.
        let _ = reboot(RebootCommand::Restart);
    }
    loop {
        // PID 1 that ends is a kernel panic.
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::fault::tests::child;

    #[test]
    fn verb_table() {
        for (word, expected) in [
            ("poweroff", Some(Verb::Poweroff)),
            ("exit", Some(Verb::Poweroff)),
            ("reboot", Some(Verb::Reboot)),
            ("halt", Some(Verb::Halt)),
            ("kexec", Some(Verb::Kexec)),
            ("suspend", None),
            ("", None),
        ] {
            assert_eq!(Verb::parse(word), expected, "{word}");
        }
    }

    #[test]
    fn f9_after_a_fault_all_is_read_only_and_the_machine_goes_down() {
        let name = "shutdown::tests::f9_after_a_fault_all_is_read_only_and_the_machine_goes_down";
        let dir = tempfile::tempdir().unwrap();
        let Some(mut command) = child(name, dir.path(), |env| {
            on_fault(env, || std::process::exit(77));
            panic!("no such row");
        }) else {
            return;
        };
        let trigger = dir.path().join("proc/sysrq-trigger");
        fs::create_dir(dir.path().join("proc")).unwrap();
        fs::write(&trigger, "").unwrap();
        assert_eq!(command.status().unwrap().code(), Some(77));
        assert_eq!(fs::read_to_string(trigger).unwrap(), "u");
    }

    #[test]
    fn outside_of_pid_1_nothing_is_touched() {
        let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
        let before = mounts();
        assert_eq!(run(&["poweroff".to_owned()]), ExitCode::from(2));
        assert_eq!(for_dracut(&["poweroff".to_owned()]), ExitCode::from(2));
        assert_eq!(mounts(), before);
    }

    #[test]
    fn dracuts_program_is_known_by_where_it_moved_run() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        let env = Env::new(dir.path());
        let root = "24 1 0:22 / / rw - tmpfs run rw\n";
        for (line, expected) in [
            ("", false),
            ("31 24 0:22 / /oldroot/run rw - tmpfs run rw\n", false),
            ("31 24 0:22 / /oldsys/run/user rw - tmpfs run rw\n", false),
            ("31 24 0:22 / /oldsys/run rw - tmpfs run rw\n", true),
        ] {
            fs::write(dir.path().join("proc/self/mountinfo"), format!("{root}{line}")).unwrap();
            assert_eq!(dracut_goes_down(&env), expected, "{line}");
        }
    }
}
