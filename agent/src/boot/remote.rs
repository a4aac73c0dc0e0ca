//! An image on a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::medium::{file_facts, medium_facts};
use super::target::Target;
use super::world::Tone;
use super::{Acquired, Boot};
use crate::area::Found;
use crate::config::explain::without_password;
use crate::config::{Selector, Share, System, cut};
use crate::error::{Code, Stop};
use crate::facts::{Content, Device, Holds, MediumFacts, Next, Origin, Provider};
use crate::format::Kind;
use crate::handover::DRACUT;
use crate::plan::act::Onto;
use crate::plan::deploy::{self, Deployment};
use crate::plan::provider::{self, Way};
use crate::plan::{Slot, Step, remote};
use crate::source::{discover, given};

/// How long nobody waits without a word, and how long until the next one.
const SAY: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(5);
/// The name of an image in RAM.
const RAM_DISK: &str = "/dev/ram0";

/// What is named on an NFS server is not there, or is something else.
fn misses(share: &Share, why: &dyn std::fmt::Display) -> Stop {
    Stop::new(Code::FetchFailed, format!("{share}: {why}")).advice("correct the path in root=")
}

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

    /// Takes a file on an NFS server, which is mounted, as the medium; it stays there.
    fn take_share(&mut self, text: &str) -> Result<Acquired, Stop> {
        let (share, at) = (remote::share(text)?, self.points.host.clone());
        let path = self.world.file_in(&at, Path::new(&share.file));
        let path = path.map_err(|error| misses(&share, &error))?;
        let file = at.join(path.ok_or_else(|| misses(&share, &"there is no such file"))?);
        let facts = file_facts(self.world, &file, Origin::HostFile { host: None, file: file.clone() })?;
        self.same_build(&facts);
        self.acquire(facts)
    }

    /// Mounts what an NFS server shows. A directory is the root itself, as dracut's own module for NFS has it (dracut-live spec, case E12):
    /// `None` where a file is named.
    ///
    /// # Errors
    /// As the network and the server; a directory that holds no root.
    pub(super) fn tree_on_share(&mut self, text: &str) -> Result<Option<(Share, PathBuf)>, Stop> {
        let (share, follow) = (remote::share(text)?, self.provider());
        self.networked = true;
        let mounting = self.watchdog().doing(format!("mounting {share}"));
        let at = self.points.host.clone();
        self.perform("acquire", &remote::nfs(self.config, &share, &at, follow))?;
        drop(mounting);
        self.report.moment("medium");
        if self.world.found(&at, Path::new(&share.file)) != Found::Directory {
            return Ok(None);
        }
        let tree = at.join(&share.file);
        match self.world.content(self.config, &tree) {
            Ok(Content::Tree) => Ok(Some((share, tree))),
            Ok(Content::Container(image) | Content::Image(image)) => {
                let file = image.path.display();
                Err(misses(&share, &format!("a directory is no image, but {file} in it is: add /{file} to the path")))
            }
            Err(stop) => Err(misses(&share, &format!("a directory that holds no root; {}", stop.cause))),
        }
    }

    /// Takes an AoE device as the medium, once it is there.
    pub(super) fn take_aoe(&mut self, node: Option<&str>) -> Result<Acquired, Stop> {
        let booted = || {
            let cause = "root=live:AOEINTERFACE= names no device, and no loader has booted from one (aBFT)";
            let stop = || Stop::new(Code::RootMalformed, cause).advice("name it, as in root=live:AOEINTERFACE=e0.1");
            self.world.loaded().aoe.ok_or_else(stop)
        };
        let node = &node.map_or_else(booted, |node| Ok(node.to_owned()))?;
        let follow = self.provider();
        self.networked = true;
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
        let Target { device, deployed } = self.wait_for_system(system, &remote::known_as(self.config, url)?)?;
        let node = device.node.display().to_string();
        if let Some(deployed) = deployed.as_ref().filter(|_| !discover::is_named(&system.device, &device)) {
            self.say(Tone::Warning, deploy::moved(system, &device, deployed));
        }
        let mut parts = self.devices();
        let named = system.wipe.as_ref().is_some_and(|wipe| given::gives(wipe, &device, &parts));
        parts.retain(|part| part.parent.as_ref() == Some(&device.name));
        let state = deployed.map(|deployed| deployed.state);
        let facts = match deploy::decide(system, &device, state, named, &parts)? {
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
        self.networked = true;
        let steps = remote::fetch(self.config, url, follow, onto)?;
        let fetching = self.watchdog().doing(format!("fetching {shown}"));
        // The last thing on the screen names the likely cause.
        self.perform("acquire", &steps).map_err(|stop| match cut::why_nothing_came(url) {
            Some(why) if stop.code == Code::FetchFailed => {
                let advice = format!("{why}; or {}", stop.advice);
                stop.advice(advice)
            }
            _ => stop,
        })?;
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

    /// The network that `rd.neednet=1` asks for although the root is there without one: for the live system. An initrd's own program for
    /// that has it in hand already.
    pub(super) fn unneeded_network(&mut self) -> Result<(), Stop> {
        if self.networked || !self.config.network_wish().0.needed || self.provider().is_some() {
            return Ok(());
        }
        self.perform("assemble", &remote::unneeded(self.config)).map(drop)
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
