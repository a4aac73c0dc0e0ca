//! Log lines to `/dev/kmsg`, so that they stand in time order among the kernel's own; stderr where there is none.

use std::fs::{File, OpenOptions};
use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::env::Env;
use crate::terminal::{self, printable};

/// Log target of a line that an operator should see: chosen source, write mode.
pub const NOTICE: &str = "notice";
/// Its severity; the console shows what is below its own level.
const NOTICE_LEVEL: u8 = 5;
/// Severity of a warning.
const WARNING_LEVEL: u8 = 4;
/// Bytes of one line: the kernel cuts records at 976 (`LOG_LINE_MAX`).
const LINE_BYTES: usize = 900;

struct Kmsg {
    device: Option<File>,
}

/// The kernel's own limit on `/dev/kmsg` is ten lines in five seconds, and says nothing about lines it drops.
const RATE_LIMIT: &str = "proc/sys/kernel/printk_devkmsg";

/// Lifts the kernel's limit on log lines from programs; returns the setting to give to [`restore_limit`].
pub fn lift_limit(env: &Env) -> Option<String> {
    let before = env.text(RATE_LIMIT)?;
    // Without the line end the kernel refuses the word.
    std::fs::write(env.path(RATE_LIMIT), "on\n").ok()?;
    Some(before)
}

/// Puts the limit back for the real system.
pub fn restore_limit(env: &Env, before: Option<&str>) {
    // The kernel refuses this where the command line has fixed the setting, and then nothing was changed either.
    if let Some(before) = before {
        let _ = std::fs::write(env.path(RATE_LIMIT), format!("{before}\n"));
    }
}

/// Starts logging. Under systemd the journal takes our lines from the kernel log, so stderr would only double them.
pub fn start(env: &Env) {
    let device = OpenOptions::new().write(true).open(env.path("dev/kmsg")).ok();
    // A second call, as tests do, keeps the first logger.
    if log::set_boxed_logger(Box::new(Kmsg { device })).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Logs a line that a person waits for. Where the kernel's messages do not reach the console (`quiet`), it is written
/// there as well.
pub fn tell(env: &Env, text: &str) {
    log::info!(target: NOTICE, "{text}");
    show(env, NOTICE_LEVEL, text);
}

/// Logs that something asked for was given up, and why: as [`tell`], for `quiet` hides warnings too.
pub fn fall_back(env: &Env, text: &str) {
    log::warn!("{text}");
    show(env, WARNING_LEVEL, &format!("rdlive: {text}"));
}

/// Writes a line to the console if the kernel does not show there what has this severity.
fn show(env: &Env, severity: u8, text: &str) {
    let levels = env.text("proc/sys/kernel/printk").unwrap_or_default();
    let shown = levels.split_whitespace().next().and_then(|level| level.parse::<u8>().ok());
    let all = env.text("sys/module/printk/parameters/ignore_loglevel").is_some_and(|text| text.trim() == "Y");
    if !all
        && shown.is_some_and(|level| level <= severity)
        && let Ok(console) = terminal::open(&env.path("dev/console"), false)
    {
        terminal::say(&console, format!("{}\r\n", printable(text)).as_bytes());
    }
}

/// Sets whether facts (`debug`) are logged too.
pub fn verbose(on: bool) {
    log::set_max_level(if on { LevelFilter::Debug } else { LevelFilter::Info });
}

impl Log for Kmsg {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(level(record), &record.args().to_string());
        // The kernel drops what it cannot take; there is nobody left to tell.
        let _ = match self.device.as_ref() {
            Some(mut device) => device.write_all(line.as_bytes()),
            None => writeln!(std::io::stderr(), "{}", &line[3..]),
        };
    }

    fn flush(&self) {}
}

/// Severity as syslog(3) numbers it.
fn level(record: &Record<'_>) -> u8 {
    match record.level() {
        Level::Error => 3,
        Level::Warn => WARNING_LEVEL,
        Level::Info if record.target() == NOTICE => NOTICE_LEVEL,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// One record: no line end inside, cut at a character boundary.
fn line(level: u8, text: &str) -> String {
    let flat = printable(text);
    let mut end = flat.len().min(LINE_BYTES);
    while !flat.is_char_boundary(end) {
        end -= 1;
    }
    format!("<{level}>rdlive: {}", &flat[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_on_the_console_once() {
        for (printk, ignore, told, warned) in [
            // By default the kernel shows both, with `quiet` none; a kernel may be built with levels of its own.
            ("7\t4\t1\t7", "N", false, false),
            ("4\t4\t1\t4", "N", true, true),
            ("1\t4\t1\t7", "N", true, true),
            ("5\t4\t1\t7", "N", true, false),
            ("4\t4\t1\t4", "Y", false, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let env = Env::new(dir.path());
            for (path, text) in [
                ("proc/sys/kernel/printk", printk),
                ("sys/module/printk/parameters/ignore_loglevel", ignore),
                ("dev/console", ""),
            ] {
                let path = env.path(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, format!("{text}\n").trim_start()).unwrap();
            }
            let console = |say: fn(&Env, &str)| {
                std::fs::write(env.path("dev/console"), "").unwrap();
                say(&env, "why\x1b[8m");
                env.text("dev/console").unwrap_or_default()
            };
            assert_eq!(console(tell), if told { "why\\x1b[8m" } else { "" }, "tell, {printk} {ignore}");
            assert_eq!(
                console(fall_back),
                if warned { "rdlive: why\\x1b[8m" } else { "" },
                "fall_back, {printk} {ignore}"
            );
        }
    }

    #[test]
    fn line_table() {
        let long = "ä".repeat(1000);
        for (text, expected) in [
            ("plain", "<6>rdlive: plain".to_owned()),
            ("label a\n<0>b\r\u{2028}", "<6>rdlive: label a\\x0a<0>b\\x0d\\xe2\\x80\\xa8".to_owned()),
            ("\x1b[2J", "<6>rdlive: \\x1b[2J".to_owned()),
            (long.as_str(), format!("<6>rdlive: {}", "ä".repeat(450))),
        ] {
            assert_eq!(line(6, text), expected, "{text}");
        }
    }
}
