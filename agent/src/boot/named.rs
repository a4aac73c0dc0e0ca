//! A place for changes on a device that was named: it is waited for, looked at, and made where that was asked for.

use std::path::{Path, PathBuf};

use super::area::is_btrfs;
use super::{Boot, Tone};
use crate::area::course::{Course, GRACE_NAMED};
use crate::area::{Found, Identity, NamedSite, NewStore, Nothing, Obstacle, Site, in_place};
use crate::config::{Access, Selector, TmpfsSize};
use crate::facts::{Device, MediumFacts, Next, Origin, SILENCE, Subvolume};
use crate::format::Kind;
use crate::plan::named::Made;
use crate::plan::persist::Area;
use crate::plan::{Step, acquire, named};

/// What is at a named path, from one of the roots of its file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct There {
    pub root: Subvolume,
    pub found: Found,
    pub stranger: bool,
    pub new_store: NewStore,
}

impl Boot<'_> {
    /// Waits for the named device, mounts it, and looks what is there.
    pub(super) fn named(
        &mut self,
        medium: Option<&MediumFacts>,
        selector: &Selector,
        path: Option<&Path>,
    ) -> Result<Area, Obstacle> {
        let overlay = &self.config.overlay;
        let automatic = path.is_none();
        let path = self.named_path(medium, path);
        let Some(device) = self.wait_for(selector, medium.is_some())? else {
            let (Selector::Label(label), Some(medium)) = (selector.readings()[1], medium) else {
                return Err(Obstacle::not_there(selector));
            };
            let made = self.plan_named(medium, label);
            let made = made.map_err(|why| Obstacle::NoLabel { label: label.clone(), why: Box::new(why) })?;
            return self.made(Some(medium), path, made);
        };
        let all = self.all_of(&device);
        self.for_changes(|boot| all.iter().try_for_each(|member| boot.awake(&member.node)))?;
        if let Some(medium) = medium
            && self.below(medium).is_some_and(|below| all.iter().any(|member| member.node == below.node))
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
        if let Some(member) = all.into_iter().find(|member| member.read_only && !overlay.readonly) {
            return Err(Obstacle::WriteProtected(member.node));
        }
        if !overlay.readonly {
            in_place(&device)?;
        }
        // What it shows may be the beginning of what was to be made there.
        let complete = |_: &Kind| !self.world.is_begun(&device);
        match device.superblock.as_ref().map(|found| found.kind).filter(complete) {
            Some(Kind::SnapshotCow) if automatic => Ok(named::store_device(overlay, device.seen())),
            Some(kind) if kind.driver().is_some() => self.on_device(medium, &device, kind, path),
            Some(kind) => Err(Obstacle::Holds { place: node.to_string(), kind: Some(kind), volume: false }),
            None => match &device.unreadable {
                Some(why) => Err(Obstacle::Unreadable { node: device.node.clone(), why: why.clone() }),
                None => self.made(medium, path, named::format(overlay, &device, &self.points)?),
            },
        }
    }

    /// An area on a file system that is made first.
    fn made(&mut self, medium: Option<&MediumFacts>, path: PathBuf, made: Made) -> Result<Area, Obstacle> {
        self.perform("acquire", &made.steps)?;
        let site = self.named_site(medium, made.node, made.kind, path);
        named::area(&self.config.overlay, &self.points, &site)
    }

    /// A named place where nothing is known to be yet.
    fn named_site(&self, medium: Option<&MediumFacts>, node: PathBuf, kind: Kind, path: PathBuf) -> NamedSite {
        let (at, image) = (self.points.named.clone(), medium.map(Identity::of));
        let new_store = self.new_store(&at, &path, Found::Absent);
        NamedSite {
            node,
            kind,
            at,
            path,
            found: Found::Absent,
            stranger: false,
            shared: None,
            other_root: None,
            image,
            new_store,
        }
    }

    /// Whether a store or a cow file is made at a `path` where nothing is, or nothing but zeros, on the file system that is mounted `at`.
    pub(super) fn new_store(&self, at: &Path, path: &Path, found: Found) -> NewStore {
        if let (Some(mib), Found::Absent | Found::Zeros) = (self.config.overlay.cow_file_mib, found) {
            // One of zeros keeps its length, and has its room.
            let there = (found == Found::Zeros).then(|| self.world.identify(&at.join(path)));
            return match there {
                Some(there) => NewStore::Of { size: there.map_or(0, |(_, size)| size), free: u64::MAX },
                None => NewStore::Of { size: mib.saturating_mul(1 << 20), free: self.world.free(at, path) },
            };
        }
        match self.config.overlay.size {
            _ if !self.takes_store => NewStore::No,
            TmpfsSize::Bytes(size @ 1..) => NewStore::Of { size, free: self.world.free(at, path) },
            TmpfsSize::Bytes(0) | TmpfsSize::Percent(_) => NewStore::NoSize,
        }
    }

    /// An area on the file system of a device, which is mounted for it.
    fn on_device(
        &mut self,
        medium: Option<&MediumFacts>,
        device: &Device,
        kind: Kind,
        path: PathBuf,
    ) -> Result<Area, Obstacle> {
        let (at, readonly) = (self.points.named.clone(), self.config.overlay.readonly);
        // What Windows has written down of its sleep, and our own note, show only when their file systems are mounted.
        let look = matches!(kind, Kind::Ntfs | Kind::Vfat | Kind::Exfat);
        if !look {
            let all = self.all_of(device);
            self.for_changes(|boot| all.iter().try_for_each(|member| boot.not_in_use(member, None)))?;
        }
        self.gather(device)?;
        let steps = acquire::named(&self.points, device, kind, readonly || look);
        let mounted = self.perform_or_show("acquire", &steps, readonly);
        mounted.map_err(|stop| self.scattered(&device.name, stop))?;
        if look {
            self.for_changes(|boot| boot.not_in_use(device, Some((&at, &path))))?;
        }
        if look && !readonly {
            self.perform("acquire", &[Step::Remount { at: at.clone() }])?;
        }
        let there = self.root_for(device, (&at, Subvolume::Default), &path)?;
        if there.root == Subvolume::Top {
            let access = if readonly || device.read_only { Access::ReadOnly } else { Access::ReadWrite };
            self.perform_or_show("acquire", &acquire::named_top(&self.points, access), readonly)?;
        }
        let There { found, stranger, new_store, .. } = there;
        let site = NamedSite { found, stranger, new_store, ..self.named_site(medium, device.node.clone(), kind, path) };
        let area = named::area(&self.config.overlay, &self.points, &site);
        // What is only shown is not replayed.
        area.map_err(|why| if readonly { self.unreplayed(device, false, why.into()).into() } else { why })
    }

    /// What is at a path of a file system that is mounted `at`. A btrfs has two roots, and this one is mounted from the `current` one: the
    /// path is looked for from the default subvolume, then from the top level. A new one is made where its first directory is, in the same
    /// order (field.md G).
    pub(super) fn root_for(
        &mut self,
        device: &Device,
        (at, current): (&Path, Subvolume),
        path: &Path,
    ) -> Result<There, Obstacle> {
        let here = self.there(at, current, path);
        if !is_btrfs(device) || (current == Subvolume::Default && here.found != Found::Absent) {
            return Ok(here);
        }
        let other = if current == Subvolume::Top { Subvolume::Default } else { Subvolume::Top };
        let (mark, look) = (self.world.mark(), self.points.look.clone());
        self.perform("acquire", &acquire::other_root(&self.points, device, other)?)?;
        let there = self.there(&look, other, path);
        let (mut default, mut top) = ((here, self.has_first(at, path)), (there, self.has_first(&look, path)));
        self.undo(mark);
        if current == Subvolume::Top {
            std::mem::swap(&mut default, &mut top);
        }
        let is = |(there, first): &(There, bool)| (there.found != Found::Absent, *first);
        Ok(match (is(&default), is(&top)) {
            ((true, _), _) => default.0,
            (_, (true, _)) | ((_, false), (_, true)) => top.0,
            _ => default.0,
        })
    }

    fn there(&self, at: &Path, root: Subvolume, path: &Path) -> There {
        let found = self.found_at(at, path);
        let stranger = self.world.is_stranger(at, path);
        There { root, found, stranger, new_store: self.new_store(at, path, found) }
    }

    /// Whether the first of the directories that lead to a path is there.
    pub(super) fn has_first(&self, at: &Path, path: &Path) -> bool {
        let first = path.iter().next().filter(|first| Path::new(first) != path);
        first.is_none_or(|first| self.world.found(at, Path::new(first)) == Found::Directory)
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

    /// The named device; `None` when it is to be made.
    pub(super) fn wait_for(&mut self, selector: &Selector, may_make: bool) -> Result<Option<Device>, Obstacle> {
        let course = Course::new(self.config, selector, may_make);
        let _waiting = self.watchdog().doing(format!("waiting for {selector}, where changes are kept"));
        let mut said = false;
        self.until_known(|boot, view| {
            let next = course.next(view, |node| boot.world.is_looped(node));
            if matches!(next, Next::Wait(until) if until > view.now + SILENCE && !std::mem::replace(&mut said, true)) {
                let most = GRACE_NAMED.as_secs();
                boot.say(Tone::Notice, format!("waiting for {selector}, where changes are kept, at most {most} s"));
            }
            next
        })
    }
}
