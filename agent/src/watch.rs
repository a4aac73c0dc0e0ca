//! Devices as they come and go: one walk of sysfs, then kernel events, under one deadline. No polling, no settle.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::facts::Device;
use crate::probe::block;
use crate::probe::uevent::{Received, Socket};

/// How long a device may take to answer before the others go on without it: a drive that spins up, or reads a scratched
/// disc again and again, needs some seconds; a dying one may need minutes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Something happened.
enum Event {
    /// A block device appeared, changed or went.
    Block { name: String, gone: bool },
    /// A device was looked at; `None` if it had gone.
    Probed { name: String, device: Option<Box<Device>> },
    /// Events were lost: walk sysfs again.
    Lost,
    /// Somebody else finished something worth a new look.
    Nudge,
}

/// What the native personality adds: it loads the drivers that devices ask for.
pub struct Hardware {
    /// Called with each modalias as its device appears.
    pub announce: Box<dyn Fn(&str) + Send>,
    /// Whether all announced drivers are loaded.
    pub idle: Box<dyn Fn() -> bool>,
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

/// The devices known so far, and a channel of news.
pub struct Watch {
    env: Env,
    sender: Sender<Event>,
    news: Receiver<Event>,
    devices: BTreeMap<String, Device>,
    first_seen: BTreeMap<String, Instant>,
    /// Devices that are being looked at, and since when.
    pending: BTreeMap<String, Instant>,
    idle: Option<Box<dyn Fn() -> bool>>,
    begin: Instant,
    last_news: Instant,
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
            idle: None,
            begin: Instant::now(),
            last_news: Instant::now(),
        }
    }

    /// When the watch was made: deadlines count from here.
    pub fn begin(&self) -> Instant {
        self.begin
    }

    /// Begins to listen, then walks sysfs once; in this order nothing falls between. `hardware` is told about every
    /// device that wants a driver.
    pub fn listen(&mut self, socket: Socket, hardware: Option<Hardware>) {
        let sender = self.sender.clone();
        let announce = hardware.map(|hardware| {
            self.idle = Some(hardware.idle);
            hardware.announce
        });
        thread::spawn(move || forward(&socket, &sender, announce.as_deref()));
        self.walk();
    }

    /// A handle for other threads.
    pub fn nudge(&self) -> Nudge {
        Nudge(self.sender.clone())
    }

    /// Devices that have been looked at.
    pub fn devices(&self) -> Vec<Device> {
        self.devices.values().cloned().collect()
    }

    /// One device.
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// How long a device has been known.
    pub fn known_for(&self, name: &str) -> Duration {
        self.first_seen.get(name).map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Whether nothing is on its way: every device seen was looked at or has had [`PATIENCE`], and every driver
    /// asked for is loaded.
    pub fn quiet(&self) -> bool {
        let waited_for = self.pending.values().any(|since| since.elapsed() < PATIENCE);
        !waited_for && self.idle.as_ref().is_none_or(|idle| idle())
    }

    /// Kernel names of devices that have been looked at for so long and have not answered yet.
    pub fn unanswered(&self, at_least: Duration) -> Vec<String> {
        let asked = self.pending.iter().filter(|(_, since)| since.elapsed() >= at_least);
        asked.map(|(name, _)| name.clone()).collect()
    }

    /// How long nothing has happened.
    pub fn silence(&self) -> Duration {
        self.last_news.elapsed()
    }

    /// Waits for news, at most until `until`; false when the time is over.
    pub fn wait(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        match self.news.recv_timeout(left) {
            Ok(event) => {
                self.take(event);
                // What else is there already costs no waiting and saves looking at half the news.
                while let Ok(event) = self.news.try_recv() {
                    self.take(event);
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
                self.last_news = Instant::now();
            }
            Event::Block { name, gone: false } => {
                self.last_news = Instant::now();
                self.probe(name);
            }
            Event::Probed { name, device } => {
                self.pending.remove(&name);
                self.last_news = Instant::now();
                match device {
                    Some(device) => {
                        log::debug!("seen: {}", device.summary());
                        self.first_seen.entry(name.clone()).or_insert_with(Instant::now);
                        self.devices.insert(name, *device);
                    }
                    None => self.forget(&name),
                }
            }
            Event::Lost => self.walk(),
            Event::Nudge => {}
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
        // A device that is plugged in a second time while the first look hangs gets no new patience.
        self.pending.entry(name.clone()).or_insert_with(Instant::now);
        let (env, sender) = (self.env.clone(), self.sender.clone());
        thread::spawn(move || {
            let device = block::device(&env, &name).map(Box::new);
            let _ = sender.send(Event::Probed { name, device });
        });
    }
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
