//! Devices as they come and go: one walk of sysfs, then kernel events, under one deadline. No polling, no settle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::attempt::{Avoided, Stays, Watchdog, fault};
use crate::console::Keys;
use crate::env::Env;
use crate::facts::{Device, Drivers, Moment, PATIENCE, Pending, View};
use crate::probe::uevent::{Received, Socket};
use crate::probe::{block, links};

/// Something happened.
enum Event {
    /// A block device appeared, changed or went.
    Block { name: String, gone: bool },
    /// A device was looked at, for the `look`th time that one was begun; `None` if it had gone.
    Probed { name: String, look: u64, device: Option<Box<Device>> },
    /// udev has given names.
    Named,
    /// Events were lost: walk sysfs again.
    Lost,
    /// Somebody else finished something worth a new look.
    Nudge,
    /// A person wants to wait no longer.
    Key,
}

/// What the native personality adds: it loads the drivers that devices ask for.
pub struct Hardware {
    /// Called with each modalias as its device appears.
    pub announce: Box<dyn Fn(&str) + Send>,
    /// How far the drivers are that were asked for.
    pub drivers: Box<dyn Fn() -> Drivers>,
}

/// A way to wake the watch from another thread.
#[derive(Clone)]
pub struct Nudge(Sender<Event>);

impl Nudge {
    /// Wakes the watch.
    pub fn nudge(&self) {
        // The watch may have ended; then nobody needs waking.
        let _ = self.0.send(Event::Nudge);
    }
}

/// How often a device was looked at. Of two looks that go on side by side the first may answer last, and a mapped device had no size in it
/// yet.
struct Looks {
    name: String,
    begun: u64,
    /// The look that told what is known, or the last one that was begun before the device went.
    told: u64,
}

/// The devices known so far, and a channel of news.
pub struct Watch {
    env: Env,
    sender: Sender<Event>,
    news: Receiver<Event>,
    devices: BTreeMap<String, Device>,
    first_seen: BTreeMap<String, Instant>,
    /// Devices that are being looked at, and since when.
    pending: BTreeMap<String, Instant>,
    // One more map would be 5 kB of program, and devices are few.
    looks: Vec<Looks>,
    drivers: Option<Box<dyn Fn() -> Drivers>>,
    avoided: Vec<Avoided>,
    /// Paths of devices that were asked for; what they lead to is looked at again when udev has given names.
    asked: Vec<PathBuf>,
    /// udev has given names that were not looked at.
    named: bool,
    keys: Option<Keys>,
    key: bool,
    /// Hears of the waits for news.
    pub watchdog: Watchdog,
    begin: Instant,
    last_news: Instant,
}

impl Stays for Watch {
    fn is_waiting(&self) -> bool {
        self.pending.keys().any(|name| !self.is_given_up(name))
    }

    fn stay(mut self) {
        while self.is_waiting() {
            self.wait(self.begin.elapsed() + Duration::from_secs(3600));
        }
    }
}

impl Watch {
    /// A watch that knows nothing yet.
    pub fn new(env: &Env) -> Self {
        let (sender, news) = channel();
        Self {
            env: env.clone(),
            sender,
            news,
            devices: BTreeMap::new(),
            first_seen: BTreeMap::new(),
            pending: BTreeMap::new(),
            looks: Vec::new(),
            drivers: None,
            avoided: Vec::new(),
            asked: Vec::new(),
            named: false,
            keys: None,
            key: false,
            watchdog: Watchdog::default(),
            begin: Instant::now(),
            last_news: Instant::now(),
        }
    }

    /// Begins to listen, then walks sysfs once; in this order nothing falls between. `hardware` is told about every
    /// device that wants a driver.
    pub fn listen(&mut self, socket: Socket, hardware: Option<Hardware>) {
        let sender = self.sender.clone();
        let announce = hardware.map(|hardware| {
            self.drivers = Some(hardware.drivers);
            hardware.announce
        });
        thread::spawn(move || forward(&socket, &sender, announce.as_deref()));
        self.walk();
    }

    /// A handle for other threads.
    pub fn nudge(&self) -> Nudge {
        Nudge(self.sender.clone())
    }

