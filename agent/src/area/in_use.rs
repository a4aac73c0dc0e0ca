//! Why a file system that is not ours is left alone: somebody may still use it (attacks.md F3).

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::facts::Device;
use crate::format::Kind;

/// Who knows that no system sleeps may say so.
pub const AWAKE: &str = "if you know that no system sleeps on this machine, add rd.live.host.awake=1";

/// Why somebody may still use a file system that is not ours (attacks.md F3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the text beside them")]
pub enum InUse {
    /// An NTFS with a mark that only its own check takes away.
    #[error("{} is an NTFS that was not cleanly unmounted, and must be checked before anything is written to it", .0.display())]
    DirtyNtfs(PathBuf),
    /// It was left in the middle of its use.
    #[error("{} was not cleanly unmounted by its own system, which may sleep", .node.display())]
    LeftByOthers { node: PathBuf, kind: Kind },
    /// A Linux has written its memory to a disk.
    #[error("{} holds a hibernated system, and {} may be part of it", .holder.display(), .node.display())]
    Hibernated { holder: PathBuf, node: PathBuf },
    /// A Windows on this device.
    #[error(transparent)]
    Windows(#[from] Windows),
    /// Something on this machine may hold a system that sleeps.
    #[error("{sleeper}, and {} may be part of it", .node.display())]
    PartOf { sleeper: Sleeper, node: PathBuf },
    /// It is one half of a mirror, and the other half would not be written to.
    #[error("{} may be one half of a mirror ({} is on {})", .node.display(), .kind.name(), .holder.display())]
    Half { node: PathBuf, holder: PathBuf, kind: Kind },
    /// The place of such a record cannot be read.
    #[error("the end of {} cannot be read, where it says whether it is one half of a mirror", .0.display())]
    EndUnread(PathBuf),
    /// A disk that may hold anything, for it does not answer.
    #[error("{what} does not answer and may hold a hibernated system, {} with it", .node.display())]
    Silent { what: String, node: PathBuf },
}

/// What an NTFS says of the Windows on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are the words of the text beside them")]
pub enum Windows {
    /// It sleeps.
    #[error("{} belongs to a hibernated Windows", .0.display())]
    Asleep(PathBuf),
    /// That cannot be seen.
    #[error("whether a Windows sleeps on {} cannot be seen ({why})", .node.display())]
    Unseen { node: PathBuf, why: String },
}

/// What may hold a system that sleeps and knows other file systems.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the text beside them")]
pub enum Sleeper {
    /// A Windows on a fixed disk.
    #[error(transparent)]
    Windows(#[from] Windows),
    /// One that is encrypted.
    #[error("{} is encrypted by a Windows, which may sleep", .0.display())]
    Bitlocker(PathBuf),
    /// What lies on the same disk and cannot be looked into.
    #[error("{} on the same disk is {} and may hold a system that sleeps", .node.display(), .kind.name())]
    Locked { node: PathBuf, kind: Kind },
    /// A Linux on the same disk that was not left in order.
    #[error("{} on the same disk was not cleanly unmounted by its own system, which may sleep", .0.display())]
    Left(PathBuf),
}

impl InUse {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Cow<'_, str> {
        match self {
            Self::DirtyNtfs(_) => "start Windows, run chkdsk /f on it and shut Windows down fully".into(),
            Self::LeftByOthers { kind, .. } => {
                let check = match kind {
                    Kind::Xfs => "xfs_repair",
                    Kind::Vfat => "fsck.fat",
                    Kind::Exfat => "fsck.exfat",
                    _ => "e2fsck",
                };
                format!("start that once and shut it down, or run {check} on it; {AWAKE}").into()
            }
            Self::Hibernated { .. } => format!("wake that system and shut it down; {AWAKE}").into(),
            Self::Windows(Windows::Asleep(_)) => format!("shut it down fully first; {AWAKE}").into(),
            Self::PartOf { .. } => format!("shut it down fully; {AWAKE}").into(),
            Self::Half { holder, .. } => {
                let holder = holder.display();
                format!("name the whole mirror; what is only left over, wipefs {holder} shows, and from another system wipefs -o <offset> {holder} takes it away").into()
            }
            Self::EndUnread(_) => "if you know that it is none, add rd.live.host.awake=1".into(),
            Self::Windows(Windows::Unseen { .. }) | Self::Silent { .. } => AWAKE.into(),
        }
    }
}

/// Why a file system that the operator named, or that of the medium, must not be written to, mounted for writing or
/// checked: a system that sleeps knows what is on it.
pub fn hibernated(devices: &[Device], node: &Path) -> Option<InUse> {
    let holder = devices.iter().find(|device| is_hibernation(device))?.node.clone();
    Some(InUse::Hibernated { holder, node: node.to_owned() })
}

fn is_hibernation(device: &Device) -> bool {
    device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Hibernation)
}
