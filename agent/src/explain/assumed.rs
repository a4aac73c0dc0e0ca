//! What is assumed of a machine that nobody looks at: the medium that is asked for is there, and the place for changes is as on a first
//! boot.

use std::path::Path;

use super::medium::Medium;
use crate::area::{DiskSite, Found, HostSite, NoGap, Site};
use crate::config::{Config, KeyFile, Method, Persistence, Selector, Source};
use crate::facts::{Content, Device, ImageFile, Inner, RamFacts, Seen};
use crate::format::{Kind, Superblock};
use crate::handover::{Facts, Look};
use crate::table::Gap;

const GIB: u64 = 1 << 30;

/// Facts, and what to say of them.
#[derive(Debug, Default)]
pub(super) struct Assumed {
    pub facts: Facts,
    pub remarks: Vec<String>,
}

/// Names that stand for the media that were looked at, in the order of the command line; `sdc1` and `sdd1` stand for others.
pub(super) const DISKS: [&str; 6] = ["sda1", "sdb1", "sde1", "sdf1", "sdg1", "sdh1"];

/// The facts for a command line; `media` is what was found on the media that were looked at.
pub(super) fn assumed(config: &Config, mut media: Vec<Medium>) -> Assumed {
    let mut all = Assumed::default();
    if config.covers_root() {
        all.facts.looks.push(Look::Mounted(Some("/dev/…".to_owned())));
        all.remarks.push("assuming that the root is mounted at /sysroot:".to_owned());
    } else {
        let first = first(config, &media);
        all.medium(config, (!media.is_empty()).then(|| media.remove(first)), DISKS[first]);
        // The boot asks what is on them in the order in which it tries them.
        let names = DISKS.iter().enumerate().filter(|(number, _)| *number != first).map(|(_, name)| name);
        for ((superblock, content), name) in media.into_iter().zip(names) {
            all.facts.looks.extend(content.map(Look::Content));
            let size = superblock.size.unwrap_or(GIB);
            all.facts.devices.push(Device { superblock: Some(superblock), ..device(name, size, None, None) });
        }
    }
    if config.ram || config.overlay.fsimg {
        let ram = RamFacts { bytes: GIB, data: GIB, available: u64::MAX, huge_pages: true, sha256: None };
        all.facts.looks.push(Look::Ram(ram));
        all.remarks.push("assuming an image of 1 GiB, and room for it:".to_owned());
    }
    all.system(config);
    all.area(config);
    all
}

/// Which of several media a boot tries first: the loader's own among those that match.
fn first(config: &Config, media: &[Medium]) -> usize {
    let names = |selector: Option<&Selector>, superblock: &Superblock| match selector {
        Some(Selector::Label(label)) => superblock.label.as_ref() == Some(label),
        Some(Selector::Uuid(uuid)) => superblock.uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(uuid)),
        _ => false,
    };
    let asked = match &config.source {
        Source::Device(selector @ (Selector::Label(_) | Selector::Uuid(_))) => Some(selector),
        _ => None,
    };
    let mut matching = media.iter().enumerate().filter(|(_, (found, _))| asked.is_none() || names(asked, found));
    let loaders = matching.clone().find(|(_, (found, _))| names(config.medium.as_ref(), found));
    loaders.or_else(|| matching.next()).map_or(0, |(number, _)| number)
}

