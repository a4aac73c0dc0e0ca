//! The disk that an image is written to, and found on again.

use super::Boot;
use super::world::Tone;
use crate::area::Obstacle;
use crate::area::course::Course;
use crate::config::{Selector, System};
use crate::error::{Code, Stop};
use crate::facts::{Deployed, Device, Next, SILENCE, View};
use crate::plan::deploy;
use crate::source::discover;

/// A disk for an image.
pub(super) struct Target {
    pub device: Device,
    /// What it says of an image of ours.
    pub deployed: Option<Deployed>,
}

/// What was asked for: the names of the disk and of the image.
struct Wanted<'a> {
    system: &'a System,
    url: &'a str,
}

impl Boot<'_> {
    /// The disk for the image of a URL: the named one, or another that bears the image already (network-field.md kind 22).
    pub(super) fn wait_for_system(&mut self, system: &System, url: &str) -> Result<Target, Stop> {
        let course = Course::new(self.config, &system.device, false);
        let what = format!("{}, where the image is to be", system.device);
        let _waiting = self.watchdog().doing(format!("waiting for {what}"));
        let (wanted, mut said) = (Wanted { system, url }, false);
        let found = self.until_known(|boot, view| {
            let next = boot.next_target(&wanted, view, &course);
            if matches!(next, Next::Wait(until) if until > view.now + SILENCE && !std::mem::replace(&mut said, true)) {
                boot.say(Tone::Told, format!("waiting for {what}"));
            }
            next
        })?;
        self.gather(&found.device)?;
        Ok(found)
    }

    fn next_target(&self, wanted: &Wanted<'_>, view: &View, course: &Course<'_>) -> Next<Result<Target, Stop>> {
        let selector = &wanted.system.device;
        let device = match course.next(view, |node| self.world.is_looped(node)) {
            Next::Known(Ok(Some(device))) => whole(selector, device, view),
            asked => return self.without_it(wanted, view, asked),
        };
        let deployed = self.world.deployed(&device);
        // A name that stays means that disk, whatever is on others.
        let is_it = deployed.as_ref().is_some_and(|deployed| deploy::bears(&device, deployed, wanted.url));
        if is_it || selector.stays() {
            return Next::Known(Ok(Target { device, deployed }));
        }
        // What bears the image may not have come yet.
        if !view.is_settled(self.config.deadline) {
            return Next::Wait(self.config.deadline.min(view.now + SILENCE));
        }
        let other = self.elsewhere(wanted, view, Some(&device));
        Next::Known(other.map(|other| other.unwrap_or(Target { device, deployed })))
    }

    /// What comes of it as long as the named disk is not there.
    fn without_it(
        &self,
        wanted: &Wanted<'_>,
        view: &View,
        asked: Next<Result<Option<Device>, Obstacle>>,
    ) -> Next<Result<Target, Stop>> {
        let selector = &wanted.system.device;
        let is_gone = discover::named(selector, &view.devices).is_empty();
        if is_gone
            && view.is_settled(self.config.deadline)
            && let Some(other) = self.elsewhere(wanted, view, None).transpose()
        {
            return Next::Known(other);
        }
        match asked {
            Next::Wait(until) => Next::Wait(until),
            Next::Known(Err(why)) => Next::Known(Err(missing(&why.to_string()))),
            Next::Known(Ok(_)) => Next::Known(Err(missing(&format!("{selector} is not there")))),
        }
    }

    /// Another disk than the named one that bears the image.
    fn elsewhere(&self, wanted: &Wanted<'_>, view: &View, named: Option<&Device>) -> Result<Option<Target>, Stop> {
        let others = view.devices.iter().filter(|device| {
            let is_named = named.is_some_and(|named| named.name == device.name);
            !is_named && !device.optical && device.size > 0 && device.unreadable.is_none()
        });
        let others = others.filter(|device| !self.world.is_looped(&device.node));
        let bearing = others.filter_map(|device| Some((device.clone(), self.world.deployed(device)?))).collect();
        let found = deploy::elsewhere(wanted.url, bearing)?;
        Ok(found.map(|(device, deployed)| Target { device, deployed: Some(deployed) }))
    }
}

/// The disk where a name means what an image on it begins with, which its first partition shows too: the image is written to the disk,
/// with its table.
fn whole(selector: &Selector, device: Device, view: &View) -> Device {
    let parent = device.parent.as_ref().and_then(|name| view.device(name).cloned());
    parent.filter(|disk| discover::is_named(selector, disk)).unwrap_or(device)
}

fn missing(why: &str) -> Stop {
    Stop::new(Code::TargetUnusable, format!("the disk for the image: {why}"))
        .advice("correct rd.kiwi.live.system=, or leave it out: then the image goes to RAM")
}
