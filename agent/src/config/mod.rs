//! What the command line means: typed, defaulted, in one dialect, with warnings.
//!
//! Nothing outside this directory knows the historic spelling of an option.

mod conf;
mod consistency;
mod crypt;
mod curl;
pub mod cut;
mod debug;
mod defaults;
mod dialect;
pub mod explain;
mod grub;
mod interpret;
mod lookup;
mod meant;
mod modules;
mod net;
mod nfs;
mod overlay;
pub mod registry;
pub mod root;
mod selector;
mod shutdown;
mod size;
mod stick;
mod system;
mod target;
pub mod transfer;
mod useless;
mod warnings;
mod wish;

#[cfg(test)]
mod tests;

pub use conf::Conf;
pub use interpret::{interpret, interpret_text};
pub use nfs::{Share, ShareError};
pub use size::{ParseSizeError, Size};
pub use system::{Eject, Emergency, Failure, Init, Modules, Shutdown};
pub use target::{Given, System};
pub use transfer::Transfer;
pub use warnings::{Level, Warning, Warnings};
pub use wish::{AreaFs, Wish};

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything the agent was told, after defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Which of the two histories the options are read by.
    pub dialect: Dialect,
    /// Why this dialect was chosen, for a person.
    pub dialect_reason: String,
    /// What `root=` asks for.
    pub source: Source,
    /// Identity of the medium this initrd was made for or loaded from, if known; preferred among equals.
    pub medium: Option<Selector>,
    /// Name of the file in `/.rdlive` of that medium: its mark on whatever file system its files were copied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium_id: Option<String>,
    /// Search for an ISO file on the file systems of this machine.
    pub iso_scan: Option<IsoScan>,
    /// Directory of the live image on the medium and inside the container (`rd.live.dir`), no leading slash, may be empty.
    pub live_dir: String,
    /// File name of the container below `live_dir` (`rd.live.squashimg`), no leading slash.
    pub squashimg: String,
    /// How the root becomes writable.
    pub overlay: Overlay,
    /// `rootflags=`, split at commas.
    pub rootflags: Vec<String>,
    /// `rootfstype=`: the driver of a root that is no live image; `None` to look.
    pub rootfstype: Option<String>,
    /// Mount the medium read-only or read-write (the last bare `ro` or `rw`).
    pub medium_access: Access,
    /// Copy the image to RAM (`rd.live.ram`).
    pub ram: bool,
    /// Without that copy the boot stops (`rd.live.ram=required`).
    pub ram_required: bool,
    /// MiB of RAM to keep free when copying to RAM (`rd.minmem`).
    pub ram_reserve_mib: u64,
    /// Copy `updates/` of the medium over the root (`rd.live.updates`).
    pub updates: bool,
    /// Check the medium's checksum (`rd.live.check`, `mediacheck`).
    pub check: bool,
    /// dm-verity options (`rd.kiwi.verity_options`), in the order given.
    pub verity_options: Vec<String>,
    /// Kargs about the network and downloads, in the order given, not yet interpreted.
    pub network: Vec<Setting>,
    /// Where an image goes that is fetched (`rd.kiwi.live.system`); `None` is RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// How long to wait for the medium (`rd.retry`, `rd.timeout`); seconds in JSON.
    #[serde(rename = "deadline_s", with = "defaults::seconds")]
    pub deadline: Duration,
    /// What may happen when the boot stops.
    pub failure: Failure,
    /// What happens at power-off.
    pub shutdown: Shutdown,
    /// The real init: `init=` and the arguments the kernel would give it.
    pub init: Init,
    /// Kernel modules: blacklist and preload lists.
    pub modules: Modules,
    /// Decompressors that the kernel of this initrd was built without (`kernel-lacks` in `/etc/rdlive.conf`).
    pub kernel_lacks: Vec<String>,
    /// Extra place for the report: a character device such as `/dev/ttyS1` (`rd.live.report`).
    pub report: Option<PathBuf>,
    /// More log (`rd.live.debug`, `rd.kiwi.debug`, `rd.debug`).
    pub debug: bool,
}

