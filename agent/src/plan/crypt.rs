//! Encrypted areas. Pure. What is inside a LUKS volume shows only when it is open, so such an area is planned in two
//! parts: an [`Opening`], done first, and then the area on what it brought into reach.
//!
//! Nothing here ever leads to an area without encryption when encryption was asked for, and none of the steps makes
//! anything anew because it could not be opened.

use std::path::{Path, PathBuf};

use super::acquire::driver;
use super::act::{AreaAct, Consent, Crypt, Key, Target, VolumeAct};
use super::common::{checked, mount, or_anew, reach_as_found, remounted};
use super::cowfile;
use super::persist::{self, Area, Planner, bound_path, is_area};
use super::points::Points;
use super::slot::Slot;
use super::step::Step;
use super::wanted::Finding;
use crate::area::{
    DiskSite, Found, HostSite, Identity, LABEL, LUKS_LABEL, Nothing, Obstacle, Owner, Part, Site, TEMPORARY_LABEL,
};
use crate::config::{Mkfs, Overlay, OverlayCrypt, Unlocking};
use crate::facts::{Device, Seen};
use crate::format::Kind;

#[cfg(test)]
mod tests;

/// Bytes that a LUKS2 header takes from an area.
pub const HEADER: u64 = 16 << 20;
/// How often a passphrase may be mistyped.
pub const TRIES: u32 = 3;
/// Where the random passphrase of a temporary device is kept while the machine runs (dracut-live spec 1.5).
pub const PASSWORD_FILE: &str = "/run/initramfs/overlayfs.passwd";

/// How an automatic area is opened.
pub(super) fn automatic(overlay: &Overlay, place: &str) -> Crypt {
    let (map, place, unlock) = (LUKS_LABEL.to_owned(), place.to_owned(), &overlay.unlock);
    Crypt { map, place, key: passphrase(unlock, unlock.timeout_s), access: overlay.access() }
}

fn passphrase(unlock: &Unlocking, timeout_s: u64) -> Key {
    let file = unlock.key_file.as_ref().map(ToString::to_string);
    Key::Passphrase { file, tries: TRIES, timeout_s }
}

/// Opens what is in the slot of the area.
pub(super) fn unlock(crypt: Crypt) -> Step {
    Step::Volume(VolumeAct::Open { what: Slot::Cow, crypt })
}

/// An encrypted area to be opened, so that it can be seen what is inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Brings the opened device into [`Slot::Cow`].
    pub steps: Vec<Step>,
    /// Device or file, for the report.
    pub place: String,
    /// As [`Area::persistence`].
    pub persistence: &'static str,
    /// The area inside may have been made for another image.
    pub accept: bool,
    /// Tells the header whose it is, once that is known; `None` when it says so already.
    pub mark: Option<Step>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// What an opened volume shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Inside {
    /// The opened device.
    pub node: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What is on it; `None` when that is not known.
    pub kind: Option<Kind>,
}

