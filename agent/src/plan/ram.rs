//! Part of the second plan: the image copied to RAM, used from there, and the medium let go.
//!
//! Only the image is copied: the container, or a root image beside no container. Whether it fits is settled from numbers
//! before the first byte is read, because a copy that fills the RAM would end a boot that the medium could have carried.

use std::path::{Path, PathBuf};

use super::acquire::{driver, mount_kind};
use super::act::RamAct;
use super::points::{Points, Presence};
use super::slot::Slot;
use super::snapshot;
use super::step::Step;
use super::wanted::Wanted;
use crate::config::{Access, Config, Persistence, TmpfsSize};
use crate::error::{Code, Stop};
use crate::facts::{Content, ImageFile, MediumFacts, Origin, RamFacts, Seen};
use crate::format::Kind;

/// Mount point of the tmpfs that holds the copy. A file system of its own: `/run` may use a fifth of the RAM only. Below
/// `/run/initramfs`, because systemd leaves what is there alone at power-off.
pub const RAM_DIR: &str = "/run/initramfs/ram";
/// Where dracut leaves its copies; they become links (dracut-live spec 2.12).
const HISTORIC_DIR: &str = "/run/initramfs";
/// Size of a huge page; a tmpfs that ends in the middle of one would fill its last part with small pages.
const HUGE_PAGE: u64 = 2 << 20;
const MIB: u64 = 1 << 20;

/// What there is to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This file or device.
    Copy(RamCopy),
    /// It comes from the initrd, or over the network, and is in RAM already.
    InRam,
}

/// One copy: from where to where, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamCopy {
    /// File on the medium, ISO-scan file or device.
    pub from: PathBuf,
    /// File in [`RAM_DIR`].
    pub to: PathBuf,
    /// The container's kind; `None` for a bare root image.
    pub container: Option<Kind>,
}

impl RamCopy {
    fn new(from: PathBuf, name: &str, container: Option<Kind>) -> Self {
        Self { from, to: Path::new(RAM_DIR).join(name), container }
    }

    /// The content of the medium as later steps see it: a bare root image lies in RAM now.
    pub fn content(&self, content: Content) -> Content {
        match content {
            Content::Image(file) => Content::Image(ImageFile { path: self.to.clone(), ..file }),
            other => other,
        }
    }
}

/// Decides what is copied.
///
/// # Errors
/// [`Code::RamRefused`] for a medium without an image.
pub fn choose(points: &Points, medium: &MediumFacts, content: Option<&Content>) -> Result<Choice, Stop> {
    let copy = match (&medium.origin, content) {
        (Origin::Initrd(_) | Origin::Fetched(_), _) => return Ok(Choice::InRam),
        (Origin::Device(from) | Origin::HostFile { file: from, .. }, None) => {
            RamCopy::new(from.clone(), "squashed.img", Some(medium.kind))
        }
        (_, Some(Content::Container(file))) => {
            RamCopy::new(points.live.join(&file.path), "squashed.img", Some(file.kind))
        }
        (_, Some(Content::Image(file))) => RamCopy::new(points.live.join(&file.path), "rootfs.img", None),
        (_, Some(Content::Tree)) => {
            return Err(Stop::new(Code::RamRefused, "the medium is a plain root tree, there is no image to copy")
                .wanted("a container such as LiveOS/squashfs.img")
                .advice("remove rd.live.ram, or build the medium with a container"));
        }
    };
    Ok(Choice::Copy(copy))
}

