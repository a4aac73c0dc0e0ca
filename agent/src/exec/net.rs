//! The network: brought up with a word about what is waited for, and let go.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rdlive_net::attach::{Attached, Card, Leave, News};
use rdlive_net::grammar::{Names, Wish};
use rdlive_net::link::Failure;

use super::apply::Executor;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::Provider;
use crate::kmsg;
use crate::plan::act::{Kept, NetAct};
use crate::plan::kept_net::{self, Handed};
use crate::probe::cards::{self, Lack};
use crate::random;

/// How long a person waits without a word, and then for the next one.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(3);
pub(super) const NEXT_WORD: Duration = Duration::from_secs(5);
/// How long an interface that is named may take to appear before that is told (network-field.md kind 5).
pub(super) const MISSING: Duration = Duration::from_secs(10);
/// After so long without a link it is told which cards lack a driver or firmware (network-field.md kind 1).
pub(super) const LACKING: Duration = Duration::from_secs(5);

impl Executor<'_> {
    pub(super) fn net_act(&mut self, act: &NetAct) -> Result<(), Stop> {
        match act {
            NetAct::Up { wish, patience, follow } => self.net_up(wish, *patience, *follow),
            NetAct::Fetch { how, to, reserve, patience, .. } => self.fetch(how, to, *reserve, *patience),
            NetAct::Aoe { node, wish, patience, follow } => self.aoe(node, wish, *patience, *follow),
            NetAct::Nfs { share, at, patience } => self.nfs(share, at, *patience),
            NetAct::Close { device } => self.close_image(device),
            NetAct::Down(kept) => {
                let Some(attached) = self.net.take() else { return Ok(()) };
                match kept {
                    Kept::ForSystem => self.keep(attached),
                    Kept::ByProvider => drop(attached.end(Leave::ToOthers)),
                    Kept::Nothing => drop(attached.end(Leave::Clean)),
                }
                Ok(())
            }
        }
    }

    fn net_up(&mut self, wish: &Wish, patience: Duration, mut follow: Option<Provider>) -> Result<(), Stop> {
        // Its limit is its own, so it is no hang.
        let _waiting = self.watchdog.waiting();
        let begin = if follow.is_some() { Attached::follow } else { Attached::begin };
        let mut attached = begin(wish.clone(), self.env.root()).map_err(no_netlink)?;
        let (begun, mut told) = (Instant::now(), Heard::default());
        let mut next = FIRST_WORD;
        loop {
            let waited = begun.elapsed();
            let due = if waited < LACKING { next.min(LACKING) } else { next };
            let left = due.min(patience).saturating_sub(waited);
            told.hear(self.env, attached.wait(left));
            let there = There::of(&attached);
            if there.cards.iter().any(|card| !card.addresses.is_empty()) {
                self.net = Some(attached);
                return Ok(());
            }
            let waited = begun.elapsed();
            if waited >= patience {
                return Err(down(wish, &there, &told, (waited, follow), &cards::lacks(self.env)));
            }
            if waited >= LACKING {
                told.lacks(self.env, &there);
            }
            if let Some(provider) = follow.filter(|provider| waited >= MISSING && !is_running(self.env, *provider)) {
                kmsg::tell(self.env, &format!("network: {provider} does not run, so rdlive's own client brings it up"));
                attached = Attached::begin(wish.clone(), self.env.root()).map_err(no_netlink)?;
                follow = None;
                continue;
            }
            if waited >= next {
                let state = told.states(wish, &there, waited).join("; ");
                let whose = follow.map_or_else(String::new, |provider| format!(" by {provider}"));
                let (waited, all) = (waited.as_secs(), patience.as_secs());
                kmsg::tell(self.env, &format!("waiting for an address{whose}, {waited} s of {all}: {state}"));
                self.watchdog.said();
                next += NEXT_WORD;
            }
        }
    }

    /// Leaves the network to the live system as it is, and tells the programs there that have it so (network.md 4.7).
    pub(super) fn keep(&mut self, attached: Attached) {
        let cards = attached.end(Leave::AsItIs);
        self.leases(kept_net::leases(&cards));
        // A NetworkManager of the initrd hands its own on, by profiles that it was given, and what it writes when it ends.
        let managed = fs::read_dir(self.env.path(kept_net::PROFILES)).is_ok_and(|mut entries| entries.next().is_some());
        let uuid = || random::uuid_v4(self.env);
        let written = kept_net::files(&cards, managed, uuid).and_then(|files| {
            files.iter().try_for_each(|file| hand(self.env, file))?;
            Ok(files.len())
        });
        match written {
            Ok(0) => log::info!("network: the links stay up, without addresses"),
            Ok(count) => log::info!("network: it stays as it is; {count} files below /run say so"),
            Err(error) => log::warn!("network: what the live system has to know of it cannot be written: {error}"),
        }
        let name = cards.iter().find_map(|card| card.hostname.as_ref());
        if let Some(name) = name.filter(|_| is_nameless(self.env)) {
            match fs::write(self.env.path(HOSTNAME), name.for_kernel()) {
                Ok(()) => log::info!("network: this machine is {name}"),
                Err(error) => log::warn!("network: this machine is {name}: {error}"),
            }
        }
    }

    /// Logs what the network has told meanwhile.
    pub(super) fn net_news(&self) {
        let news = self.net.iter().flat_map(|attached| attached.wait(Duration::ZERO));
        Heard::default().hear(self.env, news);
    }
}

