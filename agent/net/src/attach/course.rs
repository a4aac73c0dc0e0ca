//! The thread that brings the network up: it hears the kernel and the clients, and writes the board.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

mod decide;

use super::called::Called;
use super::card::{Desk, Stage, Worked, names};
use super::choice;
use super::{Leave, News, Shared};
use crate::grammar::{Names, Request, Vlan, Wish};
use crate::hardware::HardwareAddress;
use crate::link::{Event, Events, Handle, Link};

/// The best metric; those of interfaces without preference begin above. NetworkManager and networkd use 100 and 1024 for wired ones.
const PREFERRED: u32 = 100;
const OTHERS: u32 = 200;
/// Kinds of virtual interfaces that are cables all the same: those of containers and labs.
const CABLES: [&str; 2] = ["veth", "vlan"];

/// The metric of the one over which a server was reached: before all that others give.
const BEST: u32 = 50;

/// All interfaces, and what is asked for.
pub(super) struct Course {
    wish: Wish,
    root: PathBuf,
    handle: Handle,
    shared: Arc<Shared>,
    begun: Instant,
    cards: Vec<Worked>,
    called: Called,
    /// Interfaces that udev may still be about to name, and since when they are known.
    young: Vec<(u32, Duration)>,
    /// VLANs that were made.
    made: Vec<String>,
    /// All are used although one is preferred.
    released: bool,
    /// One stands in for those that words name.
    stood_in: bool,
    best: Option<u32>,
    /// Hardware addresses of all interfaces: what answers from one of these is no other machine (network-field.md kind 8).
    own_macs: Vec<HardwareAddress>,
    news: Vec<News>,
}

