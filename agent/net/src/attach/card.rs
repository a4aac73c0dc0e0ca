//! One interface on its way to an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::{Card, Given, News};
use crate::dhcp4::{Event as Event4, Lease, Lost};
use crate::fixed::{self, Fixed};
use crate::grammar::{Address, Names, Request, Wish};
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;
use crate::link::{self, Event, Handle, Link, RouteOptions};
use crate::nic::{Nic, Outcome};

mod left;
mod six;
mod turn;
mod twins;

use six::{Plan, Six};
use twins::Twins;

/// What all interfaces share, while one of them is worked for.
pub(super) struct Desk<'a> {
    /// Since the beginning.
    pub now: Duration,
    pub wish: &'a Wish,
    /// Where `/proc` and `/sys` are below.
    pub root: &'a Path,
    /// Hardware addresses of all interfaces.
    pub own_macs: &'a [HardwareAddress],
    pub handle: &'a mut Handle,
    pub news: &'a mut Vec<News>,
}

/// How far an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody wants it: it is as it was.
    Idle,
    /// Nobody wants it, and it was set up to see if it has a link.
    Looked,
    /// It is set up, and another one has its turn.
    Held,
    /// It asks for an address, or has one.
    Asked,
    /// Another program has it.
    Followed,
}

/// What is done for an interface.
pub(super) struct Worked {
    /// As others see it.
    pub card: Card,
    /// As the kernel has it.
    pub link: Link,
    /// What the command line asks for it; empty: nothing in particular.
    pub requests: Vec<Request>,
    pub stage: Stage,
    /// Since when it asks.
    pub since: Option<Duration>,
    nic: Option<Nic>,
    six: Six,
    fixed: Vec<Fixed>,
    twins: Twins,
}

fn failed(name: &str, failure: link::Failure) -> News {
    News::Failed { name: name.to_owned(), failure }
}

impl Worked {
    /// An interface that nobody has asked for yet.
    pub fn new(link: &Link, metric: u32, root: &Path) -> Self {
        let card = Card {
            index: link.index,
            name: link.name.clone(),
            mac: link.mac,
            driver: link::driver(root, &link.name),
            metric,
            is_vlan: link.kind.as_deref() == Some("vlan"),
            ..Card::default()
        };
        Self {
            card,
            link: link.clone(),
            requests: Vec::new(),
            stage: Stage::Idle,
            since: None,
            nic: None,
            six: Six::new(Plan::Nothing),
            fixed: Vec::new(),
            twins: Twins::default(),
        }
    }

    /// One that another program has.
    pub fn followed(link: &Link, metric: u32, root: &Path, news: &mut Vec<News>) -> Self {
        let followed = Self { stage: Stage::Followed, ..Self::new(link, metric, root) };
        followed.found(news);
        followed
    }

    fn found(&self, news: &mut Vec<News>) {
        let Card { name, driver, others, .. } = &self.card;
        news.push(News::Found { name: name.clone(), others: others.clone(), driver: driver.clone() });
    }

    /// Whether it is a part of another one, which gets the address.
    pub fn is_part(&self) -> bool {
        self.link.master.is_some()
    }

