//! A key that ends a wait, on every console.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use super::PATH;
use crate::env::Env;
use crate::terminal;

/// The consoles of the kernel, by name and in its order.
const ACTIVE: &str = "sys/class/tty/console/active";
/// It reads the keyboard there.
const PLYMOUTH: &str = "run/plymouth/pid";

/// Listens for a key on every console until it is dropped. Then each of them shows what is typed as before.
#[derive(Debug)]
pub struct Keys {
    /// What the thread waits for besides; it ends when this is closed.
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Calls `pressed` once for the first key that is pressed from now on; `None` where nobody can press one.
    pub fn listen(env: &Env, pressed: impl FnOnce() + Send + 'static) -> Option<Self> {
        if env.path(PLYMOUTH).exists() {
            return None;
        }
        let names = env.text(ACTIVE).unwrap_or_default();
        let all = names.split_whitespace().map(|name| format!("dev/{name}"));
        let mut open: Vec<Raw> = all.filter_map(|path| Raw::open(env, &path).ok().flatten()).collect();
        if open.is_empty() {
            open.extend(Raw::open(env, PATH).ok().flatten());
        }
        let (read, end) = io::pipe().ok().filter(|_| !open.is_empty())?;
        let thread = thread::spawn(move || {
            if wait(&open, &read) {
                drop(open);
                pressed();
            }
        });
        Some(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a key was pressed before the end.
fn wait(open: &[Raw], end: &PipeReader) -> bool {
    // A line that was hung up is readable for ever.
    let mut live: Vec<&Raw> = open.iter().collect();
    loop {
        let consoles = live.iter().map(|raw| raw.terminal.as_fd());
        let all = std::iter::once(end.as_fd()).chain(consoles);
        let mut polled: Vec<PollFd<'_>> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return false,
        }
        let heard: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        if heard.first().is_none_or(|ended| *ended) {
            return false;
        }
        let mut gone = Vec::new();
        for (at, raw) in live.iter().enumerate().filter(|(at, _)| heard.get(at + 1).is_some_and(|heard| *heard)) {
            let mut bytes = [0; 64];
            match (&raw.terminal).read(&mut bytes) {
                Ok(0) => gone.push(at),
                Ok(length) if bytes.iter().take(length).any(|byte| is_key(*byte)) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(_) => gone.push(at),
            }
        }
        for at in gone.into_iter().rev() {
            live.remove(at);
        }
    }
}

/// A line that nobody holds gives zeros and bytes above ASCII.
fn is_key(byte: u8) -> bool {
    byte.is_ascii() && byte != 0 && byte != 0x7f
}

/// A terminal that gives each key at once and shows none, until this is dropped.
#[derive(Debug)]
struct Raw {
    terminal: File,
    before: Termios,
}

impl Raw {
    /// `None` for what is no terminal.
    fn open(env: &Env, path: &str) -> io::Result<Option<Self>> {
        let terminal = terminal::open(&env.path(path), true)?;
        let before = match tcgetattr(&terminal) {
            Ok(before) => before,
            Err(rustix::io::Errno::NOTTY) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        // What was typed before anybody was asked is no answer.
        tcflush(&terminal, QueueSelector::IFlush)?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcflush(&self.terminal, QueueSelector::IFlush);
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests;
