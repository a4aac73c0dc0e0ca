//! Places that were named for changes (dracut-live spec 2.6, 2.8, 2.9).

use std::path::{Path, PathBuf};

use super::acquire::{driver, mount_kind, rooted};
use super::act::{AreaAct, MapAct, Replace, Target};
use super::common::{checked, mount, reach, remounted};
use super::cowfile::{FAT_LIMIT, loop_file};
use super::persist::{Area, area_kind, is_area, least, no_room};
use super::points::Points;
use super::slot::Slot;
use super::step::Step;
use crate::area::{DiskSite, Found, NamedSite, NewStore, Nothing, Obstacle, WORK};
use crate::config::{Access, AreaFs, Overlay};
use crate::error::Stop;
use crate::facts::{Device, Seen};
use crate::format::Kind;
use crate::table::name;

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
pub fn partition(disk: &DiskSite, cowfs: &AreaFs, label: &str, points: &Points) -> Result<Made, Obstacle> {
    let kind = area_kind(cowfs)?;
    if disk.read_only {
        return Err(Obstacle::WriteProtected(disk.node()));
    }
    if disk.whole {
        return Err(Obstacle::NoPartitions(disk.node()));
    }
    let gap = disk.gap.filter(|gap| gap.size >= least(kind)).ok_or_else(|| no_room(disk, kind, least(kind)))?;
    let part = Path::new("/dev").join(name::of(&disk.name, gap.number));
    let image = disk.image;
    let mut steps = driver(kind);
    steps.push(Step::Area(AreaAct::Format {
        target: Target::Gap { disk: disk.seen(), image, gap },
        fs: kind,
        label: Some(label.to_owned()),
    }));
    steps.push(Step::Area(AreaAct::AddPartition { disk: disk.seen().made_in_part(), image, gap }));
    steps.push(reach(disk, &part, gap.start, gap.size));
    steps.push(mount(kind, true, &points.named));
    steps.push(Step::Area(AreaAct::Sign { at: points.named.clone() }));
    Ok(Made { steps, node: part, kind })
}

