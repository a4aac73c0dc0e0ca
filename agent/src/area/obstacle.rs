//! Why changes are not kept: each reason is a value with a number, a cause and what to do. Looks find it, plans decide it, and the boot,
//! `explain` and the report tell it.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Found, Identity, InUse, Windows};
use crate::error::{Code, ELSEWHERE, Stop};
use crate::facts::human;
use crate::format::Kind;
use crate::table::TableError;

/// Why changes are not kept over a reboot. Its text is the cause alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
// Written down and read as what a person is told of it: whoever reads it needs the words, and the code to read each variant is large.
#[serde(into = "Stop", from = "Stop")]
#[expect(
    missing_docs,
    reason = "the fields are the words of the text beside them; sizes are in bytes unless they say MiB"
)]
pub enum Obstacle {
    /// A step has failed.
    #[error("{}", .0.cause)]
    Step(Stop),

    // What the command line leaves.
    /// A root without an overlay keeps nothing.
    #[error("the command line leaves no place for an area")]
    NoPlace,
    /// The root is the machine's own, and nothing was named.
    #[error("the root is no live medium")]
    NoMedium,
    /// Encryption was asked for, and the place that was named has none.
    #[error("rd.live.encrypt was asked for, and the named place is not encrypted")]
    NamedPlain,
    /// `rd.live.overlay.cowfs` is none of ours.
    #[error("rd.live.overlay.cowfs={0} is not ext4, xfs or btrfs, nothing was created")]
    UnknownFs(String),
    /// Nobody can tell whose the changes are.
    #[error("the image has neither label nor UUID, so that nobody can tell whether changes belong to it")]
    Nameless,

    // Whether it is there, and may be written to.
    /// It was not seen.
    #[error("{name} is not there{}", waited(*.waited_s))]
    NotThere { name: String, waited_s: u64, can_be_made: bool },
    /// No file system has the label that was named, and none is made.
    #[error("no file system has the label {label}, and {why}")]
    NoLabel { label: String, why: Box<Obstacle> },
    /// Two devices have the name.
    #[error("{name} names both {} and {}", .nodes[0].display(), .nodes[1].display())]
    Ambiguous { name: String, nodes: [PathBuf; 2] },
    /// The medium is no disk that was seen.
    #[error("{} is no disk that was seen", .0.display())]
    Unseen(PathBuf),
    /// The disk of the medium has gone.
    #[error("{}, the disk of the medium, has gone", .0.display())]
    Gone(PathBuf),
    /// A disc.
    #[error("{} is an optical drive, which cannot be written to", .0.display())]
    Optical(PathBuf),
    /// Memory that firmware has filled before the kernel was there.
    #[error("{} lies in memory, which is empty when the machine is off", .0.display())]
    InMemory(PathBuf),
    /// It refuses writes.
    #[error("{} refuses writes", .0.display())]
    WriteProtected(PathBuf),
    /// Its file system cannot be written to.
    #[error("{place} is {}, which cannot be written to", known(*.kind))]
    NotWritable { place: String, kind: Option<Kind> },
    /// The medium is a file of the initrd, or of somebody else.
    #[error("the medium is a file that lies on no disk of this machine")]
    OnNoDisk,
    /// The medium is a file, which has no boot disk.
    #[error("the medium is a file, so there is no boot disk for a new partition")]
    NoBootDisk,
    /// It is only reached through a loop device with short sectors.
    #[error("{} has sectors of {sector} bytes, and its file system was made for shorter ones, so it is only read", .node.display())]
    LongSectors { node: PathBuf, sector: u32 },
    /// It cannot be read.
    #[error("{} cannot be read: {why}", .node.display())]
    Unreadable { node: PathBuf, why: String },
    /// The place that was named is the root itself.
    #[error("{} is the root itself, which stays as it is", .0.display())]
    RootItself(PathBuf),
    /// Somebody may still use it.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The key of encrypted areas cannot be read.
    #[error("the key {file} cannot be read: {why}")]
    Key { file: String, why: Box<Obstacle> },

