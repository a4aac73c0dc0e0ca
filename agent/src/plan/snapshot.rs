//! The third plan where the root is a block device: a nested image below a device-mapper snapshot, a thin device, or
//! written itself (dracut-live spec 2.6 steps 7 and 8, 2.7). Names and tables are those of the original.

use std::path::{Path, PathBuf};

use super::acquire::{driver, loop_image};
use super::act::{AreaAct, Map, MapAct, Mapping, RamAct};
use super::flags;
use super::persist::{Area, is_area};
use super::ram::RAM_DIR;
use super::slot::Slot;
use super::step::{Step, mount};
use super::wanted::Wanted;
use crate::area::Found;
use crate::config::{Access, Config, Dialect, Method, TmpfsSize};
use crate::facts::{Content, ImageFile, Inner, MediumFacts, Origin, RamFacts};
use crate::format::Kind;

/// The root.
pub const LIVE: &str = "live-rw";
/// The image as it is, for installers that copy it.
const BASE: &str = "live-base";
/// The image with the changes that were kept, which stay as they are.
const SHOWN: &str = "live-ro";
/// The room of a thin root.
pub const POOL: &str = "live-overlay-pool";
/// All of them.
pub const NAMES: [&str; 4] = [LIVE, SHOWN, POOL, BASE];
/// The base's older name: a link to the loop device itself.
const BASE_LINK: &str = "/dev/live-base";
/// Mount point of the tmpfs that holds the store of a temporary snapshot.
pub const STORE_DIR: &str = "/run/initramfs/store";
/// Mount point of the tmpfs that holds a thin pool.
pub const THIN_DIR: &str = "/run/initramfs/thin-overlay";
/// Mount point of the tmpfs that holds the copy of `rd.writable.fsimg`.
pub const FSIMG_DIR: &str = "/run/initramfs/fsimg";
/// What the directories and the last page of a tmpfs take beside its files.
const SLACK: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Of ten parts, how much metadata a thin pool gets.
const METADATA: u64 = 10;

/// How a root becomes writable, once the image has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The mechanism.
    pub method: Method,
    /// Why it is another one than what was asked for.
    pub why: Option<Instead>,
}

/// Why the root becomes writable in another way than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Instead {
    /// Device-mapper needs an image that can be written to.
    #[error("{file} is {}, which cannot be written to, using an overlay", .kind.name())]
    ReadOnly {
        /// The image.
        file: String,
        /// Its file system.
        kind: Kind,
    },
    /// Device-mapper needs an image; this asked for it.
    #[error("{0}: there is a root tree and no nested image, using an overlay")]
    NoImage(&'static str),
    /// `rd.writable.fsimg`, and the image could not be copied.
    #[error("rd.writable.fsimg: the image is not in RAM, using a snapshot with changes in RAM")]
    NotInRam,
    /// `rd.live.overlay=none`, and the image itself cannot be written to.
    #[error("rd.live.overlay=none: {0}, using a snapshot with changes in RAM")]
    Unwritable(Unwritable),
}

/// Why an image cannot be written to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// It lies in a squashfs or EROFS.
    #[error("the image is compressed")]
    Compressed,
    /// It lies in an ISO file.
    #[error("the medium is an ISO file")]
    IsoFile,
    /// It lies on a disc.
    #[error("the medium is read-only")]
    Disc,
    /// It is reached through a loop device.
    #[error("the medium is only read: its sectors are too long for its file system, or it may be half of a mirror")]
    LongSectors,
    /// The medium could be written to.
    #[error("the medium is mounted read-only (add rw to the command line)")]
    MountedReadOnly,
}

impl Form {
    fn plain(method: Method) -> Self {
        Self { method, why: None }
    }

    fn instead(method: Method, why: Instead) -> Self {
        Self { method, why: Some(why) }
    }
}

/// The root image, if there is one, and where its path begins.
fn image<'a>(content: Option<&'a Content>, inner: Option<&'a Inner>) -> Option<&'a ImageFile> {
    match (content, inner) {
        (_, Some(Inner::Image(file))) | (Some(Content::Image(file)), None) => Some(file),
        _ => None,
    }
}

