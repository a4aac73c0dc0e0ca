//! The search for the medium as a value: what is tried next, how long is waited, and when it ends. Each rule is a row of the table
//! below, with a clock that is no clock.

use std::time::Duration;

use super::discover::{self, By, Candidate};
use super::told;
use crate::config::{Config, Selector, Source};
use crate::error::{Code, Stop};
use crate::facts::{Device, Moment, Next, SILENCE, View};

/// How long a medium that matches, but is not the one the loader came from, waits for a better one.
const GRACE_OTHER: Duration = Duration::from_secs(10);
/// How long a whole disk waits for the partitions that its table lists.
const GRACE_PARTITIONS: Duration = Duration::from_secs(2);
/// How long a boot goes on looking after the loader's own medium turned out unusable: the right one is not another one.
const GRACE_REJECTED: Duration = Duration::from_secs(5);
/// How much longer a boot waits while udev is still at work: a slow machine that still loads drivers has not had its time yet.
const GRACE_UDEV: Duration = Duration::from_secs(60);
const UDEV_STEP: Duration = Duration::from_secs(1);
/// The next moment at which anything changes although nothing happens, where there is none.
const NEVER: Duration = Duration::from_secs(3600);

/// Said of a file system.
const NOT_THERE: &str = "searched, file not there";

/// A candidate that turned out unusable, and how it looked then: a device that changes gets another try.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Kernel name.
    pub name: String,
    by: By,
    device: Option<Device>,
    /// It is the medium the loader came from.
    own: bool,
    /// Why.
    pub stop: Stop,
}

impl Rejection {
    fn is_of(&self, candidate: &Candidate) -> bool {
        self.name == candidate.name && self.by == candidate.by
    }

    /// Whether the device is as it was.
    fn is_as_now(&self, view: &View) -> bool {
        match (&self.device, view.device(&self.name)) {
            (Some(then), Some(now)) => then.is_as(now),
            (then, now) => then.is_none() && now.is_none(),
        }
    }
}

/// A search that goes on.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    config: &'a Config,
    rejected: Vec<Rejection>,
    last_rejection: Option<Moment>,
    /// The rejection after which a person was told of the wait.
    told: Option<Moment>,
}

