//! Loss, doubles and reordering, with a clock of the test's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rdlive_fetch::tftp::{Action, Error, Source, Transfer};

use crate::peer::Peer;

/// A network between one client and one server.
#[derive(Clone)]
pub struct Network {
    random: u64,
    /// Of 1000 packets so many are lost, doubled, late.
    pub lost: u64,
    pub doubled: u64,
    pub late: u64,
    /// Packets to the client with these numbers, in the order of sending, are lost.
    pub lose: Vec<usize>,
    sent: usize,
    under_way: BTreeMap<(Duration, usize), (bool, Vec<u8>)>,
    count: usize,
    pub time: Duration,
    /// When the server last heard of us.
    heard: Duration,
    /// Where blocks have begun; they are at least 8 bytes apart.
    pub stored: Vec<bool>,
    pub bytes: Vec<u8>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            lost: 0,
            doubled: 0,
            late: 0,
            lose: Vec::new(),
            sent: 0,
            under_way: BTreeMap::new(),
            count: 0,
            time: Duration::ZERO,
            heard: Duration::ZERO,
            stored: Vec::new(),
            bytes: Vec::new(),
        }
    }

    fn chance(&mut self, of_1000: u64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1000 < of_1000
    }

    fn put(&mut self, to_client: bool, packet: Vec<u8>) {
        if to_client {
            self.sent += 1;
            if self.lose.contains(&(self.sent - 1)) {
                return;
            }
        }
        if self.chance(self.lost) {
            return;
        }
        let copies = if self.chance(self.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let late = if self.chance(self.late) { 3000 } else { 0 };
            self.count += 1;
            let at = self.time + Duration::from_micros(500 + late);
            self.under_way.insert((at, self.count), (to_client, packet.clone()));
        }
    }

    fn obey(&mut self, actions: Vec<Action>, packet: &[u8]) -> Option<u64> {
        let mut size = None;
        for action in actions {
            match action {
                Action::Fresh => self.under_way.clear(),
                Action::Send { bytes, .. } => self.put(false, bytes),
                Action::Begin(_) => assert!(self.bytes.is_empty()),
                Action::Store { offset } => {
                    let bytes = &packet[4..];
                    let place = offset as usize / 8;
                    self.stored.resize(self.stored.len().max(place + 1), false);
                    assert!(!std::mem::replace(&mut self.stored[place], true), "stored twice");
                    let end = offset as usize + bytes.len();
                    self.bytes.resize(self.bytes.len().max(end), 0);
                    self.bytes[offset as usize..end].copy_from_slice(bytes);
                }
                Action::Done { size: all } => size = Some(all),
            }
        }
        size
    }

    /// The request is sent.
    pub fn start(&mut self, source: &Source) -> Result<Transfer, Error> {
        let mut transfer = Transfer::new(source.clone(), "10.0.0.1:69".parse().unwrap());
        let first = transfer.start(self.time)?;
        self.obey(first, &[]);
        self.heard = self.time;
        Ok(transfer)
    }

    /// The next thing that happens; the server repeats itself after a second without a word from us.
    pub fn step(&mut self, transfer: &mut Transfer, peer: &mut Peer) -> Result<Option<u64>, Error> {
        let chosen: SocketAddr = "10.0.0.1:4000".parse().unwrap();
        assert!(self.count < 5_000_000, "no end");
        let next = self.under_way.keys().next().map(|(at, _)| *at);
        let patience = self.heard + Duration::from_secs(1);
        let at = next.into_iter().chain([transfer.deadline(), patience]).min().unwrap();
        self.time = at.max(self.time);
        if Some(at) == next {
            let (_, (to_client, packet)) = self.under_way.pop_first().unwrap();
            if to_client {
                let actions = transfer.packet(self.time, chosen, &packet)?;
                return Ok(self.obey(actions, &packet));
            }
            self.heard = self.time;
            peer.packet(&packet).into_iter().for_each(|packet| self.put(true, packet));
        } else if at == patience {
            self.heard = self.time;
            peer.timeout().into_iter().for_each(|packet| self.put(true, packet));
        } else {
            let actions = transfer.tick(self.time)?;
            self.obey(actions, &[]);
        }
        Ok(None)
    }

    pub fn rest(&mut self, transfer: &mut Transfer, peer: &mut Peer) -> Result<u64, Error> {
        loop {
            if let Some(size) = self.step(transfer, peer)? {
                return Ok(size);
            }
        }
    }

    /// A whole transfer.
    pub fn run(&mut self, source: &Source, peer: &mut Peer) -> Result<u64, Error> {
        let mut transfer = self.start(source)?;
        self.rest(&mut transfer, peer)
    }
}

fn whole(network: &mut Network, source: &Source, peer: &mut Peer) {
    assert_eq!(network.run(source, peer).unwrap(), peer.file.len() as u64);
    assert!(network.bytes == peer.file, "other bytes");
}

fn source() -> Source {
    Source::new("image/a b.iso")
}

#[test]
fn sizes_around_a_block() {
    for length in [0, 1, 511, 512, 513, 1467, 1468, 1469, 16 * 1468 - 1, 16 * 1468, 16 * 1468 + 1, 100_000] {
        for plain in [false, true] {
            let mut peer = Peer::new(length);
            if plain {
                (peer.block, peer.window, peer.tells_size) = (None, None, false);
            }
            whole(&mut Network::new(1), &source(), &mut peer);
            assert_eq!(peer.requests, 1);
        }
    }
}