/// Decides what the root becomes. Device-mapper needs an image with a file system that can be written to; a persistent
/// area decides by what it is, whatever was asked for (dracut-live spec 2.6, cases C1 and C4).
pub fn form(
    config: &Config,
    medium: &MediumFacts,
    content: Option<&Content>,
    inner: Option<&Inner>,
    area: Option<&Area>,
) -> Form {
    let overlay = &config.overlay;
    let store = area.is_some_and(|area| area.store);
    if !store && (area.is_some() || overlay.method == Method::Overlayfs) {
        return Form::plain(Method::Overlayfs);
    }
    let Some(file) = image(content, inner) else { return without_image(config, store) };
    if !is_area(file.kind) {
        return Form::instead(Method::Overlayfs, Instead::ReadOnly { file: shown(file), kind: file.kind });
    }
    let copied = is_in_ram(file);
    match overlay.method {
        Method::Snapshot { .. } if store => Form::plain(overlay.method),
        // Refused above, unless there is a store.
        Method::Overlayfs => Form::plain(Method::Snapshot { thin: false }),
        Method::Snapshot { .. } if copied && !overlay.readonly => Form::plain(Method::Direct),
        Method::Snapshot { thin } => Form::plain(Method::Snapshot { thin }),
        Method::Direct if copied => Form::plain(Method::Direct),
        Method::Direct if overlay.fsimg => Form::instead(Method::Snapshot { thin: false }, Instead::NotInRam),
        Method::Direct => match unwritable(config, medium, inner) {
            None => Form::plain(Method::Direct),
            Some(why) => Form::instead(Method::Snapshot { thin: false }, Instead::Unwritable(why)),
        },
    }
}

/// Whether the root may be a snapshot whose changes lie in a store that is made for it: in dracut's dialect, where it is not made something
/// else by what else is asked for.
pub fn takes_store(config: &Config, content: Option<&Content>, inner: Option<&Inner>) -> bool {
    let asked = config.dialect == Dialect::Dmsquash && matches!(config.overlay.method, Method::Snapshot { .. });
    asked && image(content, inner).is_some_and(|file| is_area(file.kind))
}

/// A root tree cannot lie below device-mapper (dracut-live spec 2.11, cases B7, B8, B12, B23).
fn without_image(config: &Config, store: bool) -> Form {
    let overlay = &config.overlay;
    let asked = match overlay.method {
        _ if store => "the persistent area is the store of a device-mapper snapshot",
        Method::Snapshot { thin: true } => "rd.live.overlay.thin",
        Method::Snapshot { thin: false } if overlay.refused => "rd.overlay=0",
        Method::Direct if overlay.fsimg => "rd.writable.fsimg",
        Method::Direct => "rd.live.overlay=none",
        Method::Snapshot { .. } | Method::Overlayfs => return Form::plain(Method::Overlayfs),
    };
    Form::instead(Method::Overlayfs, Instead::NoImage(asked))
}

/// Why the image itself cannot be written to.
fn unwritable(config: &Config, medium: &MediumFacts, inner: Option<&Inner>) -> Option<Unwritable> {
    match &medium.origin {
        _ if inner.is_some() => Some(Unwritable::Compressed),
        Origin::HostFile { .. } | Origin::Initrd(_) | Origin::Fetched(_) => Some(Unwritable::IsoFile),
        Origin::Device(_) if matches!(medium.kind, Kind::Iso9660 | Kind::Udf) => Some(Unwritable::Disc),
        Origin::Device(_) if medium.looped => Some(Unwritable::LongSectors),
        Origin::Device(_) if config.medium_access == Access::ReadOnly => Some(Unwritable::MountedReadOnly),
        Origin::Device(_) => None,
    }
}

fn shown(file: &ImageFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the root is made from.
pub struct Base<'a> {
    /// Directory that the image's path begins at.
    pub at: &'a Path,
    /// The image.
    pub file: &'a ImageFile,
}

