//! The rescue prompt: what a person sees when the boot has stopped. Where no person is meant to be, it acts by itself.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::system::RebootCommand;
#[cfg(not(test))]
use rustix::system::reboot;

use crate::attempt::{self, fault};
use crate::config::{Config, Emergency, Failure};
use crate::console::Console;
use crate::env::Env;
use crate::error::Stop;
use crate::format::udev_decode;
use crate::kmsg;
use crate::patient::{Apart, bounded};

/// How long the message stays on the screen before the machine acts by itself.
const READING_TIME: Duration = Duration::from_secs(10);
/// Lines of the kernel log that are shown: more would push the reason off the screen.
const LOG_LINES: usize = 40;
/// Bytes of one kernel log record (`PRINTK_MESSAGE_MAX`).
const RECORD_BYTES: usize = 8192;
const SHELL: &str = "/bin/sh";
/// How long the list of devices may take; one that does not answer is named after [`crate::facts::PATIENCE`].
const DEVICES_LIMIT: Duration = Duration::from_secs(15);
/// How long the report of a fault may take.
const FAULT_LIMIT: Duration = Duration::from_secs(3);
/// How long what was written may take to reach the disks before the machine goes down.
const SYNC_LIMIT: Duration = Duration::from_secs(10);

/// Shows why the boot stopped and does what the person, or `panic=` and `rd.emergency=`, say. Returns to try again.
pub fn run(env: &Env, config: &Config, stop: &Stop) {
    prompt(env, config.failure, stop);
}

fn prompt(env: &Env, failure: Failure, stop: &Stop) {
    // The console shows all of it; the log, which may share that console, gets it without the alarm.
    log::error!("{stop}");
    for line in stop.lines().iter().skip(1) {
        log::info!("{line}");
    }
    let Ok(mut console) = Console::open(env) else {
        return unattended(env, failure);
    };
    console.restore();
    show(&mut console, stop);
    if !failure.shell || failure.panic.is_some_and(|seconds| seconds < 0) {
        return unattended(env, failure);
    }
    // `panic=` is for machines nobody watches: it ends the prompt, but not under a person's hands.
    let timeout = failure.panic.filter(|seconds| *seconds > 0).map(i64::unsigned_abs);
    let mut until = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let shell = if env.path(SHELL).exists() { "  [s]hell" } else { "" };
        console.ask(&format!("[r]etry  [d]evices  [l]og{shell}  re[b]oot  [p]ower off > "));
        let Some(answer) = console.line(until) else { return unattended(env, failure) };
        until = None;
        match answer.as_str() {
            "r" | "retry" => return,
            "d" | "devices" => devices(&mut console),
            "l" | "log" => kernel_log(env, &mut console),
            "s" | "shell" if env.path(SHELL).exists() => run_shell(env, &mut console),
            "b" | "reboot" => act(env, Emergency::Reboot),
            "p" | "poweroff" | "power off" => act(env, Emergency::Poweroff),
            _ => show(&mut console, stop),
        }
    }
}

fn show(console: &mut Console, stop: &Stop) {
    console.say("");
    console.say("rdlive: the live system cannot be started");
    for line in stop.lines() {
        console.say(&line);
    }
}

/// In another process: one of the devices may be why we are here.
fn devices(console: &mut Console) {
    console.say(&format!("looking at each device, {} s at most", DEVICES_LIMIT.as_secs()));
    match attempt::answer(&["devices"], DEVICES_LIMIT) {
        Ok(lines) => lines.lines().for_each(|line| console.say(line)),
        Err(error) => console.say(&format!("looking at the devices: {error}")),
    }
}

/// A fault of ours in this process, which must not end: shows it, and acts as on any other reason; "retry" begins from the start.
pub fn on_fault() {
    let retry = || {
        let error = Command::new("/proc/self/exe").exec();
        log::error!("beginning anew: {error}");
        act(&Env::default(), Emergency::Reboot);
    };
    prompts_on_fault(Env::default(), told, retry);
}

