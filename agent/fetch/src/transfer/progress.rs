//! What a person sees of a transfer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Fault;
use crate::dolly;
use crate::http::SMALL_SEGMENT;

/// How often the callback is called.
const TICK: Duration = Duration::from_secs(1);
/// A transfer that brings nothing for so long has a stall.
const STALL: Duration = Duration::from_secs(3);
/// Seconds over which the rate is taken.
const SPAN: usize = 5;

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The URL that is fetched, for people; empty before the first request.
    pub url: String,
    /// Who sends it; `None` before the first answer.
    pub address: Option<SocketAddr>,
    /// Bytes that have come.
    pub bytes: u64,
    /// Bytes of the file, where that is known.
    pub total: Option<u64>,
    /// Bytes per second over the last 5 s.
    pub rate: u64,
    /// How long the rest takes at this rate.
    pub rest: Option<Duration>,
    /// Since the beginning.
    pub elapsed: Duration,
    /// Nothing has come for 3 s or more.
    pub stall: Option<Stall>,
    /// What else a person is to know, since the last time.
    pub notes: Vec<Note>,
    /// A server is waited for that comes by itself, which is said in `notes` from time to time.
    pub waits: bool,
}

/// Something that a person is to know at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A receiver of a dolly server has got so far.
    Dolly(dolly::Progress),
    /// A connection was silent from its beginning, so large packets may be lost on the way: the next one has small segments.
    SmallSegments(Fault),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dolly(progress) => write!(f, "{progress}"),
            Self::SmallSegments(why) => {
                write!(f, "{why}; it is asked again for packets that a tunnel carries ({SMALL_SEGMENT} bytes)")
            }
        }
    }
}

/// Nothing comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// For how long.
    pub lasts: Duration,
    /// The first cause, once there is one; a server may just be silent.
    pub why: Option<Fault>,
    /// What has come is being written, and the place takes its time: no fault of the server.
    pub writes: bool,
}

/// What the transfer writes and the watcher reads.
#[derive(Debug, Default)]
pub(super) struct Board {
    bytes: AtomicU64,
    writes: AtomicBool,
    shown: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    url: String,
    address: Option<SocketAddr>,
    total: Option<u64>,
    why: Option<Fault>,
    notes: Vec<Note>,
    waits: bool,
    over: bool,
}

impl Board {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes have come by now.
    pub(super) fn bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// What has come is being written, as long as the answer lives.
    pub(super) fn writes(&self) -> Writes<'_> {
        self.writes.store(true, Ordering::Relaxed);
        Writes(self)
    }

    pub(super) fn asks(&self, url: String) {
        self.shown().url = url;
    }

    pub(super) fn answers(&self, address: SocketAddr, total: Option<u64>) {
        let mut shown = self.shown();
        (shown.address, shown.total) = (Some(address), total);
    }

    /// The cause of the present outage, or its end.
    pub(super) fn why(&self, why: Option<&Fault>) {
        self.shown().why = why.cloned();
    }

    /// A server is waited for that comes by itself: that nothing comes is no stall.
    pub(super) fn waits(&self, waits: bool) {
        self.shown().waits = waits;
    }

    /// Something to be told at once.
    pub(super) fn note(&self, note: Note) {
        self.shown().notes.push(note);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.shown().over = true;
        self.changed.notify_all();
    }
}

/// See [`Board::writes`].
pub(super) struct Writes<'a>(&'a Board);

impl Drop for Writes<'_> {
    fn drop(&mut self) {
        self.0.writes.store(false, Ordering::Relaxed);
    }
}

