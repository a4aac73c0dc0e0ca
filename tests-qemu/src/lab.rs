//! What every part of a run shares: the cache, our programs, the settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::artifact::{self, Artifacts};
use crate::cache::{self, Cache};
use crate::powercut::Choice;
use crate::slots::Slots;
use crate::times::Times;
use crate::{progress, remove, tool};

/// One run of the lab.
pub struct Lab {
    /// Trees, initrds, media, and directories for work in progress.
    pub cache: Cache,
    /// Agent, builder, guest program.
    pub built: Artifacts,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// Where the power is cut.
    pub cuts: Choice,
    /// Machines of QEMU that may run at once.
    pub qemu: Slots,
    /// How long scenarios and artefacts took the last time.
    pub times: Arc<Times>,
}

impl Lab {
    /// Builds our programs, opens the cache.
    pub fn open(mirror: Option<String>) -> Result<Self> {
        progress::begin();
        let cache = Cache::open(&cache::place())?;
        let times = Arc::clone(cache.times());
        Ok(Self { cache, built: Artifacts::build()?, mirror, cuts: Choice::default(), qemu: Slots::new(1), times })
    }

    /// A line of progress, with the seconds since the start.
    pub fn say(&self, text: &str) {
        progress::say(text);
    }

    /// What the last failure of this name left is gone: call it before the next try.
    pub fn forget_failure(&self, name: &str) -> Result<()> {
        remove::tree(&failed(name))
    }

    /// Moves the logs of a failure to where they stay: `target/lab/failed` in the work tree.
    pub fn keep(&self, name: &str, dir: &Path) -> Result<PathBuf> {
        let kept = failed(name);
        self.forget_failure(name)?;
        fs::create_dir_all(kept.parent().unwrap_or(&kept))?;
        // They may be in memory.
        if fs::rename(dir, &kept).is_err() {
            tool::run(Command::new("cp").args(["-a", "--sparse=always", "--"]).args([dir, &kept]))
                .with_context(|| format!("keeping {}", dir.display()))?;
            remove::tree(dir)?;
        }
        Ok(kept)
    }
}

fn failed(name: &str) -> PathBuf {
    let flat = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    artifact::target().join("lab/failed").join(flat)
}
