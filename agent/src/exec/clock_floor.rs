//! A clock that is years behind: each certificate begins in its future (network-field.md kind 17). It is earlier than the initrd's build
//! only if it is wrong.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdlive_fetch::date::Date;
use rustix::time::{ClockId, Timespec, clock_settime};

use crate::env::Env;
use crate::kmsg;

/// The agent in the initrd: the builder gives it the time of the build, or what `SOURCE_DATE_EPOCH` says; dracut copies it when it builds.
/// The kernel keeps the times of an archive's files.
const AGENT: &str = "usr/bin/rdlive";

/// What is to be done about the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Behind {
    clock: Duration,
    built: Duration,
}

/// Sets the clock to when the initrd was built, where it is earlier, and says so.
pub(super) fn raise(env: &Env) {
    let built = fs::metadata(env.path(AGENT)).and_then(|agent| agent.modified());
    let Some(behind) = built.ok().and_then(|built| behind(SystemTime::now(), built)) else { return };
    let seconds = i64::try_from(behind.built.as_secs()).unwrap_or(i64::MAX);
    let (was, built) = (Date::new(behind.clock), Date::new(behind.built));
    match clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: 0 }) {
        Ok(()) => kmsg::tell(env, &format!("the clock said {was}: it is set to {built}, when this initrd was built")),
        Err(errno) => {
            let why = std::io::Error::from(errno);
            kmsg::tell(env, &format!("the clock says {was}, but this initrd was built on {built}; setting it: {why}"));
        }
    }
}

/// Whether the clock is earlier than the build.
fn behind(clock: SystemTime, built: SystemTime) -> Option<Behind> {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (clock, built) = (since(clock), since(built));
    (clock < built).then_some(Behind { clock, built })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_before_the_build_is_wrong_without_doubt() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let built = at(1_700_000_000);
        assert_eq!(behind(at(1_700_000_000), built), None);
        assert_eq!(behind(at(4_000_000_000), built), None);
        let found = behind(at(978_307_200), built).unwrap();
        assert_eq!(Date::new(found.clock).to_string(), "2001-01-01 00:00 UTC");
        assert_eq!(Date::new(found.built).to_string(), "2023-11-14 22:13 UTC");
        // Before 1970, as clocks without a battery may have it.
        let found = behind(UNIX_EPOCH - Duration::from_secs(9), built).unwrap();
        assert_eq!(found.clock, Duration::ZERO);
        // An archive that keeps no times says nothing.
        assert_eq!(behind(at(9), UNIX_EPOCH), None);
    }

    /// Nothing in a tree of the tests' own: this machine's clock stays as it is.
    #[test]
    fn without_an_agent_nothing_is_known() {
        let root = tempfile::tempdir().unwrap();
        let before = SystemTime::now();
        raise(&Env::new(root.path()));
        assert!(before.elapsed().is_ok_and(|passed| passed < Duration::from_secs(600)));
    }
}