/// An area at a place that was named, on a file system that is mounted already.
///
/// # Errors
/// Why it cannot be used.
pub fn area(overlay: &Overlay, points: &Points, site: &NamedSite) -> Result<Area, Obstacle> {
    let place = site.at.join(&site.path);
    let shown = format!("{} on {}", site.path.display(), site.node.display());
    let file = match overlay.cow_file_mib {
        Some(_) => cow_file(overlay, points, site, &shown)?,
        None => None,
    };
    if let (None, Found::Absent, NewStore::Of { size, free }, false) =
        (&file, site.found, site.new_store, overlay.readonly)
    {
        return new_store(overlay, points, site, shown, (size, free));
    }
    let inside = |steps| {
        let at = &points.persistent_image;
        (steps, at.join("overlayfs"), at.join(WORK))
    };
    let (steps, upper, work) = match site.found {
        _ if file.is_some() => inside(file.unwrap_or_default()),
        Found::Absent if overlay.readonly => {
            return Err(Obstacle::NothingToShow { place: shown, nothing: Nothing::Path });
        }
        Found::Absent | Found::Directory if !is_area(site.kind) => {
            let store = site.new_store == NewStore::NoSize && site.found == Found::Absent;
            return Err(Obstacle::NoOverlay { node: site.node.clone(), kind: site.kind, store });
        }
        Found::Directory if site.stranger && overlay.reset && !overlay.readonly => {
            return Err(Obstacle::Stranger(shown));
        }
        Found::Absent | Found::Directory => {
            let work = place.with_file_name(WORK);
            (Vec::new(), place, work)
        }
        Found::File(Some(kind)) if is_area(kind) => inside(image(&place, kind, overlay, &points.persistent_image)),
        Found::File(Some(Kind::SnapshotCow)) | Found::Zeros => return store(overlay, points, site, shown),
        Found::File(_) | Found::Disk | Found::Unreadable | Found::Link | Found::Other => {
            return Err(Obstacle::NoArea { place: shown, found: site.found });
        }
    };
    let steps = [shared(overlay, points, site), steps].concat();
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
fn store(overlay: &Overlay, points: &Points, site: &NamedSite, place: String) -> Result<Area, Obstacle> {
    if overlay.readonly && site.found == Found::Zeros {
        return Err(Obstacle::NothingToShow { place, nothing: Nothing::Store });
    }
    let access = overlay.access();
    let file = site.at.join(&site.path);
    let mut steps = shared(overlay, points, site);
    // Where nothing is kept yet, the mark of a store that was there before says nothing any more.
    let new = site.found == Found::Zeros;
    let clears = overlay.reset && !overlay.readonly;
    let marked = |accept, write| {
        site.image.clone().map(|image| Step::Map(MapAct::Identity { store: file.clone(), image, accept, write }))
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

/// The store of a snapshot where nothing is. Room for all of it must be free, for a store that gets an error is lost as a whole.
fn new_store(
    overlay: &Overlay,
    points: &Points,
    site: &NamedSite,
    place: String,
    (size, free): (u64, u64),
) -> Result<Area, Obstacle> {
    room(site, "a store of this rd.live.overlay.size", ("a snapshot", LEAST_STORE), (size, free))?;
    let file = site.at.join(&site.path);
    let mut steps = shared(overlay, points, site);
    steps.push(Step::Map(MapAct::NewStore { file: file.clone(), size, image: site.image.clone() }));
    steps.push(loop_file(&file, Access::ReadWrite, None));
    // There is nothing in it that a reset would have to empty.
    Ok(store_in_slot(&Overlay { reset: false, ..overlay.clone() }, steps, place))
}

/// Whether a file that is `asked` for has the length that `what` needs at `least`, and finds room. Sizes are in bytes.
fn room(site: &NamedSite, asked: &str, (what, least): (&str, u64), (size, free): (u64, u64)) -> Result<(), Obstacle> {
    let small =
        |place: String, has, what: &str, needs| Err(Obstacle::TooSmall { place, has, what: what.to_owned(), needs });
    let node = site.node.display();
    if size < least {
        return small(asked.to_owned(), size, what, least);
    }
    if site.kind == Kind::Vfat && size > FAT_LIMIT {
        return small(format!("a file on {node}, which is FAT,"), FAT_LIMIT, asked, size);
    }
    if size > free {
        return small(format!("the room on {node}"), free, asked, size);
    }
    Ok(())
}

/// Makes the cow file of a stick for KIWI where it is missing, and a file system in one of zeros; `None` where it has one.
fn cow_file(overlay: &Overlay, points: &Points, site: &NamedSite, shown: &str) -> Result<Option<Vec<Step>>, Obstacle> {
    let replace = match site.found {
        Found::File(Some(kind)) if is_area(kind) => return Ok(None),
        Found::Absent => Replace::Nothing,
        Found::Zeros => Replace::Zeros,
        found => {
            let advice = format!("remove or rename it, or make another: kiwi_cowsystem=/{}.new", site.path.display());
            let kept = Obstacle::NoCowFile { place: shown.to_owned(), found };
            return Err(Stop::from(kept).advice(advice).into());
        }
    };
    if overlay.readonly {
        return Err(Obstacle::NothingToShow { place: shown.to_owned(), nothing: Nothing::FileSystem });
    }
    let kind = overlay.blank.as_ref().map_or(Ok(Kind::Ext4), area_kind)?;
    let (size, free) = match site.new_store {
        NewStore::Of { size, free } => (size, free),
        NewStore::No | NewStore::NoSize => (0, 0),
    };
    let asked = if replace == Replace::Zeros { "that file" } else { "a cow file of this rd.live.cowfile.mbsize" };
    room(site, asked, (kind.name(), least(kind)), (size, free))?;
    let path = site.at.join(&site.path);
    let target = Target::File { path: path.clone(), size, replace };
    let mut steps = driver(kind);
    steps.push(Step::Area(AreaAct::Format { target, fs: kind, label: None }));
    steps.push(loop_file(&path, Access::ReadWrite, None));
    steps.push(mount_kind(Slot::Cow, kind, Access::ReadWrite, &points.persistent_image));
    Ok(Some(steps))
}

/// The smallest store worth making, in bytes.
const LEAST_STORE: u64 = 1 << 20;

/// A device that is a store itself.
pub fn store_device(overlay: &Overlay, device: Seen) -> Area {
    let place = device.node.display().to_string();
    store_in_slot(overlay, vec![Step::Device { device, into: Slot::Cow }], place)
}

fn store_in_slot(overlay: &Overlay, mut steps: Vec<Step>, place: String) -> Area {
    if overlay.reset && !overlay.readonly {
        steps.push(Step::Map(MapAct::Clear { what: Slot::Cow }));
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

/// Brings a file system into reach that is mounted already, for another purpose and read-only: it is made writable and
/// shown at its second place, or mounted there from its other root. Any other one has been mounted there when it was looked at.
fn shared(overlay: &Overlay, points: &Points, site: &NamedSite) -> Vec<Step> {
    let Some(from) = &site.shared else { return Vec::new() };
    let mut steps = remounted(overlay, from);
    steps.push(match site.other_root {
        None => Step::Bind { from: from.clone(), at: site.at.clone() },
        Some(root) => {
            let slot = if *from == points.host { Slot::Host } else { Slot::Medium };
            rooted(root, mount_kind(slot, site.kind, overlay.access(), &site.at))
        }
    });
    steps
}

/// Mounts the file system in an image file. When it is only shown, the file may lie on something that refuses writes.
fn image(file: &Path, kind: Kind, overlay: &Overlay, at: &Path) -> Vec<Step> {
    let access = overlay.access();
    let mut steps = driver(kind);
    steps.push(loop_file(file, access, Some(Found::File(Some(kind)))));
    steps.extend(checked(overlay, kind));
    steps.push(mount_kind(Slot::Cow, kind, access, at));
    steps
}

/// Makes a file system on a named device that holds nothing, and mounts it.
///
/// # Errors
/// Why it is not made.
pub fn format(overlay: &Overlay, device: &Device, points: &Points) -> Result<Made, Obstacle> {
    let node = &device.node;
    let Some(cowfs) = &overlay.blank else { return Err(Obstacle::NoFileSystem(node.clone())) };
    if overlay.readonly {
        let place = node.display().to_string();
        return Err(Obstacle::NothingToShow { place, nothing: Nothing::FileSystem });
    }
    let kind = area_kind(cowfs)?;
    let mut steps = driver(kind);
    steps.push(Step::Area(AreaAct::Format { target: Target::Device { device: device.seen() }, fs: kind, label: None }));
    steps.push(Step::Device { device: device.seen().made_anew(), into: Slot::Cow });
    steps.push(mount_kind(Slot::Cow, kind, Access::ReadWrite, &points.named));
    steps.push(Step::Area(AreaAct::Sign { at: points.named.clone() }));
    Ok(Made { steps, node: node.to_owned(), kind })
}
