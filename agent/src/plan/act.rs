//! What steps do in one domain each: with their text, with what they may change, and with one file in `exec/` that does them.

mod area;
mod map;
mod net;
mod ram;
mod volume;

pub use area::{AreaAct, Replace, Target};
pub use map::{Map, MapAct, Mapping};
pub use net::{Destination, Kept, NetAct, Onto};
pub use ram::RamAct;
pub use volume::{Consent, Crypt, Key, VolumeAct};

use super::Step;
use crate::config::Access;

impl From<AreaAct> for Step {
    fn from(act: AreaAct) -> Self {
        Self::Area(act)
    }
}

impl From<MapAct> for Step {
    fn from(act: MapAct) -> Self {
        Self::Map(act)
    }
}

/// What a step may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writes {
    /// Nothing.
    Nothing,
    /// What a reboot forgets: files and mounts of this machine's RAM.
    Ram,
    /// What lies on a medium or disk. Where changes are only shown (`rd.overlay.readonly`), no such step is done.
    Place,
}

impl Writes {
    /// What is changed on a place that is used in this way.
    pub(super) fn by(access: Access) -> Self {
        match access {
            Access::ReadOnly => Self::Nothing,
            Access::ReadWrite => Self::Place,
        }
    }

    /// What is changed in a root whose changes are kept, or are forgotten.
    pub(super) fn place_or_ram(kept: bool) -> Self {
        if kept { Self::Place } else { Self::Ram }
    }

    /// That, if it is done at all.
    pub(super) fn place_if(done: bool) -> Self {
        if done { Self::Place } else { Self::Nothing }
    }
}

/// How a text goes on when there is something to add.
fn and(what: &str, text: Option<&String>) -> String {
    text.map_or(String::new(), |text| format!(" {what} {text}"))
}
