//! A clock that is years behind: each certificate begins in its future (network-field.md kind 17). It is earlier than the initrd's build
//! only if it is wrong.

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use rdlive_fetch::date::Date;
use rustix::time::{ClockId, Timespec, clock_settime};

use crate::config::Conf;
use crate::env::Env;
use crate::kmsg;

/// The agent in the initrd: dracut copies it when it builds, and the builder gives it what `SOURCE_DATE_EPOCH` says. The kernel keeps the times
/// of an archive's files.
const AGENT: &str = "usr/bin/rdlive";

/// Sets the clock to when the initrd was built, where it is earlier, and says so.
pub(super) fn raise(env: &Env) {
    let Some((clock, built)) = built(env).and_then(|built| behind(SystemTime::now(), built)) else { return };
    let seconds = i64::try_from(built.since_1970().as_secs()).unwrap_or(i64::MAX);
    match clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: 0 }) {
        Ok(()) => kmsg::tell(env, &format!("the clock said {clock}: it is set to {built}, when this initrd was built")),
        Err(errno) => {
            let why = io::Error::from(errno);
            kmsg::tell(
                env,
                &format!("the clock says {clock}, but this initrd was built on {built}; setting it: {why}"),
            );
        }
    }
}

/// When the initrd was built, as far as that is recorded: the date of the ISO that it was built for, and the time of the agent's file.
fn built(env: &Env) -> Option<Date> {
    let medium = Conf::load(env.root()).ok().and_then(|conf| conf.medium).unwrap_or_default();
    let iso = medium.split(',').find_map(|word| Date::of_iso(word.trim().strip_prefix("UUID=")?));
    let agent = fs::metadata(env.path(AGENT)).and_then(|agent| agent.modified()).ok();
    iso.max(agent.map(date))
}

fn date(time: SystemTime) -> Date {
    Date::new(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The clock and the build, if the first is earlier.
fn behind(clock: SystemTime, built: Date) -> Option<(Date, Date)> {
    let clock = date(clock);
    (clock < built).then_some((clock, built))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_clock_before_the_build_is_wrong_without_doubt() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let built = date(at(1_700_000_000));
        assert_eq!(behind(at(1_700_000_000), built), None);
        assert_eq!(behind(at(4_000_000_000), built), None);
        let (clock, set) = behind(at(978_307_200), built).unwrap();
        assert_eq!((clock.to_string().as_str(), set), ("2001-01-01 00:00 UTC", built));
        // Before 1970, as clocks without a battery may have it.
        let (clock, _) = behind(UNIX_EPOCH - Duration::from_secs(9), built).unwrap();
        assert_eq!(clock, date(UNIX_EPOCH));
        // An archive that keeps no times says nothing.
        assert_eq!(behind(at(9), date(UNIX_EPOCH)), None);
    }

    /// In trees of the tests' own, where no build is later than this machine's clock, which stays as it is.
    #[test]
    fn the_build_is_what_the_builder_or_dracut_recorded() {
        let root = tempfile::tempdir().unwrap();
        let env = Env::new(root.path());
        assert_eq!(built(&env), None);
        raise(&env);
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/rdlive.conf"), "medium = UUID=2023-11-14-22-13-20-10,ID=0123456789abcdef\n")
            .unwrap();
        assert_eq!(built(&env).unwrap().to_string(), "2023-11-14 22:13 UTC");
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        let agent = fs::File::create(root.path().join(AGENT)).unwrap();
        // The builder without SOURCE_DATE_EPOCH gives no time.
        agent.set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(built(&env).unwrap().to_string(), "2023-11-14 22:13 UTC");
        agent.set_modified(UNIX_EPOCH + Duration::from_secs(1_735_689_600)).unwrap();
        assert_eq!(built(&env).unwrap().to_string(), "2025-01-01 00:00 UTC");
        raise(&env);
        for other in ["LABEL=Live", "UUID=f0e1d2c3-0000-4000-8000-000000000001", "UUID=DATE"] {
            fs::write(root.path().join("etc/rdlive.conf"), format!("medium = {other}\n")).unwrap();
            assert_eq!(built(&env).unwrap().to_string(), "2025-01-01 00:00 UTC", "{other}");
        }
    }
}
