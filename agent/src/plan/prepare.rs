//! First plan: what lets devices and file systems appear at all, and the place where they will be mounted.

use super::acquire::driver;
use super::assemble::area;
use super::points::Points;
use super::step::Step;
use crate::config::{AreaFs, Config};

/// Drivers every live boot needs, loaded while the hardware is still being found.
///
/// The container's own kind is not known yet; squashfs and iso9660 are the common case, and cost a few milliseconds
/// that would otherwise be spent after the medium was found. The same holds for the file system of a persistent area.
pub fn drivers(config: &Config) -> Vec<Step> {
    let area = match config.overlay.wish().map(|wish| &wish.cowfs) {
        Some(AreaFs::Known(kind)) => driver(*kind),
        _ => Vec::new(),
    };
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
    .chain(area)
    .collect()
}

/// What must be there before the first candidate is mounted: in the kiwi dialect the mount points lie inside the
/// write area's tmpfs, so that tmpfs comes first.
pub fn prepare(config: &Config, points: &Points) -> Vec<Step> {
    if points.live.starts_with(&points.area) { vec![area(config, points)] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    #[test]
    fn drivers_of_a_persistent_area_table() {
        for (kargs, expected) in [
            ("", None),
            ("rd.live.overlay.persistent", Some("ext4")),
            ("rd.live.overlay.persistent rd.live.overlay.cowfs=xfs", Some("xfs")),
            ("rd.live.overlay.persistent rd.live.overlay.cowfs=none-such", None),
            ("rd.live.overlay.cowfs=xfs", None),
        ] {
            let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
            let mut modules = drivers(&config).into_iter().filter_map(|step| match step {
                Step::Driver { module, .. } => Some(module),
                _ => None,
            });
            assert_eq!(modules.nth(4).as_deref(), expected, "{kargs}");
        }
    }
}
