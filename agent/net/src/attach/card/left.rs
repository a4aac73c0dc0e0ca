//! What an interface leaves: which of its routes come first, and what stays when the work ends.

use std::path::Path;

use super::{Stage, Worked, leads_away};
use crate::attach::{Given, followed};
use crate::grammar::Address;
use crate::ip6;
use crate::link::{Handle, Held, Lifetime, RouteOptions};
use crate::route::Route;

impl Worked {
    /// A server was reached over it: its routes come before all others (network-field.md kind 3).
    pub fn is_best(&mut self, metric: u32, handle: &mut Handle) {
        let before = std::mem::replace(&mut self.card.metric, metric);
        // One that another machine has is not set.
        let is_set = |address| self.card.given.iter().any(|given| given.address == address);
        for fixed in self.fixed.iter().filter(|fixed| is_set(fixed.address)) {
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

    /// Takes addresses and routes away, unless it is as it was. Its link stays up if it `may`: a switch makes one that comes up again wait.
    /// What the kernel makes of routers goes only with the link, and what was only looked at was down before. A VLAN was made for this boot.
    pub fn clean(&mut self, may: bool, handle: &mut Handle) {
        if self.stage == Stage::Idle {
            return;
        }
        self.give_back(handle);
        let stays = may && self.stage != Stage::Looked && !self.six.hears_routers();
        let _ = match (self.card.is_vlan, stays) {
            (true, _) => handle.remove(self.card.index),
            (false, false) => handle.down(self.card.index),
            (false, true) => Ok(()),
        };
    }

    pub(super) fn give_back(&mut self, handle: &mut Handle) {
        if let Some(nic) = &mut self.nic {
            // What the kernel refuses now goes with the interface.
            drop(nic.flush(handle));
        }
        for fixed in &self.fixed {
            fixed.remove(handle, self.card.index, self.card.metric);
        }
        if let Some(leased) = self.six.leased() {
            let _ = handle.remove_address(self.card.index, Address { ip: leased.into(), prefix: 128 });
        }
    }
}
