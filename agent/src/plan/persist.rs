//! Where changes are kept over a reboot: a partition on the boot disk, a file beside the ISO file, or a place that was
//! named. Pure; what cannot be is an [`Obstacle`], never a second try that nobody sees.

use std::path::{Path, PathBuf};

use super::acquire::{driver, mount_kind};
use super::act::{AreaAct, Target};
use super::cowfile;
use super::crypt;
use super::points::Points;
use super::slot::Slot;
use super::step::{NO_LINKS, Step};
use crate::area::{DiskSite, Found, Identity, LABEL, Nothing, Obstacle, Part, Site};
use crate::config::{Access, Overlay, Persistence};
use crate::error::Code;
use crate::facts::Seen;
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

/// What `rd.live.overlay.persistent` and its details ask for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// How the root becomes writable.
    pub overlay: &'a Overlay,
    /// File system of a new area.
    pub cowfs: &'a str,
    /// MiB of a new cow file.
    pub cowfile_mib: u64,
    /// Path of the cow file.
    pub cowfile_path: &'a Path,
    /// Stop instead of falling back.
    pub required: bool,
    /// Use the area although it was made for another image.
    pub accept: bool,
    /// Encryption was asked for.
    pub encrypt: bool,
}

impl<'a> Wish<'a> {
    /// The wish for an automatic area, if that is what is asked for.
    pub fn of(overlay: &'a Overlay) -> Option<Self> {
        let Some(Persistence::Automatic { required, accept, cowfs, cowfile_mib, cowfile_path, encrypt }) =
            &overlay.persistence
        else {
            return None;
        };
        let (cowfile_mib, required, accept, encrypt) = (*cowfile_mib, *required, *accept, *encrypt);
        Some(Self { overlay, cowfs, cowfile_mib, cowfile_path, required, accept, encrypt })
    }

    /// The file system of a new area.
    ///
    /// # Errors
    /// A name that is none of ours.
    pub fn kind(&self) -> Result<Kind, Obstacle> {
        area_kind(self.cowfs)
    }

    /// The smallest area worth making, in bytes.
    pub(super) fn least(&self, kind: Kind) -> u64 {
        least(kind) + if self.encrypt { crypt::HEADER } else { 0 }
    }

    /// Makes the file system of a new area, inside a LUKS volume if that was asked for.
    pub(super) fn made(&self, identity: &Identity, target: Target, kind: Kind, label: Option<&str>) -> Vec<Step> {
        let label = label.map(str::to_owned);
        match self.encrypt {
            false => vec![Step::Area(AreaAct::Format { target, fs: kind, label })],
            true => crypt::made(self.overlay, identity, target, kind, label),
        }
    }

    /// Opens what [`Wish::made`] has made.
    pub(super) fn unlocked(&self, place: &str) -> Option<Step> {
        self.encrypt.then(|| crypt::unlock(crypt::automatic(self.overlay, place)))
    }

    /// Nothing is written to an area without encryption when encryption was asked for (kiwi-live spec W-15).
    pub(super) fn refuse_plain(&self, place: String) -> Result<(), Obstacle> {
        if self.encrypt { Err(Obstacle::PlainArea(place)) } else { Ok(()) }
    }
}