    /// The descriptors to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.nic.iter().flat_map(Nic::descriptors).chain(self.six.descriptor()).chain(self.twins.descriptor())
    }

    /// When to look again at the latest.
    pub fn wake(&self) -> Option<Duration> {
        let nic = self.nic.as_ref().and_then(Nic::wake);
        let six = (self.stage == Stage::Asked).then(|| self.six.wake(self.has_lease())).flatten();
        nic.into_iter().chain(six).chain(self.twins.wake()).min()
    }

    /// Whether a DHCPv4 server has answered.
    fn has_lease(&self) -> bool {
        self.nic.as_ref().is_some_and(|nic| nic.lease().is_some())
    }

    /// The kernel says how it is now.
    pub fn is_now(&mut self, link: &Link, desk: &mut Desk<'_>) {
        self.card.up = link.up;
        if link.carrier != self.card.carrier {
            self.card.carrier = link.carrier;
            desk.news.push(News::Carrier { name: self.card.name.clone(), on: link.carrier });
        }
        self.link = link.clone();
        self.card.name.clone_from(&link.name);
        self.card.others.clone_from(&link.altnames);
        let outcomes = self.nic.as_mut().map_or_else(Vec::new, |nic| nic.link(desk.now, link, desk.handle));
        self.take(outcomes, desk);
        if link.carrier {
            self.twins.link_up(desk.now);
        }
    }

    /// This machine has an interface with this hardware address.
    pub fn owns(&mut self, mac: HardwareAddress, desk: &mut Desk<'_>) {
        self.twins.owns(mac);
        let event = Event4::OwnMac(mac);
        let outcomes = self.nic.as_mut().map_or_else(Vec::new, |nic| nic.event(desk.now, event, desk.handle));
        self.take(outcomes, desk);
    }

    /// Takes in what has arrived, then that time has passed.
    pub fn goes_on(&mut self, desk: &mut Desk<'_>) {
        if let Some(nic) = &mut self.nic {
            let mut outcomes = nic.receive(desk.now, desk.handle);
            outcomes.extend(nic.event(desk.now, Event4::Time, desk.handle));
            self.take(outcomes, desk);
        }
        self.tries(desk);
        if self.stage == Stage::Asked {
            self.goes_on6(desk);
        }
    }

    /// What the kernel tells of addresses and routers.
    pub fn hears(&mut self, event: &Event, desk: &mut Desk<'_>) {
        if self.stage == Stage::Followed {
            return self.follows(event, desk.news);
        }
        if self.six.hears(desk.now, self.card.index, event) && self.stage == Stage::Asked {
            self.goes_on6(desk);
        }
    }

    /// What another program has given it, or taken away.
    fn follows(&mut self, event: &Event, news: &mut Vec<News>) {
        match event {
            Event::Address { index, address, tentative: false, duplicate: false }
                if *index == self.card.index && leads_away(address.ip) =>
            {
                self.own(*address, None, news);
            }
            Event::AddressGone { index, address } if *index == self.card.index => {
                self.card.addresses.retain(|own| own.ip != address.ip);
            }
            _ => {}
        }
    }

    fn take(&mut self, outcomes: Vec<Outcome>, desk: &mut Desk<'_>) {
        let name = self.card.name.clone();
        for outcome in outcomes {
            match outcome {
                Outcome::Up(lease) | Outcome::Renewed(lease) => {
                    self.leased(&lease, desk);
                    self.routes(desk);
                }
                Outcome::Down(why) => {
                    let fixed: Vec<Address> = self.fixed.iter().map(|fixed| fixed.address).collect();
                    self.card.addresses.retain(|address| !address.ip.is_ipv4() || fixed.contains(address));
                    self.card.given.retain(|given| !given.is_leased || given.address.ip.is_ipv6());
                    // What has become a part of another interface is as it should be.
                    if why != Lost::Enslaved {
                        desk.news.push(News::Lost { name: name.clone(), why: why.into() });
                    }
                }
                Outcome::Say(notice) => desk.news.push(News::Notice { name: name.clone(), notice: notice.into() }),
                Outcome::Failed(failure) => desk.news.push(failed(&name, failure)),
                Outcome::Deaf(error) => {
                    self.nic = None;
                    desk.news.push(News::Deaf { name: name.clone(), error });
                }
            }
        }
    }

    fn leased(&mut self, lease: &Lease, desk: &mut Desk<'_>) {
        self.own(lease.address, Some(lease.server.into()), desk.news);
        self.card.given.retain(|given| !given.is_leased || given.address.ip.is_ipv6());
        self.card.given.push(Given { address: lease.address, routes: lease.routes.clone(), is_leased: true });
        let ips = |list: &[Ipv4Addr]| list.iter().copied().map(IpAddr::from).collect::<Vec<_>>();
        let dns = if desk.wish.peer_dns { ips(&lease.dns) } else { Vec::new() };
        self.knows(&dns, &lease.search, lease.hostname.as_ref(), &ips(&lease.ntp));
    }

    fn own(&mut self, address: Address, by: Option<IpAddr>, news: &mut Vec<News>) {
        if !self.card.addresses.contains(&address) {
            self.card.addresses.push(address);
            news.push(News::Address { name: self.card.name.clone(), address, by });
        }
    }

    fn knows(&mut self, dns: &[IpAddr], search: &[Hostname], hostname: Option<&Hostname>, ntp: &[IpAddr]) {
        more(&mut self.card.dns, dns);
        more(&mut self.card.search, search);
        more(&mut self.card.ntp, ntp);
        if self.card.hostname.is_none() {
            self.card.hostname = hostname.cloned();
        }
    }

    /// Sets the routes of `rd.route=` that belong to it. One that is there is not set again.
    fn routes(&self, desk: &mut Desk<'_>) {
        let names = names(&self.link);
        for route in fixed::routes(&desk.wish.routes, &names, &self.card.addresses, true) {
            let options = RouteOptions { protocol: RouteOptions::STATIC, metric: self.card.metric, source: None };
            match desk.handle.add_route(self.card.index, route, &options) {
                Err(failure) if failure.source.kind() != io::ErrorKind::AlreadyExists => {
                    desk.news.push(failed(&self.card.name, failure));
                }
                _ => {}
            }
        }
    }
}

/// Whether an address may be used to reach more than what is on the link.
fn leads_away(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()),
    }
}

/// All that an interface may be called.
pub(super) fn names(link: &Link) -> Names<'_> {
    Names { kernel: &link.name, others: &link.altnames, mac: link.permanent.or(link.mac) }
}

fn more<T: Clone + PartialEq>(list: &mut Vec<T>, new: &[T]) {
    for one in new {
        if !list.contains(one) {
            list.push(one.clone());
        }
    }
}

/// From the kernel; it waits for nothing, for what it is used for needs no secret.
pub(super) fn random() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::INSECURE) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => std::process::id(),
    }
}
