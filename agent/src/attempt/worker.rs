//! The process that does the work of an attempt.
//!
//! One that looks at a device which does not answer stays when the work is done, until the device answers: a thread that is killed
//! while it reads closes the device, that close waits for the read *with the lock of the disk*, and then everybody who calls sync(2)
//! waits for it, systemd at its switch of root too.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::fault;
use super::message::Message;
use super::watchdog::Watchdog;
use crate::env::Env;

/// What an attempt holds when its work is done.
pub trait Stays {
    /// Something does not answer that it looks at.
    fn is_waiting(&self) -> bool;

    /// Until all has answered.
    fn stay(self);
}

/// Does the work and sends what came of it to the supervisor, at the other end of the standard output. With the message comes the
/// watch that has seen the devices.
pub fn run<W: Stays>(env: &Env, work: impl FnOnce(&Watchdog) -> (Message, Option<W>)) -> ExitCode {
    // Nobody is left to use what is built when the supervisor is stopped.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        log::debug!("the supervisor's end would not end this attempt: {error}");
    }
    let pipe = match taken() {
        Ok(pipe) => Arc::new(Mutex::new(pipe)),
        Err(error) => {
            log::error!("no way to the supervisor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let sender = || {
        let pipe = Arc::clone(&pipe);
        move |message: &Message| send(&pipe, message)
    };
    fault::install(sender());
    let watchdog = Watchdog::default();
    watchdog.start(env, sender());
    let (message, watch) = work(&watchdog);
    let waits = watch.as_ref().is_some_and(W::is_waiting);
    if waits {
        send(&pipe, &Message::Stays);
    }
    watchdog.end();
    send(&pipe, &message);
    drop(pipe);
    if let Some(watch) = watch.filter(|_| waits) {
        let _ = set_parent_process_death_signal(None);
        watch.stay();
    }
    ExitCode::SUCCESS
}

/// The pipe, out of reach of the programs that are started: those would hold it open, or write into it.
fn taken() -> io::Result<File> {
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(pipe))
}

fn send(pipe: &Mutex<File>, message: &Message) {
    let Ok(mut line) = crate::json::line(message) else { return };
    line.push('\n');
    // A supervisor that has gone needs no answer.
    let _ = pipe.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
}
