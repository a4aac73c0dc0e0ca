//! Steps that plans of areas have in common: how one comes into reach, is checked, mounted, and made anew.

use std::path::Path;

use super::acquire::mount_kind;
use super::act::AreaAct;
use super::slot::Slot;
use super::step::Step;
use super::wanted::{Finding, When};
use crate::area::{DiskSite, Part};
use crate::config::{Access, Overlay};
use crate::facts::Seen;
use crate::format::Kind;

/// Tries an area that a reset is to empty. One that is damaged is repaired, for more than changes may lie on it, and made anew only when its
/// own checker calls it beyond repair (attacks.md F6). Of XFS and btrfs the kernel is the judge. `reach` brings it into reach once more,
/// where that is not a part of what is tried.
pub(super) fn or_anew(used: Vec<Step>, reach: Option<Step>, anew: Vec<Step>, found: Finding) -> Vec<Step> {
    let repairs = |always: bool| {
        let repair = |step: &Step| match step {
            Step::Area(AreaAct::Check { what, fs: Kind::Ext2 | Kind::Ext3 | Kind::Ext4 }) => {
                Step::Area(AreaAct::Repair { what: *what, always })
            }
            step => step.clone(),
        };
        used.iter().map(repair).collect::<Vec<Step>>()
    };
    let (first, second) = (repairs(false), repairs(true));
    let then = match first == used {
        true => anew,
        false => {
            // `e2fsck -p` would take away what it is afraid of, the journal for one, and give up: it is not even tried.
            let first = reach.into_iter().chain(second).collect();
            vec![Step::Branch { first, when: When::Found(Finding::BeyondRepair), then: anew }]
        }
    };
    vec![Step::Branch { first, when: When::Found(found), then }]
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

/// Mounts an area. One that is only shown keeps its journal as it is.
pub(super) fn mount(kind: Kind, write: bool, at: &Path) -> Step {
    let access = if write { Access::ReadWrite } else { Access::ReadOnly };
    mount_kind(Slot::Cow, kind, access, at)
}
