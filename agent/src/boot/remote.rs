//! An image on a server.

use std::path::Path;
use std::time::Duration;

use super::medium::{file_facts, medium_facts};
use super::world::Tone;
use super::{Acquired, Boot};
use crate::area::course::Course;
use crate::config::explain::without_password;
use crate::config::{Selector, Share, System};
use crate::error::{Code, Stop};
use crate::facts::{Device, Holds, MediumFacts, Next, Origin, Provider, SILENCE};
use crate::format::Kind;
use crate::handover::DRACUT;
use crate::plan::act::Onto;
use crate::plan::deploy::{self, Deployment};
use crate::plan::provider::{self, Way};
use crate::plan::{Slot, Step, remote};
use crate::source::discover;

/// How long nobody waits without a word, and how long until the next one.
const SAY: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(5);
/// The name of an image in RAM.
const RAM_DISK: &str = "/dev/ram0";

impl Boot<'_> {
    /// Fetches what a URL names, and takes it as the medium, whatever it is.
    pub(super) fn take_url(&mut self, url: &str) -> Result<Acquired, Stop> {
        if Share::is_one(url) {
            return self.take_share(url);
        }
        if let Some(system) = &self.config.system {
            return self.take_system(url, system);
        }
        self.fetch(url, None)?;
        let file = Path::new(remote::FETCHED);
        let facts = file_facts(self.world, file, Origin::Fetched(file.to_owned()))?;
        self.same_build(&facts);
        let acquired = self.acquire(facts)?;
        // What the originals call it (kiwi-live spec 2.4.5).
        self.perform("acquire", &[Step::LinkDevice { at: RAM_DISK.into(), slot: Slot::Medium }])?;
        Ok(acquired)
    }

    /// Takes a file on an NFS server as the medium; it stays there.
    fn take_share(&mut self, text: &str) -> Result<Acquired, Stop> {
        let (share, follow) = (remote::share(text)?, self.provider());
        let mounting = self.watchdog().doing(format!("mounting {share}"));
        let at = self.points.host.clone();
        self.perform("acquire", &remote::nfs(self.config, &share, &at, follow))?;
        drop(mounting);
        self.report.moment("medium");
        let path = self.world.file_in(&at, Path::new(&share.file));
        let missing = |why: String| {
            Stop::new(Code::FetchFailed, format!("{share}: {why}")).advice("correct the path in root=live:nfs:")
        };
        let path =
            path.map_err(|error| missing(error.to_string()))?.ok_or_else(|| missing("there is no such file".into()))?;
        let file = at.join(path);
        let facts = file_facts(self.world, &file, Origin::HostFile { host: None, file: file.clone() })?;
        self.same_build(&facts);
        self.acquire(facts)
    }

    /// Takes an AoE device as the medium, once it is there.
    pub(super) fn take_aoe(&mut self, node: &str) -> Result<Acquired, Stop> {
        let follow = self.provider();
        let asking = self.watchdog().doing(format!("asking for the AoE device {node}"));
        self.perform("acquire", &remote::aoe(self.config, node, follow))?;
        drop(asking);
        let device = self.wait_for_answer(node)?;
        self.report.moment("medium");
        self.say(Tone::Notice, format!("medium: {}, named on the command line", device.summary()));
        self.acquire(medium_facts(&device.for_reading())?)
    }

    /// Waits for the first bytes of an AoE device that is there. A server may be away for a while, and the driver asks it again.
    fn wait_for_answer(&mut self, node: &str) -> Result<Device, Stop> {
        let selector = Selector::Path(Path::new("/dev/etherd").join(node));
        let _waiting = self.watchdog().doing(format!("reading {selector}"));
        let (patience, mut until, mut next) = (self.config.deadline, None, SAY);
        self.until_known(|boot, view| {
            let until = *until.get_or_insert(view.now + patience);
            let waited = patience.saturating_sub(until.saturating_sub(view.now));
            match discover::named(&selector, &view.devices).into_iter().next() {
                Some(device) => Next::Known(Ok(device)),
                None if view.now >= until => {
                    let cause =
                        format!("{selector} is there, and nothing of it could be read in {} s", waited.as_secs());
                    Next::Known(Err(Stop::new(Code::AoeSilent, cause)))
                }
                None => {
                    if waited >= next {
                        let (waited, all) = (waited.as_secs(), patience.as_secs());
                        boot.say(
                            Tone::Told,
                            format!("{selector} does not answer, {waited} s of {all}: is its server still there?"),
                        );
                        next = Duration::from_secs(waited) + AGAIN;
                    }
                    Next::Wait(until.min(view.now + SAY))
                }
            }
        })
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
        self.same_build(&facts);
        self.acquire(facts)
    }

    /// Says that kernel and initrd are not those of the ISO: they were copied out of another build's (seed-audit SD-16).
    fn same_build(&mut self, facts: &MediumFacts) {
        let Some(made_for) = self.config.medium.as_ref().filter(|_| facts.kind == Kind::Iso9660) else { return };
        let other = made_for.readings().iter().all(|reading| match reading {
            Selector::Uuid(uuid) => facts.uuid.as_ref().is_some_and(|found| !found.eq_ignore_ascii_case(uuid)),
            Selector::Label(label) => facts.label.as_ref().is_some_and(|found| found != label),
            _ => false,
        });
        if other {
            let found = Holds { kind: Some(facts.kind), uuid: facts.uuid.clone(), label: facts.label.clone() };
            let line = format!(
                "this initrd was made for {made_for}, and the image is {found}, of another build: copy kernel and initrd out of it \
                 again; rd.live.medium=any if that is meant"
            );
            self.say(Tone::Warning, line);
        }
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
        let found = found.map_err(|why| missing(why.to_string()))?;
        let device = found.ok_or_else(|| missing(format!("{} is not there", system.device)))?;
        let device = self.whole(&system.device, device);
        self.gather(&device)?;
        Ok(device)
    }

    /// The disk where a name means what an image on it begins with, which its first partition shows too: the image is written to the
    /// disk, with its table.
    fn whole(&self, selector: &Selector, device: Device) -> Device {
        let parent = device.parent.as_ref().and_then(|name| self.devices().into_iter().find(|disk| disk.name == *name));
        parent.filter(|disk| discover::is_named(selector, disk)).unwrap_or(device)
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

    /// Says who has the network in the live system. Addresses that were kept have no end, but the server's lease of them has one.
    pub(super) fn network_goes_on(&mut self) {
        let leases: Vec<String> = self.leases.iter().map(ToString::to_string).collect();
        if leases.is_empty() {
            return;
        }
        let (leases, takers) = (leases.join(", "), self.world.takers(self.sysroot));
        if takers.is_empty() {
            let line = format!(
                "network: {leases} is leased, and nothing in the image renews it: the DHCP server may give it to another machine; enable \
                 systemd-networkd or NetworkManager in the image, or reserve the address for this machine on the server"
            );
            self.say(Tone::Warning, line);
        } else {
            let takers: Vec<String> = takers.iter().map(ToString::to_string).collect();
            self.say(Tone::Info, format!("network: {leases} goes over to {}", takers.join(", ")));
        }
    }

    /// Who brings the network up, if it is not us. In an initrd of dracut other programs may have the interfaces.
    pub(super) fn provider(&mut self) -> Option<Provider> {
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
