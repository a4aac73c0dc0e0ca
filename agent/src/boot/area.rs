//! The part of a boot that decides where changes are kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Boot;
use super::search::{SILENCE, sleeping_place};
use crate::area::{Found, Identity, NamedSite, Site, TEMPORARY_LABEL, refuses_writes};
use crate::config::{Access, Method, Mkfs, Persistence, Selector};
use crate::discover;
use crate::error::{Code, ELSEWHERE, Stop};
use crate::facts::{Device, MediumFacts, Origin};
use crate::format::{Kind, Superblock};
use crate::kmsg::NOTICE;
use crate::plan::persist::{self, Area, Wish};
use crate::plan::reason;
use crate::plan::{Slot, Step, acquire, crypt, named, ordinary};
use crate::probe::site as probe;
use crate::probe::sleep::{self, AWAKE, Sleep};

/// How long a named place for changes is waited for when nothing is being plugged in any more: a USB disk needs a few
/// seconds from power to its first answer.
const GRACE_NAMED: Duration = Duration::from_secs(10);

/// How long before a partition is made because its label is nowhere: once made, the label would be there twice.
const GRACE_MADE: Duration = Duration::from_secs(3);

fn no_medium() -> String {
    "the root is no live medium; name a device with rd.overlay=<device>".to_owned()
}

/// An error of a step as a reason.
pub(super) fn told(stop: Stop) -> String {
    stop.with_advice()
}

fn unavailable(why: String) -> Stop {
    reason::stop(&why)
}

/// The end of a boot that must have an area.
fn required(stop: Stop) -> Stop {
    let advice = format!("{}; or remove =required to boot with changes in RAM", stop.advice);
    stop.wanted("a persistent area (rd.live.overlay.persistent=required)").advice(advice)
}

fn host_refusal(site: &Site) -> Option<String> {
    match site {
        Site::Host(host) => host.refusal.clone(),
        Site::Nowhere(why) => Some(why.clone()),
        Site::Disk(_) => None,
    }
}

pub(super) fn is_ntfs(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs)
}

/// A disk that may hold anything, for it does not answer.
fn may_sleep(what: &str, node: &Path) -> String {
    format!("{what} does not answer and may hold a hibernated system, {} with it; {AWAKE}", node.display())
}

