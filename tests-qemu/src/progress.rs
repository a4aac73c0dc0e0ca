//! Lines of progress: what is being made, how long it took the last time, and that it still goes on.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::times::Times;

/// What is done sooner is not worth a line.
const QUICK: Duration = Duration::from_secs(5);
/// How often a line says that it still goes on.
const EVERY: Duration = Duration::from_secs(30);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// Time that this thread has spent on what the thing it makes needs.
    static NESTED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Set while the thing that this thread makes waits for another one, which then speaks for both.
    static SILENT: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Seconds in front of each line count from here.
pub fn begin() {
    LazyLock::force(&START);
}

/// A line, with the seconds since the start.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "[{:4.0}] {text}", START.elapsed().as_secs_f64());
    let _ = out.flush();
}

/// Makes `what` and notes under `make` + `what` how long that took, without what it needed and had to be made before.
pub fn making<T, E>(times: &Times, what: &str, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let name = format!("make {what}");
    let last = times.last(&name).map(Duration::from_secs_f64);
    let before = NESTED.replace(Duration::ZERO);
    let (made, took) = while_it_lasts("making", what, last, make);
    if made.is_ok() {
        times.note(&name, took.saturating_sub(NESTED.get()).as_secs_f64());
    }
    NESTED.set(before + took);
    made
}

/// Waits for another run that makes `what`.
pub fn waiting<T>(what: &str, wait: impl FnOnce() -> T) -> T {
    let (done, took) = while_it_lasts("waiting for somebody else who makes", what, None, wait);
    NESTED.set(NESTED.get() + took);
    done
}

/// Does something of which nobody knows how long it takes.
pub fn doing<T>(verb: &str, what: &str, act: impl FnOnce() -> T) -> T {
    while_it_lasts(verb, what, None, act).0
}

fn while_it_lasts<T>(verb: &str, what: &str, last: Option<Duration>, act: impl FnOnce() -> T) -> (T, Duration) {
    let announced = last.filter(|last| *last >= QUICK);
    if let Some(last) = announced {
        say(&format!("{verb} {what} (last time {:.0} s)", last.as_secs_f64()));
    }
    let silent = Arc::new(AtomicBool::new(false));
    let outer = SILENT.replace(Some(Arc::clone(&silent)));
    if let Some(outer) = &outer {
        outer.store(true, Ordering::Relaxed);
    }
    let (done, told) = mpsc::channel::<()>();
    let begun = Instant::now();
    let lines = Lines { verb: verb.to_owned(), what: what.to_owned(), begun, announced: announced.is_some() };
    // Ends by itself when `done` is dropped.
    std::thread::spawn(move || lines.say(&told, &silent, say));
    let result = act();
    drop(done);
    if let Some(outer) = &outer {
        outer.store(false, Ordering::Relaxed);
    }
    SILENT.set(outer);
    (result, begun.elapsed())
}

struct Lines {
    verb: String,
    what: String,
    begun: Instant,
    announced: bool,
}

impl Lines {
    fn say(&self, done: &mpsc::Receiver<()>, silent: &AtomicBool, say: impl Fn(&str)) {
        let mut next = if self.announced { EVERY } else { QUICK };
        let mut said = self.announced;
        while done.recv_timeout(next.saturating_sub(self.begun.elapsed())) == Err(RecvTimeoutError::Timeout) {
            let Self { verb, what, .. } = self;
            if !silent.load(Ordering::Relaxed) {
                match said {
                    true => say(&format!("… still {verb} {what} ({} s)", next.as_secs())),
                    false => say(&format!("{verb} {what}")),
                }
                said = true;
            }
            next = if next < EVERY { EVERY } else { next + EVERY };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn lines_come_while_it_lasts_and_none_for_what_is_quick() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        for (announced, silent, begun, expected) in [
            (false, false, 0, vec![]),
            (false, false, 6, vec!["making x"]),
            (false, true, 6, vec![]),
            (true, false, 29, vec![]),
            (true, false, 61, vec!["… still making x (30 s)", "… still making x (60 s)"]),
            (false, false, 31, vec!["making x", "… still making x (30 s)"]),
        ] {
            let lines = Lines { verb: "making".into(), what: "x".into(), begun: ago(begun), announced };
            let (done, told) = mpsc::channel();
            let said = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                let said = &said;
                scope.spawn(move || {
                    lines.say(&told, &AtomicBool::new(silent), |text| said.lock().unwrap().push(text.to_owned()));
                });
                std::thread::sleep(Duration::from_millis(50));
                drop(done);
            });
            assert_eq!(said.into_inner().unwrap(), expected, "{announced} {silent} {begun}");
        }
    }

    #[test]
    fn what_it_needs_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let times = Times::open(&dir.path().join("times"));
        let sleep = |ms| std::thread::sleep(Duration::from_millis(ms));
        let made: Result<(), ()> = making(&times, "outer", || {
            sleep(20);
            making(&times, "inner", || {
                sleep(200);
                Ok(())
            })
        });
        made.unwrap();
        let (outer, inner) = (times.last("make outer").unwrap(), times.last("make inner").unwrap());
        assert!(inner >= 0.2 && (0.02..0.15).contains(&outer), "{outer} {inner}");
        let failed: Result<(), ()> = making(&times, "failed", || Err(()));
        assert!(failed.is_err() && times.last("make failed").is_none());
    }
}
