//! The part of a boot that decides where changes are kept.

use std::path::{Path, PathBuf};

use super::{Boot, Tone};
use crate::area::{Found, Identity, NamedSite, Obstacle, Site, in_place};
use crate::config::{Method, Persistence, Wish};
use crate::error::{Code, Stop};
use crate::facts::{Device, MediumFacts, Origin, Subvolume};
use crate::format::Kind;
use crate::plan::persist::{self, Area, Planner};
use crate::plan::{acquire, named, ordinary};
use crate::source::discover;

/// The end of a boot that must have an area.
fn required(stop: Stop) -> Stop {
    let advice = format!("{}; or remove =required to boot with changes in RAM", stop.advice);
    stop.wanted("a persistent area (rd.live.overlay.persistent=required)").advice(advice)
}

pub(super) fn host_refusal(site: &Site) -> Option<Obstacle> {
    match site {
        Site::Host(host) => host.refusal.clone(),
        Site::Nowhere(why) => Some(why.clone()),
        Site::Disk(_) => None,
    }
}

pub(super) fn is_ntfs(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Ntfs)
}

pub(super) fn is_btrfs(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Btrfs)
}

impl Boot<'_> {
    /// The persistent area that was asked for. `None` when none was, or there can be none: then it has been said why.
    /// Without a medium the root is the machine's ordinary one.
    pub(super) fn area(&mut self, medium: Option<&MediumFacts>) -> Result<Option<Area>, Stop> {
        let overlay = &self.config.overlay;
        if !self.keeps_changes() {
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
        let mut points = self.points.clone();
        let site = match &medium.origin {
            Origin::Device(node) => {
                let _looking = self.watchdog().doing(format!("looking for room on the disk of {}", node.display()));
                self.world.disk(medium, node, false)
            }
            Origin::HostFile { host: Some(host), .. } => {
                // A disk with a system that sleeps may be found later than the medium.
                self.for_changes(|boot| boot.awake(host))?;
                if let Some(device) = self.below(medium).filter(|_| !self.config.overlay.readonly) {
                    self.look_for_windows(&device);
                }
                let bound = persist::bound_path(&wish.cowfile_path, &identity);
                points.host = self.cow_root(medium, [&wish.cowfile_path, &bound])?;
                self.host_with(host, &points.host, (&wish.cowfile_path, &bound))
            }
            Origin::HostFile { host: None, .. } | Origin::Initrd(_) | Origin::Fetched(_) => {
                Site::Nowhere(Obstacle::OnNoDisk)
            }
        };
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

    /// Where the file system of the ISO file is mounted for a cow file. A btrfs has two roots: what is there from the other one only is taken
    /// from there, as a new file is whose first directory is.
    fn cow_root(&mut self, medium: &MediumFacts, paths: [&Path; 2]) -> Result<PathBuf, Obstacle> {
        let host = self.points.host.clone();
        let is_there = |boot: &Self, at: &Path| paths.iter().any(|path| boot.found_at(at, path) != Found::Absent);
        let Some(device) = self.below(medium).filter(is_btrfs) else { return Ok(host) };
        if host_refusal(&self.host_site(&device)).is_some() || is_there(self, &host) {
            return Ok(host);
        }
        let other = if self.host_subvolume == Subvolume::Top { Subvolume::Default } else { Subvolume::Top };
        let (mark, look) = (self.world.mark(), self.points.look.clone());
        self.perform("acquire", &acquire::other_root(&self.points, &device, other)?)?;
        let is_other = is_there(self, &look) || (self.has_first(&look, paths[0]) && !self.has_first(&host, paths[0]));
        self.undo(mark);
        if is_other {
            self.perform("acquire", &[acquire::host_again(&self.points, Kind::Btrfs, other)])?;
            return Ok(self.points.named.clone());
        }
        Ok(host)
    }

    /// Whether a karg names this device as the place for changes.
    pub(super) fn names(&self, device: &Device) -> bool {
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
    pub(super) fn below(&self, medium: &MediumFacts) -> Option<Device> {
        let node = match &medium.origin {
            Origin::Device(node) | Origin::HostFile { host: Some(node), .. } => node,
            Origin::HostFile { host: None, .. } | Origin::Initrd(_) | Origin::Fetched(_) => return None,
        };
        self.devices().into_iter().find(|device| device.node == *node)
    }

    /// An area on the medium itself, or beside its ISO file.
    fn on_medium(&mut self, medium: &MediumFacts, path: Option<&Path>) -> Result<Area, Obstacle> {
        let device = self.below(medium).ok_or(Obstacle::OnNoDisk)?;
        self.for_changes(|boot| boot.awake(&device.node).map(|()| boot.look_for_windows(&device)))?;
        self.shared(medium, &device, &self.named_path(Some(medium), path))
    }

    /// The path on a file system that keeps changes.
    pub(super) fn named_path(&self, medium: Option<&MediumFacts>, path: Option<&Path>) -> PathBuf {
        match (path, medium) {
            (path, None) => ordinary::path(path),
            (Some(path), _) => path.to_owned(),
            (None, Some(medium)) => persist::named_path(&self.config.live_dir, &Identity::of(medium)),
        }
    }

    /// An area on a file system that is mounted for the medium already.
    pub(super) fn shared(&mut self, medium: &MediumFacts, device: &Device, path: &Path) -> Result<Area, Obstacle> {
        let kind = device.superblock.as_ref().map(|found| found.kind);
        let Some(kind) = kind.filter(|kind| kind.is_writable()) else {
            return Err(Obstacle::NotWritable { place: format!("the medium {}", device.node.display()), kind });
        };
        if device.read_only && !self.config.overlay.readonly {
            return Err(Obstacle::WriteProtected(device.node.clone()));
        }
        if !self.config.overlay.readonly {
            in_place(device)?;
        }
        let on_host = match medium.origin {
            Origin::HostFile { .. } => true,
            Origin::Device(_) | Origin::Initrd(_) | Origin::Fetched(_) => false,
        };
        let (from, root) = match on_host {
            true => (self.points.host.clone(), self.host_subvolume),
            false => (self.points.live.clone(), medium.subvolume),
        };
        let devices = self.devices();
        let refusal = match on_host {
            true => host_refusal(&self.host_with(&device.node, &from, (path, path))),
            false => self.world.in_use(device, &self.sleep(&devices), Some((&from, path))),
        };
        if let Some(why) = refusal.filter(|_| !self.config.overlay.readonly) {
            return Err(why);
        }
        let there = self.root_for(device, (&from, root), path)?;
        let site = NamedSite {
            node: device.node.clone(),
            kind,
            at: self.points.named.clone(),
            path: path.to_owned(),
            found: there.found,
            stranger: there.stranger,
            other_root: (there.root != root).then_some(there.root),
            image: Some(Identity::of(medium)),
            new_store: there.new_store,
            shared: Some(from),
        };
        named::area(&self.config.overlay, &self.points, &site)
    }

    /// What is at a named path of a file system that is mounted `at`. A large file of zeros takes its time.
    pub(super) fn found_at(&self, at: &Path, path: &Path) -> Found {
        let _looking = self.watchdog().doing(format!("reading {}", path.display()));
        self.world.found(at, path)
    }
}
