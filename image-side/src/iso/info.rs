//! `/.rdlive/info.json`: what the medium says about itself, for `inspect` and for people with a problem.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Directory of our own files on the medium.
pub const DIRECTORY: &str = ".rdlive";
/// The file, below the medium's root.
pub const FILE: &str = rdlive_media::layout::INFO;

/// Content of the file. Has no paths of the build machine, and no time but the build's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Info {
    /// Version of rdlive-image.
    pub builder: String,
    /// What the agent says about its version.
    pub agent: String,
    /// `native` or `dracut`.
    pub mode: String,
    /// Driver profile of a native initramfs.
    pub profile: Option<String>,
    /// ID of the medium: the name of the id file beside this one.
    pub id: String,
    /// Volume id.
    pub volume_id: String,
    /// ISO UUID.
    pub uuid: String,
    /// The system's own name.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Arguments of the normal boot entry.
    pub kargs: Vec<String>,
    /// Path of the container on the medium.
    pub container: String,
    /// Its format: `squashfs` or `erofs`.
    pub container_format: String,
    /// Its compressor.
    pub compression: String,
    /// File system of the nested image, if there is one.
    pub nested: Option<String>,
    /// The build's time in seconds since 1970.
    pub built: u32,
    /// SHA-256 of files, by path on the medium.
    pub sha256: BTreeMap<String, String>,
    /// Versions of the external programs, by name.
    pub tools: BTreeMap<String, String>,
}

impl Info {
    /// The text of the file.
    ///
    /// # Errors
    /// Never in practice: all keys are texts.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
