//! IPv6 of one interface: what the kernel makes of routers' advertisements, and DHCPv6 beside it.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::super::{Given, News, Notice};
use super::{Desk, Worked, failed, random};
use crate::dhcp6::{self, Action, Client, Goal, Information};
use crate::grammar::{Address, Family, Method, Request};
use crate::hardware::HardwareAddress;
use crate::ip6::{Listens, State};
use crate::link::{Event, Lifetime};

/// What is second best is used when the best has not come for so long (network-field.md kind 11).
const SECOND_BEST: Duration = Duration::from_secs(10);
/// A socket that cannot be opened is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// Datagrams that are read before others have their turn.
const MAX_DATAGRAMS: usize = 32;
/// Bytes of one datagram: what an Ethernet frame carries.
const DATAGRAM: usize = 1500;

/// How an interface gets an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Not at all, or the command line names one.
    Nothing,
    /// The link-local one alone.
    LinkLocal,
    /// From a router, if no DHCPv4 server answers (kind 11b).
    Second,
    /// From a router, or by DHCPv6 where it says so.
    Router,
    /// The same, and by DHCPv6 where there is no router.
    Either,
    /// By DHCPv6, whatever a router says. `alone`: what routers give is second best.
    Dhcp { alone: bool },
}

impl Plan {
    /// What these words of the command line ask for.
    pub fn of(requests: &[Request]) -> Self {
        let any = |methods: &[Method]| requests.iter().any(|request| methods.contains(&request.method));
        let concerned = requests.iter().any(|request| request.concerns(Family::V6));
        match requests {
            [] => Self::Router,
            _ if any(&[Method::Dhcp6]) => Self::Dhcp { alone: true },
            _ if any(&[Method::Dhcp4And6]) => Self::Dhcp { alone: false },
            _ if any(&[Method::Either6]) => Self::Either,
            _ if any(&[Method::Any, Method::Auto6]) => Self::Router,
            _ if any(&[Method::Link6, Method::LinkLocal]) => Self::LinkLocal,
            _ if !concerned && any(&[Method::Dhcp4, Method::SingleDhcp]) => Self::Second,
            _ => Self::Nothing,
        }
    }
}

/// IPv6 of one interface.
pub(super) struct Six {
    plan: Plan,
    state: State,
    client: Option<(Goal, Client)>,
    socket: Option<UdpSocket>,
    /// When to try again to open it.
    retry: Duration,
    /// When a router has first advertised itself.
    advertised: Option<Duration>,
    /// When the link-local address could first be used.
    ready: Option<Duration>,
    /// What is second best is used.
    second: bool,
    /// The DHCPv6 server that answered last.
    server: Option<IpAddr>,
    /// Addresses of other machines that were told of.
    told: Vec<Ipv6Addr>,
}