impl Course {
    pub fn new(wish: Wish, root: PathBuf, handle: Handle, shared: Arc<Shared>) -> Self {
        Self {
            wish,
            called: Called::new(&root),
            root,
            handle,
            shared,
            begun: Instant::now(),
            cards: Vec::new(),
            young: Vec::new(),
            made: Vec::new(),
            released: false,
            stood_in: false,
            best: None,
            own_macs: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Works until it is told to leave.
    pub fn run(&mut self, mut events: Events, leave: &Mutex<Option<Leave>>) -> Leave {
        self.list();
        self.decide();
        loop {
            self.publish();
            self.stay(&events);
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
            self.decide();
        }
    }

    /// The interfaces, and what they share.
    fn desk(&mut self, now: Duration) -> (&mut Vec<Worked>, Desk<'_>) {
        let Self { wish, root, own_macs, handle, news, cards, .. } = self;
        (cards, Desk { now, wish, root, own_macs, handle, news })
    }

    /// Waits for whatever comes first.
    fn stay(&self, events: &Events) {
        let now = self.begun.elapsed();
        let again = self.is_undecided().then(|| now + choice::AGAIN);
        let due = self.cards.iter().filter_map(Worked::wake).chain(again).min();
        let left = due.map(|due| due.saturating_sub(now));
        let time = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut ready = vec![PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
        ready.extend(self.shared.wake.iter().map(|wake| PollFd::new(wake, PollFlags::IN)));
        let sockets = self.cards.iter().flat_map(Worked::descriptors);
        ready.extend(sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        // What interrupts it is looked at: each of the sockets may have something.
        let _ = poll(&mut ready, time.as_ref());
        if let Some(wake) = &self.shared.wake {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
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
                self.young.retain(|(known, _)| known != index);
                self.called.forget(*index);
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
        if self.cards.iter().any(|card| card.card.index == link.index) {
            self.called.is_now(link.index, &link.name);
            let link = self.called.with_names(link);
            let (cards, mut desk) = self.desk(now);
            let its = cards.iter_mut().filter(|card| card.card.index == link.index);
            its.for_each(|card| card.is_now(&link, &mut desk));
            return self.vlans(&link);
        }
        if self.shared.followed.is_some() {
            if !link.loopback {
                let card = Worked::followed(link, self.metric(link), &self.root, &mut self.news);
                self.begins(now, card, link);
            }
            return;
        }
        if !is_cable(link) || self.is_young(link.index, now) {
            return;
        }
        let link = self.named(link);
        self.vlans(&link);
        let card = Worked::new(&link, self.metric(&link), &self.root);
        self.begins(now, card, &link);
        self.cards.sort_by_key(|card| card.card.metric);
    }

    fn begins(&mut self, now: Duration, mut card: Worked, link: &Link) {
        let (cards, mut desk) = self.desk(now);
        card.is_now(link, &mut desk);
        cards.push(card);
    }

    /// A hardware address of this machine, which all interfaces have to know.
    fn owns(&mut self, now: Duration, link: &Link) {
        let Some(mac) = link.mac.filter(|mac| !self.own_macs.contains(mac)) else { return };
        self.own_macs.push(mac);
        let (cards, mut desk) = self.desk(now);
        cards.iter_mut().for_each(|card| card.owns(mac, &mut desk));
    }

    /// Whether udev, where it runs, has to be waited for.
    fn is_young(&mut self, index: u32, now: Duration) -> bool {
        let since = self.young.iter().find(|(known, _)| *known == index).map_or(now, |(_, since)| *since);
        self.young.retain(|(known, _)| *known != index);
        let is_young = self.called.is_unfinished(index, now.saturating_sub(since));
        self.young.extend(is_young.then_some((index, since)));
        is_young
    }

    /// With the name that `ifname=` gives it, or that udev would.
    fn named(&mut self, link: &Link) -> Link {
        let mut link = link.clone();
        if let Some(name) = self.called.learn(&link, &self.wish) {
            // Only an interface that is down can be renamed by all kernels.
            let down = if link.up { self.handle.down(link.index) } else { Ok(()) };
            match down.and_then(|()| self.handle.rename(link.index, &name)) {
                Ok(()) => {
                    self.called.is_now(link.index, &name);
                    link.name = name;
                }
                Err(failure) => self.news.push(News::Failed { name: link.name.clone(), failure }),
            }
        }
        self.called.with_names(&link)
    }

    /// Makes the VLANs whose tags its frames carry; they come as interfaces of their own.
    fn vlans(&mut self, link: &Link) {
        let its: Vec<Vlan> =
            carried(&self.wish, link).into_iter().filter(|vlan| !self.made.contains(&vlan.name)).collect();
        for vlan in its {
            let made = self.handle.up(link.index).and_then(|()| self.handle.add_vlan(&vlan.name, vlan.id, link.index));
            self.made.push(vlan.name.clone());
            self.news.extend(made.err().map(|failure| News::Failed { name: vlan.name, failure }));
        }
    }

    /// What is asked for it; `None`: it is left alone.
    fn asked(&self, link: &Link) -> Option<Vec<Request>> {
        let names = names(link);
        let requests: Vec<Request> = self.wish.requests_for(&names).into_iter().cloned().collect();
        let carries = !carried(&self.wish, link).is_empty();
        let for_it = requests.iter().any(|request| request.interface.is_some());
        if (carries && !for_it) || (requests.is_empty() && !self.wish.requests.is_empty()) {
            return None;
        }
        Some(requests)
    }

    fn is_preferred(&self, link: &Link) -> bool {
        self.wish.preferred.as_ref().is_some_and(|wanted| wanted.means(&names(link)))
    }

    fn metric(&self, link: &Link) -> u32 {
        if self.is_preferred(link) { PREFERRED } else { OTHERS.saturating_add(link.index) }
    }

    fn publish(&mut self) {
        let mut board = self.shared.board();
        let is_idle = |card: &&Worked| matches!(card.stage, Stage::Idle | Stage::Looked);
        board.idle = self.cards.iter().filter(is_idle).map(|card| card.card.clone()).collect();
        board.cards = self.cards.iter().filter(|card| !is_idle(card)).map(|card| card.card.clone()).collect();
        let macs: Vec<_> = self.cards.iter().filter(|card| !card.card.is_vlan).map(|card| card.card.mac).collect();
        for card in &mut board.cards {
            card.is_twin = !card.is_vlan && macs.iter().filter(|mac| mac.is_some() && **mac == card.mac).count() > 1;
            let own = std::mem::take(&mut card.dns);
            card.dns = self.wish.dns.iter().copied().chain(own).collect();
        }
        board.news.append(&mut self.news);
        drop(board);
        self.shared.changed.notify_all();
    }

    /// Ends as it is told.
    pub fn end(&mut self, how: Leave) {
        match how {
            Leave::AsItIs if self.shared.followed.is_some() => self.hand_on(),
            Leave::AsItIs => self.cards.iter_mut().for_each(|card| card.keep(&mut self.handle)),
            Leave::Clean if self.shared.followed.is_none() => {
                let renames = renames_up(rustix::system::uname().release().to_bytes());
                for card in &mut self.cards {
                    card.clean(renames || self.called.is_final(card.card.index), &mut self.handle);
                }
            }
            Leave::Clean | Leave::ToOthers => {}
        }
        self.publish();
    }

    /// What another program has made of the interfaces stays without an end. That program ends, and the next one may not be of its kind.
    fn hand_on(&mut self) {
        let listed = self.handle.held().and_then(|held| Ok((held, self.handle.routes()?)));
        match listed {
            Ok((held, routes)) => {
                for card in &mut self.cards {
                    card.hand_on(&held, &routes, &self.root, &mut self.handle);
                }
            }
            Err(failure) => self.news.push(News::Failed { name: "netlink".into(), failure }),
        }
    }
}

/// Whether a kernel of this release gives an interface that is up another name: Linux 6.2 was the first.
pub(super) fn renames_up(release: &[u8]) -> bool {
    let mut numbers =
        release.split(|byte| !byte.is_ascii_digit()).map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0u32);
    (next(), next()) >= (6, 2)
}

/// The VLANs whose tags its frames are to carry. One of them has the hardware address of what it lies on, and is not meant by that.
pub(super) fn carried(wish: &Wish, link: &Link) -> Vec<Vlan> {
    let names = names(link);
    let names = Names { mac: names.mac.filter(|_| link.kind.as_deref() != Some("vlan")), ..names };
    wish.vlans.iter().filter(|vlan| vlan.parent.means(&names)).cloned().collect()
}

/// Whether an interface may lead to a server: not the loopback, no part of another one, none that only software sees.
fn is_cable(link: &Link) -> bool {
    let is_known = link.kind.as_deref().is_none_or(|kind| CABLES.contains(&kind));
    !link.loopback && link.master.is_none() && link.mac.is_some() && is_known
}
