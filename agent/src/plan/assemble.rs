//! Third plan: the root. Lower layer, write area, overlay, and the links for programs that know the originals' paths.

use std::path::Path;

use super::acquire::{driver, loop_image, mount_kind};
use super::points::Points;
use super::step::{Slot, Step};
use crate::config::{Access, Config};
use crate::facts::{Content, Inner, MediumFacts};

/// Builds the root at `sysroot`. `content` is what the medium offers, `inner` what its container does.
pub fn assemble(
    config: &Config,
    points: &Points,
    medium: &MediumFacts,
    content: Option<&Content>,
    inner: Option<&Inner>,
    sysroot: &Path,
) -> Vec<Step> {
    let mut steps = lower(points, content, inner);
    steps.extend(temporary_area(config, points));
    steps.extend(driver_overlay());
    steps.push(Step::Overlay {
        lower: vec![points.lower.clone()],
        upper: points.upper.clone(),
        work: points.work.clone(),
        options: overlay_options(config),
        at: sysroot.to_owned(),
    });
    let container = medium.is_container() || matches!(content, Some(Content::Container(_)));
    steps.extend(points.compatibility(!medium.is_container(), container));
    steps
}

/// The read-only root: a nested image, the container's tree, an image on the medium, or the medium's own tree.
fn lower(points: &Points, content: Option<&Content>, inner: Option<&Inner>) -> Vec<Step> {
    let (base, file) = match (content, inner) {
        (_, Some(Inner::Image(file))) => (&points.container, file),
        (_, Some(Inner::Tree)) => return vec![bind(&points.container, &points.lower)],
        (Some(Content::Image(file)), None) => (&points.live, file),
        _ => return vec![Step::Symlink { at: points.lower.clone(), to: points.live.clone() }],
    };
    let mut steps = vec![loop_image(base, file, Slot::Image)];
    steps.extend(driver(file.kind));
    steps.push(mount_kind(Slot::Image, file.kind, Access::ReadOnly, &points.lower));
    steps
}

fn bind(from: &Path, at: &Path) -> Step {
    Step::Bind { from: from.to_owned(), at: at.to_owned() }
}

/// The write area that a reboot forgets; in the kiwi dialect `prepare` has mounted it already.
fn temporary_area(config: &Config, points: &Points) -> Vec<Step> {
    let mut steps = Vec::new();
    if !points.live.starts_with(&points.area) {
        steps.push(area(config, points));
    }
    steps.push(Step::MakeDir { path: points.upper.clone() });
    steps.push(Step::MakeDir { path: points.work.clone() });
    steps
}

/// The tmpfs of the temporary write area.
pub fn area(config: &Config, points: &Points) -> Step {
    Step::Tmpfs { size: config.overlay.size, options: config.overlay.tmpfs_options.clone(), at: points.area.clone() }
}

fn driver_overlay() -> Vec<Step> {
    vec![Step::Driver {
        module: "overlay".into(),
        filesystem: Some("overlay".into()),
        option: "CONFIG_OVERLAY_FS".into(),
    }]
}

/// In the kiwi dialect `rootflags=` are documented as overlay options (kiwi-live spec 1.3); in dmsquash's they mean
/// the block file system, and an ext4 flag would make the overlay fail (dracut-live spec 2.3, 8.2).
fn overlay_options(config: &Config) -> Vec<String> {
    match config.dialect {
        crate::config::Dialect::Kiwi => config.rootflags.clone(),
        crate::config::Dialect::Dmsquash => Vec::new(),
    }
}
