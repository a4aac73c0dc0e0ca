//! Which interfaces ask for an address now: what `choice` decides is done.

use super::{BEST, Course, Stage, Worked};
use crate::attach::News;
use crate::attach::choice::{self, Moment, Seat, StandIn, Wanted};
use crate::grammar::{Interface, Method, Names, Request};

impl Course {
    /// Looks at all interfaces, after whatever has happened.
    pub(super) fn decide(&mut self) {
        if self.shared.followed.is_some() {
            return;
        }
        if !self.young.is_empty() {
            self.list();
        }
        self.favour();
        let seats = self.seats();
        if let Some(why) = choice::release(&seats, &self.moment())
            && let Some(wanted) = self.wish.preferred.clone()
        {
            self.released = true;
            let all = self.cards.iter().map(|card| card.card.clone()).collect();
            self.news.push(News::Released { wanted, why, all });
        }
        self.stand_in(&seats);
        self.give_turns();
    }

    /// Whether time alone may change what was decided.
    pub(super) fn is_undecided(&self) -> bool {
        let waits = |card: &Worked| matches!(card.stage, Stage::Held | Stage::Looked);
        self.shared.followed.is_none()
            && (!self.young.is_empty() || self.may_stand_in() || self.cards.iter().any(waits))
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.begun.elapsed(),
            prefers: self.wish.preferred.is_some(),
            released: self.released,
            reached: self.best.is_some(),
        }
    }

    fn seats(&self) -> Vec<Seat> {
        self.cards.iter().map(|card| self.seat(card)).collect()
    }

    fn seat(&self, card: &Worked) -> Seat {
        let requests = self.asked(&card.link);
        let is_named = |request: &Request| request.interface.is_some();
        let is_one = |request: &Request| !is_named(request) && request.method == Method::Static;
        Seat {
            index: card.card.index,
            shares: requests.iter().flatten().any(is_one),
            wanted: match requests {
                None => Wanted::No,
                Some(requests) if requests.iter().any(is_named) => Wanted::Named,
                Some(_) => Wanted::Any,
            },
            preferred: self.is_preferred(&card.link),
            mac: card.link.mac.filter(|_| !card.card.is_vlan),
            carrier: card.card.carrier,
            is_part: card.is_part(),
            is_proven: self.best == Some(card.card.index) || card.card.given.iter().any(|given| given.is_leased),
            since: card.since,
        }
    }

    /// The one over which a server was reached.
    fn favour(&mut self) {
        let winner = self.shared.board().winner;
        if winner == self.best {
            return;
        }
        self.best = winner;
        for card in &mut self.cards {
            if Some(card.card.index) == winner {
                card.is_best(BEST, &mut self.handle);
            } else if card.card.metric == BEST {
                card.is_best(BEST.saturating_add(1), &mut self.handle);
            }
        }
        self.cards.sort_by_key(|card| card.card.metric);
    }

    /// Whether words name interfaces, and none stands in for them.
    fn may_stand_in(&self) -> bool {
        let names_one = self.wish.requests.iter().any(|request| request.interface.is_some());
        let names_all = self.wish.requests.iter().all(|request| request.interface.is_some());
        !self.stood_in && names_one && names_all
    }

    /// network-field.md kind 5: the name on the line is none that is here, or the cable is in another port.
    fn stand_in(&mut self, seats: &[Seat]) {
        if !self.may_stand_in() {
            return;
        }
        match choice::stand_in(seats, &self.moment()) {
            StandIn::Needless | StandIn::Wait => {}
            StandIn::Look => {
                for card in &mut self.cards {
                    let is_wanted = seats.iter().any(|seat| seat.index == card.card.index && seat.wanted != Wanted::No);
                    if !is_wanted && !card.is_part() {
                        card.look(&mut self.handle, &mut self.news);
                    }
                }
            }
            StandIn::Use(index) => self.use_instead(index),
        }
    }

    fn use_instead(&mut self, index: u32) {
        let missing = self.missing();
        let is_there = missing.is_none();
        let Some(wanted) = missing.or_else(|| self.without_link()) else { return };
        let Some(other) = self.cards.iter().find(|card| card.card.index == index) else { return };
        let name = other.card.name.clone();
        self.stood_in = true;
        self.news.push(News::StandIn { name: name.clone(), wanted: wanted.clone(), is_there });
        self.wish.stand_in(&wanted, &name);
        let link = other.link.clone();
        self.vlans(&link);
        for at in 0..self.cards.len() {
            let is_unwanted = self.cards.get(at).is_some_and(|card| self.asked(&card.link).is_none());
            if let Some(card) = self.cards.get_mut(at).filter(|card| is_unwanted && is_used(card)) {
                card.is_unwanted(&mut self.handle);
            }
        }
    }

    /// The first word that is to have an address and names nothing.
    fn missing(&self) -> Option<Interface> {
        let present: Vec<Names<'_>> = self.cards.iter().map(|card| super::names(&card.link)).collect();
        let asks = |word: &&Interface| {
            self.wish.requests.iter().any(|request| request.interface.as_ref() == Some(word))
                || self.wish.vlans.iter().any(|vlan| vlan.parent == **word)
        };
        self.wish.missing(&present).find(asks).cloned()
    }

    /// The first word that names a card without a link. A VLAN has the link of the one below.
    fn without_link(&self) -> Option<Interface> {
        let mut words = self.wish.requests.iter().filter_map(|request| request.interface.as_ref());
        let is_card = |word: &&Interface| {
            let mut its = self.cards.iter().filter(|card| word.means(&super::names(&card.link)));
            its.any(|card| !card.card.is_vlan)
        };
        words.find(is_card).cloned()
    }

    fn give_turns(&mut self) {
        let seats = self.seats();
        let asking = choice::asking(&seats, &self.moment());
        let now = self.begun.elapsed();
        // Who makes room comes first: two with one address disturb each other.
        for card in &mut self.cards {
            if card.stage == Stage::Asked && !asking.contains(&card.card.index) {
                card.rest(&mut self.handle);
            }
        }
        for at in 0..self.cards.len() {
            let Some(card) = self.cards.get(at) else { break };
            let requests = if is_used(card) || card.is_part() { None } else { self.asked(&card.link) };
            let (cards, mut desk) = self.desk(now);
            let Some(card) = cards.get_mut(at) else { break };
            if let Some(requests) = requests {
                card.ready(requests, &mut desk);
            }
            if card.stage == Stage::Held && asking.contains(&card.card.index) {
                card.ask(&mut desk);
            }
        }
    }
}

fn is_used(card: &Worked) -> bool {
    matches!(card.stage, Stage::Held | Stage::Asked)
}
