//! Progress of long work, as lines for a person who waits.

use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// Counts bytes and says how it goes.
#[derive(Debug)]
pub struct Meter {
    total: u64,
    begin: Instant,
    said: Instant,
}

impl Meter {
    /// Begins to count.
    pub fn new(total: u64, now: Instant) -> Self {
        Self { total, begin: now, said: now }
    }

    /// A line, if it is time for one: what is done, how fast, how long it will still take.
    pub fn at(&mut self, done: u64, now: Instant) -> Option<String> {
        if now.duration_since(self.said) < EVERY {
            return None;
        }
        self.said = now;
        Some(line(done, self.total, now.duration_since(self.begin)))
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

    #[test]
    fn one_line_a_second() {
        let begin = Instant::now();
        let mut meter = Meter::new(10 * MIB, begin);
        let said: Vec<bool> = [0, 999, 1000, 1500, 1999, 2000, 3001]
            .iter()
            .map(|millis| meter.at(MIB, begin + Duration::from_millis(*millis)).is_some())
            .collect();
        assert_eq!(said, [false, false, true, false, false, true, true]);
    }
}
