//! Whether more connections are faster: tried once, early. Pure.

use std::time::Duration;

/// One connection is watched so long before more are tried.
const FIRST: Duration = Duration::from_millis(300);
/// New connections have so long to come up to speed.
const RAMP: Duration = Duration::from_millis(200);
/// And so long to show what they bring.
const SECOND: Duration = Duration::from_millis(400);
/// They are kept if they bring so many per cent of what one brought.
const WORTH: u128 = 115;

/// How many connections a transfer uses.
#[derive(Clone, Debug)]
pub(super) struct Width {
    most: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// One connection since then, and with so many bytes before.
    One(Duration, u64),
    /// One brought so many bytes a second; all of them are coming up to speed.
    Ramp(Duration, u64),
    /// All of them are watched.
    All(Duration, u64, u64),
    Settled(usize),
}

impl Width {
    pub(super) fn new(most: usize, now: Duration) -> Self {
        let most = most.clamp(1, 4);
        Self { most, state: if most == 1 { State::Settled(1) } else { State::One(now, 0) } }
    }

    /// How many there may be now, `bytes` having come by them.
    pub(super) fn at(&mut self, now: Duration, bytes: u64) -> usize {
        match self.state {
            State::One(since, before) if now >= since + FIRST && bytes > before => {
                self.state = State::Ramp(now, rate(now - since, bytes - before));
            }
            State::Ramp(since, one) if now >= since + RAMP => self.state = State::All(now, bytes, one),
            State::All(since, before, one) if now >= since + SECOND => {
                let all = rate(now - since, bytes.saturating_sub(before));
                let worth = u128::from(all) * 100 >= u128::from(one) * WORTH;
                self.state = State::Settled(if worth { self.most } else { 1 });
            }
            _ => {}
        }
        match self.state {
            State::One(..) => 1,
            State::Ramp(..) | State::All(..) => self.most,
            State::Settled(width) => width,
        }
    }

    /// It is decided that one connection does best, so it need not be asked for small parts.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.state, State::Settled(1))
    }

    /// The server does not want that many: `left` of them are left.
    pub(super) fn refused(&mut self, left: usize) {
        self.state = State::Settled(left.clamp(1, self.most));
    }
}

fn rate(time: Duration, bytes: u64) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths at each 100 ms, where so many bytes come each 100 ms by the first connection and by all.
    fn run(most: usize, one: u64, all: u64) -> Vec<usize> {
        let mut width = Width::new(most, Duration::ZERO);
        let mut bytes = 0;
        (0..15)
            .map(|step| {
                let now = width.at(Duration::from_millis(100 * step), bytes);
                bytes += if now == 1 { one } else { all };
                now
            })
            .collect()
    }

    #[test]
    fn more_connections_stay_if_they_are_faster() {
        assert_eq!(run(4, 1000, 4000), [1, 1, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(run(4, 1000, 1150)[14], 4);
        assert_eq!(run(4, 1000, 1000), [1, 1, 1, 4, 4, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1]);
        assert_eq!(run(4, 1000, 0)[14], 1);
        assert_eq!(run(1, 1000, 4000), [1; 15]);
        assert_eq!(run(99, 1000, 4000)[14], 4);
        // Before the first byte nothing is known.
        assert_eq!(run(4, 0, 0), [1; 15]);
    }

    #[test]
    fn what_the_server_refuses_is_not_tried_again() {
        let mut width = Width::new(4, Duration::ZERO);
        width.refused(0);
        assert_eq!(width.at(Duration::from_secs(9), 1 << 30), 1);
        assert!(width.is_one());
    }
}
