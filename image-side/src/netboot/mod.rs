//! What a server offers to machines that boot over a network: the files of the boot loaders, what they start, and the
//! sums of it all (network.md 3, network-field.md kinds 9, 16 and 25).
//!
//! The texts of the loaders' files are pure functions of an [`Entry`]; what one of them cannot pass on is a [`Refusal`].

pub mod base_url;
pub mod dnsmasq;
pub mod entry;
pub mod grub;
pub mod ipxe;
pub mod manifest;
pub mod publish;
pub mod pxelinux;

use clap::ValueEnum;

pub use base_url::BaseUrl;
pub use entry::Entry;

/// The first words of each file that is rewritten with every build. One without them is somebody else's.
pub const MARK: &str = "Written by rdlive-image pxe";

/// Longest command line of a kernel in bytes: the 2048 of x86's and arm64's `COMMAND_LINE_SIZE` hold a zero too.
pub const KERNEL_LIMIT: usize = 2047;

/// A program that firmware starts over the network, and that starts a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Loader {
    /// iPXE: in many network cards, BIOS and UEFI.
    Ipxe,
    /// pxelinux of syslinux: BIOS.
    Pxelinux,
    /// GRUB, as network boot image: UEFI.
    Grub,
}

impl Loader {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipxe, Self::Pxelinux, Self::Grub];

    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipxe => "iPXE",
            Self::Pxelinux => "pxelinux",
            Self::Grub => "GRUB",
        }
    }

    /// The file with its entry, beside the directories of the builds.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Ipxe => "boot.ipxe",
            Self::Pxelinux => "boot.pxelinux",
            Self::Grub => "boot.grub",
        }
    }

    /// The file that the loader looks for by itself, and the line that leads from there to [`Loader::file`]. iPXE takes the
    /// name that DHCP tells it.
    #[must_use]
    pub fn door(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ipxe => None,
            Self::Pxelinux => Some(("pxelinux.cfg/default", "INCLUDE boot.pxelinux")),
            Self::Grub => Some(("grub/grub.cfg", "configfile /boot.grub")),
        }
    }

    /// Its entry as a file.
    ///
    /// # Errors
    /// It cannot pass on a word unchanged, or the line is too long.
    pub fn text(self, entry: &Entry) -> Result<String, Refusal> {
        match self {
            Self::Ipxe => ipxe::text(entry),
            Self::Pxelinux => pxelinux::text(entry),
            Self::Grub => grub::text(entry),
        }
    }
}

impl std::fmt::Display for Loader {
    /// As `--loader` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// What a loader cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The kernel would see less than was written (kind 25).
    #[error(
        "{}: the kernel's command line would have up to {length} bytes, and more than {limit} are cut off: shorten --url or the \
         kernel arguments{}", .loader.name(), without(*.loader)
    )]
    TooLong {
        /// Whose line.
        loader: Loader,
        /// Bytes, with what the loader adds at most.
        length: usize,
        /// As many arrive.
        limit: usize,
    },
    /// A word would arrive changed, or end the line.
    #[error("{}: {word:?} would not arrive as it is: {what}{}; {}", .loader.name(), without(*.loader), way_on(.word))]
    Word {
        /// Which loader.
        loader: Loader,
        /// The word.
        word: String,
        /// What the loader would do to it.
        what: &'static str,
    },
    /// `vlan=` names an interface, and the loader does not tell which it booted from.
    #[error(
        "pxelinux: --vlan needs the card's hardware address in vlan=, and pxelinux writes it only as BOOTIF=; boot machines in \
         this VLAN with iPXE or GRUB{}",
        without(Loader::Pxelinux)
    )]
    Vlan,
}

/// The way on that does without one loader.
fn without(loader: Loader) -> String {
    let others = Loader::ALL.iter().filter(|other| **other != loader);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    format!(", or do without {} (--loader={})", loader.name(), others.join(","))
}

fn way_on(word: &str) -> &'static str {
    if word.contains("://") { "in a URL write the character as % and two digits" } else { "leave it out" }
}

/// One loader's line, if all of it arrives.
fn fits(loader: Loader, length: usize) -> Result<(), Refusal> {
    if length > KERNEL_LIMIT {
        return Err(Refusal::TooLong { loader, length, limit: KERNEL_LIMIT });
    }
    Ok(())
}
