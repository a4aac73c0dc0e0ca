//! Who has the network in the live system.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A program of the live system that takes interfaces over, and asks for more time for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taker {
    /// systemd-networkd.
    Networkd,
    /// NetworkManager.
    NetworkManager,
    /// connmand.
    Connman,
    /// wicked, of SUSE.
    Wicked,
    /// dhcpcd.
    Dhcpcd,
    /// ifupdown, of Debian.
    Ifupdown,
}

impl Taker {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Networkd, Self::NetworkManager, Self::Connman, Self::Wicked, Self::Dhcpcd, Self::Ifupdown];

    /// The name of its service, as init systems have it.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::Connman => "connman",
            Self::Wicked => "wicked",
            Self::Dhcpcd => "dhcpcd",
            Self::Ifupdown => "networking",
        }
    }
}

impl fmt::Display for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ifupdown => f.write_str("ifupdown"),
            other => f.write_str(other.service()),
        }
    }
}
