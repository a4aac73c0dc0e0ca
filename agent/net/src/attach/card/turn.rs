//! The turns of an interface: set up, asking for addresses, and at rest while another one has its turn.

use std::net::{IpAddr, Ipv4Addr};

use super::six::Plan;
use super::twins::Twins;
use super::{Desk, Stage, Worked, failed, random};
use crate::attach::{Given, News};
use crate::dhcp4::{Limits, Setup};
use crate::fixed::Fixed;
use crate::grammar::{Method, Request, Wish};
use crate::ip6;
use crate::link::{self, Handle};
use crate::nic::Nic;

/// Whether DHCPv4 is asked. Without any word of its own an interface takes whatever comes first.
fn asks_dhcp4(requests: &[Request]) -> bool {
    let ways = [Method::Dhcp4, Method::SingleDhcp, Method::Any, Method::Dhcp4And6];
    requests.is_empty() || requests.iter().any(|request| ways.contains(&request.method))
}

impl Worked {
    /// Sets up what nobody wants, to see if it has a link.
    pub fn look(&mut self, handle: &mut Handle, news: &mut Vec<News>) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Looked;
            news.extend(handle.up(self.card.index).err().map(|error| failed(&self.card.name, error)));
        }
    }

    /// Sets it up for these requests: hardware address, MTU, up. It asks for nothing yet.
    pub fn ready(&mut self, requests: Vec<Request>, desk: &mut Desk<'_>) {
        self.found(desk.news);
        self.fixed = requests.iter().filter_map(Fixed::of).collect();
        self.six.plans(Plan::of(&requests));
        self.requests = requests;
        self.stage = Stage::Held;
        let (index, name) = (self.link.index, self.card.name.clone());
        let Desk { handle, news, root, .. } = desk;
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
    }

    /// It is its turn: addresses of the command line, and DHCP.
    pub fn ask(&mut self, desk: &mut Desk<'_>) {
        (self.stage, self.since) = (Stage::Asked, Some(desk.now));
        self.card.by_other_id = desk.wish.client_id.is_some();
        for fixed in self.fixed.clone() {
            if let Some(fixed) = self.watches(fixed, desk) {
                self.sets(&fixed, desk);
            }
        }
        if self.link.carrier {
            self.twins.link_up(desk.now);
        }
        self.six.begins(desk.now);
        if asks_dhcp4(&self.requests) {
            self.client(desk);
        }
        for mac in desk.own_macs {
            self.owns(*mac, desk);
        }
        let link = self.link.clone();
        let outcomes = self.nic.as_mut().map_or_else(Vec::new, |nic| nic.link(desk.now, &link, desk.handle));
        self.take(outcomes, desk);
        self.goes_on6(desk);
    }

    /// Another one has its turn, or it has become a part of one: addresses and routes go, without a word.
    pub fn rest(&mut self, handle: &mut Handle) {
        self.give_back(handle);
        (self.stage, self.since, self.nic) = (Stage::Held, None, None);
        self.twins = Twins::default();
        self.six.rests();
        self.card.addresses.clear();
        self.card.given.clear();
        self.card.dns.clear();
    }

    /// Nobody wants it any more.
    pub fn is_unwanted(&mut self, handle: &mut Handle) {
        self.rest(handle);
        self.stage = Stage::Looked;
        self.six.plans(Plan::Nothing);
        self.requests.clear();
        self.fixed.clear();
    }

    /// Sets an address of the command line with all that belongs to it.
    pub(super) fn sets(&mut self, fixed: &Fixed, desk: &mut Desk<'_>) {
        let refused = fixed.apply(desk.handle, self.card.index, self.card.metric);
        desk.news.extend(refused.into_iter().map(|failure| failed(&self.card.name, failure)));
        self.own(fixed.address, None, desk.news);
        self.card.given.push(Given { address: fixed.address, routes: fixed.routes.clone(), is_leased: false });
        self.knows(&fixed.dns, &[], fixed.hostname.as_ref(), &fixed.ntp);
        self.routes(desk);
    }

    /// A DHCP client for it.
    fn client(&mut self, desk: &mut Desk<'_>) {
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
}

/// Addresses that the command line names: no lease may turn the way to them.
fn known_servers(wish: &Wish) -> Vec<Ipv4Addr> {
    let named = wish.requests.iter().filter_map(|request| request.next_server);
    named.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).collect()
}
