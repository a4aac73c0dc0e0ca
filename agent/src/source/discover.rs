//! From what was asked for and the devices that are there to candidates, best first. Pure.

use std::path::Path;

use crate::config::{Config, IsoScan, Selector};
use crate::facts::Device;
use crate::format::{self, Kind};
use crate::layout;

/// By what a device may be the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It has the name that was asked for, or may hold the ISO file.
    Name,
    /// It may hold the files of the loader's medium, whatever its own name (field.md D): their mark is looked for.
    Mark,
    /// Its label is what FAT keeps of the one that was asked for.
    Likeness,
}

/// A device worth trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Kernel name.
    pub name: String,
    /// By what it is one.
    pub by: By,
    /// It is the medium the loader came from, or no such medium is known: it may be used at once.
    pub certain: bool,
    /// Partitions of this disk that its table lists have not been seen yet; one of them may be the better choice.
    pub incomplete: bool,
    /// How many of the devices that its btrfs lies on are not there; it waits for them.
    pub missing: u64,
    /// Why it is a candidate, and why it stands where it stands.
    pub why: String,
}

impl Candidate {
    /// Why it is the medium, when that has been looked at.
    #[must_use]
    pub fn confirmed(&self) -> String {
        self.why.replacen(MAY_HOLD, "holds", 1)
    }
}

/// What is said of a candidate before it is looked at for a mark.
const MAY_HOLD: &str = "may hold";

/// Whether a selector names a device.
pub fn selects(selector: &Selector, device: &Device) -> bool {
    let found = device.superblock.as_ref();
    match selector {
        Selector::Label(label) => found.is_some_and(|found| found.label.as_ref() == Some(label)),
        Selector::Uuid(uuid) => same(uuid, found.and_then(|found| found.uuid.as_deref())),
        Selector::PartUuid(uuid) => same(uuid, device.part_uuid.as_deref()),
        Selector::PartLabel(label) => device.part_label.as_ref() == Some(label),
        Selector::Path(path) => device.node == *path || device.paths.contains(path) || is_link(path, device),
        Selector::Grub { written, meant } => selects(written, device) || selects(meant, device),
    }
}

/// What a name says: as it was written, unless no device has that name.
pub fn said<'a>(selector: &'a Selector, devices: &[Device]) -> &'a Selector {
    let [written, meant] = selector.readings();
    if devices.iter().any(|device| selects(written, device)) { written } else { meant }
}

/// The devices that have a name. A disk and its partition may carry the same label: the partition is the one that can be
/// mounted, unless it is too short for what begins in it.
pub fn named(selector: &Selector, devices: &[Device]) -> Vec<Device> {
    let selector = said(selector, devices);
    let found: Vec<_> = devices.iter().filter(|device| selects(selector, device)).collect();
    let has_part = |disk: &Device| found.iter().any(|device| stands_for(device, disk));
    found.iter().filter(|device| !has_part(device)).map(|device| Device::clone(device)).collect()
}

/// Whether a selector names this device.
#[must_use]
pub fn is_named(selector: &Selector, device: &Device) -> bool {
    selector.readings().into_iter().any(|reading| selects(reading, device))
}

/// The devices of the btrfs that one of them holds, itself among them; none where it lies on one alone.
#[must_use]
pub fn members<'a>(device: &Device, devices: &'a [Device]) -> Vec<&'a Device> {
    let several = |device: &Device| device.superblock.as_ref().filter(|found| found.devices.is_some())?.uuid.clone();
    let Some(uuid) = several(device) else { return Vec::new() };
    devices.iter().filter(|other| other.size > 0 && several(other).as_ref() == Some(&uuid)).collect()
}

/// How many devices of its btrfs are not there.
#[must_use]
pub fn missing(device: &Device, devices: &[Device]) -> u64 {
    let all = device.superblock.as_ref().and_then(|found| found.devices).unwrap_or(0);
    all.saturating_sub(members(device, devices).len() as u64)
}

/// Whether a device is a partition with room for the volume that begins in it, which the disk shows as its own.
fn stands_for(part: &Device, disk: &Device) -> bool {
    let is_short = || part.superblock.as_ref().is_some_and(|found| format::truncated(found, part.size).is_some());
    part.parent.as_ref() == Some(&disk.name) && !is_short()
}

/// UUIDs are hexadecimal: letter case says nothing.
fn same(wanted: &str, found: Option<&str>) -> bool {
    found.is_some_and(|found| found.eq_ignore_ascii_case(wanted))
}

