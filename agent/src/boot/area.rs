//! The part of a boot that decides where changes are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Boot, Tone};
use crate::area::{Found, Identity, InUse, NamedSite, Nothing, Obstacle, Site, TEMPORARY_LABEL, Windows};
use crate::config::{Access, Method, Mkfs, Persistence, Selector, Wish};
use crate::error::{Code, Stop};
use crate::facts::{Device, MediumFacts, Origin, SILENCE, sleeping_place};
use crate::format::{Kind, Superblock};
use crate::plan::named::Made;
use crate::plan::persist::{self, Area, Planner};
use crate::plan::{Slot, Step, acquire, named, ordinary};
use crate::probe::sleep::{self, Sleep};
use crate::source::discover;

/// How long a named place for changes is waited for when nothing is being plugged in any more: a USB disk needs a few
/// seconds from power to its first answer.
const GRACE_NAMED: Duration = Duration::from_secs(10);

/// How long before a partition is made because its label is nowhere: once made, the label would be there twice.
const GRACE_MADE: Duration = Duration::from_secs(3);

/// The end of a boot that must have an area.
pub(crate) fn required(stop: Stop) -> Stop {
    let advice = format!("{}; or remove =required to boot with changes in RAM", stop.advice);
    stop.wanted("a persistent area (rd.live.overlay.persistent=required)").advice(advice)
}

fn host_refusal(site: &Site) -> Option<Obstacle> {
    match site {
        Site::Host(host) => host.refusal.clone(),
        Site::Nowhere(why) => Some(why.clone()),
        Site::Disk(_) => None,
    }
}

pub(super) fn is_ntfs(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs)
}

