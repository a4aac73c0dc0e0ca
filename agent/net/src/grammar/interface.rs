//! Words that name an interface (network-field.md kind 5).

use std::fmt;

use crate::hardware::HardwareAddress;

/// Bytes of the longest name of an interface (`IFNAMSIZ` - 1).
const MAX_NAME: usize = 15;
/// Bytes of the longest alternative name (`ALTIFNAMSIZ` - 1): `ip=` may carry one.
const MAX_ALTNAME: usize = 127;

/// Which interface a word means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// By a name: one of any of [`Names`].
    Name(String),
    /// By its hardware address.
    Mac(HardwareAddress),
}

/// All that one interface that is there may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// The kernel's name.
    pub kernel: &'a str,
    /// The names that udev would give (`eno1`, `ens3`, `enp0s3` …), alternative names, and one that `ifname=` gives.
    pub others: &'a [String],
    /// The hardware address, the permanent one where there is one.
    pub mac: Option<HardwareAddress>,
}

impl Interface {
    /// Reads a name or a hardware address in any spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(mac) = HardwareAddress::parse(text).filter(|_| text.contains([':', '-'])) {
            return Some(Self::Mac(mac));
        }
        (text.len() <= MAX_ALTNAME && is_name(text)).then(|| Self::Name(text.to_owned()))
    }

    /// Whether the word means that interface: by the kernel's name, another of its names, its hardware address, or `enx` with the twelve
    /// digits of it.
    #[must_use]
    pub fn means(&self, link: &Names<'_>) -> bool {
        let by_mac = |written: HardwareAddress| link.mac.is_some_and(|mac| written.means(&mac));
        match self {
            Self::Mac(written) => by_mac(*written),
            Self::Name(name) => {
                name == link.kernel || link.others.contains(name) || Self::of_mac(name).is_some_and(by_mac)
            }
        }
    }

    /// The address in a name that udev makes of one: `enx525400123456`.
    fn of_mac(name: &str) -> Option<HardwareAddress> {
        let digits = name.strip_prefix("enx")?;
        (!digits.contains([':', '-'])).then(|| HardwareAddress::parse(digits))?
    }

    /// Whether it is a name that is made of a hardware address.
    pub(super) fn is_of_mac(&self) -> bool {
        matches!(self, Self::Name(name) if Self::of_mac(name).is_some())
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Mac(mac) => write!(f, "{mac}"),
        }
    }
}

/// Whether the kernel would take it as the name of a new interface (`dev_valid_name`), and a terminal and a file too.
pub(super) fn is_new_name(name: &str) -> bool {
    name.len() <= MAX_NAME && is_name(name)
}

fn is_name(name: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'[' | b']' | b'%');
    !name.is_empty() && !matches!(name, "." | "..") && name.bytes().all(visible)
}
