//! For what cannot be unmounted: the kernel makes every file system read-only.
//!
//! An overlay holds its upper layer through a mount of its own, which no path leads to. Somebody who keeps a file of the
//! root open therefore keeps the persistent layer writable, after it seems to be unmounted. Only the kernel reaches it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::env::Env;
use crate::silence::Silence;

/// The kernel's word when it has done so (`fs/super.c`).
const DONE: &str = "Emergency Remount complete";
/// How long to wait for that word.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the kernel, by the trigger of its SysRq key `u`, and waits until it is done. A kernel without that key is left
/// alone: what is in memory has been written before.
pub fn read_only(env: &Env) {
    let log = messages(env);
    if fs::write(env.path("proc/sysrq-trigger"), "u").is_err() {
        return;
    }
    let until = Instant::now() + PATIENCE;
    let Some(mut log) = log else { return thread::sleep(PAUSE) };
    let mut record = [0; 8192];
    let mut silence = Silence::new("shutdown: making everything read-only");
    while Instant::now() < until {
        match log.read(&mut record) {
            Ok(length) if String::from_utf8_lossy(&record[..length]).contains(DONE) => return,
            Ok(_) => {}
            // Nothing new yet, or records were overwritten.
            Err(_) => {
                silence.tell(env);
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Between two looks at the kernel's log.
const PAUSE: Duration = Duration::from_millis(50);

/// The kernel's log from now on.
fn messages(env: &Env) -> Option<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open(env.path("dev/kmsg")).ok()?;
    log.seek(SeekFrom::End(0)).ok()?;
    Some(log)
}