impl Boot<'_> {
    /// The persistent area that was asked for. `None` when none was, or there can be none: then it has been said why.
    /// Without a medium the root is the machine's ordinary one.
    pub(super) fn area(&mut self, medium: Option<&MediumFacts>) -> Result<Option<Area>, Stop> {
        let overlay = &self.config.overlay;
        if overlay.method == Method::Direct || (overlay.persistence.is_none() && overlay.crypt.is_none()) {
            return match overlay.required {
                true => Err(required(unavailable("the command line leaves no place for an area".to_owned()))),
                false => Ok(None),
            };
        }
        if let Some(why) = &self.area_hangs {
            let stop = Stop::new(Code::Silent, why.clone());
            if overlay.required {
                return Err(required(stop));
            }
            self.keep_nothing(stop);
            return Ok(None);
        }
        let _looking = self.exec.watchdog.doing("looking where changes can be kept");
        let mark = self.exec.mark();
        let area = match (&overlay.crypt, &overlay.persistence) {
            (Some(crypt), _) => self.encrypted_device(crypt).map_err(unavailable),
            (None, Some(Persistence::Automatic { .. })) => {
                medium.ok_or_else(|| unavailable(no_medium())).and_then(|medium| self.automatic(medium))
            }
            (None, Some(_)) if overlay.unlock.encrypt => Err(unavailable(
                "rd.live.encrypt was asked for, and the named place is not encrypted; rd.overlay.crypt=<device> is"
                    .to_owned(),
            )),
            (None, Some(Persistence::Named { device, path })) => {
                self.named(medium, device, path.as_deref()).map_err(unavailable)
            }
            (None, Some(Persistence::OnMedium { path })) => medium
                .ok_or_else(no_medium)
                .and_then(|medium| self.on_medium(medium, path.as_deref()))
                .map_err(unavailable),
            (None, None) => return Ok(None),
        };
        let area = area.and_then(|area| match (area.store, medium) {
            (true, None) => {
                let why = format!("{} is the store of a device-mapper snapshot, for live images only", area.place);
                Err(unavailable(why))
            }
            _ => Ok(area),
        });
        // Keys are not needed any longer than this; those of new volumes go with their first use.
        if area.is_err() {
            self.exec.key = None;
        }
        match area {
            Ok(area) => {
                log::info!(target: NOTICE, "changes are kept on {}", area.place);
                area.notes.iter().for_each(|note| log::warn!("{note}"));
                Ok(Some(area))
            }
            Err(stop) if overlay.required => Err(required(stop)),
            Err(stop) => {
                self.exec.unwind(mark);
                self.keep_nothing(stop);
                Ok(None)
            }
        }
    }

    fn automatic(&mut self, medium: &MediumFacts) -> Result<Area, Stop> {
        let overlay = &self.config.overlay;
        let wish = Wish::of(overlay).ok_or_else(|| unavailable("no automatic area was asked for".to_owned()))?;
        let identity = Identity::of(medium);
        if !identity.is_known() && !wish.accept {
            return Err(unavailable(format!(
                "the image has neither label nor UUID, so that nobody can tell whether changes belong to it; \
                 give it a label, or {ELSEWHERE}"
            )));
        }
        let devices = self.watch.devices();
        let site = match (&medium.origin, self.exec.node(Slot::Host)) {
            (Origin::Device(node), _) => {
                let _looking = self.exec.watchdog.doing(format!("looking for room on the disk of {}", node.display()));
                probe::disk(self.env, &devices, medium, node, false)
            }
            (Origin::File(_), Some(host)) => {
                let host = self.without_root(host);
                // A disk with a system that sleeps may be found later than the medium.
                self.awake(&host).map_err(unavailable)?;
                if let Some(device) = self.watch.devices().into_iter().find(|device| device.node == host) {
                    self.look_for_windows(&device);
                }
                let bound = persist::bound_path(wish.cowfile_path, &identity);
                self.host_with(&host, (wish.cowfile_path, &bound))
            }
            (Origin::File(file), None) => Site::Nowhere(format!("{} is in the initrd", file.display())),
        };
        let opening = crypt::opening(&wish, &self.points, &identity, &site).transpose()?;
        if let Err(why) = self.fetch_key(opening.is_some() || wish.encrypt) {
            // An area that is there may have a passphrase beside the key; a new one is made as it was asked for.
            if opening.is_none() {
                return Err(unavailable(why));
            }
            log::warn!("{why}, asking for a passphrase");
        }
        let Some(opening) = opening else {
            return persist::automatic(&wish, &self.points, &identity, &site).map_err(unavailable);
        };
        let inside = self.opened(&opening)?;
        crypt::area_inside(&wish, &self.points, &identity, opening, &inside).map_err(unavailable)
    }

    /// The file system of an ISO file is searched without replaying its journal, which cannot be made writable later.
    /// Where changes will be kept on it, and nothing forbids that, it is mounted again in the usual way.
    pub(super) fn host_for_changes(&mut self, device: &Device) -> Result<(), Stop> {
        let overlay = &self.config.overlay;
        let on_medium = matches!(overlay.persistence, Some(Persistence::OnMedium { .. }));
        if Wish::of(overlay).is_none() && !on_medium && !self.names(device) {
            return Ok(());
        }
        self.usual_host(device)
    }

    /// The file system of an ISO file is mounted in the usual way, where that may be written to.
    fn usual_host(&mut self, device: &Device) -> Result<(), Stop> {
        self.look_for_windows(device);
        if self.config.overlay.readonly || self.area_hangs.is_some() || host_refusal(&self.host_site(device)).is_some()
        {
            return Ok(());
        }
        let steps = acquire::host_for_changes(&self.points, device);
        steps.map_or(Ok(()), |steps| self.perform("acquire", &steps).map(drop))
    }

    /// The journal that a session of ours has left on the file system of an ISO file is replayed, so that the file can be found: a
    /// power cut leaves half-written directories, which only the journal has as a whole (found by 5,000 cuts). Nothing is done with
    /// the journal of anybody else, nor where nothing may be written.
    pub(super) fn replay_own(&mut self, device: &Device) -> Result<(), Stop> {
        match sleep::is_left_by_us(self.env, device) && self.awake(&device.node).is_ok() {
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
        let devices = self.watch.devices();
        let mut site = probe::host(self.env, &self.sleep(&devices), node, &self.points.host, paths);
        let silent = self.silent_disk().filter(|_| !self.config.overlay.awake);
        if let (Site::Host(host), Some(name)) = (&mut site, silent) {
            host.refusal.get_or_insert_with(|| may_sleep(&name, node));
        }
        site
    }

    /// What is known of systems that may sleep.
    fn sleep<'s>(&'s self, devices: &'s [Device]) -> Sleep<'s> {
        let windows = self.windows.values().find_map(Option::as_deref);
        Sleep { devices, windows, awake: self.config.overlay.awake }
    }

    /// Looks for a Windows that sleeps on a fixed disk, where that says something about `device`: it may know a file system that is
    /// not its own, and nothing there says so (attacks.md F3).
    fn look_for_windows(&mut self, device: &Device) {
        if self.config.overlay.awake || self.config.overlay.readonly || !sleep::concerns_windows(device) {
            return;
        }
        for other in self.watch.devices() {
            let known = other.node == device.node || self.windows.contains_key(&other.node);
            if !is_ntfs(&other) || other.removable || known {
                continue;
            }
            let why = self.windows_on(&other);
            self.windows.insert(other.node, why);
        }
    }

    /// Why a Windows may sleep on an NTFS that is not mounted.
    fn windows_on(&mut self, device: &Device) -> Option<String> {
        let node = device.node.display();
        let _looking = self.exec.watchdog.doing(format!("looking for a hibernated Windows on {node}"));
        let mark = self.exec.mark();
        let steps = acquire::windows(&self.points, device);
        let why = match steps.and_then(|steps| self.perform("acquire", &steps)) {
            Ok(_) => sleep::sleeping_windows(self.env, device, &self.points.look),
            Err(stop) => Some(format!("whether a Windows sleeps on {node} cannot be seen ({})", stop.cause)),
        };
        self.exec.unwind(mark);
        why
    }

    /// Why somebody may still use a file system that is not ours; `at` is where it is mounted, if it is.
    pub(super) fn not_in_use(&mut self, device: &Device, at: Option<&Path>) -> Result<(), String> {
        if self.config.overlay.readonly {
            return Ok(());
        }
        self.look_for_windows(device);
        // What Windows has written down of its sleep is in a file.
        let looked = !self.config.overlay.awake && at.is_none() && is_ntfs(device);
        if let Some(why) = looked.then(|| self.windows_on(device)).flatten() {
            return Err(why);
        }
        let devices = self.watch.devices();
        sleep::in_use(self.env, device, &self.sleep(&devices), at, false).map_or(Ok(()), Err)
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
                let why = format!("the medium stays read-only, rw or not: {why}");
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
        let node = match (&medium.origin, self.exec.node(Slot::Host)) {
            (Origin::Device(node), _) => node.clone(),
            (Origin::File(_), Some(host)) => self.without_root(host),
            (Origin::File(_), None) => return None,
        };
        self.watch.devices().into_iter().find(|device| device.node == node)
    }

    /// The path of a node as the devices list has it.
    pub(super) fn without_root(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.env.root()).map_or_else(|_| path.to_owned(), |path| Path::new("/").join(path))
    }

    /// An area on the medium itself, or beside its ISO file.
    fn on_medium(&mut self, medium: &MediumFacts, path: Option<&Path>) -> Result<Area, String> {
        let device = self.below(medium).ok_or("the medium is in the initrd, which keeps nothing")?;
        self.awake(&device.node)?;
        self.look_for_windows(&device);
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
    fn shared(&self, medium: &MediumFacts, device: &Device, path: &Path) -> Result<Area, String> {
        let node = device.node.display();
        let kind = device.superblock.as_ref().map(|found| found.kind);
        let Some(kind) = kind.filter(|kind| kind.is_writable()) else {
            let what = kind.map_or("nothing that is known", Kind::name);
            return Err(format!("the medium {node} is {what}, which cannot be written to"));
        };
        if device.read_only && !self.config.overlay.readonly {
            return Err(refuses_writes(&device.node));
        }
        let from = match medium.origin {
            Origin::Device(_) => self.points.live.clone(),
            Origin::File(_) => self.points.host.clone(),
        };
        let devices = self.watch.devices();
        let refusal = match &medium.origin {
            Origin::Device(_) => sleep::in_use(self.env, device, &self.sleep(&devices), Some(&from), false),
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
            stranger: probe::is_stranger(self.env, &from, path),
            shared: Some(from),
            image: Some(Identity::of(medium)),
        };
        persist::named(&self.config.overlay, &self.points, &site)
    }

    /// What is at a named path of a file system that is mounted `at`. A large file of zeros takes its time.
    fn found_at(&self, at: &Path, path: &Path) -> Found {
        let _looking = self.exec.watchdog.doing(format!("reading {}", path.display()));
        probe::at_named_path(self.env, at, path)
    }

    /// Waits for the named device, mounts it, and looks what is there.
    fn named(
        &mut self,
        medium: Option<&MediumFacts>,
        selector: &Selector,
        path: Option<&Path>,
    ) -> Result<Area, String> {
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
                return Err(format!("{selector} is not there"));
            };
            let (node, kind) = self.make_named(medium, label)?;
            return persist::named(overlay, &self.points, &site(node, kind, Found::Absent));
        };
        self.awake(&device.node)?;
        if let Some(medium) = medium
            && self.below(medium).is_some_and(|below| below.node == device.node)
        {
            self.look_for_windows(&device);
            return self.shared(medium, &device, &path);
        }
        let node = device.node.display();
        if medium.is_none() && self.report.device.as_ref().is_some_and(|root| *root == node.to_string()) {
            return Err(format!("{node} is the root itself, which stays as it is; name another device"));
        }
        if device.read_only && !overlay.readonly {
            return Err(refuses_writes(&device.node));
        }
        // What it shows may be the beginning of what was to be made there.
        let complete = |_: &Kind| !probe::is_begun(self.env, &device);
        let kind = device.superblock.as_ref().map(|found| found.kind).filter(complete);
        if automatic && kind == Some(Kind::SnapshotCow) {
            return Ok(persist::store_device(overlay, device.seen()));
        }
        if let (None, Some(why)) = (kind, &device.unreadable) {
            return Err(format!("{node}: {why}"));
        }
        if kind.is_none() {
            let made = named::format(overlay, &device, &self.points)?;
            self.perform("acquire", &made.steps).map_err(told)?;
            return persist::named(overlay, &self.points, &site(made.node, made.kind, Found::Absent));
        }
        let Some(kind) = kind.filter(|kind| kind.driver().is_some()) else {
            return Err(format!("{node} holds {}, left as it is", kind.map_or("nothing that is known", Kind::name)));
        };
        // What Windows has written down of its sleep, and our own note, show only when their file systems are mounted.
        let look = matches!(kind, Kind::Ntfs | Kind::Vfat | Kind::Exfat);
        if !look {
            self.not_in_use(&device, None)?;
        }
        let readonly = self.config.overlay.readonly;
        let steps = acquire::named(&self.points, &device, kind, readonly || look);
        self.perform("acquire", &steps).map_err(told)?;
        if look {
            self.not_in_use(&device, Some(&at))?;
        }
        if look && !readonly {
            self.perform("acquire", &[Step::Remount { at: at.clone() }]).map_err(told)?;
        }
        let found = self.found_at(&at, &path);
        let stranger = probe::is_stranger(self.env, &at, &path);
        persist::named(overlay, &self.points, &NamedSite { stranger, ..site(device.node, kind, found) })
    }

    /// Waits until all that is plugged in has been looked at, and says why nothing may be written to a device then.
    pub(super) fn awake(&mut self, node: &Path) -> Result<(), String> {
        // Nothing is written to what is only shown.
        if self.config.overlay.readonly || self.config.overlay.awake {
            return Ok(());
        }
        let deadline = self.watch.begin() + self.config.deadline;
        let _looking = self.exec.watchdog.doing("looking for systems that sleep");
        loop {
            // What has come while steps were done.
            self.watch.wait(Instant::now());
            let quiet = self.watch.quiet() && !self.udev_at_work();
            if (quiet && self.watch.silence() >= SILENCE) || Instant::now() >= deadline {
                let silent = sleeping_place(&self.unanswered(), &self.watch.silent_drivers());
                let why = silent.map(|what| may_sleep(&what, node));
                return why.or_else(|| sleep::sleeper(&self.watch.devices(), node)).map_or(Ok(()), Err);
            }
            self.watch.wait(deadline.min(Instant::now() + SILENCE));
        }
    }

    /// Whether what is on a device would be replaced: then it is better to have seen all the others, too.
    fn is_made_anew(&self, device: &Device) -> bool {
        let force = self.config.overlay.crypt.as_ref().is_some_and(|wish| wish.mkfs == Mkfs::Force);
        let forgotten = |found: &Superblock| found.label.as_deref() == Some(TEMPORARY_LABEL);
        force || device.superblock.as_ref().is_none_or(forgotten)
    }

    /// Makes the partition that was named but does not exist, in free space of the boot disk.
    fn make_named(&mut self, medium: &MediumFacts, label: &str) -> Result<(PathBuf, Kind), String> {
        let missing = |why: String| format!("no file system has the label {label}, and {why}");
        if self.config.overlay.readonly {
            return Err(missing("there is nothing to show".to_owned()));
        }
        let Origin::Device(node) = &medium.origin else {
            return Err(missing("the medium is a file, so there is no boot disk for a new partition".to_owned()));
        };
        let disk = match probe::disk(self.env, &self.watch.devices(), medium, node, true) {
            Site::Disk(disk) => disk,
            Site::Nowhere(why) => return Err(missing(why)),
            Site::Host(_) => return Err(missing("there is no boot disk".to_owned())),
        };
        let cowfs = self.config.overlay.autooverlay.as_deref().unwrap_or_default();
        let made = persist::partition_named(&disk, cowfs, label, &self.points)?;
        self.perform("acquire", &made.steps).map_err(told)?;
        Ok((made.node, made.kind))
    }

    /// The named device; `None` when it is to be made. A stick that is slow to come up is waited for, one that is not
    /// plugged in must not hold up the boot: changes in RAM are better than a machine that seems to hang.
    pub(super) fn wait_for(&mut self, selector: &Selector, may_make: bool) -> Result<Option<Device>, String> {
        let deadline = self.watch.begin() + self.config.deadline;
        let _waiting = self.exec.watchdog.doing(format!("waiting for {selector}, where changes are kept"));
        let mut said = false;
        loop {
            // What has come while steps were done.
            self.watch.wait(Instant::now());
            let quiet = self.watch.quiet() && !self.udev_at_work();
            let settled = quiet && self.watch.silence() >= SILENCE;
            let make = self.config.overlay.autooverlay.is_some() && matches!(selector, Selector::Label(_));
            let now = Instant::now();
            let seen = settled || now >= deadline;
            let mut found = discover::named(selector, &self.watch.devices());
            // The medium in its file is no place of its own.
            found.retain(|device| !self.exec.has_looped(&self.env.path(&device.node)));
            match found.as_slice() {
                [device] if seen || !self.is_made_anew(device) => return Ok(Some(device.clone())),
                // Any of them would be a guess, and another one at the next boot.
                [one, other, ..] if seen => {
                    let (one, other) = (one.node.display(), other.node.display());
                    return Err(format!("{selector} names both {one} and {other}; unplug one, or use another name"));
                }
                [] => {}
                _ => {
                    self.watch.wait(deadline.min(now + SILENCE));
                    continue;
                }
            }
            // A machine where something is plugged in all the time is not quiet before the deadline either.
            if may_make && make && (now >= deadline || (quiet && self.watch.silence() >= GRACE_MADE)) {
                return Ok(None);
            }
            if now >= deadline || (quiet && self.watch.silence() >= GRACE_NAMED) {
                let waited = self.watch.silence().as_secs();
                let hint = match selector {
                    Selector::Label(_) if may_make => "; rd.live.autooverlay makes it in free space of the boot disk",
                    _ => "",
                };
                return Err(format!("{selector} is not there; nothing was plugged in for {waited} s{hint}"));
            }
            if !said && settled {
                let most = GRACE_NAMED.as_secs();
                log::info!(target: NOTICE, "waiting for {selector}, where changes are kept, at most {most} s");
                said = true;
            }
            let patience = if may_make && make { GRACE_MADE } else { GRACE_NAMED };
            let pause = if settled { patience.saturating_sub(self.watch.silence()) } else { SILENCE };
            self.watch.wait(deadline.min(now + pause));
        }
    }
}