pub(super) fn area_kind(cowfs: &str) -> Result<Kind, Obstacle> {
    match cowfs {
        "ext4" => Ok(Kind::Ext4),
        "xfs" => Ok(Kind::Xfs),
        "btrfs" => Ok(Kind::Btrfs),
        other => Err(Obstacle::UnknownFs(other.to_owned())),
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

/// An area on the boot disk or beside the ISO file.
///
/// # Errors
/// Why there can be none.
pub fn automatic(wish: &Wish<'_>, points: &Points, identity: &Identity, site: &Site) -> Result<Area, Obstacle> {
    let (steps, persistence, place, notes) = match site {
        Site::Nowhere(why) => return Err(why.clone()),
        Site::Disk(disk) => {
            let (steps, place) = on_disk(wish, points, identity, disk)?;
            let foreign = disk.foreign.iter();
            let foreign = foreign.map(|text| format!("not used, because it is not on the boot disk: {text}"));
            let notes = foreign.chain(passed_over(wish, disk)).collect();
            (steps, "partition", place, notes)
        }
        Site::Host(host) => {
            let (steps, place) = cowfile::in_file(wish, points, identity, host)?;
            let other = crypt::other_images(wish, identity, host).filter(|_| !matches!(host.bound, Found::File(_)));
            let asked = wish.cowfile_path.display();
            let notes = other.map(|other| {
                format!("{asked} is encrypted and belongs to another image ({other}), it is left as it is")
            });
            (steps, "file", place, notes.into_iter().collect())
        }
    };
    Ok(complete(wish, points, steps, persistence, place, notes))
}

/// An automatic area, once it is known how to reach it.
pub(super) fn complete(
    wish: &Wish<'_>,
    points: &Points,
    steps: Vec<Step>,
    persistence: &'static str,
    place: String,
    notes: Vec<String>,
) -> Area {
    let at = area_point(wish, points);
    let (upper, work) = in_area(at);
    let mut area = Area {
        steps,
        upper,
        work,
        persistence,
        place,
        encrypted: wish.encrypt,
        required: wish.required,
        readonly: wish.overlay.readonly,
        store: false,
        notes,
    };
    area.directories(points);
    area
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

fn on_disk(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    disk: &DiskSite,
) -> Result<(Vec<Step>, String), Obstacle> {
    let node = disk.node();
    if disk.read_only && !wish.overlay.readonly {
        return Err(Obstacle::WriteProtected(node));
    }
    if let Some(part) = &disk.area {
        wish.refuse_plain(part.device.node.display().to_string())?;
        return Ok((existing(wish, points, identity, disk, part)?, part.device.node.display().to_string()));
    }
    if wish.overlay.readonly {
        return Err(Obstacle::NothingToShow { place: node.display().to_string(), nothing: Nothing::Area });
    }
    let kind = wish.kind()?;
    let (target, slot, place) = if let Some(part) = usable(wish, disk, kind) {
        let (seen, start, size) = (disk.seen(), part.start, part.device.size);
        let target = match is_discarded(wish, part) {
            true => Target::Discarded { disk: seen, start, size },
            false => Target::Partition { disk: seen, start, size },
        };
        (target, vec![reach(disk, &part.device.node, part.start, part.device.size)], part.device.node.clone())
    } else if let Some(gap) = disk.gap.filter(|gap| gap.size >= wish.least(kind)) {
        let part = Path::new("/dev").join(name::of(&disk.name, gap.number));
        let Gap { start, size, .. } = gap;
        let add = Step::Area(AreaAct::AddPartition { disk: disk.seen().made_in_part(), image: disk.image, gap });
        (Target::Gap { disk: disk.seen(), image: disk.image, gap }, vec![add, reach(disk, &part, start, size)], part)
    } else {
        return Err(no_room(disk, kind, wish.least(kind)));
    };
    let mut steps = driver(kind);
    steps.extend(wish.made(identity, target, kind, Some(LABEL)));
    steps.extend(slot);
    steps.extend(wish.unlocked(&place.display().to_string()));
    steps.extend(mounted(wish, points, identity, kind));
    Ok((steps, place.display().to_string()))
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

/// Whether a reset gives the partition up, whatever is in it: its name in the table says that it is ours.
fn is_discarded(wish: &Wish<'_>, part: &Part) -> bool {
    wish.overlay.reset && part.device.part_label.as_deref() == Some(PARTITION_NAME)
}

/// The unused partition; none that may hold something, where there is other room.
fn usable<'a>(wish: &Wish<'_>, disk: &'a DiskSite, kind: Kind) -> Option<&'a Part> {
    let part = disk.unused.as_ref()?;
    let elsewhere = disk.gap.is_some_and(|gap| gap.size >= wish.least(kind));
    let left = disk.unused_doubt.is_some() && elsewhere && !is_discarded(wish, part);
    (!left).then_some(part)
}

/// What to say of an unused partition that is left as it is.
fn passed_over(wish: &Wish<'_>, disk: &DiskSite) -> Option<String> {
    let (part, doubt) = (disk.unused.as_ref()?, disk.unused_doubt.as_ref()?);
    let chosen = disk.area.is_some() || wish.kind().is_ok_and(|kind| usable(wish, disk, kind).is_some());
    (!chosen).then(|| format!("{} is left as it is, for {doubt}", part.device.node.display()))
}

/// A partition that is there: checked, mounted, and used if it is this image's.
fn existing(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    disk: &DiskSite,
    part: &Part,
) -> Result<Vec<Step>, Obstacle> {
    let found = part.device.superblock.as_ref().map(|found| found.kind);
    let Some(kind) = found.filter(|kind| is_area(*kind)) else {
        return Err(Obstacle::Holds { place: part.device.node.display().to_string(), kind: found, volume: false });
    };
    let mut steps = driver(kind);
    let found = reach_as_found(disk, part, wish.overlay.access());
    steps.push(found.clone());
    let mut used = checked(wish.overlay, kind);
    // There is only one area on a disk, and a reset empties it, whosever it was.
    used.extend(mounted_by(wish, points, identity, kind, wish.accept || wish.overlay.reset));
    if wish.overlay.reset && !wish.overlay.readonly {
        let target = Target::Discarded { disk: disk.seen(), start: part.start, size: part.device.size };
        let fs = wish.kind()?;
        let mut anew = driver(fs);
        anew.push(Step::Area(AreaAct::Format { target, fs, label: Some(LABEL.to_owned()) }));
        anew.push(reach(disk, &part.device.node, part.start, part.device.size));
        anew.extend(mounted(wish, points, identity, fs));
        used = or_anew(used, Some(found), anew, "the area is damaged, and a reset was asked for");
    }
    steps.extend(used);
    Ok(steps)
}

/// Tries an area that a reset is to empty. One that is damaged is repaired, for more than changes may lie on it, and made anew only when its
/// own checker calls it beyond repair (attacks.md F6). Of XFS and btrfs the kernel is the judge. `reach` brings it into reach once more,
/// where that is not a part of what is tried.
pub(super) fn or_anew(used: Vec<Step>, reach: Option<Step>, anew: Vec<Step>, because: &'static str) -> Vec<Step> {
    let repairs = |always: bool| {
        let repair = |step: &Step| match step {
            Step::Area(AreaAct::Check { what, fs }) if fs.name().starts_with("ext") => {
                Step::Area(AreaAct::Repair { what: *what, always })
            }
            step => step.clone(),
        };
        used.iter().map(repair).collect::<Vec<Step>>()
    };
    let (first, second) = (repairs(false), repairs(true));
    let with = match first == used {
        true => anew,
        false => {
            // `e2fsck -p` would take away what it is afraid of, the journal for one, and give up: it is not even tried.
            let attempt = reach.into_iter().chain(second).collect();
            let because = "it is beyond repair";
            vec![Step::Recover { attempt, from: Code::AreaDamaged, with: anew, because }]
        }
    };
    vec![Step::Recover { attempt: first, from: Code::AreaDamaged, with, because }]
}

/// Whether an overlay's upper directory may lie on it, and we know how to look after it.
pub fn is_area(kind: Kind) -> bool {
    matches!(kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs)
}

/// Names a partition that a step before has made; while the medium is mounted from the whole disk, a window into the disk stands in for it.
pub(super) fn reach(disk: &DiskSite, node: &Path, start: u64, size: u64) -> Step {
    match disk.whole {
        true => Step::Area(AreaAct::Window {
            disk: disk.seen().made_anew(),
            start,
            size,
            access: Access::ReadWrite,
            into: Slot::Cow,
        }),
        false => {
            let device = Seen { node: node.to_owned(), size, part_uuid: None, ..disk.seen().made_anew() };
            Step::Device { device, into: Slot::Cow }
        }
    }
}

/// Checks the area before it is used; one that is only shown stays as it is.
pub(super) fn checked(overlay: &Overlay, kind: Kind) -> Vec<Step> {
    let check = Step::Area(AreaAct::Check { what: Slot::Cow, fs: kind });
    if overlay.readonly { Vec::new() } else { vec![check] }
}

/// Makes the file system that is mounted at `at` writable, if that is needed.
pub(super) fn remounted(overlay: &Overlay, at: &Path) -> Vec<Step> {
    if overlay.readonly { Vec::new() } else { vec![Step::Remount { at: at.to_owned() }] }
}

/// As [`reach`], for a partition that is used as it was found.
pub(super) fn reach_as_found(disk: &DiskSite, part: &Part, access: Access) -> Step {
    match disk.whole {
        true => {
            let (start, size) = (part.start, part.device.size);
            Step::Area(AreaAct::Window { disk: disk.seen(), start, size, access, into: Slot::Cow })
        }
        false => Step::Device { device: part.device.seen(), into: Slot::Cow },
    }
}

/// Where the area is mounted. When it is only shown, the temporary area that is used beside it has its usual place.
fn area_point<'a>(wish: &Wish<'_>, points: &'a Points) -> &'a Path {
    if wish.overlay.readonly { &points.named } else { &points.persistent }
}

/// Mounts the area and asks it whom it belongs to.
pub(super) fn mounted(wish: &Wish<'_>, points: &Points, identity: &Identity, kind: Kind) -> Vec<Step> {
    mounted_by(wish, points, identity, kind, wish.accept)
}

/// As [`mounted`]; `accept` says that it may have been made for another image.
pub(super) fn mounted_by(wish: &Wish<'_>, points: &Points, identity: &Identity, kind: Kind, accept: bool) -> Vec<Step> {
    let at = area_point(wish, points);
    let write = !wish.overlay.readonly;
    let reset = write && wish.overlay.reset;
    let (image, write_mark) = (identity.clone(), write && !reset);
    let mut steps = vec![
        mount_own(kind, write, at),
        Step::Area(AreaAct::Identity { at: at.to_owned(), image, accept, write: write_mark }),
    ];
    // The mark comes last: under it lies nothing of another image, however far this comes.
    if reset {
        let (upper, work) = in_area(at);
        steps.push(Step::Area(AreaAct::SetAside { upper, work }));
        steps.push(Step::Area(AreaAct::Mark { at: at.to_owned(), image: identity.clone() }));
    }
    steps
}

/// Upper and work directory of an automatic area.
fn in_area(at: &Path) -> (PathBuf, PathBuf) {
    (at.join("rw"), at.join("work"))
}

/// Mounts an area. One that is only shown keeps its journal as it is.
pub(super) fn mount(kind: Kind, write: bool, at: &Path) -> Step {
    let access = if write { Access::ReadWrite } else { Access::ReadOnly };
    mount_kind(Slot::Cow, kind, access, at)
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