#[test]
fn windows_save_acknowledgements() {
    let mut peer = Peer::new(1_468_000);
    whole(&mut Network::new(1), &source(), &mut peer);
    assert!((60..80).contains(&peer.acknowledged), "{}", peer.acknowledged);
    peer = Peer { window: None, ..Peer::new(1_468_000) };
    whole(&mut Network::new(1), &source(), &mut peer);
    // The options, 1000 full blocks; the end comes before the last one is heard.
    assert_eq!(peer.acknowledged, 1001);
}

#[test]
fn each_way_to_have_no_options() {
    let length = 60_000;
    for (peer, requests) in [
        (Peer { block: Some(512), ..Peer::new(length) }, 1),
        (Peer { block: Some(1000), window: Some(3), ..Peer::new(length) }, 1),
        (Peer { block: None, ..Peer::new(length) }, 1),
        (Peer { window: None, ..Peer::new(length) }, 1),
        (Peer { tells_size: false, ..Peer::new(length) }, 2),
        (Peer { refuses_options: Some(8), ..Peer::new(length) }, 2),
        (Peer { refuses_options: Some(0), ..Peer::new(length) }, 2),
        (Peer { refuses_options: Some(4), ..Peer::new(length) }, 2),
    ] {
        let mut peer = peer;
        let mut network = Network::new(1);
        whole(&mut network, &source(), &mut peer);
        assert_eq!(peer.requests, requests);
        assert!(network.time < Duration::from_secs(1), "{:?}", network.time);
    }
    let mut network = Network::new(1);
    whole(&mut network, &source(), &mut Peer { drops_options: true, ..Peer::new(length) });
    assert!(network.time < Duration::from_secs(7), "{:?}", network.time);
}

#[test]
fn more_than_65535_blocks() {
    // Behind the first wrap, and behind the second one.
    for (window, tells_size, beyond) in [(16, true, 70_000), (1, false, 1)] {
        let times = [false, true].map(|wraps_to_one| {
            let mut peer = Peer { wraps_to_one, tells_size, ..Peer::new((65_534 + beyond) * 8 + 3) };
            peer.window = Some(window);
            let mut network = Network::new(1);
            whole(&mut network, &Source { block: 8, window: window as u16, ..source() }, &mut peer);
            network.time
        });
        assert!(times[1] - times[0] < Duration::from_millis(100), "no timer has to help: {times:?}");
    }
}

/// At the wrap each of the packets is lost in turn, and each pair of them: never does it lead to wrong bytes, which it would if the way of
/// counting was guessed.
#[test]
fn any_loss_at_the_wrap() {
    let source = Source { block: 8, window: 4, ..source() };
    for (wraps_to_one, tells_size, window) in
        [(false, true, Some(4)), (true, true, Some(4)), (false, true, None), (true, true, None), (true, false, None)]
    {
        for beyond in [2, 9] {
            let length = (65_535 + beyond - 1) * 8 + 3;
            let mut peer = Peer { wraps_to_one, tells_size, window, ..Peer::new(length) };
            let mut network = Network::new(1);
            let mut transfer = network.start(&source).unwrap();
            while network.bytes.len() < 65_525 * 8 {
                network.step(&mut transfer, &mut peer).unwrap();
            }
            let sent = network.sent;
            for first in 0..14 + beyond {
                for second in [0, 1, 3] {
                    let (mut network, mut transfer, mut peer) = (network.clone(), transfer.clone(), peer.clone());
                    network.lose = vec![sent + first, sent + first + second];
                    assert_eq!(network.rest(&mut transfer, &mut peer).unwrap(), length as u64);
                    assert!(network.bytes == peer.file, "{wraps_to_one} {window:?} {beyond} {first} {second}");
                }
            }
        }
    }
}

#[test]
fn loss_doubles_and_reordering() {
    for seed in 0..60 {
        let mut network = Network::new(seed);
        (network.lost, network.doubled, network.late) =
            [(30, 0, 0), (0, 200, 0), (0, 0, 200), (50, 50, 50)][seed as usize % 4];
        let mut peer = Peer::new(200_000);
        if seed % 3 == 0 {
            peer.window = None;
        }
        whole(&mut network, &source(), &mut peer);
    }
}

#[test]
fn a_late_block_is_no_lost_one() {
    let mut ordered = Peer::new(1_000_000);
    whole(&mut Network::new(3), &source(), &mut ordered);
    let mut network = Network::new(3);
    network.late = 20;
    let mut peer = Peer::new(1_000_000);
    whole(&mut network, &source(), &mut peer);
    assert!(network.time < Duration::from_secs(2), "{:?}", network.time);
}

/// The fault of the first servers: each doubled packet doubles all that follow, if the client answers doubles.
#[test]
fn no_apprentice_is_raised() {
    let mut network = Network::new(5);
    network.doubled = 100;
    let mut peer = Peer { apprentice: true, window: None, ..Peer::new(1_000_000) };
    whole(&mut network, &source(), &mut peer);
    let blocks = 1_000_000 / 1468 + 1;
    assert!(peer.acknowledged < blocks * 3 / 2, "{} for {blocks}", peer.acknowledged);
}

#[test]
fn nobody_answers() {
    let mut network = Network::new(1);
    network.lost = 1000;
    let why = network.run(&source(), &mut Peer::new(1)).unwrap_err();
    assert!(matches!(why, Error::NoAnswer { .. }), "{why}");
    assert!((10..11).contains(&network.time.as_secs()), "{:?}", network.time);
}

#[test]
fn the_server_goes_half_way() {
    let mut network = Network::new(1);
    network.lose = (20..100_000).collect();
    let why = network.run(&source(), &mut Peer::new(1_000_000)).unwrap_err();
    assert!(matches!(why, Error::Silent { received: 27_892, .. }), "{why}");
    assert!(network.time < Duration::from_secs(6), "{:?}", network.time);
}
