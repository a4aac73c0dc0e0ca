//! What every loader's entry says, before it is written in that loader's language.

use crate::bootloader::kargs::Karg;

/// Name of the kernel in a build's directory.
pub const KERNEL: &str = "vmlinuz";
/// Name of the initramfs there; iPXE on UEFI finds it again by this name.
pub const INITRD: &str = "initrd.img";

/// One system to boot over the network.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The system's own name.
    pub title: &'a str,
    /// The build's directory, below what the servers show.
    pub build: &'a str,
    /// What the kernel is told, `root=` among it, without what the loader knows.
    pub kargs: &'a [Karg],
    /// The tag of the frames to the machine's switch, if they have one (1 to 4094).
    pub vlan: Option<u16>,
    /// The server is named by its IPv4 address: an address and a router are all that it takes to reach it.
    pub by_address: bool,
}

impl Entry<'_> {
    /// Path of the kernel, relative to what the servers show.
    #[must_use]
    pub fn kernel(&self) -> String {
        format!("{}/{KERNEL}", self.build)
    }

    /// Path of the initramfs.
    #[must_use]
    pub fn initrd(&self) -> String {
        format!("{}/{INITRD}", self.build)
    }

    /// Whether the arguments say already how the machine gets its address: then what the loader knows of that is left out.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.has("ip")
    }

    /// Whether the arguments name the card already.
    #[must_use]
    pub fn has_card(&self) -> bool {
        self.has("BOOTIF")
    }

    fn has(&self, key: &str) -> bool {
        self.kargs.iter().any(|karg| karg.text().split('=').next() == Some(key))
    }

    /// The title as a comment or a label: one line, nothing that a terminal obeys.
    #[must_use]
    pub fn shown_title(&self) -> String {
        rdlive_media::printable::printable(self.title)
    }
}

/// Longest IPv4 address as text.
pub(super) const ADDRESS: &str = "255.255.255.255";
/// A hardware address as `BOOTIF=` has it, without the type in front.
pub(super) const CARD: &str = "00-00-00-00-00-00";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const URL: &str = "root=live:http://10.0.2.2:8377/tiny-0123456789ab/tiny-0123456789abcdef.iso";

    pub fn kargs(more: &[&str]) -> Vec<Karg> {
        [URL, "rd.live.image"].iter().chain(more).map(|text| Karg::own(*text)).collect()
    }

    pub fn entry(kargs: &[Karg]) -> Entry<'_> {
        Entry { title: "Joe's\nLinux", build: "tiny-0123456789ab", kargs, vlan: None, by_address: true }
    }
}