/// Calls `report` each second until the transfer is over. Whoever reports slowly misses reports.
pub(super) fn watch(board: &Arc<Board>, mut report: impl FnMut(&Progress) + Send + 'static) -> io::Result<()> {
    let board = Arc::clone(board);
    let began = Instant::now();
    let watcher = move || {
        let mut meter = Meter::default();
        let mut shown = board.shown();
        while !shown.over {
            let waited = board.changed.wait_timeout(shown, TICK).unwrap_or_else(PoisonError::into_inner);
            if waited.0.over {
                return;
            }
            let mut taken = waited.0;
            let snapshot = taken.clone();
            taken.notes.clear();
            drop(taken);
            let mut progress = meter.tick(began.elapsed(), board.bytes.load(Ordering::Relaxed), &snapshot);
            if let Some(stall) = &mut progress.stall {
                stall.writes = board.writes.load(Ordering::Relaxed);
            }
            report(&progress);
            shown = board.shown();
        }
    };
    thread::Builder::new().name("progress".into()).spawn(watcher).map(drop)
}

/// Makes rates and stalls of byte counts: pure.
#[derive(Debug, Default)]
struct Meter {
    /// Time and bytes of the last ticks.
    ticks: Vec<(Duration, u64)>,
    moved: Duration,
}

impl Meter {
    fn tick(&mut self, now: Duration, bytes: u64, shown: &Shown) -> Progress {
        let last = self.ticks.last().map_or(0, |(_, bytes)| *bytes);
        if bytes < last {
            // Begun anew: what came before says nothing about the rate.
            self.ticks.clear();
        }
        if bytes != last {
            self.moved = now;
        }
        self.ticks.push((now, bytes));
        if self.ticks.len() > SPAN + 1 {
            self.ticks.remove(0);
        }
        let (since, before) = self.ticks.first().copied().unwrap_or((now, bytes));
        let since = if self.ticks.len() == 1 { Duration::ZERO } else { since };
        let before = if self.ticks.len() == 1 { 0 } else { before };
        let span = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        let rate = (bytes - before).saturating_mul(1000).checked_div(span).unwrap_or(0);
        let left = shown.total.map(|total| total.saturating_sub(bytes));
        let rest = left.and_then(|left| left.checked_div(rate)).map(Duration::from_secs);
        let lasts = now.saturating_sub(self.moved);
        let stall = (lasts >= STALL && !shown.waits).then(|| Stall { lasts, why: shown.why.clone(), writes: false });
        let (url, address, total, notes) = (shown.url.clone(), shown.address, shown.total, shown.notes.clone());
        Progress { url, address, bytes, total, rate, rest, elapsed: now, stall, notes, waits: shown.waits }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn rates_and_stalls() {
        let mut meter = Meter::default();
        let shown = Shown { total: Some(10_000), ..Shown::default() };
        let mut tick = |second, bytes| {
            let progress = meter.tick(Duration::from_secs(second), bytes, &shown);
            (progress.rate, progress.rest.map(|rest| rest.as_secs()), progress.stall.map(|stall| stall.lasts.as_secs()))
        };
        assert_eq!(tick(1, 1000), (1000, Some(9), None));
        assert_eq!(tick(2, 2000), (1000, Some(8), None));
        assert_eq!(tick(3, 2000), (500, Some(16), None));
        assert_eq!(tick(4, 2000), (333, Some(24), None));
        assert_eq!(tick(5, 2000), (250, Some(32), Some(3)));
        assert_eq!(tick(6, 2000), (200, Some(40), Some(4)));
        assert_eq!(tick(7, 2000), (0, None, Some(5)));
        assert_eq!(tick(8, 7000), (1000, Some(3), None));
        // Begun anew.
        assert_eq!(tick(9, 500).2, None);
        assert_eq!(tick(10, 1500), (1000, Some(8), None));
    }

    #[test]
    fn a_callback_that_blocks_holds_nobody_up() {
        let board = Board::new();
        let (entered, seen) = mpsc::channel();
        let (_keep, never) = mpsc::channel::<()>();
        watch(&board, move |progress| {
            let _ = entered.send(progress.bytes);
            let _ = never.recv_timeout(Duration::from_secs(30));
        })
        .unwrap();
        board.bytes(7);
        assert_eq!(seen.recv_timeout(Duration::from_secs(20)), Ok(7));
        let began = Instant::now();
        board.answers(([127, 0, 0, 1], 80).into(), Some(9));
        board.asks("http://h/".into());
        board.end();
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
