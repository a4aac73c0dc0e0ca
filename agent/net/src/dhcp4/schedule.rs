//! When something that was not answered is sent again (network.md 4.4): after 1, 2, 4, 8, 16, 16 … seconds, each by up
//! to a quarter longer or shorter, so that a hundred machines that were switched on together do not stay together.

use std::time::Duration;

/// The longest pause, before it is varied.
const LONGEST: u64 = 16;

/// The pause after the `tries`-th attempt (1 is the first), at most `limit` seconds before it is varied by `random`.
pub(super) fn pause(tries: u32, limit: u64, random: u32) -> Duration {
    let doubled = 1u64.checked_shl(tries.saturating_sub(1)).unwrap_or(LONGEST);
    varied(Duration::from_secs(doubled.clamp(1, LONGEST.min(limit.max(1)))), random)
}

/// The duration, ± 25 %.
pub(super) fn varied(duration: Duration, random: u32) -> Duration {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4) / 2;
    let part = u128::from(nanos) * u128::from(random) / u128::from(u32::MAX);
    duration - duration / 4 + Duration::from_nanos(u64::try_from(part).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_sixteen_and_vary_by_a_quarter() {
        let seconds = |tries, random| pause(tries, u64::MAX, random).as_millis();
        let middle = u32::MAX / 2;
        assert_eq!(
            (1..=7).map(|tries| (seconds(tries, middle) + 1) / 1000).collect::<Vec<_>>(),
            [1, 2, 4, 8, 16, 16, 16]
        );
        assert_eq!(seconds(3, 0), 3000);
        assert_eq!(seconds(3, u32::MAX), 5000);
        assert_eq!(seconds(1_000_000, u32::MAX), 20_000);
        assert_eq!(pause(9, 4, u32::MAX), Duration::from_secs(5));
    }
}
