//! A disk that an image is written to.

use serde::{Deserialize, Serialize};

/// What an earlier boot of ours has left undone on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfinished {
    /// The image is not there.
    Writing,
    /// All of it is there but for its first bytes, which are kept.
    Closing,
}
