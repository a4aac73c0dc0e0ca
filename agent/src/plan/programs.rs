//! Programs that make and check file systems: which ones keeping changes may need, and how the image comes into reach that has them where
//! the initrd does not (decision 0031).

use std::path::Path;

use super::acquire::{driver, loop_image, mount_kind};
use super::assemble::base;
use super::points::Points;
use super::slot::Slot;
use super::step::Step;
use crate::config::{Access, AreaFs, Overlay};
use crate::facts::{Content, Inner};
use crate::format::Kind;

/// A program that makes or checks file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The names that it may have; the first one that is there is run.
    pub names: &'static [&'static str],
    /// The package that has it.
    pub package: &'static str,
}

/// Checks ext2, ext3 and ext4.
pub const E2FSCK: Program = Program { names: &["e2fsck", "fsck.ext4"], package: "e2fsprogs" };

/// What makes a file system, and its arguments up to label and device; `None` for one that no area has.
#[must_use]
pub fn mkfs(fs: Kind) -> Option<(Program, &'static str)> {
    let (names, package, arguments): (&[&str], _, _) = match fs {
        Kind::Ext4 => (&["mkfs.ext4", "mke2fs"], "e2fsprogs", "-q -F -t ext4 -E nodiscard,lazy_itable_init=1"),
        Kind::Ext3 => {
            (&["mkfs.ext3", "mkfs.ext4", "mke2fs"], "e2fsprogs", "-q -F -t ext3 -E nodiscard,lazy_itable_init=1")
        }
        Kind::Ext2 => (&["mkfs.ext2", "mkfs.ext4", "mke2fs"], "e2fsprogs", "-q -F -t ext2 -E nodiscard"),
        Kind::Xfs => (&["mkfs.xfs"], "xfsprogs", "-q -f -K"),
        Kind::Btrfs => (&["mkfs.btrfs"], "btrfs-progs", "-q -f -K"),
        _ => return None,
    };
    Some((Program { names, package }, arguments))
}

/// The programs that may be run where changes are kept. Any area may turn out to be an ext, which is checked; what is only shown is neither
/// made nor checked.
#[must_use]
pub fn wanted(overlay: &Overlay) -> Vec<Program> {
    if overlay.readonly {
        return Vec::new();
    }
    const COW_FILE: &AreaFs = &AreaFs::Known(Kind::Ext4);
    let asked = overlay.wish().map(|wish| &wish.cowfs).or(overlay.blank.as_ref());
    let asked = asked.or(overlay.cow_file_mib.is_some().then_some(COW_FILE));
    let kind = match (&overlay.crypt, asked) {
        (Some(crypt), _) => Some(crypt.fstype),
        (None, Some(AreaFs::Known(kind))) => Some(*kind),
        (None, Some(AreaFs::Unknown(_)) | None) => None,
    };
    let made = kind.and_then(mkfs).map(|(program, _)| program);
    made.into_iter().chain([E2FSCK]).collect()
}

/// Lets programs of the image be run. Its tree is mounted already, unless it lies in an image file. That is mounted for this where a place
/// is named, which may have to be made or checked before the root is assembled; an automatic area is made behind the lower layer. Two
/// devices with the same btrfs are none for the kernel, so of such an image there is only the lower layer.
#[must_use]
pub fn of_image(overlay: &Overlay, points: &Points, content: Option<&Content>, inner: Option<&Inner>) -> Vec<Step> {
    let at = |at: &Path| vec![Step::Programs { at: at.to_owned() }];
    let Some(base) = base(points, content, inner) else {
        return at(if inner.is_some() { &points.container } else { &points.live });
    };
    if (overlay.wish().is_some() && overlay.crypt.is_none()) || base.file.kind == Kind::Btrfs {
        return at(&points.lower);
    }
    let mut steps = vec![loop_image(base.at, base.file, Slot::Looked)];
    steps.extend(driver(base.file.kind));
    steps.push(mount_kind(Slot::Looked, base.file.kind, Access::ReadOnly, &points.programs));
    steps.extend(at(&points.programs));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    #[test]
    fn programs_of_each_wish() {
        for (kargs, expected) in [
            ("rd.live.overlay.persistent", "mkfs.ext4 e2fsck"),
            ("rd.live.overlay.persistent rd.live.overlay.cowfs=xfs", "mkfs.xfs e2fsck"),
            ("rd.live.overlay.persistent rd.live.overlay.cowfs=reiserfs", "e2fsck"),
            ("rd.live.overlay=LABEL=P", "e2fsck"),
            ("rd.live.overlay=LABEL=P rd.live.autooverlay rd.live.overlay.cowfs=btrfs", "mkfs.btrfs e2fsck"),
            ("rd.overlay.crypt=LABEL=P", "mkfs.ext4 e2fsck"),
            ("rd.live.overlay.persistent rd.overlay.readonly", ""),
        ] {
            let (config, _) = interpret_text(&format!("root=live:LABEL=x {kargs}"));
            let names: Vec<_> = wanted(&config.overlay).iter().map(|program| program.names[0]).collect();
            assert_eq!(names.join(" "), expected, "{kargs}");
        }
    }
}
