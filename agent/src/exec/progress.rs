//! Progress of long work, as lines for a person who waits.

use std::time::{Duration, Instant};

/// Time between two lines, at least.
const EVERY: Duration = Duration::from_secs(1);
/// Nobody waits longer for a line, however slow the console is.
const LONGEST: Duration = Duration::from_secs(3);
/// A line is followed by so many times its own time of silence: a console at 9600 baud, on which the kernel waits for each character, has
/// one in forty of the processor's time at most (network-field.md kind 20).
const SILENCE: u32 = 39;
const MIB: u64 = 1 << 20;

/// How often a line may come: once a second, and less often where printing one takes long.
#[derive(Debug)]
pub struct Pace {
    next: Instant,
}

impl Pace {
    /// The first line may come at `first`.
    pub fn new(first: Instant) -> Self {
        Self { next: first }
    }

    /// Whether it is time for a line.
    pub fn is_time(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// A line was printed between these two moments.
    pub fn printed(&mut self, began: Instant, ended: Instant) {
        let silence = ended.saturating_duration_since(began).saturating_mul(SILENCE);
        self.next = ended + silence.clamp(EVERY.saturating_sub(ended.saturating_duration_since(began)), LONGEST);
    }
}

/// Counts bytes and says how it goes.
#[derive(Debug)]
pub struct Meter {
    total: u64,
    begin: Instant,
    pace: Pace,
}

impl Meter {
    /// Begins to count.
    pub fn new(total: u64, now: Instant) -> Self {
        Self { total, begin: now, pace: Pace::new(now + EVERY) }
    }

    /// Prints a line by `say`, if it is time for one: what is done, how fast, how long it will still take.
    pub fn at(&mut self, done: u64, clock: impl Fn() -> Instant, say: &mut dyn FnMut(&str)) {
        let began = clock();
        if self.pace.is_time(began) {
            say(&line(done, self.total, began.duration_since(self.begin)));
            self.pace.printed(began, clock());
        }
    }
}

fn line(done: u64, total: u64, took: Duration) -> String {
    let percent = done.saturating_mul(100) / total.max(1);
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    // Megabytes, as on the packaging of a medium.
    let speed = done / millis / 1000;
    let left = u128::from(total.saturating_sub(done)) * u128::from(millis) / u128::from(done.max(1)) / 1000;
    format!("{percent} %, {} of {} MiB, {speed} MB/s, {left} s left", done / MIB, total.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_table() {
        for ((done, total, millis), expected) in [
            ((50 * MIB, 100 * MIB, 1000), "50 %, 50 of 100 MiB, 52 MB/s, 1 s left"),
            ((MIB, 1000 * MIB, 2000), "0 %, 1 of 1000 MiB, 0 MB/s, 1998 s left"),
            ((100 * MIB, 100 * MIB, 4000), "100 %, 100 of 100 MiB, 26 MB/s, 0 s left"),
            ((0, MIB, 1000), "0 %, 0 of 1 MiB, 0 MB/s, 1048576 s left"),
            ((0, 0, 0), "0 %, 0 of 0 MiB, 0 MB/s, 0 s left"),
            ((u64::MAX, u64::MAX, 1), "1 %, 17592186044415 of 17592186044416 MiB, 18446744073709551 MB/s, 0 s left"),
        ] {
            assert_eq!(line(done, total, Duration::from_millis(millis)), expected, "{done} of {total} in {millis} ms");
        }
    }

    /// Kind 20: a line each second, and on a slow console less often, but never more than 3 s apart.
    #[test]
    fn k20_one_line_a_second_and_less_on_a_slow_console() {
        let begin = Instant::now();
        let millis = Duration::from_millis;
        for (took, expected) in [
            (0, [1000, 2000, 3000]),
            (10, [1000, 2000, 3000]),
            // 60 characters at 9600 baud.
            (63, [1000, 3520, 6040]),
            // At 2400, and one that accepts nothing.
            (250, [1000, 4250, 7500]),
            (2000, [1000, 6000, 11000]),
        ] {
            let now = std::cell::Cell::new(begin);
            let mut meter = Meter::new(10 * MIB, begin);
            let mut said = Vec::new();
            while said.len() < 3 {
                meter.at(MIB, || now.get(), &mut |_| {
                    said.push(now.get().duration_since(begin));
                    now.set(now.get() + millis(took));
                });
                now.set(now.get() + millis(1));
            }
            let late = said.iter().zip(expected).map(|(said, expected)| said.as_millis().abs_diff(expected)).max();
            assert!(late.unwrap() <= 10, "{took} ms a line: {said:?}");
        }
    }
}
