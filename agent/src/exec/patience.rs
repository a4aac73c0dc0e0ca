//! Work that may take minutes on a slow stick: a person who waits is told that it goes on.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::kmsg;

/// Silence after which somebody asks himself whether the machine hangs.
const STEP: Duration = Duration::from_secs(5);

/// Does the work; every few seconds the console says that `what` is still going on, and for how long.
pub(super) fn telling<T>(env: &Env, what: &str, work: impl FnOnce() -> T) -> T {
    every(STEP, |taken| kmsg::tell(env, &format!("{what}: still at it after {} s", taken.as_secs())), work)
}

fn every<T>(step: Duration, tell: impl Fn(Duration) + Send, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    // Nothing is ever sent: the end of the work closes the channel.
    let (done, wait) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while wait.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                tell(begin.elapsed());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn slow_work_is_told_of_and_quick_work_is_not() {
        for (work, told) in [(Duration::ZERO, false), (Duration::from_millis(200), true)] {
            let times = AtomicU32::new(0);
            let count = |_| {
                times.fetch_add(1, Ordering::Relaxed);
            };
            let result = every(Duration::from_millis(20), count, || {
                std::thread::sleep(work);
                7
            });
            assert_eq!((result, times.load(Ordering::Relaxed) > 0), (7, told), "{work:?}");
        }
    }
}
