//! The thread that brings the network up: it hears the kernel and the clients, and writes the board.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::card::{Desk, Worked, names};
use super::{Leave, News, Shared};
use crate::grammar::{Request, Vlan, Wish};
use crate::hardware::HardwareAddress;
use crate::link::{Event, Events, Handle, Link};

/// The best metric; those of interfaces without preference begin above. NetworkManager and networkd use 100 and 1024 for wired ones.
const PREFERRED: u32 = 100;
const OTHERS: u32 = 200;
/// Kinds of virtual interfaces that are cables all the same: those of containers and labs.
const CABLES: [&str; 2] = ["veth", "vlan"];

/// All interfaces, and what is asked for.
pub(super) struct Course {
    wish: Wish,
    root: PathBuf,
    handle: Handle,
    shared: Arc<Shared>,
    begun: Instant,
    cards: Vec<Worked>,
    /// Interfaces that were looked at and are not used, or were renamed: by number.
    passed: Vec<u32>,
    /// Hardware addresses of all interfaces: what answers from one of these is no other machine (network-field.md kind 8).
    own_macs: Vec<HardwareAddress>,
    news: Vec<News>,
}

impl Course {
    pub fn new(wish: Wish, root: PathBuf, handle: Handle, shared: Arc<Shared>) -> Self {
        let (begun, cards, passed, own_macs, news) = (Instant::now(), vec![], vec![], vec![], vec![]);
        Self { wish, root, handle, shared, begun, cards, passed, own_macs, news }
    }

    /// Works until it is told to leave.
    pub fn run(&mut self, mut events: Events, wake: &OwnedFd, leave: &Mutex<Option<Leave>>) -> Leave {
        self.list();
        loop {
            self.publish();
            self.stay(&events, wake);
            if let Some(how) = *leave.lock().unwrap_or_else(PoisonError::into_inner) {
                return how;
            }
            match events.read() {
                Ok(heard) => heard.iter().for_each(|event| self.hear(event)),
                Err(failure) => {
                    self.news.push(News::Failed { name: "netlink".into(), failure });
                    // Without news of the kernel what is there is listed now and then.
                    std::thread::sleep(Duration::from_secs(1));
                    self.list();
                }
            }
            let now = self.begun.elapsed();
            let (cards, mut desk) = self.desk(now);
            cards.iter_mut().for_each(|card| card.goes_on(&mut desk));
        }
    }

    /// The interfaces, and what they share.
    fn desk(&mut self, now: Duration) -> (&mut Vec<Worked>, Desk<'_>) {
        let Self { wish, handle, news, cards, .. } = self;
        (cards, Desk { now, wish, handle, news })
    }

