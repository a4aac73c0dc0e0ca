//! The one plan type. A step prints itself: golden tests, `explain` and the boot log show the same text.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::crypt::{Consent, Crypt};
use super::wanted::Wanted;
use crate::area::{Found, Identity};
use crate::config::{Access, TmpfsSize};
use crate::error::Code;
use crate::facts::Seen;
use crate::table::Gap;

use super::snapshot::Map;

/// A device by its role; loop and device-mapper numbers exist only at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The file system that holds an ISO file.
    Host,
    /// The medium.
    Medium,
    /// The container.
    Container,
    /// The nested root image.
    Image,
    /// Where changes are kept: a file system, or the store of a device-mapper snapshot.
    Cow,
    /// A device that is looked into, and given back: nothing else is lost with it.
    Looked,
    /// The root of a machine that is no live system.
    Root,
    /// The store of a device-mapper snapshot that a reboot forgets.
    Store,
    /// What is where in a thin pool.
    Metadata,
    /// A thin pool.
    Pool,
    /// The image with the changes that were kept.
    Shown,
    /// The image as a device-mapper device.
    Base,
    /// The device-mapper device that is the root.
    Live,
}

/// Something that can be mounted or looped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A device another step has made or found.
    Slot(Slot),
    /// A path: a node in `/dev`, or a file.
    Path(PathBuf),
}

/// What is formatted. The step proves that it is empty before it writes (see `exec/blank.rs`); nothing else is ever
/// formatted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Room on a disk that no table entry mentions.
    Gap {
        /// The disk.
        disk: Seen,
        /// Bytes at its start that belong to the image.
        image: u64,
        /// The room.
        gap: Gap,
    },
    /// A partition that holds nothing.
    Partition {
        /// The disk.
        disk: Seen,
        /// First byte on the disk.
        start: u64,
        /// Length in bytes.
        size: u64,
    },
    /// A persistent area that cannot be used any more and that the operator asked to be made anew
    /// (`rd.live.overlay.reset`).
    Discarded {
        /// The disk.
        disk: Seen,
        /// First byte on the disk.
        start: u64,
        /// Length in bytes.
        size: u64,
    },
    /// A LUKS volume that is open. Whoever opened it asked for its content to be made anew (`rd.live.overlay.reset`).
    Opened {
        /// The opened device.
        node: PathBuf,
    },
    /// A device that was named and holds nothing.
    Device {
        /// The device.
        device: Seen,
    },
    /// A device that was given to be encrypted (`rd.overlay.crypt`).
    Given {
        /// The device.
        device: Seen,
        /// What may be on it.
        consent: Consent,
    },
    /// A new file; a note lies beside it until it is complete.
    File {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// What it may take the place of.
        replace: Replace,
    },
}

/// What a new file may take the place of. More than nothing only if the operator asked for it (`rd.live.overlay.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Replace {
    /// What an attempt of ours left that was cut short.
    Nothing,
    /// An area that cannot be used.
    Area,
    /// Besides, what nobody knows: the file bears the image's own name.
    Own,
}

/// The option of a mount on which no link is followed (mount(8)); the kernel knows it for every file system.
pub const NO_LINKS: &str = "nosymfollow";

