//! Acts on images in RAM.

use std::fmt;
use std::path::PathBuf;

use super::Writes;

/// An act on an image in RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RamAct {
    /// Copy an image into RAM, holes left out.
    Copy {
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
}

impl RamAct {
    /// What it may change.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::Copy { .. } => Writes::Ram,
            Self::Compare { .. } => Writes::Nothing,
        }
    }
}

impl fmt::Display for RamAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy { from, to, bytes, digest } => {
                let sum = if *digest { ", with its SHA-256" } else { "" };
                write!(f, "copy {bytes} bytes of {} to RAM at {}{sum}", from.display(), to.display())
            }
            Self::Compare { file, sha256 } => write!(f, "compare {} with SHA-256 {sha256}", file.display()),
        }
    }
}
