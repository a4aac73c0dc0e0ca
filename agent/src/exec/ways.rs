//! Connections of a transfer over the network that was brought up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use rdlive_fetch::http::{Dial, Network, ResolveError};
use rdlive_net::attach::{Card, Reach};

/// Whoever reaches the server; without a network of its own, as in tests, the machine's.
pub(super) struct Ways(pub(super) Option<Reach>);

impl Network for Ways {
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let Some(reach) = &self.0 else { return Err(ResolveError("there is no network".into())) };
        reach.addresses(host).map_err(|failure| {
            ResolveError(
                failure.map_or_else(|| "no server for names is known".to_owned(), |failure| failure.to_string()),
            )
        })
    }

    fn connect(&self, address: SocketAddr, how: Dial) -> io::Result<TcpStream> {
        match &self.0 {
            Some(reach) => reach.connect(address, how.segment, how.timeout),
            None => TcpStream::connect_timeout(&address, how.timeout),
        }
    }

    fn datagram(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        match &self.0 {
            Some(reach) => reach.datagram(to),
            None => rdlive_fetch::tftp::socket_for(to),
        }
    }

    fn here(&self) -> Option<(Ipv4Addr, Vec<String>)> {
        match &self.0 {
            Some(reach) => reach.here(),
            None => Some((Ipv4Addr::LOCALHOST, Vec::new())),
        }
    }
}

/// How packets leave this machine, for whoever looks for the way that is missing (network-field.md kind 10).
pub(super) fn out(cards: &[Card]) -> Vec<String> {
    let way = |card: &Card| {
        let addresses: Vec<String> = card.addresses.iter().map(ToString::to_string).collect();
        let routes = card.given.iter().flat_map(|given| &given.routes);
        let routers: Vec<String> = routes
            .filter(|route| route.net.prefix == 0)
            .filter_map(|route| route.gateway)
            .map(|ip| ip.to_string())
            .collect();
        let own = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let by = match (routers.is_empty(), card.addresses.iter().all(|address| address.ip.is_ipv6())) {
            (false, _) => format!(", router {}", routers.join(", ")),
            // The kernel has those of IPv6 from their advertisements.
            (true, true) => String::new(),
            (true, false) => ", no router".to_owned(),
        };
        format!("{}: {own}{by}", card.name)
    };
    cards.iter().map(way).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdlive_net::attach::Given;
    use rdlive_net::grammar::Address;
    use rdlive_net::route::Route;

    #[test]
    fn addresses_and_routers_are_told() {
        let own = Address { ip: [192, 0, 2, 9].into(), prefix: 24 };
        let card = |routes| {
            let given = vec![Given { address: own, routes, is_leased: false }];
            Card { name: "eth0".into(), addresses: vec![own], given, ..Card::default() }
        };
        let router = Route::default_by([192, 0, 2, 1].into());
        let v6 = Address { ip: "2001:db8::9".parse().unwrap(), prefix: 64 };
        for (card, expected) in [
            (card(vec![router]), "eth0: 192.0.2.9/24, router 192.0.2.1"),
            (card(vec![]), "eth0: 192.0.2.9/24, no router"),
            (Card { name: "eth1".into(), addresses: vec![v6], ..Card::default() }, "eth1: 2001:db8::9/64"),
            (Card { name: "eth2".into(), ..Card::default() }, "eth2: no address"),
        ] {
            assert_eq!(out(&[card]), [expected]);
        }
    }
}