    // Whether there is room.
    /// No partition can be added.
    #[error("{}: {why}", .node.display())]
    NoGap { node: PathBuf, why: NoGap },
    /// The boot disk is mounted as a whole.
    #[error("{} has no partitions", .0.display())]
    NoPartitions(PathBuf),
    /// It is too small for what is to be made there.
    #[error("{place} has {}, {what} needs {}, nothing was changed", human(*.has), human(*.needs))]
    TooSmall { place: String, has: u64, what: String, needs: u64 },
    /// The file would be larger than a FAT can have.
    #[error("{} is FAT, whose files end at 4 GiB, and {file} would have {}", .node.display(), human(*.size))]
    LargeForFat { node: PathBuf, file: String, size: u64 },
    /// The host has no room for the file.
    #[error("{} has {} free, {file} would have {}", .node.display(), human(*.free), human(*.size))]
    HostFull { node: PathBuf, free: u64, file: String, size: u64 },

    // Whether what is there can be used.
    /// The area is another image's.
    #[error("the persistent area was made for {owner}, this image is {image}{}", and_no_own(.no_own.as_deref()))]
    OtherImage { owner: String, image: Identity, no_own: Option<Box<Obstacle>> },
    /// Encryption was asked for, and this area has none (kiwi-live spec W-15).
    #[error("{0} is not encrypted and rd.live.encrypt was asked for, so it is not used")]
    PlainArea(String),
    /// Only to be shown, and there is nothing.
    #[error("{place} {nothing}, so there is nothing to show")]
    NothingToShow { place: String, nothing: Nothing },
    /// It holds something that is no area.
    #[error("{place} holds {}, left as it is", known(*.kind))]
    Holds { place: String, kind: Option<Kind>, volume: bool },
    /// What the name of the cow file has is none.
    #[error("{place} {} and is kept as it is", .found.objection())]
    NoCowFile { place: String, found: Found },
    /// What was named is no place for changes.
    #[error("{place} {}, left as it is", .found.objection())]
    NoArea { place: String, found: Found },
    /// An overlay's directories cannot lie there.
    #[error("{} is {}, which cannot hold changes as files", .node.display(), .kind.name())]
    NoOverlay {
        node: PathBuf,
        kind: Kind,
        #[serde(default)]
        store: bool,
    },
    /// A directory that is to be emptied and never was a place for changes (attacks.md F13).
    #[error("{0} holds files and never was a place for changes, so a reset does not empty it")]
    Stranger(String),
    /// A named device without a file system.
    #[error("{} holds no file system that is known", .0.display())]
    NoFileSystem(PathBuf),
    /// The same of the one that holds the ISO file, on which nothing is made.
    #[error("{} holds no file system that is known", .0.display())]
    UnknownHost(PathBuf),
    /// A store of a snapshot is of no use to an ordinary root.
    #[error("{0} is the store of a device-mapper snapshot, for live images only")]
    StoreAlone(String),
    /// A device that loses its content at each boot has a name that another one may get (attacks.md F5).
    #[error(
        "mkfs=force wipes what has the name {name} at each boot, and the next boot may give that to another device; nothing was \
         changed"
    )]
    PassingName { name: String, instead: String },
    /// A volume whose key nobody has.
    #[error("the key of {} was forgotten by an earlier boot", .0.display())]
    KeyForgotten(PathBuf),
    /// `mkfs=0`, and it is not encrypted.
    #[error("{} is not encrypted, and mkfs=0 says that it is not to be changed", .0.display())]
    NotEncrypted(PathBuf),
    /// A device that is to be encrypted holds something.
    #[error("{} holds {}, which is not encrypted, and is left as it is", .node.display(), .kind.name())]
    Occupied { node: PathBuf, kind: Kind, instead: String },
}

/// What is missing where changes are only to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// The disk has no area.
    #[error("has no persistent area yet")]
    Area,
    /// The cow file.
    #[error("does not exist yet")]
    File,
    /// The path that was named.
    #[error("does not exist")]
    Path,
    /// The partition that was named.
    #[error("is not made")]
    Partition,
    /// A store in which nothing is kept.
    #[error("is an empty store")]
    Store,
    /// A file system.
    #[error("holds no file system that is known")]
    FileSystem,
    /// The device would be made anew.
    #[error("would be made anew")]
    Content,
}

/// Why no partition can be added to the boot disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoGap {
    /// The medium is a guest on it.
    #[default]
    #[error("there is more than the live image on the disk")]
    Guest,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The kernel does not tell.
    #[error("asking the kernel for its partitions: {0}")]
    Kernel(String),
    /// Its table has none.
    #[error(transparent)]
    Table(#[from] TableError),
}