impl Planner<'_> {
    /// Makes the LUKS volume of a new area, and the file system inside.
    pub(super) fn encrypted(&self, target: Target, fs: Kind, label: Option<String>) -> Vec<Step> {
        let crypt = automatic(self.overlay, "the new persistent area");
        let (luks, mark) = (LUKS_LABEL.to_owned(), Some(self.image.header_mark()));
        vec![Step::Volume(VolumeAct::Format { target, luks, mark, crypt, fs, label })]
    }

    /// How the encrypted area that is there is opened; `None` when there is none for this image. One that is there is used with
    /// and without `rd.live.encrypt`, and before any other (kiwi-live T-35). One whose header names another image is not
    /// opened: nobody is asked for a passphrase that is somebody else's.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn opening(&self, site: &Site) -> Option<Result<Opening, Obstacle>> {
        match site {
            Site::Disk(disk) => disk.locked.as_ref().map(|part| self.open_partition(disk, part)),
            Site::Host(host) => {
                let (file, owner) = self.locked_file(host)?;
                Some(self.open_file(host, (&file, &owner)))
            }
            Site::Nowhere(_) => None,
        }
    }

    fn open_partition(&self, disk: &DiskSite, part: &Part) -> Result<Opening, Obstacle> {
        if disk.read_only && !self.overlay.readonly {
            return Err(Obstacle::WriteProtected(disk.node()));
        }
        let subsystem = part.device.superblock.as_ref().and_then(|found| found.subsystem.as_deref());
        let owner = Owner::of(subsystem, self.image);
        // There is only one area on a disk, and a reset empties it, whosever it was.
        let accept = self.wish.accept || self.overlay.reset;
        own(&owner, self.image, accept)?;
        let place = part.device.node.display().to_string();
        let reach = reach_as_found(disk, part, self.overlay.access());
        let steps = vec![reach, unlock(automatic(self.overlay, &place))];
        let mut notes: Vec<_> =
            disk.foreign.iter().map(|text| format!("not used, because it is not on the boot disk: {text}")).collect();
        if let Some(plain) = &disk.area {
            let node = plain.device.node.display();
            notes.push(format!("not used, because there is an encrypted area: {node}"));
        }
        Ok(Opening { steps, place, persistence: "partition", accept, mark: self.marking(&owner), notes })
    }

    /// Tells the header for which image the volume is from now on.
    fn marking(&self, owner: &Owner) -> Option<Step> {
        match owner {
            // A text of somebody else stays.
            Owner::Same | Owner::Taken => None,
            _ if self.overlay.readonly => None,
            Owner::Unsaid | Owner::Other(_) => {
                Some(Step::Volume(VolumeAct::Mark { map: LUKS_LABEL.to_owned(), mark: self.image.header_mark() }))
            }
        }
    }

    /// The encrypted cow file and whose it is; the one that bears the image's name first, as without encryption.
    fn locked_file(&self, host: &HostSite) -> Option<(PathBuf, Owner)> {
        let locked = Found::File(Some(Kind::Luks));
        match (host.bound, host.asked) {
            (bound, _) if bound == locked => {
                let owner = Owner::of(host.bound_mark.as_deref(), self.image);
                Some((self.points.host.join(bound_path(&self.wish.cowfile_path, self.image)), owner))
            }
            (Found::File(_), _) => None,
            _ if self.other_images(host).is_some() => None,
            (_, asked) if asked == locked => {
                let owner = Owner::of(host.asked_mark.as_deref(), self.image);
                Some((self.points.host.join(&self.wish.cowfile_path), owner))
            }
            _ => None,
        }
    }

    /// Whose encrypted file has the name that was asked for, when that is another image, and it is not to be taken over.
    pub(super) fn other_images(&self, host: &HostSite) -> Option<String> {
        if host.asked != Found::File(Some(Kind::Luks)) || self.wish.accept {
            return None;
        }
        match Owner::of(host.asked_mark.as_deref(), self.image) {
            Owner::Other(other) => Some(other),
            _ => None,
        }
    }

    fn open_file(&self, host: &HostSite, (file, owner): (&Path, &Owner)) -> Result<Opening, Obstacle> {
        if let Some(why) = host.refusal.as_ref().filter(|_| !self.overlay.readonly) {
            return Err(why.clone());
        }
        let accept = self.wish.accept;
        own(owner, self.image, accept)?;
        let place = format!("{} on {}", cowfile::below(self.points, file).display(), host.node.display());
        let mut steps = remounted(self.overlay, &self.points.host);
        steps.push(cowfile::loop_file(file, self.overlay.access(), Some(Found::File(Some(Kind::Luks)))));
        steps.push(unlock(automatic(self.overlay, &place)));
        let mark = self.marking(owner);
        Ok(Opening { steps, place, persistence: "file", accept, mark, notes: Vec::new() })
    }

    /// The area inside an opened volume. A reset makes its file system anew if there is none that can be used: whoever opened
    /// the volume may decide about what is in it. Its header stays as it is.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn area_inside(&self, opening: Opening, inside: &Inside) -> Result<Area, Obstacle> {
        let Opening { accept, persistence, .. } = opening;
        let anew = || self.anew(&opening, inside);
        let reset = self.overlay.reset && !self.overlay.readonly;
        let mut steps = match area_kind(&opening.place, inside.kind, true) {
            Err(_) if reset => anew()?,
            Err(why) => return Err(why),
            Ok(kind) => {
                let mut used = checked(self.overlay, kind);
                used.extend(self.mounted_by(kind, accept));
                let used = match anew() {
                    Ok(anew) if reset => {
                        let reach = Step::Device { device: Seen::named(inside.node.clone()), into: Slot::Cow };
                        or_anew(used, Some(reach), anew, Finding::AreaDamaged)
                    }
                    _ => used,
                };
                [driver(kind), used].concat()
            }
        };
        steps.extend(opening.mark);
        Ok(Area { encrypted: true, ..self.complete(steps, persistence, opening.place, opening.notes) })
    }

    /// Makes a new file system in an opened volume and mounts it.
    fn anew(&self, opening: &Opening, inside: &Inside) -> Result<Vec<Step>, Obstacle> {
        let kind = self.kind()?;
        let needs = persist::least(kind);
        if inside.size < needs {
            let (place, what) = (format!("the encrypted volume {}", opening.place), kind.name().to_owned());
            return Err(Obstacle::TooSmall { place, has: inside.size, what, needs });
        }
        // The cow file has no label without encryption either.
        let label = (opening.persistence == "partition").then(|| LABEL.to_owned());
        let node = inside.node.clone();
        let mut steps = driver(kind);
        steps.push(Step::Area(AreaAct::Format { target: Target::Opened { node: node.clone() }, fs: kind, label }));
        steps.push(Step::Device { device: Seen::named(node), into: Slot::Cow });
        steps.extend(self.mounted(kind));
        Ok(steps)
    }
}

