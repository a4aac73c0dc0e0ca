//! Acts on LUKS volumes.

use std::fmt;
use std::path::PathBuf;

use super::{Target, Writes, and};
use crate::config::Access;
use crate::format::Kind;
use crate::plan::Slot;

/// An act on a LUKS volume.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a plan has one of them")]
pub enum VolumeAct {
    /// Make a LUKS2 volume where there is nothing, and a file system inside.
    Format {
        /// Where.
        target: Target,
        /// Label in the LUKS header.
        luks: String,
        /// Subsystem in the LUKS header: which image it is for.
        mark: Option<String>,
        /// How it is opened, now and by the [`VolumeAct::Open`] that follows.
        crypt: Crypt,
        /// File system inside.
        fs: Kind,
        /// Its label.
        label: Option<String>,
    },
    /// Open the volume in a slot; the opened device takes its place there.
    Open {
        /// The device.
        what: Slot,
        /// How.
        crypt: Crypt,
    },
    /// Write into the header of an opened volume which image it is for. A failure is only told.
    Mark {
        /// The name it was opened by.
        map: String,
        /// The subsystem.
        mark: String,
    },
}

/// How a LUKS volume is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypt {
    /// Name of the opened device below `/dev/mapper`.
    pub map: String,
    /// What a person knows the volume by.
    pub place: String,
    /// Where the key comes from.
    pub key: Key,
    /// Read-only or read-write.
    pub access: Access,
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// From a person, or first from a file.
    Passphrase {
        /// The file, for a person.
        file: Option<String>,
        /// How often it may be mistyped.
        tries: u32,
        /// Seconds that each prompt waits; 0 waits for ever.
        timeout_s: u64,
    },
    /// Made by chance and forgotten at power-off.
    Random {
        /// Where it is kept until then.
        keep: PathBuf,
    },
}

/// What may be on a device that is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nothing at all.
    Empty,
    /// A volume whose key an earlier boot has thrown away.
    Forgotten,
    /// Whatever there is: the operator said so.
    Anything,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase { file, tries, timeout_s } => {
                if let Some(file) = file {
                    write!(f, "key {file} or ")?;
                }
                match timeout_s {
                    0 => write!(f, "passphrase in {tries} tries"),
                    seconds => write!(f, "passphrase in {tries} tries of {seconds} s"),
                }
            }
            Self::Random { keep } => write!(f, "random key in {}", keep.display()),
        }
    }
}

impl fmt::Display for Crypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.access == Access::ReadOnly { " (ro)" } else { "" };
        write!(f, "{}{shown}, {}", self.map, self.key)
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "which must be empty",
            Self::Forgotten => "whose key is forgotten",
            Self::Anything => "whatever is on it",
        })
    }
}

impl VolumeAct {
    /// What it may change.
    #[must_use]
    pub fn writes(&self) -> Writes {
        match self {
            Self::Open { crypt, .. } => Writes::by(crypt.access),
            Self::Format { .. } | Self::Mark { .. } => Writes::Place,
        }
    }
}

impl fmt::Display for VolumeAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { target, luks, mark, crypt, fs, label } => {
                let (mark, label) = (and("marked", mark.as_ref()), and("label", label.as_ref()));
                write!(f, "encrypt {target} LUKS2 label {luks}{mark}, {}, {}{label} inside", crypt.key, fs.name())
            }
            Self::Open { what, crypt } => write!(f, "unlock {what} as {crypt}"),
            Self::Mark { map, mark } => write!(f, "mark the header of {map} {mark}"),
        }
    }
}
