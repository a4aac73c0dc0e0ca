//! Who else brings a network up in an initrd of dracut.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::env::Env;

/// A program of an initrd that reads `ip=` and brings interfaces up (dracut-live spec 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// systemd-networkd, told by systemd-network-generator.
    Networkd,
    /// NetworkManager, told by nm-initrd-generator.
    NetworkManager,
    /// connmand.
    Connman,
    /// The scripts of dracut's module network-legacy.
    Legacy,
}

impl Provider {
    /// All of them, in the order in which dracut chooses one.
    pub const ALL: [Self; 4] = [Self::NetworkManager, Self::Networkd, Self::Connman, Self::Legacy];

    /// The one of this initrd.
    #[must_use]
    pub fn of(env: &Env) -> Option<Self> {
        let has = |provider: &Self| provider.programs().iter().any(|program| env.path(program).exists());
        Self::ALL.into_iter().find(has)
    }

    /// Its program in the initrd, by the places where distributions have it.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Networkd => &["usr/lib/systemd/systemd-networkd", "lib/systemd/systemd-networkd"],
            Self::NetworkManager => &["usr/sbin/NetworkManager", "usr/bin/NetworkManager"],
            Self::Connman => &["usr/sbin/connmand", "usr/bin/connmand"],
            Self::Legacy => &["sbin/ifup", "usr/sbin/ifup"],
        }
    }

    /// The name of its process, which the kernel cuts after 15 bytes.
    #[must_use]
    pub fn process(self) -> &'static str {
        match self {
            Self::Networkd => "systemd-network",
            Self::NetworkManager => "NetworkManager",
            Self::Connman => "connmand",
            // The script waits for its DHCP client, which stays when it has an address.
            Self::Legacy => "ifup",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::Connman => "connmand",
            Self::Legacy => "network-legacy",
        })
    }
}
