//! Where changes are kept over a reboot: a partition on the boot disk, a file beside the ISO file, or a place that was
//! named. Pure; what cannot be is an [`Obstacle`], never a second try that nobody sees.

use std::path::{Path, PathBuf};

use super::acquire::{driver, mount_kind};
use super::crypt;
use super::named;
use super::points::Points;
use super::shown;
use super::step::{NO_LINKS, Replace, Slot, Step, Target};
use crate::area::{DiskSite, Found, HostSite, Identity, LABEL, NamedSite, Nothing, Obstacle, Part, Site, WORK};
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
    fn least(&self, kind: Kind) -> u64 {
        least(kind) + if self.encrypt { crypt::HEADER } else { 0 }
    }

    /// Makes the file system of a new area, inside a LUKS volume if that was asked for.
    fn made(&self, identity: &Identity, target: Target, kind: Kind, label: Option<&str>) -> Vec<Step> {
        let (fs, label) = (kind.name().to_owned(), label.map(str::to_owned));
        match self.encrypt {
            false => vec![Step::Format { target, fs, label }],
            true => crypt::made(&self.overlay.unlock, identity, target, fs, label),
        }
    }

    /// Opens what [`Wish::made`] has made.
    fn unlocked(&self, place: &str) -> Option<Step> {
        self.encrypt.then(|| crypt::unlock(crypt::automatic(&self.overlay.unlock, place)))
    }

    /// Nothing is written to an area without encryption when encryption was asked for (kiwi-live spec W-15).
    fn refuse_plain(&self, place: String) -> Result<(), Obstacle> {
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
            let (steps, place) = in_file(wish, points, identity, host)?;
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
    let steps = if wish.overlay.readonly { shown::only(steps) } else { steps };
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
            self.steps.push(Step::SetAside { upper: self.upper.clone(), work: self.work.clone() });
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
            self.steps.push(Step::Sweep { dir: dir.to_owned() });
        }
        self.steps.push(Step::MakeDir { path: self.upper.clone() });
        self.steps.push(Step::MakeDir { path: self.work.clone() });
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
        let add = Step::AddPartition { disk: disk.seen().made_in_part(), image: disk.image, gap };
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
fn no_room(disk: &DiskSite, kind: Kind, needs: u64) -> Obstacle {
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
    steps.push(reach_as_found(disk, part));
    let mut used = vec![Step::CheckFs { what: Slot::Cow, fs: kind.name().to_owned() }];
    // There is only one area on a disk, and a reset empties it, whosever it was.
    used.extend(mounted_by(wish, points, identity, kind, wish.accept || wish.overlay.reset));
    if wish.overlay.reset && !wish.overlay.readonly {
        let target = Target::Discarded { disk: disk.seen(), start: part.start, size: part.device.size };
        let fs = wish.kind()?;
        let mut anew = driver(fs);
        anew.push(Step::Format { target, fs: fs.name().to_owned(), label: Some(LABEL.to_owned()) });
        anew.push(reach(disk, &part.device.node, part.start, part.device.size));
        anew.extend(mounted(wish, points, identity, fs));
        used = or_anew(used, Some(reach_as_found(disk, part)), anew, "the area is damaged, and a reset was asked for");
    }
    steps.extend(used);
    Ok(steps)
}

/// Tries an area that a reset is to empty. One that is damaged is repaired, for more than changes may lie on it, and made anew only when its
/// own checker calls it beyond repair (attacks.md F6). Of XFS and btrfs the kernel is the judge. `reach` brings it into reach once more,
/// where that is not a part of what is tried.
pub(super) fn or_anew(used: Vec<Step>, reach: Option<Step>, anew: Vec<Step>, because: &str) -> Vec<Step> {
    let repairs = |always: bool| {
        let repair = |step: &Step| match step {
            Step::CheckFs { what, fs } if fs.starts_with("ext") => Step::Repair { what: *what, always },
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
            let because = "it is beyond repair".to_owned();
            vec![Step::Recover { attempt, from: Code::AreaDamaged, with: anew, because }]
        }
    };
    vec![Step::Recover { attempt: first, from: Code::AreaDamaged, with, because: because.to_owned() }]
}

/// Whether an overlay's upper directory may lie on it, and we know how to look after it.
pub fn is_area(kind: Kind) -> bool {
    matches!(kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs)
}

