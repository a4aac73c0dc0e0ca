//! Which interfaces ask for an address, where a word of the command line or a hardware address does not say it alone (network-field.md
//! kinds 4 and 5). Pure: interfaces as they are now go in, a decision comes out.

use std::time::Duration;

use crate::hardware::HardwareAddress;

/// How long an interface that is meant may take until it sees the other end, before others are used.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long the one that is preferred may take until a server was reached over it.
pub const REACH: Duration = Duration::from_secs(20);
/// After this time the others are set up, to see which of them have a link.
pub const LOOK: Duration = Duration::from_secs(5);
/// How long one of two interfaces with one hardware address may ask before the other one does.
pub const TURN: Duration = Duration::from_secs(10);
/// How often is looked again while something is undecided.
pub const AGAIN: Duration = Duration::from_millis(500);

/// What the command line wants of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A word names it.
    Named,
    /// Words that name none hold for it.
    Any,
    /// Words name others.
    No,
}

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its number.
    pub index: u32,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// It is the one that is preferred (`BOOTIF=`, `bootdev=`).
    pub preferred: bool,
    /// Its hardware address; `None` for a VLAN, which shares it with the one below.
    pub mac: Option<HardwareAddress>,
    /// It sees the other end.
    pub carrier: bool,
    /// It is a part of another one, which gets the address.
    pub is_part: bool,
    /// What it asks for can be had by one alone: an address of the command line that no interface is named for.
    pub shares: bool,
    /// It leads somewhere: a DHCP server has given it an address, or a server was reached over it.
    pub is_proven: bool,
    /// Since when it asks for one.
    pub since: Option<Duration>,
}

/// What else counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since the network is brought up.
    pub now: Duration,
    /// One is preferred.
    pub prefers: bool,
    /// The preference has had its time.
    pub released: bool,
    /// A server was reached.
    pub reached: bool,
}

/// Why all interfaces are used although one is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It is not there, or has no link.
    NoLink,
    /// No server was reached over it.
    NoServer,
}

/// What is done where no interface that a word names has a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// Nothing: one has.
    Needless,
    /// Wait.
    Wait,
    /// Set the others up, and see.
    Look,
    /// This one is used: it is the only one that has a link.
    Use(u32),
}

/// Those that may ask for an address now.
#[must_use]
pub fn asking(seats: &[Seat], moment: &Moment) -> Vec<u32> {
    let may = |seat: &&Seat| match seat.wanted {
        _ if seat.is_part => false,
        Wanted::No => false,
        Wanted::Named => true,
        Wanted::Any => !moment.prefers || seat.preferred || moment.released,
    };
    let allowed: Vec<&Seat> = seats.iter().filter(may).collect();
    let is_its_turn = |seat: &&&Seat| {
        let twins: Vec<&Seat> = allowed.iter().copied().filter(|other| is_twin(seat, other)).collect();
        twins.len() < 2 || turn(&twins, moment.now) == Some(seat.index)
    };
    allowed.iter().filter(is_its_turn).map(|seat| seat.index).collect()
}

/// Whether two would have the same address: by their hardware, on one wire, or by the command line.
fn is_twin(one: &Seat, other: &Seat) -> bool {
    (one.mac.is_some() && one.mac == other.mac) || (one.shares && other.shares)
}

/// Which of several that would have the same address asks: with both none would have traffic. The carrier decides; else each has its time.
fn turn(twins: &[&Seat], now: Duration) -> Option<u32> {
    let has_link = twins.iter().any(|seat| seat.carrier);
    let fit = || twins.iter().filter(|seat| seat.carrier || !has_link);
    let Some(present) = twins.iter().filter(|seat| seat.since.is_some()).min_by_key(|seat| seat.since) else {
        return fit().map(|seat| seat.index).min();
    };
    let is_fit = present.carrier || !has_link;
    let has_time = present.since.is_some_and(|since| now.saturating_sub(since) < TURN);
    if is_fit && (present.is_proven || has_time) {
        return Some(present.index);
    }
    let others = || fit().map(|seat| seat.index).filter(|index| *index != present.index);
    others().filter(|index| *index > present.index).min().or_else(|| others().min()).or(Some(present.index))
}

/// Whether the preference is over: it is no more than one.
#[must_use]
pub fn release(seats: &[Seat], moment: &Moment) -> Option<Release> {
    let held = |seat: &Seat| seat.wanted == Wanted::Any && !seat.preferred && !seat.is_part;
    if moment.released || !moment.prefers || !seats.iter().any(held) {
        return None;
    }
    let has_link = seats.iter().any(|seat| seat.preferred && seat.carrier && !seat.is_part);
    match (has_link, moment.reached) {
        (false, _) if moment.now >= PATIENCE => Some(Release::NoLink),
        (true, false) if moment.now >= REACH => Some(Release::NoServer),
        _ => None,
    }
}

