//! Text on its way to a terminal.
//!
//! Labels, names and paths come from media that anybody may have made. In types and JSON they stay what they are; where text
//! becomes the bytes that a terminal obeys, what it would obey is shown instead (`docs/decisions/0010-hostile-input.md`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use rdlive_media::printable::printable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Lines as one text. Only ends between them are ends of lines there: one inside of a label is shown like all else that is obeyed.
#[must_use]
pub fn printable_lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().map(|line| printable(line.as_ref()) + "\n").collect()
}

/// Prints lines to the standard output. Nobody is told where nobody reads.
pub fn print<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) {
    let _ = io::Write::write_all(&mut io::stdout(), printable_lines(lines).as_bytes());
}

/// Prints what went wrong to the standard error.
pub fn complain(line: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), printable_lines([line]).as_bytes());
}

/// Prints JSON to the standard output, as it is: programs read it.
///
/// # Errors
/// It cannot be written in JSON.
pub fn print_json(value: &serde_json::Value) -> serde_json::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    let _ = io::Write::write_all(&mut io::stdout(), &text);
    Ok(())
}

/// How long a console may take to accept a line: a slow serial line needs a tenth of this.
const LINE_LIMIT: Duration = Duration::from_secs(2);

/// A console has not accepted a line in time. Nobody waits for it again.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Opens a terminal so that nothing waits for a line that is down or stopped, and none becomes the controlling one.
///
/// # Errors
/// The error of opening it.
pub fn open(path: &Path, read: bool) -> io::Result<File> {
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(read).write(true).custom_flags(flags).open(path)
}

/// Writes to a terminal that [`open`] has opened, as far as it accepts that in time (attacks.md F11).
///
/// # Errors
/// Also when the time is over.
pub fn write_within(mut terminal: &File, bytes: &[u8], limit: Duration) -> io::Result<()> {
    let until = Instant::now() + limit;
    let mut rest = bytes;
    while !rest.is_empty() {
        match io::Write::write(&mut terminal, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it accepts nothing"));
                }
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut [PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::OUT)], Some(&left)) {
                    Err(rustix::io::Errno::INTR) => {}
                    polled => {
                        polled?;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes to a console, where nobody may be in front of it. One that once accepted nothing is not waited for again.
pub fn say(console: &File, bytes: &[u8]) {
    let limit = if STUCK.load(Ordering::Relaxed) { Duration::ZERO } else { LINE_LIMIT };
    if write_within(console, bytes, limit).is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        STUCK.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Read;

    use serde_json::Value;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;
    use rdlive_media::printable::is_obeyed;

    #[test]
    fn a_line_that_is_stopped_is_not_waited_for() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let line = open(Path::new(&name), false).unwrap();
        write_within(&line, b"heard", Duration::ZERO).unwrap();
        let mut heard = [0; 5];
        File::from(master.try_clone().unwrap()).read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"heard");
        // Nobody reads any more.
        let begin = Instant::now();
        let error = write_within(&line, &[b'x'; 1 << 20], Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        for _ in 0..20 {
            say(&line, b"once more");
        }
        assert!(begin.elapsed() < LINE_LIMIT + Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    /// A label with line ends, escape sequences and directions of writing in it, and with what looks escaped already.
    pub(crate) const HOSTILE: &str = "a\n<0>b\r\u{b}\u{1b}[8m\u{85}\u{9b}2J\u{2028}\u{2029}\u{202e}\u{2066}c\\x0a";

    /// The same facts once for each text in them, with [`HOSTILE`] and with a harmless word in its place. What is no text for
    /// `read`, such as the name of a variant, is left out. The number of texts is the answer.
    pub(crate) fn with_each_text<T>(
        sample: &Value,
        read: impl Fn(Value) -> Option<T>,
        shown: impl Fn(&T) -> Vec<String>,
    ) -> usize {
        assert!(read(sample.clone()).is_some(), "{sample}");
        let mut texts = Vec::new();
        pointers(sample, String::new(), &mut texts);
        let mut checked = 0;
        for at in texts {
            let with = |text: &str| {
                let mut value = sample.clone();
                *value.pointer_mut(&at).unwrap() = text.into();
                read(value).map(|facts| printable_lines(shown(&facts)))
            };
            let (Some(harmless), Some(hostile)) = (with("HARMLESS"), with(HOSTILE)) else { continue };
            // Of what can be no URL it is said why not, which differs.
            if at != "/source/url" {
                // Escaped once, in the line where it belongs, and nothing else has changed.
                assert_eq!(hostile, harmless.replace("HARMLESS", &printable(HOSTILE)), "{at}");
            }
            assert!(!hostile.replace('\n', "").chars().any(is_obeyed), "{at}: {hostile:?}");
            checked += 1;
        }
        checked
    }

    fn pointers(value: &Value, at: String, texts: &mut Vec<String>) {
        match value {
            Value::String(_) => texts.push(at),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(number, value)| pointers(value, format!("{at}/{number}"), texts));
            }
            Value::Object(map) => map.iter().for_each(|(key, value)| pointers(value, format!("{at}/{key}"), texts)),
            _ => {}
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, expected) in [
            ("LIVE größe 日本", "LIVE größe 日本"),
            ("\x1b[2J\x1b[8mhidden", "\\x1b[2J\\x1b[8mhidden"),
            ("a\r\nRDL-000: fine\t\x07\x7f", "a\\x0d\\x0aRDL-000: fine\\x09\\x07\\x7f"),
            ("\u{9b}31m", "\\xc2\\x9b31m"),
            ("\u{202e}gpj.exe", "\\xe2\\x80\\xaegpj.exe"),
            ("\u{85}\u{2028}\u{2029}", "\\xc2\\x85\\xe2\\x80\\xa8\\xe2\\x80\\xa9"),
            ("\u{202a}\u{2066}\u{2069}", "\\xe2\\x80\\xaa\\xe2\\x81\\xa6\\xe2\\x81\\xa9"),
            ("\\x1b stays", "\\x1b stays"),
        ] {
            let shown = printable(text);
            assert_eq!((shown.as_str(), printable(&shown)), (expected, expected.to_owned()), "{text:?}");
            assert!(!shown.chars().any(char::is_control), "{text:?}");
        }
        assert_eq!(printable_lines(["a\nb\x1b", "", "c"]), "a\\x0ab\\x1b\n\nc\n");
    }
}
