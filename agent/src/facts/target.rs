//! A disk that an image is written to.

use serde::{Deserialize, Serialize};

/// What a disk says of an image that boots of ours have written to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Where the image comes from, without credentials.
    pub url: String,
    /// How far that is.
    pub state: Deployment,
}

/// How far an image on a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// It is not there.
    Writing,
    /// All of it is there but for its first bytes, which are kept.
    Closing,
    /// It is there.
    Whole,
}
