//! When the next try begins.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Whose;

/// Times of retries (streaming.md 4.3; the spread of network-field.md kind 20).
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Upper bound of what is added to a retry when the server is in trouble.
    pub spread: Duration,
}

impl Default for Schedule {
    /// For downloads: 0 to 2 s.
    fn default() -> Self {
        Self { spread: Duration::from_secs(2) }
    }
}

impl Schedule {
    /// The pause after the so many-th failure in a row (from 1), `outage` after the first of them.
    ///
    /// `moved`: the try that failed had brought bytes. Then the server is there and only this connection was lost, so the first
    /// retry comes at once.
    pub fn pause(&self, failures: u32, outage: Duration, moved: bool, whose: Whose, jitter: &mut Jitter) -> Duration {
        let pause = match failures {
            0 | 1 => Duration::ZERO,
            2..=4 => Duration::from_millis(200),
            _ if outage < Duration::from_secs(60) => Duration::from_secs(1),
            _ => Duration::from_millis(3750) + jitter.below(Duration::from_millis(2500)),
        };
        let lost_only = moved && failures <= 1;
        if whose == Whose::Servers && !lost_only { pause + jitter.below(self.spread) } else { pause }
    }
}

/// Random numbers that spread retries; they are no secret, so a generator of three shifts will do.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A sequence that depends on the seed alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A sequence that another machine does not have.
    #[must_use]
    pub fn random() -> Self {
        // The key of a hash map comes from the kernel.
        Self::new(RandomState::new().hash_one(0))
    }

    /// A duration shorter than `most`.
    pub fn below(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((self.0 >> 11).checked_rem(most).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(spread: u64, whose: Whose, moved: bool) -> Vec<(u64, u64)> {
        let schedule = Schedule { spread: Duration::from_millis(spread) };
        let cases = [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (50, 59), (51, 60), (99, 500)];
        let bounds = |(failures, outage): (u32, u64)| {
            let mut jitter = Jitter::new(7);
            let all: Vec<u64> = (0..1000)
                .map(|_| {
                    schedule.pause(failures, Duration::from_secs(outage), moved, whose, &mut jitter).as_millis() as u64
                })
                .collect();
            (*all.iter().min().unwrap(), *all.iter().max().unwrap())
        };
        cases.into_iter().map(bounds).collect()
    }

    #[test]
    fn a_link_that_is_not_up_is_tried_at_once() {
        let exact = [(0, 0), (200, 200), (200, 200), (200, 200), (1000, 1000), (1000, 1000)];
        let found = pauses(2000, Whose::Ours, false);
        assert_eq!(found[..6], exact);
        for (least, most) in &found[6..] {
            assert!((3750..3800).contains(least) && (6200..=6250).contains(most), "{least} {most}");
        }
    }

    #[test]
    fn retries_to_a_server_in_trouble_are_spread_over_two_seconds() {
        let found = pauses(2000, Whose::Servers, false);
        for ((least, most), base) in found.iter().zip([0, 200, 200, 200, 1000, 1000]) {
            assert!((base..base + 50).contains(least) && (base + 1950..base + 2000).contains(most), "{least} {most}");
        }
        assert!(found[7].1 > 7900 && found[7].1 < 8250, "{found:?}");
    }

    #[test]
    fn a_connection_that_was_lost_in_a_transfer_is_made_again_at_once() {
        let found = pauses(2000, Whose::Servers, true);
        assert_eq!(found[0], (0, 0));
        assert!(found[1].1 > 2100, "{found:?}");
    }

    #[test]
    fn two_machines_do_not_wait_the_same_time() {
        let mut one = Jitter::random();
        let mut other = Jitter::random();
        let draw = |jitter: &mut Jitter| (0..4).map(|_| jitter.below(Duration::from_secs(2))).collect::<Vec<_>>();
        assert_ne!(draw(&mut one), draw(&mut other));
        assert_eq!(one.below(Duration::ZERO), Duration::ZERO);
    }
}
