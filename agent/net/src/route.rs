//! Routes in the order in which the kernel takes them (network-field.md kind 10).

use std::fmt;
use std::net::IpAddr;

use crate::grammar::Address;

/// A route over one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// What is reached; bits behind the prefix 0.
    pub net: Address,
    /// By which router; `None`: each of its addresses is on the link.
    pub gateway: Option<IpAddr>,
}

impl Route {
    /// The default route by this router.
    #[must_use]
    pub fn default_by(gateway: IpAddr) -> Self {
        let ip = match gateway {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0; 16]),
        };
        Self { net: Address { ip, prefix: 0 }, gateway: Some(gateway) }
    }

    /// The route to one address on the link.
    #[must_use]
    pub fn on_link(ip: IpAddr) -> Self {
        Self { net: Address { ip, prefix: Address::full(ip) }, gateway: None }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gateway {
            Some(gateway) => write!(f, "{} by {gateway}", self.net),
            None => write!(f, "{} on the link", self.net),
        }
    }
}

/// The routes that make `wanted` work beside the address `own`, in order: before the first route by a router outside of the subnet, or
/// beside a /32, comes a route to that router. Link-local routers of IPv6 are on each link. Each route comes once.
#[must_use]
pub fn plan(own: Address, wanted: impl IntoIterator<Item = Route>) -> Vec<Route> {
    let mut planned: Vec<Route> = Vec::new();
    for route in wanted {
        if let Some(gateway) = route.gateway {
            let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
            let near = |other: &Route| other.gateway.is_none() && other.net.contains(gateway);
            if !own.contains(gateway) && !link_local && !planned.iter().any(near) {
                planned.push(Route::on_link(gateway));
            }
        }
        if !planned.contains(&route) {
            planned.push(route);
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        let (ip, prefix) = text.split_once('/').unwrap();
        Address { ip: ip.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    fn planned(own: &str, gateway: &str) -> Vec<String> {
        let routes = plan(address(own), [Route::default_by(gateway.parse().unwrap())]);
        routes.iter().map(ToString::to_string).collect()
    }

    /// Kind 10a: hosters give a /32 and a router outside of it.
    #[test]
    fn a_router_outside_is_reached_by_a_route_of_its_own() {
        assert_eq!(planned("192.0.2.9/24", "192.0.2.1"), ["0.0.0.0/0 by 192.0.2.1"]);
        assert_eq!(planned("192.0.2.9/32", "192.0.2.1"), ["192.0.2.1/32 on the link", "0.0.0.0/0 by 192.0.2.1"]);
        assert_eq!(planned("192.0.2.9/24", "10.0.0.1"), ["10.0.0.1/32 on the link", "0.0.0.0/0 by 10.0.0.1"]);
        assert_eq!(planned("2001:db8::9/128", "2001:db8::1"), ["2001:db8::1/128 on the link", "::/0 by 2001:db8::1"]);
        assert_eq!(planned("2001:db8::9/64", "fe80::1"), ["::/0 by fe80::1"]);
    }

    #[test]
    fn each_route_comes_once_and_near_routers_need_nothing() {
        let own = address("192.0.2.9/32");
        let near = Route { net: address("192.0.2.0/24"), gateway: None };
        let default = Route::default_by("192.0.2.1".parse().unwrap());
        assert_eq!(plan(own, [near, default, default]), [near, default]);
        assert_eq!(plan(own, [default, near]).len(), 3);
    }
}
