//! The targets a live root is made of, as the kernel reads and prints their parameters
//! (`Documentation/admin-guide/device-mapper/`; dracut-live spec 2.7).

use std::fmt;
use std::str::FromStr;

/// Sectors of 512 bytes in a chunk of a snapshot: 4 KiB (dracut-live spec 2.7).
pub const CHUNK: u32 = 8;
/// Sectors in a block of a thin pool: 512 KiB.
pub const BLOCK: u32 = 1024;
/// Number of the only device in a thin pool.
pub const THIN_ID: u32 = 0;
/// Blocks that are left when a thin pool tells of it.
pub const LOW_WATER: u32 = 1024;

/// A block device as the kernel names it in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
}

/// One target that covers a whole device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another device as it is.
    Linear(Number),
    /// A device with its changes in a store of the persistent format.
    Snapshot {
        /// What is not changed.
        origin: Number,
        /// The store.
        store: Number,
        /// A full store is reported and refuses writes; otherwise it ends the snapshot.
        overflow: bool,
    },
    /// Room for thin devices.
    ThinPool {
        /// What is where.
        metadata: Number,
        /// The room.
        data: Number,
    },
    /// A thin device over an origin that is not changed.
    Thin {
        /// The pool.
        pool: Number,
        /// The device's number in it.
        id: u32,
        /// What is shown where nothing was written.
        origin: Number,
    },
}

impl Target {
    /// The target's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Snapshot { .. } => "snapshot",
            Self::ThinPool { .. } => "thin-pool",
            Self::Thin { .. } => "thin",
        }
    }

    /// Its parameters.
    pub fn parameters(&self) -> String {
        match self {
            Self::Linear(device) => format!("{device} 0"),
            Self::Snapshot { origin, store, overflow } => {
                let store_type = if *overflow { "PO" } else { "P" };
                format!("{origin} {store} {store_type} {CHUNK}")
            }
            Self::ThinPool { metadata, data } => format!("{metadata} {data} {BLOCK} {LOW_WATER}"),
            Self::Thin { pool, id, origin } => format!("{pool} {id} {origin}"),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A text that is no `major:minor`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no major:minor")]
pub struct NotANumber(String);

impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let parts = text.split_once(':').and_then(|(major, minor)| major.parse().ok().zip(minor.parse().ok()));
        parts.map(|(major, minor)| Self { major, minor }).ok_or_else(|| NotANumber(text.to_owned()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.parameters())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_spec() {
        let number = |text: &str| text.parse::<Number>().unwrap();
        let (origin, store) = (number("7:1"), number("7:2"));
        let rows = [
            (Target::Linear(origin), "linear 7:1 0"),
            (Target::Snapshot { origin, store, overflow: true }, "snapshot 7:1 7:2 PO 8"),
            (Target::Snapshot { origin, store, overflow: false }, "snapshot 7:1 7:2 P 8"),
            (Target::ThinPool { metadata: origin, data: store }, "thin-pool 7:1 7:2 1024 1024"),
            (Target::Thin { pool: number("253:0"), id: 0, origin }, "thin 253:0 0 7:1"),
        ];
        for (target, expected) in rows {
            assert_eq!(target.to_string(), expected);
        }
        for text in ["7", "7:", "a:1", "7:1:2"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
