//! The client's state machine (RFC 2131 4.4, figure 5), for one interface.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::ears::Ears;
use super::event::{Action, Event, Setup};
use super::lease::Lease;
use super::message::Outgoing;
use super::notice::{Lost, Notice};
use super::request::{self, Known};
use super::{frame, schedule};

/// A carrier that goes within this time of a change of the MTU goes because of it (network-field.md kind 6).
const OWN_BOUNCE: Duration = Duration::from_secs(10);
/// A REQUEST is sent so often.
const REQUESTS: u32 = 3;
/// The shortest pause between two attempts to get more time for a lease.
const RENEW_PAUSE: Duration = Duration::from_secs(10);
/// An answer takes no longer than this, mostly.
const FRESH: Duration = Duration::from_millis(500);
/// As long as nothing proves that the port forwards, longer pauses would miss its beginning.
const DEAF_PAUSE: u64 = 4;

/// A lease and when it began.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub lease: Box<Lease>,
    pub since: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// No carrier, no lease.
    Off,
    /// A DISCOVER is out, or about to go.
    Selecting { xid: u32, begun: Duration, tries: u32, sent: Duration, next: Duration },
    /// An offer is asked for.
    Requesting { xid: u32, begun: Duration, offer: Box<Lease>, tries: u32, next: Duration },
    /// Nobody else must have the address.
    Probing { held: Held, until: Duration },
    /// In use. `asked`: a request for more time is out.
    Bound { held: Held, asked: Option<u32>, next: Option<Duration> },
    /// In use, but the cable may lead elsewhere now: RFC 2131 3.2.
    Rebooting { held: Held, xid: u32, tries: u32, next: Duration },
    /// Nothing may be sent until then.
    Pausing { until: Duration },
}

/// A client for one interface.
pub struct Client {
    pub(super) setup: Setup,
    random: Box<dyn FnMut() -> u32 + Send>,
    pub(super) state: State,
    up: bool,
    /// Whether the carrier went because of the MTU that we have set.
    own_bounce: bool,
    mtu_changed: Option<Duration>,
    pub(super) own_macs: Vec<[u8; 6]>,
    ears: Ears,
    /// Answers of servers since the link is up.
    pub(super) answers: u32,
    /// Who answered for an address that was declined.
    pub(super) declined: Vec<[u8; 6]>,
    /// How often in a row a server has said no.
    pub(super) naks: u32,
    pub(super) refused: BTreeSet<(Ipv4Addr, u32)>,
}

impl Client {
    /// A client that waits for the link. `random` gives numbers for transactions and pauses: any, evenly spread.
    pub fn new(setup: Setup, random: Box<dyn FnMut() -> u32 + Send>) -> Self {
        let own_macs = setup.mac.ethernet().into_iter().collect();
        Self {
            setup,
            random,
            state: State::Off,
            up: false,
            own_bounce: false,
            mtu_changed: None,
            own_macs,
            ears: Ears::default(),
            answers: 0,
            declined: Vec::new(),
            naks: 0,
            refused: BTreeSet::new(),
        }
    }

