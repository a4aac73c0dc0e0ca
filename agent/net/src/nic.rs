//! One interface with its DHCP client: events of the kernel and frames go to the client, what it decides is done.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::dhcp4::{Action, Client, Event, Lease, Lost, Notice, Setup};
use crate::link::{Failure, Handle, Lifetime, Link, RouteOptions};
use crate::socket::{Incoming, Sockets};

#[cfg(test)]
mod tests;

/// UDP ports of DHCP (RFC 2131 4.1).
const CLIENT: u16 = 68;
const SERVER: u16 = 67;

/// What the caller learns.
#[derive(Debug)]
pub enum Outcome {
    /// The interface has this lease, address and routes are set.
    Up(Box<Lease>),
    /// The lease goes on; names and servers may have changed.
    Renewed(Box<Lease>),
    /// Address and routes are gone.
    Down(Lost),
    /// Something to tell.
    Say(Notice),
    /// The kernel has refused something; the rest was done.
    Failed(Failure),
    /// The packet sockets do not work any more: the interface is gone, or never could.
    Deaf(io::Error),
}

/// An interface that asks for an address by DHCPv4.
pub struct Nic {
    index: u32,
    mtu: u32,
    /// The MTU is set once for each interface and boot (network-field.md kind 6).
    mtu_is_set: bool,
    metric: u32,
    client: Client,
    sockets: Sockets,
    /// Sends to one server, and takes what comes for us, so that the kernel does not say that nobody listens.
    udp: Option<UdpSocket>,
}

impl Nic {
    /// Begins with an interface as it is now. `metric` decides between the routes of several; `random` is the client's.
    ///
    /// # Errors
    /// There are no packet sockets for it: see [`Sockets::open`].
    pub fn open(link: &Link, setup: Setup, metric: u32, random: Box<dyn FnMut() -> u32 + Send>) -> io::Result<Self> {
        let sockets = Sockets::open(link.index, setup.mac)?;
        let client = Client::new(setup, random);
        Ok(Self { index: link.index, mtu: link.mtu, mtu_is_set: false, metric, client, sockets, udp: None })
    }

