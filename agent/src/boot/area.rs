//! The part of a boot that decides where changes are kept.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Boot, SILENCE};
use crate::area::{Found, Identity, NamedSite, Site};
use crate::config::{Method, Persistence, Selector};
use crate::discover;
use crate::error::{Code, Stop};
use crate::facts::{Device, Inner, MediumFacts, Origin};
use crate::format::Kind;
use crate::handover::WriteMode;
use crate::kmsg::NOTICE;
use crate::plan::assemble::KEPT;
use crate::plan::persist::{self, Area, Wish};
use crate::plan::{Slot, acquire};
use crate::probe::area as probe;

impl Boot<'_> {
    /// The persistent area that was asked for. `None` when none was, or there can be none: then it has been said why.
    pub(super) fn area(&mut self, medium: &MediumFacts, _inner: Option<&Inner>) -> Result<Option<Area>, Stop> {
        let overlay = &self.config.overlay;
        let Some(persistence) = overlay.persistence.as_ref().filter(|_| overlay.method != Method::Direct) else {
            return Ok(None);
        };
        let mark = self.exec.mark();
        let area = match persistence {
            Persistence::Automatic { .. } => self.automatic(medium),
            Persistence::Named { device, path } => self.named(medium, device, path.as_deref()),
            Persistence::OnMedium { .. } => Err("an area on the medium itself is not built yet".to_owned()),
        };
        match area {
            Ok(area) => {
                log::info!(target: NOTICE, "changes are kept on {}", area.place);
                area.notes.iter().for_each(|note| log::warn!("{note}"));
                Ok(Some(area))
            }
            Err(why) if Wish::of(overlay).is_some_and(|wish| wish.required) => {
                Err(Stop::new(Code::AreaUnavailable, why)
                    .wanted("a persistent area (rd.live.overlay.persistent=required)")
                    .advice("remove =required to boot with changes in RAM"))
            }
            Err(why) => {
                self.exec.unwind(mark);
                let text = format!("{KEPT}: {why}");
                log::warn!("{text}, using RAM");
                self.report.fallbacks.push(text);
                Ok(None)
            }
        }
    }

    fn automatic(&mut self, medium: &MediumFacts) -> Result<Area, String> {
        let overlay = &self.config.overlay;
        let wish = Wish::of(overlay).ok_or("no automatic area was asked for")?;
        let identity = Identity::of(medium);
        let devices = self.watch.devices();
        let site = match (&medium.origin, self.exec.node(Slot::Host)) {
            (Origin::Device(node), _) => probe::disk(self.env, &devices, medium, node, false),
            (Origin::File(_), Some(host)) => {
                let host = self.without_root(host);
                let bound = persist::bound_path(wish.cowfile_path, &identity);
                probe::host(self.env, &devices, &host, &self.points.host, (wish.cowfile_path, &bound))
            }
            (Origin::File(file), None) => Site::Nowhere(format!("{} is in the initrd", file.display())),
        };
        persist::automatic(&wish, &self.points, &identity, &site)
    }

    /// The file system of an ISO file is searched without replaying its journal, which cannot be made writable later.
    /// Where changes will be kept on it, and nothing forbids that, it is mounted again in the usual way.
    pub(super) fn host_for_changes(&mut self, device: &Device) -> Result<(), Stop> {
        let overlay = &self.config.overlay;
        let Some(wish) = Wish::of(overlay).filter(|wish| !wish.encrypt) else { return Ok(()) };
        let paths = (wish.cowfile_path, wish.cowfile_path);
        let site = probe::host(self.env, &self.watch.devices(), &device.node, &self.points.host, paths);
        let allowed = matches!(&site, Site::Host(host) if host.refusal.is_none());
        let steps = acquire::host_for_changes(&self.points, device).filter(|_| allowed);
        steps.map_or(Ok(()), |steps| self.exec.run("acquire", &steps))
    }

    /// The path of a node as the devices list has it.
    fn without_root(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.env.root()).map_or_else(|_| path.to_owned(), |path| Path::new("/").join(path))
    }

    /// Waits for the named device, mounts it, and looks what is there.
    fn named(&mut self, medium: &MediumFacts, selector: &Selector, path: Option<&Path>) -> Result<Area, String> {
        let at = self.points.named.clone();
        let default = || persist::named_path(&self.config.live_dir, &Identity::of(medium));
        let path = path.map_or_else(default, Path::to_owned);
        let Some(device) = self.wait_for(selector)? else {
            let Selector::Label(label) = selector else { return Err(format!("{selector} is not there")) };
            let (node, kind) = self.make_named(medium, label)?;
            let site = NamedSite { node, kind, at, path, found: Found::Absent };
            return persist::named(&self.config.overlay, &self.points, &site);
        };
        let kind = device.superblock.as_ref().map(|found| found.kind);
        let Some(kind) = kind.filter(|kind| kind.driver().is_some()) else {
            let what = kind.map_or("no file system that is known", Kind::name);
            return Err(format!("{} holds {what}", device.node.display()));
        };
        if device.read_only {
            return Err(format!("{} refuses writes", device.node.display()));
        }
        let steps = acquire::named(&self.points, &device.node, kind);
        self.exec.run("acquire", &steps).map_err(|stop| stop.cause)?;
        let found = probe::at_path(self.env, &at, &path);
        let site = NamedSite { node: device.node, kind, at, path, found };
        persist::named(&self.config.overlay, &self.points, &site)
    }

    /// Makes the partition that was named but does not exist, in free space of the boot disk.
    fn make_named(&mut self, medium: &MediumFacts, label: &str) -> Result<(PathBuf, Kind), String> {
        let Origin::Device(node) = &medium.origin else {
            return Err("the medium is a file, so there is no boot disk for a new partition".to_owned());
        };
        let Site::Disk(disk) = probe::disk(self.env, &self.watch.devices(), medium, node, true) else {
            return Err(format!("{} is on no disk that can be written to", node.display()));
        };
        let cowfs = self.config.overlay.autooverlay.as_deref().unwrap_or_default();
        let made = persist::partition_named(&disk, cowfs, label, &self.points)?;
        self.exec.run("acquire", &made.steps).map_err(|stop| stop.cause)?;
        Ok((made.node, made.kind))
    }

    /// The named device; `None` when it is to be made.
    fn wait_for(&mut self, selector: &Selector) -> Result<Option<Device>, String> {
        let deadline = self.watch.begin() + self.config.deadline;
        let mut said = false;
        loop {
            let devices = self.watch.devices();
            // A disk and its partition may carry the same label; the partition is the one that can be mounted.
            let mut found: Vec<_> = devices.into_iter().filter(|device| discover::selects(selector, device)).collect();
            found.sort_by_key(|device| device.parent.is_none());
            if let Some(device) = found.into_iter().next() {
                return Ok(Some(device));
            }
            let settled = self.watch.quiet() && self.watch.silence() >= SILENCE;
            if settled && self.config.overlay.autooverlay.is_some() && matches!(selector, Selector::Label(_)) {
                return Ok(None);
            }
            if !said && self.watch.quiet() {
                log::info!(target: NOTICE, "waiting for {selector}, where changes are kept");
                said = true;
            }
            let until = if settled { deadline } else { deadline.min(Instant::now() + SILENCE) };
            if !self.watch.wait(until) && Instant::now() >= deadline {
                return Err(format!("{selector} did not appear within {} s", self.config.deadline.as_secs()));
            }
        }
    }

    /// What the report says about writing, once the root is there. `area` is the one that was planned.
    pub(super) fn write_mode(&mut self, area: Option<&Area>) {
        let kept = area.filter(|_| !self.exec.fallbacks.iter().any(|text| text.starts_with(KEPT)));
        let mut notes = std::mem::take(&mut self.exec.notes);
        notes.extend(area.iter().flat_map(|area| area.notes.clone()));
        self.report.write_mode = Some(WriteMode {
            method: "overlayfs".into(),
            persistence: kept.map_or("temporary", |area| area.persistence).into(),
            size: self.config.overlay.size.to_string(),
            place: kept.map(|area| area.place.clone()),
            readonly: kept.is_some_and(|area| area.readonly),
            notes,
        });
    }
}