impl Config {
    /// Whether `rootflags=` were given that an overlay must not get, and it was not known that there would be one.
    pub fn ignores_rootflags(&self) -> bool {
        self.dialect == Dialect::Dmsquash && self.overlay.method != Method::Overlayfs && !self.rootflags.is_empty()
    }
}

/// The two option histories (product.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// KIWI's kiwi-live.
    Kiwi,
    /// dracut's dmsquash-live and livenet.
    Dmsquash,
}

/// What `root=` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Not a live root: the agent declines and changes nothing. Holds the value of `root=`, if any.
    NotLive(Option<String>),
    /// A live root was asked for (`live:` or `rd.live.image`), but in no form we know: the boot must stop.
    Malformed {
        /// `root=` as written, perhaps empty.
        value: String,
        /// What is wrong with it, and what would be accepted.
        why: String,
    },
    /// A block device, to be found.
    Device(Selector),
    /// The volume in the ISO file that sticks made for KIWI name, whatever it is called.
    IsoVolume,
    /// A file inside the initrd: an ISO (`.iso`) or an image (`.img`).
    InitrdFile(PathBuf),
    /// An ATA-over-Ethernet node such as `e0.1`; none for the one that the loader has booted from.
    Aoe(Option<String>),
    /// A URL: http, https, ftp, ftps, tftp, dolly; nfs and torrent, which are refused by name.
    Url(String),
}

/// How a block device is named. UUIDs are kept as written; compare them without case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// File-system label, or ISO volume id, decoded.
    Label(String),
    /// File-system UUID as blkid prints it.
    Uuid(String),
    /// Partition UUID.
    PartUuid(String),
    /// GPT partition name, decoded.
    PartLabel(String),
    /// A device node, or another path below `/dev` that leads to one.
    Path(PathBuf),
    /// A name as it was written, and what it means if GRUB has written it; the first counts where a device has it.
    Grub {
        /// As written.
        written: Box<Self>,
        /// Without GRUB's backslashes.
        meant: Box<Self>,
    },
}

/// `iso-scan/filename=`: search a file on all file systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsoScan {
    /// Only on this device, if named (`iso-scan/filename=LABEL=x:/path`).
    pub device: Option<Selector>,
    /// Path below the file system's root, without a leading slash.
    pub path: PathBuf,
    /// What the path may mean besides, if GRUB has written it; looked for where it is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<PathBuf>,
}

/// A karg that a later part will interpret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The registry's name, even when an alias was written.
    pub name: String,
    /// The value, if any.
    pub value: Option<String>,
}

/// Read-only or read-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing is ever written.
    ReadOnly,
    /// Writing is allowed.
    ReadWrite,
}

/// How the root becomes writable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// What the options ask for: overlayfs or a device-mapper snapshot.
    pub method: Method,
    /// Size of the tmpfs that holds a temporary write area.
    pub size: TmpfsSize,
    /// Apparent size of a temporary COW store, when the method is a snapshot.
    pub store: TmpfsSize,
    /// Further tmpfs options (`rd.overlay=tmpfs:nr_inodes=…`), as written.
    pub tmpfs_options: Vec<String>,
    /// Where changes are kept over a reboot, if asked for.
    pub persistence: Option<Persistence>,
    /// Make a partition with the label that `rd.overlay=LABEL=` names, in this file system, in free space of the boot
    /// disk (`rd.live.autooverlay`, `rd.live.overlay.cowfs`).
    pub autooverlay: Option<AreaFs>,
    /// Use the persistent area read-only, with a temporary layer on top.
    pub readonly: bool,
    /// Empty the persistent area first.
    pub reset: bool,
    /// Copy the root image to RAM and write into the copy (`rd.writable.fsimg`).
    pub fsimg: bool,
    /// A device that is encrypted for this boot (`rd.overlay.crypt`).
    pub crypt: Option<OverlayCrypt>,
    /// How encrypted areas are opened.
    pub unlock: Unlocking,
    /// Whether `rd.overlay=0` was written: with an image that needs an overlay this is worth a word.
    pub refused: bool,
    /// An overlay was asked for in words that also hold for a root that is no live image (`rd.overlay`,
    /// `rd.overlay=<device>`, `rd.overlay.crypt=`).
    pub ordinary: bool,
    /// Without the persistent area the boot stops (`rd.live.overlay.persistent=required`).
    pub required: bool,
    /// The store of a snapshot is used although its mark names another image (`rd.live.overlay.persistent=accept`).
    pub accept: bool,
    /// Make this file system on a named device that holds nothing (`rd.live.autooverlay`, `rd.live.overlay.cowfs=`).
    pub blank: Option<AreaFs>,
    /// No system sleeps that would still use the file systems of this machine (`rd.live.host.awake`).
    pub awake: bool,
    /// The place that is named is the cow file of a stick made for KIWI (`kiwi_cowdevice=`, `kiwi_cowsystem=`): it is made where there is
    /// none, of so many MiB (`rd.live.cowfile.mbsize`); one of zeros keeps its length. The file system is that of `blank`, or ext4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cow_file_mib: Option<u64>,
}

