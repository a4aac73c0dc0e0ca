//! The client's exchanges with servers (RFC 9915 18.2), for one interface.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Information;
use super::lease::{Lease, Lost, Notice, Refusal};
use super::message::{self, Message, Outgoing, Status, Type};
use crate::hardware::HardwareAddress;

/// The first pause, then twice as long each time (RFC 9915 7.6 and 15).
const FIRST: Duration = Duration::from_secs(1);
/// The same for more time, which is not urgent.
const FIRST_OF_RENEWAL: Duration = Duration::from_secs(10);
/// The longest pause while there is no address: a boot has no hour for it.
const LONGEST: Duration = Duration::from_secs(16);
/// The longest one while there is (REN_MAX_RT).
const LONGEST_OF_RENEWAL: Duration = Duration::from_secs(600);
/// The first SOLICIT waits up to this, so that a hundred machines do not come at once; the RFC allows a second.
const SPREAD: Duration = Duration::from_millis(250);
/// A REQUEST is sent so often (REQ_MAX_RC), a DECLINE so often (DEC_MAX_RC).
const REQUESTS: u32 = 10;
const DECLINES: u32 = 4;
/// After so many addresses that others have, each further one is asked for after a pause.
const PATIENT: u32 = 2;
/// That pause, and the one after a refusal.
const REST: Duration = Duration::from_secs(10);
/// A server that wants to be taken at once (RFC 9915 21.8).
const AT_ONCE: u8 = 255;
/// Refusals that are told apart.
const MAX_REFUSED: usize = 16;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// What a router does not say itself: its advertisement has the O flag.
    Information,
    /// An address too: it has the M flag, or the command line asks for one.
    Address,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this datagram from the link-local address of the interface, port 546, to [`super::EVERYBODY`], port 547.
    Send(Vec<u8>),
    /// A server has told this; it gives no address.
    Told(Information),
    /// The address is ours: set it. The kernel asks whether somebody else has it; if so, say [`Client::duplicate`].
    Use(Box<Lease>),
    /// It goes on, and the server may have said something new.
    Extend(Box<Lease>),
    /// Take the address away.
    Drop {
        /// Which lease it was.
        lease: Box<Lease>,
        /// Why.
        why: Lost,
    },
    /// Tell a person.
    Say(Notice),
}

/// A message that is sent until it is answered.
#[derive(Clone, Debug)]
struct Asking {
    kind: Type,
    xid: [u8; 3],
    /// When it was sent first.
    begun: Option<Duration>,
    tries: u32,
    next: Duration,
    /// What it is about: of a REQUEST the offer, of a DECLINE what is declined.
    about: Option<Box<Lease>>,
}

/// A client for one interface. It has the same number of identity in each boot, the last bytes of the hardware address, as other
/// programs can be told to have it (network.md 4.7).
pub struct Client {
    client: Vec<u8>,
    iaid: u32,
    random: Box<dyn FnMut() -> u32 + Send>,
    asking: Option<Asking>,
    /// The best offer so far, and how much its server wants to be taken.
    offer: Option<(u8, Box<Lease>)>,
    held: Option<(Box<Lease>, Duration)>,
    declined: u32,
    refused: BTreeSet<Refusal>,
}

