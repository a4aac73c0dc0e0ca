//! What came of `updates/` on the medium.

use std::fmt;

use rdlive_media::printable::human;
use serde::{Deserialize, Serialize};

/// What was copied from `updates/` on the medium over the root (dracut-live spec 2.13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Files and links.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was left out, with the reason: the first [`Updated::SHOWN`].
    #[serde(default)]
    pub left_out: Vec<String>,
    /// How much was left out.
    #[serde(default)]
    pub missing: u64,
}

impl Updated {
    /// So many are named.
    pub const SHOWN: usize = 16;

    /// Notes what was left out, and why.
    pub fn leave_out(&mut self, what: String) {
        self.missing += 1;
        if self.left_out.len() < Self::SHOWN {
            self.left_out.push(what);
        }
    }
}

impl fmt::Display for Updated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files and links, {}", self.files, human(self.bytes))?;
        if self.missing > 0 { write!(f, ", {} things left out", self.missing) } else { Ok(()) }
    }
}
