//! One interface on its way to an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::{Card, Given, News};
use crate::dhcp4::{Event as Event4, Lease, Limits, Setup};
use crate::fixed::{self, Fixed};
use crate::grammar::{Address, Method, Names, Request, Wish};
use crate::hardware::HardwareAddress;
use crate::hostname::Hostname;
use crate::ip6;
use crate::link::{self, Event, Handle, Lifetime, Link, RouteOptions};
use crate::nic::{Nic, Outcome};

mod six;
mod twins;

use six::{Plan, Six};
use twins::Twins;

/// What all interfaces share, while one of them is worked for.
pub(super) struct Desk<'a> {
    /// Since the beginning.
    pub now: Duration,
    pub wish: &'a Wish,
    pub handle: &'a mut Handle,
    pub news: &'a mut Vec<News>,
}

/// What is done for an interface.
pub(super) struct Worked {
    /// As others see it.
    pub card: Card,
    link: Link,
    /// What the command line asks for it; empty: nothing in particular.
    requests: Vec<Request>,
    nic: Option<Nic>,
    six: Six,
    fixed: Vec<Fixed>,
    twins: Twins,
    /// Another program has it.
    is_followed: bool,
}

/// Whether DHCPv4 is asked. Without any word of its own an interface takes whatever comes first.
fn asks_dhcp4(requests: &[Request]) -> bool {
    let ways = [Method::Dhcp4, Method::SingleDhcp, Method::Any, Method::Dhcp4And6];
    requests.is_empty() || requests.iter().any(|request| ways.contains(&request.method))
}

fn failed(name: &str, failure: link::Failure) -> News {
    News::Failed { name: name.to_owned(), failure }
}

impl Worked {
    /// Takes an interface: hardware address, MTU, up; then addresses of the command line, and DHCP.
    pub fn new(link: &Link, requests: Vec<Request>, metric: u32, root: &Path, desk: &mut Desk<'_>) -> Self {
        let card = found(link, metric, root, desk.news);
        let fixed = requests.iter().filter_map(Fixed::of).collect();
        let six = Six::new(Plan::of(&requests));
        let twins = Twins::default();
        let mut new = Self { card, link: link.clone(), requests, nic: None, six, fixed, twins, is_followed: false };
        new.begin(root, desk);
        new
    }

    /// One that another program has.
    pub fn followed(link: &Link, metric: u32, root: &Path, news: &mut Vec<News>) -> Self {
        Self {
            card: found(link, metric, root, news),
            link: link.clone(),
            requests: Vec::new(),
            nic: None,
            six: Six::new(Plan::Nothing),
            fixed: Vec::new(),
            twins: Twins::default(),
            is_followed: true,
        }
    }

    fn begin(&mut self, root: &Path, desk: &mut Desk<'_>) {
        let (index, name) = (self.link.index, self.card.name.clone());
        let Desk { handle, news, .. } = desk;
        let mut done = |result: Result<(), link::Failure>| news.extend(result.err().map(|error| failed(&name, error)));
        if let Some(mac) = self.requests.iter().find_map(|request| request.set_mac) {
            // A card takes another address only while it is down.
            done(handle.down(index));
            done(handle.set_mac(index, mac));
            self.link.mac = Some(mac);
            self.card.mac = Some(mac);
        }
        if let Some(Err(source)) = self.six.listens().map(|listens| ip6::prepare(root, &name, listens)) {
            done(Err(link::Failure { doing: link::Doing::Up(index), source }));
        }
        let mtu = self.requests.iter().find_map(|request| request.mtu);
        // One that is right already is not set: with many drivers the carrier would go (network-field.md kind 6).
        if let Some(mtu) = mtu.filter(|mtu| *mtu != self.link.mtu) {
            done(handle.set_mtu(index, mtu));
            self.link.mtu = mtu;
        }
        done(handle.up(index));
        for fixed in self.fixed.clone() {
            if let Some(fixed) = self.watches(fixed, desk) {
                self.sets(&fixed, desk);
            }
        }
        if asks_dhcp4(&self.requests) {
            self.ask(desk);
        }
    }

