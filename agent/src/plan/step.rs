//! The one plan type. A step prints itself: golden tests, `explain` and the boot log show the same text.

use std::fmt;
use std::path::{Path, PathBuf};

use super::act::{AreaAct, MapAct, NetAct, RamAct, VolumeAct, Writes};
use super::slot::{Place, Slot};
use super::wanted::{Wanted, When};
use crate::area::Found;
use crate::config::{Access, TmpfsSize};
use crate::error::{Code, Stop};
use crate::facts::Seen;
use crate::format::Kind;

/// The option of a mount on which no link is followed (mount(8)); the kernel knows it for every file system.
pub const NO_LINKS: &str = "nosymfollow";

/// One action, with everything it needs. `at` and other paths are absolute, below the environment's root.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make a kernel driver available; fails with the option's name if the kernel has none.
    Driver {
        /// Module name.
        module: String,
        /// File-system name in `/proc/filesystems` that proves it is there, if it is a file system.
        filesystem: Option<String>,
        /// The kernel option that provides it.
        option: String,
    },
    /// Name a block device that exists.
    Device {
        /// The device, as it was seen: before anything is written to it, it is compared with that.
        device: Seen,
        /// Its role from here on.
        into: Slot,
    },
    /// Tell the kernel which devices belong to one btrfs.
    Members {
        /// Their nodes.
        nodes: Vec<PathBuf>,
    },
    /// Attach a file to a loop device.
    Loop {
        /// The file.
        file: PathBuf,
        /// Read-only or read-write.
        access: Access,
        /// Bypass the page cache of the file's own file system.
        direct: bool,
        /// The role of the new device.
        into: Slot,
        /// What was found in it, which must be there still when it is opened for writing; `None` for a file that is only read, or that a
        /// step before has made.
        found: Option<Found>,
    },
    /// Mount a file system.
    Mount {
        /// Device or slot.
        what: Place,
        /// Driver name.
        fs: String,
        /// Read-only or read-write.
        access: Access,
        /// Mount options without `ro` and `rw`.
        options: Vec<String>,
        /// Mount point; made if missing.
        at: PathBuf,
    },
    /// Mount a new tmpfs.
    Tmpfs {
        /// Size limit.
        size: TmpfsSize,
        /// Further options.
        options: Vec<String>,
        /// Mount point; made if missing.
        at: PathBuf,
    },
    /// Unmount what is no longer needed and let its device go.
    Release {
        /// The device.
        slot: Slot,
        /// Its mount point, if it is mounted.
        at: Option<PathBuf>,
    },
    /// Show a directory at a second place.
    Bind {
        /// The directory.
        from: PathBuf,
        /// Mount point; made if missing.
        at: PathBuf,
    },
    /// Take a mount to another place, where nothing can write to it.
    Move {
        /// Where it is.
        from: PathBuf,
        /// Mount point; made if missing.
        at: PathBuf,
    },
    /// Make a directory in RAM, with its parents.
    MakeDir {
        /// The directory.
        path: PathBuf,
    },
    /// Make a symbolic link; an existing one with another target is replaced.
    Symlink {
        /// The link.
        at: PathBuf,
        /// Its target, as written into the link.
        to: PathBuf,
    },
    /// Point a symbolic link at the device in a slot.
    LinkDevice {
        /// The link.
        at: PathBuf,
        /// The device.
        slot: Slot,
    },
    /// Mount an overlay and attach it as the new root.
    Overlay {
        /// Lower directories, topmost first.
        lower: Vec<PathBuf>,
        /// Upper directory; made if missing, with the mode and owner of the topmost lower.
        upper: PathBuf,
        /// Work directory; made if missing.
        work: PathBuf,
        /// Further options.
        options: Vec<String>,
        /// Mount point.
        at: PathBuf,
    },
    /// Unpack an archive of files into a directory in RAM.
    Unpack {
        /// The archive.
        archive: PathBuf,
        /// The directory; made.
        at: PathBuf,
    },
    /// Copy all below a directory of the medium over the root; devices and set-id bits are left out.
    Updates {
        /// The directory.
        from: PathBuf,
        /// Where the root is attached.
        to: PathBuf,
        /// Changes to the root outlive the boot.
        kept: bool,
    },
    /// Load the SELinux policy of the image, if none is loaded, and give what lies in the upper directory of the root its labels again.
    Labels {
        /// The directory of the policies, in the root.
        policies: PathBuf,
        /// Where the root is attached.
        root: PathBuf,
        /// Its upper directory.
        upper: PathBuf,
        /// Its lower directories, topmost first; one that is not there has no labels.
        lower: [PathBuf; 2],
    },
    /// Allow writing to a file system that is mounted read-only.
    Remount {
        /// Its mount point.
        at: PathBuf,
    },
    /// Unmount; for a file system that must be mounted in another way.
    Unmount {
        /// Its mount point.
        at: PathBuf,
    },
    /// Let programs of the image be run that make and check file systems, where the initrd has none.
    Programs {
        /// Where its tree is mounted.
        at: PathBuf,
    },
    /// Something at the place where changes are kept.
    Area(AreaAct),
    /// Something with a LUKS volume.
    Volume(VolumeAct),
    /// Something with device-mapper.
    Map(MapAct),
    /// Something with an image in RAM.
    Ram(RamAct),
    /// Something with the network.
    Net(NetAct),
    /// Try the first list; if a step of it fails, and that is a reason, undo it and do the second.
    Branch {
        /// What is wanted.
        first: Vec<Step>,
        /// Which failure leads to the second list, and what that means.
        when: When,
        /// What happens instead.
        then: Vec<Step>,
    },
}

