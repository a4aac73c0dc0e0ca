//! Nothing waits in silence: who does something that may take long tells a person after 3 s, and again while it goes on.

use std::time::{Duration, Instant};

use crate::env::Env;
use crate::kmsg;

/// Silence after which somebody asks himself whether the machine hangs, and how long it lasts from then on.
pub const FIRST_WORD: Duration = Duration::from_secs(3);
/// See [`FIRST_WORD`].
pub const NEXT_WORD: Duration = Duration::from_secs(5);

/// One thing that may take long, outside of an attempt; there it is [`crate::attempt::Watchdog`] that tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    what: String,
    begun: Instant,
    next: Instant,
}

impl Silence {
    /// Begins now.
    pub fn new(what: impl Into<String>) -> Self {
        let begun = Instant::now();
        Self { what: what.into(), begun, next: begun + FIRST_WORD }
    }

    /// How long until the next word, from now on.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// What is to be told now.
    pub fn word(&mut self, now: Instant) -> Option<String> {
        if now < self.next {
            return None;
        }
        self.next = now + NEXT_WORD;
        Some(still_at_it(&self.what, now.duration_since(self.begun)))
    }

    /// Tells it, on consoles that `quiet` keeps the kernel's messages from, too.
    pub fn tell(&mut self, env: &Env) {
        if let Some(word) = self.word(Instant::now()) {
            kmsg::tell(env, &word);
        }
    }
}

/// The words.
#[must_use]
pub fn still_at_it(what: &str, taken: Duration) -> String {
    format!("{what}: still at it after {} s", taken.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_after_3_s_and_then_every_5() {
        let mut silence = Silence::new("unmounting /run/x");
        let begun = silence.begun;
        for (at, left, expected) in [
            (0, 3, None),
            (2, 1, None),
            (3, 5, Some("unmounting /run/x: still at it after 3 s")),
            (4, 4, None),
            (7, 1, None),
            (9, 5, Some("unmounting /run/x: still at it after 9 s")),
            (10, 4, None),
        ] {
            let now = begun + Duration::from_secs(at);
            assert_eq!(silence.word(now).as_deref(), expected, "after {at} s");
            assert_eq!(silence.left(now), Duration::from_secs(left), "after {at} s");
        }
    }
}