fn is_link(path: &Path, device: &Device) -> bool {
    let in_disk = path.starts_with("/dev/disk/by-id") || path.starts_with("/dev/disk/by-path");
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| in_disk) else { return false };
    let is = |link: &str| link == name || format::udev_decode(name) == link;
    // Links built from sysfs name the disk; udev's own name the partition itself. A disk's name is none of its partitions'.
    let part = device.partition.map(|number| format!("-part{number}"));
    device.links.iter().any(|link| match &part {
        Some(part) if link.ends_with(part.as_str()) => is(link),
        Some(part) => is(&format!("{link}{part}")),
        None => is(link),
    })
}

/// Media that match `selector`, best first: the loader's own medium, then partitions before the disks that hold them,
/// then by kernel name.
pub fn media(config: &Config, selector: &Selector, devices: &[Device]) -> Vec<Candidate> {
    let selector = said(selector, devices);
    let by_content = !matches!(selector, Selector::Path(_));
    let mut found = Vec::new();
    let read = |device: &Device| device.beside_raid.is_some() && selects(selector, &device.for_reading());
    for device in devices.iter().filter(|device| device.size > 0 && (selects(selector, device) || read(device))) {
        let part_of = |other: &&Device| other.parent.as_ref() == Some(&device.name);
        // On a hybrid stick the disk and its partition carry the same volume. The partition leaves the disk free, so that a partition for
        // changes can be added to it (kiwi-live spec W-01). It comes first; the disk has its turn if it turns out unusable (field.md B).
        let twins = devices.iter().filter(|other| by_content && selects(selector, other) && stands_for(other, device));
        let last_twin = twins.map(|other| natural(&other.name)).max();
        let seen = devices.iter().filter(part_of).count();
        let loader = is_loaders(config, device).unwrap_or(true);
        let half = device.beside_raid.is_some();
        let why = match is_loaders(config, device) {
            _ if last_twin.is_some() => "matches, and its partition comes first",
            _ if half => "matches, but has the record of a RAID",
            None => "matches",
            Some(true) => "matches and is the medium the loader came from",
            Some(false) => "matches, but is not the medium the loader came from",
        };
        // The whole mirror may come; who names the device has it.
        let certain = loader && !(by_content && device.may_be_mirrored());
        let incomplete = by_content && seen < device.table.len();
        let place = last_twin.map_or_else(|| natural(&device.name), |twin| format!("{twin}\0"));
        let why = why.to_owned();
        let missing = missing(device, devices);
        let candidate = Candidate { name: device.name.clone(), by: By::Name, certain, incomplete, missing, why };
        let rank = match (missing > 0, half) {
            (true, _) => 5,
            (_, true) => 4,
            _ => 2 * u8::from(!loader),
        };
        found.push((format!("{rank}{place}"), candidate));
    }
    if by_content {
        found.extend(copies(config, selector, devices));
    }
    in_order(found)
}

/// Whether a device is the medium the loader came from, as far as names tell; `None` where nothing is known of that medium.
#[must_use]
pub fn is_loaders(config: &Config, device: &Device) -> Option<bool> {
    match (&config.medium, &config.medium_id) {
        (Some(medium), _) => Some(selects(medium, device) || selects(medium, &device.for_reading())),
        // A copy that kept its label is told from others by its mark alone.
        (None, Some(_)) => Some(false),
        (None, None) => None,
    }
}

/// Devices onto which the files of the medium may have been copied, with their places in the order: those that may have the mark of the
/// loader's medium, whatever their label, come before others of the wanted name, those of a like label behind.
fn copies<'a>(
    config: &'a Config,
    selector: &'a Selector,
    devices: &'a [Device],
) -> impl Iterator<Item = (String, Candidate)> + 'a {
    let searched = |device: &&Device| device.size > 0 && unsearched(device).is_none();
    devices.iter().filter(searched).flat_map(move |device| {
        // A stick that somebody has made; on a fixed disk a copy is rare, and something that is slow to come may be the medium.
        let certain = device.removable || device.optical;
        let named = selects(selector, device);
        let is_it = config.medium_id.is_some() && is_loaders(config, device) == Some(true);
        // On a hybrid medium the volume is one.
        let is_one = named && devices.iter().any(|part| stands_for(part, device));
        let marked = config.medium_id.as_ref().filter(|_| !is_it && !is_one).map(|id| {
            let why = format!("{MAY_HOLD} {}", mark(id));
            (By::Mark, format!("1{}", u8::from(!certain)), certain, why)
        });
        let why = "its label is what FAT keeps of that".to_owned();
        let like = (!is_it && !named && is_like(selector, device)).then(|| (By::Likeness, "3".to_owned(), false, why));
        [marked, like].into_iter().flatten().map(|(by, place, certain, why)| {
            let (name, missing) = (device.name.clone(), missing(device, devices));
            let place = if missing > 0 { "5".to_owned() } else { place };
            (place + &natural(&name), Candidate { name, by, certain, incomplete: false, missing, why })
        })
    })
}