/// One action, with everything it needs. `at` and other paths are absolute, below the environment's root.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "do")]
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
    /// Copy an image into RAM, holes left out.
    CopyToRam {
        /// File or device.
        from: PathBuf,
        /// The copy, on a tmpfs.
        to: PathBuf,
        /// How many bytes from the start.
        bytes: u64,
        /// Compute the SHA-256 on the way.
        digest: bool,
    },
    /// Compare the SHA-256 that was computed while a file was copied; nothing to do if it was not.
    Compare {
        /// The copy.
        file: PathBuf,
        /// What the medium says, lower-case hex.
        sha256: String,
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
    /// Make a directory with its parents.
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
    /// Make a file system where there is nothing.
    Format {
        /// Where.
        target: Target,
        /// Its name, as in `mkfs.<name>`.
        fs: String,
        /// Its label.
        label: Option<String>,
    },
    /// Make a LUKS2 volume where there is nothing, and a file system inside.
    LuksFormat {
        /// Where.
        target: Target,
        /// Label in the LUKS header.
        luks: String,
        /// Subsystem in the LUKS header: which image it is for.
        mark: Option<String>,
        /// How it is opened, now and by the [`Step::Unlock`] that follows.
        crypt: Crypt,
        /// File system inside.
        fs: String,
        /// Its label.
        label: Option<String>,
    },
    /// Open the LUKS volume in a slot; the opened device takes its place there.
    Unlock {
        /// The device.
        what: Slot,
        /// How.
        crypt: Crypt,
    },
    /// Write into the header of an opened LUKS volume which image it is for. A failure is only told.
    MarkVolume {
        /// The name it was opened by.
        map: String,
        /// The subsystem.
        mark: String,
    },
    /// Add the entry for a new partition to a disk's table and tell the kernel.
    AddPartition {
        /// The disk.
        disk: Seen,
        /// Bytes at its start that belong to the image.
        image: u64,
        /// Where the partition is.
        gap: Gap,
    },
    /// Show a part of a disk as a device.
    Window {
        /// The disk.
        disk: Seen,
        /// First byte.
        start: u64,
        /// Length in bytes.
        size: u64,
        /// Read-only or read-write.
        access: Access,
        /// The role of the new device.
        into: Slot,
    },
    /// Check a file system that is not mounted and repair what is safe to repair.
    CheckFs {
        /// The device.
        what: Slot,
        /// The file system's name.
        fs: String,
    },
    /// Repair an ext that is not mounted as far as its own checker can. What that calls beyond repair is damaged.
    Repair {
        /// The device.
        what: Slot,
        /// Also if it was left in order: somebody else has called it damaged.
        always: bool,
    },
    /// Mend the superblock of a file system that is not mounted, if a power cut has torn it; nothing else is repaired.
    Mend {
        /// The device.
        what: Slot,
    },
    /// Allow writing to a file system that is mounted read-only.
    Remount {
        /// Its mount point.
        at: PathBuf,
    },
    /// Leave a sign on a file system that belongs to somebody else that it is mounted by a session of ours ([`Step::Remount`] does it
    /// too). Never fails.
    Sign {
        /// Its mount point.
        at: PathBuf,
    },
    /// Unmount; for a file system that must be mounted in another way.
    Unmount {
        /// Its mount point.
        at: PathBuf,
    },
    /// Ask a persistent area which image it was made for; a new one is told.
    Identity {
        /// Top of its file system.
        at: PathBuf,
        /// The image that is booted.
        image: Identity,
        /// Take it over from another image.
        accept: bool,
        /// It may be written to.
        write: bool,
    },
    /// Take the changes out of an area: rename both directories, as one change that is on the disk when it is done.
    SetAside {
        /// The upper directory.
        upper: PathBuf,
        /// The work directory.
        work: PathBuf,
    },
    /// Tell a persistent area that is empty now which image it is for.
    Mark {
        /// Top of its file system.
        at: PathBuf,
        /// The image that is booted.
        image: Identity,
    },
    /// Delete what [`Step::SetAside`] has set aside, in this boot or an earlier one. Never fails.
    Sweep {
        /// The directory in which it lies.
        dir: PathBuf,
    },
    /// Ask the file beside a store which image it was made for; nothing is written for one that nobody has marked.
    StoreIdentity {
        /// The store.
        store: PathBuf,
        /// The image that is booted.
        image: Identity,
        /// Take it over from another image.
        accept: bool,
        /// Mark it for this image.
        write: bool,
    },
    /// Make sure that the file system seen through a store is the image's; a store of another image mixes both. Reads only.
    SameOrigin {
        /// The image with the changes.
        seen: Slot,
        /// The image.
        image: Slot,
    },
    /// Make a sparse file for a store.
    Store {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// Exactly so long; otherwise at most, and no longer than what is free on its file system.
        exact: bool,
    },
    /// Forget what is in the store of a snapshot.
    ClearStore {
        /// The store.
        what: Slot,
    },
    /// Make a device-mapper device.
    Map(Map),
    /// Try a list; if it fails for one certain reason, undo it and do another.
    Recover {
        /// What is wanted.
        attempt: Vec<Step>,
        /// The reason that is expected.
        from: Code,
        /// What happens then.
        with: Vec<Step>,
        /// The reason in words.
        because: String,
    },
    /// Try the first list; if a step of it fails, undo it and do the second.
    Either {
        /// What is wanted.
        first: Vec<Step>,
        /// What happens instead.
        otherwise: Vec<Step>,
        /// What is given up then.
        because: Wanted,
    },
}