    /// What is known now.
    pub fn view(&self) -> View {
        let since = |at: Instant| at.saturating_duration_since(self.begin);
        let pending = self.pending.iter();
        View {
            now: self.begin.elapsed(),
            devices: self.devices.values().cloned().collect(),
            known: self.first_seen.iter().map(|(name, at)| (name.clone(), since(*at))).collect(),
            pending: pending
                .map(|(name, at)| Pending { name: name.clone(), since: since(*at), given_up: self.is_given_up(name) })
                .collect(),
            drivers: self.drivers.as_ref().map(|drivers| drivers()).unwrap_or_default(),
            // It keeps this file while it has events to work on.
            udev: self.env.path("run/udev/queue").exists(),
            last_news: since(self.last_news),
            key: self.key,
        }
    }

    /// Disks that are not looked at, and what lies on them: they have hung before.
    pub fn avoid(&mut self, devices: Vec<Avoided>) {
        self.avoided = devices;
    }

    /// Paths of devices that were asked for.
    pub fn ask(&mut self, paths: Vec<PathBuf>) {
        self.asked = paths;
    }

    /// Listens for a key that ends the wait, or does not any more; true if there is somebody to press one.
    pub fn hear_key(&mut self, on: bool) -> bool {
        self.keys = self.keys.take().filter(|_| on);
        if on && self.keys.is_none() {
            let sender = self.sender.clone();
            self.key = false;
            self.keys = Keys::listen(&self.env, move || drop(sender.send(Event::Key)));
        }
        self.keys.is_some()
    }

    /// Whether nobody waits for this device: it has hung before, or looking at it has failed.
    fn is_given_up(&self, name: &str) -> bool {
        fault::has_failed(name) || self.is_avoided(name)
    }

    fn is_avoided(&self, name: &str) -> bool {
        let is = |avoided: &Avoided| block::belongs_to(&self.env, name, &avoided.name, avoided.sequence);
        self.avoided.iter().any(is)
    }

