//! Where changes are kept over a reboot: a partition on the boot disk, a file beside the ISO file, or a place that was
//! named. Pure; what cannot be is an [`Obstacle`], never a second try that nobody sees.

use std::path::{Path, PathBuf};

use super::acquire::driver;
use super::act::{AreaAct, Target};
use super::common::{checked, mount, or_anew, reach, reach_as_found};
use super::crypt;
use super::points::Points;
use super::step::{NO_LINKS, Step};
use super::wanted::Finding;
use crate::area::{DiskSite, Found, Identity, LABEL, Nothing, Obstacle, Part, Site};
use crate::config::{AreaFs, Overlay, Wish};
use crate::format::Kind;
use crate::table::{Gap, PARTITION_NAME, name};

/// A persistent area: the steps that bring it into reach, and what the overlay then uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    /// What to do.
    pub steps: Vec<Step>,
    /// Upper directory.
    pub upper: PathBuf,
    /// Work directory, on the same mount.
    pub work: PathBuf,
    /// `partition`, `file` or `named`, for the report.
    pub persistence: &'static str,
    /// Device or file, for the report.
    pub place: String,
    /// It lies in a LUKS volume.
    pub encrypted: bool,
    /// A failure ends the boot instead of falling back to RAM.
    pub required: bool,
    /// Show what is kept, keep nothing new.
    pub readonly: bool,
    /// It is no file system, but the store of a device-mapper snapshot: its device is in [`Slot::Cow`].
    pub store: bool,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// Plans what `rd.live.overlay.persistent` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// How the root becomes writable.
    pub overlay: &'a Overlay,
    /// What the area is to be like.
    pub wish: &'a Wish,
    /// Where things are mounted.
    pub points: &'a Points,
    /// The image that is booted.
    pub image: &'a Identity,
}

impl<'a> Planner<'a> {
    /// A planner, if an automatic area is what is asked for.
    pub fn of(overlay: &'a Overlay, points: &'a Points, image: &'a Identity) -> Option<Self> {
        overlay.wish().map(|wish| Self { overlay, wish, points, image })
    }

    /// The smallest area worth making, in bytes.
    pub(super) fn least(&self, kind: Kind) -> u64 {
        least(kind) + if self.wish.encrypt { crypt::HEADER } else { 0 }
    }

    /// Makes the file system of a new area, inside a LUKS volume if that was asked for.
    pub(super) fn made(&self, target: Target, kind: Kind, label: Option<&str>) -> Vec<Step> {
        let label = label.map(str::to_owned);
        match self.wish.encrypt {
            false => vec![Step::Area(AreaAct::Format { target, fs: kind, label })],
            true => self.encrypted(target, kind, label),
        }
    }

    /// Opens what [`Planner::made`] has made.
    pub(super) fn unlocked(&self, place: &str) -> Option<Step> {
        self.wish.encrypt.then(|| crypt::unlock(crypt::automatic(self.overlay, place)))
    }

    /// Nothing is written to an area without encryption when encryption was asked for (kiwi-live spec W-15).
    pub(super) fn refuse_plain(&self, place: String) -> Result<(), Obstacle> {
        if self.wish.encrypt { Err(Obstacle::PlainArea(place)) } else { Ok(()) }
    }

    /// The file system of a new area.
    pub(super) fn kind(&self) -> Result<Kind, Obstacle> {
        area_kind(&self.wish.cowfs)
    }

