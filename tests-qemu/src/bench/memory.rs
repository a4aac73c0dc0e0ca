//! The least memory that something boots with.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::net::Subject;
use crate::lab::Lab;
use crate::machine::{Clock, Machine};

/// MiB that all boot with.
const ENOUGH: u32 = 1536;
/// MiB that no Debian kernel boots with.
const NONE: u32 = 32;
/// MiB between two that are tried.
const STEP: u32 = 8;

/// Boots with less and less, until the place is known where it does no more. `image`: bytes of the ISO.
pub fn least(lab: &Lab, subject: &Subject, image: u64) -> Result<u32> {
    let (took, boots) = boots(lab, subject, ENOUGH, image, Duration::from_secs(600))?;
    ensure!(boots, "{} does not boot with {ENOUGH} MiB", subject.name);
    // Who has not come so far by then tries again and again, or waits for somebody at its console.
    let limit = 2 * took + Duration::from_secs(20);
    let least = bisect(NONE, ENOUGH, STEP, |mib| Ok(self::boots(lab, subject, mib, image, limit)?.1))?;
    lab.say(&format!("{}: boots with {least} MiB", subject.name));
    Ok(least)
}

/// The smallest number above `fails`, in steps, for which it holds; it holds for `holds`.
fn bisect(fails: u32, holds: u32, step: u32, mut asks: impl FnMut(u32) -> Result<bool>) -> Result<u32> {
    let (mut low, mut high) = (fails / step, holds / step);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if asks(middle * step)? { high = middle } else { low = middle }
    }
    Ok(high * step)
}

/// How long it took, and whether it came to the real init.
fn boots(lab: &Lab, subject: &Subject, mib: u32, image: u64, limit: Duration) -> Result<(Duration, bool)> {
    let dir = lab.cache.scratch("bench")?;
    let boot = subject.boot(Clock::Host { cpus: 2 }, mib, image).kargs(" oops=panic").deadline(limit.as_secs());
    // A machine that is too small for its own kernel and initrd may end QEMU itself.
    let outcome = boot.run(lab, Machine::Qemu, &dir, None);
    crate::remove::tree(&dir)?;
    let (took, boots) = outcome.map_or((limit, false), |outcome| (outcome.took, outcome.guest.is_some()));
    lab.say(&format!("{}, {mib} MiB: {}", subject.name, if boots { "boots" } else { "does not boot" }));
    Ok((took, boots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_found_and_not_asked_for_often() {
        for (least, expected) in [(33, 40), (40, 40), (41, 48), (1536, 1536), (500, 504)] {
            let mut asked = 0;
            let found = bisect(NONE, ENOUGH, STEP, |mib| {
                asked += 1;
                Ok(mib >= least)
            });
            assert_eq!(found.unwrap(), expected);
            assert!(asked <= 9, "{asked} for {least}");
        }
    }
}
