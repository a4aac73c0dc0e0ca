//! Acts on device-mapper devices and the stores of their changes.

use std::fmt;
use std::path::PathBuf;

use super::Writes;
use crate::area::Identity;
use crate::config::Access;
use crate::mapper::target::{BLOCK, CHUNK, LOW_WATER, THIN_ID};
use crate::plan::Slot;
use crate::table::mib;

/// An act on a device-mapper device or the store of its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapAct {
    /// Make a device.
    Make(Map),
    /// Make a sparse file in RAM for a store.
    Store {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// Exactly so long; otherwise at most, and no longer than what is free on its file system.
        exact: bool,
    },
    /// Make a file of zeros for a store that outlives the boot, with holes where its file system can have them, and mark it for an image; a
    /// note lies beside it until all of that is complete.
    NewStore {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// The image that is booted.
        image: Option<Identity>,
    },
    /// Ask the file beside a store which image it was made for; nothing is written for one that nobody has marked.
    Identity {
        /// The store.
        store: PathBuf,
        /// The image that is booted.
        image: Identity,
        /// Take it over from another image.
        accept: bool,
        /// Mark it for this image.
        write: bool,
    },
    /// Make sure that the file system seen through a store is the image's; a store of another image mixes both. Reads only.
    SameOrigin {
        /// The image with the changes.
        seen: Slot,
        /// The image.
        image: Slot,
    },
    /// Forget what is in the store of a snapshot.
    Clear {
        /// The store.
        what: Slot,
    },
}

/// A device-mapper device to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Its name in `/dev/mapper`.
    pub name: String,
    /// What it is made from.
    pub from: Mapping,
    /// Read-only or read-write.
    pub access: Access,
    /// Its role from here on.
    pub into: Slot,
}

/// What a device is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// A device as it is.
    Linear(Slot),
    /// An origin and the store of its changes.
    Snapshot {
        /// The origin.
        origin: Slot,
        /// The COW store.
        store: Slot,
        /// A full store is reported instead of ending the snapshot.
        overflow: bool,
    },
    /// Room for a thin device.
    ThinPool {
        /// What is where.
        metadata: Slot,
        /// The room.
        data: Slot,
    },
    /// A thin device as large as its pool, or its origin if that is larger.
    Thin {
        /// The pool.
        pool: Slot,
        /// The origin.
        origin: Slot,
    },
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map {} = ", self.name)?;
        match self.from {
            Mapping::Linear(slot) => write!(f, "linear {slot} 0")?,
            Mapping::Snapshot { origin, store, overflow } => {
                let kind = if overflow { "PO" } else { "P" };
                write!(f, "snapshot {origin} {store} {kind} {CHUNK}")?;
            }
            Mapping::ThinPool { metadata, data } => write!(f, "thin-pool {metadata} {data} {BLOCK} {LOW_WATER}")?,
            Mapping::Thin { pool, origin } => write!(f, "thin {pool} {THIN_ID} {origin}")?,
        }
        let access = if self.access == Access::ReadOnly { "ro" } else { "rw" };
        write!(f, " ({access}) as {}", self.into)
    }
}

impl MapAct {
    /// What it may change. A device that is made changes what it is made from, which the steps before it have opened for that.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::SameOrigin { .. } => Writes::Nothing,
            Self::Make(_) | Self::Store { .. } => Writes::Ram,
            Self::Identity { write, .. } => Writes::place_if(*write),
            Self::NewStore { .. } | Self::Clear { .. } => Writes::Place,
        }
    }
}

impl fmt::Display for MapAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(map) => map.fmt(f),
            Self::Store { file, size, exact } => {
                let at_most = if *exact { "" } else { "at most " };
                let size = if *size == u64::MAX { "what is free".to_owned() } else { mib(*size) };
                write!(f, "store {} of {at_most}{size}", file.display())
            }
            Self::NewStore { file, size, image } => {
                let image = image.as_ref().map(|image| format!(" for {image}")).unwrap_or_default();
                write!(f, "new store {} of {}{image}", file.display(), mib(*size))
            }
            Self::Identity { store, image, accept, write } => {
                let accept = if *accept { ", any other accepted" } else { "" };
                let write = if *write { ", marked" } else { "" };
                write!(f, "store {} must be of {image}{accept}{write}", store.display())
            }
            Self::SameOrigin { seen, image } => write!(f, "compare {seen} with {image}"),
            Self::Clear { what } => write!(f, "clear the store {what}"),
        }
    }
}