impl Step {
    /// Does a list, or gives up what is wanted and does another.
    #[must_use]
    pub fn either(first: Vec<Self>, then: Vec<Self>, what: Wanted) -> Self {
        Self::Branch { first, when: When::Any(what), then }
    }

    /// What it may change. A place that is used for writing counts, also where nothing is written yet.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::Driver { .. } | Self::Device { .. } | Self::Members { .. } | Self::Programs { .. } => Writes::Nothing,
            Self::Loop { access: Access::ReadWrite, into, .. } if into.is_forgotten() => Writes::Ram,
            Self::Loop { access, .. } => Writes::by(*access),
            Self::Mount { what, fs, access, options, .. } => mounted(what, fs, *access, options),
            Self::Tmpfs { .. }
            | Self::Release { .. }
            | Self::Bind { .. }
            | Self::Move { .. }
            | Self::MakeDir { .. }
            | Self::Unpack { .. }
            | Self::Symlink { .. }
            | Self::LinkDevice { .. }
            | Self::Overlay { .. }
            | Self::Labels { .. }
            | Self::Unmount { .. } => Writes::Ram,
            Self::Updates { kept, .. } => Writes::place_or_ram(*kept),
            Self::Remount { .. } => Writes::Place,
            Self::Area(act) => act.writes(),
            Self::Volume(act) => act.writes(),
            Self::Map(act) => act.writes(),
            Self::Ram(act) => act.writes(),
            Self::Net(act) => act.writes(),
            Self::Branch { first, then, .. } => most(first).max(most(then)),
        }
    }
}

/// What the steps of a list may change.
#[must_use]
pub fn most(steps: &[Step]) -> Writes {
    steps.iter().map(Step::writes).max().unwrap_or(Writes::Nothing)
}

/// Whether steps only show what is kept.
///
/// # Errors
/// [`Code::Fault`], with the step that may change it: the plan is wrong.
pub fn only_show(steps: &[Step]) -> Result<(), Stop> {
    let changes = |step: &Step| format!("changes are only to be shown, and this may write: {step}");
    let wrong = steps.iter().find(|step| step.writes() == Writes::Place);
    wrong.map_or(Ok(()), |step| Err(Stop::new(Code::Fault, changes(step))))
}

/// What a mount may change: a journal is replayed by a mount for reading, too. What device-mapper has made changes what it is made from,
/// which the steps before have opened for that.
fn mounted(what: &Place, fs: &str, access: Access, options: &[String]) -> Writes {
    let mapped = matches!(what, Place::Slot(Slot::Live | Slot::Shown | Slot::Base));
    let mut kinds = Kind::ALL.into_iter().filter(|kind| kind.driver() == Some(fs));
    let guard = kinds.find_map(|kind| no_replay(kind).first());
    let replays = guard.is_some_and(|guard| !options.iter().any(|option| option == guard));
    match mapped {
        true => Writes::Ram,
        false => Writes::place_if(access == Access::ReadWrite || replays),
    }
}

/// The options with which a mount for reading replays no journal and recovers no log; the first one is what counts.
pub(super) fn no_replay(kind: Kind) -> &'static [&'static str] {
    match kind {
        // An ext2 has no journal, but a list of orphans, which the driver of ext4 works off unless the device is protected for this option.
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => &["noload"],
        Kind::Xfs => &["norecovery", "nouuid"],
        Kind::Btrfs => &["rescue=nologreplay"],
        _ => &[],
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    }
}

fn list(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" [{}]", options.join(",")) }
}

