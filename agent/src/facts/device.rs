//! A block device, as it is known, and as it was when a plan was made for it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::human;
use crate::format::{Kind, Superblock, Unknown};

/// A block device as sysfs and its first bytes describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Kernel name, such as `sda1`.
    pub name: String,
    /// Node, such as `/dev/sda1`.
    pub node: PathBuf,
    /// Size in bytes; 0 without a medium.
    pub size: u64,
    /// Kernel name of the whole disk, for a partition.
    pub parent: Option<String>,
    /// Partition number.
    pub partition: Option<u32>,
    /// The number that the kernel gave to this disk, or to that of this partition, and never gives again (`diskseq`, Linux 5.15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Partition UUID.
    pub part_uuid: Option<String>,
    /// GPT partition name.
    pub part_label: Option<String>,
    /// Bytes per logical sector; 0 if that is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub sector: u32,
    /// The device refuses writes.
    pub read_only: bool,
    /// A stick, a card or a USB disk: it comes and goes, and the system that this machine has may never have seen it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removable: bool,
    /// An optical drive: it never has partitions.
    pub optical: bool,
    /// Names of this device below `/dev/disk/by-id` and `by-path`, as far as they are known.
    pub links: Vec<String>,
    /// Further paths that lead to it, as far as they are known: `/dev/mapper/…`, `/dev/cdrom`, and those that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathBuf>,
    /// First bytes of the partitions its own table lists; empty for a partition or without a table.
    pub table: Vec<u64>,
    /// The id of its own table: the GUID of a GPT, the eight digits of an MBR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
    /// What the device holds.
    pub superblock: Option<Superblock>,
    /// The file system in front of the record of a RAID, which the superblock is then: it is read at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside_raid: Option<Superblock>,
    /// What can be said of content that is nothing known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// Why the content could not be read.
    pub unreadable: Option<String>,
}

/// Bytes at the end of a device, in which no mirror of the first version has anything but its record.
const RECORD_BYTES: u64 = 8192;

impl Device {
    /// Whether this is the other one, as it was, perhaps by more names or fewer.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let nameless = |device: &Self| Self { links: Vec::new(), paths: Vec::new(), ..device.clone() };
        nameless(self) == nameless(other)
    }

    /// The device as it is for who only reads: with its file system, whatever the record of a RAID behind that says.
    #[must_use]
    pub fn for_reading(&self) -> Self {
        Self { superblock: self.beside_raid.clone().or_else(|| self.superblock.clone()), ..self.clone() }
    }

    /// Whether it may be one half of a mirror: its file system leaves room for the record behind it.
    #[must_use]
    pub fn may_be_mirrored(&self) -> bool {
        let size = self.beside_raid.as_ref().and_then(|found| found.size);
        size.is_some_and(|bytes| bytes <= self.size.saturating_sub(RECORD_BYTES))
    }

    /// Whether a loop device stands between the device and what is mounted from it, through which it is only read: a mirror is not written
    /// to by halves, and there may be longer sectors than those that its file system can be mounted with.
    #[must_use]
    pub fn needs_loop(&self) -> bool {
        self.beside_raid.is_some() || self.has_long_sectors()
    }

    /// Whether its sectors are longer than what its file system can be mounted with, as where an image was written to a disk with sectors
    /// of 4096 bytes.
    fn has_long_sectors(&self) -> bool {
        let Some(found) = &self.superblock else { return false };
        let longest = match found.kind {
            Kind::Iso9660 | Kind::Udf => Some(2048),
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Vfat | Kind::Exfat | Kind::Erofs | Kind::Xfs => {
                found.block_size
            }
            _ => None,
        };
        longest.is_some_and(|longest| self.sector > longest)
    }
}

/// Whether the kernel gives such a name to optical drives.
#[must_use]
pub fn is_optical(name: &str) -> bool {
    name.strip_prefix("sr").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// A device as it was when a plan was made for it. After any wait, another one may have its kernel name (attacks.md F5): whatever
/// destroys compares this with what it has open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Its node.
    pub node: PathBuf,
    /// See [`Device::sequence`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Size in bytes; 0 if that is not known.
    pub size: u64,
    /// See [`Device::sector`].
    #[serde(skip_serializing_if = "is_zero")]
    pub sector: u32,
    /// Partition UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_uuid: Option<String>,
    /// See [`Device::table`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<u64>,
    /// What was found on it; `None` where nobody has looked, or where a step before has made something else of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
}

