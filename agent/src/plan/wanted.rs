//! What a boot may have to give up, and what came of steps that were done.

use std::fmt;
use std::net::IpAddr;

use crate::error::{Code, Stop};
use crate::facts::Updated;

/// What was asked for, and is given up where it cannot be done; then something else is there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Changes that outlive a reboot; else they go to RAM.
    Changes,
    /// A root made by device-mapper; else it is an overlay.
    Mapped,
    /// The image in RAM; else it is read from the medium.
    RamCopy,
    /// An image in RAM that is written itself; else its changes go somewhere else.
    Fsimg,
    /// The medium is let go; else it stays.
    Release,
    /// The file system of the ISO file is mounted for writing later; else it stays read-only.
    HostWritable,
    /// The same of the medium.
    MediumWritable,
    /// `updates/` of the medium is copied over the root; else the root stays as it is.
    Updates,
    /// What `live.updates=` names is copied over the root; else the root stays as it is.
    FetchedUpdates,
    /// The root has the SELinux labels of the image; else what lies in its upper directory has those of a tmpfs.
    Labels,
    /// A network that the root does not need; else there is none.
    Network,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changes => "changes are not kept over a reboot",
            Self::Mapped => "no device-mapper root",
            Self::RamCopy => "rd.live.ram",
            Self::Fsimg => "rd.writable.fsimg",
            Self::Release => "the medium cannot be released",
            Self::HostWritable => "the file system of the ISO file stays read-only",
            Self::MediumWritable => "the medium stays read-only",
            Self::Updates => "updates/ of the medium",
            Self::Network => "the live system starts without a network",
            Self::FetchedUpdates => "live.updates",
            Self::Labels => {
                "the root has no SELinux labels of its own, and with SELinux enforcing the system may not start"
            }
        })
    }
}

/// Which failure of a first list of steps leads to a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Any; this is given up then.
    Any(Wanted),
    /// One that is expected.
    Found(Finding),
}

/// What may be found of a place for changes while it is used, and is no end of keeping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A partition is damaged.
    AreaDamaged,
    /// What was found damaged cannot be repaired.
    BeyondRepair,
    /// A cow file is damaged that is this image's.
    FileDamaged,
    /// The same, of one that may be another image's.
    OthersFileDamaged,
    /// A cow file is another image's.
    OthersFile,
}

impl Finding {
    /// The number of the failure.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::AreaDamaged | Self::BeyondRepair | Self::FileDamaged | Self::OthersFileDamaged => Code::AreaDamaged,
            Self::OthersFile => Code::AreaOther,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AreaDamaged => "the area is damaged, and a reset was asked for",
            Self::BeyondRepair => "it is beyond repair",
            Self::FileDamaged => "the cow file is damaged, and a reset was asked for",
            Self::OthersFileDamaged => {
                "the cow file is damaged, a reset was asked for, and it may be another image's, so it stays"
            }
            Self::OthersFile => "the cow file belongs to another image",
        })
    }
}

impl When {
    /// Whether a failure is one of these.
    #[must_use]
    pub fn meets(self, failure: &Stop) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Found(found) => failure.code == found.code(),
        }
    }
}

/// Something that was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// What.
    pub what: Wanted,
    /// What stood in its way.
    pub why: Stop,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why.with_advice())
    }
}

/// What came of steps that were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What was given up on the way, in order.
    pub given_up: Vec<GivenUp>,
    /// What happened to a place for changes, for a person.
    pub notes: Vec<String>,
    /// What was copied from `updates/` of the medium.
    pub updated: Option<Updated>,
    /// Leased addresses that stay, and that nobody asks more time for until the live system does.
    pub leases: Vec<IpAddr>,
}

impl Done {
    /// Whether something was given up.
    #[must_use]
    pub fn gave_up(&self, what: Wanted) -> bool {
        self.given_up.iter().any(|given_up| given_up.what == what)
    }
}
