//! The client against servers of the tests' own, with a clock that only the tests move.

mod bad;
mod conflict;
mod field;
mod lease;
mod retry;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::ears::{Frame, Kind};
use super::message::{Type, code};
use super::*;
use crate::hardware::HardwareAddress;

pub(super) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

pub(super) fn limits() -> Limits {
    Limits { device_mtu: 9000, payload_mtu: None, servers: vec![] }
}

pub(super) fn setup() -> Setup {
    Setup {
        mac: HardwareAddress::new(&MAC).unwrap(),
        hostname: None,
        client_id: None,
        vendor_class: None,
        requested: None,
        broadcast: false,
        rapid_commit: false,
        ipv6_only: false,
        limits: limits(),
    }
}

/// What a client has sent, taken apart by the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub kind: u8,
    pub xid: u32,
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Sent {
    /// The payload of a datagram to port 67.
    pub fn read(payload: &[u8]) -> Self {
        assert!(payload.len() >= 300 && payload[0] == 1 && payload[236..240] == [0x63, 0x82, 0x53, 0x63]);
        let mut options = BTreeMap::new();
        let mut rest = &payload[240..];
        while rest[0] != 255 {
            let length = usize::from(rest[1]);
            options.insert(rest[0], rest[2..2 + length].to_vec());
            rest = &rest[2 + length..];
        }
        let two = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        let kind = options[&53][0];
        let xid = u32::from_be_bytes(payload[4..8].try_into().unwrap());
        let ciaddr = Ipv4Addr::from(<[u8; 4]>::try_from(&payload[12..16]).unwrap());
        Self { kind, xid, secs: two(8), flags: two(10), ciaddr, options }
    }

    pub fn of(packet: &[u8]) -> Self {
        assert_eq!((packet[9], &packet[16..20], &packet[20..24]), (17, &[255; 4][..], &[0, 68, 0, 67][..]));
        Self::read(&packet[28..])
    }

    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.options.get(&code)?.as_slice()).unwrap()))
    }
}

/// An answer that a test makes up.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub kind: Type,
    pub xid: u32,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub chaddr: [u8; 6],
    pub file: Vec<u8>,
    pub sname: Vec<u8>,
    pub server: Option<Ipv4Addr>,
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Answer {
    pub fn new(kind: Type, xid: u32) -> Self {
        let options = vec![(code::LEASE_TIME, 3600u32.to_be_bytes().to_vec()), (code::MASK, vec![255, 255, 255, 0])];
        Self {
            kind,
            xid,
            yiaddr: ADDRESS,
            siaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: MAC,
            file: vec![],
            sname: vec![],
            server: Some(SERVER),
            options,
        }
    }

    /// Replaces an option, or adds it.
    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.retain(|(other, _)| *other != code);
        self.options.push((code, value.to_vec()));
        self
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[0..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&self.xid.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.yiaddr.octets());
        bytes[20..24].copy_from_slice(&self.siaddr.octets());
        bytes[28..34].copy_from_slice(&self.chaddr);
        bytes[44..44 + self.sname.len()].copy_from_slice(&self.sname);
        bytes[108..108 + self.file.len()].copy_from_slice(&self.file);
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        bytes.extend([53, 1, self.kind as u8]);
        if let Some(server) = self.server {
            bytes.extend([54, 4]);
            bytes.extend(server.octets());
        }
        for (code, value) in &self.options {
            bytes.extend([*code, u8::try_from(value.len()).unwrap()]);
            bytes.extend(value);
        }
        bytes.push(255);
        bytes
    }

    pub fn packet(&self) -> Vec<u8> {
        let server = self.server.unwrap_or(SERVER);
        let mut packet = broadcast(server, &self.payload());
        // Ports of the other direction.
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet
    }
}

/// A server that answers what it is asked.
pub(super) type Server = Box<dyn FnMut(Duration, &Sent) -> Vec<Answer>>;

/// A server that gives [`ADDRESS`] to everybody.
pub(super) fn willing() -> Server {
    Box::new(|_, sent| match sent.kind {
        1 => vec![Answer::new(Type::Offer, sent.xid)],
        3 => vec![Answer::new(Type::Ack, sent.xid)],
        _ => vec![],
    })
}