fn prompts_on_fault(
    env: Env,
    told: impl Fn(&Stop) -> Option<Failure> + Send + Sync + 'static,
    retry: impl Fn() + Send + Sync + 'static,
) {
    let told = Arc::new(told);
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(ASKS) {
            // What asks may be what has failed; a release build would abort the whole process after this hook.
            loop {
                thread::park();
            }
        }
        let (place, what) = fault::described(info);
        let stop = fault::stop(&place, &what);
        let (asks, about) = (Arc::clone(&told), stop.clone());
        let asked = Apart::named(ASKS, move || asks(&about));
        let failure = asked.ok().and_then(|asked| asked.within(FAULT_LIMIT + FAULT_LIMIT / 6).ok()).flatten();
        // Where the command line cannot be read, a person is asked.
        prompt(&env, failure.unwrap_or(Failure { shell: true, panic: None, emergency: None }), &stop);
        retry();
    }));
}

/// The thread that asks what the command line says after a fault.
const ASKS: &str = "fault";

/// Has the report of a fault written in another process, which says what the command line asks for then: both are done by code
/// that may have failed here.
fn told(stop: &Stop) -> Option<Failure> {
    let stop = crate::json::line(stop).ok()?;
    let said = attempt::answer(&["fault", "init", &stop], FAULT_LIMIT).ok()?;
    said.lines().find_map(|line| crate::json::read(line.as_bytes()).ok())
}

fn kernel_log(env: &Env, console: &mut Console) {
    let mut lines = records(env);
    let skip = lines.len().saturating_sub(LOG_LINES);
    lines.drain(..skip);
    for line in lines {
        console.say(&line);
    }
}

/// The text of a record. The kernel writes all but printable ASCII, and backslashes, as `\xNN` (`Documentation/ABI/testing/dev-kmsg`):
/// that is undone, for consoles escape once themselves.
fn record(bytes: &str) -> Option<String> {
    let (_, text) = bytes.split_once(';')?;
    Some(udev_decode(text.lines().next()?))
}

/// Records of `/dev/kmsg` as text; each read gives one record.
fn records(env: &Env) -> Vec<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblock).open(env.path("dev/kmsg"));
    let Ok(mut file) = file else { return Vec::new() };
    let mut lines = Vec::new();
    let mut buffer = vec![0; RECORD_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return lines,
            Ok(length) => {
                lines.extend(record(&String::from_utf8_lossy(&buffer[..length])));
            }
            // EPIPE: records were overwritten while we read; the next read goes on with what is left.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => return lines,
        }
    }
}

fn run_shell(env: &Env, console: &mut Console) {
    let Ok([stdin, stdout, stderr]) = Console::streams(env) else { return };
    let mut command = Command::new(env.path(SHELL));
    command.stdin(stdin).stdout(stdout).stderr(stderr).env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin");
    match command.status() {
        Ok(_) => {}
        Err(error) => console.say(&format!("{SHELL}: {error}")),
    }
}

/// Nobody will answer: `rd.emergency=` decides, then `panic=`, then power-off, which loses nothing and burns nothing.
fn unattended(env: &Env, failure: Failure) {
    let action = failure.emergency.unwrap_or(match failure.panic {
        Some(seconds) if seconds != 0 => Emergency::Reboot,
        _ => Emergency::Poweroff,
    });
    let wait = match failure.panic {
        Some(seconds) if seconds < 0 => Duration::ZERO,
        _ => READING_TIME,
    };
    if !wait.is_zero() {
        let what = match action {
            Emergency::Reboot => "the machine restarts",
            Emergency::Poweroff => "the machine is switched off",
            Emergency::Halt => "the machine stops",
        };
        kmsg::tell(env, &format!("nobody is asked: {what} in {} s", wait.as_secs()));
    }
    thread::sleep(wait);
    act(env, action);
}