/// Names a partition that a step before has made; while the medium is mounted from the whole disk, a window into the disk stands in for it.
pub(super) fn reach(disk: &DiskSite, node: &Path, start: u64, size: u64) -> Step {
    match disk.whole {
        true => Step::Window { disk: disk.seen().made_anew(), start, size, access: Access::ReadWrite, into: Slot::Cow },
        false => {
            let device = Seen { node: node.to_owned(), size, part_uuid: None, ..disk.seen().made_anew() };
            Step::Device { device, into: Slot::Cow }
        }
    }
}

/// As [`reach`], for a partition that is used as it was found.
pub(super) fn reach_as_found(disk: &DiskSite, part: &Part) -> Step {
    match disk.whole {
        true => {
            let (start, size, access) = (part.start, part.device.size, Access::ReadWrite);
            Step::Window { disk: disk.seen(), start, size, access, into: Slot::Cow }
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
    let mut steps =
        vec![mount_own(kind, write, at), Step::Identity { at: at.to_owned(), image, accept, write: write_mark }];
    // The mark comes last: under it lies nothing of another image, however far this comes.
    if reset {
        let (upper, work) = in_area(at);
        steps.push(Step::SetAside { upper, work });
        steps.push(Step::Mark { at: at.to_owned(), image: identity.clone() });
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

fn in_file(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    host: &HostSite,
) -> Result<(Vec<Step>, String), Obstacle> {
    if let Some(why) = host.refusal.as_ref().filter(|_| !wish.overlay.readonly) {
        return Err(why.clone());
    }
    let asked = points.host.join(wish.cowfile_path);
    let bound = points.host.join(bound_path(wish.cowfile_path, identity));
    // The file that bears this image's name was made for it; the usual name may be another image's.
    let (mut use_it, place) = match (host.bound, host.asked) {
        (found, _) if found.is_content() => (use_or_replace(wish, points, identity, host, (&bound, found))?, &bound),
        // Another image's encrypted file is not even opened, and not reset either.
        _ if crypt::other_images(wish, identity, host).is_some() => {
            (beside_locked(wish, points, identity, host, &bound)?, &bound)
        }
        (_, Found::Absent) => (make_file(wish, points, identity, host, &asked)?, &asked),
        // Under a name that anything may have, what is not known may be anything, and stays.
        (_, Found::File(None)) if wish.overlay.reset => (make_file(wish, points, identity, host, &bound)?, &bound),
        (_, found) => {
            let first = use_or_replace(wish, points, identity, host, (&asked, found))?;
            (with_own_file(wish, points, identity, host, first, &bound), &asked)
        }
    };
    let mut steps = vec![Step::Remount { at: points.host.clone() }];
    steps.append(&mut use_it);
    Ok((steps, format!("{} on {}", below(points, place).display(), host.node.display())))
}

/// A file that is there. When a reset was asked for, a new one takes its place if it holds nothing that is known, or an area
/// that turns out to be damaged.
fn use_or_replace(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    host: &HostSite,
    (file, found): (&Path, Found),
) -> Result<Vec<Step>, Obstacle> {
    let own = points.host.join(bound_path(wish.cowfile_path, identity));
    if wish.overlay.reset && found.is_replaceable(file == own) {
        return make_file(wish, points, identity, host, file);
    }
    let used = use_file(wish, points, identity, file, found)?;
    if !wish.overlay.reset {
        return Ok(used);
    }
    // A damaged file does not say whose it is. The name does, or the operator.
    let may_be_anothers = !(wish.accept || file == own);
    let new = if may_be_anothers { own.as_path() } else { file };
    let Ok(anew) = make_file(wish, points, identity, host, new) else { return Ok(used) };
    Ok(match may_be_anothers {
        true => {
            let because = "the cow file is damaged, a reset was asked for, and it may be another image's, so it stays";
            vec![Step::Recover { attempt: used, from: Code::AreaDamaged, with: anew, because: because.to_owned() }]
        }
        false => or_anew(used, None, anew, "the cow file is damaged, and a reset was asked for"),
    })
}

/// The file under the usual name, or, when it turns out to be another image's, a new one that bears this image's name.
fn with_own_file(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    host: &HostSite,
    first: Vec<Step>,
    bound: &Path,
) -> Vec<Step> {
    let Ok(own) = make_file(wish, points, identity, host, bound) else { return first };
    vec![Step::Recover {
        attempt: first,
        from: Code::AreaOther,
        with: own,
        because: "the cow file belongs to another image".to_owned(),
    }]
}

/// An own file beside the encrypted one of another image.
fn beside_locked(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    host: &HostSite,
    bound: &Path,
) -> Result<Vec<Step>, Obstacle> {
    make_file(wish, points, identity, host, bound).map_err(|why| {
        let owner = crypt::other_images(wish, identity, host).unwrap_or_default();
        Obstacle::OtherImage { owner, image: identity.clone(), no_own: Some(Box::new(why)) }
    })
}

pub(super) fn below<'a>(points: &Points, path: &'a Path) -> &'a Path {
    path.strip_prefix(&points.host).unwrap_or(path)
}

fn use_file(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    file: &Path,
    found: Found,
) -> Result<Vec<Step>, Obstacle> {
    let place = below(points, file).display().to_string();
    let kind = match found {
        Found::File(Some(kind)) if is_area(kind) => {
            wish.refuse_plain(place)?;
            kind
        }
        found => return Err(Obstacle::NoCowFile { place, found }),
    };
    let mut steps = driver(kind);
    steps.push(loop_file(file, Some(found)));
    steps.push(Step::CheckFs { what: Slot::Cow, fs: kind.name().to_owned() });
    steps.extend(mounted(wish, points, identity, kind));
    Ok(steps)
}

pub(super) fn loop_file(file: &Path, found: Option<Found>) -> Step {
    Step::Loop { file: file.to_owned(), access: Access::ReadWrite, direct: false, into: Slot::Cow, found }
}

/// FAT stores the length of a file in 32 bits.
const FAT_LIMIT: u64 = (4 << 30) - 1;

fn make_file(
    wish: &Wish<'_>,
    points: &Points,
    identity: &Identity,
    host: &HostSite,
    file: &Path,
) -> Result<Vec<Step>, Obstacle> {
    let name = below(points, file).display().to_string();
    if wish.overlay.readonly {
        return Err(Obstacle::NothingToShow { place: name, nothing: Nothing::File });
    }
    let kind = wish.kind()?;
    let (size, needs) = (wish.cowfile_mib.saturating_mul(1 << 20), wish.least(kind));
    if size < needs {
        let place = "a cow file of this rd.live.cowfile.mbsize".to_owned();
        return Err(Obstacle::TooSmall { place, has: size, what: kind.name().to_owned(), needs });
    }
    if host.kind == Kind::Vfat && size > FAT_LIMIT {
        return Err(Obstacle::LargeForFat { node: host.node.clone(), file: name, size });
    }
    if size > host.free {
        return Err(Obstacle::HostFull { node: host.node.clone(), free: host.free, file: name, size });
    }
    let mut steps = driver(kind);
    let (there, unknown) = match file == points.host.join(wish.cowfile_path) {
        true => (host.asked, Replace::Area),
        false => (host.bound, Replace::Own),
    };
    let replace = if matches!(there, Found::File(_)) { unknown } else { Replace::Nothing };
    let target = Target::File { path: file.to_owned(), size, replace };
    // kiwi-live gives the file no label, so that it is never found by one.
    steps.extend(wish.made(identity, target, kind, None));
    steps.push(loop_file(file, None));
    steps.extend(wish.unlocked(&name));
    steps.extend(mounted(wish, points, identity, kind));
    Ok(steps)
}

/// A partition that is made because its label was named.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Makes and mounts it.
    pub steps: Vec<Step>,
    /// Its node.
    pub node: PathBuf,
    /// Its file system.
    pub kind: Kind,
}

/// Makes a partition with a label in free space of the boot disk (dracut-live spec 2.9).
///
/// # Errors
/// Why it cannot be.
pub fn partition_named(disk: &DiskSite, cowfs: &str, label: &str, points: &Points) -> Result<Made, Obstacle> {
    let kind = area_kind(cowfs)?;
    if disk.read_only {
        return Err(Obstacle::WriteProtected(disk.node()));
    }
    if disk.whole {
        return Err(Obstacle::NoPartitions(disk.node()));
    }
    let gap = disk.gap.filter(|gap| gap.size >= least(kind)).ok_or_else(|| no_room(disk, kind, least(kind)))?;
    let part = Path::new("/dev").join(name::of(&disk.name, gap.number));
    let (image, fs) = (disk.image, kind.name().to_owned());
    let mut steps = driver(kind);
    steps.push(Step::Format {
        target: Target::Gap { disk: disk.seen(), image, gap },
        fs,
        label: Some(label.to_owned()),
    });
    steps.push(Step::AddPartition { disk: disk.seen().made_in_part(), image, gap });
    steps.push(reach(disk, &part, gap.start, gap.size));
    steps.push(mount(kind, true, &points.named));
    steps.push(Step::Sign { at: points.named.clone() });
    Ok(Made { steps, node: part, kind })
}

/// An area at a place that was named, on a file system that is mounted already.
///
/// # Errors
/// Why it cannot be used.
pub fn named(overlay: &Overlay, points: &Points, site: &NamedSite) -> Result<Area, Obstacle> {
    let place = site.at.join(&site.path);
    let shown = format!("{} on {}", site.path.display(), site.node.display());
    let (steps, upper, work) = match site.found {
        Found::Absent if overlay.readonly => {
            return Err(Obstacle::NothingToShow { place: shown, nothing: Nothing::Path });
        }
        Found::Absent | Found::Directory if !is_area(site.kind) => {
            return Err(Obstacle::NoOverlay { node: site.node.clone(), kind: site.kind });
        }
        Found::Directory if site.stranger && overlay.reset && !overlay.readonly => {
            return Err(Obstacle::Stranger(shown));
        }
        Found::Absent | Found::Directory => {
            let work = place.with_file_name(WORK);
            (Vec::new(), place, work)
        }
        Found::File(Some(kind)) if is_area(kind) => {
            let at = points.persistent_image.clone();
            let steps = named::image(&place, kind, overlay.readonly, &at);
            (steps, at.join("overlayfs"), at.join(WORK))
        }
        Found::File(Some(Kind::SnapshotCow)) | Found::Zeros => return store(overlay, site, shown),
        Found::File(_) | Found::Disk | Found::Unreadable | Found::Link | Found::Other => {
            return Err(Obstacle::NoArea { place: shown, found: site.found });
        }
    };
    let steps = [named::reach(overlay, site), steps].concat();
    let mut area = Area {
        steps,
        upper,
        work,
        persistence: "named",
        place: shown,
        encrypted: false,
        required: overlay.required,
        readonly: overlay.readonly,
        store: false,
        notes: Vec::new(),
    };
    area.finish(overlay, points);
    Ok(area)
}

/// The store of a snapshot: a file that has one, or that holds nothing but zeros (dracut-live spec 2.6 step 8, cases C3,
/// C9, C10).
fn store(overlay: &Overlay, site: &NamedSite, place: String) -> Result<Area, Obstacle> {
    if overlay.readonly && site.found == Found::Zeros {
        return Err(Obstacle::NothingToShow { place, nothing: Nothing::Store });
    }
    let access = if overlay.readonly { Access::ReadOnly } else { Access::ReadWrite };
    let file = site.at.join(&site.path);
    let mut steps = named::reach(overlay, site);
    // Where nothing is kept yet, the mark of a store that was there before says nothing any more.
    let new = site.found == Found::Zeros;
    let clears = overlay.reset && !overlay.readonly;
    let marked = |accept, write| {
        site.image.clone().map(|image| Step::StoreIdentity { store: file.clone(), image, accept, write })
    };
    steps.extend(marked(new || overlay.accept, !overlay.readonly && !clears && (new || overlay.accept)));
    steps.push(Step::Loop { file: file.clone(), access, direct: false, into: Slot::Cow, found: Some(site.found) });
    let mut area = store_in_slot(overlay, steps, place);
    if clears {
        // The mark comes last: under it lies nothing of another image, however far this comes.
        area.steps.extend(marked(true, true));
    }
    Ok(area)
}

/// A device that is a store itself.
pub fn store_device(overlay: &Overlay, device: Seen) -> Area {
    let place = device.node.display().to_string();
    store_in_slot(overlay, vec![Step::Device { device, into: Slot::Cow }], place)
}

fn store_in_slot(overlay: &Overlay, mut steps: Vec<Step>, place: String) -> Area {
    if overlay.reset && !overlay.readonly {
        steps.push(Step::ClearStore { what: Slot::Cow });
    }
    Area {
        steps,
        upper: PathBuf::new(),
        work: PathBuf::new(),
        persistence: "named",
        place,
        required: overlay.required,
        readonly: overlay.readonly,
        encrypted: false,
        store: true,
        notes: Vec::new(),
    }
}
