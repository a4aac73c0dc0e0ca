//! Whether another machine has an address of the command line already (RFC 5227, network.md 4.4): two hosts with one address lose both
//! their roots. The RFC's own pauses take seven seconds; here the address is used after a fifth of one, and tried again later, for a port
//! may be deaf at first.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::dhcp4::{arp, arp_probe};
use crate::grammar::Address;

/// Between two probes, and after the last one before the address is used.
const PAUSE: Duration = Duration::from_millis(100);
/// Probes before the address is used.
const PROBES: u32 = 2;
/// When more are sent, since it is used.
const LATER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// What answers within this time had the address before; later it is told alone, for somebody may have come after us.
const TOLD_ALONE: Duration = Duration::from_secs(5);
/// When an address that another machine has is tried again: it may be switched off meanwhile.
const AGAIN: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this ARP packet to everybody on the link.
    Probe(Vec<u8>),
    /// The address is ours: set it.
    Use,
    /// Take it away again.
    Drop,
    /// Tell a person.
    Say(Notice),
}

/// What a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another machine has the address.
    Taken {
        /// The address.
        address: Ipv4Addr,
        /// The other machine.
        mac: [u8; 6],
        /// Whether it is used all the same.
        used: bool,
    },
    /// Whoever answers does so for addresses that nobody has (network-field.md kind 8): it proves nothing.
    AnswersForEvery {
        /// The address, which is used.
        address: Ipv4Addr,
        /// Who answers.
        mac: [u8; 6],
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        match self {
            Self::Taken { address, mac, used: false } => write!(
                f,
                "{} has {address} already, so it is not used: give this machine another address, or rd.live.net.conflict=use",
                shown(mac)
            ),
            Self::Taken { address, mac, used: true } => write!(f, "{} has {address} too, which is used", shown(mac)),
            Self::AnswersForEvery { address, mac } => {
                write!(f, "{} answers for every address, {address} is used", shown(mac))
            }
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    /// No carrier so far.
    Off,
    /// Asking for it.
    Probing { sent: u32, next: Duration },
    /// Somebody has answered: whether for addresses that nobody has, too.
    Doubting { mac: [u8; 6], heard: Vec<Ipv4Addr>, until: Duration },
    /// In use. `sent` more probes went out.
    Using { since: Duration, sent: usize },
    /// Somebody has it.
    Refused { next: Duration },
}

/// Looks after one address of one Ethernet interface.
#[derive(Debug)]
pub struct Watch {
    mac: [u8; 6],
    address: Ipv4Addr,
    /// Addresses of the same network that nobody has, most probably.
    controls: Vec<Ipv4Addr>,
    own_macs: Vec<[u8; 6]>,
    /// Whether it is used whoever has it (`rd.live.net.conflict=use`).
    consent: bool,
    state: State,
    told: Option<Notice>,
}

impl Watch {
    /// Waits for the link. `known`: addresses that other machines have, as the router; `random` chooses among the others.
    pub fn new(
        mac: [u8; 6],
        address: Address,
        ip: Ipv4Addr,
        known: &[Ipv4Addr],
        consent: bool,
        random: &mut dyn FnMut() -> u32,
    ) -> Self {
        let controls = controls(address.prefix, ip, known, random);
        Self { mac, address: ip, controls, own_macs: vec![mac], consent, state: State::Off, told: None }
    }

    /// This machine has an interface with this hardware address.
    pub fn owns(&mut self, mac: [u8; 6]) {
        self.own_macs.push(mac);
    }

    /// The link has a carrier.
    pub fn link_up(&mut self, now: Duration) {
        if matches!(self.state, State::Off) {
            self.state = State::Probing { sent: 0, next: now };
        }
    }

    /// When to call [`Self::time`] at the latest.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        match &self.state {
            State::Off => None,
            State::Probing { next, .. } | State::Refused { next } => Some(*next),
            State::Doubting { until, .. } => Some(*until),
            State::Using { since, sent } => LATER.get(*sent).map(|later| *since + *later),
        }
    }

    /// Whether the address is set.
    #[must_use]
    pub fn is_used(&self) -> bool {
        matches!(self.state, State::Using { .. })
    }

    /// Does what is due.
    pub fn time(&mut self, now: Duration) -> Vec<Step> {
        let probe = Step::Probe(arp_probe(self.mac, self.address));
        match &mut self.state {
            State::Probing { sent, next } if now >= *next && *sent < PROBES => {
                *sent += 1;
                *next = now + PAUSE;
                vec![probe]
            }
            State::Probing { next, .. } if now >= *next => self.takes(now, None),
            State::Doubting { mac, heard, until } if now >= *until => {
                let (mac, all) = (*mac, !self.controls.is_empty() && heard.len() >= self.controls.len());
                self.decides(now, mac, all)
            }
            State::Using { since, sent } if LATER.get(*sent).is_some_and(|later| now >= *since + *later) => {
                *sent += 1;
                vec![probe]
            }
            State::Refused { next } if now >= *next => {
                self.state = State::Probing { sent: 1, next: now + PAUSE };
                vec![probe]
            }
            _ => Vec::new(),
        }
    }

    fn takes(&mut self, now: Duration, notice: Option<Notice>) -> Vec<Step> {
        self.state = State::Using { since: now, sent: if notice.is_some() { LATER.len() } else { 0 } };
        let mut steps = self.says(notice);
        steps.push(Step::Use);
        steps
    }

    /// Each is said once in a row.
    fn says(&mut self, notice: Option<Notice>) -> Vec<Step> {
        let new = notice.filter(|notice| self.told != Some(*notice));
        self.told = notice.or(self.told);
        new.map(Step::Say).into_iter().collect()
    }

    /// After an answer: it is a twin, unless the same machine answers for what nobody has.
    fn decides(&mut self, now: Duration, mac: [u8; 6], answers_for_all: bool) -> Vec<Step> {
        let address = self.address;
        if answers_for_all {
            return self.takes(now, Some(Notice::AnswersForEvery { address, mac }));
        }
        let used = self.consent;
        let notice = Some(Notice::Taken { address, mac, used });
        if used {
            return self.takes(now, notice);
        }
        self.state = State::Refused { next: now + AGAIN };
        self.says(notice)
    }

    /// An ARP packet has come in.
    pub fn arp(&mut self, now: Duration, packet: &[u8]) -> Vec<Step> {
        let Some(arp) = arp(packet).filter(|arp| !self.own_macs.contains(&arp.mac)) else { return Vec::new() };
        let has = arp.sender == self.address;
        // Somebody else asks for it at the same time (RFC 5227 2.1.1).
        let wants = arp.sender.is_unspecified() && arp.target == self.address && !arp.reply;
        let (mac, address) = (arp.mac, self.address);
        match &mut self.state {
            State::Probing { .. } if has || wants => {
                self.state = State::Doubting { mac, heard: Vec::new(), until: now + PAUSE };
                self.controls.iter().map(|control| Step::Probe(arp_probe(self.mac, *control))).collect()
            }
            State::Doubting { mac: doubted, heard, .. } if *doubted == mac => {
                if self.controls.contains(&arp.sender) && !heard.contains(&arp.sender) {
                    heard.push(arp.sender);
                }
                Vec::new()
            }
            State::Using { since, .. } if has => {
                let late = now.saturating_sub(*since) > TOLD_ALONE;
                let notice = Notice::Taken { address, mac, used: late || self.consent };
                if late
                    || self.consent
                    || matches!(self.told, Some(Notice::AnswersForEvery { mac: known, .. }) if known == mac)
                {
                    let known = self.told.is_some();
                    return if known { Vec::new() } else { self.says(Some(notice)) };
                }
                // It is asked again, so that one who answers for all is known as that.
                self.state = State::Doubting { mac, heard: Vec::new(), until: now + PAUSE };
                let controls = self.controls.iter().map(|control| Step::Probe(arp_probe(self.mac, *control)));
                [Step::Drop].into_iter().chain(controls).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Two addresses of the same network that nobody is known to have.
fn controls(prefix: u8, own: Ipv4Addr, known: &[Ipv4Addr], random: &mut dyn FnMut() -> u32) -> Vec<Ipv4Addr> {
    // A network of few addresses, or of one, is part of a larger one as far as others are concerned.
    let hosts = u32::MAX >> prefix.clamp(16, 24);
    let mut found: Vec<Ipv4Addr> = Vec::new();
    for _ in 0..16 {
        let host = random() & hosts;
        let ip = Ipv4Addr::from(u32::from(own) & !hosts | host);
        let is_free = host != 0 && host != hosts && ip != own && !known.contains(&ip) && !found.contains(&ip);
        if is_free && found.len() < 2 {
            found.push(ip);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn watch(consent: bool) -> Watch {
        let mut state = 7u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        Watch::new(OWN, Address { ip: IP.into(), prefix: 24 }, IP, &[[192, 0, 2, 1].into()], consent, &mut random)
    }

    /// A reply of somebody who has an address.
    fn reply(mac: [u8; 6], ip: Ipv4Addr) -> Vec<u8> {
        [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac, &ip.octets(), &OWN, &[0; 4]].concat()
    }

    fn probed(step: &Step) -> Option<Ipv4Addr> {
        match step {
            Step::Probe(packet) => arp(packet).map(|arp| arp.target),
            _ => None,
        }
    }

    /// What is done until then, with its time.
    fn run(watch: &mut Watch, until: Duration) -> Vec<(u64, Step)> {
        let mut all = Vec::new();
        while let Some(now) = watch.wake().filter(|now| *now <= until) {
            all.extend(watch.time(now).into_iter().map(|step| (now.as_millis() as u64, step)));
        }
        all
    }

    #[test]
    fn a_free_address_is_used_after_a_fifth_of_a_second_and_tried_again() {
        let mut watch = watch(false);
        assert_eq!(watch.wake(), None);
        watch.link_up(ms(1000));
        let steps = run(&mut watch, ms(60_000));
        let times: Vec<u64> = steps.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, [1000, 1100, 1200, 2200, 4200]);
        assert_eq!(steps[2].1, Step::Use);
        assert!(steps.iter().all(|(_, step)| *step == Step::Use || probed(step) == Some(IP)));
        assert_eq!(watch.wake(), None);
    }

    #[test]
    fn a_twin_keeps_the_address_until_it_goes() {
        let mut watch = watch(false);
        watch.link_up(ms(0));
        run(&mut watch, ms(50));
        let doubts = watch.arp(ms(60), &reply(OTHER, IP));
        let asked: Vec<_> = doubts.iter().filter_map(probed).collect();
        assert!(asked.len() == 2 && !asked.contains(&IP) && !asked.contains(&Ipv4Addr::new(192, 0, 2, 1)), "{asked:?}");
        // One answer may be a machine's own.
        watch.arp(ms(70), &reply(OTHER, asked[0]));
        let taken = Notice::Taken { address: IP, mac: OTHER, used: false };
        assert_eq!(run(&mut watch, ms(200)), [(160, Step::Say(taken))]);
        // It is still there, which is not said again; then it is gone.
        run(&mut watch, ms(10_160));
        watch.arp(ms(10_170), &reply(OTHER, IP));
        assert_eq!(run(&mut watch, ms(10_300)), []);
        assert!(run(&mut watch, ms(20_500)).iter().any(|(_, step)| *step == Step::Use));
        assert!(watch.is_used());
    }

    #[test]
    fn one_who_answers_for_all_is_no_twin() {
        let mut watch = watch(false);
        watch.link_up(ms(0));
        run(&mut watch, ms(50));
        let asked: Vec<_> = watch.arp(ms(60), &reply(OTHER, IP)).iter().filter_map(probed).collect();
        for ip in asked {
            watch.arp(ms(70), &reply(OTHER, ip));
        }
        let says = Notice::AnswersForEvery { address: IP, mac: OTHER };
        assert_eq!(run(&mut watch, ms(60_000)), [(160, Step::Say(says)), (160, Step::Use)]);
        assert_eq!(watch.arp(ms(60_100), &reply(OTHER, IP)), []);
    }

    #[test]
    fn with_consent_it_is_used_and_said() {
        let mut watch = watch(true);
        watch.link_up(ms(0));
        run(&mut watch, ms(50));
        watch.arp(ms(60), &reply(OTHER, IP));
        let says = Notice::Taken { address: IP, mac: OTHER, used: true };
        assert_eq!(run(&mut watch, ms(60_000)), [(160, Step::Say(says)), (160, Step::Use)]);
        assert_eq!(watch.arp(ms(60_100), &reply(OTHER, IP)), []);
    }

    /// The first probes were lost on a port that was deaf.
    #[test]
    fn a_twin_that_is_heard_late_gets_its_address_back() {
        let mut watch = watch(false);
        watch.link_up(ms(0));
        run(&mut watch, ms(1500));
        let steps = watch.arp(ms(1600), &reply(OTHER, IP));
        assert_eq!(steps[0], Step::Drop);
        let taken = Notice::Taken { address: IP, mac: OTHER, used: false };
        assert_eq!(run(&mut watch, ms(1800)), [(1700, Step::Say(taken))]);
        assert!(!watch.is_used());
        // One that comes later is told alone.
        let mut later = self::watch(false);
        later.link_up(ms(0));
        run(&mut later, ms(9000));
        let told = Notice::Taken { address: IP, mac: OTHER, used: true };
        assert_eq!(later.arp(ms(9000), &reply(OTHER, IP)), [Step::Say(told)]);
        assert_eq!(later.arp(ms(9001), &reply(OTHER, IP)), []);
        assert!(later.is_used());
    }

    #[test]
    fn own_interfaces_and_others_addresses_are_no_twins() {
        let mut watch = watch(false);
        watch.owns(OTHER);
        watch.link_up(ms(0));
        run(&mut watch, ms(50));
        assert_eq!(watch.arp(ms(60), &reply(OTHER, IP)), []);
        assert_eq!(watch.arp(ms(60), &reply([2, 0, 0, 0, 0, 7], [192, 0, 2, 8].into())), []);
        assert_eq!(watch.arp(ms(60), &[0; 28]), []);
        // Somebody who asks for it at the same time wants it too.
        assert_eq!(watch.arp(ms(70), &arp_probe([2, 0, 0, 0, 0, 7], IP)).len(), 2);
    }
}
