//! What was found: plain values that decisions are made from. Tests write them by hand; probes fill them in.

mod device;
mod loaded;
mod provider;
mod taker;
mod target;
mod updated;
mod view;

use std::path::PathBuf;

pub use rdlive_media::printable::human;
use serde::{Deserialize, Serialize};

use crate::format::{Compressor, Kind};

pub use device::{Device, Holds, Seen, is_optical};
pub use loaded::Loaded;
pub use provider::Provider;
pub use taker::Taker;
pub use target::{Deployed, Deployment};
pub use updated::Updated;
pub use view::{Drivers, Moment, Next, PATIENCE, Pending, SILENCE, View, sleeping_place};

/// Where the bytes of a medium or image come from. In a report a file is a file, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Reported", from = "Reported")]
pub enum Origin {
    /// A block device.
    Device(PathBuf),
    /// An ISO file on a file system that is mounted for it.
    HostFile {
        /// The device of that file system; `None` for one without a device of this machine, as a share is: no changes are kept on it.
        host: Option<PathBuf>,
        /// The file, below the place where that is mounted.
        file: PathBuf,
    },
    /// A file of the initrd, which lies in RAM.
    Initrd(PathBuf),
    /// A file in RAM that came over the network.
    Fetched(PathBuf),
}

/// An [`Origin`], as a report has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reported {
    Device(PathBuf),
    File(PathBuf),
}

impl From<Origin> for Reported {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Device(node) => Self::Device(node),
            Origin::HostFile { file, .. } | Origin::Initrd(file) | Origin::Fetched(file) => Self::File(file),
        }
    }
}

impl From<Reported> for Origin {
    fn from(reported: Reported) -> Self {
        match reported {
            Reported::Device(node) => Self::Device(node),
            Reported::File(file) => Self::HostFile { host: None, file },
        }
    }
}

/// From where a btrfs is mounted. GRUB and its owner may name files from different ones (field.md G); other file systems have one root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subvolume {
    /// The one that the file system says.
    #[default]
    Default,
    /// Its top level.
    Top,
}

/// The medium: the device or ISO file that holds the live system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumFacts {
    /// Device or file.
    pub origin: Origin,
    /// Its file system.
    pub kind: Kind,
    /// Its label.
    #[serde(default)]
    pub label: Option<String>,
    /// Its UUID, or what stands in for one (see [`Superblock::identity`]).
    #[serde(default)]
    pub uuid: Option<String>,
    /// The device as it was when it was found to be the medium: for the writes of this boot, not for the report.
    #[serde(skip)]
    pub device: Option<Seen>,
    /// It is only reached through a loop device ([`Device::needs_loop`]).
    #[serde(skip)]
    pub looped: bool,
    /// Bytes that its volume descriptor counts and that are not there. What was cut may be padding.
    #[serde(skip)]
    pub missing: Option<u64>,
    /// From where it is mounted.
    #[serde(skip)]
    pub subvolume: Subvolume,
}

impl MediumFacts {
    /// Whether the medium itself is the container (a disk that is a squashfs or EROFS).
    pub fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Squashfs | Kind::Erofs)
    }
}

/// A file on the medium, or inside the container, that holds a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Path below the file system that holds it, without a leading slash.
    pub path: PathBuf,
    /// Its file system.
    pub kind: Kind,
    /// How it is compressed, where the format says so.
    #[serde(default)]
    pub compressor: Option<Compressor>,
    /// Its journal needs recovery.
    #[serde(default)]
    pub dirty: bool,
}

/// The kernel that runs, and others that a root has modules for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernels {
    /// Release of the one that runs.
    pub running: String,
    /// Releases of the others.
    pub modules: Vec<String>,
}

impl std::fmt::Display for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (running, modules) = (&self.running, self.modules.join(", "));
        write!(
            f,
            "kernel {running} runs, and the live system has modules for {modules} alone: hardware may lack its driver"
        )
    }
}

/// What a mounted medium offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A container (squashfs or EROFS), itself to be looked into.
    Container(ImageFile),
    /// A root image beside no container.
    Image(ImageFile),
    /// The root tree itself.
    Tree,
}

/// What a mounted container offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inner {
    /// A nested root image.
    Image(ImageFile),
    /// The root tree itself ("flattened", "direct").
    Tree,
}

/// An image that may be copied to RAM, and the room there is for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RamFacts {
    /// Bytes of the image, holes included; of a device what its superblock says.
    pub bytes: u64,
    /// Bytes of RAM that its data needs, holes left out.
    pub data: u64,
    /// Bytes of RAM that programs can get (`MemAvailable`).
    pub available: u64,
    /// The kernel can put tmpfs files into huge pages.
    pub huge_pages: bool,
    /// SHA-256 of the image as the medium states it, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[cfg(test)]
mod tests;
