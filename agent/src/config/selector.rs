//! How a device is named on the command line.

use std::fmt;
use std::path::PathBuf;

use super::{Config, Given, KeyFile, Persistence, Selector, Source, grub};
use crate::format::udev_decode;

impl Selector {
    /// Reads `LABEL=`, `CDLABEL=`, `UUID=`, `PARTUUID=`, `PARTLABEL=` or a path below `/dev`. Labels may hold udev's
    /// `\x20` escapes. Links in `/dev/disk/by-label`, `by-uuid`, `by-partuuid` and `by-partlabel` become what they
    /// name, so that they work without udev. `None` for anything else, or when the name is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let written = Self::read(text);
        match (written, grub::undone(text).and_then(|text| Self::read(&text))) {
            (Some(written), Some(meant)) if written != meant => {
                Some(Self::Grub { written: Box::new(written), meant: Box::new(meant) })
            }
            (written, meant) => written.or(meant),
        }
    }

    /// What it says, as written or as it is meant.
    #[must_use]
    pub fn readings(&self) -> [&Self; 2] {
        match self {
            Self::Grub { written, meant } => [written, meant],
            other => [other, other],
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text.starts_with("/dev/") {
            return Self::from_path(text);
        }
        let (tag, name) = text.split_once('=')?;
        Self::from_tag(tag, name).filter(|_| !name.is_empty())
    }

    /// Whether this name stays with one device: it is not wiped with the device's content, and the kernel gives it to no other one at
    /// the next boot.
    pub fn stays(&self) -> bool {
        match self {
            Self::PartUuid(_) | Self::PartLabel(_) => true,
            Self::Label(_) | Self::Uuid(_) => false,
            Self::Grub { written, meant } => written.stays() && meant.stays(),
            Self::Path(path) => {
                // `by-diskseq` counts from one at each start, as the kernel's own names do.
                ["/dev/disk/by-id", "/dev/disk/by-path", "/dev/mapper"].iter().any(|dir| path.starts_with(dir))
            }
        }
    }

    fn from_tag(tag: &str, name: &str) -> Option<Self> {
        match tag {
            "LABEL" | "CDLABEL" => Some(Self::Label(udev_decode(name))),
            "UUID" => Some(Self::Uuid(name.to_owned())),
            "PARTUUID" => Some(Self::PartUuid(name.to_owned())),
            "PARTLABEL" => Some(Self::PartLabel(udev_decode(name))),
            _ => None,
        }
    }

    fn from_path(path: &str) -> Option<Self> {
        let below = path.strip_prefix("/dev/")?.trim_matches('/');
        if below.is_empty() {
            return None;
        }
        let link = below.strip_prefix("disk/").and_then(|link| link.split_once('/'));
        let selector = match link {
            Some(("by-label", name)) => Self::Label(udev_decode(name)),
            Some(("by-uuid", name)) => Self::Uuid(udev_decode(name)),
            Some(("by-partuuid", name)) => Self::PartUuid(udev_decode(name)),
            Some(("by-partlabel", name)) => Self::PartLabel(udev_decode(name)),
            _ => Self::Path(PathBuf::from(path)),
        };
        Some(selector)
    }
}

impl fmt::Display for Selector {
    /// As it could be typed after `root=live:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) => write!(f, "LABEL={name}"),
            Self::Uuid(name) => write!(f, "UUID={name}"),
            Self::PartUuid(name) => write!(f, "PARTUUID={name}"),
            Self::PartLabel(name) => write!(f, "PARTLABEL={name}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Grub { meant, .. } => meant.fmt(f),
        }
    }
}

impl Config {
    /// All devices that were named.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        let overlay = &self.overlay;
        let root = match &self.source {
            Source::Device(selector) => Some(selector),
            _ => None,
        };
        let place = match &overlay.persistence {
            Some(Persistence::Named { device, .. }) => Some(device),
            _ => None,
        };
        let key = match &overlay.unlock.key_file {
            Some(KeyFile::On { device, .. }) => Some(device),
            _ => None,
        };
        let host = self.iso_scan.as_ref().and_then(|scan| scan.device.as_ref());
        let crypt = overlay.crypt.as_ref().map(|crypt| &crypt.device);
        let (system, wipe) = self
            .system
            .iter()
            .map(|system| (Some(&system.device), system.wipe.as_ref().and_then(Given::device)))
            .next()
            .unwrap_or_default();
        let all = [root, self.medium.as_ref(), host, place, key, crypt, system, wipe];
        all.into_iter().flatten()
    }

    /// The paths below `/dev` by which devices were named.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let path = |selector: &Selector| match selector {
            Selector::Path(path) => Some(path.clone()),
            _ => None,
        };
        self.selectors().flat_map(Selector::readings).filter_map(path).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        use Selector::{Label, PartLabel, PartUuid, Path, Uuid};
        let rows = [
            ("LABEL=x", Some(Label("x".into()))),
            ("CDLABEL=My Live", Some(Label("My Live".into()))),
            ("LABEL=a/b", Some(Label("a/b".into()))),
            ("LABEL=a=b", Some(Label("a=b".into()))),
            ("LABEL=My\\x20Live", Some(Label("My Live".into()))),
            ("UUID=2024-05-01-00-00-00-00", Some(Uuid("2024-05-01-00-00-00-00".into()))),
            ("PARTUUID=ab-01", Some(PartUuid("ab-01".into()))),
            ("PARTLABEL=EFI\\x20System", Some(PartLabel("EFI System".into()))),
            ("/dev/sr0", Some(Path("/dev/sr0".into()))),
            ("/dev/mapper/a", Some(Path("/dev/mapper/a".into()))),
            ("/dev/disk/by-label/My\\x20Live", Some(Label("My Live".into()))),
            ("/dev/disk/by-label/a\\x2fb\\x28c\\x29", Some(Label("a/b(c)".into()))),
            ("/dev/disk/by-uuid/AB-CD", Some(Uuid("AB-CD".into()))),
            ("/dev/disk/by-partuuid/x", Some(PartUuid("x".into()))),
            ("/dev/disk/by-partlabel/x", Some(PartLabel("x".into()))),
            ("/dev/disk/by-id/usb-X\\x20Y", Some(Path("/dev/disk/by-id/usb-X\\x20Y".into()))),
            ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", Some(Path("/dev/disk/by-path/pci-0000:00:1f.2-ata-1".into()))),
            ("LABEL=", None),
            ("/dev/", None),
            ("/dev//", None),
            ("label=x", None),
            ("sr0", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Selector::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_that_stay_with_their_device() {
        for (text, stays) in [
            ("PARTUUID=ab-01", true),
            ("PARTLABEL=x", true),
            ("/dev/disk/by-id/usb-X_Y-0:0", true),
            ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2", true),
            ("/dev/disk/by-partuuid/ab-01", true),
            ("/dev/mapper/vg-lv", true),
            ("LABEL=x", false),
            ("UUID=x", false),
            ("/dev/disk/by-label/x", false),
            ("/dev/disk/by-diskseq/3", false),
            ("/dev/sdb", false),
            ("/dev/sdb1", false),
            ("/dev/nvme0n1p2", false),
            ("/dev/vg/lv", false),
            ("/dev/block/8:16", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().stays(), stays, "{text}");
        }
    }
}
