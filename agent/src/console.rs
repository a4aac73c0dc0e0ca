//! The console: where a person reads and types.

mod keys;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

pub use keys::Keys;

use crate::env::Env;
use crate::terminal::{self, printable};

const PATH: &str = "dev/console";

/// Longest line a person may type.
const LINE_BYTES: usize = 256;

/// Longest passphrase a person may type (cryptsetup's own limit).
pub const SECRET_BYTES: usize = 512;

/// What came of asking for a secret.
#[derive(Debug)]
pub enum Typed {
    /// The line, perhaps empty.
    Line(Vec<u8>),
    /// The end of the input instead of a line.
    Nothing,
    /// More than [`SECRET_BYTES`].
    TooLong,
    /// Not in time.
    TimeOver,
    /// The console cannot be told to hide what is typed, so nothing was read.
    Failed(io::Error),
}

/// Makes the console the standard streams of this process, where there is one.
pub fn become_standard_streams() {
    if let Ok(console) = openat(CWD, "/dev/console", OFlags::RDWR | OFlags::NOCTTY, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(&console);
        let _ = rustix::stdio::dup2_stdout(&console);
        let _ = rustix::stdio::dup2_stderr(&console);
    }
}

/// An open console.
#[derive(Debug)]
pub struct Console(File);

impl Console {
    /// Opens `/dev/console`, without making it a controlling terminal.
    ///
    /// # Errors
    /// The error of opening it.
    pub fn open(env: &Env) -> io::Result<Self> {
        terminal::open(&env.path(PATH), true).map(Self)
    }

    /// Shows what is typed, line by line, whatever a process has left behind that was killed while it listened for a key.
    pub fn restore(&self) {
        if let Ok(mut modes) = tcgetattr(&self.0) {
            modes.local_modes.insert(LocalModes::ECHO | LocalModes::ICANON);
            let _ = tcsetattr(&self.0, OptionalActions::Now, &modes);
        }
    }

    /// Writes a line.
    pub fn say(&mut self, text: &str) {
        terminal::say(&self.0, format!("{}\r\n", printable(text)).as_bytes());
    }

    /// Writes without a line end.
    pub fn ask(&mut self, text: &str) {
        terminal::say(&self.0, printable(text).as_bytes());
    }

    /// Reads a line, at most until `until`; `None` when the time is over or the console has gone.
    pub fn line(&mut self, until: Option<Instant>) -> Option<String> {
        let mut line = Vec::new();
        while line.len() < LINE_BYTES {
            if !self.readable(until) {
                return None;
            }
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) if byte[0] == b'\n' || byte[0] == b'\r' => break,
                Ok(1) => line.push(byte[0]),
                Err(error) if is_early(&error) => {}
                _ => return None,
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Asks for a line that is not shown while it is typed. What was typed before the question does not count.
    pub fn secret(&mut self, question: &str, until: Option<Instant>) -> Typed {
        let shown = match hide(&self.0) {
            Ok(shown) => shown,
            Err(error) => return Typed::Failed(error),
        };
        self.say("");
        self.ask(question);
        let typed = self.hidden_line(until);
        if let Some(shown) = &shown {
            let _ = tcsetattr(&self.0, OptionalActions::Now, shown);
        }
        self.say("");
        typed
    }

    /// Shows nothing of what is typed until the result is dropped; `None` where nothing would be shown anyway.
    pub fn unseen(self) -> Option<Unseen> {
        let shown = hide(&self.0).ok().flatten()?;
        Some(Unseen { console: self.0, shown })
    }

    fn hidden_line(&mut self, until: Option<Instant>) -> Typed {
        let mut line = Zeroizing::new(Vec::with_capacity(SECRET_BYTES));
        let mut too_long = false;
        loop {
            if !self.readable(until) {
                return Typed::TimeOver;
            }
            let mut byte = Zeroizing::new([0]);
            match self.0.read(byte.as_mut_slice()) {
                Ok(1) if matches!(byte[0], b'\n' | b'\r') => break,
                Ok(1) if line.len() < SECRET_BYTES => line.push(byte[0]),
                // The rest of the line is read too, or it would answer the next question.
                Ok(1) => too_long = true,
                Err(error) if is_early(&error) => {}
                _ => return Typed::Nothing,
            }
        }
        if too_long { Typed::TooLong } else { Typed::Line(std::mem::take(&mut *line)) }
    }

    fn readable(&self, until: Option<Instant>) -> bool {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// The console as the three standard streams of a program, which waits for it as usual.
    ///
    /// # Errors
    /// The error of opening it.
    pub fn streams(env: &Env) -> io::Result<[File; 3]> {
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let console = OpenOptions::new().read(true).write(true).custom_flags(flags).open(env.path(PATH))?;
        Ok([console.try_clone()?, console.try_clone()?, console])
    }
}

/// A console that shows nothing of what is typed. What was typed meanwhile is no answer to anything, and is forgotten.
#[derive(Debug)]
pub struct Unseen {
    console: File,
    shown: Termios,
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcflush(&self.console, QueueSelector::IFlush);
        let _ = tcsetattr(&self.console, OptionalActions::Now, &self.shown);
    }
}

/// Nothing is there yet, whatever was said before.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Turns the echo off and forgets what was typed so far; returns what to go back to. What is no terminal shows nothing.
fn hide(console: &File) -> io::Result<Option<Termios>> {
    let shown = match tcgetattr(console) {
        Ok(shown) => shown,
        Err(rustix::io::Errno::NOTTY) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
    tcsetattr(console, OptionalActions::Now, &hidden)?;
    tcflush(console, QueueSelector::IFlush)?;
    Ok(Some(shown))
}