fn act(env: &Env, action: Emergency) {
    // A device that hangs would hold this up for ever.
    bounded(env, SYNC_LIMIT, "writing what is in memory", rustix::fs::sync);
    let (command, word) = match action {
        Emergency::Reboot => (RebootCommand::Restart, "rebooting"),
        Emergency::Poweroff => (RebootCommand::PowerOff, "switching off"),
        Emergency::Halt => (RebootCommand::Halt, "halting"),
    };
    if let Err(errno) = reboot(command) {
        log::error!("{word}: {errno}");
    }
}

/// No test ends the machine.
#[cfg(test)]
fn reboot(_: RebootCommand) -> rustix::io::Result<()> {
    std::process::exit(99)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;
    use crate::attempt::fault::tests::child;

    #[test]
    fn f12_what_the_kernel_has_escaped_is_shown_once() {
        for (bytes, expected) in [
            ("6,1,2,-;rdlive: plain\n", Some("rdlive: plain")),
            ("6,1,2,-;label M\\xc3\\xbcll; x\n SUBSYSTEM=block\n", Some("label Müll; x")),
            // What we have escaped ourselves, and what a driver has not.
            (r"6,1,2,-;label \x5cx1b[2J", Some(r"label \x1b[2J")),
            (r"6,1,2,-;label \x1b[2J", Some("label \x1b[2J")),
            ("no record", None),
        ] {
            assert_eq!(record(bytes).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn f9_a_fault_in_the_first_process_shows_the_prompt_and_retry_begins_anew() {
        let name = "native::rescue::tests::f9_a_fault_in_the_first_process_shows_the_prompt_and_retry_begins_anew";
        let dir = tempfile::tempdir().unwrap();
        let Some(mut command) = child(name, dir.path(), |env| {
            prompts_on_fault(env, |_| None, || std::process::exit(77));
            panic!("no such row: a\x1b[2Jb");
        }) else {
            return;
        };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        fs::create_dir(dir.path().join("dev")).unwrap();
        let line = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        symlink(&line, dir.path().join("dev/console")).unwrap();
        // Held, or the other end would see a line that hangs up before the prompt is there.
        let _line = crate::terminal::open(std::path::Path::new(&line), true).unwrap();
        let mut person = File::from(master);
        let mut process = command.spawn().unwrap();
        let mut seen = String::new();
        for answer in ["nonsense\n", "r\n"] {
            let asked = seen.len();
            while !seen[asked..].contains("[p]ower off > ") {
                let mut part = [0; 256];
                let length = person.read(&mut part).unwrap();
                assert!(length > 0, "{seen}");
                seen += &String::from_utf8_lossy(&part[..length]);
            }
            person.write_all(answer.as_bytes()).unwrap();
        }
        assert_eq!(process.wait().unwrap().code(), Some(77), "{seen}");
        assert_eq!(seen.matches("RDL-041: a fault in rdlive itself, at ").count(), 2, "{seen}");
        assert!(seen.contains("no such row: a\\x1b[2Jb") && seen.contains("try:    boot again"), "{seen}");
    }

    #[test]
    fn f9_after_a_fault_in_the_first_process_the_command_line_counts_as_ever() {
        let name = "native::rescue::tests::f9_after_a_fault_in_the_first_process_the_command_line_counts_as_ever";
        let dir = tempfile::tempdir().unwrap();
        let Some(mut command) = child(name, dir.path(), |env| {
            let told = |stop: &Stop| {
                assert_eq!(stop.code, crate::error::Code::Fault);
                Some(Failure { shell: true, panic: Some(-1), emergency: Some(Emergency::Halt) })
            };
            prompts_on_fault(env, told, || std::process::exit(77));
            panic!("no such row");
        }) else {
            return;
        };
        fs::create_dir(dir.path().join("dev")).unwrap();
        fs::write(dir.path().join("dev/console"), "").unwrap();
        assert_eq!(command.status().unwrap().code(), Some(99), "it goes down, and asks nobody");
        let said = fs::read_to_string(dir.path().join("dev/console")).unwrap();
        assert!(said.contains("RDL-041") && !said.contains("[r]etry"), "{said}");
    }
}
