//! A connection to whichever address of a server answers first (RFC 8305).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::policy::{Errno, Verdict, Whose};
use crate::url::{Host, Url};

use super::{Dial, Error, Network, ResolveError, Setup};

/// The most addresses of one name that are tried at a time.
const MAX_ADDRESSES: usize = 8;

/// Connects to the server of a URL.
pub(crate) fn connect(setup: &Setup, url: &Url) -> Result<(TcpStream, SocketAddr), Error> {
    let (network, how) = (&setup.network, setup.dial());
    let addresses = addresses(network.as_ref(), url.host(), url.port())?;
    match addresses.as_slice() {
        &[address] => match network.connect(address, how) {
            Ok(socket) => Ok((socket, address)),
            Err(error) => Err(Error::Connect { address, why: (&error).into() }),
        },
        addresses => race(network, how, setup.limits.stagger, addresses),
    }
}

/// The addresses of a server; at least one.
pub(crate) fn addresses(network: &dyn Network, host: &Host, port: u16) -> Result<Vec<SocketAddr>, Error> {
    if let Host::V6(address, zone) = host {
        let scope = match zone {
            Some(zone) => {
                network.scope(zone).map_err(|error| Error::Zone { zone: zone.clone(), why: (&error).into() })?
            }
            None => 0,
        };
        return Ok(vec![SocketAddrV6::new(*address, port, 0, scope).into()]);
    }
    if let Some(address) = host.address() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_string();
    let found =
        network.addresses(host.trim_end_matches('.')).map_err(|why| Error::Resolve { host: host.clone(), why })?;
    let addresses: Vec<_> = in_turn(found).into_iter().map(|address| SocketAddr::new(address, port)).collect();
    if addresses.is_empty() {
        return Err(Error::Resolve { host, why: ResolveError("the name has no address".into()) });
    }
    Ok(addresses)
}

/// The families in turn, the first address's family first, without repetitions.
fn in_turn(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = found.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    first.reverse();
    second.reverse();
    let mut turns = Vec::new();
    while turns.len() < MAX_ADDRESSES && !(first.is_empty() && second.is_empty()) {
        for address in [first.pop(), second.pop()].into_iter().flatten() {
            if !turns.contains(&address) {
                turns.push(address);
            }
        }
    }
    turns.truncate(MAX_ADDRESSES);
    turns
}

type Tried = (SocketAddr, io::Result<TcpStream>);