fn paths(paths: &[PathBuf]) -> String {
    let texts: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    texts.join(":")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Driver { module, option, .. } => write!(f, "driver {module} ({option})"),
            Step::Device { device, into } => write!(f, "device {} as {into}", device.node.display()),
            Step::Members { nodes } => write!(f, "devices of one btrfs {}", paths(nodes)),
            Step::Loop { file, access, direct, into, .. } => {
                let direct = if *direct { ", direct" } else { "" };
                write!(f, "loop {} ({}{direct}) as {into}", file.display(), word(*access))
            }
            Step::Mount { what, fs, access, options, at } => {
                write!(f, "mount {what} {fs} ({}){} at {}", word(*access), list(options), at.display())
            }
            Step::Tmpfs { size, options, at } => write!(f, "tmpfs {size}{} at {}", list(options), at.display()),
            Step::Release { slot, at: None } => write!(f, "release {slot}"),
            Step::Release { slot, at: Some(at) } => write!(f, "release {slot} at {}", at.display()),
            Step::Bind { from, at } => write!(f, "bind {} at {}", from.display(), at.display()),
            Step::Move { from, at } => write!(f, "move {} to {} (ro)", from.display(), at.display()),
            Step::MakeDir { path } => write!(f, "directory {}", path.display()),
            Step::Symlink { at, to } => write!(f, "link {} to {}", at.display(), to.display()),
            Step::LinkDevice { at, slot } => write!(f, "link {} to the device of {slot}", at.display()),
            Step::Overlay { lower, upper, work, options, at } => {
                let (lower, upper, work) = (paths(lower), upper.display(), work.display());
                write!(f, "overlay lower {lower} upper {upper} work {work}{} at {}", list(options), at.display())
            }
            Step::Unpack { archive, at } => write!(f, "unpack {} at {}", archive.display(), at.display()),
            Step::Updates { from, to, .. } => write!(f, "copy {} over {}", from.display(), to.display()),
            Step::Labels { policies, root, .. } => {
                write!(f, "labels of {} by the SELinux policy in its {}", root.display(), policies.display())
            }
            Step::Remount { at } => write!(f, "remount {} (rw)", at.display()),
            Step::Unmount { at } => write!(f, "unmount {}", at.display()),
            Step::Programs { at } => write!(f, "programs of {} where the initrd has none", at.display()),
            Step::Area(act) => act.fmt(f),
            Step::Volume(act) => act.fmt(f),
            Step::Map(act) => act.fmt(f),
            Step::Ram(act) => act.fmt(f),
            Step::Net(act) => act.fmt(f),
            Step::Branch { first, when: When::Found(found), then } => {
                write!(f, "try {} | {} on {}, {found}", line(first), line(then), found.code())
            }
            Step::Branch { first, when: When::Any(what), then } => {
                write!(f, "either {} | {} because {what}", line(first), line(then))
            }
        }
    }
}

fn line(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing".to_owned();
    }
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" · ")
}

/// A stage and its steps as lines, one for each step, the stage's name in the first column.
pub fn describe(stage: &str, steps: &[Step]) -> impl Iterator<Item = String> {
    steps.iter().enumerate().map(move |(number, step)| format!("{:<10}{step}", if number == 0 { stage } else { "" }))
}

/// The step that mounts what a slot holds, read-only unless said otherwise.
pub fn mount(slot: Slot, fs: &str, access: Access, options: &[&str], at: &Path) -> Step {
    Step::Mount {
        what: Place::Slot(slot),
        fs: fs.to_owned(),
        access,
        options: options.iter().map(|&option| option.to_owned()).collect(),
        at: at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Finding;

    #[test]
    fn a_step_that_may_change_a_place_says_so() {
        let at = || PathBuf::from("/run/x");
        let looped = |access, into| Step::Loop { file: at(), access, direct: false, into, found: None };
        let mounted = |slot, fs: &str, access, options: &[&str]| mount(slot, fs, access, options, &at());
        let (ro, rw) = (Access::ReadOnly, Access::ReadWrite);
        let window = |access| AreaAct::Window { disk: Seen::default(), start: 0, size: 1, access, into: Slot::Cow };
        for (step, expected) in [
            (looped(ro, Slot::Cow), Writes::Nothing),
            (looped(rw, Slot::Cow), Writes::Place),
            (looped(rw, Slot::Store), Writes::Ram),
            (mounted(Slot::Cow, "ext4", rw, &[]), Writes::Place),
            (mounted(Slot::Cow, "ext4", ro, &[]), Writes::Place),
            (mounted(Slot::Cow, "ext4", ro, &["noload"]), Writes::Nothing),
            (mounted(Slot::Cow, "xfs", ro, &["nouuid"]), Writes::Place),
            (mounted(Slot::Cow, "xfs", ro, &["norecovery", "nouuid"]), Writes::Nothing),
            (mounted(Slot::Cow, "btrfs", ro, &["rescue=nologreplay", NO_LINKS]), Writes::Nothing),
            (mounted(Slot::Container, "squashfs", ro, &[]), Writes::Nothing),
            (mounted(Slot::Live, "ext4", rw, &[]), Writes::Ram),
            (window(ro).into(), Writes::Nothing),
            (window(rw).into(), Writes::Place),
            (Step::MakeDir { path: at() }, Writes::Ram),
            (AreaAct::MakeDir { path: at() }.into(), Writes::Place),
            (Step::Remount { at: at() }, Writes::Place),
            (Step::Updates { from: at(), to: at(), kept: true }, Writes::Place),
            (Step::Updates { from: at(), to: at(), kept: false }, Writes::Ram),
        ] {
            assert_eq!(step.writes(), expected, "{step}");
            // What is tried counts, and what comes after it.
            let first = Step::either(vec![step.clone()], Vec::new(), Wanted::Changes);
            let then = Step::Branch { first: Vec::new(), when: When::Found(Finding::BeyondRepair), then: vec![step] };
            assert_eq!([first.writes(), then.writes()], [expected; 2], "{then}");
        }
    }
}