/// Writes a file for the live system.
fn hand(env: &Env, file: &Handed) -> io::Result<()> {
    let path = env.path(&file.path);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(&path, &file.text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
}

/// The kernel's name of this machine. systemd takes it where the image names none.
const HOSTNAME: &str = "proc/sys/kernel/hostname";

fn is_nameless(env: &Env) -> bool {
    let name = env.text(HOSTNAME).unwrap_or_default();
    ["", "(none)", "localhost", "localhost.localdomain"].contains(&name.trim_end())
}

pub(super) fn no_netlink(failure: Failure) -> Stop {
    Stop::new(Code::NetworkDown, failure.to_string()).advice("see dmesg")
}

/// Whether a program that brings the network up is there. A script is not, once its work is done: it had its time.
fn is_running(env: &Env, provider: Provider) -> bool {
    let entries = fs::read_dir(env.path("proc")).into_iter().flatten().flatten();
    let is_it = |entry: fs::DirEntry| {
        fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim_end() == provider.process())
    };
    entries.into_iter().any(is_it)
}

/// The interfaces that are there: those that are brought up, and those that nobody has asked for.
#[derive(Debug, Default)]
pub(super) struct There {
    pub cards: Vec<Card>,
    pub idle: Vec<Card>,
}

impl There {
    pub(super) fn of(attached: &Attached) -> Self {
        Self { cards: attached.cards(), idle: attached.idle() }
    }

    fn has_link(&self) -> bool {
        self.cards.iter().chain(&self.idle).any(|card| card.carrier)
    }

    fn is_empty(&self) -> bool {
        self.cards.is_empty() && self.idle.is_empty()
    }
}

/// What to say of cards that do not work, where no interface has a link: one that has would do without them.
fn lines(lacks: &[Lack], there: &There) -> Vec<String> {
    if there.has_link() { Vec::new() } else { lacks.iter().map(ToString::to_string).collect() }
}

/// The last word about each interface.
#[derive(Debug, Default)]
pub(super) struct Heard {
    words: Vec<(String, String)>,
    /// What cards lack was looked for.
    looked: bool,
    /// Another machine has an address of the command line.
    twin: bool,
}

impl Heard {
    /// Takes in what has happened, and shows a person what is done in another way than was asked for.
    pub(super) fn hear(&mut self, env: &Env, all: impl IntoIterator<Item = News>) {
        for news in all {
            match news.is_warning() {
                true => kmsg::fall_back(env, &format!("network: {news}")),
                false => log::info!("network: {news}"),
            }
            self.take(news);
        }
    }

    /// Says once which cards lack a driver or firmware, if no interface has a link.
    pub(super) fn lacks(&mut self, env: &Env, there: &There) {
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        let lines = lines(&cards::lacks(env), there);
        if !lines.is_empty() {
            let why =
                if there.is_empty() { "no network interface is there" } else { "no network interface has a link" };
            kmsg::tell(env, &format!("network: {why}: {}", lines.join("; ")));
        }
    }

    fn take(&mut self, news: News) {
        let (name, what) = match &news {
            News::Notice { name, notice } => {
                self.twin |= notice.is_twin();
                (name, notice.to_string())
            }
            News::Failed { name, failure } => (name, failure.to_string()),
            News::Deaf { name, error } => (name, format!("nothing can be received: {error}")),
            News::Lost { name, why } => (name, format!("the address is gone: {why}")),
            News::Found { .. }
            | News::StandIn { .. }
            | News::Released { .. }
            | News::Carrier { .. }
            | News::Address { .. } => return,
        };
        let name = name.clone();
        self.words.retain(|(known, _)| *known != name);
        self.words.push((name, what));
    }

    /// How each interface is, and which that are named are not there.
    pub(super) fn states(&self, wish: &Wish, there: &There, waited: Duration) -> Vec<String> {
        let state = |card: &Card| {
            let word = self.words.iter().find(|(name, _)| *name == card.name).map(|(_, what)| what.as_str());
            let link = match (card.up, card.carrier) {
                (_, true) => "link up, no answer yet",
                (true, false) => "no link: is the cable plugged in?",
                (false, false) => "not set up yet",
            };
            let driver = card.driver.as_ref().map(|driver| format!(" ({driver})")).unwrap_or_default();
            format!("{}{driver}: {}", card.name, word.filter(|_| card.carrier).unwrap_or(link))
        };
        let mut states: Vec<String> = there.cards.iter().map(state).collect();
        if waited >= MISSING {
            let present: Vec<Names<'_>> = there.cards.iter().chain(&there.idle).map(Card::names).collect();
            let missing: Vec<String> = wish.missing(&present).map(|name| format!("{name} is not there")).collect();
            if !missing.is_empty() && !there.idle.is_empty() {
                let idle: Vec<String> = there.idle.iter().map(ToString::to_string).collect();
                states.push(format!("{}, but {}", missing.join(", "), idle.join(", ")));
            } else {
                states.extend(missing);
            }
        }
        if states.is_empty() {
            states.push("no network interface is there".to_owned());
        }
        states
    }
}