/// A client, what is plugged into it, and all that has happened.
pub(super) struct World {
    pub client: Client,
    pub now: Duration,
    pub server: Server,
    /// Who answers an ARP probe for an address.
    pub neighbour: Box<dyn FnMut(Ipv4Addr) -> Option<[u8; 6]>>,
    pub sent: Vec<(Duration, Sent)>,
    pub unicast: Vec<(Duration, Ipv4Addr, Sent)>,
    pub probes: Vec<Duration>,
    pub used: Vec<(Duration, Lease)>,
    pub renewed: Vec<Duration>,
    pub lost: Vec<(Duration, Lost)>,
    pub said: Vec<(Duration, Notice)>,
}

impl World {
    pub fn new(setup: Setup, server: Server) -> Self {
        let mut state = 0x1234_5678u32;
        let random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        Self {
            client: Client::new(setup, Box::new(random)),
            now: Duration::ZERO,
            server,
            neighbour: Box::new(|_| None),
            sent: vec![],
            unicast: vec![],
            probes: vec![],
            used: vec![],
            renewed: vec![],
            lost: vec![],
            said: vec![],
        }
    }

    /// Lets something happen now, and all that comes of it at once.
    pub fn event(&mut self, event: Event<'_>) {
        let todo = self.client.handle(self.now, event);
        self.all(todo);
    }

    /// Does these, and all that comes of them at once.
    pub fn all(&mut self, mut todo: Vec<Action>) {
        let mut steps = 0;
        while !todo.is_empty() {
            steps += 1;
            assert!(steps < 100, "no end: {todo:?}");
            let action = todo.remove(0);
            todo.extend(self.act(action));
        }
    }

    fn act(&mut self, action: Action) -> Vec<Action> {
        match action {
            Action::Broadcast(packet) => {
                let sent = Sent::of(&packet);
                self.sent.push((self.now, sent.clone()));
                self.answer(&sent)
            }
            Action::Unicast { to, payload } => {
                let sent = Sent::read(&payload);
                self.unicast.push((self.now, to, sent.clone()));
                self.answer(&sent)
            }
            Action::Probe(packet) => {
                self.probes.push(self.now);
                let asked = arp(&packet).unwrap();
                assert_eq!((asked.mac, asked.sender, asked.reply), (MAC, Ipv4Addr::UNSPECIFIED, false));
                let Some(mac) = (self.neighbour)(asked.target) else { return vec![] };
                self.client.handle(self.now, Event::Arp(&arp_reply(mac, asked.target)))
            }
            Action::Use(lease) => {
                self.used.push((self.now, *lease));
                vec![]
            }
            Action::Renew(_) => {
                self.renewed.push(self.now);
                vec![]
            }
            Action::Drop { why, .. } => {
                self.lost.push((self.now, why));
                vec![]
            }
            Action::Say(notice) => {
                assert!(!notice.to_string().is_empty());
                self.said.push((self.now, notice));
                vec![]
            }
        }
    }

    pub fn answer(&mut self, sent: &Sent) -> Vec<Action> {
        let answers = (self.server)(self.now, sent);
        answers.iter().flat_map(|answer| self.client.handle(self.now, Event::Packet(&answer.packet()))).collect()
    }

    /// Lets time pass.
    pub fn run(&mut self, until: Duration) {
        let mut steps = 0;
        while let Some(wake) = self.client.wake().filter(|wake| *wake <= until) {
            steps += 1;
            assert!(steps < 100_000, "the client does not sleep");
            self.now = self.now.max(wake);
            self.event(Event::Time);
        }
        self.now = until;
    }

    pub fn plug(&mut self, at: Duration) {
        self.run(at);
        self.event(Event::LinkUp);
    }

    pub fn other_frame(&mut self) {
        self.event(Event::Frame(Frame { kind: Kind::Other, vlan: None }));
    }

    /// Kinds of the messages sent, in order.
    pub fn kinds(&self) -> Vec<u8> {
        self.sent.iter().map(|(_, sent)| sent.kind).collect()
    }
}

pub(super) fn arp_reply(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut packet = arp_probe(mac, ADDRESS);
    packet[7] = 2;
    packet[14..18].copy_from_slice(&address.octets());
    packet
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
