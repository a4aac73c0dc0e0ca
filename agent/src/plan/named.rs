//! Places that were named for changes: what makes one usable before [`super::persist::named`] looks at it.

use std::path::Path;

use super::acquire::{driver, mount_kind};
use super::persist::{Made, area_kind};
use super::points::Points;
use super::step::{Slot, Step, Target};
use crate::area::{Found, NamedSite, Nothing, Obstacle};
use crate::config::{Access, Overlay};
use crate::facts::Device;
use crate::format::Kind;

/// Brings a file system into reach that is mounted already, for another purpose and read-only: it is made writable and
/// shown at its second place. Any other one has been mounted there when it was looked at.
pub(super) fn reach(overlay: &Overlay, site: &NamedSite) -> Vec<Step> {
    let Some(from) = &site.shared else { return Vec::new() };
    let mut steps = Vec::new();
    if !overlay.readonly {
        steps.push(Step::Remount { at: from.clone() });
    }
    steps.push(Step::Bind { from: from.clone(), at: site.at.clone() });
    steps
}

/// Mounts the file system in an image file. When it is only shown, the file may lie on something that refuses writes.
pub(super) fn image(file: &Path, kind: Kind, readonly: bool, at: &Path) -> Vec<Step> {
    let access = if readonly { Access::ReadOnly } else { Access::ReadWrite };
    let mut steps = driver(kind);
    steps.push(Step::Loop {
        file: file.to_owned(),
        access,
        direct: false,
        into: Slot::Cow,
        found: Some(Found::File(Some(kind))),
    });
    if !readonly {
        steps.push(Step::CheckFs { what: Slot::Cow, fs: kind.name().to_owned() });
    }
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
    steps.push(Step::Format {
        target: Target::Device { device: device.seen() },
        fs: kind.name().to_owned(),
        label: None,
    });
    steps.push(Step::Device { device: device.seen().made_anew(), into: Slot::Cow });
    steps.push(mount_kind(Slot::Cow, kind, Access::ReadWrite, &points.named));
    steps.push(Step::Sign { at: points.named.clone() });
    Ok(Made { steps, node: node.to_owned(), kind })
}
