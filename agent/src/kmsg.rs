//! Log lines to `/dev/kmsg`, so that they stand in time order among the kernel's own; stderr where there is none. And the kernel's own
//! lines about what was just done.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

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

/// Logs what a person must know, as [`fall_back`], whichever console that person looks at: the kernel shows on all of them what it shows.
pub fn everywhere(env: &Env, text: &str) {
    log::warn!("{text}");
    if !is_hidden(env, WARNING_LEVEL) {
        return;
    }
    let active = env.text("sys/class/tty/console/active").unwrap_or_default();
    let line = format!("rdlive: {text}");
    let shown = active.split_whitespace().filter(|name| put(env, name, &line)).count();
    if shown == 0 {
        put(env, "console", &line);
    }
}

/// Writes a line to the console if the kernel does not show there what has this severity.
fn show(env: &Env, severity: u8, text: &str) {
    if is_hidden(env, severity) {
        put(env, "console", text);
    }
}

/// Whether the kernel keeps off its consoles what has this severity.
fn is_hidden(env: &Env, severity: u8) -> bool {
    let levels = env.text("proc/sys/kernel/printk").unwrap_or_default();
    let shown = levels.split_whitespace().next().and_then(|level| level.parse::<u8>().ok());
    let all = env.text("sys/module/printk/parameters/ignore_loglevel").is_some_and(|text| text.trim() == "Y");
    !all && shown.is_some_and(|level| level <= severity)
}

