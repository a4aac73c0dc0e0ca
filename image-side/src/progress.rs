//! What the operator sees: one line per stage, with a bar on a terminal.

use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::termios::isatty;

const BAR: usize = 30;

/// Prints stages to standard error.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    terminal: bool,
    started: Cell<Instant>,
    shown: Cell<Option<u8>>,
}

impl Progress {
    /// A printer; `quiet` leaves only warnings.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: isatty(io::stderr()), started: Cell::new(Instant::now()), shown: Cell::new(None) }
    }

    /// Begins a stage.
    pub fn stage(&self, name: &str) {
        self.started.set(Instant::now());
        self.shown.set(None);
        if self.terminal {
            self.print(&format!("{name} …"));
        } else if !self.quiet {
            eprintln!("{name} …");
        }
    }

    /// Moves the bar of stage `name` to `percent`.
    pub fn percent(&self, name: &str, percent: u8) {
        let percent = percent.min(100);
        if !self.terminal || self.shown.replace(Some(percent)) == Some(percent) {
            return;
        }
        let full = usize::from(percent) * BAR / 100;
        self.print(&format!("{name} [{}{}] {percent:3} %", "#".repeat(full), ".".repeat(BAR - full)));
    }

    /// Ends the stage with a summary.
    pub fn done(&self, summary: &str) {
        if self.quiet {
            return;
        }
        let line = format!("{summary} ({})", seconds(self.started.get().elapsed()));
        if self.terminal {
            self.print(&line);
            eprintln!();
        } else {
            eprintln!("{line}");
        }
    }

    /// A fact that the operator may want to know.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.clear();
            eprintln!("note: {text}");
        }
    }

    /// Survived trouble; shown even when quiet.
    pub fn warn(&self, text: &str) {
        self.clear();
        eprintln!("warning: {text}");
    }

    /// Something that is wrong, one of several; shown even when quiet.
    pub fn fail(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    fn clear(&self) {
        if self.terminal {
            self.print("");
        }
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut out = io::stderr().lock();
        // A terminal that went away must not stop the build.
        let _ = write!(out, "\r\x1b[K{text}");
        let _ = out.flush();
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Bytes for a person, in binary units.
pub fn human(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // One decimal is shown.
    let value = bytes as f64;
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", value / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", value / 1048576.0),
        _ => format!("{:.2} GiB", value / 1073741824.0),
    }
}

/// The last `NN%` (or a bare number, `mksquashfs -percentage`) in a piece of output.
pub fn percent_in(piece: &str) -> Option<u8> {
    let word = piece.split_whitespace().last()?;
    word.strip_suffix('%').unwrap_or(word).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_found_at_the_end() {
        for (piece, expected) in [
            ("[=====/      ] 120/400  30%", Some(30)),
            ("57", Some(57)),
            ("Exportable Squashfs 4.0 filesystem, zstd compressed", None),
            ("", None),
        ] {
            assert_eq!(percent_in(piece), expected, "{piece:?}");
        }
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [(12, "12 B"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.00 GiB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