/// Settles whether the copy fits and leaves `rd.minmem` for the system.
///
/// # Errors
/// [`Code::RamRefused`] with the numbers and what would help.
pub fn budget(config: &Config, facts: &RamFacts) -> Result<(), Stop> {
    let reserve = config.ram_reserve_mib.saturating_mul(MIB);
    let left = facts.available.checked_sub(facts.data);
    if left.is_some_and(|left| left >= reserve) {
        return Ok(());
    }
    let (needs, available) = (facts.data.div_ceil(MIB), facts.available / MIB);
    let cause = format!(
        "the image needs {needs} MiB of RAM and {} MiB are to stay free (rd.minmem), but {available} MiB are available",
        config.ram_reserve_mib
    );
    let advice = match left {
        Some(left) if left >= reserve / 4 => format!(
            "rd.minmem={} if the live system can do with that much, or {} MiB more RAM",
            left / MIB,
            (reserve - left).div_ceil(MIB)
        ),
        _ => {
            let missing = facts.data.saturating_add(reserve).saturating_sub(facts.available);
            format!("{} MiB more RAM, or boot without rd.live.ram", missing.div_ceil(MIB))
        }
    };
    Err(Stop::new(Code::RamRefused, cause)
        .wanted(format!("{} MiB of available RAM", needs.saturating_add(config.ram_reserve_mib)))
        .advice(advice))
}

/// Makes the copy. A failure leads back to the medium, unless the copy is required.
pub fn copy(config: &Config, copy: &RamCopy, facts: &RamFacts) -> Vec<Step> {
    let mut options = Vec::new();
    // A hole inside a huge page would take memory all the same.
    if facts.huge_pages && facts.data >= facts.bytes {
        options.push("huge=within_size".to_owned());
    }
    // A bare root image may be written to, a container never is.
    let bytes = if copy.container.is_none() { snapshot::room_to_write(facts) } else { facts.data };
    let size = TmpfsSize::Bytes(bytes.next_multiple_of(HUGE_PAGE).max(HUGE_PAGE));
    let mut steps = vec![
        Step::Tmpfs { size, options, at: RAM_DIR.into() },
        Step::Ram(RamAct::Copy {
            from: copy.from.clone(),
            to: copy.to.clone(),
            bytes: facts.bytes,
            digest: facts.sha256.is_some(),
        }),
    ];
    if let Some(name) = copy.to.file_name() {
        steps.push(Step::Symlink { at: Path::new(HISTORIC_DIR).join(name), to: copy.to.clone() });
    }
    if !config.ram_required {
        steps = vec![Step::either(steps, Vec::new(), Wanted::RamCopy)];
    }
    // Outside: an image that is not what it should be is no reason to boot from the medium it came from.
    let file = copy.to.clone();
    steps.extend(facts.sha256.clone().map(|sha256| Step::Ram(RamAct::Compare { file, sha256 })));
    steps
}

/// Mounts the container from its copy. Without a container there is nothing to do.
pub fn container(points: &Points, copy: &RamCopy) -> Vec<Step> {
    let Some(kind) = copy.container else { return Vec::new() };
    let mut steps = vec![Step::Loop {
        file: copy.to.clone(),
        access: Access::ReadOnly,
        direct: false,
        into: Slot::Container,
        found: None,
    }];
    steps.extend(driver(kind));
    steps.push(mount_kind(Slot::Container, kind, Access::ReadOnly, &points.container));
    steps
}

/// Whether changes may come to be kept on the medium, or on the file system that holds its ISO file: then it stays until
/// that is known.
pub fn may_keep(config: &Config) -> bool {
    matches!(config.overlay.persistence, Some(Persistence::Automatic(_) | Persistence::OnMedium { .. }))
}