/// Writes a line to a terminal; tells whether there is one.
fn put(env: &Env, name: &str, text: &str) -> bool {
    let terminal = terminal::open(&env.path("dev").join(name), false);
    terminal.map(|terminal| terminal::say(&terminal, format!("{}\r\n", printable(text)).as_bytes())).is_ok()
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
    format!("<{level}>rdlive: {}", cut(&printable(text), LINE_BYTES))
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Records that are looked at for one failure; a log may be flooded.
const RECORDS: usize = 256;
/// Bytes of one record (`PRINTK_MESSAGE_MAX`).
const RECORD_BYTES: usize = 8192;
/// Lines that are told of one failure, and bytes of each.
const WORDS: usize = 3;
const WORD_BYTES: usize = 160;

/// What the kernel logs while something is done. Many drivers say only there why they refuse.
#[derive(Debug)]
pub struct Listener {
    log: Option<File>,
}

impl Listener {
    /// Listens from now on; to nothing where there is no log.
    #[must_use]
    pub fn new(env: &Env) -> Self {
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let log = OpenOptions::new().read(true).custom_flags(flags).open(env.path("dev/kmsg")).ok();
        let listener = Self { log };
        listener.begin();
        listener
    }

    /// Forgets what was logged until now.
    pub fn begin(&self) {
        if let Some(mut log) = self.log.as_ref() {
            // A log that cannot be wound forward tells old lines, too.
            let _ = log.seek(SeekFrom::End(0));
        }
    }

    /// The kernel's lines since then about `names` (devices and drivers), or else all of its warnings, in one text. Lines of programs,
    /// ours too, are none of the kernel.
    #[must_use]
    pub fn words(&self, names: &[String]) -> Option<String> {
        let mut lines = Vec::new();
        let mut buffer = vec![0; RECORD_BYTES];
        let mut log = self.log.as_ref()?;
        for _ in 0..RECORDS {
            match log.read(&mut buffer) {
                Ok(length @ 1..) => lines.extend(buffer.get(..length).and_then(kernels)),
                // It was overwritten before it was read.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                Ok(_) | Err(_) => break,
            }
        }
        let words = chosen(&lines, names);
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// All that the kernel has logged since it runs and still has, at most so many records.
#[must_use]
pub fn since_start(env: &Env, records: usize) -> Vec<String> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(flags).open(env.path("dev/kmsg")) else {
        return Vec::new();
    };
    let (mut lines, mut buffer) = (Vec::new(), vec![0; RECORD_BYTES]);
    for _ in 0..records {
        match log.read(&mut buffer) {
            Ok(length @ 1..) => lines.extend(buffer.get(..length).and_then(kernels).map(|(_, text)| text)),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Ok(_) | Err(_) => break,
        }
    }
    lines
}

/// Severity and text of a record (`Documentation/ABI/testing/dev-kmsg`) that the kernel itself has written.
fn kernels(record: &[u8]) -> Option<(u8, String)> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let number: u32 = head.split(',').next()?.parse().ok()?;
    // What a program writes is never of facility 0.
    let text = text.lines().next().filter(|_| number < 8)?.trim().to_owned();
    Some((u8::try_from(number).ok()?, text))
}

/// The first lines about what is named; without any, all that warn; without any, what else there is about it.
fn chosen(lines: &[(u8, String)], names: &[String]) -> Vec<String> {
    let about = |text: &str| names.iter().any(|name| mentions(text, name));
    let taken = |is: &dyn Fn(u8, &str) -> bool| {
        let mut words: Vec<String> = Vec::new();
        for (_, text) in lines.iter().filter(|(level, text)| is(*level, text)) {
            let text = cut(text, WORD_BYTES).to_owned();
            if words.len() < WORDS && !words.contains(&text) {
                words.push(text);
            }
        }
        words
    };
    let first = taken(&|level, text| level <= WARNING_LEVEL && about(text));
    let second = || taken(&|level, _| level <= WARNING_LEVEL);
    let third = || taken(&|level, text| level < 7 && about(text));
    [first].into_iter().chain([second(), third()]).find(|words| !words.is_empty()).unwrap_or_default()
}

/// Whether a line begins with a name, as those of drivers do, or has it as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let begins = text.strip_prefix(&name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    !name.is_empty() && (begins || words.any(|word| word == name))
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
    fn only_records_of_the_kernel_count() {
        for (record, expected) in [
            ("3,12,99,-;ISOFS: unsupported\n SUBSYSTEM=block\n", Some((3, "ISOFS: unsupported"))),
            ("6,12,99,-,caller=T1;loop: module loaded\n", Some((6, "loop: module loaded"))),
            // Ours, and what udev or systemd writes.
            ("12,13,99,-;rdlive: sda1: RDL-012\n", None),
            ("30,13,99,-;systemd[1]: Starting\n", None),
            ("no record", None),
            ("x;y", None),
        ] {
            assert_eq!(kernels(record.as_bytes()), expected.map(|(level, text)| (level, text.to_owned())), "{record}");
        }
    }

    #[test]
    fn the_kernels_words_are_those_about_it() {
        let names = ["loop0", "sda1", "sda", "isofs"].map(str::to_owned);
        let (long, cut) = (format!("sda: {}", "ä".repeat(200)), format!("sda: {}", "ä".repeat(77)));
        for (lines, expected) in [
            (
                vec![(4, "ISOFS: Unable to identify CD-ROM format."), (3, "usb 1-1: error -71")],
                vec!["ISOFS: Unable to identify CD-ROM format."],
            ),
            (
                vec![(3, "EXT4-fs (loop7): bad"), (3, "EXT4-fs (loop0): bad geometry")],
                vec!["EXT4-fs (loop0): bad geometry"],
            ),
            (
                vec![(3, "I/O error, dev sda, sector 8"), (3, "I/O error, dev sda, sector 8")],
                vec!["I/O error, dev sda, sector 8"],
            ),
            (vec![(3, "mmc0: error -110"), (6, "sdb: sdb1"), (6, "sda: sda1")], vec!["mmc0: error -110"]),
            (
                vec![(6, "squashfs: version 4.0"), (6, "sdaa: sdaa1"), (5, "XFS (sda1): Mounting")],
                vec!["XFS (sda1): Mounting"],
            ),
            (vec![(7, "sda1: debug"), (6, "random: ready")], vec![]),
            (vec![(3, "a"), (3, "b"), (3, "c"), (3, "d")], vec!["a", "b", "c"]),
            (vec![(3, &*long)], vec![&*cut]),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|(level, text)| (level, text.to_owned())).collect();
            assert_eq!(chosen(&lines, &names), expected, "{lines:?}");
        }
    }

    #[test]
    fn where_there_is_no_log_nothing_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Listener::new(&Env::new(dir.path())).words(&[]), None);
    }

    #[test]
    fn what_must_be_known_is_on_every_console() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        for (path, text) in [
            ("proc/sys/kernel/printk", "4\t4\t1\t4\n"),
            ("sys/class/tty/console/active", "tty0 ttyS0 gone\n"),
            ("dev/console", ""),
            ("dev/tty0", ""),
            ("dev/ttyS0", ""),
        ] {
            let path = env.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let text = |name: &str| env.text(format!("dev/{name}")).unwrap_or_default();
        everywhere(&env, "why");
        assert_eq!(["console", "tty0", "ttyS0"].map(text), ["", "rdlive: why", "rdlive: why"]);
        std::fs::write(env.path("sys/class/tty/console/active"), "").unwrap();
        everywhere(&env, "once more");
        assert_eq!(text("console"), "rdlive: once more");
        // Without `quiet` the kernel does it.
        std::fs::write(env.path("proc/sys/kernel/printk"), "7\t4\t1\t7\n").unwrap();
        everywhere(&env, "by the kernel");
        assert_eq!(text("console"), "rdlive: once more");
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
