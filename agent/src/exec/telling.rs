//! How far a transfer is, for people.

use std::time::{Duration, Instant};

use rdlive_fetch::transfer::{Progress, Stall};

use crate::attempt::Watchdog;
use crate::env::Env;
use crate::kmsg;

use super::progress::Pace;

const MIB: u64 = 1 << 20;

/// Says about once a second how far it is, and after 3 s without a byte why.
pub(super) fn teller(env: Env, watchdog: Watchdog) -> impl FnMut(&Progress) + Send + 'static {
    let (mut stalled, mut pace) = (Duration::ZERO, Pace::new(Instant::now()));
    move |progress| {
        for note in &progress.notes {
            kmsg::tell(&env, &note.to_string());
            watchdog.said();
        }
        if progress.waits {
            return;
        }
        let began = Instant::now();
        let line = match &progress.stall {
            Some(stall) if stall.lasts < stalled + Duration::from_secs(5) && !stalled.is_zero() => return,
            Some(stall) => {
                stalled = stall.lasts;
                stall_line(&progress.url, stall)
            }
            None => {
                stalled = Duration::ZERO;
                if !pace.is_time(began) {
                    return;
                }
                line(progress)
            }
        };
        kmsg::tell(&env, &line);
        pace.printed(began, Instant::now());
        watchdog.said();
    }
}

/// What a person is told while nothing moves. A slow disk is not the server's fault.
fn stall_line(url: &str, stall: &Stall) -> String {
    let seconds = stall.lasts.as_secs();
    if stall.writes {
        return format!("{url}: writing what has come takes {seconds} s already, the disk is slow");
    }
    let why = stall.why.as_ref().map_or_else(|| "nothing comes".to_owned(), ToString::to_string);
    format!("{url}: nothing new for {seconds} s: {why}")
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
    fn a_slow_disk_is_not_the_servers_fault() {
        let stall = |writes| Stall { lasts: Duration::from_secs(4), why: None, writes };
        assert_eq!(stall_line("http://h/x", &stall(false)), "http://h/x: nothing new for 4 s: nothing comes");
        assert_eq!(
            stall_line("http://h/x", &stall(true)),
            "http://h/x: writing what has come takes 4 s already, the disk is slow"
        );
    }

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