    /// Sets an address of the command line with all that belongs to it.
    fn sets(&mut self, fixed: &Fixed, desk: &mut Desk<'_>) {
        let refused = fixed.apply(desk.handle, self.card.index, self.card.metric);
        desk.news.extend(refused.into_iter().map(|failure| failed(&self.card.name, failure)));
        self.own(fixed.address, None, desk.news);
        self.card.given.push(Given { address: fixed.address, routes: fixed.routes.clone(), is_leased: false });
        self.knows(&fixed.dns, &[], fixed.hostname.as_ref(), &fixed.ntp);
        self.routes(desk);
    }

    /// A DHCP client for it.
    fn ask(&mut self, desk: &mut Desk<'_>) {
        let wish = desk.wish;
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
                // What a person has set may be what an AoE payload needs (N-N8): no lease goes below it.
                payload_mtu: self.requests.iter().find_map(|request| request.mtu),
                servers: known_servers(wish),
            },
        };
        match Nic::open(&self.link, setup, self.card.metric, Box::new(random)) {
            Ok(nic) => self.nic = Some(nic),
            Err(error) => desk.news.push(News::Deaf { name: self.card.name.clone(), error }),
        }
    }

    /// The descriptors to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.nic.iter().flat_map(Nic::descriptors).chain(self.six.descriptor()).chain(self.twins.descriptor())
    }

    /// When to look again at the latest.
    pub fn wake(&self) -> Option<Duration> {
        let has_lease = self.nic.as_ref().is_some_and(|nic| nic.lease().is_some());
        let nic = self.nic.as_ref().and_then(Nic::wake);
        nic.into_iter().chain(self.six.wake(has_lease)).chain(self.twins.wake()).min()
    }

    /// The kernel says how it is now.
    pub fn is_now(&mut self, link: &Link, desk: &mut Desk<'_>) {
        self.card.up = link.up;
        if link.carrier != self.card.carrier {
            self.card.carrier = link.carrier;
            desk.news.push(News::Carrier { name: self.card.name.clone(), on: link.carrier });
        }
        self.link = link.clone();
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
        self.goes_on6(desk);
    }

    /// What the kernel tells of addresses and routers.
    pub fn hears(&mut self, event: &Event, desk: &mut Desk<'_>) {
        if self.is_followed {
            return self.follows(event, desk.news);
        }
        if self.six.hears(desk.now, self.card.index, event) {
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
                    desk.news.push(News::Lost { name: name.clone(), why: why.into() });
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

    /// Leaves it as it is. Nobody asks for more time from now on, and the kernel takes an address away at its end.
    pub fn keep(&self, handle: &mut Handle) {
        for given in self.card.given.iter().filter(|given| given.is_leased) {
            // What it refuses stays as it is.
            let _ = handle.add_address(self.card.index, given.address, Lifetime::Forever);
        }
    }

    /// Takes addresses and routes away, and sets it down.
    pub fn clean(&mut self, handle: &mut Handle) {
        if let Some(nic) = &mut self.nic {
            // What the kernel refuses now goes with the interface, which is set down.
            drop(nic.flush(handle));
        }
        let leased = self.six.leased().map(|address| Address { ip: address.into(), prefix: 128 });
        for address in self.fixed.iter().map(|fixed| fixed.address).chain(leased) {
            let _ = handle.remove_address(self.card.index, address);
        }
        let _ = handle.down(self.card.index);
    }
}

/// An interface, and a word about it.
fn found(link: &Link, metric: u32, root: &Path, news: &mut Vec<News>) -> Card {
    let name = link.name.clone();
    let driver = link::driver(root, &name);
    news.push(News::Found { name: name.clone(), driver: driver.clone() });
    let is_vlan = link.kind.as_deref() == Some("vlan");
    Card { index: link.index, name, mac: link.mac, driver, metric, is_vlan, ..Card::default() }
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
