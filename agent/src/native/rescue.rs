//! The rescue prompt: what a person sees when the boot has stopped. Where no person is meant to be, it acts by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::system::{RebootCommand, reboot};

use super::console::Console;
use crate::config::{Config, Emergency};
use crate::env::Env;
use crate::error::Stop;
use crate::probe::block;

/// How long the message stays on the screen before the machine acts by itself.
const READING_TIME: Duration = Duration::from_secs(10);
/// Lines of the kernel log that are shown: more would push the reason off the screen.
const LOG_LINES: usize = 40;
/// Bytes of one kernel log record (`PRINTK_MESSAGE_MAX`).
const RECORD_BYTES: usize = 8192;
const SHELL: &str = "/bin/sh";

/// Shows why the boot stopped and does what the person, or `panic=` and `rd.emergency=`, say. Returns to try again.
pub fn run(env: &Env, config: &Config, stop: &Stop) {
    // The console shows all of it; the log, which may share that console, gets it without the alarm.
    log::error!("{stop}");
    for line in stop.lines().iter().skip(1) {
        log::info!("{line}");
    }
    let Ok(mut console) = Console::open(env) else {
        return unattended(config);
    };
    show(&mut console, stop);
    if !config.failure.shell || config.failure.panic.is_some_and(|seconds| seconds < 0) {
        return unattended(config);
    }
    // `panic=` is for machines nobody watches: it ends the prompt, but not under a person's hands.
    let timeout = config.failure.panic.filter(|seconds| *seconds > 0).map(i64::unsigned_abs);
    let mut until = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let shell = if env.path(SHELL).exists() { "  [s]hell" } else { "" };
        console.ask(&format!("[r]etry  [d]evices  [l]og{shell}  re[b]oot  [p]ower off > "));
        let Some(answer) = console.line(until) else { return unattended(config) };
        until = None;
        match answer.as_str() {
            "r" | "retry" => return,
            "d" | "devices" => devices(env, &mut console),
            "l" | "log" => kernel_log(env, &mut console),
            "s" | "shell" if env.path(SHELL).exists() => run_shell(env, &mut console),
            "b" | "reboot" => act(Emergency::Reboot),
            "p" | "poweroff" | "power off" => act(Emergency::Poweroff),
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

fn devices(env: &Env, console: &mut Console) {
    for device in block::names(env).iter().filter_map(|name| block::device(env, name)) {
        if device.size > 0 {
            console.say(&device.summary());
        }
    }
}

fn kernel_log(env: &Env, console: &mut Console) {
    let mut lines = records(env);
    let skip = lines.len().saturating_sub(LOG_LINES);
    lines.drain(..skip);
    for line in lines {
        console.say(&line);
    }
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
                let text = String::from_utf8_lossy(&buffer[..length]);
                lines.extend(text.split_once(';').and_then(|(_, text)| text.lines().next().map(str::to_owned)));
            }
            // EPIPE: records were overwritten while we read; the next read goes on with what is left.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => return lines,
        }
    }
}

fn run_shell(env: &Env, console: &mut Console) {
    let Ok([stdin, stdout, stderr]) = console.streams() else { return };
    let mut command = Command::new(env.path(SHELL));
    command.stdin(stdin).stdout(stdout).stderr(stderr).env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin");
    match command.status() {
        Ok(_) => {}
        Err(error) => console.say(&format!("{SHELL}: {error}")),
    }
}

/// Nobody will answer: `rd.emergency=` decides, then `panic=`, then power-off, which loses nothing and burns nothing.
fn unattended(config: &Config) {
    let failure = config.failure;
    let action = failure.emergency.unwrap_or(match failure.panic {
        Some(seconds) if seconds != 0 => Emergency::Reboot,
        _ => Emergency::Poweroff,
    });
    let wait = match failure.panic {
        Some(seconds) if seconds < 0 => Duration::ZERO,
        _ => READING_TIME,
    };
    std::thread::sleep(wait);
    act(action);
}

fn act(action: Emergency) {
    rustix::fs::sync();
    let command = match action {
        Emergency::Reboot => RebootCommand::Restart,
        Emergency::Poweroff => RebootCommand::PowerOff,
        Emergency::Halt => RebootCommand::Halt,
    };
    if let Err(errno) = reboot(command) {
        log::error!("{action:?}: {errno}");
    }
}