    /// An area on the boot disk or beside the ISO file.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn automatic(&self, site: &Site) -> Result<Area, Obstacle> {
        let (steps, persistence, place, notes) = match site {
            Site::Nowhere(why) => return Err(why.clone()),
            Site::Disk(disk) => {
                let (steps, place) = self.on_disk(disk)?;
                let foreign = disk.foreign.iter();
                let foreign = foreign.map(|text| format!("not used, because it is not on the boot disk: {text}"));
                let notes = foreign.chain(self.passed_over(disk)).collect();
                (steps, "partition", place, notes)
            }
            Site::Host(host) => {
                let (steps, place) = self.in_file(host)?;
                let other = self.other_images(host).filter(|_| !matches!(host.bound, Found::File(_)));
                let asked = self.wish.cowfile_path.display();
                let notes = other.map(|other| {
                    format!("{asked} is encrypted and belongs to another image ({other}), it is left as it is")
                });
                (steps, "file", place, notes.into_iter().collect())
            }
        };
        Ok(self.complete(steps, persistence, place, notes))
    }

    /// An automatic area, once it is known how to reach it.
    pub(super) fn complete(
        &self,
        steps: Vec<Step>,
        persistence: &'static str,
        place: String,
        notes: Vec<String>,
    ) -> Area {
        let at = self.area_point();
        let (upper, work) = in_area(at);
        let mut area = Area {
            steps,
            upper,
            work,
            persistence,
            place,
            encrypted: self.wish.encrypt,
            required: self.wish.required,
            readonly: self.overlay.readonly,
            store: false,
            notes,
        };
        area.directories(self.points);
        area
    }

    fn on_disk(&self, disk: &DiskSite) -> Result<(Vec<Step>, String), Obstacle> {
        let node = disk.node();
        if disk.read_only && !self.overlay.readonly {
            return Err(Obstacle::WriteProtected(node));
        }
        if let Some(part) = &disk.area {
            self.refuse_plain(part.device.node.display().to_string())?;
            return Ok((self.existing(disk, part)?, part.device.node.display().to_string()));
        }
        if self.overlay.readonly {
            return Err(Obstacle::NothingToShow { place: node.display().to_string(), nothing: Nothing::Area });
        }
        let kind = self.kind()?;
        let (target, slot, place) = if let Some(part) = self.usable(disk, kind) {
            let (seen, start, size) = (disk.seen(), part.start, part.device.size);
            let target = match self.is_discarded(part) {
                true => Target::Discarded { disk: seen, start, size },
                false => Target::Partition { disk: seen, start, size },
            };
            (target, vec![reach(disk, &part.device.node, part.start, part.device.size)], part.device.node.clone())
        } else if let Some(gap) = disk.gap.filter(|gap| gap.size >= self.least(kind)) {
            let part = Path::new("/dev").join(name::of(&disk.name, gap.number));
            let Gap { start, size, .. } = gap;
            let add = Step::Area(AreaAct::AddPartition { disk: disk.seen().made_in_part(), image: disk.image, gap });
            (
                Target::Gap { disk: disk.seen(), image: disk.image, gap },
                vec![add, reach(disk, &part, start, size)],
                part,
            )
        } else {
            return Err(no_room(disk, kind, self.least(kind)));
        };
        let mut steps = driver(kind);
        steps.extend(self.made(target, kind, Some(LABEL)));
        steps.extend(slot);
        steps.extend(self.unlocked(&place.display().to_string()));
        steps.extend(self.mounted(kind));
        Ok((steps, place.display().to_string()))
    }

    /// Whether a reset gives the partition up, whatever is in it: its name in the table says that it is ours.
    fn is_discarded(&self, part: &Part) -> bool {
        self.overlay.reset && part.device.part_label.as_deref() == Some(PARTITION_NAME)
    }

    /// The unused partition; none that may hold something, where there is other room.
    fn usable<'d>(&self, disk: &'d DiskSite, kind: Kind) -> Option<&'d Part> {
        let part = disk.unused.as_ref()?;
        let elsewhere = disk.gap.is_some_and(|gap| gap.size >= self.least(kind));
        let left = disk.unused_doubt.is_some() && elsewhere && !self.is_discarded(part);
        (!left).then_some(part)
    }

    /// What to say of an unused partition that is left as it is.
    fn passed_over(&self, disk: &DiskSite) -> Option<String> {
        let (part, doubt) = (disk.unused.as_ref()?, disk.unused_doubt.as_ref()?);
        let chosen = disk.area.is_some() || self.kind().is_ok_and(|kind| self.usable(disk, kind).is_some());
        (!chosen).then(|| format!("{} is left as it is, for {doubt}", part.device.node.display()))
    }

    /// A partition that is there: checked, mounted, and used if it is this image's.
    fn existing(&self, disk: &DiskSite, part: &Part) -> Result<Vec<Step>, Obstacle> {
        let found = part.device.superblock.as_ref().map(|found| found.kind);
        let Some(kind) = found.filter(|kind| is_area(*kind)) else {
            return Err(Obstacle::Holds { place: part.device.node.display().to_string(), kind: found, volume: false });
        };
        let mut steps = driver(kind);
        let found = reach_as_found(disk, part, self.overlay.access());
        steps.push(found.clone());
        let mut used = checked(self.overlay, kind);
        // There is only one area on a disk, and a reset empties it, whosever it was.
        used.extend(self.mounted_by(kind, self.wish.accept || self.overlay.reset));
        if self.overlay.reset && !self.overlay.readonly {
            let target = Target::Discarded { disk: disk.seen(), start: part.start, size: part.device.size };
            let fs = self.kind()?;
            let mut anew = driver(fs);
            anew.push(Step::Area(AreaAct::Format { target, fs, label: Some(LABEL.to_owned()) }));
            anew.push(reach(disk, &part.device.node, part.start, part.device.size));
            anew.extend(self.mounted(fs));
            used = or_anew(used, Some(found), anew, Finding::AreaDamaged);
        }
        steps.extend(used);
        Ok(steps)
    }

    /// Where the area is mounted. When it is only shown, the temporary area that is used beside it has its usual place.
    fn area_point(&self) -> &'a Path {
        if self.overlay.readonly { &self.points.named } else { &self.points.persistent }
    }

    /// Mounts the area and asks it whom it belongs to.
    pub(super) fn mounted(&self, kind: Kind) -> Vec<Step> {
        self.mounted_by(kind, self.wish.accept)
    }

    /// As [`Planner::mounted`]; `accept` says that it may have been made for another image.
    pub(super) fn mounted_by(&self, kind: Kind, accept: bool) -> Vec<Step> {
        let at = self.area_point();
        let write = !self.overlay.readonly;
        let reset = write && self.overlay.reset;
        let (image, write_mark) = (self.image.clone(), write && !reset);
        let mut steps = vec![
            mount_own(kind, write, at),
            Step::Area(AreaAct::Identity { at: at.to_owned(), image, accept, write: write_mark }),
        ];
        // The mark comes last: under it lies nothing of another image, however far this comes.
        if reset {
            let (upper, work) = in_area(at);
            steps.push(Step::Area(AreaAct::SetAside { upper, work }));
            steps.push(Step::Area(AreaAct::Mark { at: at.to_owned(), image: self.image.clone() }));
        }
        steps
    }
}