fn down(
    wish: &Wish,
    there: &There,
    told: &Heard,
    (waited, follow): (Duration, Option<Provider>),
    lacks: &[Lack],
) -> Stop {
    let advice = match there.cards.as_slice() {
        _ if follow == Some(Provider::NetworkManager) => "see journalctl -u nm-initrd -u NetworkManager",
        _ if !lacks.is_empty() && !there.has_link() => {
            "build the initramfs with that driver (--add-module NAME), from a tree that has its firmware"
        }
        _ if follow == Some(Provider::Networkd) => "see journalctl -u systemd-networkd, and networkctl",
        [] if !there.idle.is_empty() => "correct the interface in ip=: one of these names, or its hardware address",
        [] => "add the driver of the network card to the initrd (--add-module NAME), or correct the interface in ip=",
        _ if told.twin => "switch the other machine off, give this one another address, or rd.live.net.conflict=use",
        cards if cards.iter().all(|card| !card.carrier) => "plug the cable in, or name another interface with ip=",
        _ => "start the DHCP server, or give an address: ip=<address>::<router>:<mask>::<interface>:none",
    };
    let cause = format!("no network interface got an address in {} s", waited.as_secs());
    let mut found = told.states(wish, there, waited.max(MISSING));
    found.extend(lines(lacks, there));
    Stop::new(Code::NetworkDown, cause).found(found).advice(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdlive_net::grammar::Word;

    fn card(name: &str, carrier: bool) -> Card {
        Card { name: name.into(), driver: Some("e1000".into()), up: true, carrier, ..Card::default() }
    }

    #[test]
    fn k1_cards_that_lack_something_are_told_of_only_where_nothing_has_a_link() {
        let lack = Lack::Firmware { file: "x.fw".into(), at: "0000:03:00.0".into() };
        let there = |cards| There { cards, idle: vec![] };
        let of = |cards| lines(std::slice::from_ref(&lack), &there(cards));
        assert_eq!(of(vec![card("eth0", false)]), ["no firmware x.fw for 0000:03:00.0"]);
        assert_eq!(of(vec![]), ["no firmware x.fw for 0000:03:00.0"]);
        assert!(of(vec![card("eth0", false), card("eth1", true)]).is_empty());
    }

    #[test]
    fn who_waits_is_told_for_what_and_what_to_do() {
        let (wish, _) = Wish::parse([Word { key: "ip", value: Some("eth5:dhcp") }]);
        let any = Wish::default();
        let told = Heard::default();
        let long = Duration::from_secs(180);
        for (wish, cards, expected, advice) in [
            (&any, vec![], "no network interface is there", "--add-module"),
            (&any, vec![card("eth0", false)], "eth0 (e1000): no link: is the cable plugged in?", "plug the cable in"),
            (
                &any,
                vec![Card { up: false, ..card("eth0", false) }],
                "eth0 (e1000): not set up yet",
                "plug the cable in",
            ),
            (&any, vec![card("eth0", true)], "eth0 (e1000): link up, no answer yet", "DHCP server"),
            (&wish, vec![], "eth5 is not there", "correct the interface in ip="),
        ] {
            let there = There { cards, idle: vec![] };
            let stop = down(wish, &there, &told, (long, None), &[]);
            assert!(stop.lines().iter().any(|line| line.contains(expected)), "{expected}: {:?}", stop.lines());
            assert!(stop.with_advice().to_string().contains(advice), "{advice}: {}", stop.with_advice());
            assert_eq!(stop.code, Code::NetworkDown);
        }
        let mut told = Heard::default();
        let notice = rdlive_net::attach::Notice::Taken("2001:db8::9".parse().unwrap());
        told.take(News::Notice { name: "eth0".into(), notice });
        let stop = down(&any, &There { cards: vec![card("eth0", true)], idle: vec![] }, &told, (long, None), &[]);
        assert!(stop.advice.contains("rd.live.net.conflict=use"), "{}", stop.advice);
        assert!(stop.lines().iter().any(|line| line.contains("has 2001:db8::9")), "{:?}", stop.lines());
        // A name that comes late is no reason to worry yet.
        assert_eq!(
            Heard::default().states(&wish, &There::default(), Duration::from_secs(4)),
            ["no network interface is there"]
        );
        let idle = Card { others: vec!["eth0".into()], ..card("ens3", true) };
        let stop = down(&wish, &There { cards: vec![], idle: vec![idle] }, &Heard::default(), (long, None), &[]);
        let lines = stop.lines();
        assert!(
            lines.iter().any(|line| line.contains("eth5 is not there, but ens3 (eth0, e1000, link up)")),
            "{lines:?}"
        );
        assert!(stop.with_advice().to_string().contains("one of these names"), "{}", stop.with_advice());
    }
}
