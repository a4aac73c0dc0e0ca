//! Second plan: bring one candidate's images into reach, in up to three parts, each decided when the one before it has
//! shown what is there: the file system that holds an ISO file, the medium, the container.

use std::path::Path;

use super::act::AreaAct;
use super::points::Points;
use super::slot::Slot;
use super::step::{self, Step, mount};
use super::wanted::Wanted;
use crate::config::{Access, Config};
use crate::error::{Code, Stop};
use crate::facts::{Content, Device, ImageFile, MediumFacts, Origin, Seen, Subvolume};
use crate::format::Kind;

/// Mounts the file system on which an ISO file is looked for: read-only, and without replaying its journal, because
/// the disk belongs to another system that may be hibernated (dracut-live spec 8.2).
///
/// # Errors
/// [`Code::MediumMount`] when the content is nothing that may be mounted; the cause says why it is left alone.
pub fn host(points: &Points, device: &Device) -> Result<Vec<Step>, Stop> {
    let kind = mountable(device)?;
    let mut steps = driver(kind);
    steps.push(match device.needs_loop() {
        true => between(&device.node, Slot::Host),
        false => Step::Device { device: device.seen(), into: Slot::Host },
    });
    steps.push(mount_kind(Slot::Host, kind, Access::ReadOnly, &points.host));
    let link = device.superblock.as_ref().and_then(|found| found.uuid.as_ref());
    steps.push(match link {
        Some(uuid) => Step::Symlink { at: points.host_link.clone(), to: Path::new("/dev/disk/by-uuid").join(uuid) },
        None => Step::LinkDevice { at: points.host_link.clone(), slot: Slot::Host },
    });
    Ok(steps)
}

/// Mounts the file system of an ISO file from the top level of its btrfs.
pub fn host_top(points: &Points, kind: Kind) -> [Step; 2] {
    let inert = mount_kind(Slot::Host, kind, Access::ReadOnly, &points.host);
    [Step::Unmount { at: points.host.clone() }, rooted(Subvolume::Top, inert)]
}

/// Mounts the file system of an ISO file a second time, from another root of its btrfs.
pub fn host_again(points: &Points, kind: Kind, subvolume: Subvolume) -> Step {
    rooted(subvolume, mount_kind(Slot::Host, kind, Access::ReadOnly, &points.named))
}

/// A mount, from that root of a btrfs.
pub(super) fn rooted(subvolume: Subvolume, mut step: Step) -> Step {
    if let (Subvolume::Top, Step::Mount { fs, options, .. }) = (subvolume, &mut step)
        && fs == "btrfs"
    {
        options.push("subvolid=5".to_owned());
    }
    step
}

/// A loop device with short sectors over one with long ones. What is mounted from it is only read.
fn between(node: &Path, into: Slot) -> Step {
    Step::Loop { file: node.to_owned(), access: Access::ReadOnly, direct: false, into, found: None }
}

fn mountable(device: &Device) -> Result<Kind, Stop> {
    let kind = device.superblock.as_ref().map(|found| found.kind);
    kind.filter(|kind| kind.driver().is_some()).ok_or_else(|| {
        let what = kind.map_or("unknown content", Kind::name);
        Stop::new(Code::MediumMount, format!("{} holds {what}, left alone", device.node.display()))
    })
}

/// Mounts the file system that holds a key file, as [`host`] does.
///
/// # Errors
/// As [`host`].
pub fn key(points: &Points, device: &Device, subvolume: Subvolume) -> Result<Vec<Step>, Stop> {
    looked_into(device, &points.key, subvolume)
}

/// Mounts a file system to see whether it is the medium the loader came from, as [`host`] does.
///
/// # Errors
/// As [`host`].
pub fn mark(points: &Points, device: &Device, subvolume: Subvolume) -> Result<Vec<Step>, Stop> {
    looked_into(device, &points.look, subvolume)
}

/// Mounts an NTFS to see whether a Windows sleeps on it, as [`host`] does.
///
/// # Errors
/// As [`host`].
pub fn windows(points: &Points, device: &Device) -> Result<Vec<Step>, Stop> {
    looked_into(device, &points.look, Subvolume::Default)
}

/// Mounts a btrfs from another root than the one that is mounted, to see what is there.
///
/// # Errors
/// As [`host`].
pub fn other_root(points: &Points, device: &Device, subvolume: Subvolume) -> Result<Vec<Step>, Stop> {
    looked_into(device, &points.look, subvolume)
}

