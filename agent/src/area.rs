//! Persistent areas as facts: where one is or could be, and which image it was made for. Plain values; the probe fills
//! them in, the plan decides from them.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::facts::{Device, MediumFacts, Seen, Subvolume};
use crate::foreign::LINK;
use crate::format::Kind;
use crate::table::Gap;

pub mod course;
mod in_use;
mod mark;
mod obstacle;

pub use in_use::{AWAKE, InUse, Sleeper, Windows, hibernated};
pub use mark::Owner;
pub use obstacle::{NoGap, Nothing, Obstacle};

/// Label of a write partition; what kiwi-live looks for, too (kiwi-live spec 3.2).
pub const LABEL: &str = "cow";
/// Label in the LUKS header of an encrypted area, and its name below `/dev/mapper`: kiwi-live's, too (spec 3.4).
pub const LUKS_LABEL: &str = "lukscow";
/// Label in the LUKS header of a device whose key nobody keeps: what is on it is lost when the machine goes off.
pub const TEMPORARY_LABEL: &str = "rdlive-temporary";
/// Remembers, at the top of an area, which image it was made for.
pub const IDENTITY_FILE: &str = ".rdlive-identity";

/// The work directory of a named place lies beside it under this name (dracut-live spec 2.6).
pub const WORK: &str = "ovlwork";
/// An extended attribute of a work directory that begins so ends with the name of a directory beside it: that has the changes. There may be
/// several.
const UPPER: &[u8] = b"trusted.rdlive.upper.";

/// The attribute that a work directory has for a directory of this name; `None` for a name that is too long (Linux: `XATTR_NAME_MAX`).
#[must_use]
pub fn upper_attribute(name: &OsStr) -> Option<Vec<u8>> {
    Some([UPPER, name.as_encoded_bytes()].concat()).filter(|attribute| attribute.len() <= 255)
}

/// Nothing is written to a file system that is only reached through a loop device ([`Device::needs_loop`]).
///
/// # Errors
/// It is one.
pub fn in_place(device: &Device) -> Result<(), Obstacle> {
    let node = device.node.clone();
    match device.needs_loop() {
        true if device.beside_raid.is_some() => {
            Err(InUse::Half { holder: node.clone(), node, kind: Kind::Raid }.into())
        }
        true => Err(Obstacle::LongSectors { node, sector: device.sector }),
        false => Ok(()),
    }
}

/// The image that an area belongs to. The agent's version is for people; it decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Label of the medium.
    pub volume_id: Option<String>,
    /// UUID of the medium; for an ISO the moment it was made, for a squashfs that and its size.
    pub image_uuid: Option<String>,
    /// Version of the agent that made the area, or used it last.
    pub agent: String,
}

impl Identity {
    /// The identity of the image on a medium.
    pub fn of(medium: &MediumFacts) -> Self {
        Self {
            volume_id: medium.label.clone(),
            image_uuid: medium.uuid.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether it tells the image from others at all.
    pub fn is_known(&self) -> bool {
        self.volume_id.is_some() || self.image_uuid.is_some()
    }

    /// Whether both name the same image. Two of which nothing is known are never the same.
    pub fn same_image(&self, other: &Self) -> bool {
        self.is_known() && self.volume_id == other.volume_id && self.image_uuid == other.image_uuid
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        write!(f, "{} ({})", text(&self.volume_id), text(&self.image_uuid))
    }
}

/// Where an automatic area is or could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The disk that the medium is on.
    Disk(Box<DiskSite>),
    /// The file system that holds the ISO file.
    Host(HostSite),
    /// Neither.
    Nowhere(Obstacle),
}

/// The boot disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSite {
    /// Kernel name, such as `sda`.
    pub name: String,
    /// What tells it from any other disk.
    #[serde(default)]
    pub seen: Seen,
    /// It refuses writes.
    #[serde(default)]
    pub read_only: bool,
    /// The medium is mounted from the disk itself: its partitions cannot be opened beside that.
    #[serde(default)]
    pub whole: bool,
    /// Bytes of the disk that belong to the image.
    pub image: u64,
    /// The partition labelled `cow`.
    #[serde(default)]
    pub area: Option<Part>,
    /// The encrypted partition labelled `lukscow`.
    #[serde(default)]
    pub locked: Option<Part>,
    /// A Linux partition behind the image that holds nothing known.
    #[serde(default)]
    pub unused: Option<Part>,
    /// Why that may hold something all the same, as far as a look at parts of it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_doubt: Option<String>,
    /// Room for a new partition.
    #[serde(default)]
    pub gap: Option<Gap>,
    /// Why there is no room, where there is none.
    #[serde(default)]
    pub no_gap: NoGap,
    /// File systems labelled `cow` or `lukscow` on other disks: they are somebody else's.
    #[serde(default)]
    pub foreign: Vec<String>,
}

impl DiskSite {
    /// The disk's node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The disk as it was when it was looked at.
    pub fn seen(&self) -> Seen {
        Seen { node: self.node(), ..self.seen.clone() }
    }
}