fn word(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::Host => "host",
            Slot::Medium => "medium",
            Slot::Container => "container",
            Slot::Image => "image",
            Slot::Cow => "cow",
            Slot::Looked => "looked",
            Slot::Root => "root",
            Slot::Store => "store",
            Slot::Metadata => "metadata",
            Slot::Pool => "pool",
            Slot::Shown => "shown",
            Slot::Base => "base",
            Slot::Live => "live",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Slot(slot) => slot.fmt(f),
            Place::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for TmpfsSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TmpfsSize::Percent(percent) => write!(f, "{percent}%"),
            TmpfsSize::Bytes(bytes) => write!(f, "{bytes}"),
        }
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
            Step::Loop { file, access, direct, into, .. } => {
                let direct = if *direct { ", direct" } else { "" };
                write!(f, "loop {} ({}{direct}) as {into}", file.display(), word(*access))
            }
            Step::Mount { what, fs, access, options, at } => {
                write!(f, "mount {what} {fs} ({}){} at {}", word(*access), list(options), at.display())
            }
            Step::Tmpfs { size, options, at } => write!(f, "tmpfs {size}{} at {}", list(options), at.display()),
            Step::CopyToRam { from, to, bytes, digest } => {
                let sum = if *digest { ", with its SHA-256" } else { "" };
                write!(f, "copy {bytes} bytes of {} to RAM at {}{sum}", from.display(), to.display())
            }
            Step::Compare { file, sha256 } => write!(f, "compare {} with SHA-256 {sha256}", file.display()),
            Step::Release { slot, at: None } => write!(f, "release {slot}"),
            Step::Release { slot, at: Some(at) } => write!(f, "release {slot} at {}", at.display()),
            Step::Bind { from, at } => write!(f, "bind {} at {}", from.display(), at.display()),
            Step::Move { from, at } => write!(f, "move {} to {} (ro)", from.display(), at.display()),
            Step::MakeDir { path } => write!(f, "directory {}", path.display()),
            Step::Symlink { at, to } => write!(f, "link {} to {}", at.display(), to.display()),
            Step::LinkDevice { at, slot } => write!(f, "link {} to the device of {slot}", at.display()),
            Step::Overlay { lower, upper, work, options, at } => write!(
                f,
                "overlay lower {} upper {} work {}{} at {}",
                paths(lower),
                upper.display(),
                work.display(),
                list(options),
                at.display()
            ),
            Step::Format { target, fs, label } => {
                let label = label.as_ref().map_or(String::new(), |label| format!(" label {label}"));
                write!(f, "format {target} {fs}{label}")
            }
            Step::LuksFormat { target, luks, mark, crypt, fs, label } => {
                let label = label.as_ref().map_or(String::new(), |label| format!(" label {label}"));
                let mark = mark.as_ref().map_or(String::new(), |mark| format!(" marked {mark}"));
                write!(f, "encrypt {target} LUKS2 label {luks}{mark}, {}, {fs}{label} inside", crypt.key)
            }
            Step::Unlock { what, crypt } => write!(f, "unlock {what} as {crypt}"),
            Step::MarkVolume { map, mark } => write!(f, "mark the header of {map} {mark}"),
            Step::AddPartition { disk, gap, .. } => write!(f, "partition {} {gap}", disk.node.display()),
            Step::Window { disk, start, size, access, into } => {
                let shown = if *access == Access::ReadOnly { " (ro)" } else { "" };
                write!(f, "window {} from {} {}{shown} as {into}", disk.node.display(), mib(*start), mib(*size))
            }
            Step::CheckFs { what, fs } => write!(f, "check {what} {fs}"),
            Step::Repair { what, always: true } => write!(f, "repair {what}"),
            Step::Repair { what, always: false } => write!(f, "repair {what} where it needs that"),
            Step::Mend { what } => write!(f, "mend {what}"),
            Step::Remount { at } => write!(f, "remount {} (rw)", at.display()),
            Step::Sign { at } => write!(f, "sign {}", at.display()),
            Step::Unmount { at } => write!(f, "unmount {}", at.display()),
            Step::Identity { at, image, accept, write } => {
                let accept = if *accept { ", or taken over" } else { "" };
                let write = if *write { "" } else { ", not marked" };
                write!(f, "identity {} must be {image}{accept}{write}", at.display())
            }
            Step::SetAside { upper, work } => write!(f, "set aside {} with {}", upper.display(), work.display()),
            Step::Mark { at, image } => write!(f, "mark {} for {image}", at.display()),
            Step::Sweep { dir } => write!(f, "sweep {}", dir.display()),
            Step::StoreIdentity { store, image, accept, write } => {
                let accept = if *accept { ", any other accepted" } else { "" };
                let write = if *write { ", marked" } else { "" };
                write!(f, "store {} must be of {image}{accept}{write}", store.display())
            }
            Step::SameOrigin { seen, image } => write!(f, "compare {seen} with {image}"),
            Step::Store { file, size, exact } => {
                let at_most = if *exact { "" } else { "at most " };
                let size = if *size == u64::MAX { "what is free".to_owned() } else { mib(*size) };
                write!(f, "store {} of {at_most}{size}", file.display())
            }
            Step::ClearStore { what } => write!(f, "clear the store {what}"),
            Step::Map(map) => map.fmt(f),
            Step::Recover { attempt, from, with, because } => {
                write!(f, "try {} | {} on {from}, {because}", line(attempt), line(with))
            }
            Step::Either { first, otherwise, because } => {
                write!(f, "either {} | {} because {because}", line(first), line(otherwise))
            }
        }
    }
}

/// Partitions begin and end at whole MiB.
fn mib(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} at {} size {}", self.number, mib(self.start), mib(self.size))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Gap { disk, gap, .. } => write!(f, "free space of {}, {gap},", disk.node.display()),
            Target::Partition { disk, start, size } => {
                write!(f, "empty partition of {} at {} size {},", disk.node.display(), mib(*start), mib(*size))
            }
            Target::Discarded { disk, start, size } => {
                write!(f, "discarded area of {} at {} size {},", disk.node.display(), mib(*start), mib(*size))
            }
            Target::Opened { node } => write!(f, "discarded content of {},", node.display()),
            Target::Device { device } => write!(f, "empty device {},", device.node.display()),
            Target::Given { device, consent } => write!(f, "device {}, {consent},", device.node.display()),
            Target::File { path, size, replace } => {
                let kind = if *replace == Replace::Nothing { "new file" } else { "file instead of" };
                write!(f, "{kind} {} size {},", path.display(), mib(*size))
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
