//! Whether a thread makes progress, as the kernel counts it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock;

/// What `status` of a thread says (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// It waits for a device, or for something else that no signal ends (state D).
    pub uninterruptible: bool,
    /// How often it has waited so far. Each answer of a device wakes it, so a thread that copies or mounts counts on.
    pub waits: u64,
}

/// How long a thread has made no progress.
///
/// The kernel itself wakes who waits for a flush or the end of a transfer, each minute or more often (`blk_wait_io` in block/blk.h, half of
/// `hung_task_timeout_secs`), and who has written too much, each fifth of a second: a wait that follows on a wait for a device is
/// progress only where some device has answered something.
#[derive(Clone, Debug, Default)]
pub struct Stillness(Option<Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    sleep: Sleep,
    answered: u64,
    since: Instant,
}

impl Stillness {
    /// With what is seen of the thread now, and of all devices ([`answered`]).
    pub fn of(&mut self, sleep: Option<Sleep>, answered: u64, now: Instant) -> Duration {
        let goes_on = |before: &Seen, sleep: Sleep| {
            let waited_for_devices = before.sleep.uninterruptible && sleep.uninterruptible;
            sleep.waits != before.sleep.waits && !(waited_for_devices && answered == before.answered)
        };
        self.0 = sleep.map(|sleep| {
            let since = self.0.filter(|before| !goes_on(before, sleep)).map_or(now, |before| before.since);
            Seen { sleep, answered, since }
        });
        self.0.map_or(Duration::ZERO, |seen| now.duration_since(seen.since))
    }

    /// Whatever is waited for now is another thing.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// Requests that all block devices have answered so far, layers too, by `/sys/class/block` (`Documentation/block/stat.rst`). Where one of
/// them does not count (`queue/iostats`), each look finds another number: it may have answered.
#[must_use]
pub fn answered(devices: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(devices) else { return 0 };
    let mut sum = 0_u64;
    for dir in entries.flatten().map(|entry| entry.path()) {
        let text = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        let blind = text("queue/iostats").trim() == "0";
        let answered = if blind { clock::since_boot().as_micros() as u64 } else { answered_of(&text("stat")) };
        sum = sum.wrapping_add(answered);
    }
    sum
}

/// Reads, writes, discards and flushes that a device has answered, by its `stat`.
pub(super) fn answered_of(stat: &str) -> u64 {
    let numbers: Vec<u64> = stat.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    [0, 4, 11, 15].iter().filter_map(|at| numbers.get(*at)).sum()
}

/// Reads `/proc/<pid>` or `/proc/<pid>/task/<tid>`; `None` if the thread has gone.
#[must_use]
pub fn sleep_of(dir: &Path) -> Option<Sleep> {
    parse(&std::fs::read_to_string(dir.join("status")).ok()?)
}

fn parse(status: &str) -> Option<Sleep> {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
    Some(Sleep {
        uninterruptible: value("State")?.starts_with('D'),
        waits: value("voluntary_ctxt_switches")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_table() {
        let sleep = |uninterruptible, waits| Some(Sleep { uninterruptible, waits });
        for (status, expected) in [
            (
                "Name:\tx\nState:\tD (disk sleep)\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n",
                sleep(true, 17),
            ),
            ("State:\tS (sleeping)\nvoluntary_ctxt_switches:\t0\n", sleep(false, 0)),
            ("State:\tS (sleeping)\n", None),
            ("", None),
        ] {
            assert_eq!(parse(status), expected, "{status:?}");
        }
    }

    #[test]
    fn a_wake_up_by_the_kernel_alone_is_no_progress() {
        let begin = Instant::now();
        let mut stillness = Stillness::default();
        // Second, state, count of waits and of answers; how long it is still.
        for (second, uninterruptible, waits, answered, expected) in [
            (0, true, 7, 90, 0),
            (10, true, 7, 90, 10),
            // Another device has answered.
            (50, true, 7, 91, 50),
            (60, true, 8, 91, 60),
            (61, true, 13, 91, 61),
            (62, true, 14, 92, 0),
            (90, true, 14, 92, 28),
            // It did not wait for a device: there it goes on.
            (91, false, 15, 92, 0),
            (95, false, 15, 92, 4),
            (96, true, 16, 92, 0),
            (99, true, 17, 92, 3),
        ] {
            let sleep = Some(Sleep { uninterruptible, waits });
            let still = stillness.of(sleep, answered, begin + Duration::from_secs(second));
            assert_eq!(still, Duration::from_secs(expected), "{second}");
        }
        stillness.forget();
        let later = begin + Duration::from_secs(200);
        assert_eq!(stillness.of(Some(Sleep { uninterruptible: true, waits: 17 }), 92, later), Duration::ZERO);
        assert_eq!(stillness.of(None, 92, later), Duration::ZERO);
    }

    #[test]
    fn answers_are_counted_over_all_devices() {
        let dir = tempfile::tempdir().unwrap();
        for (name, stat) in [
            ("sda", "10 0 80 5 3 0 24 9 1 14 14 2 0 0 0 4 7\n"),
            // A kernel before 4.18.
            (
                "loop0",
                "       5        0      40        0        1        0        8        0        0        0        0\n",
            ),
            ("odd", "x"),
        ] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("stat"), stat).unwrap();
        }
        std::fs::create_dir(dir.path().join("gone")).unwrap();
        assert_eq!(answered(dir.path()), 10 + 3 + 2 + 4 + 5 + 1);
        assert_eq!(answered(&dir.path().join("none")), 0);
        std::fs::create_dir(dir.path().join("sda/queue")).unwrap();
        for (counts, same) in [("1\n", true), ("0\n", false)] {
            std::fs::write(dir.path().join("sda/queue/iostats"), counts).unwrap();
            let before = answered(dir.path());
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(answered(dir.path()) == before, same, "{counts}");
        }
    }

    #[test]
    fn a_thread_that_waits_counts_on() {
        let own = || sleep_of(Path::new("/proc/thread-self")).unwrap();
        let before = own();
        std::thread::sleep(Duration::from_millis(5));
        assert!(own().waits > before.waits && !before.uninterruptible, "{before:?}");
        assert_eq!(sleep_of(Path::new("/proc/0")), None);
    }
}
