//! One interface on its way to an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::{Card, Given, News, followed};
use crate::dhcp4::{Event as Event4, Lease, Limits, Lost, Setup};
use crate::fixed::{self, Fixed};
use crate::grammar::{Address, Method, Names, Request, Wish};
use crate::hostname::Hostname;
use crate::ip6;
use crate::link::{self, Event, Handle, Held, Lifetime, Link, RouteOptions};
use crate::nic::{Nic, Outcome};
use crate::route::Route;

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
    ip6: ip6::State,
    fixed: Vec<Fixed>,
}

/// How an interface gets its addresses.
struct Ways {
    dhcp4: bool,
    router: bool,
}

impl Ways {
    /// Without any word of its own: whatever comes first.
    fn of(requests: &[Request]) -> Self {
        let any = |methods: &[Method]| requests.iter().any(|request| methods.contains(&request.method));
        match requests {
            [] => Self { dhcp4: true, router: true },
            _ => Self {
                dhcp4: any(&[Method::Dhcp4, Method::SingleDhcp, Method::Any, Method::Dhcp4And6]),
                router: any(&[Method::Any, Method::Auto6, Method::Either6, Method::Dhcp6, Method::Dhcp4And6]),
            },
        }
    }
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
        let (requests, fixed, ip6) = (Vec::new(), Vec::new(), ip6::State::default());
        Self { card, link: link.clone(), requests, stage: Stage::Idle, since: None, nic: None, ip6, fixed }
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

