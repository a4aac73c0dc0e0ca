//! Devices by their roles, and what can be mounted.

use std::fmt;

/// A device by its role; loop and device-mapper numbers exist only at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The file system that holds an ISO file.
    Host,
    /// The medium.
    Medium,
    /// The container.
    Container,
    /// The nested root image.
    Image,
    /// Where changes are kept: a file system, or the store of a device-mapper snapshot.
    Cow,
    /// A device that is looked into, and given back: nothing else is lost with it.
    Looked,
    /// The root of a machine that is no live system.
    Root,
    /// The store of a device-mapper snapshot that a reboot forgets.
    Store,
    /// What is where in a thin pool.
    Metadata,
    /// A thin pool.
    Pool,
    /// The image with the changes that were kept.
    Shown,
    /// The image as a device-mapper device.
    Base,
    /// The device-mapper device that is the root.
    Live,
}

impl Slot {
    /// It lies in RAM: what is written to it is forgotten.
    #[must_use]
    pub fn is_forgotten(self) -> bool {
        matches!(self, Self::Store | Self::Metadata | Self::Pool)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::Host => "host",
            Slot::Medium => "medium",
            Slot::Container => "container",
            Slot::Image => "image",
            Slot::Cow => "cow",
            Slot::Looked => "looked",
            Slot::Root => "root",
            Slot::Store => "store",
            Slot::Metadata => "metadata",
            Slot::Pool => "pool",
            Slot::Shown => "shown",
            Slot::Base => "base",
            Slot::Live => "live",
        })
    }
}

/// Something that can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A device another step has made or found.
    Slot(Slot),
    /// What the driver itself knows by this name: a mount tag, a server's directory.
    Named(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Slot(slot) => slot.fmt(f),
            Place::Named(name) => f.write_str(name),
        }
    }
}