/// Whether another interface stands in for those that words name.
#[must_use]
pub fn stand_in(seats: &[Seat], moment: &Moment) -> StandIn {
    let has_link = |seat: &&Seat| seat.carrier && !seat.is_part;
    if seats.iter().filter(has_link).any(|seat| seat.wanted != Wanted::No) {
        return StandIn::Needless;
    }
    let mut others = seats.iter().filter(has_link);
    match (others.next(), others.next()) {
        _ if moment.now < LOOK => StandIn::Wait,
        (Some(only), None) if moment.now >= PATIENCE => StandIn::Use(only.index),
        _ => StandIn::Look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seat(index: u32, wanted: Wanted, carrier: bool) -> Seat {
        let mac = HardwareAddress::new(&[0x52, 0x54, 0, 0, 0, u8::try_from(index).unwrap()]);
        Seat {
            index,
            wanted,
            preferred: false,
            mac,
            carrier,
            is_part: false,
            shares: false,
            is_proven: false,
            since: None,
        }
    }

    fn at(now: u64) -> Moment {
        Moment { now: secs(now), prefers: false, released: false, reached: false }
    }

    #[test]
    fn without_a_word_all_ask_and_parts_of_others_never() {
        let part = Seat { is_part: true, ..seat(3, Wanted::Named, true) };
        let seats = [seat(1, Wanted::Any, true), seat(2, Wanted::Named, false), part, seat(4, Wanted::No, true)];
        assert_eq!(asking(&seats, &at(0)), [1, 2]);
    }

    /// network-field.md kind 4b, 4d; N-P2.
    #[test]
    fn one_that_is_preferred_asks_alone_for_a_while() {
        let boot = |carrier| Seat { preferred: true, ..seat(1, Wanted::Any, carrier) };
        let other = seat(2, Wanted::Any, true);
        let prefers = |now| Moment { prefers: true, ..at(now) };
        let both = [boot(true), other];
        assert_eq!(asking(&both, &prefers(9)), [1]);
        assert_eq!(asking(&both, &Moment { released: true, ..prefers(9) }), [1, 2]);
        for (seats, moment, expected) in [
            (&both[..], prefers(19), None),
            (&both, prefers(20), Some(Release::NoServer)),
            (&both, Moment { reached: true, ..prefers(60) }, None),
            (&both, Moment { released: true, ..prefers(60) }, None),
            (&both, at(60), None),
            (&[boot(false), other], prefers(9), None),
            (&[boot(false), other], prefers(10), Some(Release::NoLink)),
            // It is not there at all.
            (&[other], prefers(10), Some(Release::NoLink)),
            // There is no other one.
            (&[boot(false)], prefers(10), None),
        ] {
            assert_eq!(release(seats, &moment), expected, "{seats:?} {moment:?}");
        }
    }

    /// network-field.md kind 4a.
    #[test]
    fn of_two_with_one_hardware_address_one_asks() {
        let mac = seat(1, Wanted::Any, true).mac;
        let twin = |index, carrier, since: Option<u64>, is_proven| Seat {
            mac,
            since: since.map(secs),
            is_proven,
            ..seat(index, Wanted::Any, carrier)
        };
        for (one, two, now, expected) in [
            // The carrier decides.
            (twin(1, false, None, false), twin(2, true, None, false), 0, 2),
            (twin(1, true, None, false), twin(2, true, None, false), 0, 1),
            (twin(1, false, None, false), twin(2, false, None, false), 0, 1),
            // It comes later.
            (twin(1, false, Some(0), false), twin(2, true, None, false), 3, 2),
            // Else each has its time.
            (twin(1, true, Some(0), false), twin(2, true, None, false), 9, 1),
            (twin(1, true, Some(0), false), twin(2, true, None, false), 10, 2),
            (twin(1, true, None, false), twin(2, true, Some(10), false), 20, 1),
            // Without any other that has a link it goes on.
            (twin(1, true, Some(0), false), twin(2, false, None, false), 60, 1),
            // Who has an address of a server keeps it, as long as it has a link.
            (twin(1, true, Some(0), true), twin(2, true, None, false), 60, 1),
            (twin(1, false, Some(0), true), twin(2, true, None, false), 60, 2),
        ] {
            assert_eq!(asking(&[one, two], &at(now)), [expected], "{one:?} {two:?} {now}");
        }
        // An address of the command line is one machine's: whoever has a link has it.
        let one = |index, carrier| Seat { shares: true, ..seat(index, Wanted::Any, carrier) };
        assert_eq!(asking(&[one(1, false), one(2, true), one(3, true)], &at(0)), [2]);
        let master = Seat { is_part: true, ..twin(2, true, None, false) };
        assert_eq!(asking(&[twin(1, true, None, false), master], &at(0)), [1]);
    }

    /// network-field.md kind 5a, 5b.
    #[test]
    fn the_only_one_with_a_link_stands_in_for_one_that_is_named() {
        let (named, linked) = (|carrier| seat(1, Wanted::Named, carrier), seat(2, Wanted::No, true));
        for (seats, now, expected) in [
            (&[named(true), linked][..], 60, StandIn::Needless),
            (&[linked], 4, StandIn::Wait),
            (&[linked], 5, StandIn::Look),
            (&[linked], 10, StandIn::Use(2)),
            (&[named(false), linked], 10, StandIn::Use(2)),
            (&[linked, seat(3, Wanted::No, true)], 60, StandIn::Look),
            (&[seat(3, Wanted::No, false)], 60, StandIn::Look),
            (&[linked, seat(3, Wanted::No, false)], 10, StandIn::Use(2)),
            (&[linked, Seat { is_part: true, ..seat(3, Wanted::No, true) }], 10, StandIn::Use(2)),
        ] {
            assert_eq!(stand_in(seats, &at(now)), expected, "{seats:?} {now}");
        }
    }
}