/// `rd.overlay.crypt=<device>[,mapname=][,fstype=][,mkfs=][,timeout=]` (dracut-live spec 1.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayCrypt {
    /// The device.
    pub device: Selector,
    /// Name of the opened device below `/dev/mapper`.
    pub mapname: String,
    /// File system of a device that is made anew.
    pub fstype: crate::format::Kind,
    /// Whether a device may be made anew.
    pub mkfs: Mkfs,
    /// Seconds that a prompt for the passphrase waits, if another time than [`Unlocking::timeout_s`] was asked for.
    pub timeout_s: Option<u64>,
}

/// Which devices `rd.overlay.crypt` may write a new LUKS header to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mkfs {
    /// None (`mkfs=0`).
    Never,
    /// Those that are proven empty, and those with a key that an earlier boot has thrown away (`mkfs=1`).
    Empty,
    /// The one that is named, whatever is on it (`mkfs=force`).
    Force,
}

/// How encrypted areas are opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocking {
    /// Nothing may be written to a disk without encryption (`rd.live.encrypt`).
    pub encrypt: bool,
    /// `rd.live.encrypt.keyfile`.
    pub key_file: Option<KeyFile>,
    /// Seconds that a prompt for a passphrase waits; 0 waits for ever (`rd.live.encrypt.timeout`).
    pub timeout_s: u64,
}

/// Where the key of an encrypted area is when nobody is to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFile {
    /// A file of the initrd.
    Initrd(PathBuf),
    /// A file on a device.
    On {
        /// The device.
        device: Selector,
        /// Path below the top of its file system, without a leading slash.
        path: PathBuf,
    },
}

/// The kernel mechanism below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// overlayfs.
    Overlayfs,
    /// Device-mapper snapshot (dmsquash's default for a nested image); thin when set.
    Snapshot {
        /// `rd.live.overlay.thin`.
        thin: bool,
    },
    /// No layer at all: the image itself is written (`rd.live.overlay=none`, `rd.writable.fsimg`).
    Direct,
}

/// Size of a tmpfs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TmpfsSize {
    /// Bytes.
    Bytes(u64),
    /// Percent of RAM.
    Percent(u16),
}

impl std::fmt::Display for TmpfsSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// Where changes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// `rd.live.overlay.persistent`: a partition on the boot disk, or a cow file beside the ISO file.
    Automatic(Wish),
    /// `rd.live.overlay=<device>[:path|:auto]`, `rd.overlay=<device>[:path]`.
    Named {
        /// The device.
        device: Selector,
        /// The path on it, without a leading slash; `None` for automatic.
        path: Option<PathBuf>,
    },
    /// `rd.live.overlay=:auto`, `rd.live.overlay=:<path>`: an area on the medium itself, never created.
    OnMedium {
        /// The path on it, without a leading slash; `None` for automatic.
        path: Option<PathBuf>,
    },
}