fn waited(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { format!(", and nothing was plugged in for {seconds} s") }
}

fn known(kind: Option<Kind>) -> &'static str {
    kind.map_or("nothing that is known", Kind::name)
}

fn and_no_own(why: Option<&Obstacle>) -> String {
    why.map_or(String::new(), |why| format!(", and it gets no file of its own: {why}"))
}

impl From<Stop> for Obstacle {
    fn from(stop: Stop) -> Self {
        Self::Step(stop)
    }
}

impl From<Windows> for Obstacle {
    fn from(windows: Windows) -> Self {
        Self::InUse(windows.into())
    }
}

impl From<Obstacle> for Stop {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Step(stop) => stop,
            other => Self::new(other.code(), other.to_string()).advice(other.remedy()),
        }
    }
}

impl Obstacle {
    /// An area that was made for another image than this one.
    pub fn made_for(owner: impl Into<String>, image: &Identity) -> Self {
        Self::OtherImage { owner: owner.into(), image: image.clone(), no_own: None }
    }

    /// A device that was not seen.
    pub fn not_there(name: &impl ToString) -> Self {
        Self::NotThere { name: name.to_string(), waited_s: 0, can_be_made: false }
    }

    /// The number by which it is looked up.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Step(stop) => stop.code,
            Self::OtherImage { .. } => Code::AreaOther,
            _ => Code::AreaUnavailable,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Cow<'_, str> {
        match self {
            Self::Step(stop) => stop.advice.as_str().into(),
            Self::NoMedium => "name a device with rd.overlay=<device>".into(),
            Self::NamedPlain => "rd.overlay.crypt=<device> is".into(),
            Self::UnknownFs(_) => "name one of these".into(),
            Self::Nameless => format!("give it a label, or {ELSEWHERE}").into(),
            Self::NotThere { can_be_made: true, .. } => {
                "rd.live.autooverlay makes it in free space of the boot disk".into()
            }
            Self::NotThere { .. } => format!("plug it in and boot again, or {ELSEWHERE}").into(),
            Self::NoLabel { why, .. } | Self::Key { why, .. } => why.remedy(),
            Self::Ambiguous { .. } => "unplug one, or use another name".into(),
            Self::Optical(_) | Self::InMemory(_) => format!("boot from a stick, or {ELSEWHERE}").into(),
            Self::WriteProtected(_) => format!("switch its write protection off, or {ELSEWHERE}").into(),
            Self::RootItself(_) => "name another device".into(),
            Self::InUse(in_use) => in_use.remedy(),
            Self::NoGap { why, .. } => why.remedy(),
            Self::TooSmall { .. } => format!("use a larger one, or {ELSEWHERE}").into(),
            Self::LargeForFat { .. } => "use rd.live.cowfile.mbsize=4095 or less".into(),
            Self::HostFull { .. } => "see rd.live.cowfile.mbsize".into(),
            Self::OtherImage { no_own, .. } => {
                let first = no_own.as_ref().map_or(String::new(), |why| format!("{}; or ", why.remedy()));
                let accept =
                    "rd.live.overlay.persistent=accept uses it all the same, with rd.live.overlay.reset emptied";
                (first + accept).into()
            }
            Self::PlainArea(_) => "boot without rd.live.encrypt to use it, or delete it to get an encrypted one".into(),
            Self::NothingToShow { .. } => "a boot without rd.overlay.readonly makes it".into(),
            Self::Holds { volume: true, .. } => "rd.live.overlay.reset makes a new file system in it".into(),
            Self::NoCowFile { .. } => "remove or rename it to get a new one".into(),
            Self::NoOverlay { store: true, .. } => {
                "rd.live.overlay.size=<MiB> makes a store of that size there; or use ext4, xfs or btrfs".into()
            }
            Self::NoOverlay { .. } => "use ext4, xfs or btrfs, or a file with such a file system".into(),
            Self::Stranger(_) => "name another path, or empty it yourself".into(),
            Self::NoFileSystem(_) => "if it is empty, rd.live.overlay.cowfs=ext4 makes one there".into(),
            Self::PassingName { instead, .. } => format!("use a name that stays: {instead}").into(),
            Self::KeyForgotten(_) => "mkfs=1 makes the device anew".into(),
            Self::Occupied { instead, .. } => {
                format!("if nothing on it is needed, {instead} wipes it at each boot").into()
            }
            Self::NoPlace
            | Self::Unseen(_)
            | Self::Gone(_)
            | Self::NotWritable { .. }
            | Self::OnNoDisk
            | Self::NoBootDisk
            | Self::Unreadable { .. }
            | Self::LongSectors { .. }
            | Self::NoPartitions(_)
            | Self::Holds { volume: false, .. }
            | Self::NoArea { .. }
            | Self::UnknownHost(_)
            | Self::StoreAlone(_)
            | Self::NotEncrypted(_) => ELSEWHERE.into(),
        }
    }
}