/// Mounts a named btrfs from its top level, in place of the default subvolume.
pub fn named_top(points: &Points, access: Access) -> Vec<Step> {
    let at = &points.named;
    let mut steps = vec![Step::Unmount { at: at.clone() }];
    steps.push(rooted(Subvolume::Top, mount_kind(Slot::Cow, Kind::Btrfs, access, at)));
    if access == Access::ReadWrite {
        steps.push(Step::Area(AreaAct::Sign { at: at.clone() }));
    }
    steps
}

/// What is mounted to read a file and unmounted again.
fn looked_into(device: &Device, at: &Path, subvolume: Subvolume) -> Result<Vec<Step>, Stop> {
    let kind = mountable(device)?;
    let mut steps = driver(kind);
    steps.push(match device.needs_loop() {
        true => between(&device.node, Slot::Looked),
        false => Step::Device { device: device.seen(), into: Slot::Looked },
    });
    steps.push(rooted(subvolume, mount_kind(Slot::Looked, kind, Access::ReadOnly, at)));
    Ok(steps)
}

/// Mounts the file system of an ISO file once more, so that it can be made writable later; `None` where it is mounted in
/// that way already. The journal of a clean file system is not replayed, for there is nothing in it.
pub fn host_for_changes(points: &Points, device: &Device, subvolume: Subvolume) -> Option<Vec<Step>> {
    let kind = device.superblock.as_ref()?.kind;
    let inert = rooted(subvolume, mount_kind(Slot::Host, kind, Access::ReadOnly, &points.host));
    let usual = rooted(subvolume, mount(Slot::Host, kind.driver()?, Access::ReadOnly, &[], &points.host));
    (inert != usual).then(|| {
        let mend = Step::Area(AreaAct::Mend { what: Slot::Host });
        let first = vec![Step::Unmount { at: points.host.clone() }, mend, usual];
        vec![Step::either(first, vec![inert], Wanted::HostWritable)]
    })
}

/// Mounts the named file system that keeps changes: for writing, or only to show them. A journal is replayed, because
/// the operator named the device, unless they are only shown: then nothing is written.
pub fn named(points: &Points, device: &Device, kind: Kind, readonly: bool) -> Vec<Step> {
    let mut steps = driver(kind);
    steps.push(Step::Device { device: device.seen(), into: Slot::Cow });
    if device.read_only || readonly {
        steps.push(mount_kind(Slot::Cow, kind, Access::ReadOnly, &points.named));
        return steps;
    }
    steps.push(Step::Area(AreaAct::Check { what: Slot::Cow, fs: kind }));
    steps.push(mount_kind(Slot::Cow, kind, Access::ReadWrite, &points.named));
    steps.push(Step::Area(AreaAct::Sign { at: points.named.clone() }));
    steps
}

/// How the command line wants the medium mounted: `rw` lets the system write to it, where that can be.
#[must_use]
pub fn medium_access(config: &Config, medium: &MediumFacts) -> Access {
    let in_place = matches!(medium.origin, Origin::Device(_)) && !medium.looped;
    let writable = in_place && !medium.is_container() && medium.kind.is_writable();
    if writable { config.medium_access } else { Access::ReadOnly }
}

/// Brings the medium into reach and mounts it, unless it is itself the container. Where it is mounted for writing, it is signed, so
/// that the next boot knows whose dirt is on it.
pub fn medium(access: Access, points: &Points, medium: &MediumFacts) -> Vec<Step> {
    let slot = if medium.is_container() { Slot::Container } else { Slot::Medium };
    let seen = |node: &Path| match (medium.device.clone(), access) {
        (Some(seen), Access::ReadWrite) => seen,
        // What is only read need not be the same.
        _ => Seen::named(node),
    };
    let mut steps = match &medium.origin {
        Origin::Device(node) if medium.looped => vec![between(node, slot)],
        Origin::Device(node) => vec![Step::Device { device: seen(node), into: Slot::Medium }],
        Origin::HostFile { file, .. } | Origin::Initrd(file) | Origin::Fetched(file) => vec![Step::Loop {
            file: file.clone(),
            access: Access::ReadOnly,
            // A file on a disk is otherwise cached twice: as the host's file and as the loop device.
            direct: matches!(medium.origin, Origin::HostFile { .. }),
            into: Slot::Medium,
            found: None,
        }],
    };
    if medium.is_container() {
        if let Origin::Device(node) = &medium.origin
            && !medium.looped
        {
            steps.push(Step::Device { device: seen(node), into: slot });
        }
        return steps;
    }
    steps.extend(driver(medium.kind));
    steps.push(rooted(medium.subvolume, mount_kind(Slot::Medium, medium.kind, access, &points.live)));
    if access == Access::ReadWrite {
        steps.push(Step::Area(AreaAct::Sign { at: points.live.clone() }));
    }
    steps
}