impl Base<'_> {
    /// Where the image is.
    pub fn path(&self) -> PathBuf {
        self.at.join(&self.file.path)
    }

    /// Its file system can be written to.
    pub fn is_writable(&self) -> bool {
        is_area(self.file.kind)
    }

    /// It is a copy that may be written to.
    pub fn is_in_ram(&self) -> bool {
        is_in_ram(self.file)
    }
}

fn is_in_ram(file: &ImageFile) -> bool {
    [RAM_DIR, FSIMG_DIR].iter().any(|dir| file.path.starts_with(dir))
}

/// Mounts a device-mapper root at `sysroot`, or does `otherwise` where that fails.
pub fn root(
    config: &Config,
    base: &Base<'_>,
    method: Method,
    area: Option<&Area>,
    sysroot: &Path,
    otherwise: Vec<Step>,
) -> Vec<Step> {
    let mut steps = vec![target_driver("dm_mod", "CONFIG_BLK_DEV_DM")];
    if matches!(method, Method::Snapshot { .. }) {
        steps.push(target_driver("dm_snapshot", "CONFIG_DM_SNAPSHOT"));
    }
    if method == (Method::Snapshot { thin: true }) {
        steps.push(target_driver("dm_thin_pool", "CONFIG_DM_THIN_PROVISIONING"));
    }
    steps.extend(driver(base.file.kind));
    steps.extend(match method {
        Method::Snapshot { thin } => layered(config, base, thin, area),
        Method::Direct | Method::Overlayfs => written(base),
    });
    let flags = flags::for_the_root(&config.rootflags);
    let options: Vec<&str> = flags.iter().map(String::as_str).collect();
    let fs = base.file.kind.driver().unwrap_or(base.file.kind.name());
    steps.push(mount(Slot::Live, fs, Access::ReadWrite, &options, sysroot));
    if area.is_some_and(|area| area.required) {
        return steps;
    }
    let what = if area.is_some() { Wanted::Changes } else { Wanted::Mapped };
    vec![Step::either(steps, otherwise, what)]
}

fn target_driver(module: &str, option: &str) -> Step {
    Step::Driver { module: module.to_owned(), filesystem: None, option: option.to_owned() }
}

/// The image itself, written.
fn written(base: &Base<'_>) -> Vec<Step> {
    vec![
        Step::Loop {
            file: base.path(),
            access: Access::ReadWrite,
            direct: false,
            into: Slot::Image,
            found: Some(Found::File(Some(base.file.kind))),
        },
        map(LIVE, Mapping::Linear(Slot::Image), Access::ReadWrite, Slot::Live),
        Step::Area(AreaAct::Check { what: Slot::Live, fs: base.file.kind }),
    ]
}

/// The image, and its changes somewhere else.
fn layered(config: &Config, base: &Base<'_>, thin: bool, area: Option<&Area>) -> Vec<Step> {
    let mut steps = vec![loop_image(base.at, base.file, Slot::Image)];
    match area {
        None => steps.extend(temporary(config, Slot::Image, thin)),
        Some(area) => {
            let mut first = area.steps.clone();
            if area.readonly {
                let from = Mapping::Snapshot { origin: Slot::Image, store: Slot::Cow, overflow: false };
                first.push(map(SHOWN, from, Access::ReadOnly, Slot::Shown));
                first.push(Step::Map(MapAct::SameOrigin { seen: Slot::Shown, image: Slot::Image }));
                first.extend(temporary(config, Slot::Shown, thin));
            } else {
                first.push(snapshot(Slot::Image, Slot::Cow));
                // Before anything is repaired: what a store of another image shows is damaged in any case.
                first.push(Step::Map(MapAct::SameOrigin { seen: Slot::Live, image: Slot::Image }));
                first.push(Step::Area(AreaAct::Check { what: Slot::Live, fs: base.file.kind }));
            }
            let otherwise = temporary(config, Slot::Image, thin);
            match area.required {
                true => steps.extend(first),
                false => steps.push(Step::either(first, otherwise, Wanted::Changes)),
            }
        }
    }
    steps.push(map(BASE, Mapping::Linear(Slot::Image), Access::ReadOnly, Slot::Base));
    steps.push(base_link());
    steps
}