impl NoGap {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Cow<'_, str> {
        match self {
            Self::Guest => "name a partition with rd.overlay=<device>".into(),
            Self::Table(TableError::NoTable) => format!("an ISO of rdlive-image brings one, or {ELSEWHERE}").into(),
            Self::Table(TableError::Damaged(_)) => "repair it with sgdisk or gdisk first".into(),
            Self::Table(TableError::Contradiction { .. }) => {
                format!("repair them with gdisk first (v says which; x, n makes a new guard), or {ELSEWHERE}").into()
            }
            Self::Table(TableError::Full) => format!("delete a partition that is not needed, or {ELSEWHERE}").into(),
            Self::Table(TableError::NoRoom { .. }) => format!("use a larger stick, or {ELSEWHERE}").into(),
            Self::Table(TableError::Read(_) | TableError::OtherSectors(_) | TableError::EndTaken)
            | Self::Unreadable(_)
            | Self::Kernel(_) => ELSEWHERE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::AWAKE;

    fn image(label: &str) -> Identity {
        Identity { volume_id: Some(label.to_owned()), image_uuid: None, agent: String::new() }
    }

    #[test]
    fn every_obstacle_has_a_number_a_cause_and_what_to_do() {
        let full = Obstacle::HostFull { node: "/dev/sdb1".into(), free: 1 << 20, file: "a.cow".into(), size: 1 << 30 };
        let alone = |no_own| Obstacle::OtherImage { owner: "B".to_owned(), image: image("A"), no_own };
        let accept = "rd.live.overlay.persistent=accept uses it all the same, with rd.live.overlay.reset emptied";
        let step = Stop::new(Code::AreaFormat, "mkfs: a; b").wanted("w").found(["f"]).advice("try; again");
        for (obstacle, expected) in [
            (
                Windows::Unseen { node: "/dev/sda1".into(), why: "EIO".to_owned() }.into(),
                &*format!("RDL-050: whether a Windows sleeps on /dev/sda1 cannot be seen (EIO); {AWAKE}"),
            ),
            (Obstacle::Optical("/dev/sr0".into()), "RDL-050: /dev/sr0 is an optical drive, which cannot be written to"),
            (
                Obstacle::InMemory("/dev/pmem0".into()),
                "RDL-050: /dev/pmem0 lies in memory, which is empty when the machine is off; boot from a stick, or",
            ),
            (
                Obstacle::Unseen("/dev/sda".into()),
                "RDL-050: /dev/sda is no disk that was seen; rd.overlay=<device> names",
            ),
            (Obstacle::Step(step.clone()), "RDL-053: mkfs: a; b; try; again"),
            (alone(None), &format!("RDL-051: the persistent area was made for B, this image is A (-); {accept}")),
            (
                alone(Some(Box::new(full))),
                &format!(
                    "RDL-051: the persistent area was made for B, this image is A (-), and it gets no file of its own: /dev/sdb1 has \
                     1 MiB free, a.cow would have 1 GiB; see rd.live.cowfile.mbsize; or {accept}"
                ),
            ),
        ] {
            let text = serde_json::to_string(&obstacle).unwrap();
            let stop = Stop::from(obstacle);
            assert_eq!(Stop::from(serde_json::from_str::<Obstacle>(&text).unwrap()), stop, "{text}");
            let said = stop.with_advice();
            assert!(said.starts_with(expected), "{said}");
        }
        // Nothing of what a step says is lost.
        assert_eq!(Stop::from(Obstacle::Step(step.clone())), step);
    }
}
