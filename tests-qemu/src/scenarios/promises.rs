//! Numbers of docs/specification.md that can be checked on any machine: sizes, and time counted in instructions.

use anyhow::{Result, bail};

use super::{Scenario, Work};
use crate::bench::boot::once;
use crate::lab::Lab;
use crate::machine::Clock;
use crate::medium::nested_iso;
use crate::mode::Mode;

/// Bytes of the native initramfs with the generic driver set.
const INITRAMFS: u64 = 12_000_000;
/// Bytes of the agent without network code.
const AGENT: u64 = 2_000_000;
/// Native boot from a CD, as a multiple of the floor.
const OF_FLOOR: f64 = 1.3;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let promise = |name: &str, measure| Scenario { name: format!("promise/{name}"), work: Work::Measure(measure) };
    vec![
        promise("native generic initramfs is at most 12 MB", initramfs),
        promise("agent is at most 2 MB", agent),
        promise("native boot takes at most 1.3 times the floor", boot_time),
    ]
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

fn boot_time(lab: &Lab) -> Result<()> {
    let time = |mode| once(lab, mode, Clock::Instructions, nested_iso()).map(|(seconds, _)| seconds);
    let (floor, native) = (time(Mode::Floor)?, time(Mode::Native12)?);
    if native > floor * OF_FLOOR {
        bail!("{native:.2} s, the floor is {floor:.2} s, promised is at most {OF_FLOOR} times that");
    }
    Ok(())
}