/// The file that marks the medium of a build.
#[must_use]
pub fn mark(id: &str) -> String {
    format!("/{}/{id}", layout::MARKS)
}

/// Whether a label is what a FAT or its kin keeps of the wanted one: eleven characters, often in upper case, without some or with `_` in
/// their place.
fn is_like(selector: &Selector, device: &Device) -> bool {
    let (Selector::Label(wanted), Some(found)) = (selector, &device.superblock) else { return false };
    let label = found.label.as_deref().map(str::trim_end).unwrap_or_default();
    let refused = |c: &char| c.is_control() || "*?,;:/\\|+=<>[]\"".contains(*c);
    let dotted = |c: char| if c == '.' { '_' } else { c };
    let replaced = wanted.chars().map(|c| if refused(&c) { '_' } else { dotted(c) });
    let left_out = wanted.chars().filter(|c| !refused(c)).map(dotted);
    let is = |text: String| label.eq_ignore_ascii_case(text.trim_end());
    matches!(found.kind, Kind::Vfat | Kind::Exfat | Kind::Ntfs)
        && (is(replaced.take(FAT_LABEL).collect())
            || is(left_out.clone().take(FAT_LABEL).collect())
            || is(left_out.collect())
            || is(wanted.clone()))
}

/// Characters of a label on FAT.
const FAT_LABEL: usize = 11;

/// File systems that may hold the ISO file, in the order of their UUIDs, as the original scans them.
pub fn hosts(scan: &IsoScan, devices: &[Device]) -> Vec<Candidate> {
    let searched = devices.iter().filter(|device| refusal(scan, device).is_none());
    let found = searched.map(|device| {
        let uuid = device.superblock.as_ref().and_then(|found| found.uuid.as_deref()).unwrap_or_default();
        let (name, why) = (device.name.clone(), "may hold the ISO file".to_owned());
        // No name has this character, so a short UUID comes before all that begin with it. A half of a mirror comes last.
        let missing = missing(device, devices);
        let rank = if missing > 0 { 2 } else { u8::from(device.beside_raid.is_some()) };
        let order = format!("{rank}{uuid}\0{}", natural(&name));
        (order, Candidate { name, by: By::Name, certain: true, incomplete: false, missing, why })
    });
    in_order(found.collect())
}

