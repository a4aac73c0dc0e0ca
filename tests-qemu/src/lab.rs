//! What every part of a run shares: the cache, our programs, the settings.

use std::io::Write;

use anyhow::Result;

use crate::artifact::{self, Artifacts};
use crate::cache::Cache;
use crate::powercut::Choice;

/// One run of the lab.
pub struct Lab {
    /// `target/lab`.
    pub cache: Cache,
    /// Agent, builder, guest program.
    pub built: Artifacts,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// Where the power is cut.
    pub cuts: Choice,
    started: std::time::Instant,
}

impl Lab {
    /// Builds our programs, opens the cache.
    pub fn open(mirror: Option<String>) -> Result<Self> {
        let cache = Cache::new(artifact::target().join("lab"))?;
        cache.prune(7)?;
        let started = std::time::Instant::now();
        Ok(Self { cache, built: Artifacts::build()?, mirror, cuts: Choice::default(), started })
    }

    /// A line of progress, with the seconds since the start.
    pub fn say(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "[{:4.0}] {text}", self.started.elapsed().as_secs_f64());
        let _ = out.flush();
    }
}
