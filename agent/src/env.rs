//! Where the kernel's file systems are: the only place where absolute paths start.

use std::path::{Path, PathBuf};

use crate::format::lossless;

/// A prefix for `/proc`, `/sys`, `/dev` and `/run`, so that tests can show the agent another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    root: PathBuf,
}

impl Env {
    /// An environment below `root`; `/` is the machine itself.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The prefix.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the prefix; a leading slash of `path` is ignored.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a small file of procfs or sysfs without trailing white space, if it can be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        Some(lossless(&bytes).trim_end().to_owned())
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::new("/")
    }
}