impl Opening {
    /// Whether the volume is made first: then nothing of anybody's is in it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Volume(VolumeAct::Format { .. })))
    }
}

/// Not another image's, unless that was accepted.
fn own(owner: &Owner, identity: &Identity, accept: bool) -> Result<(), Obstacle> {
    match owner {
        Owner::Other(other) if !accept => Err(Obstacle::made_for(other, identity)),
        _ => Ok(()),
    }
}

/// `volume` says that a reset makes a new file system in it.
fn area_kind(place: &str, inside: Option<Kind>, volume: bool) -> Result<Kind, Obstacle> {
    let place = format!("the encrypted volume {place}");
    inside.filter(|kind| is_area(*kind)).ok_or(Obstacle::Holds { place, kind: inside, volume })
}

/// How the device that `rd.overlay.crypt` names is opened: one with LUKS by its passphrase; an empty one is made anew
/// first, with a random key. Where it is used does not matter, live root or not.
///
/// # Errors
/// Why it cannot be.
pub fn device(wish: &OverlayCrypt, overlay: &Overlay, device: &Device) -> Result<Opening, Obstacle> {
    let unlocking = &overlay.unlock;
    let place = device.node.display().to_string();
    if device.read_only && !overlay.readonly {
        return Err(Obstacle::WriteProtected(device.node.clone()));
    }
    if let Some(why) = &device.unreadable {
        return Err(Obstacle::Unreadable { node: device.node.clone(), why: why.clone() });
    }
    let timeout_s = wish.timeout_s.unwrap_or(unlocking.timeout_s);
    let (map, key) = (wish.mapname.clone(), passphrase(unlocking, timeout_s));
    let mut crypt = Crypt { map, place: place.clone(), key, access: overlay.access() };
    let mut steps = Vec::new();
    let mut notes = Vec::new();
    let new = consent(wish, device)?;
    if new.is_some() && overlay.readonly {
        return Err(Obstacle::NothingToShow { place, nothing: Nothing::Content });
    }
    if let Some(consent) = new {
        fits(wish, device)?;
        crypt.key = Key::Random { keep: PASSWORD_FILE.into() };
        let target = Target::Given { device: device.seen(), consent };
        let (luks, fs) = (TEMPORARY_LABEL.to_owned(), wish.fstype);
        steps.push(Step::Volume(VolumeAct::Format { target, luks, mark: None, crypt: crypt.clone(), fs, label: None }));
        notes.push(format!("{place} is encrypted with a random key, its content is lost at power-off"));
    }
    let volume = if new.is_some() { device.seen().made_anew() } else { device.seen() };
    steps.push(Step::Device { device: volume, into: Slot::Cow });
    steps.push(unlock(crypt));
    let persistence = if new.is_some() { "temporary" } else { "named" };
    Ok(Opening { steps, place, persistence, accept: false, mark: None, notes })
}

