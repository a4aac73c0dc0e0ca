//! An interface with an address of the command line: what is set, in which order, worked out beforehand.

use std::net::IpAddr;

use crate::grammar::{Address, Method, Names, Request, RouteWish};
use crate::hostname::Hostname;
use crate::link::{Failure, Handle, Lifetime, RouteOptions};
use crate::route::{self, Route};

/// What an `ip=` word with an address makes of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address.
    pub address: Address,
    /// Routes in the order in which the kernel takes them; the one to the subnet it makes itself.
    pub routes: Vec<Route>,
    /// The MTU, if one was given.
    pub mtu: Option<u32>,
    /// Servers for names that the word itself names.
    pub dns: Vec<IpAddr>,
    /// Servers for the time.
    pub ntp: Vec<IpAddr>,
    /// The name of this machine.
    pub hostname: Option<Hostname>,
    /// The server that the loader booted from.
    pub next_server: Option<IpAddr>,
}

impl Fixed {
    /// What a request makes of an interface; `None` unless it is [`Method::Static`]. A router outside of the subnet
    /// gets a route of its own first (network-field.md kind 10).
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        let address = request.address.filter(|_| request.method == Method::Static)?;
        let peer = request.peer.filter(|peer| !address.contains(*peer)).map(Route::on_link);
        let default = request.gateway.map(Route::default_by);
        Some(Self {
            address,
            routes: route::plan(address, peer.into_iter().chain(default)),
            mtu: request.mtu,
            dns: request.dns.clone(),
            ntp: request.ntp.clone(),
            hostname: request.hostname.clone(),
            next_server: request.next_server,
        })
    }

    /// Sets address and routes. The interface is up, with its MTU.
    ///
    /// # Errors
    /// What the kernel has refused; all else was done.
    pub fn apply(&self, handle: &mut Handle, index: u32, metric: u32) -> Vec<Failure> {
        let mut failed = Vec::new();
        let mut done = |result: Result<(), Failure>| failed.extend(result.err());
        done(handle.add_address(index, self.address, Lifetime::Forever));
        for route in &self.routes {
            done(handle.add_route(index, *route, &self.options(metric)));
        }
        failed
    }

    /// Gives its routes another metric. What the kernel refuses stays as it was.
    pub fn move_routes(&self, handle: &mut Handle, index: u32, from: u32, to: u32) {
        for route in &self.routes {
            if handle.add_route(index, *route, &self.options(to)).is_ok() {
                let _ = handle.remove_route(index, *route, &self.options(from));
            }
        }
    }

    /// Takes routes and address away again.
    pub fn remove(&self, handle: &mut Handle, index: u32, metric: u32) {
        // What the kernel does not take away now goes with the interface.
        for route in self.routes.iter().rev() {
            let _ = handle.remove_route(index, *route, &self.options(metric));
        }
        let _ = handle.remove_address(index, self.address);
    }

    fn options(&self, metric: u32) -> RouteOptions {
        RouteOptions { protocol: RouteOptions::STATIC, metric, source: Some(self.address.ip) }
    }
}

/// The routes of `rd.route=` that belong to an interface with these addresses: those that name it; of those that name
/// none those whose router is in one of its subnets, and all of them where `is_first`, which is the interface that
/// reaches the server.
#[must_use]
pub fn routes(wishes: &[RouteWish], link: &Names<'_>, own: &[Address], is_first: bool) -> Vec<Route> {
    let near = |gateway: IpAddr| own.iter().any(|address| address.contains(gateway));
    let belongs = |wish: &&RouteWish| match &wish.interface {
        Some(interface) => interface.means(link),
        None => is_first || wish.gateway.is_some_and(near),
    };
    let wanted = wishes.iter().filter(belongs).map(|wish| Route { net: wish.net, gateway: wish.gateway });
    let (mut v4, mut v6): (Vec<Route>, Vec<Route>) = wanted.partition(|route| route.net.ip.is_ipv4());
    for (routes, is_v4) in [(&mut v4, true), (&mut v6, false)] {
        if let Some(address) = own.iter().find(|address| address.ip.is_ipv4() == is_v4) {
            *routes = route::plan(*address, std::mem::take(routes));
        }
    }
    v4.extend(v6);
    v4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Wish, Word};

    fn wish(line: &str) -> Wish {
        let words = line.split(' ').filter_map(|word| word.split_once('='));
        Wish::parse(words.map(|(key, value)| Word { key, value: Some(value) })).0
    }

    fn text(routes: &[Route]) -> Vec<String> {
        routes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_word_becomes_address_and_routes() {
        let fixed = |line: &str| Fixed::of(&wish(line).requests[0]);
        let plain = fixed("ip=192.0.2.9::192.0.2.1:24:node7:eth0:none:192.0.2.2").unwrap();
        assert_eq!(text(&plain.routes), ["0.0.0.0/0 by 192.0.2.1"]);
        assert_eq!((plain.dns.len(), plain.hostname.unwrap().as_str()), (1, "node7"));
        // Hosters (kind 10a), and the same with another word for it.
        let outside = ["192.0.2.1/32 on the link", "0.0.0.0/0 by 192.0.2.1"];
        assert_eq!(text(&fixed("ip=10.0.0.9::192.0.2.1:32::eth0:none").unwrap().routes), outside);
        assert_eq!(text(&fixed("ip=10.0.0.9:192.0.2.1:192.0.2.1:32::eth0:none").unwrap().routes), outside);
        let loader = fixed("ip=10.0.2.15:10.0.2.2:10.0.2.2:255.255.255.0").unwrap();
        assert_eq!((text(&loader.routes).len(), loader.next_server), (1, Some([10, 0, 2, 2].into())));
        assert_eq!(fixed("ip=192.0.2.9::192.0.2.1:24::eth0:dhcp"), None);
    }

    #[test]
    fn routes_go_to_the_interface_that_they_belong_to() {
        let wish = wish(
            "rd.route=10.1.0.0/16:192.0.2.1 rd.route=10.2.0.0/16:198.51.100.1 \
             rd.route=10.3.0.0/16::eth1 rd.route=[2001:db8::]/32:[fe80::1]:eth0",
        );
        let own = [Address { ip: [192, 0, 2, 9].into(), prefix: 24 }];
        let of = |name, is_first| {
            text(&routes(&wish.routes, &Names { kernel: name, others: &[], mac: None }, &own, is_first))
        };
        assert_eq!(of("eth0", false), ["10.1.0.0/16 by 192.0.2.1", "2001:db8::/32 by fe80::1"]);
        assert_eq!(of("eth1", false), ["10.1.0.0/16 by 192.0.2.1", "10.3.0.0/16 on the link"]);
        assert_eq!(
            of("eth2", true),
            ["10.1.0.0/16 by 192.0.2.1", "198.51.100.1/32 on the link", "10.2.0.0/16 by 198.51.100.1"]
        );
    }
}