impl Six {
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            state: State::default(),
            client: None,
            socket: None,
            retry: Duration::ZERO,
            advertised: None,
            ready: None,
            second: false,
            server: None,
            told: Vec::new(),
        }
    }

    /// What the command line asks for.
    pub fn plans(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// It is its turn: each wait for what is best begins now.
    pub fn begins(&mut self, now: Duration) {
        self.advertised = self.advertised.map(|_| now);
        self.ready = self.ready.map(|_| now);
    }

    /// Another one has its turn; what the kernel tells is known all the same.
    pub fn rests(&mut self) {
        (self.client, self.socket, self.server, self.second) = (None, None, None, false);
    }

    /// How the kernel is told to treat the interface; `None`: it is left as it is.
    pub fn listens(&self) -> Option<Listens> {
        match self.plan {
            // What the kernel does by itself is enough for what is second best; who has switched IPv6 off has it so.
            Plan::Nothing | Plan::Second => None,
            Plan::LinkLocal => Some(Listens::Nobody),
            Plan::Router | Plan::Either | Plan::Dhcp { .. } => Some(Listens::Routers),
        }
    }

    /// Whether the kernel has addresses or routes of a router.
    pub fn hears_routers(&self) -> bool {
        self.state.advertised
    }

    /// The address that a DHCPv6 server has given.
    pub fn leased(&self) -> Option<Ipv6Addr> {
        self.client.as_ref()?.1.lease().map(|lease| lease.address)
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// When something is due. `has_lease`: a DHCPv4 server has answered.
    pub fn wake(&self, has_lease: bool) -> Option<Duration> {
        let client = self.client.as_ref().and_then(|(_, client)| client.wake());
        let client = client.map(|due| if self.socket.is_some() { due } else { due.max(self.retry) });
        client.into_iter().chain(self.second_best(has_lease)).min()
    }

    /// When what is second best is used, unless the best comes.
    fn second_best(&self, has_lease: bool) -> Option<Duration> {
        let since = match self.plan {
            Plan::Second if !has_lease => self.advertised,
            Plan::Either if self.advertised.is_none() => self.ready,
            Plan::Dhcp { alone: true } if self.leased().is_none() => self.ready,
            _ => None,
        };
        since.filter(|_| !self.second).map(|since| since + SECOND_BEST)
    }

    /// What the kernel tells; whether it changes anything.
    pub fn hears(&mut self, now: Duration, index: u32, event: &Event) -> bool {
        if !self.state.take(index, event) {
            return false;
        }
        if self.state.advertised {
            self.advertised.get_or_insert(now);
        }
        if self.state.link_local.is_some() {
            self.ready.get_or_insert(now);
        }
        true
    }

    /// What DHCPv6 is asked for now.
    fn goal(&self) -> Option<Goal> {
        match self.plan {
            Plan::Nothing | Plan::LinkLocal => None,
            Plan::Second => self.state.goal(false).filter(|_| self.second),
            Plan::Router => self.state.goal(false),
            Plan::Either => self.state.goal(self.second),
            Plan::Dhcp { .. } => self.state.goal(true),
        }
    }

    /// The addresses that may be used.
    fn usable(&self) -> Vec<Address> {
        let of_routers = match self.plan {
            Plan::Nothing => false,
            Plan::LinkLocal => {
                return self.state.link_local.map(|ip| Address { ip: ip.into(), prefix: 64 }).into_iter().collect();
            }
            Plan::Second => self.second,
            Plan::Dhcp { alone: true } => self.second || self.leased().is_some(),
            Plan::Router | Plan::Either | Plan::Dhcp { alone: false } => true,
        };
        if of_routers && self.state.is_usable() { self.state.global.clone() } else { Vec::new() }
    }

    /// Sends, receives, and what the client makes of it.
    fn work(&mut self, index: u32, mac: Option<HardwareAddress>, now: Duration) -> Vec<Action> {
        let known = self.client.as_ref().map(|(goal, _)| *goal);
        if let (Some(goal), Some(mac)) = (self.goal().filter(|goal| Some(*goal) > known), mac) {
            self.client = Some((goal, Client::new(now, mac, goal, Box::new(random))));
        }
        let Some((_, client)) = &mut self.client else { return Vec::new() };
        if self.socket.is_none() && now >= self.retry {
            self.retry = now + AGAIN;
            self.socket = self.state.link_local.and_then(|own| open(own, index).ok());
        }
        let Some(socket) = &self.socket else { return Vec::new() };
        let mut actions = Vec::new();
        let mut buffer = [0; DATAGRAM];
        for _ in 0..MAX_DATAGRAMS {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { break };
            let taken = client.receive(now, buffer.get(..length).unwrap_or_default());
            if !taken.is_empty() {
                self.server = Some(from.ip());
            }
            actions.extend(taken);
        }
        if client.lease().is_some_and(|lease| self.state.duplicates.contains(&lease.address)) {
            actions.extend(client.duplicate(now));
        }
        actions.extend(client.time(now));
        for action in &actions {
            if let Action::Send(message) = action {
                // What is lost is sent again.
                drop(socket.send_to(message, SocketAddrV6::new(dhcp6::EVERYBODY, dhcp6::SERVER, 0, index)));
            }
        }
        actions
    }
}

/// Only the address of the link tells servers and relays where to answer.
fn open(own: Ipv6Addr, index: u32) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::V6(SocketAddrV6::new(own, dhcp6::CLIENT, 0, index)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Worked {
    /// What is due of IPv6.
    pub(super) fn goes_on6(&mut self, desk: &mut Desk<'_>) {
        if self.six.plan == Plan::Nothing {
            return self.duplicates(desk);
        }
        if self.six.second_best(self.has_lease()).is_some_and(|due| desk.now >= due) {
            self.six.second = true;
            let instead = match self.six.plan {
                Plan::Second => Notice::NoDhcp4,
                Plan::Either => Notice::NoRouter,
                _ => Notice::NoDhcp6,
            };
            desk.news.push(News::Notice { name: self.card.name.clone(), notice: instead });
        }
        for action in self.six.work(self.card.index, self.link.mac, desk.now) {
            self.does6(action, desk);
        }
        self.duplicates(desk);
        self.shows6(desk);
    }

    fn does6(&mut self, action: Action, desk: &mut Desk<'_>) {
        let (index, name) = (self.card.index, self.card.name.clone());
        let whole = |ip: Ipv6Addr| Address { ip: ip.into(), prefix: 128 };
        match action {
            // Sent already.
            Action::Send(_) => {}
            Action::Told(information) => self.informed(&information, desk),
            Action::Use(lease) | Action::Extend(lease) => {
                let lifetime = lease.valid.map_or(Lifetime::Forever, Lifetime::For);
                let set = desk.handle.add_address(index, whole(lease.address), lifetime);
                desk.news.extend(set.err().map(|failure| failed(&name, failure)));
                self.card.given.retain(|given| !given.is_leased || given.address.ip.is_ipv4());
                self.card.given.push(Given { address: whole(lease.address), routes: Vec::new(), is_leased: true });
                self.informed(&lease.information, desk);
            }
            Action::Drop { lease, why } => {
                let gone = desk.handle.remove_address(index, whole(lease.address));
                desk.news.extend(gone.err().map(|failure| failed(&name, failure)));
                self.six.state.duplicates.retain(|ip| *ip != lease.address);
                self.card.given.retain(|given| !given.is_leased || given.address.ip.is_ipv4());
                desk.news.push(News::Lost { name, why: why.into() });
            }
            Action::Say(notice) => desk.news.push(News::Notice { name, notice: notice.into() }),
        }
    }

    fn informed(&mut self, information: &Information, desk: &Desk<'_>) {
        let Information { dns, search, ntp, .. } = information;
        let dns = if desk.wish.peer_dns { dns.as_slice() } else { &[] };
        self.knows(dns, search, None, ntp);
    }

    /// Addresses that the kernel has found another machine to have, but for those that DHCPv6 declines.
    fn duplicates(&mut self, desk: &mut Desk<'_>) {
        let leased = self.six.leased();
        for ip in self.six.state.duplicates.clone() {
            if Some(ip) != leased && !self.six.told.contains(&ip) {
                self.six.told.push(ip);
                self.card.addresses.retain(|address| address.ip != IpAddr::V6(ip));
                desk.news.push(News::Notice { name: self.card.name.clone(), notice: Notice::Taken(ip) });
            }
        }
    }

    /// Writes down what can be used by now.
    fn shows6(&mut self, desk: &mut Desk<'_>) {
        let before = self.card.addresses.clone();
        let fixed: Vec<Address> = self.fixed.iter().map(|fixed| fixed.address).collect();
        self.card.addresses.retain(|address| address.ip.is_ipv4() || fixed.contains(address));
        let leased = self.six.leased().map(IpAddr::V6);
        for address in self.six.usable() {
            if !before.contains(&address) {
                let by = self.six.server.filter(|_| leased == Some(address.ip));
                desk.news.push(News::Address { name: self.card.name.clone(), address, by });
            }
            if !self.card.addresses.contains(&address) {
                self.card.addresses.push(address);
            }
        }
        if desk.wish.peer_dns {
            let (dns, search) = (self.six.state.dns.clone(), self.six.state.search.clone());
            self.knows(&dns, &search, None, &[]);
        }
        if self.card.addresses != before {
            self.routes(desk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Wish, Word};

    #[test]
    fn what_the_words_ask_for() {
        let plan = |line: &str| {
            let words = line.split_whitespace().filter_map(|word| word.split_once('='));
            Plan::of(&Wish::parse(words.map(|(key, value)| Word { key, value: Some(value) })).0.requests)
        };
        for (line, expected) in [
            ("", Plan::Router),
            ("ip=dhcp", Plan::Second),
            ("ip=single-dhcp", Plan::Second),
            ("ip=any", Plan::Router),
            ("ip=on", Plan::Router),
            ("ip=auto6", Plan::Router),
            ("ip=either6", Plan::Either),
            ("ip=dhcp6", Plan::Dhcp { alone: true }),
            ("ip=dhcp,dhcp6", Plan::Dhcp { alone: false }),
            ("ip=eth0:dhcp ip=eth0:auto6", Plan::Router),
            ("ip=link6", Plan::LinkLocal),
            ("ip=link-local", Plan::LinkLocal),
            ("ip=none", Plan::Nothing),
            ("ip=192.0.2.9::192.0.2.1:24::eth0:none", Plan::Nothing),
            ("ip=[2001:db8::9]:::64::eth0:none", Plan::Nothing),
            ("ip=eth0:dhcp ip=[2001:db8::9]:::64::eth0:none", Plan::Nothing),
        ] {
            assert_eq!(plan(line), expected, "{line}");
        }
    }
}
