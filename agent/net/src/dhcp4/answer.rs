//! What the client makes of packets: answers of servers, and of machines that have an address already.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::client::{Client, Held, State, packet, timer};
use super::event::Action;
use super::frame;
use super::lease::{Lease, Refusal, words};
use super::message::{Message, Type, code};
use super::notice::{Lost, Notice};
use super::request::{self, Known};

/// For how long an answer to an ARP probe is waited for (network.md 4.4).
const PROBE: Duration = Duration::from_millis(200);
/// After a DECLINE nothing is asked for during these times: together less than 15 s, and no third (network-field.md kind 8).
const AFTER_DECLINE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(3)];
/// Refusals that are told apart.
const MAX_REFUSED: usize = 32;

impl Client {
    /// An IPv4 packet: the answer that is waited for, or nothing.
    pub(super) fn packet(&mut self, now: Duration, bytes: &[u8], out: &mut Vec<Action>) {
        let Some(message) = frame::datagram(bytes).ok().and_then(|payload| Message::parse(payload).ok()) else {
            return;
        };
        if !message.chaddr.is_empty() && self.setup.mac.ethernet().is_some_and(|mac| message.chaddr != mac) {
            return;
        }
        let server = message.address(code::SERVER);
        let (xid, from) = match &self.state {
            State::Selecting { xid, .. } => (*xid, None),
            State::Requesting { xid, offer, .. } => (*xid, Some(offer.server)),
            State::Bound { asked: Some(xid), .. } | State::Rebooting { xid, .. } => (*xid, None),
            _ => return,
        };
        // Option 54 has to be there; of two servers only the one that was chosen counts.
        let Some(server) = server.filter(|server| from.is_none_or(|from| from == *server)) else { return };
        if message.xid != xid {
            return;
        }
        self.answers = self.answers.saturating_add(1);
        let selecting = matches!(self.state, State::Selecting { .. });
        match message.kind {
            Type::Nak if !selecting => self.nak(now, server, &message, out),
            Type::Offer if selecting => self.offer(now, server, &message, out),
            Type::Ack if !selecting => self.ack(now, server, &message, out),
            Type::Ack if self.setup.rapid_commit && message.option(code::RAPID_COMMIT).is_some() => {
                self.ack(now, server, &message, out);
            }
            _ => {}
        }
    }

    fn offer(&mut self, now: Duration, server: Ipv4Addr, message: &Message, out: &mut Vec<Action>) {
        let begun = match self.state {
            State::Selecting { begun, .. } => begun,
            _ => now,
        };
        match Lease::of(message, server, &self.setup.limits) {
            Ok((lease, _)) => {
                let (xid, offer) = (message.xid, Box::new(lease));
                self.state = State::Requesting { xid, begun, offer, tries: 0, next: now };
            }
            Err(why) => self.refuse(server, why, out),
        }
    }

    fn ack(&mut self, now: Duration, server: Ipv4Addr, message: &Message, out: &mut Vec<Action>) {
        let (lease, parts) = match Lease::of(message, server, &self.setup.limits) {
            Ok(judged) => judged,
            Err(why) => {
                self.refuse(server, why, out);
                // One that is in use goes on until its end; one that was offered leads to nothing.
                if self.lease().is_none() {
                    self.state = State::Pausing { until: now + Duration::from_secs(1) };
                }
                return;
            }
        };
        if !parts.is_empty() && self.lease().is_none() {
            out.push(Action::Say(Notice::Parts { server, parts }));
        }
        let same = self.lease().map(|held| held.address == lease.address);
        let held = Held { lease: Box::new(lease), since: now };
        match same {
            Some(true) => {
                out.push(Action::Renew(held.lease.clone()));
                self.state = State::Bound { next: timer(&held), asked: None, held };
            }
            Some(false) => {
                self.give_up(Lost::Replaced, out);
                self.probe(now, held, out);
            }
            None => self.probe(now, held, out),
        }
    }

    fn probe(&mut self, now: Duration, held: Held, out: &mut Vec<Action>) {
        let IpAddr::V4(address) = held.lease.address.ip else { return };
        // ARP over InfiniBand has other addresses, and is left to the kernel.
        match self.setup.mac.ethernet() {
            Some(mac) => {
                out.push(Action::Probe(frame::arp_probe(mac, address)));
                self.state = State::Probing { held, until: now + PROBE };
            }
            None => self.bind(held, out),
        }
    }

    fn nak(&mut self, now: Duration, server: Ipv4Addr, message: &Message, out: &mut Vec<Action>) {
        self.give_up(Lost::TakenBack, out);
        if self.naks == 0 {
            out.push(Action::Say(Notice::Nak { server, text: words(message) }));
        }
        // The first pause is a second; a server that always says no is asked less and less often.
        self.naks = self.naks.saturating_add(1);
        let seconds = 1u64.checked_shl(self.naks - 1).unwrap_or(16).min(16);
        self.setup.requested = None;
        self.state = State::Pausing { until: now + Duration::from_secs(seconds) };
    }

    fn refuse(&mut self, server: Ipv4Addr, why: Refusal, out: &mut Vec<Action>) {
        let kind = match why {
            Refusal::NoAddress => 0,
            Refusal::Unusable(_) => 1,
            Refusal::TooShort(_) => 2,
        };
        if self.refused.len() < MAX_REFUSED && self.refused.insert((server, kind)) {
            out.push(Action::Say(Notice::Refused { server, why }));
        }
    }

    /// An ARP packet: whether somebody has the address that is about to be used.
    pub(super) fn arp(&mut self, now: Duration, bytes: &[u8], out: &mut Vec<Action>) {
        let State::Probing { held, .. } = &self.state else { return };
        let (Some(arp), IpAddr::V4(address)) = (frame::arp(bytes), held.lease.address.ip) else { return };
        // Somebody has it, or somebody else asks for it at the same time (RFC 5227 2.1.1).
        let taken = arp.sender == address || arp.sender.is_unspecified() && arp.target == address && !arp.reply;
        if !taken || self.own_macs.contains(&arp.mac) {
            return;
        }
        let (mac, held) = (arp.mac, held.clone());
        match AFTER_DECLINE.get(self.declined.len()) {
            Some(pause) => {
                let known = Known { xid: self.random(), ..Known::asked(&held.lease) };
                out.push(Action::Broadcast(packet(Ipv4Addr::UNSPECIFIED, &request::decline(&self.setup, &known))));
                out.push(Action::Say(Notice::Conflict { address, mac }));
                self.declined.push(mac);
                self.state = State::Pausing { until: now + *pause };
            }
            None => {
                let always = self.declined.iter().all(|before| *before == mac);
                out.push(Action::Say(Notice::AnswersForEvery { address, mac, always }));
                self.bind(held, out);
            }
        }
    }
}
