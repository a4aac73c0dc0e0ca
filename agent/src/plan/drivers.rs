//! Which kernel drivers a step needs, and where in a plan they are waited for. A step that is begun before its driver is there fails on
//! a good medium: so each one states its drivers, and the plan has them in front of it.

use std::collections::BTreeSet;

use super::acquire::driver;
use super::act::{AreaAct, Map, MapAct, Mapping, VolumeAct};
use super::step::Step;
use crate::format::Kind;

/// The drivers that a step needs, as steps that wait for them. Character sets and ciphers are not among them: only the kernel knows which
/// ones it needs, and it waits for them itself.
#[must_use]
pub fn of(step: &Step) -> Vec<Step> {
    match step {
        Step::Loop { .. } | Step::Area(AreaAct::Window { .. }) => vec![looped()],
        Step::Mount { fs, .. } => file_system(fs),
        Step::Members { .. } => driver(Kind::Btrfs),
        Step::Overlay { .. } => vec![overlay()],
        Step::Volume(VolumeAct::Open { .. }) => vec![mapper(), crypt()],
        // What is made in a file is made through a loop device.
        Step::Volume(VolumeAct::Format { .. }) => vec![mapper(), crypt(), looped()],
        Step::Map(MapAct::Make(Map { from, .. })) => mapping(from),
        // Each step of a branch states its own.
        Step::Branch { .. } | Step::Driver { .. } => Vec::new(),
        // A tmpfs is part of every kernel that can boot us.
        Step::Tmpfs { .. }
        | Step::Device { .. }
        | Step::Release { .. }
        | Step::Bind { .. }
        | Step::Move { .. }
        | Step::MakeDir { .. }
        | Step::Symlink { .. }
        | Step::LinkDevice { .. }
        | Step::Remount { .. }
        | Step::Unmount { .. }
        | Step::Updates { .. }
        | Step::Labels { .. }
        | Step::Programs { .. }
        | Step::Area(
            AreaAct::Format { .. }
            | AreaAct::AddPartition { .. }
            | AreaAct::Check { .. }
            | AreaAct::Repair { .. }
            | AreaAct::Mend { .. }
            | AreaAct::Sign { .. }
            | AreaAct::Identity { .. }
            | AreaAct::MakeDir { .. }
            | AreaAct::SetAside { .. }
            | AreaAct::Mark { .. }
            | AreaAct::Sweep { .. },
        )
        | Step::Volume(VolumeAct::Mark { .. })
        | Step::Map(
            MapAct::Store { .. }
            | MapAct::NewStore { .. }
            | MapAct::Identity { .. }
            | MapAct::SameOrigin { .. }
            | MapAct::Clear { .. },
        )
        | Step::Ram(_)
        | Step::Unpack { .. }
        | Step::Net(_) => Vec::new(),
    }
}

/// Puts the drivers in front of the steps that need them, as far as no step before has waited for them: neither one of `known`, which
/// grows, nor one in the list itself.
#[must_use]
pub fn stated(steps: &[Step], known: &mut BTreeSet<String>) -> Vec<Step> {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        all.extend(of(step).into_iter().filter(|driver| is_new(driver, known)));
        match step {
            Step::Branch { first, when, then } => {
                let (mut wanted, mut otherwise) = (known.clone(), known.clone());
                let (first, then) = (stated(first, &mut wanted), stated(then, &mut otherwise));
                // Only one of them is done to its end.
                known.extend(wanted.intersection(&otherwise).cloned());
                all.push(Step::Branch { first, when: *when, then });
            }
            other => {
                is_new(other, known);
                all.push(other.clone());
            }
        }
    }
    all
}

/// Whether a step waits for a driver that was not waited for until now.
fn is_new(step: &Step, known: &mut BTreeSet<String>) -> bool {
    matches!(step, Step::Driver { module, .. } if known.insert(module.clone()))
}

fn named(module: &str, filesystem: Option<&str>, option: &str) -> Step {
    Step::Driver { module: module.to_owned(), filesystem: filesystem.map(str::to_owned), option: option.to_owned() }
}

fn looped() -> Step {
    named("loop", None, "CONFIG_BLK_DEV_LOOP")
}

/// The driver of overlays.
pub(super) fn overlay() -> Step {
    named("overlay", Some("overlay"), "CONFIG_OVERLAY_FS")
}

fn mapper() -> Step {
    named("dm_mod", None, "CONFIG_BLK_DEV_DM")
}

fn crypt() -> Step {
    named("dm_crypt", None, "CONFIG_DM_CRYPT")
}

fn mapping(from: &Mapping) -> Vec<Step> {
    match from {
        Mapping::Linear(_) => vec![mapper()],
        Mapping::Snapshot { .. } => vec![mapper(), named("dm_snapshot", None, "CONFIG_DM_SNAPSHOT")],
        Mapping::ThinPool { .. } | Mapping::Thin { .. } => {
            vec![mapper(), named("dm_thin_pool", None, "CONFIG_DM_THIN_PROVISIONING")]
        }
    }
}