/// The number of the identity of an interface.
fn iaid(mac: &HardwareAddress) -> u32 {
    mac.bytes().last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

impl Client {
    /// A client that begins at once. `random` gives numbers for transactions and pauses: any, evenly spread.
    pub fn new(now: Duration, mac: HardwareAddress, goal: Goal, random: Box<dyn FnMut() -> u32 + Send>) -> Self {
        let mut client = Self {
            client: message::duid(&mac),
            iaid: iaid(&mac),
            random,
            asking: None,
            offer: None,
            held: None,
            declined: 0,
            refused: BTreeSet::new(),
        };
        match goal {
            Goal::Information => client.ask(Type::InformationRequest, now, None),
            Goal::Address => {
                let share = SPREAD.saturating_mul((client.random)() % 1000) / 1000;
                client.ask(Type::Solicit, now + share, None);
            }
        }
        client
    }

    /// The address in use.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.held.as_ref().map(|(lease, _)| lease.as_ref())
    }

    /// When to call [`Self::time`] at the latest; `None` when there is nothing to do.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        let asking = self.asking.as_ref().map(|asking| asking.next);
        let held = self.held.as_ref().and_then(|(lease, since)| {
            let (first, second) = lease.renew?;
            let next = match self.asking.as_ref().map(|asking| asking.kind) {
                None => first,
                Some(Type::Renew) => second,
                Some(_) => return Some(*since + lease.valid?),
            };
            Some(*since + lease.valid.map_or(next, |valid| next.min(valid)))
        });
        asking.into_iter().chain(held).min()
    }

    fn ask(&mut self, kind: Type, at: Duration, about: Option<Box<Lease>>) {
        let [_, xid @ ..] = (self.random)().to_be_bytes();
        self.offer = None;
        self.asking = Some(Asking { kind, xid, begun: None, tries: 0, next: at, about });
    }

    /// Does what is due.
    pub fn time(&mut self, now: Duration) -> Vec<Action> {
        let mut out = Vec::new();
        self.age(now, &mut out);
        let due = self.asking.as_ref().filter(|asking| now >= asking.next).map(|asking| (asking.kind, asking.tries));
        match due {
            Some((Type::Solicit, _)) if self.offer.is_some() => self.request(now),
            Some((Type::Request, REQUESTS..)) => self.ask(Type::Solicit, now, None),
            Some((Type::Decline, DECLINES..)) => self.anew(now),
            _ => {}
        }
        out.extend(self.send(now));
        out
    }

    /// What time makes of the address in use: more of it is asked for, of the same server and then of all, and then it is over.
    fn age(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some((lease, since)) = &self.held else { return };
        let (lease, held_for) = (lease.clone(), now.saturating_sub(*since));
        if lease.valid.is_some_and(|valid| held_for >= valid) {
            self.held = None;
            out.push(Action::Drop { lease, why: Lost::Expired });
            self.ask(Type::Solicit, now, None);
            return;
        }
        let Some((first, second)) = lease.renew else { return };
        match self.asking.as_ref().map(|asking| asking.kind) {
            None if held_for >= first => self.ask(Type::Renew, now, None),
            Some(Type::Renew) if held_for >= second => self.ask(Type::Rebind, now, None),
            _ => {}
        }
    }

    /// The message that is due, if one is.
    fn send(&mut self, now: Duration) -> Option<Action> {
        let random = (self.random)();
        let held = self.held.as_ref().map(|(lease, _)| lease.as_ref());
        let asking = self.asking.as_mut().filter(|asking| now >= asking.next)?;
        let begun = *asking.begun.get_or_insert(now);
        let renews = matches!(asking.kind, Type::Renew | Type::Rebind);
        let (first, longest) = if renews { (FIRST_OF_RENEWAL, LONGEST_OF_RENEWAL) } else { (FIRST, LONGEST) };
        let pause = first.saturating_mul(1 << asking.tries.min(10)).min(longest);
        // RFC 9915 15: a tenth shorter or longer; the first pause of a SOLICIT is never shorter (18.2.1).
        let (tenth, share) = (pause / 10, random % 1000);
        let less = if asking.kind == Type::Solicit && asking.tries == 0 { Duration::ZERO } else { tenth };
        asking.next = now + pause - less + (tenth + less).saturating_mul(share) / 1000;
        asking.tries = asking.tries.saturating_add(1);
        let about = asking.about.as_deref().or(held.filter(|_| renews));
        let meant = matches!(asking.kind, Type::Request | Type::Renew | Type::Decline);
        let outgoing = Outgoing {
            kind: asking.kind,
            xid: asking.xid,
            client: &self.client,
            server: about.filter(|_| meant).map(|lease| lease.server.as_slice()),
            waited: now.saturating_sub(begun),
            identity: (asking.kind != Type::InformationRequest)
                .then_some((self.iaid, about.map(|lease| lease.address))),
        };
        Some(Action::Send(outgoing.encode()))
    }

    /// A datagram that has come in: the answer that is waited for, or nothing.
    pub fn receive(&mut self, now: Duration, datagram: &[u8]) -> Vec<Action> {
        let Ok(message) = Message::parse(datagram) else { return Vec::new() };
        let Some(asking) = &self.asking else { return Vec::new() };
        if message.xid != asking.xid || message.client != self.client || asking.tries == 0 {
            return Vec::new();
        }
        let mut out = Vec::new();
        let other = asking.about.as_ref().is_some_and(|about| about.server != message.server);
        match (asking.kind, message.kind) {
            (Type::InformationRequest, Type::Reply) if message.status == Status::SUCCESS => {
                self.asking = None;
                out.push(Action::Told(message.information));
            }
            (Type::Solicit, Type::Advertise) => self.advertised(now, &message, &mut out),
            (Type::Solicit, Type::Reply) if message.rapid => self.replied(now, &message, &mut out),
            (Type::Request, Type::Reply) if !other => self.replied(now, &message, &mut out),
            (Type::Renew | Type::Rebind, Type::Reply) => self.replied(now, &message, &mut out),
            (Type::Decline, Type::Reply) if !other => self.anew(now),
            _ => {}
        }
        out.extend(self.time(now));
        out
    }

    /// RFC 9915 18.2.9: offers are collected until the first pause is over, unless a server wants to be taken at once.
    fn advertised(&mut self, now: Duration, message: &Message, out: &mut Vec<Action>) {
        match Lease::of(message, self.iaid) {
            Ok(lease) => {
                let is_better = self.offer.as_ref().is_none_or(|(best, _)| message.preference > *best);
                if is_better {
                    self.offer = Some((message.preference, Box::new(lease)));
                }
                if message.preference == AT_ONCE || self.asking.as_ref().is_some_and(|asking| asking.tries > 1) {
                    self.request(now);
                }
            }
            Err(why) => self.refuse(why, out),
        }
    }

    fn request(&mut self, now: Duration) {
        if let Some((_, offer)) = self.offer.take() {
            self.ask(Type::Request, now, Some(offer));
        }
    }

    fn replied(&mut self, now: Duration, message: &Message, out: &mut Vec<Action>) {
        let renews = self.asking.as_ref().is_some_and(|asking| matches!(asking.kind, Type::Renew | Type::Rebind));
        match Lease::of(message, self.iaid) {
            Ok(lease) => {
                self.asking = None;
                let lease = Box::new(lease);
                match self.held.replace((lease.clone(), now)) {
                    Some((before, _)) if before.address == lease.address => out.push(Action::Extend(lease)),
                    before => {
                        out.extend(before.map(|(lease, _)| Action::Drop { lease, why: Lost::Replaced }));
                        out.push(Action::Use(lease));
                    }
                }
            }
            // RFC 9915 18.2.10.1: a server that has forgotten is asked for the same address once more.
            Err(Refusal::Status(Status::NO_BINDING)) if renews => {
                let held = self.held.as_ref().map(|(lease, _)| lease.clone());
                self.ask(Type::Request, now + FIRST, held);
            }
            // What one server says against it is no reason to let it go before its time, unless it is of another link.
            Err(why) if renews && why != Refusal::Status(Status::NOT_ON_LINK) => self.refuse(why, out),
            Err(why) => {
                let held = self.held.take();
                out.extend(held.map(|(lease, _)| Action::Drop { lease, why: Lost::Replaced }));
                self.refuse(why, out);
                self.ask(Type::Solicit, now + FIRST, None);
            }
        }
    }

    fn refuse(&mut self, why: Refusal, out: &mut Vec<Action>) {
        if self.refused.len() < MAX_REFUSED && self.refused.insert(why.clone()) {
            out.push(Action::Say(Notice::Refused(why)));
        }
    }

    /// The kernel has found another machine with the address that was given (RFC 9915 18.2.8).
    pub fn duplicate(&mut self, now: Duration) -> Vec<Action> {
        let Some((lease, _)) = self.held.take() else { return Vec::new() };
        let mut out = vec![Action::Say(Notice::Conflict(lease.address))];
        self.declined = self.declined.saturating_add(1);
        self.ask(Type::Decline, now, Some(lease.clone()));
        out.push(Action::Drop { lease, why: Lost::Duplicate });
        out.extend(self.time(now));
        out
    }

    /// Another address, after one that somebody else has.
    fn anew(&mut self, now: Duration) {
        let rest = if self.declined > PATIENT { REST } else { Duration::ZERO };
        self.ask(Type::Solicit, now + rest, None);
    }
}
