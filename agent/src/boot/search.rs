//! Waiting for the medium: what may be used now, and what a better one may still come for.

use std::time::Duration;

use super::{Acquired, Boot, Tone, wanted};
use crate::config::Source;
use crate::discover::{self, Candidate};
use crate::error::{Code, Stop};
use crate::facts::{Device, Moment, PATIENCE, SILENCE, View, sleeping_place};

/// How long a medium that matches, but is not the one the loader came from, waits for a better one.
const GRACE_OTHER: Duration = Duration::from_secs(10);
/// How long before the deadline what matches is used anyway: a worse medium, or one beside a device that does not answer.
const LAST_CHANCE: Duration = Duration::from_secs(2);
/// How long a whole disk waits for the partitions that its table lists.
const GRACE_PARTITIONS: Duration = Duration::from_secs(2);
/// How long a boot goes on looking after the only match turned out unusable.
const GRACE_REJECTED: Duration = Duration::from_secs(5);
/// How much longer a boot waits while udev is still at work, and how often it looks.
const GRACE_UDEV: Duration = Duration::from_secs(60);
const UDEV_STEP: Duration = Duration::from_secs(1);
impl Boot<'_> {
    /// Asks `attempt` again with each change of devices, until it finds a medium or the time is over.
    pub(super) fn search(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<Acquired>, Stop>,
    ) -> Result<Acquired, Stop> {
        let mut deadline = self.config.deadline;
        let _looking = self.watchdog().doing(match &self.config.iso_scan {
            Some(scan) => format!("looking for a file system that holds {}", scan.path.display()),
            None => format!("looking for the live medium {}", wanted(&self.config.source)),
        });
        loop {
            if let Some(acquired) = attempt(self)? {
                return Ok(acquired);
            }
            let until = self.look_again().min(deadline);
            // A device that chatters without end must not keep the deadline from being looked at.
            let news = self.world.wait(until);
            let view = self.world.view();
            if news && view.now < deadline {
                continue;
            }
            if self.given_up(view.now) {
                return Err(self.not_found());
            }
            if view.now >= deadline {
                // A slow machine whose udev still loads drivers has not had its time yet.
                if !view.udev || deadline >= self.config.deadline + GRACE_UDEV {
                    return Err(self.not_found());
                }
                deadline += UDEV_STEP;
            }
        }
    }

    /// The next moment at which a decision may change although nothing happened.
    fn look_again(&self) -> Moment {
        let wait = if self.undecided() { SILENCE } else { Duration::from_secs(3600) };
        self.world.view().now + wait
    }

    /// Whether a candidate is held back, or a rejection waits for its grace to end.
    fn undecided(&self) -> bool {
        self.last_rejection.is_some() || !self.open_candidates().is_empty()
    }

    pub(super) fn open_candidates(&self) -> Vec<Candidate> {
        let view = self.world.view();
        let devices = &view.devices;
        let all = match (&self.config.source, &self.config.iso_scan) {
            (_, Some(scan)) => discover::hosts(scan, devices),
            (Source::Device(selector), None) => discover::media(self.config, selector, devices),
            _ => Vec::new(),
        };
        let unchanged =
            |name: &str| self.rejected.get(name).is_some_and(|was| was.device.as_ref() == view.device(name));
        all.into_iter().filter(|candidate| !unchanged(&candidate.name)).collect()
    }

    fn given_up(&self, now: Moment) -> bool {
        // A file that is not on one file system says nothing about the next one to be plugged in.
        self.config.iso_scan.is_none() && self.last_rejection.is_some_and(|at| now >= at + GRACE_REJECTED)
    }

    /// Whether a candidate may be used now, or a better one may still come. Time counts from the candidate's own
    /// appearance: a stick that needs three seconds to show up has its partitions after three seconds too.
    pub(super) fn ripe(&self, view: &View, candidate: &Candidate) -> bool {
        let known = view.known_for(&candidate.name);
        let identified = self.config.medium.is_some() && candidate.certain;
        let settled = identified || self.settled(view);
        let complete = !candidate.incomplete || known >= GRACE_PARTITIONS;
        // With a short `rd.retry=` a medium that is not the loader's must still get its turn.
        settled && complete && (candidate.certain || known >= GRACE_OTHER || self.last_chance(view))
    }

    /// Whether all that is plugged in has been seen, or there is no more time to wait for it.
    pub(super) fn settled(&self, view: &View) -> bool {
        (view.is_quiet() && view.silence() >= SILENCE) || self.last_chance(view)
    }

    /// Whether the deadline is so near that what is there must do.
    fn last_chance(&self, view: &View) -> bool {
        let deadline = self.config.deadline;
        view.now + LAST_CHANCE.min(deadline / 2) >= deadline
    }

    /// Devices that had their time and have not answered.
    pub(super) fn unanswered(&self, view: &View) -> Vec<String> {
        view.unanswered(if self.last_chance(view) { Duration::ZERO } else { PATIENCE })
    }

    /// Remembers which devices have no say in a decision that is made now.
    pub(super) fn go_on_without_silent(&mut self, view: &View) {
        let silent = self.unanswered(view);
        let before = std::mem::replace(&mut self.silent, silent.clone());
        for name in silent.iter().filter(|name| !before.contains(name)) {
            self.say(Tone::Warning, format!("/dev/{name} does not answer, going on without it"));
        }
    }

    /// What may hold anything, for it does not answer.
    pub(super) fn silent_disk(&self) -> Option<String> {
        sleeping_place(&self.silent, &self.world.view().drivers.silent)
    }

    /// The error for "nothing found": the most telling rejection if there was one, else what is plugged in.
    fn not_found(&self) -> Stop {
        let telling = self.rejected.values().map(|was| &was.stop).find(|stop| stop.code != Code::IsoFileNotFound);
        let view = self.world.view();
        let devices = &view.devices;
        let seconds = self.config.deadline.as_secs();
        let silent = self.unanswered(&view).into_iter().map(|name| format!("/dev/{name}: does not answer"));
        let told = telling.cloned();
        match (&self.config.source, &self.config.iso_scan, told) {
            // With an ISO file any disk may be the one that is meant: what the others were is told, too.
            (_, Some(scan), told) => {
                let why = |device: &Device| {
                    let rejected = self
                        .rejected
                        .get(&device.name)
                        .filter(|was| was.stop.code != Code::IsoFileNotFound && was.device.as_ref() == Some(device));
                    let why = rejected.map(|was| was.stop.cause.clone()).or_else(|| discover::refusal(scan, device));
                    format!("{}: {}", device.summary(), why.unwrap_or_else(|| "searched, file not there".into()))
                };
                let found = devices.iter().map(why).chain(silent);
                match told {
                    Some(mut stop) => {
                        stop.found.extend(found);
                        stop
                    }
                    None => {
                        Stop::new(Code::IsoFileNotFound, format!("no file system holds the ISO file after {seconds} s"))
                            .wanted(format!("file {}", scan.path.display()))
                            .found(found)
                            .advice(
                                "check iso-scan/filename= (path from the root of its file system) and the disk's cable",
                            )
                    }
                }
            }
            (_, None, Some(stop)) => stop,
            (source, None, None) => Stop::new(Code::MediumNotFound, format!("no live medium after {seconds} s"))
                .wanted(wanted(source))
                .found(devices.iter().filter(|device| device.size > 0).map(Device::summary).chain(silent)),
        }
    }
}
