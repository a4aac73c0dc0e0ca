//! What is waited for before changes can be kept, as values: each rule is a row of the tables below, with a clock that is no clock.

use std::path::Path;
use std::time::Duration;

use super::{InUse, Obstacle, TEMPORARY_LABEL, hibernated};
use crate::config::{Config, Mkfs, Selector};
use crate::facts::{Device, Moment, Next, SILENCE, View, sleeping_place};
use crate::format::Superblock;
use crate::source::discover;

/// How long a named place for changes is waited for when nothing is being plugged in any more: a USB disk needs a few
/// seconds from power to its first answer.
pub const GRACE_NAMED: Duration = Duration::from_secs(10);

/// How long before a partition is made because its label is nowhere: once made, the label would be there twice.
const GRACE_MADE: Duration = Duration::from_secs(3);

/// A wait for the device that a selector names.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    config: &'a Config,
    selector: &'a Selector,
    may_make: bool,
}

impl<'a> Course<'a> {
    /// One that has not begun. `may_make`: a partition with the label may be made where there is none.
    #[must_use]
    pub fn new(config: &'a Config, selector: &'a Selector, may_make: bool) -> Self {
        Self { config, selector, may_make: may_make && matches!(selector.readings()[1], Selector::Label(_)) }
    }

    /// The named device; `None` when it is to be made. A stick that is slow to come up is waited for, one that is not
    /// plugged in must not hold up the boot: changes in RAM are better than a machine that seems to hang.
    pub fn next(&self, view: &View, is_ours: impl Fn(&Path) -> bool) -> Next<Result<Option<Device>, Obstacle>> {
        let (deadline, now, silence) = (self.config.deadline, view.now, view.silence());
        let quiet = is_quiet(view);
        let settled = quiet && silence >= SILENCE;
        let seen = settled || now >= deadline;
        let makes = self.may_make && self.config.overlay.autooverlay.is_some();
        let mut found = discover::named(self.selector, &view.devices);
        // The medium in its file is no place of its own.
        found.retain(|device| !is_ours(&device.node));
        // Devices of one btrfs are one place, which is there when all of them are (field.md G).
        let missing = one_place(&mut found, &view.devices);
        if missing > 0 && now < deadline && !(quiet && silence >= GRACE_NAMED) {
            return Next::Wait(deadline.min(now + if settled { GRACE_NAMED.saturating_sub(silence) } else { SILENCE }));
        }
        match found.as_slice() {
            [device] if seen || !self.is_made_anew(device) => return Next::Known(Ok(Some(device.clone()))),
            // Any of them would be a guess, and another one at the next boot.
            [one, other, ..] if seen => {
                let nodes = [one.node.clone(), other.node.clone()];
                return Next::Known(Err(Obstacle::Ambiguous { name: self.selector.to_string(), nodes }));
            }
            [] => {}
            _ => return Next::Wait(deadline.min(now + SILENCE)),
        }
        // A machine where something is plugged in all the time is not quiet before the deadline either.
        if makes && (now >= deadline || (quiet && silence >= GRACE_MADE)) {
            return Next::Known(Ok(None));
        }
        if now >= deadline || (quiet && silence >= GRACE_NAMED) {
            let (name, can_be_made) = (self.selector.to_string(), self.may_make);
            return Next::Known(Err(Obstacle::NotThere { name, waited_s: silence.as_secs(), can_be_made }));
        }
        let patience = if makes { GRACE_MADE } else { GRACE_NAMED };
        let pause = if settled { patience.saturating_sub(silence) } else { SILENCE };
        Next::Wait(deadline.min(now + pause))
    }

    /// Whether what is on a device would be replaced: then it is better to have seen all the others, too.
    fn is_made_anew(&self, device: &Device) -> bool {
        let force = self.config.overlay.crypt.as_ref().is_some_and(|wish| wish.mkfs == Mkfs::Force);
        let forgotten = |found: &Superblock| found.label.as_deref() == Some(TEMPORARY_LABEL);
        force || device.superblock.as_ref().is_none_or(forgotten)
    }
}

/// Leaves one of the devices of a btrfs where all that were found hold the same; how many of its devices are not there.
fn one_place(found: &mut Vec<Device>, devices: &[Device]) -> u64 {
    let Some(first) = found.first() else { return 0 };
    let members = discover::members(first, devices);
    if !found.iter().all(|device| members.iter().any(|member| member.node == device.node)) {
        return 0;
    }
    let missing = discover::missing(first, devices);
    found.truncate(1);
    missing
}

fn is_quiet(view: &View) -> bool {
    view.is_quiet() && !view.is_udev_at_work()
}

/// Whether no system sleeps that knows `node`, as soon as all that is plugged in has been looked at.
pub fn awake(view: &View, deadline: Moment, node: &Path) -> Next<Result<(), InUse>> {
    if !(is_quiet(view) && view.silence() >= SILENCE) && view.now < deadline {
        return Next::Wait(deadline.min(view.now + SILENCE));
    }
    let silent = sleeping_place(&view.unanswered(deadline), &view.drivers.silent);
    let silent = silent.map(|what| InUse::Silent { what, node: node.to_owned() });
    Next::Known(silent.or_else(|| hibernated(&view.devices, node)).map_or(Ok(()), Err))
}

#[cfg(test)]
mod tests;
