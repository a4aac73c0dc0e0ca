//! Names and connections over the interfaces that are up, whichever leads to the server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdlive_sys::device::bind_to_interface;

use super::followed::Names;
use super::{Card, Shared};
use crate::resolver;
use crate::socket::{self, Way};

/// Head start of each interface before the next one is tried beside it, as with the addresses of a name (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// For a name, over all interfaces.
const NAME: Duration = Duration::from_secs(10);
/// The port of servers for names.
const DNS: u16 = 53;

/// Makes connections with what is up at that moment.
#[derive(Clone, Debug)]
pub struct Reach {
    shared: Arc<Shared>,
}

impl Reach {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The interfaces, the one that reached a server before all others.
    fn cards(&self) -> Vec<Card> {
        let board = self.shared.board();
        let mut cards = board.cards.clone();
        cards.sort_by_key(|card| (board.winner != Some(card.index), card.metric));
        cards
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// What each server said; `None` without any server to ask.
    pub fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Option<resolver::Failure>> {
        if let Some(root) = &self.shared.followed {
            return self.addresses_by_others(host, root);
        }
        let end = Instant::now() + NAME;
        let asked: Vec<Card> = self.cards().into_iter().filter(|card| !card.dns.is_empty() && card.has_any()).collect();
        let mut failed: Option<resolver::Failure> = None;
        for (number, card) in asked.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let others = u32::try_from(asked.len() - number).unwrap_or(1);
            let setup = resolver::Setup {
                servers: &card.dns,
                port: DNS,
                search: &card.search,
                interface: Some(card.index),
                limit: left / others,
            };
            match resolver::resolve(host, &setup, &mut super::card::random) {
                Ok(found) => return Ok(found),
                // Each server with what it said; one that two interfaces know is asked over both.
                Err(failure) => match &mut failed {
                    Some(all) => all.servers.extend(failure.servers),
                    None => failed = Some(failure),
                },
            }
        }
        Err(failed)
    }

    /// The same with the servers that another program knows; the kernel's routes lead to them.
    fn addresses_by_others(&self, host: &str, root: &Path) -> Result<Vec<IpAddr>, Option<resolver::Failure>> {
        let names = Names::read(root);
        let mut servers: Vec<IpAddr> = self.cards().into_iter().next().map(|card| card.dns).unwrap_or_default();
        servers.extend(names.dns);
        let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if servers.is_empty() && !is_address {
            return Err(None);
        }
        let setup =
            resolver::Setup { servers: &servers, port: DNS, search: &names.search, interface: None, limit: NAME };
        resolver::resolve(host, &setup, &mut super::card::random).map_err(Some)
    }

    /// The interfaces over which an address may be reached, best first.
    fn ways(&self, to: SocketAddr) -> Vec<u32> {
        let link_local = matches!(to, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local());
        let over = |card: &Card| if link_local { card.carrier } else { card.has(to.is_ipv4()) };
        self.cards().iter().filter(|card| over(card)).map(|card| card.index).collect()
    }

    /// A socket for packets to and from an address. Nobody answers before something is sent, so each call takes the next interface, as
    /// long as none has reached a server.
    ///
    /// # Errors
    /// What the kernel says; `NetworkUnreachable` while no interface has an address of that family.
    pub fn datagram(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        if to.ip().is_loopback() || self.shared.followed.is_some() {
            return Ok(socket);
        }
        let ways = self.ways(to);
        let turn = {
            let mut board = self.shared.board();
            let turn = if board.winner.is_some() { 0 } else { board.turns };
            board.turns = board.turns.wrapping_add(1);
            turn
        };
        let index = ways.get(turn.checked_rem(ways.len()).unwrap_or(0)).ok_or(io::ErrorKind::NetworkUnreachable)?;
        bind_to_interface(&socket, *index)?;
        Ok(socket)
    }

    /// An IPv4 address of this machine, and its other addresses and its names; `None` while there is none.
    #[must_use]
    pub fn here(&self) -> Option<(Ipv4Addr, Vec<String>)> {
        let cards = self.cards();
        let all = cards.iter().flat_map(|card| card.addresses.iter().map(|address| address.ip));
        let first = all.clone().find_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None })?;
        let names = cards.iter().filter_map(|card| card.hostname.as_ref()).map(ToString::to_string);
        Some((first, all.map(|ip| ip.to_string()).chain(names).collect()))
    }

    /// A connection over the first interface that brings one about, with segments of no more than so many bytes.
    ///
    /// # Errors
    /// What the kernel says for the best interface; `NetworkUnreachable` while none has an address of that family.
    pub fn connect(&self, to: SocketAddr, segment: Option<u16>, patience: Duration) -> io::Result<TcpStream> {
        // Who has the interfaces has made the routes, too.
        if to.ip().is_loopback() || self.shared.followed.is_some() {
            return socket::connect(to, Way { interface: None, segment }, patience);
        }
        let (index, result) = race(|| self.ways(to), to, segment, patience);
        if result.is_ok() && self.shared.board().winner.replace(index) != Some(index) {
            self.shared.wake();
        }
        result
    }
}

impl Card {
    fn has_any(&self) -> bool {
        !self.addresses.is_empty()
    }
}

/// Tries one interface after the other, the next one when one failed or is late; one that gets an address meanwhile, too.
fn race(
    ways: impl Fn() -> Vec<u32>,
    to: SocketAddr,
    segment: Option<u16>,
    patience: Duration,
) -> (u32, io::Result<TcpStream>) {
    let (sender, results) = mpsc::channel();
    let (mut tried, mut running, mut first) = (Vec::new(), 0_usize, None);
    loop {
        if let Some(index) = ways().into_iter().find(|index| !tried.contains(index)) {
            tried.push(index);
            let sender = sender.clone();
            let way = Way { interface: Some(index), segment };
            let attempt = move || drop(sender.send((index, socket::connect(to, way, patience))));
            match thread::Builder::new().spawn(attempt) {
                Ok(_) => running += 1,
                Err(error) => first = first.or(Some((index, Err(error)))),
            }
        } else if running == 0 {
            break;
        }
        // Each attempt ends by its own limit, and says so.
        match results.recv_timeout(STAGGER) {
            Ok((index, Ok(stream))) => return (index, Ok(stream)),
            Ok((index, Err(error))) => {
                running -= 1;
                first = first.or(Some((index, Err(error))));
            }
            Err(_) => {}
        }
    }
    first.unwrap_or((0, Err(io::ErrorKind::NetworkUnreachable.into())))
}
