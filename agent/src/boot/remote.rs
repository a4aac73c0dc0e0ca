//! An image on a server.

use std::path::Path;

use super::medium::{file_facts, medium_facts};
use super::world::Tone;
use super::{Acquired, Boot};
use crate::area::course::Course;
use crate::config::System;
use crate::config::explain::without_password;
use crate::error::{Code, Stop};
use crate::facts::{Device, MediumFacts, Next, Origin, Provider, SILENCE};
use crate::handover::DRACUT;
use crate::plan::act::Onto;
use crate::plan::deploy::{self, Deployment};
use crate::plan::provider::{self, Way};
use crate::plan::remote;
use crate::source::discover;

impl Boot<'_> {
    /// Fetches what a URL names, and takes it as the medium, whatever it is.
    pub(super) fn take_url(&mut self, url: &str) -> Result<Acquired, Stop> {
        if let Some(system) = &self.config.system {
            return self.take_system(url, system);
        }
        self.fetch(url, None)?;
        let file = Path::new(remote::FETCHED);
        let facts = file_facts(self.world, file, Origin::Fetched(file.to_owned()))?;
        self.acquire(facts)
    }

    /// Takes the image on a disk; where it is not there yet, it is fetched first.
    fn take_system(&mut self, url: &str, system: &System) -> Result<Acquired, Stop> {
        let device = self.wait_for_system(system)?;
        let node = device.node.display().to_string();
        let unfinished = self.world.unfinished(&device);
        let named = system.wipe.as_ref().is_some_and(|wipe| discover::is_named(wipe, &device));
        let facts = match deploy::decide(system, &device, unfinished, named)? {
            Deployment::There => {
                self.say(Tone::Notice, format!("the image is on {node} already, no network is needed for it"));
                medium_facts(&device.for_reading())?
            }
            Deployment::Close => {
                self.say(Tone::Notice, format!("the image on {node} lacks its first bytes, completing it"));
                self.perform("acquire", &deploy::close(&device))?;
                self.written(&device)?
            }
            Deployment::Fetch(onto) => {
                self.fetch(url, Some(onto))?;
                self.written(&device)?
            }
        };
        self.report.moment("medium");
        self.acquire(facts)
    }

    /// The disk for the image.
    fn wait_for_system(&mut self, system: &System) -> Result<Device, Stop> {
        let course = Course::new(self.config, &system.device, false);
        let what = format!("{}, where the image is to be", system.device);
        let _waiting = self.watchdog().doing(format!("waiting for {what}"));
        let mut said = false;
        let found = self.until_known(|boot, view| {
            let next = course.next(view, |node| boot.world.is_looped(node));
            if matches!(next, Next::Wait(until) if until > view.now + SILENCE && !std::mem::replace(&mut said, true)) {
                boot.say(Tone::Told, format!("waiting for {what}"));
            }
            next
        });
        let missing = |why: String| {
            Stop::new(Code::TargetUnusable, format!("the disk for the image: {why}"))
                .advice("correct rd.kiwi.live.system=, or leave it out: then the image goes to RAM")
        };
        let device =
            found.map_err(|why| missing(why.to_string()))?.ok_or_else(|| missing("it is not there".to_owned()))?;
        self.gather(&device)?;
        Ok(device)
    }

    /// What is on a disk now that an image was written to it.
    fn written(&mut self, device: &Device) -> Result<MediumFacts, Stop> {
        let facts = file_facts(self.world, &device.node, Origin::Device(device.node.clone()))?;
        let seen = Some(device.seen().made_anew());
        Ok(MediumFacts { device: seen, looped: device.needs_loop(), ..facts })
    }

    /// Brings the network up, fetches what a URL names, and lets the network go.
    fn fetch(&mut self, url: &str, onto: Option<Onto>) -> Result<(), Stop> {
        let shown = without_password(url);
        let follow = self.provider();
        let steps = remote::fetch(self.config, url, follow, onto)?;
        let fetching = self.watchdog().doing(format!("fetching {shown}"));
        self.perform("acquire", &steps)?;
        drop(fetching);
        self.report.moment("medium");
        Ok(())
    }

    /// Who brings the network up, if it is not us. In an initrd of dracut other programs may have the interfaces.
    fn provider(&mut self) -> Option<Provider> {
        let provider = if self.report.mode == DRACUT { self.world.provider() } else { None };
        match provider::choose(self.config, provider) {
            Way::Own => None,
            Way::Follow(provider) => Some(provider),
            Way::Instead { of, word } => {
                let line = format!("network: {of} cannot read {word}, so rdlive's own client brings it up");
                self.world.say(Tone::Told, &line);
                None
            }
        }
    }
}