impl Assumed {
    fn medium(&mut self, config: &Config, medium: Option<Medium>, disk: &str) {
        let aoe = match &config.source {
            Source::Aoe(node) => Some(Selector::Path(Path::new("/dev/etherd").join(node.as_deref().unwrap_or("e0.1")))),
            _ => None,
        };
        let selector = match &config.source {
            Source::Device(selector) => Some(selector),
            _ => aoe.as_ref(),
        };
        let is_assumed = medium.is_none();
        let (superblock, content) = medium.unwrap_or_else(|| {
            self.remarks.push("assuming an ISO whose container holds the root tree:".to_owned());
            let mut found = device("", 0, Some(Kind::Iso9660), selector);
            (found.superblock.take().unwrap_or(Superblock::new(Kind::Iso9660)), Some(usual_content(config)))
        });
        let mut superblock = superblock;
        if is_assumed && config.system.is_some() {
            // Changes are kept for an image that can be told from others.
            superblock.label.get_or_insert_with(|| "LIVE".to_owned());
        }
        let size = superblock.size.unwrap_or(GIB);
        let container = matches!(superblock.kind, Kind::Squashfs | Kind::Erofs);
        // A container is not mounted here, so what it holds is not known: a nested image would add one loop and one mount.
        if container || matches!(content, Some(Content::Container(_))) {
            self.facts.looks.push(Look::Inner(Inner::Tree));
            if config.overlay.method != Method::Overlayfs {
                let text =
                    "a nested image would become a device-mapper root; assuming that the container is the root tree:";
                self.remarks.push(text.to_owned());
            }
        }
        self.facts.looks.extend(content.map(Look::Content));
        match &config.iso_scan {
            Some(scan) => {
                self.facts.devices.push(device("sda1", 200 * GIB, Some(Kind::Ext4), scan.device.as_ref()));
                self.facts.looks.push(Look::Held(Some(superblock), size));
            }
            None if selector.is_none() => self.facts.looks.push(Look::Held(Some(superblock), size)),
            None => {
                let mut found = Device { superblock: Some(superblock), ..device(disk, size, None, None) };
                // A medium that was looked at has its own names, and lies where it is asked for.
                let place =
                    |selector: &&Selector| is_assumed || !matches!(selector, Selector::Label(_) | Selector::Uuid(_));
                // What `root=` asks for counts, should both not go together.
                let names = config.medium.iter().chain(selector).filter(place);
                names.for_each(|selector| name(&mut found, selector));
                self.facts.devices.push(found);
            }
        }
    }

    /// A further device, unless the name is that of the medium, or of what holds its ISO file; tells whether it is one.
    fn place(&mut self, config: &Config, device: Device, selector: &Selector) -> bool {
        let scan = config.iso_scan.as_ref().map(|scan| scan.device.as_ref());
        let medium = match &config.source {
            Source::Device(medium) if scan.is_none() => Some(medium),
            _ => scan.flatten(),
        };
        let further = medium != Some(selector);
        self.facts.devices.extend(further.then_some(device));
        further
    }

    /// The disk that an image is written to. Who names it by its content has one with the image.
    fn system(&mut self, config: &Config) {
        let Some(system) = config.system.as_ref().filter(|_| config.source.is_fetched()) else { return };
        let there = matches!(system.device.readings()[1], Selector::Label(_) | Selector::Uuid(_));
        let what = if there { "has an earlier image" } else { "is empty" };
        self.remarks.push(format!("assuming that {} {what}:", system.device));
        let kind = there.then_some(Kind::Iso9660);
        self.facts.devices.push(device("sdb", 64 * GIB, kind, Some(&system.device)));
    }

    fn area(&mut self, config: &Config) {
        let overlay = &config.overlay;
        if overlay.method == Method::Direct {
            return;
        }
        if let Some(KeyFile::On { device: selector, .. }) = &overlay.unlock.key_file {
            self.place(config, device("sdd1", GIB, Some(Kind::Ext4), Some(selector)), selector);
        }
        match (&overlay.crypt, &overlay.persistence) {
            (Some(crypt), _) => {
                let found = match crypt.device.readings()[1] {
                    Selector::Label(_) | Selector::Uuid(_) => "a LUKS volume",
                    Selector::PartUuid(_) | Selector::PartLabel(_) | Selector::Path(_) | Selector::Grub { .. } => {
                        "empty"
                    }
                };
                self.remarks.push(format!("assuming that the device of rd.overlay.crypt is {found}:"));
                self.facts.devices.push(device("sdc1", 8 * GIB, None, Some(&crypt.device)));
                self.facts.looks.push(Look::Held(Some(Superblock::new(crypt.fstype)), 8 * GIB));
            }
            (None, Some(Persistence::Automatic(_))) if config.covers_root() => {}
            (None, Some(Persistence::Automatic(_))) => {
                let (remark, site) = match config.iso_scan {
                    Some(_) => (
                        "assuming an ISO file on an ext4 with 100 GiB free, and the first boot:",
                        beside_the_iso_file(),
                    ),
                    None => ("assuming a stick with 8 GiB behind the image, and the first boot:", stick()),
                };
                self.remarks.push(remark.to_owned());
                self.facts.looks.push(Look::Site(site));
            }
            (None, Some(Persistence::Named { device: selector, .. })) => {
                let (found, what) = match overlay.readonly || overlay.reset {
                    true => (Found::Directory, "with earlier changes"),
                    false => (Found::Absent, "with nothing"),
                };
                if self.place(config, device("sdc1", 8 * GIB, Some(Kind::Ext4), Some(selector)), selector) {
                    self.remarks.push(format!("assuming an ext4 {what} at {selector}:"));
                }
                self.facts.looks.push(Look::Found(found));
            }
            (None, Some(Persistence::OnMedium { .. })) => {
                if config.iso_scan.is_some() {
                    self.remarks.push("assuming an ISO file on an ext4:".to_owned());
                }
                let found = if overlay.readonly { Found::Directory } else { Found::Absent };
                self.facts.looks.push(Look::Found(found));
            }
            (None, None) => {}
        }
    }
}