    /// Waits for news, at most until `until`; false when the time is over.
    pub fn wait(&mut self, until: Moment) -> bool {
        let left = until.saturating_sub(self.begin.elapsed());
        let _waiting = self.watchdog.waiting();
        match self.news.recv_timeout(left) {
            Ok(event) => {
                self.take(event);
                // What else is there already costs no waiting and saves looking at half the news.
                while let Ok(event) = self.news.try_recv() {
                    self.take(event);
                }
                if std::mem::take(&mut self.named) {
                    self.name();
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            // Cannot happen while `self.sender` lives; treated as time over rather than a busy loop.
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Block { name, gone: true } => {
                self.pending.remove(&name);
                self.forget(&name);
                let looks = self.looks_at(&name);
                looks.told = looks.begun;
                self.last_news = Instant::now();
            }
            Event::Block { name, gone: false } => {
                self.last_news = Instant::now();
                self.probe(name);
            }
            Event::Probed { name, look, device } => {
                let looks = self.looks_at(&name);
                let (is_last, is_old) = (looks.begun == look, looks.told >= look);
                looks.told = looks.told.max(look);
                if is_last {
                    self.pending.remove(&name);
                }
                self.last_news = Instant::now();
                if is_old {
                    return;
                }
                match device {
                    Some(device) => {
                        log::debug!("seen: {}", device.summary());
                        self.first_seen.entry(name.clone()).or_insert_with(Instant::now);
                        self.devices.insert(name, *device);
                        self.resolve();
                    }
                    None => self.forget(&name),
                }
            }
            // Once, however many it has worked on.
            Event::Named => self.named = true,
            Event::Lost => self.walk(),
            Event::Nudge => {}
            Event::Key => self.key = true,
        }
    }

    /// Takes the names that udev has given since.
    fn name(&mut self) {
        let given = links::given(&self.env);
        for device in self.devices.values_mut() {
            // What is built from sysfs was looked at beside the device.
            if let Some(links) = given.get(&device.name) {
                device.links.clone_from(links);
            }
        }
        self.resolve();
    }

    /// Finds out which devices the paths lead to that were asked for.
    fn resolve(&mut self) {
        for path in &self.asked {
            let target = links::target(&self.env, path);
            for device in self.devices.values_mut() {
                let is = target.as_ref() == Some(&device.name);
                let known = device.paths.contains(path);
                if is && !known {
                    device.paths.push(path.clone());
                } else if known && !is && target.is_some() {
                    // It leads elsewhere now.
                    device.paths.retain(|known| known != path);
                }
            }
        }
    }

    fn forget(&mut self, name: &str) {
        self.devices.remove(name);
        self.first_seen.remove(name);
    }

    fn walk(&mut self) {
        for name in block::names(&self.env) {
            self.probe(name);
        }
    }

    /// Looks at a device on a thread of its own: a drive that hangs must not hold up the others.
    fn probe(&mut self, name: String) {
        if !block::is_candidate(&name) || block::is_unused_loop(&self.env, &name) {
            return;
        }
        let look = self.begin_look(&name);
        if self.is_avoided(&name) {
            return;
        }
        let (env, sender, probed) = (self.env.clone(), self.sender.clone(), name.clone());
        let started = thread::Builder::new().name(fault::probe_of(&name)).spawn(move || {
            let device = block::device(&env, &probed).map(Box::new);
            let _ = sender.send(Event::Probed { name: probed, look, device });
        });
        if let Err(error) = started {
            // It stays unanswered, as a device that hangs.
            log::error!("looking at /dev/{name}: {error}");
        }
    }

    /// Notes that a look at a device begins; returns its number.
    fn begin_look(&mut self, name: &str) -> u64 {
        // A device that is plugged in a second time while the first look hangs gets no new patience.
        self.pending.entry(name.to_owned()).or_insert_with(Instant::now);
        let looks = self.looks_at(name);
        looks.begun += 1;
        looks.begun
    }

    fn looks_at(&mut self, name: &str) -> &mut Looks {
        let known = self.looks.iter().position(|looks| looks.name == name).unwrap_or(self.looks.len());
        if known == self.looks.len() {
            self.looks.push(Looks { name: name.to_owned(), begun: 0, told: 0 });
        }
        &mut self.looks[known]
    }
}

/// One line for each device that holds something, and for each that does not answer in time; with the watch that has looked.
pub fn summaries(env: &Env) -> (Vec<String>, Watch) {
    let mut watch = Watch::new(env);
    watch.walk();
    let until = watch.begin.elapsed() + PATIENCE;
    while !watch.pending.is_empty() && watch.wait(until) {}
    let devices = watch.devices.values().filter(|device| device.size > 0).map(Device::summary);
    let silent = watch.pending.keys().map(|name| format!("/dev/{name} does not answer"));
    (devices.chain(silent).collect(), watch)
}

fn forward(socket: &Socket, sender: &Sender<Event>, announce: Option<&(dyn Fn(&str) + Send)>) {
    loop {
        let sent = match socket.next() {
            Ok(Received::Event(event)) => {
                if let (Some(announce), Some(modalias), "add") = (announce, &event.modalias, event.action.as_str()) {
                    announce(modalias);
                }
                if event.subsystem != "block" {
                    continue;
                }
                let gone = event.action == "remove";
                sender.send(Event::Block { name: event.name().to_owned(), gone })
            }
            Ok(Received::Named) => sender.send(Event::Named),
            Ok(Received::Lost) => sender.send(Event::Lost),
            Ok(Received::Other) => continue,
            Err(error) => {
                log::warn!("kernel events: {error}, devices that appear from now on are not seen");
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_looks_the_one_counts_that_was_begun_last() {
        let dir = tempfile::tempdir().unwrap();
        let seen = |look: u64, size: Option<u64>| {
            let device = size.map(|size| Box::new(Device { name: "dm-0".into(), size, ..Device::default() }));
            Event::Probed { name: "dm-0".into(), look, device }
        };
        let gone = || Event::Block { name: "dm-0".into(), gone: true };
        for (what, news, size, pending) in [
            ("in their order", vec![seen(1, Some(0)), seen(2, Some(9))], Some(9), false),
            ("the first has answered", vec![seen(1, Some(0))], Some(0), true),
            ("the last has answered", vec![seen(2, Some(9))], Some(9), false),
            ("the first answers last", vec![seen(2, Some(9)), seen(1, Some(0))], Some(9), false),
            ("it had gone in the first", vec![seen(2, Some(9)), seen(1, None)], Some(9), false),
            ("it has gone since", vec![gone(), seen(1, Some(9)), seen(2, Some(9))], None, false),
        ] {
            let mut watch = Watch::new(&Env::new(dir.path()));
            assert_eq!([watch.begin_look("dm-0"), watch.begin_look("dm-0")], [1, 2]);
            news.into_iter().for_each(|event| watch.take(event));
            let view = watch.view();
            let found = view.devices.first().map(|device| device.size);
            assert_eq!((found, !view.pending.is_empty()), (size, pending), "{what}");
        }
    }
}
