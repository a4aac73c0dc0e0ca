//! What a boot was told when it asked: the report carries it, and `rdlive explain --facts` decides from it once more.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::area::{Found, Obstacle, Site, Windows};
use crate::error::Stop;
use crate::facts::{Content, Deployed, Device, Inner, Kernels, Loaded, Provider, RamFacts, Taker};
use crate::format::Superblock;

/// All that the decisions of a boot were made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// The text of the initrd's `/etc/rdlive.conf`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub conf: String,
    /// The devices.
    pub devices: Vec<Device>,
    /// Kernel names of devices that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
    /// Drivers that did not come up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent_drivers: Vec<String>,
    /// Why changes go to RAM whatever was asked for: an earlier attempt has hung there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_hangs: Option<String>,
    /// What was seen, in the order of the questions. The last answer of a kind holds for all later questions, too.
    pub looks: Vec<Look>,
    /// Steps that failed, by their number in the boot, from 0, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<(usize, Stop)>,
}

/// What was seen at one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Whether a file is there.
    File(bool),
    /// Where a file is on a file system, links followed; nothing where it is not.
    Place(Option<PathBuf>),
    /// Whether the last bytes of an image can be read.
    End(bool),
    /// What a device or file holds, and its bytes.
    Held(Option<Superblock>, u64),
    /// What the medium offers.
    Content(Content),
    /// Why it is no live medium.
    NoContent(Stop),
    /// Whether the medium has `updates/`.
    Updates(bool),
    /// What the container offers.
    Inner(Inner),
    /// Why there is no root in it.
    NoInner(Stop),
    /// The image and the memory.
    Ram(RamFacts),
    /// The sum that the medium states for its image.
    Sum(Option<String>),
    /// Bytes that are free on a file system.
    Free(u64),
    /// Whether the initrd does not have a program.
    Lacks(bool),
    /// Bytes of RAM that the machine has.
    Memory(Option<u64>),
    /// Who else brings a network up here.
    Provider(Option<Provider>),
    /// What a disk says of an image that was written to it; nothing for others.
    Deployed(PathBuf, Deployed),
    /// A key was read.
    Key,
    /// The source of what is mounted where the root will be.
    Mounted(Option<String>),
    /// Where an area is or could be.
    Site(Site),
    /// What is at a named path.
    Found(Found),
    /// Whether a directory there was never a place for changes.
    Stranger(bool),
    /// Whether an attempt to make a file system was cut short.
    Begun(bool),
    /// Why somebody may still use a file system.
    InUse(Option<Obstacle>),
    /// Why a Windows may sleep on one.
    Windows(Option<Windows>),
    /// Whether a session of ours left its journal.
    LeftByUs(bool),
    /// Whether a journal was pending where something was not found.
    JournalPending(bool),
    /// Bytes of the device in a slot.
    Bytes(u64),
    /// Why the root has no init program.
    NoInit(Stop),
    /// What loaders and firmware have left.
    Loaded(Loaded),
    /// The root has modules, and none for the kernel that runs.
    OtherKernel(Kernels),
    /// Who takes the network over in the root.
    Takers(Vec<Taker>),
    /// Where the policies are without which the root has no labels of its own.
    Policies(PathBuf),
    /// A look that failed: which, the number of the kernel's error, and its words.
    Failed(Which, Option<i32>, String),
}

/// A look that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// For a file.
    File,
    /// At what a device or file holds.
    Held,
    /// At an image and the memory.
    Ram,
    /// At a key.
    Key,
}

impl Look {
    /// The answer to a look that may fail.
    pub fn of<T>(which: Which, answer: &io::Result<T>, look: impl FnOnce(&T) -> Self) -> Self {
        match answer {
            Ok(answer) => look(answer),
            Err(error) => Self::Failed(which, error.raw_os_error(), error.to_string()),
        }
    }

    /// The error of a look that failed.
    #[must_use]
    pub fn error(&self, which: Which) -> Option<io::Error> {
        match self {
            Self::Failed(failed, Some(number), _) if *failed == which => Some(io::Error::from_raw_os_error(*number)),
            Self::Failed(failed, None, words) if *failed == which => Some(io::Error::other(words.clone())),
            _ => None,
        }
    }
}