/// What a device holds, as far as names go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// What it is; `None` for nothing that is known.
    pub kind: Option<Kind>,
    /// Its UUID.
    pub uuid: Option<String>,
    /// Its label.
    pub label: Option<String>,
}

impl Holds {
    /// What a look at the device has found.
    #[must_use]
    pub fn of(found: Option<&Superblock>) -> Self {
        Self {
            kind: found.map(|found| found.kind),
            uuid: found.and_then(|found| found.uuid.clone()),
            label: found.and_then(|found| found.label.clone()),
        }
    }
}

impl std::fmt::Display for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.map_or("nothing known", Kind::name))?;
        self.label.iter().try_for_each(|label| write!(f, " LABEL=\"{label}\""))?;
        self.uuid.iter().try_for_each(|uuid| write!(f, " UUID={uuid}"))
    }
}

impl Seen {
    /// A device of which nothing but the node is known.
    pub fn named(node: impl Into<PathBuf>) -> Self {
        Self { node: node.into(), ..Self::default() }
    }

    /// The same disk, with the same table, after a step that has made something in a part of it: marks of an earlier life that reach into
    /// that part are gone then (found by generated disks: the record of a RAID at the end).
    #[must_use]
    pub fn made_in_part(self) -> Self {
        Self { holds: None, ..self }
    }

    /// The same device, after a step that puts something else on it.
    #[must_use]
    pub fn made_anew(self) -> Self {
        Self { table: Vec::new(), holds: None, ..self }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Device {
    /// What tells it from any other device.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let looked_at = self.size > 0 && self.unreadable.is_none();
        Seen {
            node: self.node.clone(),
            // A drive's number grows whenever the kernel learns what disc is in it, the first one too. Nothing is written to a disc.
            sequence: self.sequence.filter(|_| !self.optical),
            size: self.size,
            sector: self.sector,
            part_uuid: self.part_uuid.clone(),
            table: self.table.clone(),
            holds: looked_at.then(|| Holds::of(self.superblock.as_ref())),
        }
    }

    /// A name that no other device gets, and that is not wiped with the content: see [`Selector::stays`](crate::config::Selector::stays).
    #[must_use]
    pub fn lasting_name(&self) -> Option<String> {
        if let Some(uuid) = &self.part_uuid {
            return Some(format!("PARTUUID={uuid}"));
        }
        let by_path = |link: &str| ["pci-", "virtio-pci-", "platform-"].iter().any(|start| link.starts_with(start));
        // A serial number goes with the disk to another port.
        let link = self.links.iter().find(|link| !by_path(link)).or_else(|| self.links.first())?;
        let dir = if by_path(link) { "by-path" } else { "by-id" };
        // Without udev a partition has its disk's names.
        let part = self.partition.filter(|number| !link.ends_with(&format!("-part{number}")));
        let part = part.map(|number| format!("-part{number}")).unwrap_or_default();
        Some(format!("/dev/disk/{dir}/{link}{part}"))
    }

    /// One line for a person: node, type, label, UUID, size.
    pub fn summary(&self) -> String {
        let mut text = self.node.display().to_string();
        match (&self.superblock, &self.unreadable) {
            (Some(found), _) => {
                text += &format!(" {}", found.kind.name());
                if let Some(label) = &found.label {
                    text += &format!(" LABEL=\"{label}\"");
                }
                if let Some(uuid) = &found.uuid {
                    text += &format!(" UUID={uuid}");
                }
            }
            (None, Some(why)) => text += &format!(" unreadable: {why}"),
            (None, None) if self.size == 0 => text += " no medium",
            (None, None) => {
                text += match self.unknown {
                    Some(Unknown::Zeros) => " unknown content: its first 64 KiB are zeros",
                    Some(Unknown::IsoHeader) => " unknown content: an ISO whose header is damaged",
                    None => " unknown content",
                }
            }
        }
        if let Some(uuid) = &self.part_uuid {
            text += &format!(" PARTUUID={uuid}");
        }
        text + &format!(" {}", human(self.size))
    }
}