/// A partition of the boot disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The device.
    pub device: Device,
    /// First byte on the disk.
    pub start: u64,
}

/// The file system that holds an ISO file, mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSite {
    /// Its device.
    pub node: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Bytes that are free.
    pub free: u64,
    /// Why it must not be written to.
    #[serde(default)]
    pub refusal: Option<Obstacle>,
    /// What is at the path that was asked for.
    #[serde(default)]
    pub asked: Found,
    /// What is at the path that bears the volume id.
    #[serde(default)]
    pub bound: Found,
    /// The subsystem in the LUKS header of the first; see [`Owner`].
    #[serde(default)]
    pub asked_mark: Option<String>,
    /// The same of the second.
    #[serde(default)]
    pub bound_mark: Option<String>,
}

impl HostSite {
    /// One with nothing of ours, and nothing against it; nobody knows how much is free.
    #[must_use]
    pub fn empty(node: &Path, kind: Kind) -> Self {
        let (node, refusal) = (node.to_owned(), None);
        let (asked, bound, asked_mark, bound_mark) = (Found::Absent, Found::Absent, None, None);
        Self { node, kind, free: 0, refusal, asked, bound, asked_mark, bound_mark }
    }
}

/// What is at a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Nothing.
    #[default]
    Absent,
    /// A directory.
    Directory,
    /// A file with this content; `None` when that is not known.
    File(Option<Kind>),
    /// A file in which nothing but zeros was found.
    Zeros,
    /// A file with a partition table: the image of a disk.
    Disk,
    /// Something that cannot be read.
    Unreadable,
    /// A symbolic link, or something behind one.
    Link,
    /// A pipe, a device, or anything else that is neither file nor directory.
    Other,
}

impl Found {
    /// Whether something is there that has content of its own.
    #[must_use]
    pub fn is_content(self) -> bool {
        !matches!(self, Self::Absent | Self::Directory)
    }

    /// Whether `rd.live.overlay.reset` may replace it: it was read, holds nothing that anybody knows, and bears the image's `own`
    /// name (decision 0021).
    #[must_use]
    pub fn is_replaceable(self, own: bool) -> bool {
        own && self == Self::File(None)
    }

    /// What is wrong with it as a place for changes, behind its name.
    #[must_use]
    pub fn objection(self) -> String {
        match self {
            Self::File(Some(kind)) => format!("holds {}", kind.name()),
            Self::File(None) => "holds nothing that is known".to_owned(),
            Self::Zeros => "is empty".to_owned(),
            Self::Disk => "is the image of a disk with partitions".to_owned(),
            Self::Unreadable => "cannot be read".to_owned(),
            Self::Link => LINK.to_owned(),
            Self::Absent | Self::Directory | Self::Other => "is no file".to_owned(),
        }
    }
}

/// A place that was named: a file system, mounted, and what is at the path on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedSite {
    /// The device, for a person.
    pub node: PathBuf,
    /// Its file system.
    pub kind: Kind,
    /// Where it is mounted.
    pub at: PathBuf,
    /// The path below that, without a leading slash.
    pub path: PathBuf,
    /// What is there.
    #[serde(default)]
    pub found: Found,
    /// It is a directory that holds something, and nothing says that changes were ever kept in it.
    #[serde(default)]
    pub stranger: bool,
    /// Where the same file system is mounted already: it is the medium's, or that of its ISO file.
    #[serde(default)]
    pub shared: Option<PathBuf>,
    /// That mount shows the other root of a btrfs than this one, in which the path is.
    #[serde(default)]
    pub other_root: Option<Subvolume>,
    /// The image that is booted; an ordinary root has none.
    #[serde(default)]
    pub image: Option<Identity>,
    /// Whether the store of a snapshot, or a cow file, is made where nothing is.
    #[serde(default)]
    pub new_store: NewStore,
}

/// Whether the store of a snapshot, or a cow file, is made at a named path where nothing is. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewStore {
    /// The root is no snapshot, and no cow file was named.
    #[default]
    No,
    /// It would be, if somebody had said how large.
    NoSize,
    /// It is.
    Of {
        /// Its length.
        size: u64,
        /// What is free on the file system.
        free: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w13_two_images_of_which_nothing_is_known_are_not_the_same() {
        let identity = |label: Option<&str>, uuid: Option<&str>| Identity {
            volume_id: label.map(str::to_owned),
            image_uuid: uuid.map(str::to_owned),
            agent: String::new(),
        };
        for (one, other, same) in [
            ((Some("A"), Some("1")), (Some("A"), Some("1")), true),
            ((Some("A"), Some("1")), (Some("A"), Some("2")), false),
            ((Some("A"), Some("1")), (Some("A"), None), false),
            ((Some("A"), None), (Some("A"), None), true),
            ((None, Some("1")), (None, Some("1")), true),
            ((None, None), (None, None), false),
        ] {
            let found = identity(one.0, one.1).same_image(&identity(other.0, other.1));
            assert_eq!(found, same, "{one:?} {other:?}");
        }
    }
}