    /// The number of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The lease in use.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.client.lease()
    }

    /// The descriptors to poll for reading; then call [`Self::receive`].
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.descriptors()
    }

    /// When to call [`Self::event`] with [`Event::Time`] at the latest.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        self.client.wake()
    }

    /// The kernel says how the interface is now.
    pub fn link(&mut self, now: Duration, link: &Link, handle: &mut Handle) -> Vec<Outcome> {
        self.mtu = link.mtu;
        let event = match (link.master, link.carrier) {
            (Some(_), _) => Event::Enslaved,
            (None, true) => Event::LinkUp,
            (None, false) => Event::LinkDown,
        };
        self.event(now, event, handle)
    }

    /// Takes in what has arrived. Comes before [`Self::event`] with [`Event::Time`]: what has arrived in time must not be late.
    pub fn receive(&mut self, now: Duration, handle: &mut Handle) -> Vec<Outcome> {
        let incoming = match self.sockets.receive() {
            Ok(incoming) => incoming,
            Err(error) => return vec![Outcome::Deaf(error)],
        };
        let mut outcomes = Vec::new();
        for one in incoming {
            let event = match &one {
                Incoming::Packet(packet) => Event::Packet(packet),
                Incoming::Arp(packet) => Event::Arp(packet),
                Incoming::Frame(frame) => Event::Frame(frame.clone()),
            };
            outcomes.extend(self.event(now, event, handle));
        }
        self.drain();
        outcomes
    }

    /// Something has happened, or time has passed.
    pub fn event(&mut self, now: Duration, event: Event<'_>, handle: &mut Handle) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for action in self.client.handle(now, event) {
            self.act(now, action, handle, &mut outcomes);
        }
        outcomes
    }

    /// Takes address and routes away, for a root that does not need the network (network.md 4.8): the server is not told.
    pub fn flush(&mut self, handle: &mut Handle) -> Vec<Failure> {
        let Some(lease) = self.client.lease().cloned() else { return Vec::new() };
        self.udp = None;
        self.take_away(&lease, handle).err().into_iter().collect()
    }

    /// Gives its routes another metric, now and from now on. What the kernel refuses stays as it was.
    pub fn set_metric(&mut self, metric: u32, handle: &mut Handle) {
        let before = std::mem::replace(&mut self.metric, metric);
        let Some(lease) = self.client.lease().cloned() else { return };
        for route in &lease.routes {
            if handle.add_route(self.index, *route, &self.options(&lease)).is_ok() {
                let old = RouteOptions { metric: before, ..self.options(&lease) };
                let _ = handle.remove_route(self.index, *route, &old);
            }
        }
    }

    fn act(&mut self, now: Duration, action: Action, handle: &mut Handle, outcomes: &mut Vec<Outcome>) {
        // What cannot be sent now is sent again by the schedule: the link may be down for a moment.
        match action {
            Action::Broadcast(packet) => drop(self.sockets.send_ip(&packet)),
            Action::Probe(packet) => drop(self.sockets.send_arp(&packet)),
            Action::Unicast { to, payload } => {
                if let Some(udp) = &self.udp {
                    drop(udp.send_to(&payload, (to, SERVER)));
                }
            }
            Action::Use(lease) => {
                self.sockets.deaf();
                self.set_mtu(now, &lease, handle, outcomes);
                self.set(&lease, handle, outcomes);
                outcomes.push(Outcome::Up(lease));
            }
            Action::Renew(lease) => {
                self.set(&lease, handle, outcomes);
                outcomes.push(Outcome::Renewed(lease));
            }
            Action::Drop { lease, why } => {
                self.udp = None;
                outcomes.extend(self.take_away(&lease, handle).err().map(Outcome::Failed));
                outcomes.push(Outcome::Down(why));
            }
            Action::Say(notice) => outcomes.push(Outcome::Say(notice)),
        }
    }

    /// Only if it differs, before the first connection, and once.
    fn set_mtu(&mut self, now: Duration, lease: &Lease, handle: &mut Handle, outcomes: &mut Vec<Outcome>) {
        let Some(mtu) = lease.mtu.filter(|mtu| *mtu != self.mtu && !self.mtu_is_set) else { return };
        self.mtu_is_set = true;
        // The client decides nothing because of it; it only has to know.
        let actions = self.client.handle(now, Event::MtuChange);
        debug_assert!(actions.is_empty());
        match handle.set_mtu(self.index, mtu) {
            Ok(()) => self.mtu = mtu,
            Err(failure) => outcomes.push(Outcome::Failed(failure)),
        }
    }

    /// Address, then routes, in their order.
    fn set(&mut self, lease: &Lease, handle: &mut Handle, outcomes: &mut Vec<Outcome>) {
        let lifetime = lease.time.map_or(Lifetime::Forever, Lifetime::For);
        let mut failed = |done: Result<(), Failure>| outcomes.extend(done.err().map(Outcome::Failed));
        failed(handle.add_address(self.index, lease.address, lifetime));
        for route in &lease.routes {
            failed(handle.add_route(self.index, *route, &self.options(lease)));
        }
        if self.udp.is_none()
            && let IpAddr::V4(own) = lease.address.ip
        {
            self.udp = udp(own).ok();
        }
    }

    fn take_away(&self, lease: &Lease, handle: &mut Handle) -> Result<(), Failure> {
        for route in lease.routes.iter().rev() {
            handle.remove_route(self.index, *route, &self.options(lease))?;
        }
        handle.remove_address(self.index, lease.address)
    }

    fn options(&self, lease: &Lease) -> RouteOptions {
        RouteOptions { protocol: RouteOptions::DHCP, metric: self.metric, source: Some(lease.address.ip) }
    }

    /// The packet socket has seen it already.
    fn drain(&self) {
        let Some(udp) = &self.udp else { return };
        let mut buffer = [0; 2048];
        for _ in 0..64 {
            if udp.recv(&mut buffer).is_err() {
                break;
            }
        }
    }
}

fn udp(own: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own, CLIENT))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