impl Boot<'_> {
    /// The persistent area that was asked for. `None` when none was, or there can be none: then it has been said why.
    /// Without a medium the root is the machine's ordinary one.
    pub(super) fn area(&mut self, medium: Option<&MediumFacts>) -> Result<Option<Area>, Stop> {
        let overlay = &self.config.overlay;
        if overlay.method == Method::Direct || (overlay.persistence.is_none() && overlay.crypt.is_none()) {
            return if overlay.required { Err(required(Obstacle::NoPlace.into())) } else { Ok(None) };
        }
        let _looking = self.watchdog().doing("looking where changes can be kept");
        let mark = self.world.mark();
        let area = match &self.area_hangs {
            Some(why) => Err(Stop::new(Code::Silent, why.clone()).into()),
            None => self.asked_area(medium),
        };
        // Keys are not needed any longer than this; those of new volumes go with their first use.
        if area.is_err() {
            self.world.forget_key();
        }
        match area {
            Ok(area) => {
                self.say(Tone::Notice, format!("changes are kept on {}", area.place));
                area.notes.iter().for_each(|note| self.say(Tone::Warning, note));
                Ok(Some(area))
            }
            Err(why) if overlay.required => Err(required(why.into())),
            Err(why) => {
                self.undo(mark);
                self.keep_nothing(why.into());
                Ok(None)
            }
        }
    }

    /// The area for what the command line asks for.
    fn asked_area(&mut self, medium: Option<&MediumFacts>) -> Result<Area, Obstacle> {
        let overlay = &self.config.overlay;
        let area = match (&overlay.crypt, &overlay.persistence) {
            (Some(crypt), _) => self.encrypted_device(crypt),
            (None, Some(Persistence::Named { .. } | Persistence::OnMedium { .. })) if overlay.unlock.encrypt => {
                Err(Obstacle::NamedPlain)
            }
            (None, Some(Persistence::Named { device, path })) => self.named(medium, device, path.as_deref()),
            (None, Some(Persistence::OnMedium { path })) => {
                self.on_medium(medium.ok_or(Obstacle::NoMedium)?, path.as_deref())
            }
            (None, Some(Persistence::Automatic(wish))) => self.automatic(medium.ok_or(Obstacle::NoMedium)?, wish),
            (None, None) => Err(Obstacle::NoPlace),
        }?;
        if area.store && medium.is_none() { Err(Obstacle::StoreAlone(area.place)) } else { Ok(area) }
    }

    fn automatic(&mut self, medium: &MediumFacts, wish: &Wish) -> Result<Area, Obstacle> {
        let identity = Identity::of(medium);
        if !identity.is_known() && !wish.accept {
            return Err(Obstacle::Nameless);
        }
        let site = match (&medium.origin, self.world.node(Slot::Host)) {
            (Origin::Device(node), _) => {
                let _looking = self.watchdog().doing(format!("looking for room on the disk of {}", node.display()));
                self.world.disk(medium, node, false)
            }
            (Origin::File(_), Some(host)) => {
                // A disk with a system that sleeps may be found later than the medium.
                self.for_changes(|boot| boot.awake(&host))?;
                if let Some(device) = self.below(medium).filter(|_| !self.config.overlay.readonly) {
                    self.look_for_windows(&device);
                }
                let bound = persist::bound_path(&wish.cowfile_path, &identity);
                self.host_with(&host, (&wish.cowfile_path, &bound))
            }
            (Origin::File(_), None) => Site::Nowhere(Obstacle::InInitrd),
        };
        let points = self.points.clone();
        let planner = Planner { overlay: &self.config.overlay, wish, points: &points, image: &identity };
        let opening = planner.opening(&site).transpose()?;
        if let Err(why) = self.fetch_key(opening.is_some() || wish.encrypt) {
            // An area that is there may have a passphrase beside the key; a new one is made as it was asked for.
            if opening.is_none() {
                return Err(why);
            }
            self.say(Tone::Warning, format!("{why}, asking for a passphrase"));
        }
        let Some(opening) = opening else {
            return planner.automatic(&site);
        };
        let inside = self.opened(&opening)?;
        planner.area_inside(opening, &inside)
    }

    /// The file system of an ISO file is searched without replaying its journal, which cannot be made writable later.
    /// Where changes will be kept on it, and nothing forbids that, it is mounted again in the usual way.
    pub(super) fn host_for_changes(&mut self, device: &Device) -> Result<(), Stop> {
        let overlay = &self.config.overlay;
        let on_medium = matches!(overlay.persistence, Some(Persistence::OnMedium { .. }));
        if overlay.wish().is_none() && !on_medium && !self.names(device) {
            return Ok(());
        }
        self.usual_host(device)
    }

    /// The file system of an ISO file is mounted in the usual way, where that may be written to.
    fn usual_host(&mut self, device: &Device) -> Result<(), Stop> {
        if self.config.overlay.readonly || self.area_hangs.is_some() {
            return Ok(());
        }
        self.look_for_windows(device);
        if host_refusal(&self.host_site(device)).is_some() {
            return Ok(());
        }
        let steps = acquire::host_for_changes(&self.points, device);
        steps.map_or(Ok(()), |steps| self.perform("acquire", &steps).map(drop))
    }

    /// The journal that a session of ours has left on the file system of an ISO file is replayed, so that the file can be found: a
    /// power cut leaves half-written directories, which only the journal has as a whole (found by 5,000 cuts). Nothing is done with
    /// the journal of anybody else, nor where nothing may be written.
    pub(super) fn replay_own(&mut self, device: &Device) -> Result<(), Stop> {
        match self.world.is_left_by_us(device) && self.for_changes(|boot| boot.awake(&device.node)).is_ok() {
            true => self.usual_host(device),
            false => Ok(()),
        }
    }

    /// What can be said about the file system of an ISO file, whatever may lie on it.
    fn host_site(&self, device: &Device) -> Site {
        let nothing = Path::new("");
        self.host_with(&device.node, (nothing, nothing))
    }

    /// The file system of an ISO file, with what lies at two paths.
    fn host_with(&self, node: &Path, paths: (&Path, &Path)) -> Site {
        let devices = self.devices();
        let mut site = self.world.host(&self.sleep(&devices), node, &self.points.host, paths);
        let silent = self.silent_disk().filter(|_| !self.config.overlay.awake);
        if let (Site::Host(host), Some(what)) = (&mut site, silent) {
            host.refusal.get_or_insert_with(|| InUse::Silent { what, node: node.to_owned() }.into());
        }
        site
    }

    /// What is known of systems that may sleep.
    fn sleep<'s>(&'s self, devices: &'s [Device]) -> Sleep<'s> {
        let windows = self.windows.values().find_map(Option::as_ref);
        Sleep { devices, windows, awake: self.config.overlay.awake }
    }

    /// Looks for a Windows that sleeps on a fixed disk, where that says something about `device`: it may know a file system that is
    /// not its own, and nothing there says so (attacks.md F3).
    fn look_for_windows(&mut self, device: &Device) {
        if self.config.overlay.awake || !sleep::concerns_windows(device) {
            return;
        }
        for other in self.devices() {
            let known = other.node == device.node || self.windows.contains_key(&other.node);
            if !is_ntfs(&other) || other.removable || known {
                continue;
            }
            let why = self.windows_on(&other);
            self.windows.insert(other.node, why);
        }
    }

    /// Why a Windows may sleep on an NTFS that is not mounted.
    fn windows_on(&mut self, device: &Device) -> Option<Windows> {
        let node = device.node.display();
        let _looking = self.watchdog().doing(format!("looking for a hibernated Windows on {node}"));
        let mark = self.world.mark();
        let steps = acquire::windows(&self.points, device);
        let why = match steps.and_then(|steps| self.perform("acquire", &steps)) {
            Ok(_) => self.world.sleeping_windows(device, &self.points.look),
            Err(stop) => Some(Windows::Unseen { node: device.node.clone(), why: stop.cause }),
        };
        self.undo(mark);
        why
    }

    /// Looks whether the place for changes may be written to. To one that is only shown nothing is written.
    pub(super) fn for_changes(&mut self, look: impl FnOnce(&mut Self) -> Result<(), InUse>) -> Result<(), InUse> {
        if self.config.overlay.readonly { Ok(()) } else { look(self) }
    }

    /// Why somebody may still use a file system that is not ours; `at` is where it is mounted, if it is.
    pub(super) fn not_in_use(&mut self, device: &Device, at: Option<&Path>) -> Result<(), InUse> {
        self.look_for_windows(device);
        // What Windows has written down of its sleep is in a file.
        let looked = !self.config.overlay.awake && at.is_none() && is_ntfs(device);
        if let Some(why) = looked.then(|| self.windows_on(device)).flatten() {
            return Err(why.into());
        }
        let devices = self.devices();
        self.world.in_use(device, &self.sleep(&devices), at).map_or(Ok(()), Err)
    }

    /// Whether the journal of the medium may be replayed: nobody else may still use it.
    pub(super) fn journal_may_be_replayed(&mut self, medium: &MediumFacts) -> bool {
        match self.below(medium) {
            Some(device) => self.not_in_use(&device, None).is_ok(),
            None => true,
        }
    }

    /// How the medium is mounted: with `rw` it is written to only as any file system may be that may belong to another system too
    /// (attacks.md F3).
    pub(super) fn medium_access(&mut self, medium: &MediumFacts) -> Access {
        let asked = acquire::medium_access(self.config, medium);
        let Some(device) = self.below(medium).filter(|_| asked == Access::ReadWrite) else { return asked };
        match self.awake(&device.node).and_then(|()| self.not_in_use(&device, None)) {
            Ok(()) => asked,
            Err(why) => {
                let why = format!("the medium stays read-only, rw or not: {why}; {}", why.remedy());
                self.fall_back(why);
                Access::ReadOnly
            }
        }
    }

    /// Whether a karg names this device as the place for changes.
    fn names(&self, device: &Device) -> bool {
        let overlay = &self.config.overlay;
        matches!(&overlay.persistence, Some(Persistence::Named { device: selector, .. })
            if overlay.method != Method::Direct && discover::selects(selector, device))
    }

    /// Whether changes are to be kept on the medium, or on the file system that holds its ISO file.
    pub(crate) fn keeps_on(&self, medium: &MediumFacts) -> bool {
        let on_medium = matches!(self.config.overlay.persistence, Some(Persistence::OnMedium { .. }));
        self.area_hangs.is_none() && (on_medium || self.below(medium).is_some_and(|device| self.names(&device)))
    }

    /// The device whose file system is mounted for the medium: its own, or the one that holds its ISO file.
    fn below(&self, medium: &MediumFacts) -> Option<Device> {
        let node = match (&medium.origin, self.world.node(Slot::Host)) {
            (Origin::Device(node), _) => node.clone(),
            (Origin::File(_), Some(host)) => host,
            (Origin::File(_), None) => return None,
        };
        self.devices().into_iter().find(|device| device.node == node)
    }

    /// An area on the medium itself, or beside its ISO file.
    fn on_medium(&mut self, medium: &MediumFacts, path: Option<&Path>) -> Result<Area, Obstacle> {
        let device = self.below(medium).ok_or(Obstacle::InInitrd)?;
        self.for_changes(|boot| boot.awake(&device.node).map(|()| boot.look_for_windows(&device)))?;
        self.shared(medium, &device, &self.named_path(Some(medium), path))
    }

    /// The path on a file system that keeps changes.
    fn named_path(&self, medium: Option<&MediumFacts>, path: Option<&Path>) -> PathBuf {
        match (path, medium) {
            (path, None) => ordinary::path(path),
            (Some(path), _) => path.to_owned(),
            (None, Some(medium)) => persist::named_path(&self.config.live_dir, &Identity::of(medium)),
        }
    }

    /// An area on a file system that is mounted for the medium already.
    fn shared(&self, medium: &MediumFacts, device: &Device, path: &Path) -> Result<Area, Obstacle> {
        let kind = device.superblock.as_ref().map(|found| found.kind);
        let Some(kind) = kind.filter(|kind| kind.is_writable()) else {
            return Err(Obstacle::NotWritable { place: format!("the medium {}", device.node.display()), kind });
        };
        if device.read_only && !self.config.overlay.readonly {
            return Err(Obstacle::WriteProtected(device.node.clone()));
        }
        let from = match medium.origin {
            Origin::Device(_) => self.points.live.clone(),
            Origin::File(_) => self.points.host.clone(),
        };
        let devices = self.devices();
        let refusal = match &medium.origin {
            Origin::Device(_) => self.world.in_use(device, &self.sleep(&devices), Some(&from)).map(Obstacle::InUse),
            Origin::File(_) => host_refusal(&self.host_site(device)),
        };
        if let Some(why) = refusal.filter(|_| !self.config.overlay.readonly) {
            return Err(why);
        }
        let site = NamedSite {
            node: device.node.clone(),
            kind,
            at: self.points.named.clone(),
            path: path.to_owned(),
            found: self.found_at(&from, path),
            stranger: self.world.is_stranger(&from, path),
            shared: Some(from),
            image: Some(Identity::of(medium)),
        };
        named::area(&self.config.overlay, &self.points, &site)
    }

    /// What is at a named path of a file system that is mounted `at`. A large file of zeros takes its time.
    fn found_at(&self, at: &Path, path: &Path) -> Found {
        let _looking = self.watchdog().doing(format!("reading {}", path.display()));
        self.world.found(at, path)
    }

    /// Waits for the named device, mounts it, and looks what is there.
    fn named(
        &mut self,
        medium: Option<&MediumFacts>,
        selector: &Selector,
        path: Option<&Path>,
    ) -> Result<Area, Obstacle> {
        let overlay = &self.config.overlay;
        let at = self.points.named.clone();
        let automatic = path.is_none();
        let path = self.named_path(medium, path);
        let image = medium.map(Identity::of);
        let site = |node, kind, found| {
            let (at, path, image) = (at.clone(), path.clone(), image.clone());
            NamedSite { node, kind, at, path, found, stranger: false, shared: None, image }
        };
        let Some(device) = self.wait_for(selector, medium.is_some())? else {
            let (Selector::Label(label), Some(medium)) = (selector, medium) else {
                return Err(Obstacle::not_there(selector));
            };
            let made = self.plan_named(medium, label);
            let made = made.map_err(|why| Obstacle::NoLabel { label: label.clone(), why: Box::new(why) })?;
            self.perform("acquire", &made.steps)?;
            return named::area(overlay, &self.points, &site(made.node, made.kind, Found::Absent));
        };
        self.for_changes(|boot| boot.awake(&device.node))?;
        if let Some(medium) = medium
            && self.below(medium).is_some_and(|below| below.node == device.node)
        {
            if !overlay.readonly {
                self.look_for_windows(&device);
            }
            return self.shared(medium, &device, &path);
        }
        let node = device.node.display();
        if medium.is_none() && self.report.device.as_ref().is_some_and(|root| *root == node.to_string()) {
            return Err(Obstacle::RootItself(device.node));
        }
        if device.read_only && !overlay.readonly {
            return Err(Obstacle::WriteProtected(device.node));
        }
        // What it shows may be the beginning of what was to be made there.
        let complete = |_: &Kind| !self.world.is_begun(&device);
        let kind = device.superblock.as_ref().map(|found| found.kind).filter(complete);
        if automatic && kind == Some(Kind::SnapshotCow) {
            return Ok(named::store_device(overlay, device.seen()));
        }
        if let (None, Some(why)) = (kind, &device.unreadable) {
            return Err(Obstacle::Unreadable { node: device.node.clone(), why: why.clone() });
        }
        if kind.is_none() {
            let made = named::format(overlay, &device, &self.points)?;
            self.perform("acquire", &made.steps)?;
            return named::area(overlay, &self.points, &site(made.node, made.kind, Found::Absent));
        }
        let Some(kind) = kind.filter(|kind| kind.driver().is_some()) else {
            return Err(Obstacle::Holds { place: node.to_string(), kind, volume: false });
        };
        // What Windows has written down of its sleep, and our own note, show only when their file systems are mounted.
        let look = matches!(kind, Kind::Ntfs | Kind::Vfat | Kind::Exfat);
        if !look {
            self.for_changes(|boot| boot.not_in_use(&device, None))?;
        }
        let readonly = self.config.overlay.readonly;
        let steps = acquire::named(&self.points, &device, kind, readonly || look);
        self.perform_or_show("acquire", &steps, readonly)?;
        if look {
            self.for_changes(|boot| boot.not_in_use(&device, Some(&at)))?;
        }
        if look && !readonly {
            self.perform("acquire", &[Step::Remount { at: at.clone() }])?;
        }
        let found = self.found_at(&at, &path);
        let stranger = self.world.is_stranger(&at, &path);
        named::area(overlay, &self.points, &NamedSite { stranger, ..site(device.node, kind, found) })
    }

    /// Waits until all that is plugged in has been looked at, and says why nothing may be written to a device then.
    pub(super) fn awake(&mut self, node: &Path) -> Result<(), InUse> {
        if self.config.overlay.awake {
            return Ok(());
        }
        let deadline = self.config.deadline;
        let _looking = self.watchdog().doing("looking for systems that sleep");
        loop {
            // What has come while steps were done.
            self.world.wait(Duration::ZERO);
            let view = self.world.view();
            let quiet = view.is_quiet() && !view.is_udev_at_work();
            if (quiet && view.silence() >= SILENCE) || view.now >= deadline {
                let silent = sleeping_place(&view.unanswered(deadline), &view.drivers.silent);
                let why = silent.map(|what| InUse::Silent { what, node: node.to_owned() });
                return why.or_else(|| sleep::sleeper(&view.devices, node)).map_or(Ok(()), Err);
            }
            self.world.wait(deadline.min(view.now + SILENCE));
        }
    }

    /// Whether what is on a device would be replaced: then it is better to have seen all the others, too.
    fn is_made_anew(&self, device: &Device) -> bool {
        let force = self.config.overlay.crypt.as_ref().is_some_and(|wish| wish.mkfs == Mkfs::Force);
        let forgotten = |found: &Superblock| found.label.as_deref() == Some(TEMPORARY_LABEL);
        force || device.superblock.as_ref().is_none_or(forgotten)
    }

    /// The partition that was named but does not exist, in free space of the boot disk.
    fn plan_named(&self, medium: &MediumFacts, label: &str) -> Result<Made, Obstacle> {
        if self.config.overlay.readonly {
            return Err(Obstacle::NothingToShow { place: "it".to_owned(), nothing: Nothing::Partition });
        }
        let Origin::Device(node) = &medium.origin else { return Err(Obstacle::NoBootDisk) };
        let disk = match self.world.disk(medium, node, true) {
            Site::Disk(disk) => disk,
            Site::Nowhere(why) => return Err(why),
            Site::Host(_) => return Err(Obstacle::NoBootDisk),
        };
        let cowfs = self.config.overlay.autooverlay.as_ref().ok_or(Obstacle::NoPlace)?;
        named::partition(&disk, cowfs, label, &self.points)
    }

    /// The named device; `None` when it is to be made. A stick that is slow to come up is waited for, one that is not
    /// plugged in must not hold up the boot: changes in RAM are better than a machine that seems to hang.
    pub(super) fn wait_for(&mut self, selector: &Selector, may_make: bool) -> Result<Option<Device>, Obstacle> {
        let deadline = self.config.deadline;
        let _waiting = self.watchdog().doing(format!("waiting for {selector}, where changes are kept"));
        let mut said = false;
        loop {
            // What has come while steps were done.
            self.world.wait(Duration::ZERO);
            let view = self.world.view();
            let (now, silence) = (view.now, view.silence());
            let quiet = view.is_quiet() && !view.is_udev_at_work();
            let settled = quiet && silence >= SILENCE;
            let is_label = matches!(selector, Selector::Label(_));
            let make = self.config.overlay.autooverlay.is_some() && is_label;
            let seen = settled || now >= deadline;
            let mut found = discover::named(selector, &view.devices);
            // The medium in its file is no place of its own.
            found.retain(|device| !self.world.is_looped(&device.node));
            match found.as_slice() {
                [device] if seen || !self.is_made_anew(device) => return Ok(Some(device.clone())),
                // Any of them would be a guess, and another one at the next boot.
                [one, other, ..] if seen => {
                    let nodes = [one.node.clone(), other.node.clone()];
                    return Err(Obstacle::Ambiguous { name: selector.to_string(), nodes });
                }
                [] => {}
                _ => {
                    self.world.wait(deadline.min(now + SILENCE));
                    continue;
                }
            }
            // A machine where something is plugged in all the time is not quiet before the deadline either.
            if may_make && make && (now >= deadline || (quiet && silence >= GRACE_MADE)) {
                return Ok(None);
            }
            if now >= deadline || (quiet && silence >= GRACE_NAMED) {
                let (waited_s, can_be_made) = (silence.as_secs(), may_make && is_label);
                return Err(Obstacle::NotThere { name: selector.to_string(), waited_s, can_be_made });
            }
            if !said && settled {
                let most = GRACE_NAMED.as_secs();
                let line = format!("waiting for {selector}, where changes are kept, at most {most} s");
                self.say(Tone::Notice, line);
                said = true;
            }
            let patience = if may_make && make { GRACE_MADE } else { GRACE_NAMED };
            let pause = if settled { patience.saturating_sub(silence) } else { SILENCE };
            self.world.wait(deadline.min(now + pause));
        }
    }
}
