//! Numbers of docs/specification.md that can be checked on any machine: sizes. Times belong to `cargo lab bench`, which
//! measures ours and the originals in one run; a timed test would only tell how busy the machine is.

use anyhow::{Result, bail};

use super::{Scenario, Work};
use crate::lab::Lab;
use crate::mode::Mode;

/// Bytes of the native initramfs with the generic driver set.
const INITRAMFS: u64 = 12_000_000;
/// Bytes of the agent without network code.
const AGENT: u64 = 2_000_000;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let promise =
        |name: &str, measure| Scenario { name: format!("promise/{name}"), work: Work::Measure(measure), tag: None };
    vec![promise("native generic initramfs is at most 12 MB", initramfs), promise("agent is at most 2 MB", agent)]
}

fn initramfs(lab: &Lab) -> Result<()> {
    at_most(std::fs::metadata(Mode::Native.pair(lab)?.initrd)?.len(), INITRAMFS)
}

fn agent(lab: &Lab) -> Result<()> {
    at_most(std::fs::metadata(&lab.built.agent.path)?.len(), AGENT)
}

fn at_most(bytes: u64, limit: u64) -> Result<()> {
    if bytes > limit {
        bail!("{bytes} bytes, promised are at most {limit}");
    }
    Ok(())
}
