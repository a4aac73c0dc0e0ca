//! Work that may never end, on a thread that is left behind if it does not.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::env::Env;

/// Does the work; `None` when `limit` has passed without the kernel having written anything in that time. A slow stick
/// that is still taking data is not cut off. A limit of zero waits for ever.
pub fn bounded<T: Send + 'static>(env: &Env, limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, result) = channel();
    thread::spawn(move || {
        // Nobody listens any more when the time was over.
        let _ = sender.send(work());
    });
    if limit.is_zero() {
        return result.recv().ok();
    }
    let mut unwritten = waiting(env);
    loop {
        match result.recv_timeout(limit) {
            Ok(value) => return Some(value),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                let now = waiting(env);
                if now >= unwritten {
                    return None;
                }
                unwritten = now;
            }
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
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_that_hangs_is_left_behind_unless_data_is_written() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        let meminfo = dir.path().join("proc/meminfo");
        let env = Env::new(dir.path());
        let limit = Duration::from_millis(50);
        std::fs::write(&meminfo, "Dirty:  5 kB\nWriteback: 6 kB\nWritebackTmp: 100 kB\n").unwrap();
        assert_eq!(waiting(&env), 11);
        assert_eq!(bounded(&env, limit, || 7), Some(7));

        let begin = Instant::now();
        assert_eq!(bounded(&env, limit, || thread::sleep(Duration::from_secs(5))), None);
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());

        let written = thread::spawn(move || {
            for left in (0..10).rev() {
                // As a whole, or a reader would see an empty table.
                let new = meminfo.with_extension("new");
                std::fs::write(&new, format!("Dirty: {left} kB\n")).unwrap();
                std::fs::rename(&new, &meminfo).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let slow = bounded(&env, limit, || thread::sleep(Duration::from_millis(150)));
        assert_eq!(slow, Some(()), "data was written all the time");
        written.join().unwrap();
        assert_eq!(bounded(&env, Duration::ZERO, || 8), Some(8));
    }
}