/// Installers read the image there, whatever lies above it (dracut-live spec 2.6 step 9).
pub(super) fn base_link() -> Step {
    Step::LinkDevice { at: BASE_LINK.into(), slot: Slot::Image }
}

fn map(name: &str, from: Mapping, access: Access, into: Slot) -> Step {
    Step::Map(MapAct::Make(Map { name: name.to_owned(), from, access, into }))
}

fn snapshot(origin: Slot, store: Slot) -> Step {
    map(LIVE, Mapping::Snapshot { origin, store, overflow: true }, Access::ReadWrite, Slot::Live)
}

/// Changes that a reboot forgets.
fn temporary(config: &Config, origin: Slot, thin: bool) -> Vec<Step> {
    let (asked, exact) = match config.overlay.store {
        TmpfsSize::Bytes(bytes) => (bytes, matches!(config.overlay.size, TmpfsSize::Bytes(_))),
        TmpfsSize::Percent(_) => (u64::MAX, false),
    };
    let store =
        |dir: &str, name: &str, size: u64| Step::Map(MapAct::Store { file: Path::new(dir).join(name), size, exact });
    let open = |dir: &str, name: &str, into| {
        let file = Path::new(dir).join(name);
        Step::Loop { file, access: Access::ReadWrite, direct: false, into, found: None }
    };
    if !thin {
        return vec![
            tmpfs(config, asked, exact, STORE_DIR),
            store(STORE_DIR, LIVE, asked),
            open(STORE_DIR, LIVE, Slot::Store),
            snapshot(origin, Slot::Store),
        ];
    }
    let metadata = asked / SECTOR / METADATA * SECTOR;
    vec![
        tmpfs(config, asked.saturating_add(metadata), exact, THIN_DIR),
        store(THIN_DIR, "meta", metadata),
        store(THIN_DIR, "data", asked),
        open(THIN_DIR, "meta", Slot::Metadata),
        open(THIN_DIR, "data", Slot::Store),
        map(POOL, Mapping::ThinPool { metadata: Slot::Metadata, data: Slot::Store }, Access::ReadWrite, Slot::Pool),
        map(LIVE, Mapping::Thin { pool: Slot::Pool, origin }, Access::ReadWrite, Slot::Live),
    ]
}

/// The tmpfs of a store: as large as what was asked for by number, else a share of the RAM.
fn tmpfs(config: &Config, asked: u64, exact: bool, at: &str) -> Step {
    let size = if exact { TmpfsSize::Bytes(asked.saturating_add(SLACK)) } else { config.overlay.size };
    Step::Tmpfs { size, options: Vec::new(), at: at.into() }
}

/// How large the tmpfs of an image that is written itself may become: its holes fill up, but with no more than half of
/// what is free, so that a full image is an error of its own and not the end of all memory.
pub fn room_to_write(facts: &RamFacts) -> u64 {
    let free = facts.available.saturating_sub(facts.data);
    facts.data.saturating_add(free / 2).min(facts.bytes).saturating_add(SLACK)
}

/// The copy that `rd.writable.fsimg` writes to, and the file it becomes. Holes stay holes until they are written.
pub fn fsimg(base: &Base<'_>, facts: &RamFacts) -> (Vec<Step>, PathBuf) {
    let to = Path::new(FSIMG_DIR).join("rootfs.img");
    let size = TmpfsSize::Bytes(room_to_write(facts));
    let steps = vec![
        Step::Tmpfs { size, options: Vec::new(), at: FSIMG_DIR.into() },
        Step::Ram(RamAct::Copy { from: base.path(), to: to.clone(), bytes: facts.bytes, digest: false }),
    ];
    (vec![Step::either(steps, Vec::new(), Wanted::Fsimg)], to)
}

#[cfg(test)]
mod tests;