/// The file system of a new area, by its name.
pub(super) fn area_kind(cowfs: &AreaFs) -> Result<Kind, Obstacle> {
    match cowfs {
        AreaFs::Known(kind) => Ok(*kind),
        AreaFs::Unknown(name) => Err(Obstacle::UnknownFs(name.clone())),
    }
}

/// The smallest area worth making, in bytes: what each mkfs needs, and some room.
pub fn least(kind: Kind) -> u64 {
    match kind {
        Kind::Xfs => 320 << 20,
        Kind::Btrfs => 128 << 20,
        _ => 32 << 20,
    }
}

/// The path of a cow file that bears the name of its image, beside the one that was asked for. The volume id alone is
/// no name: KIWI gives the same one to every image (kiwi-live W-02).
pub fn bound_path(asked: &Path, identity: &Identity) -> PathBuf {
    let parts: Vec<&str> =
        [&identity.volume_id, &identity.image_uuid].into_iter().flatten().map(String::as_str).collect();
    let clean: String =
        parts.join("-").chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let stem = asked.file_stem().unwrap_or_default().to_string_lossy();
    let extension = asked.extension().map_or(String::new(), |text| format!(".{}", text.to_string_lossy()));
    asked.with_file_name(format!("{stem}-{clean}{extension}"))
}

/// The name of a dmsquash area on its file system: `<live dir>/overlay-<label>-<uuid>` (dracut-live spec 1.4).
pub fn named_path(live_dir: &str, identity: &Identity) -> PathBuf {
    let text = |part: &Option<String>| part.clone().unwrap_or_default().replace('/', "_");
    Path::new(live_dir).join(format!("overlay-{}-{}", text(&identity.volume_id), text(&identity.image_uuid)))
}

impl Area {
    /// What an area ends with that has no mark: empty it if asked for, then as all others.
    pub(super) fn finish(&mut self, overlay: &Overlay, points: &Points) {
        if overlay.reset && !self.readonly {
            self.steps.push(Step::Area(AreaAct::SetAside { upper: self.upper.clone(), work: self.work.clone() }));
        }
        self.directories(points);
    }

    /// Make the directories, point the usual names at them.
    fn directories(&mut self, points: &Points) {
        if self.readonly {
            self.steps.push(Step::Symlink { at: points.upper_readonly.clone(), to: self.upper.clone() });
            return;
        }
        if let Some(dir) = self.upper.parent() {
            self.steps.push(Step::Area(AreaAct::Sweep { dir: dir.to_owned() }));
        }
        self.steps.push(AreaAct::MakeDir { path: self.upper.clone() }.into());
        self.steps.push(AreaAct::MakeDir { path: self.work.clone() }.into());
        for (at, to) in [(&points.upper, &self.upper), (&points.work, &self.work)] {
            if at != to {
                self.steps.push(Step::Symlink { at: at.clone(), to: to.clone() });
            }
        }
    }
}

/// Why a new partition does not find `needs` bytes.
pub(super) fn no_room(disk: &DiskSite, kind: Kind, needs: u64) -> Obstacle {
    let node = disk.node();
    match disk.gap {
        Some(Gap { size: has, .. }) => {
            let place = format!("the room on {}", node.display());
            Obstacle::TooSmall { place, has, what: kind.name().to_owned(), needs }
        }
        None => Obstacle::NoGap { node, why: disk.no_gap.clone() },
    }
}

/// Whether an overlay's upper directory may lie on it, and we know how to look after it.
pub fn is_area(kind: Kind) -> bool {
    matches!(kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs)
}

/// Upper and work directory of an automatic area.
fn in_area(at: &Path) -> (PathBuf, PathBuf) {
    (at.join("rw"), at.join("work"))
}

/// Mounts an area on which nothing but our own directories lies: no link on it is followed. One made by kiwi-live has none either.
fn mount_own(kind: Kind, write: bool, at: &Path) -> Step {
    match mount(kind, write, at) {
        Step::Mount { what, fs, access, mut options, at } => {
            options.push(NO_LINKS.to_owned());
            Step::Mount { what, fs, access, options, at }
        }
        step => step,
    }
}
