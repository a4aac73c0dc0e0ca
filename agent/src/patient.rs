//! Waits that end: for what is busy, and for work that may never be done, on a thread that is left behind then.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::silence::Silence;

/// Attempts again what is `busy`, for as long as `limit`, with a `pause` in between.
///
/// # Errors
/// Of the last attempt.
pub fn patiently<T, E>(
    limit: Duration,
    pause: Duration,
    busy: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(error) if busy(&error) && begin.elapsed() < limit => thread::sleep(pause),
            result => return result,
        }
    }
}

/// Work on a thread of its own, which is left behind when nobody waits for it any longer.
#[derive(Debug)]
pub struct Apart<T> {
    worker: JoinHandle<T>,
    // Says only that the work is done: a channel for each kind of answer would be 8 kB of program each.
    ended: Receiver<()>,
}

impl<T: Send + 'static> Apart<T> {
    /// Begins the work.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn begin(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        Self::on(thread::Builder::new(), work)
    }

    /// The same, with a name for the thread.
    ///
    /// # Errors
    /// As [`Apart::begin`].
    pub fn named(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        Self::on(thread::Builder::new().name(name.to_owned()), work)
    }

    fn on(thread: thread::Builder, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (done, ended) = channel();
        let worker = thread.spawn(move || {
            let answer = work();
            // Nobody listens any more when the time was over.
            let _ = done.send(());
            answer
        })?;
        Ok(Self { worker, ended })
    }

    /// Its answer; the work itself again when it is not done within `limit`.
    ///
    /// # Errors
    /// It is not done, or it has failed with a fault.
    pub fn within(self, limit: Duration) -> Result<T, Option<Self>> {
        match self.ended.recv_timeout(limit) {
            Ok(()) => self.worker.join().map_err(|_| None),
            Err(RecvTimeoutError::Disconnected) => Err(None),
            Err(RecvTimeoutError::Timeout) => Err(Some(self)),
        }
    }
}

/// Does the work; `None` when `limit` has passed without the kernel having written anything in that time. A slow stick
/// that is still taking data is not cut off. A limit of zero waits for ever. A person is told `what` is waited for.
pub fn bounded<T: Send + 'static>(
    env: &Env,
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let mut work = match Apart::begin(work) {
        Ok(work) => work,
        Err(error) => {
            log::warn!("{what}: no thread for it: {error}, going on");
            return None;
        }
    };
    let mut silence = Silence::new(format!("shutdown: {what}"));
    let (mut unwritten, mut since) = (waiting(env), Instant::now());
    loop {
        let now = Instant::now();
        let word = silence.left(now);
        let wait = if limit.is_zero() { word } else { word.min(limit.saturating_sub(now.duration_since(since))) };
        work = match work.within(wait) {
            Ok(value) => return Some(value),
            Err(left) => left?,
        };
        silence.tell(env);
        if !limit.is_zero() && since.elapsed() >= limit {
            let now = waiting(env);
            if now >= unwritten {
                return None;
            }
            (unwritten, since) = (now, Instant::now());
        }
    }
}

/// KiB that wait to be written to a disk.
fn waiting(env: &Env) -> u64 {
    let text = env.text("proc/meminfo").unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("Dirty:") || line.starts_with("Writeback:"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_is_tried_again_for_a_while() {
        let (limit, pause) = (Duration::from_millis(200), Duration::from_millis(1));
        let mut left = 3;
        let mut attempt = || {
            left -= 1;
            if left == 0 { Ok("done") } else { Err("busy") }
        };
        assert_eq!(patiently(limit, pause, |error| *error == "busy", &mut attempt), Ok("done"));
        let mut tries = 0;
        let mut broken = || -> Result<(), &str> {
            tries += 1;
            Err("broken")
        };
        assert_eq!(patiently(limit, pause, |error| *error == "busy", &mut broken), Err("broken"));
        assert_eq!(tries, 1);
        assert_eq!(patiently(limit, pause, |_| true, || Err::<(), _>("busy")), Err("busy"));
    }

    #[test]
    fn work_that_hangs_is_left_behind_unless_data_is_written() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        let meminfo = dir.path().join("proc/meminfo");
        let env = Env::new(dir.path());
        let limit = Duration::from_millis(50);
        std::fs::write(&meminfo, "Dirty:  5 kB\nWriteback: 6 kB\nWritebackTmp: 100 kB\n").unwrap();
        assert_eq!(waiting(&env), 11);
        assert_eq!(bounded(&env, limit, "work", || 7), Some(7));

        let begin = Instant::now();
        assert_eq!(bounded(&env, limit, "work", || thread::sleep(Duration::from_secs(5))), None);
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());

        std::fs::write(&meminfo, "Dirty: 100 kB\n").unwrap();
        let written = thread::spawn(move || {
            for left in (0..100).rev() {
                // As a whole, or a reader would see an empty table.
                let new = meminfo.with_extension("new");
                std::fs::write(&new, format!("Dirty: {left} kB\n")).unwrap();
                std::fs::rename(&new, &meminfo).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        // Far more than a write's pause: a busy host keeps the writer waiting.
        let limit = Duration::from_millis(500);
        let slow = bounded(&env, limit, "work", || thread::sleep(Duration::from_millis(1200)));
        assert_eq!(slow, Some(()), "data was written all the time");
        written.join().unwrap();

        fs_for_words(dir.path());
        let patient = Duration::from_secs(60);
        assert_eq!(bounded(&env, patient, "writing", || thread::sleep(Duration::from_millis(3200))), Some(()));
        let told = std::fs::read_to_string(dir.path().join("dev/console")).unwrap();
        assert_eq!(told, "shutdown: writing: still at it after 3 s\r\n");
        assert_eq!(bounded(&env, Duration::ZERO, "work", || 8), Some(8));
    }

    /// A machine whose kernel shows nothing by itself.
    fn fs_for_words(root: &std::path::Path) {
        for (path, text) in [("proc/sys/kernel/printk", "4\t4\t1\t4\n"), ("dev/console", "")] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}