/// A device that cannot hold a volume is not wiped for nothing.
fn fits(wish: &OverlayCrypt, device: &Device) -> Result<(), Obstacle> {
    let needs = HEADER + persist::least(wish.fstype);
    if device.size >= needs {
        return Ok(());
    }
    let (place, what) = (device.node.display().to_string(), format!("an encrypted {}", wish.fstype.name()));
    Err(Obstacle::TooSmall { place, has: device.size, what, needs })
}

/// Whether the device is made anew, and what may be on it; `None` if it is opened as it is.
fn consent(wish: &OverlayCrypt, device: &Device) -> Result<Option<Consent>, Obstacle> {
    let node = || device.node.clone();
    let found = device.superblock.as_ref();
    let luks = found.is_some_and(|found| found.kind == Kind::Luks);
    let forgotten = luks && found.is_some_and(|found| found.label.as_deref() == Some(TEMPORARY_LABEL));
    match (wish.mkfs, found) {
        (Mkfs::Force, _) if !wish.device.stays() => {
            Err(Obstacle::PassingName { name: wish.device.to_string(), instead: forced(device) })
        }
        (Mkfs::Force, _) => Ok(Some(Consent::Anything)),
        (Mkfs::Empty, None) => Ok(Some(Consent::Empty)),
        (Mkfs::Empty, Some(_)) if forgotten => Ok(Some(Consent::Forgotten)),
        (Mkfs::Never, Some(_)) if forgotten => Err(Obstacle::KeyForgotten(node())),
        (_, Some(_)) if luks => Ok(None),
        (Mkfs::Never, None) => Err(Obstacle::NotEncrypted(node())),
        (_, Some(found)) => Err(Obstacle::Occupied { node: node(), kind: found.kind, instead: forced(device) }),
    }
}

/// What wipes this device at each boot, ready to be typed. A disk that has no such name needs a partition.
fn forced(device: &Device) -> String {
    format!("rd.overlay.crypt={},mkfs=force", device.lasting_name().as_deref().unwrap_or("PARTUUID=…"))
}

/// The area on an opened device that was named: `overlay` and `ovlwork` at its top (dracut-live spec 1.5, 2.8).
///
/// # Errors
/// Why it cannot be used.
pub fn device_area(
    overlay: &Overlay,
    points: &Points,
    opening: Opening,
    inside: Option<Kind>,
) -> Result<Area, Obstacle> {
    let kind = area_kind(&opening.place, inside, false)?;
    let at = &points.named;
    let mut steps = driver(kind);
    steps.extend(checked(overlay, kind));
    steps.push(mount(kind, !overlay.readonly, at));
    if !overlay.readonly {
        steps.push(Step::Area(AreaAct::Sign { at: at.clone() }));
    }
    let mut area = Area {
        steps,
        upper: at.join("overlay"),
        work: at.join("ovlwork"),
        persistence: opening.persistence,
        place: opening.place,
        encrypted: true,
        required: overlay.required,
        readonly: overlay.readonly,
        store: false,
        notes: opening.notes,
    };
    area.finish(overlay, points);
    Ok(area)
}