    /// Waits for whatever comes first.
    fn stay(&self, events: &Events, wake: &OwnedFd) {
        let due = self.cards.iter().filter_map(Worked::wake).min();
        let left = due.map(|due| due.saturating_sub(self.begun.elapsed()));
        let time = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut ready = vec![PollFd::new(wake, PollFlags::IN), PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
        let sockets = self.cards.iter().flat_map(Worked::descriptors);
        ready.extend(sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        // What interrupts it is looked at: each of the sockets may have something.
        let _ = poll(&mut ready, time.as_ref());
    }

    fn list(&mut self) {
        match self.handle.links() {
            Ok(links) => links.iter().for_each(|link| self.link(link)),
            Err(failure) => self.news.push(News::Failed { name: "netlink".into(), failure }),
        }
        // What was there before anybody listened.
        match self.handle.present() {
            Ok(events) => events.iter().for_each(|event| self.hear(event)),
            Err(failure) => self.news.push(News::Failed { name: "netlink".into(), failure }),
        }
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Link(link) => self.link(link),
            Event::LinkGone(index) => {
                self.cards.retain(|card| card.card.index != *index);
                self.passed.retain(|known| known != index);
            }
            Event::Overrun => self.list(),
            event => {
                let (cards, mut desk) = self.desk(self.begun.elapsed());
                cards.iter_mut().for_each(|card| card.hears(event, &mut desk));
            }
        }
    }

    /// An interface is new, or has changed.
    fn link(&mut self, link: &Link) {
        let now = self.begun.elapsed();
        self.owns(now, link);
        let (cards, mut desk) = self.desk(now);
        if let Some(card) = cards.iter_mut().find(|card| card.card.index == link.index) {
            return card.is_now(link, &mut desk);
        }
        if self.shared.followed.is_some() {
            if !link.loopback {
                let metric = self.metric(link);
                let mut card = Worked::followed(link, metric, &self.root, &mut self.news);
                let (cards, mut desk) = self.desk(now);
                card.is_now(link, &mut desk);
                cards.push(card);
            }
            return;
        }
        if self.passed.contains(&link.index) || !is_cable(link) {
            return;
        }
        let link = self.named(link);
        self.vlans(&link);
        match self.asked(&link) {
            Some(requests) => self.takes(now, &link, requests),
            None => self.passed.push(link.index),
        }
    }

    /// Begins with an interface.
    fn takes(&mut self, now: Duration, link: &Link, requests: Vec<Request>) {
        let (metric, root, own_macs) = (self.metric(link), self.root.clone(), self.own_macs.clone());
        let (cards, mut desk) = self.desk(now);
        let mut card = Worked::new(link, requests, metric, &root, &mut desk);
        own_macs.into_iter().for_each(|mac| card.owns(mac, &mut desk));
        card.is_now(link, &mut desk);
        cards.push(card);
        cards.sort_by_key(|card| card.card.metric);
    }

    /// A hardware address of this machine, which all interfaces have to know.
    fn owns(&mut self, now: Duration, link: &Link) {
        let Some(mac) = link.mac.filter(|mac| !self.own_macs.contains(mac)) else { return };
        self.own_macs.push(mac);
        let (cards, mut desk) = self.desk(now);
        cards.iter_mut().for_each(|card| card.owns(mac, &mut desk));
    }

    /// With the name that `ifname=` gives it.
    fn named(&mut self, link: &Link) -> Link {
        let mut link = link.clone();
        let own = link.permanent.or(link.mac);
        let given = self.wish.names.iter().find(|naming| own.is_some_and(|own| naming.mac.means(&own)));
        if let Some(naming) = given.filter(|naming| naming.name != link.name) {
            // Only an interface that is down can be renamed by all kernels.
            let done = self.handle.down(link.index).and_then(|()| self.handle.rename(link.index, &naming.name));
            match done {
                Ok(()) => link.name.clone_from(&naming.name),
                Err(failure) => self.news.push(News::Failed { name: link.name.clone(), failure }),
            }
        }
        link
    }

    /// Makes the VLANs whose tags its frames carry; they come as interfaces of their own.
    fn vlans(&mut self, link: &Link) {
        let names = names(link);
        let its: Vec<Vlan> = self.wish.vlans.iter().filter(|vlan| vlan.parent.means(&names)).cloned().collect();
        for vlan in its {
            let made = self.handle.up(link.index).and_then(|()| self.handle.add_vlan(&vlan.name, vlan.id, link.index));
            self.news.extend(made.err().map(|failure| News::Failed { name: vlan.name, failure }));
        }
    }

    /// What is asked for it; `None`: it is left alone.
    fn asked(&self, link: &Link) -> Option<Vec<Request>> {
        let names = names(link);
        let requests: Vec<Request> = self.wish.requests_for(&names).into_iter().cloned().collect();
        let carries = self.wish.vlans.iter().any(|vlan| vlan.parent.means(&names));
        let for_it = requests.iter().any(|request| request.interface.is_some());
        if (carries && !for_it) || (requests.is_empty() && !self.wish.requests.is_empty()) {
            return None;
        }
        Some(requests)
    }

    fn metric(&self, link: &Link) -> u32 {
        let preferred = self.wish.preferred.as_ref().is_some_and(|wanted| wanted.means(&names(link)));
        if preferred { PREFERRED } else { OTHERS.saturating_add(link.index) }
    }

    fn publish(&mut self) {
        let mut board = self.shared.board();
        board.cards = self.cards.iter().map(|card| card.card.clone()).collect();
        for card in &mut board.cards {
            let own = std::mem::take(&mut card.dns);
            card.dns = self.wish.dns.iter().copied().chain(own).collect();
        }
        board.news.append(&mut self.news);
        drop(board);
        self.shared.changed.notify_all();
    }

    /// Ends as it is told.
    pub fn end(&mut self, how: Leave) {
        if self.shared.followed.is_some() {
            return;
        }
        for card in &mut self.cards {
            match how {
                Leave::Clean => card.clean(&mut self.handle),
                Leave::AsItIs => card.keep(&mut self.handle),
            }
        }
    }
}

/// Whether an interface may lead to a server: not the loopback, no part of another one, none that only software sees.
fn is_cable(link: &Link) -> bool {
    let is_known = link.kind.as_deref().is_none_or(|kind| CABLES.contains(&kind));
    !link.loopback && link.master.is_none() && link.mac.is_some() && is_known
}
