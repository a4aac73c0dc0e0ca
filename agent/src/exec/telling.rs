//! How far a transfer is, for people.

use std::time::Duration;

use rdlive_fetch::transfer::Progress;

use crate::attempt::Watchdog;
use crate::env::Env;
use crate::kmsg;

const MIB: u64 = 1 << 20;

/// Says about once a second how far it is, and after 3 s without a byte why.
pub(super) fn teller(env: Env, watchdog: Watchdog) -> impl FnMut(&Progress) + Send + 'static {
    let mut stalled = Duration::ZERO;
    move |progress| {
        for note in &progress.notes {
            kmsg::tell(&env, &note.to_string());
            watchdog.said();
        }
        if progress.waits {
            return;
        }
        let line = match &progress.stall {
            Some(stall) if stall.lasts < stalled + Duration::from_secs(5) && !stalled.is_zero() => return,
            Some(stall) => {
                stalled = stall.lasts;
                let why = stall.why.as_ref().map_or_else(|| "nothing comes".to_owned(), ToString::to_string);
                format!("{}: nothing new for {} s: {why}", progress.url, stall.lasts.as_secs())
            }
            None => {
                stalled = Duration::ZERO;
                line(progress)
            }
        };
        kmsg::tell(&env, &line);
        watchdog.said();
    }
}

fn line(progress: &Progress) -> String {
    let speed = progress.rate / 1_000_000;
    let done = progress.bytes / MIB;
    match (progress.total, progress.rest) {
        (Some(total), rest) => {
            let percent = progress.bytes.saturating_mul(100) / total.max(1);
            let left = rest.map(|rest| format!(", {} s left", rest.as_secs())).unwrap_or_default();
            format!("{percent} %, {done} of {} MiB, {speed} MB/s{left}", total.div_ceil(MIB))
        }
        (None, _) => format!("{done} MiB, {speed} MB/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_one_line() {
        let progress = |bytes, total, rest: Option<u64>| Progress {
            url: "http://h/x".into(),
            address: None,
            bytes,
            total,
            rate: 12_000_000,
            rest: rest.map(Duration::from_secs),
            elapsed: Duration::from_secs(1),
            stall: None,
            notes: Vec::new(),
            waits: false,
        };
        assert_eq!(line(&progress(50 * MIB, Some(100 * MIB), Some(4))), "50 %, 50 of 100 MiB, 12 MB/s, 4 s left");
        assert_eq!(line(&progress(50 * MIB, None, None)), "50 MiB, 12 MB/s");
    }
}