/// Starts one attempt after the other, the next one when one failed or is late. Attempts that lost end by their own limit.
fn race(
    network: &Arc<dyn Network>,
    how: Dial,
    stagger: Duration,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), Error> {
    let (sender, results) = mpsc::channel::<Tried>();
    let mut waiting = addresses.iter().copied();
    let mut running = 0;
    let mut first: Option<(SocketAddr, Errno)> = None;
    loop {
        let started = waiting.next().map(|address| {
            let (network, sender) = (Arc::clone(network), sender.clone());
            let attempt = move || drop(sender.send((address, network.connect(address, how))));
            (address, thread::Builder::new().spawn(attempt).map(drop))
        });
        let more = match started {
            Some((_, Ok(()))) => {
                running += 1;
                true
            }
            Some((address, Err(error))) => {
                first = Some(worse(first, address, (&error).into()));
                true
            }
            None => false,
        };
        let result = match (running, more) {
            (0, true) => continue,
            (0, false) => break,
            (_, true) => results.recv_timeout(stagger),
            // Each attempt ends by its own limit and says so.
            (_, false) => results.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match result {
            Ok((address, Ok(socket))) => return Ok((socket, address)),
            Ok((address, Err(error))) => {
                running -= 1;
                first = Some(worse(first, address, (&error).into()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let (address, why) =
        first.unwrap_or_else(|| (SocketAddr::from(([0; 4], 0)), io::ErrorKind::AddrNotAvailable.into()));
    Err(Error::Connect { address, why })
}

/// The error that is worth telling: the first one, or the first that came from the server when the others only say that a family is
/// not there.
fn worse(first: Option<(SocketAddr, Errno)>, address: SocketAddr, why: Errno) -> (SocketAddr, Errno) {
    let rank = |why: Errno| match crate::policy::io(why) {
        Verdict::Again(Whose::Servers) => 2,
        Verdict::Again(Whose::Ours) => 1,
        _ => 0,
    };
    match first {
        Some(first) if rank(first.1) >= rank(why) => first,
        _ => (address, why),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::super::Limits;
    use super::*;

    /// A name with these addresses; those of the list `dead` never answer, the others are connected to `to`.
    struct Fake {
        addresses: Vec<IpAddr>,
        dead: Vec<IpAddr>,
        to: SocketAddr,
        refused: i32,
    }

    impl Network for Fake {
        fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
            Ok(self.addresses.clone())
        }

        fn connect(&self, address: SocketAddr, how: Dial) -> io::Result<TcpStream> {
            if self.dead.contains(&address.ip()) {
                thread::sleep(how.timeout);
                return Err(io::ErrorKind::TimedOut.into());
            }
            if address.is_ipv6() {
                return Err(io::Error::from_raw_os_error(self.refused));
            }
            TcpStream::connect(self.to)
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_in_turn() {
        let found = ["2001:db8::1", "2001:db8::2", "2001:db8::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip).to_vec();
        let turns = ["2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "10.0.0.3"].map(ip).to_vec();
        assert_eq!(in_turn(found), turns);
        assert_eq!(in_turn((0..99).map(|n| ip(&format!("10.0.0.{n}"))).collect()).len(), MAX_ADDRESSES);
        assert!(in_turn(vec![]).is_empty());
    }

    #[test]
    fn the_first_address_that_answers_wins() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let limits =
            Limits { connect: Duration::from_secs(20), stagger: Duration::from_millis(50), ..Limits::default() };
        let url: Url = "http://name/".parse().unwrap();
        let addresses = ["2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2"].map(ip).to_vec();
        let dead = ["2001:db8::1", "10.0.0.1"].map(ip).to_vec();
        let network: Arc<dyn Network> = Arc::new(Fake { addresses, dead, to, refused: 101 });
        let began = Instant::now();
        let (_, address) = connect(&Setup { limits, ..Setup::new(network) }, &url).unwrap();
        assert_eq!(address.ip(), ip("10.0.0.2"));
        assert!(began.elapsed() < Duration::from_secs(10), "waited for the dead ones: {:?}", began.elapsed());
    }

    #[test]
    fn the_servers_own_refusal_is_told_not_the_family_that_is_not_there() {
        let to = TcpListener::bind("127.77.1.3:0").unwrap().local_addr().unwrap();
        let addresses = ["2001:db8::1", "10.0.0.1"].map(ip).to_vec();
        let url: Url = "http://name:7/".parse().unwrap();
        let network: Arc<dyn Network> = Arc::new(Fake { addresses, dead: vec![], to, refused: 101 });
        let error = connect(&Setup::new(network), &url).unwrap_err();
        assert_eq!(error.to_string(), "10.0.0.1:7: connection refused");
        let nobody: Arc<dyn Network> = Arc::new(Fake { addresses: vec![], dead: vec![], to, refused: 0 });
        let error = connect(&Setup::new(nobody), &url).unwrap_err();
        assert_eq!(error.to_string(), "name has no address: the name has no address");
    }

    #[test]
    fn an_interface_that_is_not_there() {
        let network: Arc<dyn Network> =
            Arc::new(Fake { addresses: vec![], dead: vec![], to: ([127, 0, 0, 1], 1).into(), refused: 0 });
        let url: Url = "http://[fe80::1%25nosuchif]/".parse().unwrap();
        assert!(matches!(connect(&Setup::new(Arc::clone(&network)), &url), Err(Error::Zone { .. })));
        assert_eq!(network.scope("lo").unwrap(), 1);
    }
}
