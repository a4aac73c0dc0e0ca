//! Third plan: the root. Lower layer, write area, overlay, and the links for programs that know the originals' paths.

use std::path::{Path, PathBuf};

use super::acquire::{driver, loop_image, mount_kind};
use super::drivers;
use super::flags;
use super::persist::Area;
use super::points::Points;
use super::slot::Slot;
use super::snapshot::{self, Base};
use super::step::Step;
use super::wanted::Wanted;
use crate::config::{Access, Config, Dialect, Method};
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
    assemble_on(config, points, medium, content, inner, sysroot, None)
}

/// Builds the root at `sysroot` with changes kept in `area`; without one, or when it fails, they go to RAM.
pub fn assemble_on(
    config: &Config,
    points: &Points,
    medium: &MediumFacts,
    content: Option<&Content>,
    inner: Option<&Inner>,
    sysroot: &Path,
    area: Option<&Area>,
) -> Vec<Step> {
    let container = medium.is_container() || matches!(content, Some(Content::Container(_)));
    let form = snapshot::form(config, medium, content, inner, area);
    let base = base(points, content, inner).filter(|_| form.method != Method::Overlayfs);
    // A store cannot hold an overlay's changes.
    let directories = area.filter(|area| !area.store);
    let mut over = lower(config, points, content, inner);
    over.extend(layers(config, points, sysroot, directories));
    let Some(base) = base else {
        over.extend(points.compatibility(!medium.is_container(), container));
        return over;
    };
    let mut otherwise = over;
    otherwise.extend(points.layer_links());
    let mut steps = snapshot::root(config, &base, form.method, area, sysroot, otherwise);
    steps.extend(points.medium_links(!medium.is_container(), container));
    steps
}

/// The write area and the overlay of it over the lower layer.
pub(super) fn layers(config: &Config, points: &Points, sysroot: &Path, area: Option<&Area>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut temporary = temporary_area(config, points);
    let overlay = |lower: Vec<PathBuf>, upper: &Path, work: &Path| Step::Overlay {
        lower,
        upper: upper.to_owned(),
        work: work.to_owned(),
        options: overlay_options(config),
        at: sysroot.to_owned(),
    };
    let lowest = points.lower.clone();
    match area {
        None => {
            steps.append(&mut temporary);
            steps.extend([drivers::overlay()]);
            steps.push(overlay(vec![lowest], &points.upper, &points.work));
        }
        Some(area) => {
            steps.extend([drivers::overlay()]);
            let mut first = area.steps.clone();
            if area.readonly {
                first.extend(temporary.clone());
                first.push(overlay(vec![area.upper.clone(), lowest.clone()], &points.upper, &points.work));
            } else {
                first.push(overlay(vec![lowest.clone()], &area.upper, &area.work));
            }
            if area.required {
                steps.append(&mut first);
            } else {
                temporary.push(overlay(vec![lowest], &points.upper, &points.work));
                steps.push(Step::either(first, temporary, Wanted::Changes));
            }
        }
    }
    steps
}

/// The root image, if there is one.
pub fn base<'a>(points: &'a Points, content: Option<&'a Content>, inner: Option<&'a Inner>) -> Option<Base<'a>> {
    match (content, inner) {
        (_, Some(Inner::Image(file))) => Some(Base { at: &points.container, file }),
        (Some(Content::Image(file)), None) => Some(Base { at: &points.live, file }),
        _ => None,
    }
}

/// The read-only root: a nested image, the container's tree, an image on the medium, or the medium's own tree.
fn lower(config: &Config, points: &Points, content: Option<&Content>, inner: Option<&Inner>) -> Vec<Step> {
    let Some(Base { at, file }) = base(points, content, inner) else {
        return match inner {
            Some(_) => vec![bind(&points.container, &points.lower)],
            None => vec![Step::Symlink { at: points.lower.clone(), to: points.live.clone() }],
        };
    };
    let mut steps = vec![loop_image(at, file, Slot::Image)];
    if config.dialect == Dialect::Dmsquash {
        steps.push(snapshot::base_link());
    }
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

/// In the kiwi dialect `rootflags=` are documented as overlay options (kiwi-live spec 1.3); in dmsquash's they mean
/// the block file system, and an ext4 flag would make the overlay fail (dracut-live spec 2.3, 8.2).
fn overlay_options(config: &Config) -> Vec<String> {
    match config.dialect {
        // The root that lies below has been mounted with them.
        _ if config.covers_root() => Vec::new(),
        Dialect::Kiwi => flags::for_the_root(&config.rootflags),
        Dialect::Dmsquash => Vec::new(),
    }
}