/// Lets the medium go, once all that is needed has been seen in RAM, and says what becomes of it.
pub fn release(points: &Points, medium: &MediumFacts) -> (Vec<Step>, Presence) {
    let mut steps = Vec::new();
    let mounted = (!medium.is_container()).then(|| points.live.clone());
    let presence = match medium.origin {
        Origin::Device(_) => Presence::Released,
        Origin::HostFile { .. } | Origin::Initrd(_) | Origin::Fetched(_) => Presence::Gone,
    };
    if mounted.is_some() || presence == Presence::Gone {
        steps.push(Step::Release { slot: Slot::Medium, at: mounted });
    }
    // With the loop device that stood between, the disk would have no name any more.
    if let (Origin::Device(node), true) = (&medium.origin, medium.looped) {
        steps.push(Step::Device { device: Seen::named(node), into: Slot::Medium });
    }
    if presence == Presence::Gone {
        steps.push(Step::Release { slot: Slot::Host, at: Some(points.host.clone()) });
    }
    if !steps.is_empty() {
        steps = vec![Step::either(steps, Vec::new(), Wanted::Release)];
    }
    (steps, presence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Dialect, interpret_text};

    fn medium(origin: Origin, kind: Kind) -> MediumFacts {
        MediumFacts {
            origin,
            kind,
            label: None,
            uuid: None,
            device: None,
            looped: false,
            missing: None,
            subvolume: crate::facts::Subvolume::Default,
        }
    }

    fn file(path: &str, kind: Kind) -> ImageFile {
        ImageFile { path: path.into(), kind, compressor: None, dirty: false }
    }

    #[test]
    fn only_the_image_is_copied() {
        let points = Points::new(Dialect::Dmsquash);
        let disc = || Origin::Device("/dev/sr0".into());
        let host = || Origin::HostFile { host: Some("/dev/sda1".into()), file: "/run/initramfs/isoscan/a.iso".into() };
        let (container, image) = (
            || Some(Content::Container(file("LiveOS/squashfs.img", Kind::Squashfs))),
            || Some(Content::Image(file("LiveOS/rootfs.img", Kind::Ext4))),
        );
        let live = "/run/initramfs/live/LiveOS";
        let rows = [
            (medium(disc(), Kind::Iso9660), container(), Some((format!("{live}/squashfs.img"), "squashed.img"))),
            (medium(host(), Kind::Iso9660), container(), Some((format!("{live}/squashfs.img"), "squashed.img"))),
            (medium(disc(), Kind::Ext4), image(), Some((format!("{live}/rootfs.img"), "rootfs.img"))),
            (medium(disc(), Kind::Erofs), None, Some(("/dev/sr0".into(), "squashed.img"))),
            (medium(host(), Kind::Squashfs), None, Some(("/run/initramfs/isoscan/a.iso".into(), "squashed.img"))),
            (medium(Origin::Initrd("/live.iso".into()), Kind::Iso9660), container(), None),
            (medium(Origin::Initrd("/squashfs.img".into()), Kind::Squashfs), None, None),
        ];
        for (medium, content, expected) in rows {
            let shown = format!("{medium:?} {content:?}");
            let found = match choose(&points, &medium, content.as_ref()).unwrap() {
                Choice::Copy(copy) => Some((copy.from.display().to_string(), copy.to)),
                Choice::InRam => None,
            };
            let expected = expected.map(|(from, name)| (from, Path::new(RAM_DIR).join(name)));
            assert_eq!(found, expected, "{shown}");
        }
        let tree = choose(&points, &medium(disc(), Kind::Ext4), Some(&Content::Tree)).unwrap_err();
        assert_eq!(tree.code, Code::RamRefused, "F7 has no image");
    }

    #[test]
    fn b16_budget_counts_data_and_reserve() {
        let rows = [
            // kargs, data MiB, available MiB, fits, advice
            ("rd.live.ram", 500, 1524, true, ""),
            ("rd.live.ram", 500, 1523, false, "rd.minmem=1023"),
            ("rd.live.ram rd.minmem=1", 500, 501, true, ""),
            ("rd.live.ram rd.minmem=1", 500, 500, false, "1 MiB more RAM"),
            ("rd.live.ram rd.minmem=0", 500, 500, true, ""),
            ("rd.live.ram", 500, 600, false, "924 MiB more RAM, or boot without rd.live.ram"),
            ("rd.live.ram", 500, 400, false, "1124 MiB more RAM, or boot without rd.live.ram"),
        ];
        for (kargs, data, available, fits, advice) in rows {
            let (config, _) = interpret_text(kargs);
            let facts = RamFacts {
                bytes: data * MIB,
                data: data * MIB,
                available: available * MIB,
                huge_pages: true,
                sha256: None,
            };
            let result = budget(&config, &facts);
            assert_eq!(result.is_ok(), fits, "{kargs} {data} of {available}");
            if let Err(stop) = result {
                let text = stop.lines().join("\n");
                assert!(text.contains(advice), "{kargs} {data} of {available}: {text}");
                assert!(text.contains(&format!("{data} MiB of RAM")), "the numbers are there: {text}");
            }
        }
    }

    #[test]
    fn huge_pages_only_without_holes_and_a_tmpfs_of_the_datas_size() {
        let (config, _) = interpret_text("rd.live.ram=required");
        let what = RamCopy::new("/a".into(), "squashed.img", Some(Kind::Squashfs));
        let rows = [
            ((5 * MIB, 5 * MIB, true), (6 * MIB, true)),
            ((5 * MIB, 5 * MIB, false), (6 * MIB, false)),
            ((900 * MIB, 4 * MIB, true), (4 * MIB, false)),
            ((MIB, 0, true), (2 * MIB, false)),
        ];
        for ((bytes, data, huge_pages), (size, huge)) in rows {
            let steps = copy(&config, &what, &RamFacts { bytes, data, available: 0, huge_pages, sha256: None });
            let Step::Tmpfs { size: found, options, .. } = &steps[0] else { panic!("{steps:?}") };
            assert_eq!(*found, TmpfsSize::Bytes(size), "{bytes} {data}");
            assert_eq!(options.contains(&"huge=within_size".to_owned()), huge, "{bytes} {data} {huge_pages}");
        }
    }

    #[test]
    fn a_sum_is_computed_on_the_way_and_compared_outside_the_fallback() {
        let what = RamCopy::new("/a".into(), "squashed.img", Some(Kind::Squashfs));
        let facts = |sha256: Option<&str>| RamFacts {
            bytes: MIB,
            data: MIB,
            available: 0,
            huge_pages: false,
            sha256: sha256.map(str::to_owned),
        };
        for (kargs, sum, last) in [
            ("rd.live.ram", Some("00ff"), "compare /run/initramfs/ram/squashed.img with SHA-256 00ff"),
            ("rd.live.ram=required", Some("00ff"), "compare /run/initramfs/ram/squashed.img with SHA-256 00ff"),
            ("rd.live.ram=required", None, "link /run/initramfs/squashed.img to /run/initramfs/ram/squashed.img"),
        ] {
            let (config, _) = interpret_text(kargs);
            let steps = copy(&config, &what, &facts(sum));
            assert_eq!(steps.last().unwrap().to_string(), last, "{kargs} {sum:?}");
            let text: String = steps.iter().map(ToString::to_string).collect();
            assert_eq!(text.contains("with its SHA-256"), sum.is_some(), "{kargs} {sum:?}: {text}");
        }
    }

    #[test]
    fn d3_the_medium_stays_only_while_changes_may_be_kept_on_it() {
        let points = Points::new(Dialect::Dmsquash);
        let file = || Origin::HostFile { host: Some("/dev/sda1".into()), file: "/run/initramfs/isoscan/a.iso".into() };
        let disc = || Origin::Device("/dev/sr0".into());
        let rows = [
            (disc(), Kind::Iso9660, Presence::Released, "release medium at /run/initramfs/live"),
            (file(), Kind::Iso9660, Presence::Gone, "release host at /run/initramfs/isoscan"),
            (file(), Kind::Squashfs, Presence::Gone, "release medium ·"),
            (disc(), Kind::Squashfs, Presence::Released, ""),
        ];
        for (origin, kind, presence, text) in rows {
            let (steps, found) = release(&points, &medium(origin, kind));
            assert_eq!(found, presence, "{kind:?}");
            let shown = steps.iter().map(ToString::to_string).collect::<String>();
            assert!(shown.contains(text) && shown.is_empty() == text.is_empty(), "{kind:?}: {shown}");
        }
        for (kargs, stays) in [
            ("", false),
            ("rd.live.overlay=LABEL=x", false),
            ("rd.live.overlay=:/x", true),
            ("rd.live.overlay.persistent", true),
            ("rd.live.overlay.persistent=off", false),
        ] {
            let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
            assert_eq!(may_keep(&config), stays, "{kargs}");
        }
    }
}
