//! The root of a machine that is no live system, below an overlay (`rd.overlay`; dracut-live spec 1.5, 2.8, case C22).

use std::path::{Path, PathBuf};

use super::acquire::driver;
use super::assemble::layers;
use super::drivers;
use super::flags;
use super::persist::Area;
use super::points::Points;
use super::slot::{Place, Slot};
use super::step::{self, Step};
use crate::config::{Access, Config};
use crate::error::{Code, Stop};
use crate::facts::Device;
use crate::format::Kind;

/// Where changes lie on a named file system, as dracut's overlayfs module has it; `ovlwork` is beside it.
pub const PATH: &str = "overlay";

/// Takes the root from where somebody else has mounted it.
pub fn taken(points: &Points, sysroot: &Path) -> Vec<Step> {
    vec![Step::Move { from: sysroot.to_owned(), at: points.lower.clone() }]
}

/// Mounts the root itself. With `asleep`, a hibernated system of this machine owns its file systems: nothing is replayed.
///
/// # Errors
/// [`Code::MediumMount`]: what the device holds instead of a file system.
pub fn mounted(config: &Config, points: &Points, device: &Device, asleep: bool) -> Result<Vec<Step>, Stop> {
    let found = device.superblock.as_ref().map(|found| found.kind);
    let known = found.filter(|kind| kind.driver().is_some());
    let (fs, mut steps) = match (&config.rootfstype, known) {
        (Some(fs), _) => (fs.clone(), drivers::file_system(fs)),
        (None, Some(kind)) => (kind.driver().unwrap_or(kind.name()).to_owned(), driver(kind)),
        (None, None) => {
            let what = found.map_or("nothing that is known", Kind::name);
            return Err(Stop::new(Code::MediumMount, format!("{} holds {what}", device.node.display()))
                .advice("name the file system with rootfstype=, or use an initrd made by dracut, which opens LVM, RAID and LUKS"));
        }
    };
    let mut options: Vec<String> = flags::for_the_driver(&config.rootflags);
    if asleep {
        options.extend(known.map(step::no_replay).into_iter().flatten().map(|&option| option.to_owned()));
    }
    steps.push(Step::Device { device: device.seen(), into: Slot::Root });
    steps.push(Step::Mount {
        what: Place::Slot(Slot::Root),
        fs,
        access: Access::ReadOnly,
        options,
        at: points.lower.clone(),
    });
    Ok(steps)
}

/// The overlay over the root, and the links that dracut's module leaves.
pub fn assemble(config: &Config, points: &Points, sysroot: &Path, area: Option<&Area>) -> Vec<Step> {
    let mut steps = layers(config, points, sysroot, area);
    steps.extend(points.overlay_links());
    steps
}

/// The path of the changes on a named file system.
pub fn path(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| PathBuf::from(PATH), Path::to_owned)
}