/// The driver of a file system by its name for `mount`; of one that only `rootfstype=` knows, too.
pub(super) fn file_system(fs: &str) -> Vec<Step> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.driver() == Some(fs));
    kind.map_or_else(|| vec![named(fs, Some(fs), &format!("a driver for {fs}"))], driver)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::area::Found;
    use crate::config::Access;
    use crate::facts::Seen;
    use crate::plan::act::{Crypt, Key, Target};
    use crate::plan::step::mount;
    use crate::plan::{Slot, Wanted};

    fn loop_step() -> Step {
        let found = Some(Found::Disk);
        Step::Loop { file: "/x".into(), access: Access::ReadOnly, direct: false, into: Slot::Image, found }
    }

    fn mounted(fs: &str) -> Step {
        mount(Slot::Image, fs, Access::ReadOnly, &[], &PathBuf::from("/y"))
    }

    fn modules(steps: &[Step]) -> Vec<&str> {
        steps
            .iter()
            .map(|step| match step {
                Step::Driver { module, .. } => module.as_str(),
                Step::Branch { .. } => "|",
                _ => "-",
            })
            .collect()
    }

    fn map(from: Mapping) -> Step {
        Step::Map(MapAct::Make(Map { name: "x".into(), from, access: Access::ReadOnly, into: Slot::Live }))
    }

    #[test]
    fn every_step_states_its_drivers_table() {
        let crypt = || Crypt {
            map: "x".into(),
            place: "x".into(),
            key: Key::Random { keep: "/x".into() },
            access: Access::ReadWrite,
        };
        let format = VolumeAct::Format {
            target: Target::Device { device: Seen::default() },
            luks: "x".into(),
            mark: None,
            crypt: crypt(),
            fs: Kind::Ext4,
            label: None,
        };
        let window =
            AreaAct::Window { disk: Seen::default(), start: 0, size: 1, access: Access::ReadOnly, into: Slot::Cow };
        let overlay = Step::Overlay {
            lower: vec!["/x".into()],
            upper: "/x".into(),
            work: "/x".into(),
            options: Vec::new(),
            at: "/x".into(),
        };
        let snapshot = Mapping::Snapshot { origin: Slot::Image, store: Slot::Cow, overflow: true };
        for (step, expected) in [
            (loop_step(), &["loop"][..]),
            (window.into(), &["loop"]),
            (overlay, &["overlay"]),
            (Step::Volume(VolumeAct::Open { what: Slot::Cow, crypt: crypt() }), &["dm_mod", "dm_crypt"]),
            (Step::Volume(format), &["dm_mod", "dm_crypt", "loop"]),
            (map(Mapping::Linear(Slot::Image)), &["dm_mod"]),
            (map(snapshot), &["dm_mod", "dm_snapshot"]),
            (map(Mapping::ThinPool { metadata: Slot::Metadata, data: Slot::Store }), &["dm_mod", "dm_thin_pool"]),
            (map(Mapping::Thin { pool: Slot::Pool, origin: Slot::Image }), &["dm_mod", "dm_thin_pool"]),
            (mounted("iso9660"), &["isofs"]),
            (mounted("nilfs2"), &["nilfs2"]),
            (Step::MakeDir { path: "/x".into() }, &[]),
            (Step::Remount { at: "/x".into() }, &[]),
        ] {
            assert_eq!(modules(&of(&step)), expected, "{step}");
        }
        // Whatever can be mounted has its module.
        for (fs, module) in Kind::ALL.into_iter().filter_map(|kind| kind.driver().zip(kind.module())) {
            assert_eq!(modules(&of(&mounted(fs))), [module], "{fs}");
        }
    }

    #[test]
    fn drivers_are_waited_for_once_and_before_their_step() {
        let mut known = BTreeSet::new();
        let first = stated(&[loop_step(), mounted("squashfs"), loop_step()], &mut known);
        assert_eq!(modules(&first), ["loop", "-", "squashfs", "-", "-"]);
        // A plan that names one itself names it once.
        let own = stated(&[named("erofs", Some("erofs"), ""), mounted("erofs"), mounted("squashfs")], &mut known);
        assert_eq!(modules(&own), ["erofs", "-", "-"]);
        // What one branch has waited for, the other has not.
        let either = Step::either(vec![mounted("ext4"), mounted("xfs")], vec![mounted("xfs")], Wanted::Changes);
        let branched = stated(&[either, mounted("ext4"), mounted("xfs")], &mut known);
        assert_eq!(modules(&branched), ["|", "ext4", "-", "-"]);
        let Step::Branch { first, then, .. } = &branched[0] else { panic!("{branched:?}") };
        assert_eq!((modules(first), modules(then)), (vec!["ext4", "-", "xfs", "-"], vec!["xfs", "-"]));
    }
}