impl<'a> Search<'a> {
    /// One that has not begun.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        Self { config, rejected: Vec::new(), last_rejection: None, told: None }
    }

    /// The candidate to look into, or why there is no medium. Deadlines count from the moment 0.
    pub fn next(&self, view: &View) -> Next<Result<Candidate, Stop>> {
        let mut open = self.open(view);
        // A device that changes again and again is not tried for ever, and holds up nobody else.
        let tried = |candidate: &&Candidate| self.rejected.iter().any(|was| was.is_of(candidate));
        if view.now >= self.config.deadline {
            open.retain(|candidate| !tried(&candidate));
        }
        let ripe = |candidate: &&Candidate| self.is_ripe(view, candidate);
        let fresh = || open.iter().find(|candidate| !tried(candidate) && ripe(candidate));
        let again = open.first().filter(tried).and_then(|_| fresh());
        // A better one may come before a worse one is used.
        if let Some(candidate) = again.or(open.first()).filter(ripe) {
            return Next::Known(Ok(candidate.clone()));
        }
        if self.is_over(view, &open) {
            return Next::Known(Err(self.not_found(view)));
        }
        let undecided = self.is_own_rejected() || !open.is_empty();
        let look_again = view.now + if undecided { SILENCE } else { NEVER };
        // Beyond the deadline udev is at work.
        let deadline = self.config.deadline;
        Next::Wait(look_again.min(if view.now < deadline { deadline } else { view.now + UDEV_STEP }))
    }

    /// Candidates that were not rejected as they are now, best first.
    #[must_use]
    pub fn open(&self, view: &View) -> Vec<Candidate> {
        let mut all = self.candidates(view);
        all.retain(|candidate| !self.rejected.iter().any(|was| was.is_of(candidate) && was.is_as_now(view)));
        all
    }

    /// A candidate is unusable; `view` is what is known after it was tried.
    pub fn reject(&mut self, view: &View, candidate: &Candidate, stop: Stop) {
        if !is_elsewhere(&stop) {
            self.last_rejection = Some(view.now);
        }
        let device = view.device(&candidate.name).cloned();
        let known = self.config.iso_scan.is_none() && (self.config.medium.is_some() || candidate.by == By::Mark);
        let is_own =
            |device: &Device| discover::is_loaders(self.config, device) == Some(true) || candidate.by == By::Mark;
        let own = known && !is_elsewhere(&stop) && device.as_ref().is_some_and(is_own);
        self.rejected.retain(|was| !was.is_of(candidate));
        self.rejected.push(Rejection { name: candidate.name.clone(), by: candidate.by, device, own, stop });
    }

    /// Whether there is a wait after a rejection, which a person may end.
    #[must_use]
    pub fn waits_on(&self, view: &View) -> bool {
        self.last_rejection.is_some() && matches!(self.next(view), Next::Wait(_))
    }

    /// How long that lasts at most, once for each reason.
    pub fn wait_to_tell(&mut self, view: &View) -> Option<Duration> {
        let at = self.last_rejection.filter(|_| self.told != self.last_rejection && self.waits_on(view))?;
        self.told = Some(at);
        let own = self.is_own_rejected() && view.is_idle() && self.open(view).is_empty();
        let end = if own { at + GRACE_REJECTED } else { self.config.deadline };
        Some(end.min(self.config.deadline).saturating_sub(view.now)).filter(|left| !left.is_zero())
    }

    /// All candidates that turned out unusable.
    #[must_use]
    pub fn rejected(&self) -> &[Rejection] {
        &self.rejected
    }

    fn candidates(&self, view: &View) -> Vec<Candidate> {
        match (&self.config.source, &self.config.iso_scan) {
            (_, Some(scan)) => discover::hosts(scan, &view.devices),
            (Source::Device(selector), None) => discover::media(self.config, selector, &view.devices),
            _ => Vec::new(),
        }
    }

    /// Why a device was rejected that is as it was; what concerns itself tells more than that the medium lies elsewhere.
    fn rejection(&self, view: &View, name: &str) -> Option<&Rejection> {
        let mut of_it = self.rejected.iter().filter(|was| was.name == name && was.is_as_now(view));
        of_it.clone().find(|was| !is_elsewhere(&was.stop)).or_else(|| of_it.next())
    }

    /// Whether a candidate may be used now, or a better one may still come. Time counts from the candidate's own
    /// appearance: a stick that needs three seconds to show up has its partitions after three seconds too.
    fn is_ripe(&self, view: &View, candidate: &Candidate) -> bool {
        let (age, deadline) = (view.known_for(&candidate.name), self.config.deadline);
        // Which of all the disks holds the ISO file, none of them tells.
        let named = self.config.iso_scan.is_none() && self.config.medium.is_some() && candidate.by == By::Name;
        let settled = (named && candidate.certain) || view.is_settled(deadline);
        let complete = !candidate.incomplete || age >= GRACE_PARTITIONS;
        // Without all of its devices the kernel mounts a btrfs only if told to; what its superblock counts may be out of date.
        let whole = candidate.missing == 0 || view.key || view.is_last_chance(deadline);
        // With a short `rd.retry=` a medium that is not the loader's must still get its turn.
        // Nothing better comes where the loader's own is unusable, and who presses a key wants no more waiting.
        let hurried = (candidate.by == By::Mark && self.is_own_rejected()) || view.key;
        settled
            && complete
            && whole
            && (candidate.certain || hurried || age >= GRACE_OTHER || view.is_last_chance(deadline))
    }

    /// Whether the loader's own medium is there and unusable. A reason that concerns another one is no end of the search: the right one may
    /// be plugged in, or be slow (field.md C).
    fn is_own_rejected(&self) -> bool {
        self.rejected.iter().any(|was| was.own)
    }

    fn is_over(&self, view: &View, open: &[Candidate]) -> bool {
        // Who is held back has not had its turn.
        let own = self.last_rejection.filter(|_| open.is_empty() && self.is_own_rejected() && view.is_idle());
        let deadline = self.config.deadline;
        // What udev has just shown is looked at first.
        let shown = view.pending.iter().any(|one| !one.given_up && one.since >= deadline);
        let idle = !view.udev && !shown;
        let late = view.now >= deadline && (idle || view.now >= deadline + GRACE_UDEV);
        late || own.is_some_and(|at| view.now >= at + GRACE_REJECTED)
            || (view.key && open.is_empty() && view.is_quiet())
    }

    /// The error for "nothing found": why the best candidate was rejected, if there was one, and what else is plugged in.
    fn not_found(&self, view: &View) -> Stop {
        let best = self.best_rejected(view);
        let others = view.devices.iter().filter(|device| device.size > 0);
        let others = others.filter(|device| best.is_none_or(|best| best.name != device.name));
        let silent =
            view.unanswered(self.config.deadline).into_iter().map(|name| format!("/dev/{name}: does not answer"));
        let mut found: Vec<_> = others.map(|device| self.told(view, device)).chain(silent).collect();
        if found.is_empty() && best.is_none() {
            found.push(told::nothing(&view.devices));
        }
        let seconds = self.config.deadline.as_secs();
        match (best, &self.config.iso_scan) {
            (Some(best), _) => {
                let mut stop = best.stop.clone();
                stop.found.extend(found);
                stop
            }
            (None, Some(scan)) => {
                Stop::new(Code::IsoFileNotFound, format!("no file system holds the ISO file after {seconds} s"))
                    .wanted(format!("file {}", scan.path.display()))
                    .found(found)
                    .advice(self.rejected.iter().find(|was| !was.stop.found.is_empty()).map_or(
                        "check iso-scan/filename= (path from the root of its file system) and the disk's cable",
                        |was| &was.stop.advice,
                    ))
            }
            (None, None) => {
                let stop = Stop::new(Code::MediumNotFound, format!("no live medium after {seconds} s"));
                let selector = match &self.config.source {
                    Source::Device(selector) => Some(selector),
                    _ => None,
                };
                let closed = selector.and_then(|selector| told::closed(selector, &view.devices));
                let known = closed.or_else(|| told::lost(&view.devices));
                let advice = known.map(|known| format!("{known}; or {}", stop.advice));
                let advice = advice.unwrap_or_else(|| stop.advice.clone());
                let wanted = selector.map_or_else(|| self.config.source.to_string(), Selector::to_string);
                stop.wanted(wanted).found(found).advice(advice)
            }
        }
    }

    /// The rejection that tells most: of the candidate that comes first, and of one that is gone last of all.
    fn best_rejected(&self, view: &View) -> Option<&Rejection> {
        let order = self.candidates(view);
        let rank = |was: &&Rejection| order.iter().position(|candidate| was.is_of(candidate)).unwrap_or(order.len());
        self.rejected.iter().filter(|was| !is_elsewhere(&was.stop)).min_by_key(rank)
    }

    /// A device, and why it is not the medium as far as that is known.
    fn told(&self, view: &View, device: &Device) -> String {
        let rejected = self.rejection(view, &device.name).map(|was| &was.stop);
        let rejected = rejected.filter(|stop| !is_elsewhere(stop)).map(|stop| stop.cause.clone());
        let scan = self.config.iso_scan.as_ref();
        let remark = || self.rejection(view, &device.name).and_then(|was| was.stop.found.first().cloned());
        let not_there = || remark().map_or_else(|| NOT_THERE.to_owned(), |remark| format!("{NOT_THERE}; {remark}"));
        let why = rejected.or_else(|| scan.map(|scan| discover::refusal(scan, device).unwrap_or_else(not_there)));
        why.map_or_else(|| device.summary(), |why| format!("{}: {why}", device.summary()))
    }
}

