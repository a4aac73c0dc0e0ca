//! What `rd.live.overlay.persistent` and its details ask for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Overlay, Persistence};
use crate::format::Kind;

/// A partition on the boot disk, or a cow file beside the ISO file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Fatal instead of a fallback to RAM (`rd.live.overlay.persistent=required`).
    pub required: bool,
    /// Use an area that was made for another image (`rd.live.overlay.persistent=accept`).
    pub accept: bool,
    /// `rd.live.overlay.cowfs`.
    pub cowfs: AreaFs,
    /// `rd.live.cowfile.mbsize`, MiB.
    pub cowfile_mib: u64,
    /// `rd.live.cowfile.path`, no leading slash.
    pub cowfile_path: PathBuf,
    /// `rd.live.encrypt`.
    pub encrypt: bool,
}

/// The file system of a new area, as it was named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AreaFs {
    /// One that is made.
    Known(Kind),
    /// A name that is none of those.
    Unknown(String),
}

impl From<String> for AreaFs {
    fn from(name: String) -> Self {
        let kind = [Kind::Ext4, Kind::Xfs, Kind::Btrfs].into_iter().find(|kind| kind.name() == name);
        kind.map_or(Self::Unknown(name), Self::Known)
    }
}

impl From<AreaFs> for String {
    fn from(fs: AreaFs) -> Self {
        match fs {
            AreaFs::Known(kind) => kind.name().to_owned(),
            AreaFs::Unknown(name) => name,
        }
    }
}

impl Overlay {
    /// The wish for an automatic area, if that is what is asked for.
    #[must_use]
    pub fn wish(&self) -> Option<&Wish> {
        match &self.persistence {
            Some(Persistence::Automatic(wish)) => Some(wish),
            _ => None,
        }
    }
}
