//! First plan: what lets devices and file systems appear at all, and the place where they will be mounted.

use super::assemble::area;
use super::points::Points;
use super::step::Step;
use crate::config::Config;

/// Drivers every live boot needs, loaded while the hardware is still being found.
///
/// The container's own kind is not known yet; squashfs and iso9660 are the common case, and cost a few milliseconds
/// that would otherwise be spent after the medium was found.
pub fn drivers() -> Vec<Step> {
    [
        ("loop", None, "CONFIG_BLK_DEV_LOOP"),
        ("overlay", Some("overlay"), "CONFIG_OVERLAY_FS"),
        ("isofs", Some("iso9660"), "CONFIG_ISO9660_FS"),
        ("squashfs", Some("squashfs"), "CONFIG_SQUASHFS"),
    ]
    .into_iter()
    .map(|(module, filesystem, option)| Step::Driver {
        module: module.into(),
        filesystem: filesystem.map(Into::into),
        option: option.into(),
    })
    .collect()
}

/// What must be there before the first candidate is mounted: in the kiwi dialect the mount points lie inside the
/// write area's tmpfs, so that tmpfs comes first.
pub fn prepare(config: &Config, points: &Points) -> Vec<Step> {
    if points.live.starts_with(&points.area) { vec![area(config, points)] } else { Vec::new() }
}