/// As [`medium`], for a medium on which changes will be kept: a mount that leaves its journal alone cannot be made
/// writable later.
pub fn medium_for_changes(access: Access, points: &Points, facts: &MediumFacts) -> Vec<Step> {
    let mut steps = medium(access, points, facts);
    let root = |step| rooted(facts.subvolume, step);
    let usual = facts.kind.driver().map(|fs| root(mount(Slot::Medium, fs, Access::ReadOnly, &[], &points.live)));
    let inert = root(mount_kind(Slot::Medium, facts.kind, Access::ReadOnly, &points.live));
    if let (Some(usual), Some(last)) = (usual.filter(|usual| *usual != inert), steps.last_mut())
        && *last == inert
    {
        let first = vec![Step::Area(AreaAct::Check { what: Slot::Medium, fs: facts.kind }), usual];
        *last = Step::either(first, vec![inert], Wanted::MediumWritable);
    }
    steps
}

/// Mounts the container: the medium itself, or a file on it. Without a container there is nothing to do.
pub fn container(points: &Points, medium: &MediumFacts, content: Option<&Content>) -> Vec<Step> {
    if medium.is_container() {
        let slot = if matches!(medium.origin, Origin::Device(_)) { Slot::Container } else { Slot::Medium };
        let mut steps = driver(medium.kind);
        steps.push(mount_kind(slot, medium.kind, Access::ReadOnly, &points.container));
        return steps;
    }
    let Some(Content::Container(file)) = content else { return Vec::new() };
    let mut steps = vec![loop_image(&points.live, file, Slot::Container)];
    steps.extend(driver(file.kind));
    steps.push(mount_kind(Slot::Container, file.kind, Access::ReadOnly, &points.container));
    steps
}

/// Attaches an image file that lies below `base`.
pub(super) fn loop_image(base: &Path, file: &ImageFile, into: Slot) -> Step {
    Step::Loop { file: base.join(&file.path), access: Access::ReadOnly, direct: false, into, found: None }
}

/// The driver a file system needs.
pub(super) fn driver(kind: Kind) -> Vec<Step> {
    match (kind.module(), kind.driver(), kind.config_option()) {
        (Some(module), filesystem, option) => vec![Step::Driver {
            module: module.to_owned(),
            filesystem: filesystem.map(str::to_owned),
            option: option.unwrap_or_default().to_owned(),
        }],
        _ => Vec::new(),
    }
}

/// Mounts a slot with the options that keep a read-only mount from writing: no journal replay, no log recovery.
pub(super) fn mount_kind(slot: Slot, kind: Kind, access: Access, at: &Path) -> Step {
    mount(slot, kind.driver().unwrap_or(kind.name()), access, no_replay(kind, access), at)
}

fn no_replay(kind: Kind, access: Access) -> &'static [&'static str] {
    if access == Access::ReadOnly { step::no_replay(kind) } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;
    use crate::format::Superblock;
    use crate::plan::act::Writes;

    /// Otherwise what is only shown could not be shown at all.
    #[test]
    fn a_mount_for_reading_may_change_nothing() {
        for kind in Kind::ALL {
            let step = mount_kind(Slot::Cow, kind, Access::ReadOnly, Path::new("/run/x"));
            assert_eq!(step.writes(), Writes::Nothing, "{step}");
        }
    }

    /// The volume that was opened for changes is held when a key or a Windows is looked for.
    #[test]
    fn what_is_looked_into_takes_no_place_of_the_area() {
        let superblock = Some(Superblock::new(Kind::Ntfs));
        let device = Device { node: "/dev/sdb1".into(), superblock, ..Device::default() };
        let points = Points::new(Dialect::Dmsquash);
        for steps in [windows(&points, &device).unwrap(), key(&points, &device, Subvolume::Default).unwrap()] {
            let taken = |step: &Step| match step {
                Step::Device { into, .. } => Some(*into),
                _ => None,
            };
            assert_eq!(steps.iter().filter_map(taken).collect::<Vec<_>>(), [Slot::Looked]);
        }
    }
}
