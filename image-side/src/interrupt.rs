//! Ctrl-C: stop the running program, let every scope clean up, and leave.
//!
//! Each child gets a process group of its own, so that one kill reaches its children too, and so that a terminal's Ctrl-C
//! reaches only us: the order of the clean-up is ours.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The operator stopped us; main turns it into exit code 130.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("installing signal handlers")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            for pid in children().iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // The group may be gone already.
                let _ = kill_process_group(pid, Signal::KILL);
            }
        }
    });
    Ok(())
}

/// Fails once the operator asked us to stop.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        return Err(Interrupted.into());
    }
    Ok(())
}

fn children() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A child process group that dies when we are interrupted.
pub(crate) struct Tracked(i32);

impl Tracked {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap_or_default();
        children().insert(pid);
        // A signal between spawn and insert did not see this child.
        if INTERRUPTED.load(Ordering::SeqCst)
            && let Some(group) = Pid::from_raw(pid)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        Self(pid)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        children().remove(&self.0);
    }
}
