//! Connections of a transfer over the network that was brought up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use rdlive_fetch::http::{Dial, Network, ResolveError};
use rdlive_net::attach::Reach;

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
