//! Kargs about power-off.

use std::time::Duration;

use super::lookup::Lookup;
use super::registry::{LIVE_EJECT, SHUTDOWN_TIMEOUT};
use super::{Eject, Shutdown};

/// Reads `rd.live.eject` and `rd.shutdown.timeout.umount`.
pub(super) fn shutdown(lookup: &mut Lookup) -> Shutdown {
    let eject = match lookup.text(&LIVE_EJECT).as_deref() {
        Some("prompt") => Eject::Prompt,
        _ if lookup.flag(&LIVE_EJECT, false) => Eject::Yes,
        _ => Eject::No,
    };
    Shutdown { eject, umount_timeout: umount_timeout(lookup).unwrap_or(Shutdown::default().umount_timeout) }
}

/// dracut gives the value to `timeout(1)`, so a unit may follow the number.
fn umount_timeout(lookup: &mut Lookup) -> Option<Duration> {
    let token = lookup.token(&SHUTDOWN_TIMEOUT)?;
    let text = lookup.clean(token)?;
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text.as_str(), 1),
    };
    let seconds = number.parse::<u32>().ok().map(|number| u64::from(number) * factor);
    if seconds.is_none() {
        lookup.warn("value", &token.raw, "not a number of seconds, using the default");
    }
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    #[test]
    fn shutdown_table() {
        for (text, eject, seconds, warned) in [
            ("", Eject::No, 90, false),
            ("rd.live.eject", Eject::Yes, 90, false),
            ("rd.live.eject=0", Eject::No, 90, false),
            ("rd.live.eject=prompt", Eject::Prompt, 90, false),
            ("rd.live.eject=prompt rd.live.eject=0", Eject::No, 90, false),
            ("rd.shutdown.timeout.umount=5", Eject::No, 5, false),
            ("rd.shutdown.timeout.umount=5s", Eject::No, 5, false),
            ("rd.shutdown.timeout.umount=2m", Eject::No, 120, false),
            ("rd.shutdown.timeout.umount=0", Eject::No, 0, false),
            ("rd.shutdown.timeout.umount=soon", Eject::No, 90, true),
        ] {
            let (config, warnings) = interpret_text(text);
            let expected = Shutdown { eject, umount_timeout: Duration::from_secs(seconds) };
            assert_eq!((config.shutdown, !warnings.is_empty()), (expected, warned), "{text}: {warnings:?}");
        }
    }
}
