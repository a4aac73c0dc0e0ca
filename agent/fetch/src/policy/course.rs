//! Which source is asked, and when it ends.

use std::fmt;
use std::time::Duration;

use super::{Jitter, Judged, MISSING_EACH, MISSING_FOR, Schedule, Verdict, Whose};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the source with this number.
    Ask(usize),
    /// Nothing before this time.
    Wait(Duration),
    /// No source is left, or no byte came for too long: [`Course::failure`] says why.
    GiveUp,
}

/// The sources of one file, in the order in which they were named, and what became of them. A transfer that moves never ends by time.
#[derive(Debug)]
pub struct Course<E> {
    schedule: Schedule,
    jitter: Jitter,
    /// The longest time without a new byte (`rd.retry`).
    patience: Duration,
    sources: Vec<Source<E>>,
    current: usize,
    outage: Option<Outage<E>>,
    /// When the last new byte came, or the course began.
    moved: Duration,
    /// Bytes came since the last failure.
    moving: bool,
    ready: Duration,
}

#[derive(Debug)]
struct Source<E> {
    shown: String,
    missing: Option<Duration>,
    not_before: Duration,
    ended: Option<E>,
}

/// Failures in a row.
#[derive(Debug)]
struct Outage<E> {
    since: Duration,
    failures: u32,
    source: usize,
    cause: E,
    rank: Rank,
}

/// How much a failure says about the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The try had brought bytes before it broke: what the next one meets says more.
    Broken,
    /// The network did not reach the server, as in the first second of a boot.
    Ours,
    /// The server, or its silence.
    Servers,
}

impl<E: Judged + Clone> Course<E> {
    /// Begins at `now` with these sources, each with the text that people see (the first is the one that was asked for, the others its
    /// mirrors). `patience`: how long no new byte may come.
    #[must_use]
    pub fn new(sources: Vec<String>, patience: Duration, schedule: Schedule, jitter: Jitter, now: Duration) -> Self {
        let source = |shown| Source { shown, missing: None, not_before: Duration::ZERO, ended: None };
        let sources = sources.into_iter().map(source).collect();
        let (current, outage, moving) = (0, None, false);
        Self { schedule, jitter, patience, sources, current, outage, moved: now, moving, ready: now }
    }

    /// What to do at `now`, while nothing is being asked.
    #[must_use]
    pub fn next(&self, now: Duration) -> Next {
        let Some((source, ready)) = self.earliest() else { return Next::GiveUp };
        let end = self.moved + self.patience;
        if self.outage.is_some() && now >= end {
            Next::GiveUp
        } else if now >= ready {
            Next::Ask(source)
        } else {
            Next::Wait(ready.min(end))
        }
    }

    /// The source that can be asked first, and when; of several the one whose turn it is.
    fn earliest(&self) -> Option<(usize, Duration)> {
        let count = self.sources.len();
        let turns = (0..count).map(|step| (self.current + step) % count);
        let alive = turns.filter_map(|index| self.sources.get(index).map(|source| (index, source)));
        alive
            .filter(|(_, source)| source.ended.is_none())
            .map(|(index, source)| (index, source.not_before.max(self.ready)))
            .min_by_key(|(_, ready)| *ready)
    }

    /// A byte came from the source that none had brought before.
    pub fn moved(&mut self, now: Duration, source: usize) {
        (self.moved, self.moving, self.outage) = (now, true, None);
        self.current = source;
        if let Some(source) = self.sources.get_mut(source) {
            source.missing = None;
        }
    }

    /// The source was asked and failed.
    pub fn failed(&mut self, now: Duration, source: usize, error: E) {
        let verdict = error.verdict();
        let moving = std::mem::take(&mut self.moving);
        let rank = match verdict {
            _ if moving => Rank::Broken,
            Verdict::Again(Whose::Ours) => Rank::Ours,
            _ => Rank::Servers,
        };
        let (failures, since) = self.count(now, source, &error, rank);
        self.ready = now;
        let next = (source + 1) % self.sources.len().max(1);
        let spread = self.jitter.below(self.schedule.spread);
        let Some(failed) = self.sources.get_mut(source) else { return };
        self.current = next;
        match verdict {
            Verdict::Final => failed.ended = Some(error),
            Verdict::Missing if now.saturating_sub(*failed.missing.get_or_insert(now)) >= MISSING_FOR => {
                failed.ended = Some(error);
            }
            Verdict::Missing => failed.not_before = now + MISSING_EACH,
            Verdict::After(wait) => failed.not_before = now + wait + spread,
            Verdict::Again(whose) => {
                let pause = self.schedule.pause(failures, now.saturating_sub(since), moving, whose, &mut self.jitter);
                self.ready = now + pause;
                if !failures.is_multiple_of(2) {
                    self.current = source;
                }
            }
        }
    }

    /// Counts a failure, and keeps the first cause of those that say most.
    fn count(&mut self, now: Duration, source: usize, error: &E, rank: Rank) -> (u32, Duration) {
        let first = || Outage { since: now, failures: 0, source, cause: error.clone(), rank };
        let outage = self.outage.get_or_insert_with(first);
        outage.failures += 1;
        if rank > outage.rank {
            (outage.source, outage.cause, outage.rank) = (source, error.clone(), rank);
        }
        (outage.failures, outage.since)
    }

    /// The first cause of the failures that have not ended yet, for who waits.
    #[must_use]
    pub fn cause(&self) -> Option<&E> {
        self.outage.as_ref().map(|outage| &outage.cause)
    }

    /// Why it was given up: the error that ended the source that was asked for, or the first cause of the last outage. `None` as long as
    /// nothing has failed.
    #[must_use]
    pub fn failure(&self, now: Duration) -> Option<Failure<E>> {
        let outage = self.outage.as_ref()?;
        let first = self.sources.first()?;
        let all_ended = self.sources.iter().all(|source| source.ended.is_some());
        let (why, source, cause) = match &first.ended {
            Some(cause) if all_ended => (GaveUp::NoSource, first, cause),
            _ => (GaveUp::NoProgress(self.patience), self.sources.get(outage.source)?, &outage.cause),
        };
        let lasted = now.saturating_sub(self.moved);
        Some(Failure { url: source.shown.clone(), cause: cause.clone(), tries: outage.failures, lasted, why })
    }
}

/// Why a course ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// No source can have the file.
    NoSource,
    /// No new byte for this long (`rd.retry`).
    NoProgress(Duration),
}

/// The last line on the screen: the first cause, not what came after it (network-field.md kind 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<E> {
    /// The URL that the cause is about, without credentials.
    pub url: String,
    /// What happened, with address and status or errno in words.
    pub cause: E,
    /// How often it was tried since the last new byte.
    pub tries: u32,
    /// Since the last new byte, or since the beginning.
    pub lasted: Duration,
    /// Whether more time would have helped.
    pub why: GaveUp,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.tries == 1 { "try" } else { "tries" };
        write!(f, "{}: {} ({} {tries} in {} s)", self.url, self.cause, self.tries, self.lasted.as_secs())
    }
}

impl<E: std::error::Error> std::error::Error for Failure<E> {}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