fn in_order(mut found: Vec<(String, Candidate)>) -> Vec<Candidate> {
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Why a device is not searched for an ISO file; `None` if it is.
pub fn refusal(scan: &IsoScan, device: &Device) -> Option<String> {
    if scan.device.as_ref().is_some_and(|selector| !selects(selector, device)) {
        return Some("another device was named".to_owned());
    }
    unsearched(device)
}

/// Why no file is looked for on a device; `None` if one is.
fn unsearched(device: &Device) -> Option<String> {
    let Some(found) = device.beside_raid.as_ref().or(device.superblock.as_ref()) else {
        return Some(device.unreadable.clone().unwrap_or_else(|| "no file system".to_owned()));
    };
    match found.kind {
        Kind::Vfat | Kind::Exfat | Kind::Ntfs | Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs => None,
        // An ISO on an ISO (a multi-boot DVD) and an image that is a plain root are both possible.
        Kind::Iso9660 | Kind::Udf | Kind::Squashfs | Kind::Erofs => None,
        Kind::Hibernation => Some("holds a hibernated system, left alone".to_owned()),
        Kind::Luks => Some("encrypted, left alone".to_owned()),
        other => Some(format!("holds {}, left alone", other.name())),
    }
}

/// A text that puts `sda2` before `sda10`: numbers are as long as they can be.
fn natural(name: &str) -> String {
    let mut text = String::new();
    for piece in name.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.is_empty() {
            text += &format!("{:020}", digits.parse::<u64>().unwrap_or(0));
        }
        text += &piece[digits.len()..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Superblock;

    #[test]
    fn a_name_stands_for_a_partition_and_not_for_its_disk() {
        let device = |name: &str, parent: Option<&str>, label: &str| Device {
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            superblock: Some(Superblock { label: Some(label.to_owned()), ..Superblock::new(Kind::Ext4) }),
            ..Device::default()
        };
        let (disk, part) = (device("sda", None, "X"), device("sda1", Some("sda"), "X"));
        let (second, other) = (device("sda2", Some("sda"), "X"), device("sdb", None, "X"));
        let foreign = device("sdc1", Some("sdc"), "Y");
        for (devices, expected) in [
            (vec![&disk], vec!["sda"]),
            (vec![&disk, &part, &foreign], vec!["sda1"]),
            (vec![&disk, &part, &other], vec!["sda1", "sdb"]),
            (vec![&disk, &part, &second], vec!["sda1", "sda2"]),
            (vec![&foreign], vec![]),
        ] {
            let devices: Vec<_> = devices.into_iter().cloned().collect();
            let found = named(&Selector::Label("X".into()), &devices);
            let names: Vec<_> = found.iter().map(|device| device.name.as_str()).collect();
            assert_eq!(names, expected);
        }
    }

    /// As under udev: the name of a disk is none of its partitions', whoever made the links.
    #[test]
    fn the_name_of_a_disk_is_the_disk() {
        let device = |partition: Option<u32>, link: &str| Device {
            name: "vda".to_owned(),
            partition,
            links: vec![link.to_owned()],
            ..Device::default()
        };
        // Sysfs knows the disk alone, udev the partition.
        let (disk, own, of_udev) =
            (device(None, "virtio-A b"), device(Some(1), "virtio-A b"), device(Some(1), "virtio-A b-part1"));
        for (name, expected) in [
            ("virtio-A b", [true, false, false]),
            (r"virtio-A\x20b", [true, false, false]),
            ("virtio-A b-part1", [false, true, true]),
            (r"virtio-A\x20b-part1", [false, true, true]),
            ("virtio-A b-part2", [false; 3]),
        ] {
            let path = Path::new("/dev/disk/by-id").join(name);
            assert_eq!([&disk, &own, &of_udev].map(|device| is_link(&path, device)), expected, "{name}");
        }
    }

    #[test]
    fn what_fat_and_its_kin_keep_of_a_label() {
        for (wanted, kind, label, like) in [
            ("TINY_29DAD730", Kind::Vfat, "TINY_29DAD7", true),
            ("Tiny.29dad730", Kind::Vfat, "TINY_29DAD7", true),
            // By mlabel, and by Rufus.
            ("KALI+LIVE", Kind::Vfat, "KALI_LIVE", true),
            ("KALI+LIVE", Kind::Vfat, "KALILIVE", true),
            ("A very long label", Kind::Ntfs, "A VERY LONG LABEL", true),
            ("A very long label", Kind::Vfat, "A VERY LONG", true),
            ("TINY_29DAD730", Kind::Vfat, "TINY_29DAD", false),
            ("TINY_29DAD730", Kind::Ext4, "TINY_29DAD7", false),
        ] {
            let superblock = Superblock { label: Some(label.to_owned()), ..Superblock::new(kind) };
            let device = Device { superblock: Some(superblock), ..Device::default() };
            assert_eq!(is_like(&Selector::Label(wanted.to_owned()), &device), like, "{wanted} {label}");
        }
    }

    /// field.md L: the half of a mirror, or what looks like one, comes last, and is waited with unless the record lies in the file system.
    #[test]
    fn what_is_beside_the_record_of_a_raid_comes_last() {
        let labelled = |kind, label: &str, size| {
            Some(Superblock { label: Some(label.to_owned()), size: Some(size), ..Superblock::new(kind) })
        };
        let half = |name: &str, size| Device {
            name: name.to_owned(),
            size: 1 << 20,
            superblock: labelled(Kind::Raid, "nas:0", 0),
            beside_raid: labelled(Kind::Vfat, "LIVE", size),
            ..Device::default()
        };
        let whole = Device {
            name: "sdz".into(),
            size: 1 << 20,
            superblock: labelled(Kind::Vfat, "LIVE", 9),
            ..Device::default()
        };
        let (config, _) = crate::config::interpret_text("root=live:LABEL=LIVE iso-scan/filename=/x.iso");
        let devices = [half("sda", 1 << 19), half("sdb", 1 << 20), whole];
        let found = media(&config, &Selector::Label("LIVE".into()), &devices);
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.certain)).collect();
        assert_eq!(found, [("sdz", true), ("sda", false), ("sdb", true)]);
        assert!(media(&config, &Selector::Label("OTHER".into()), &devices).is_empty());
        let found = hosts(config.iso_scan.as_ref().unwrap(), &devices);
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["sdz", "sda", "sdb"]);
        // Nothing names it for changes: of the whole device only the record is known.
        assert!(named(&Selector::Label("LIVE".into()), &devices).iter().all(|device| device.name == "sdz"));
    }
}
