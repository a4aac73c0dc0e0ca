//! Acts on the place where changes are kept.

use std::fmt;
use std::path::PathBuf;

use super::{Consent, Writes, and};
use crate::area::Identity;
use crate::config::Access;
use crate::facts::Seen;
use crate::format::Kind;
use crate::plan::Slot;
use crate::table::{Gap, mib};

/// An act on the place where changes are kept. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum AreaAct {
    /// Make a file system where there is nothing.
    Format {
        /// Where.
        target: Target,
        /// Which.
        fs: Kind,
        /// Its label.
        label: Option<String>,
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
        /// Length.
        size: u64,
        /// Read-only or read-write.
        access: Access,
        /// The role of the new device.
        into: Slot,
    },
    /// Check a file system that is not mounted and repair what is safe to repair.
    Check {
        /// The device.
        what: Slot,
        /// Which.
        fs: Kind,
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
    /// Leave a sign on a file system that belongs to somebody else that it is mounted by a session of ours
    /// ([`Step::Remount`](crate::plan::Step::Remount) does it too). Never fails.
    Sign {
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
    /// Make a directory with its parents.
    MakeDir {
        /// The directory.
        path: PathBuf,
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
    /// Delete what [`AreaAct::SetAside`] has set aside, in this boot or an earlier one. Never fails.
    Sweep {
        /// The directory in which it lies.
        dir: PathBuf,
    },
}

/// What is formatted. The act proves that it is empty before it writes (see `exec/blank.rs`); nothing else is ever
/// formatted. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        /// Length.
        size: u64,
    },
    /// A persistent area that cannot be used any more and that the operator asked to be made anew
    /// (`rd.live.overlay.reset`).
    Discarded {
        /// The disk.
        disk: Seen,
        /// First byte on the disk.
        start: u64,
        /// Length.
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
        /// Its length.
        size: u64,
        /// What it may take the place of.
        replace: Replace,
    },
}

/// What a new file may take the place of. More than nothing only if the operator asked for it (`rd.live.overlay.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// What an attempt of ours left that was cut short.
    Nothing,
    /// An area that cannot be used.
    Area,
    /// Besides, what nobody knows: the file bears the image's own name.
    Own,
    /// A file in which nothing but zeros is. Nobody has to have asked for more than that it be used.
    Zeros,
}

impl AreaAct {
    /// What it may change.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::Window { access, .. } => Writes::by(*access),
            Self::Identity { write, .. } => Writes::place_if(*write),
            Self::Format { .. }
            | Self::AddPartition { .. }
            | Self::Check { .. }
            | Self::Repair { .. }
            | Self::Mend { .. }
            | Self::Sign { .. }
            | Self::MakeDir { .. }
            | Self::SetAside { .. }
            | Self::Mark { .. }
            | Self::Sweep { .. } => Writes::Place,
        }
    }
}

impl fmt::Display for AreaAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { target, fs, label } => {
                write!(f, "format {target} {}{}", fs.name(), and("label", label.as_ref()))
            }
            Self::AddPartition { disk, gap, .. } => write!(f, "partition {} {gap}", disk.node.display()),
            Self::Window { disk, start, size, access, into } => {
                let shown = if *access == Access::ReadOnly { " (ro)" } else { "" };
                write!(f, "window {} from {} {}{shown} as {into}", disk.node.display(), mib(*start), mib(*size))
            }
            Self::Check { what, fs } => write!(f, "check {what} {}", fs.name()),
            Self::Repair { what, always: true } => write!(f, "repair {what}"),
            Self::Repair { what, always: false } => write!(f, "repair {what} where it needs that"),
            Self::Mend { what } => write!(f, "mend {what}"),
            Self::Sign { at } => write!(f, "sign {}", at.display()),
            Self::Identity { at, image, accept, write } => {
                let accept = if *accept { ", or taken over" } else { "" };
                let write = if *write { "" } else { ", not marked" };
                write!(f, "identity {} must be {image}{accept}{write}", at.display())
            }
            Self::MakeDir { path } => write!(f, "directory {}", path.display()),
            Self::SetAside { upper, work } => write!(f, "set aside {} with {}", upper.display(), work.display()),
            Self::Mark { at, image } => write!(f, "mark {} for {image}", at.display()),
            Self::Sweep { dir } => write!(f, "sweep {}", dir.display()),
        }
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
