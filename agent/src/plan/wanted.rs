//! What a boot may have to give up, and what came of steps that were done.

use std::fmt;

use crate::error::Stop;

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
        })
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
}

impl Done {
    /// Whether something was given up.
    #[must_use]
    pub fn gave_up(&self, what: Wanted) -> bool {
        self.given_up.iter().any(|given_up| given_up.what == what)
    }
}