/// A device that a selector names.
fn device(kernel_name: &str, size: u64, kind: Option<Kind>, selector: Option<&Selector>) -> Device {
    let mut device = Device {
        name: kernel_name.to_owned(),
        node: Path::new("/dev").join(kernel_name),
        size,
        superblock: kind.map(Superblock::new),
        ..Device::default()
    };
    selector.iter().for_each(|selector| name(&mut device, selector));
    device
}

/// Gives a device the name that a selector asks for.
fn name(device: &mut Device, selector: &Selector) {
    let named = |found: &mut Option<Superblock>, name: fn(&mut Superblock, String), text: &String| {
        // Nothing but a superblock can have such a name.
        name(found.get_or_insert_with(|| Superblock::new(Kind::Luks)), text.clone());
    };
    match selector {
        Selector::Label(label) => named(&mut device.superblock, |found, text| found.label = Some(text), label),
        Selector::Uuid(uuid) => named(&mut device.superblock, |found, text| found.uuid = Some(text), uuid),
        Selector::PartUuid(uuid) => device.part_uuid = Some(uuid.clone()),
        Selector::PartLabel(label) => device.part_label = Some(label.clone()),
        Selector::Path(path) => device.node.clone_from(path),
        Selector::Grub { meant, .. } => name(device, meant),
    }
}

pub(super) fn usual_content(config: &Config) -> Content {
    let path = Path::new(&config.live_dir).join(&config.squashimg);
    Content::Container(ImageFile { path, kind: Kind::Squashfs, compressor: None, dirty: false })
}

fn stick() -> Site {
    let gap = Some(Gap { number: 3, start: GIB, size: 8 * GIB });
    let (area, locked, unused, no_gap, foreign) = (None, None, None, NoGap::default(), Vec::new());
    let (seen, name, unused_doubt) = (Seen::default(), "sda".to_owned(), None);
    let (read_only, whole, image) = (false, false, GIB);
    Site::Disk(Box::new(DiskSite {
        name,
        seen,
        read_only,
        whole,
        image,
        area,
        locked,
        unused,
        unused_doubt,
        gap,
        no_gap,
        foreign,
    }))
}

fn beside_the_iso_file() -> Site {
    Site::Host(HostSite { free: 100 * GIB, ..HostSite::empty(Path::new("/dev/sda1"), Kind::Ext4) })
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;
    use crate::config::interpret_text;

    /// field.md M: what the boot refuses is not planned.
    #[test]
    fn what_cannot_be_mounted_is_no_medium() {
        for kind in [Kind::Raid, Kind::Luks, Kind::Swap, Kind::F2fs] {
            let (config, _) = interpret_text("root=live:/dev/sda1");
            let found = (Superblock::new(kind), Some(usual_content(&config)));
            let text = plan(&config, vec![found]).join("\n");
            assert!(text.contains("RDL-012: /dev/sda1 holds ") && !text.contains("mount medium"), "{text}");
        }
    }

    #[test]
    fn t46_an_aoe_device_is_a_medium_that_is_only_read() {
        let text = plan(&interpret_text("root=live:AOEINTERFACE=e0.1").0, Vec::new()).join("\n");
        for words in ["AoE device e0.1 over any", "device /dev/etherd/e0.1 as medium", "overlay lower"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    /// SD-12: the printed entry of the seed, as it is planned.
    #[test]
    fn an_image_goes_onto_a_disk_and_keeps_changes_there() {
        let (config, _) = interpret_text(
            "root=live:ftp://h/x.iso ramdisk_size=3545728 rd.kiwi.live.system=/dev/sda rd.live.overlay.persistent \
             rd.live.overlay.cowfs=xfs",
        );
        let text = plan(&config, Vec::new()).join("\n");
        for words in ["assuming that /dev/sda is empty", "fetch ftp://h/x.iso to /dev/sda, which must be empty", "xfs"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("falling back") && !text.contains("stops"), "{text}");
        let (config, _) = interpret_text("root=live:http://h/x.iso rd.kiwi.live.system=UUID=ab");
        let text = plan(&config, Vec::new()).join("\n");
        assert!(text.contains("has an earlier image") && !text.contains("fetch "), "{text}");
    }
}