/// Whether the reason is that the medium lies elsewhere, and none that concerns the candidate.
#[must_use]
pub fn is_elsewhere(stop: &Stop) -> bool {
    matches!(stop.code, Code::IsoFileNotFound | Code::MediumNotFound)
}

/// The device of an ordinary root, as soon as everything that answers has been looked at: a hibernated system must not be overlooked.
pub fn root(view: &View, deadline: Moment, selector: &Selector) -> Next<Result<Device, Stop>> {
    let settled = view.is_settled(deadline);
    let selector = discover::said(selector, &view.devices);
    let found = view.devices.iter().filter(|device| discover::selects(selector, device));
    let whole = |device: &&Device| discover::missing(device, &view.devices) == 0 || view.is_last_chance(deadline);
    if let Some(device) = found.max_by_key(|device| device.parent.is_some()).filter(|_| settled).filter(whole) {
        return Next::Known(Ok(device.clone()));
    }
    if view.now < deadline {
        return Next::Wait(deadline.min(view.now + if settled { NEVER } else { SILENCE }));
    }
    let seconds = deadline.as_secs();
    Next::Known(Err(Stop::new(Code::MediumNotFound, format!("no root file system after {seconds} s"))
        .wanted(selector.to_string())
        .found(view.devices.iter().filter(|device| device.size > 0).map(Device::summary))
        .advice("plug the disk in and retry, or correct root= (labels are case-sensitive)")))
}

#[cfg(test)]
mod tests;