    /// Sets up what nobody wants, to see if it has a link.
    pub fn look(&mut self, handle: &mut Handle, news: &mut Vec<News>) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Looked;
            news.extend(handle.up(self.card.index).err().map(|error| failed(&self.card.name, error)));
        }
    }

    /// Sets it up for these requests: hardware address, MTU, up. It asks for nothing yet.
    pub fn ready(&mut self, requests: Vec<Request>, root: &Path, handle: &mut Handle, news: &mut Vec<News>) {
        self.found(news);
        self.fixed = requests.iter().filter_map(Fixed::of).collect();
        self.requests = requests;
        self.stage = Stage::Held;
        let (index, name) = (self.link.index, self.card.name.clone());
        let mut done = |result: Result<(), link::Failure>| news.extend(result.err().map(|error| failed(&name, error)));
        if let Some(mac) = self.requests.iter().find_map(|request| request.set_mac) {
            // A card takes another address only while it is down.
            done(handle.down(index));
            done(handle.set_mac(index, mac));
            self.link.mac = Some(mac);
            self.card.mac = Some(mac);
        }
        if Ways::of(&self.requests).router
            && let Err(source) = ip6::prepare(root, &name)
        {
            done(Err(link::Failure { doing: link::Doing::Up(index), source }));
        }
        let mtu = self.requests.iter().find_map(|request| request.mtu);
        if let Some(mtu) = mtu.filter(|_| self.fixed.is_empty()) {
            done(handle.set_mtu(index, mtu));
            self.link.mtu = mtu;
        }
        done(handle.up(index));
    }

    /// It is its turn: addresses of the command line, and DHCP.
    pub fn ask(&mut self, now: Duration, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        (self.stage, self.since) = (Stage::Asked, Some(now));
        self.card.by_other_id = wish.client_id.is_some();
        for fixed in self.fixed.clone() {
            let refused = fixed.apply(handle, self.link.index, self.card.metric);
            news.extend(refused.into_iter().map(|failure| failed(&self.card.name, failure)));
            self.own(fixed.address, None, news);
            self.card.given.push(Given { address: fixed.address, routes: fixed.routes, is_leased: false });
            self.knows(&fixed.dns, &[], fixed.hostname.as_ref(), &fixed.ntp);
        }
        if !self.fixed.is_empty() {
            self.routes(wish, handle, news);
        }
        self.by_router(wish, handle, news);
        if Ways::of(&self.requests).dhcp4 {
            self.client(wish, news);
            let link = self.link.clone();
            let outcomes = self.nic.as_mut().map_or_else(Vec::new, |nic| nic.link(now, &link, handle));
            self.take(outcomes, wish, handle, news);
        }
    }

    /// Another one has its turn, or it has become a part of one: addresses and routes go, without a word.
    pub fn rest(&mut self, handle: &mut Handle) {
        self.give_back(handle);
        (self.stage, self.since, self.nic) = (Stage::Held, None, None);
        self.card.addresses.clear();
        self.card.given.clear();
        self.card.dns.clear();
    }

    /// Nobody wants it any more.
    pub fn is_unwanted(&mut self, handle: &mut Handle) {
        self.rest(handle);
        self.stage = Stage::Looked;
        self.requests.clear();
        self.fixed.clear();
    }

    /// A DHCP client for it.
    fn client(&mut self, wish: &Wish, news: &mut Vec<News>) {
        let Some(mac) = self.link.mac else { return };
        let v4 = |ip: IpAddr| if let IpAddr::V4(ip) = ip { Some(ip) } else { None };
        let setup = Setup {
            mac,
            hostname: self.requests.iter().find_map(|request| request.hostname.clone()),
            client_id: wish.client_id.clone(),
            vendor_class: wish.vendor_class.clone(),
            requested: self.requests.iter().find_map(|request| request.address).and_then(|address| v4(address.ip)),
            broadcast: false,
            rapid_commit: true,
            ipv6_only: false,
            limits: Limits {
                device_mtu: self.link.max_mtu.filter(|mtu| *mtu > 0).unwrap_or(self.link.mtu),
                payload_mtu: None,
                servers: known_servers(wish),
            },
        };
        match Nic::open(&self.link, setup, self.card.metric, Box::new(random)) {
            Ok(nic) => self.nic = Some(nic),
            Err(error) => news.push(News::Deaf { name: self.card.name.clone(), error }),
        }
    }

    /// The descriptors to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.nic.iter().flat_map(Nic::descriptors)
    }

    /// When to look again at the latest.
    pub fn wake(&self) -> Option<Duration> {
        self.nic.as_ref().and_then(Nic::wake)
    }

    /// The kernel says how it is now.
    pub fn is_now(&mut self, now: Duration, link: &Link, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        self.card.up = link.up;
        if link.carrier != self.card.carrier {
            self.card.carrier = link.carrier;
            news.push(News::Carrier { name: self.card.name.clone(), on: link.carrier });
        }
        self.link = link.clone();
        self.card.name.clone_from(&link.name);
        self.card.others.clone_from(&link.altnames);
        let outcomes = self.nic.as_mut().map_or_else(Vec::new, |nic| nic.link(now, link, handle));
        self.take(outcomes, wish, handle, news);
    }

    /// Takes in what has arrived, then that time has passed.
    pub fn goes_on(&mut self, now: Duration, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        let Some(nic) = &mut self.nic else { return };
        let mut outcomes = nic.receive(now, handle);
        outcomes.extend(nic.event(now, Event4::Time, handle));
        self.take(outcomes, wish, handle, news);
    }

    /// What the kernel tells of IPv6.
    pub fn hears(&mut self, event: &Event, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        if self.stage == Stage::Followed {
            return self.follows(event, news);
        }
        if self.ip6.take(self.card.index, event) && self.stage == Stage::Asked {
            self.by_router(wish, handle, news);
        }
    }

    /// The addresses that the kernel has made of what a router says.
    fn by_router(&mut self, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        let before = self.card.addresses.clone();
        let fixed: Vec<Address> = self.fixed.iter().map(|fixed| fixed.address).collect();
        self.card.addresses.retain(|address| address.ip.is_ipv4() || fixed.contains(address));
        let usable = if self.ip6.is_usable() { self.ip6.global.clone() } else { Vec::new() };
        for address in usable {
            if !before.contains(&address) {
                news.push(News::Address { name: self.card.name.clone(), address, by: None });
            }
            if !self.card.addresses.contains(&address) {
                self.card.addresses.push(address);
            }
        }
        if wish.peer_dns {
            let (dns, search) = (self.ip6.dns.clone(), self.ip6.search.clone());
            self.knows(&dns, &search, None, &[]);
        }
        if self.card.addresses != before {
            self.routes(wish, handle, news);
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

    fn take(&mut self, outcomes: Vec<Outcome>, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        let name = self.card.name.clone();
        for outcome in outcomes {
            match outcome {
                Outcome::Up(lease) | Outcome::Renewed(lease) => {
                    self.leased(&lease, wish, news);
                    self.routes(wish, handle, news);
                }
                Outcome::Down(why) => {
                    let fixed: Vec<Address> = self.fixed.iter().map(|fixed| fixed.address).collect();
                    self.card.addresses.retain(|address| !address.ip.is_ipv4() || fixed.contains(address));
                    self.card.given.retain(|given| !given.is_leased);
                    // What has become a part of another interface is as it should be.
                    if why != Lost::Enslaved {
                        news.push(News::Lost { name: name.clone(), why });
                    }
                }
                Outcome::Say(notice) => news.push(News::Notice { name: name.clone(), notice }),
                Outcome::Failed(failure) => news.push(failed(&name, failure)),
                Outcome::Deaf(error) => {
                    self.nic = None;
                    news.push(News::Deaf { name: name.clone(), error });
                }
            }
        }
    }

    fn leased(&mut self, lease: &Lease, wish: &Wish, news: &mut Vec<News>) {
        self.own(lease.address, Some(lease.server.into()), news);
        self.card.given.retain(|given| !given.is_leased);
        self.card.given.push(Given { address: lease.address, routes: lease.routes.clone(), is_leased: true });
        let ips = |list: &[Ipv4Addr]| list.iter().copied().map(IpAddr::from).collect::<Vec<_>>();
        let dns = if wish.peer_dns { ips(&lease.dns) } else { Vec::new() };
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
    fn routes(&self, wish: &Wish, handle: &mut Handle, news: &mut Vec<News>) {
        let names = names(&self.link);
        for route in fixed::routes(&wish.routes, &names, &self.card.addresses, true) {
            let options = RouteOptions { protocol: RouteOptions::STATIC, metric: self.card.metric, source: None };
            match handle.add_route(self.card.index, route, &options) {
                Err(failure) if failure.source.kind() != io::ErrorKind::AlreadyExists => {
                    news.push(failed(&self.card.name, failure));
                }
                _ => {}
            }
        }
    }

    /// A server was reached over it: its routes come before all others (network-field.md kind 3).
    pub fn is_best(&mut self, metric: u32, handle: &mut Handle) {
        let before = std::mem::replace(&mut self.card.metric, metric);
        for fixed in &self.fixed {
            fixed.move_routes(handle, self.card.index, before, metric);
        }
        if let Some(nic) = &mut self.nic {
            nic.set_metric(metric, handle);
        }
    }

    /// Leaves it as it is. Nobody asks for more time from now on, and the kernel takes an address away at its end.
    pub fn keep(&self, handle: &mut Handle) {
        for given in self.card.given.iter().filter(|given| given.is_leased) {
            // What it refuses stays as it is.
            let _ = handle.add_address(self.card.index, given.address, Lifetime::Forever);
        }
    }

    /// As [`Self::keep`] for one that another program has: what that has given it is read from the kernel.
    pub fn hand_on(&mut self, held: &[Held], routes: &[(u32, Route, u8)], root: &Path, handle: &mut Handle) {
        let index = self.card.index;
        for held in held.iter().filter(|held| held.index == index && leads_away(held.address.ip)) {
            let is_v4 = held.address.ip.is_ipv4();
            // The kernel itself asks for more time where it hears routers.
            if held.ends && (is_v4 || !ip6::hears_routers(root, &self.card.name)) {
                let _ = handle.add_address(index, held.address, Lifetime::Forever);
            }
            if is_v4 || !held.ends {
                let first = self.card.given.iter().all(|given| given.address.ip.is_ipv4() != is_v4);
                let its = |(of, route, by): &(u32, Route, u8)| {
                    let counts =
                        *of == index && route.net.ip.is_ipv4() == is_v4 && !RouteOptions::OF_KERNEL.contains(by);
                    (first && counts).then_some(*route)
                };
                let routes = routes.iter().filter_map(its).collect();
                self.card.given.push(Given { address: held.address, routes, is_leased: held.ends });
            }
        }
        self.card.by_other_id = self.card.mac.is_some_and(|mac| !followed::is_known_by(root, index, mac));
    }

    /// Takes addresses and routes away, and sets it down, unless it is as it was.
    pub fn clean(&mut self, handle: &mut Handle) {
        if self.stage == Stage::Idle {
            return;
        }
        self.give_back(handle);
        let _ = handle.down(self.card.index);
    }

    fn give_back(&mut self, handle: &mut Handle) {
        if let Some(nic) = &mut self.nic {
            // What the kernel refuses now goes with the interface.
            drop(nic.flush(handle));
        }
        for fixed in &self.fixed {
            let _ = handle.remove_address(self.card.index, fixed.address);
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

/// Addresses that the command line names: no lease may turn the way to them.
fn known_servers(wish: &Wish) -> Vec<Ipv4Addr> {
    let named = wish.requests.iter().filter_map(|request| request.next_server);
    named.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).collect()
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
