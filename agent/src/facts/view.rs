//! What is known of the devices at one moment: all that a decision about waiting is made from.

use std::time::Duration;

use super::Device;

/// A moment of the boot, counted from when it began to look at devices.
pub type Moment = Duration;

/// How long a device may take to answer before the others go on without it: a drive that spins up, or reads a scratched
/// disc again and again, needs some seconds; a dying one may need minutes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Silence after which all that is plugged in has been seen, where no identity says which medium is meant.
pub const SILENCE: Duration = Duration::from_millis(100);

/// How long before the deadline what matches is used anyway: a worse medium, or one beside a device that does not answer.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// What a wait has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// News of devices, at most until then.
    Wait(Moment),
    /// Its answer.
    Known(T),
}

/// The devices as they are known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// When this is.
    pub now: Moment,
    /// Devices that have been looked at, by kernel name.
    pub devices: Vec<Device>,
    /// Since when each of them is known, by kernel name.
    pub known: Vec<(String, Moment)>,
    /// Devices that are being looked at.
    pub pending: Vec<Pending>,
    /// How far the drivers are that were asked for.
    pub drivers: Drivers,
    /// udev has events to work on; the native personality has no udev.
    pub udev: bool,
    /// When something happened last.
    pub last_news: Moment,
    /// Somebody who was told of the wait has pressed a key, to end it.
    pub key: bool,
}

/// A device that is being looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Kernel name.
    pub name: String,
    /// Since when.
    pub since: Moment,
    /// Nobody waits for it: it has hung before, or looking at it has failed.
    pub given_up: bool,
}

/// How far drivers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drivers {
    /// One is asked for, or is being loaded and has not had [`PATIENCE`].
    pub busy: bool,
    /// Those that had it and are not loaded: the hardware that they look for does not answer, and behind each there may be a disk that
    /// nobody has seen.
    pub silent: Vec<String>,
}

impl View {
    /// One device.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// How long a device has been known.
    #[must_use]
    pub fn known_for(&self, name: &str) -> Duration {
        let since = self.known.iter().find(|known| known.0 == name).map_or(self.now, |known| known.1);
        self.now.saturating_sub(since)
    }

    /// How long nothing has happened.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.now.saturating_sub(self.last_news)
    }

    /// Whether nothing is on its way: every device seen was looked at or has had [`PATIENCE`], and so has every driver
    /// that was asked for.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let waited_for = |one: &Pending| !one.given_up && self.now.saturating_sub(one.since) < PATIENCE;
        !self.drivers.busy && !self.pending.iter().any(waited_for)
    }

    /// Whether all that is plugged in has been seen, or there is no more time to wait for it.
    #[must_use]
    pub fn is_settled(&self, deadline: Moment) -> bool {
        (self.is_quiet() && self.silence() >= SILENCE) || self.is_last_chance(deadline)
    }

    /// Whether the deadline is so near that what is there must do.
    #[must_use]
    pub fn is_last_chance(&self, deadline: Moment) -> bool {
        self.now + LAST_CHANCE.min(deadline / 2) >= deadline
    }

    /// Kernel names of devices that had their time, or will not get it before the deadline, and have not answered.
    #[must_use]
    pub fn unanswered(&self, deadline: Moment) -> Vec<String> {
        let at_least = if self.is_last_chance(deadline) { Duration::ZERO } else { PATIENCE };
        let asked = |one: &&Pending| one.given_up || self.now.saturating_sub(one.since) >= at_least;
        self.pending.iter().filter(asked).map(|one| one.name.clone()).collect()
    }

    /// Whether no bus is at work, so that nothing comes which nobody plugs in.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_quiet() && !self.udev && self.silence() >= SILENCE
    }

    /// Whether udev is at work, for as long as anything comes of it: a device that does not answer keeps it busy for minutes.
    #[must_use]
    pub fn is_udev_at_work(&self) -> bool {
        self.udev && self.silence() < PATIENCE
    }
}

/// The first of the devices, or else what lies behind one of the drivers, that may hold a system which sleeps. What is in an optical
/// drive is nobody's memory.
#[must_use]
pub fn sleeping_place(devices: &[String], drivers: &[String]) -> Option<String> {
    let device = devices.iter().find(|name| !name.starts_with("sr")).map(|name| format!("/dev/{name}"));
    device.or_else(|| drivers.first().map(|name| format!("what the driver {name} looks for")))
}
