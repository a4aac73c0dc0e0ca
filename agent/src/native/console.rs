//! The console: where a person reads and types.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::env::Env;

/// Longest line a person may type.
const LINE_BYTES: usize = 256;

/// An open console.
#[derive(Debug)]
pub struct Console(File);

impl Console {
    /// Opens `/dev/console`, without making it a controlling terminal.
    ///
    /// # Errors
    /// The error of opening it.
    pub fn open(env: &Env) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap_or(0);
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(env.path("dev/console")).map(Self)
    }

    /// Writes a line.
    pub fn say(&mut self, text: &str) {
        // A console that cannot be written to has nobody in front of it.
        let _ = self.0.write_all(format!("{}\r\n", text.replace('\n', "\r\n")).as_bytes());
    }

    /// Writes without a line end.
    pub fn ask(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes());
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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return None,
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
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

    /// The console as the three standard streams of a program.
    ///
    /// # Errors
    /// The error of duplicating the descriptor.
    pub fn streams(&self) -> io::Result<[File; 3]> {
        Ok([self.0.try_clone()?, self.0.try_clone()?, self.0.try_clone()?])
    }
}
