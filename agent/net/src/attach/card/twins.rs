//! Addresses of the command line, which are used when no other machine has them.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rdlive_sys::packet::{Frames, Kind, PacketSocket};

use super::super::{News, Notice};
use super::{Desk, Worked, random};
use crate::fixed::Fixed;
use crate::hardware::{ETHERNET, HardwareAddress};
use crate::twin::{Step, Watch};

/// The EtherType of ARP.
const ARP: u16 = 0x0806;
/// Packets that are read before others have their turn.
const MAX_PACKETS: usize = 64;

/// The watches of one interface, and their socket.
#[derive(Default)]
pub(super) struct Twins {
    watched: Vec<(Watch, Fixed)>,
    socket: Option<PacketSocket>,
}

impl Twins {
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    pub fn wake(&self) -> Option<Duration> {
        self.watched.iter().filter_map(|(watch, _)| watch.wake()).min()
    }

    pub fn link_up(&mut self, now: Duration) {
        self.watched.iter_mut().for_each(|(watch, _)| watch.link_up(now));
    }

    pub fn owns(&mut self, mac: HardwareAddress) {
        if let Some(mac) = mac.ethernet() {
            self.watched.iter_mut().for_each(|(watch, _)| watch.owns(mac));
        }
    }

    /// ARP packets of others.
    fn received(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut buffer = [0; 256];
        while let Some(socket) = self.socket.as_ref().filter(|_| found.len() < MAX_PACKETS) {
            // That the interface went down is told once.
            let Ok(Some(received)) = socket.receive(&mut buffer) else { break };
            if !matches!(received.kind, Kind::OtherHost | Kind::Outgoing) {
                found.push(buffer.get(..received.length).unwrap_or_default().to_vec());
            }
        }
        found
    }
}

impl Worked {
    /// Takes an address of the command line under watch; gives it back where it has to be used at once: IPv6, which the kernel tries
    /// itself, InfiniBand, and a kernel without packet sockets.
    pub(super) fn watches(&mut self, fixed: Fixed, desk: &Desk<'_>) -> Option<Fixed> {
        let (Some(mac), IpAddr::V4(ip)) = (self.link.mac.and_then(|mac| mac.ethernet()), fixed.address.ip) else {
            return Some(fixed);
        };
        if self.twins.socket.is_none() {
            self.twins.socket = PacketSocket::open(self.card.index, Frames::Payload(ARP)).ok();
        }
        if self.twins.socket.is_none() {
            return Some(fixed);
        }
        let gateways = fixed.routes.iter().filter_map(|route| route.gateway);
        let others = gateways.chain(fixed.dns.iter().copied()).chain(fixed.next_server).chain(desk.wish.dns.clone());
        let known: Vec<Ipv4Addr> =
            others.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).collect();
        let watch = Watch::new(mac, fixed.address, ip, &known, desk.wish.shares_addresses, &mut random);
        self.twins.watched.push((watch, fixed));
        None
    }

    /// Asks for the addresses, and takes in who answers.
    pub(super) fn tries(&mut self, desk: &mut Desk<'_>) {
        let packets = self.twins.received();
        for at in 0..self.twins.watched.len() {
            let Some((watch, fixed)) = self.twins.watched.get_mut(at) else { break };
            let fixed = fixed.clone();
            let mut steps: Vec<Step> = packets.iter().flat_map(|packet| watch.arp(desk.now, packet)).collect();
            // One thing leads to another at most a few times.
            for _ in 0..4 {
                steps.extend(watch.time(desk.now));
            }
            for step in steps {
                self.does4(step, &fixed, desk);
            }
        }
    }

    fn does4(&mut self, step: Step, fixed: &Fixed, desk: &mut Desk<'_>) {
        match step {
            Step::Probe(packet) => {
                if let Some(socket) = &self.twins.socket {
                    // What is lost is sent again.
                    drop(socket.send(&[0xff; ETHERNET], &packet));
                }
            }
            Step::Use => self.sets(fixed, desk),
            Step::Drop => {
                fixed.remove(desk.handle, self.card.index, self.card.metric);
                self.card.addresses.retain(|address| *address != fixed.address);
                self.card.given.retain(|given| given.address != fixed.address);
            }
            Step::Say(notice) => {
                desk.news.push(News::Notice { name: self.card.name.clone(), notice: Notice::Twin(notice) });
            }
        }
    }
}
