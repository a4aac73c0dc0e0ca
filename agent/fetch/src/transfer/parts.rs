//! Which part of a file is asked for next: pure.

use std::ops::Range;

/// What is still to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// What was given out and came back, lowest first.
    returned: Vec<Range<u64>>,
    /// Nothing from here on was given out.
    next: u64,
    total: u64,
    /// Bytes that have not come.
    missing: u64,
}

impl Parts {
    /// All of a file of `total` bytes but its first ones, and others that are there already.
    pub(super) fn new(from: u64, total: u64, kept: Range<u64>) -> Self {
        let kept = kept.start.max(from)..kept.end.min(total);
        if kept.is_empty() {
            return Self { returned: Vec::new(), next: from, total, missing: total.saturating_sub(from) };
        }
        let mut parts = Self { returned: Vec::new(), next: kept.end, total, missing: total - kept.end };
        parts.missing += kept.start - from;
        parts.give_back(from..kept.start);
        parts
    }

    /// The lowest part that nobody has, at most `size` bytes long, and none that begins at `before` or later.
    pub(super) fn take(&mut self, size: u64, before: u64) -> Option<Range<u64>> {
        let size = size.max(1);
        if let Some(first) = self.returned.first_mut() {
            if first.start >= before {
                return None;
            }
            let part = first.start..first.end.min(first.start + size);
            first.start = part.end;
            if first.is_empty() {
                self.returned.remove(0);
            }
            return Some(part);
        }
        if self.next >= self.total.min(before) {
            return None;
        }
        let part = self.next..self.total.min(self.next + size);
        self.next = part.end;
        Some(part)
    }

    /// So many bytes came.
    pub(super) fn came(&mut self, bytes: u64) {
        self.missing = self.missing.saturating_sub(bytes);
    }

    /// These did not come.
    pub(super) fn give_back(&mut self, part: Range<u64>) {
        if !part.is_empty() {
            let at = self.returned.partition_point(|other| other.start < part.start);
            self.returned.insert(at, part);
        }
    }

    pub(super) fn missing(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_given_out_once_and_the_lowest_first() {
        let mut parts = Parts::new(10, 100, 0..0);
        assert_eq!(parts.missing(), 90);
        assert_eq!(parts.take(40, 1000), Some(10..50));
        assert_eq!(parts.take(40, 1000), Some(50..90));
        parts.give_back(15..50);
        parts.came(5);
        parts.give_back(60..90);
        assert_eq!(parts.take(20, 1000), Some(15..35));
        assert_eq!(parts.take(20, 1000), Some(35..50));
        assert_eq!(parts.take(u64::MAX / 2, 1000), Some(60..90));
        assert_eq!(parts.take(40, 1000), Some(90..100));
        assert_eq!(parts.take(40, 1000), None);
        parts.give_back(100..100);
        assert_eq!(parts.take(40, 1000), None);
        parts.came(85);
        assert_eq!(parts.missing(), 0);
    }

    #[test]
    fn nobody_runs_far_ahead() {
        let mut parts = Parts::new(0, 100, 0..0);
        assert_eq!(parts.take(40, 40), Some(0..40));
        assert_eq!(parts.take(40, 40), None);
        assert_eq!(parts.take(40, 41), Some(40..80));
        parts.give_back(50..80);
        assert_eq!(parts.take(40, 50), None);
        assert_eq!(parts.take(40, 51), Some(50..80));
        assert_eq!(Parts::new(7, 7, 0..0).take(1, 1000), None);
        assert_eq!(Parts::new(8, 7, 0..0).missing(), 0);
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        for (from, kept, first, missing) in [
            (10, 30..80, Some(10..30), 40),
            (10, 10..80, Some(80..100), 20),
            (10, 5..80, Some(80..100), 20),
            (10, 30..200, Some(10..30), 20),
            (10, 10..100, None, 0),
            (10, 30..30, Some(10..100), 90),
        ] {
            let mut parts = Parts::new(from, 100, kept.clone());
            assert_eq!((parts.missing(), parts.take(1000, 1000)), (missing, first), "{kept:?}");
        }
    }

    /// Whatever is given back in whatever order: each byte comes once.
    #[test]
    fn every_byte_comes_once() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for kept in (0..300).map(|n| if n % 2 == 0 { 0..0 } else { 20 + n..60 + n }) {
            let mut parts = Parts::new(3, 500, kept.clone());
            let mut came = vec![0_u8; 500];
            kept.for_each(|at| came[at as usize] = 1);
            let mut out: Vec<Range<u64>> = Vec::new();
            while parts.missing() > 0 {
                out.extend(parts.take(1 + random(90), 1000));
                let part = out.remove(random(out.len() as u64) as usize);
                let upto = part.start + random(part.end - part.start + 1);
                (part.start..upto).for_each(|at| came[at as usize] += 1);
                parts.came(upto - part.start);
                parts.give_back(upto..part.end);
            }
            assert!(came[3..].iter().all(|times| *times == 1) && came[..3] == [0; 3]);
        }
    }
}