    /// When to come again with [`Event::Time`] at the latest; `None`: only if something happens.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        let (next, bound) = match &self.state {
            State::Off => (None, false),
            State::Selecting { next, .. } | State::Requesting { next, .. } => (Some(*next), false),
            State::Probing { until, .. } | State::Pausing { until } => (Some(*until), false),
            State::Bound { next, .. } => (*next, true),
            State::Rebooting { next, .. } => (Some(*next), true),
        };
        let due = if bound { None } else { self.ears.due() };
        next.into_iter().chain(due).min()
    }

    /// The lease in use.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound { held, .. } | State::Rebooting { held, .. } => Some(&held.lease),
            _ => None,
        }
    }

    /// What has arrived on the link so far.
    #[must_use]
    pub fn ears(&self) -> &Ears {
        &self.ears
    }

    /// Takes in what has happened at `now` (time since any fixed moment, never earlier than at the last call).
    #[must_use]
    pub fn handle(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Time => {}
            Event::LinkUp => self.link_up(now, &mut out),
            Event::LinkDown => self.link_down(now),
            Event::Packet(packet) => self.packet(now, packet, &mut out),
            Event::Arp(packet) => self.arp(now, packet, &mut out),
            Event::Frame(frame) => {
                if self.ears.hear(frame) {
                    self.opened(now);
                }
            }
            Event::MtuChange => self.mtu_changed = Some(now),
            Event::OwnMac(mac) => self.own_macs.extend(mac.ethernet()),
            Event::Enslaved => {
                self.give_up(Lost::Enslaved, &mut out);
                (self.state, self.up) = (State::Off, false);
                self.ears.down();
            }
        }
        self.time(now, &mut out);
        out
    }

    /// The lease in use, if there is one, must go.
    pub(super) fn give_up(&self, why: Lost, out: &mut Vec<Action>) {
        if let State::Bound { held, .. } | State::Rebooting { held, .. } = &self.state {
            out.push(Action::Drop { lease: held.lease.clone(), why });
        }
    }

    pub(super) fn random(&mut self) -> u32 {
        (self.random)()
    }

    fn link_up(&mut self, now: Duration, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.up, true) {
            return;
        }
        self.ears.up(now);
        self.answers = 0;
        let own = std::mem::take(&mut self.own_bounce);
        match &self.state {
            State::Bound { .. } | State::Rebooting { .. } if own => {}
            State::Bound { held, .. } | State::Rebooting { held, .. } => {
                let held = held.clone();
                let xid = self.random();
                self.state = State::Rebooting { held, xid, tries: 0, next: now };
            }
            // The pause after a DECLINE or a NAK is the server's due, whatever the cable does.
            State::Pausing { .. } => {}
            _ => self.select(now),
        }
        self.time(now, out);
    }

    fn link_down(&mut self, now: Duration) {
        if !std::mem::replace(&mut self.up, false) {
            return;
        }
        self.ears.down();
        match self.state {
            State::Bound { .. } | State::Rebooting { .. } => {
                self.own_bounce = self.mtu_changed.is_some_and(|changed| now.saturating_sub(changed) <= OWN_BOUNCE);
            }
            State::Pausing { .. } => {}
            _ => self.state = State::Off,
        }
    }

    /// Begins anew, at once.
    fn select(&mut self, now: Duration) {
        let xid = self.random();
        self.state =
            if self.up { State::Selecting { xid, begun: now, tries: 0, sent: now, next: now } } else { State::Off };
    }

    /// The port forwards: a DISCOVER goes out at once, unless one has just gone out, whose answer this frame may be. It is the same
    /// transaction, so that the answer to an earlier one counts too.
    fn opened(&mut self, now: Duration) {
        if let State::Selecting { tries, sent, next, .. } = &mut self.state
            && *tries > 0
        {
            *next = (*next).min(now.max(*sent + FRESH));
            *tries = 0;
        }
    }

    /// Does what is due.
    fn time(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.lease().is_none()
            && let Some(up) = self.ears.speak(now)
        {
            out.push(Action::Say(Notice::Waiting { up, heard: self.ears.heard().clone(), answers: self.answers }));
        }
        // One step leads to another at most a few times; no clock brings more.
        for _ in 0..4 {
            if !self.step(now, out) {
                break;
            }
        }
    }

    /// One thing that is due; whether there was one.
    fn step(&mut self, now: Duration, out: &mut Vec<Action>) -> bool {
        let random = self.random();
        match &mut self.state {
            State::Selecting { xid, begun, tries, sent, next } if now >= *next => {
                (*tries, *sent) = (*tries + 1, now);
                let limit = if self.ears.heard().frames == 0 { DEAF_PAUSE } else { u64::MAX };
                *next = now + schedule::pause(*tries, limit, random);
                let known = Known { xid: *xid, waited: now.saturating_sub(*begun), ..Known::default() };
                let message = request::discover(&self.setup, &known);
                out.push(Action::Broadcast(packet(Ipv4Addr::UNSPECIFIED, &message)));
            }
            State::Requesting { offer, tries, next, .. } if now >= *next && *tries >= REQUESTS => {
                out.push(Action::Say(Notice::Unanswered { server: offer.server }));
                self.select(now);
            }
            State::Requesting { xid, begun, offer, tries, next } if now >= *next => {
                *tries += 1;
                *next = now + schedule::pause(*tries, u64::MAX, random);
                let known = Known { xid: *xid, waited: now.saturating_sub(*begun), ..Known::asked(offer) };
                out.push(Action::Broadcast(packet(Ipv4Addr::UNSPECIFIED, &request::request(&self.setup, &known))));
            }
            State::Probing { held, until } if now >= *until => {
                let held = held.clone();
                self.bind(held, out);
            }
            State::Bound { next: Some(next), .. } if now >= *next => self.renew(now, out),
            State::Rebooting { held, tries, next, .. } if now >= *next && *tries >= REQUESTS => {
                // RFC 2131 3.2: nobody contradicts, so the lease holds until its end.
                self.state = State::Bound { next: timer(held), asked: None, held: held.clone() };
            }
            State::Rebooting { held, xid, tries, next } if now >= *next => {
                *tries += 1;
                *next = now + schedule::pause(*tries, u64::MAX, random);
                let known = Known { xid: *xid, server: None, ..Known::asked(&held.lease) };
                out.push(Action::Broadcast(packet(Ipv4Addr::UNSPECIFIED, &request::request(&self.setup, &known))));
            }
            State::Pausing { until } if now >= *until => self.select(now),
            _ => return false,
        }
        true
    }

    /// The lease is ours from now on.
    pub(super) fn bind(&mut self, held: Held, out: &mut Vec<Action>) {
        self.naks = 0;
        out.push(Action::Use(held.lease.clone()));
        self.state = State::Bound { next: timer(&held), asked: None, held };
    }

    /// RFC 2131 4.4.5: from T1 on the server is asked for more time, from T2 on every server, and then it is over.
    fn renew(&mut self, now: Duration, out: &mut Vec<Action>) {
        let xid = self.random();
        let State::Bound { held, asked, next } = &mut self.state else { return };
        let (Some(time), Some((_, second))) = (held.lease.time, held.lease.renew) else { return };
        let (end, rebind) = (held.since + time, held.since + second);
        if now >= end {
            self.give_up(Lost::Expired, out);
            self.select(now);
            return;
        }
        let known = Known { xid, server: None, requested: None, ..Known::asked(&held.lease) };
        let IpAddr::V4(own) = held.lease.address.ip else { return };
        let message = request::request(&self.setup, &Known { own, ..known });
        let (to, until) = if now < rebind { (Some(held.lease.server), rebind) } else { (None, end) };
        match to {
            Some(to) => out.push(Action::Unicast { to, payload: message.encode() }),
            None => {
                if now.saturating_sub(rebind) < RENEW_PAUSE {
                    out.push(Action::Say(Notice::NotRenewed { left: end.saturating_sub(now) }));
                }
                out.push(Action::Broadcast(packet(own, &message)));
            }
        }
        *asked = Some(xid);
        *next = Some((now + ((until - now) / 2).max(RENEW_PAUSE)).min(until));
    }
}

/// When a lease asks for something first: T1.
pub(super) fn timer(held: &Held) -> Option<Duration> {
    held.lease.renew.map(|(first, _)| held.since + first)
}

pub(super) fn packet(source: Ipv4Addr, message: &Outgoing<'_>) -> Vec<u8> {
    frame::broadcast(source, &message.encode())
}
