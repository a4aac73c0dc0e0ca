//! Waiting, failing, logging and reporting.

use std::path::PathBuf;
use std::time::Duration;

use super::defaults::DEADLINE;
use super::lookup::Lookup;
use super::meant::question;
use super::registry::{
    DEBUG, EMERGENCY, KIWI_DEBUG, LIVE_CHECK, LIVE_DEBUG, MEDIACHECK, PANIC, REPORT, RETRY, SHELL, TIMEOUT,
};
use super::{Emergency, Failure};

/// The longest wait that can be asked for: a week. A larger number is a slip.
const LONGEST: i64 = 7 * 24 * 3600;

/// `rd.retry`, else a positive `rd.timeout`, else 180 s: no wait is without an end.
pub(super) fn deadline(lookup: &mut Lookup) -> Duration {
    let retry = lookup.number(&RETRY, 0..=LONGEST);
    let timeout = lookup.number(&TIMEOUT, 0..=LONGEST).filter(|seconds| *seconds > 0);
    let seconds = retry.or(timeout).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DEADLINE, Duration::from_secs)
}

/// `rd.shell`, `panic=`, `rd.emergency=`.
pub(super) fn failure(lookup: &mut Lookup) -> Failure {
    Failure {
        shell: lookup.flag(&SHELL, true),
        panic: lookup.number(&PANIC, i64::from(i32::MIN)..=i64::from(i32::MAX)),
        emergency: emergency(lookup),
    }
}

fn emergency(lookup: &mut Lookup) -> Option<Emergency> {
    let token = lookup.token(&EMERGENCY)?;
    let text = lookup.text(&EMERGENCY)?;
    let emergency = match text.as_str() {
        "reboot" => Some(Emergency::Reboot),
        "poweroff" => Some(Emergency::Poweroff),
        "halt" => Some(Emergency::Halt),
        _ => None,
    };
    if emergency.is_none() {
        let meant = question(&text, EMERGENCY.words);
        lookup.warn("value", &token.raw, format!("not reboot, poweroff or halt, ignoring{meant}"));
    }
    emergency
}

/// Any of the three debug kargs.
pub(super) fn debug(lookup: &mut Lookup) -> bool {
    [&LIVE_DEBUG, &KIWI_DEBUG, &DEBUG].map(|karg| lookup.flag(karg, false)).contains(&true)
}

/// Either check karg. A boolean, although dracut checks even with `=0` (dracut-live spec 8.2).
pub(super) fn check(lookup: &mut Lookup) -> bool {
    let asked = [&LIVE_CHECK, &MEDIACHECK].map(|karg| lookup.flag(karg, false));
    let both = lookup.has(&LIVE_CHECK) && lookup.has(&MEDIACHECK);
    if both
        && asked[0] != asked[1]
        && let Some(token) = lookup.token(&MEDIACHECK)
    {
        lookup.warn("contradiction", &token.raw, "rd.live.check says the opposite, checking the medium");
    }
    asked.contains(&true)
}

/// `rd.live.report=`, a path below `/dev`.
pub(super) fn report(lookup: &mut Lookup) -> Option<PathBuf> {
    let token = lookup.token(&REPORT)?;
    let text = lookup.text(&REPORT)?;
    if !text.starts_with("/dev/") || text.split('/').any(|part| part == "..") {
        lookup.warn("value", &token.raw, "not a device below /dev, ignoring");
        return None;
    }
    Some(PathBuf::from(text))
}
