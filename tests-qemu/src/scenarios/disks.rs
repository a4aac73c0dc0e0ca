//! Generated disks: spec/attacks.md F2, F5 and F7, as a property.

use super::{Scenario, Work};
use crate::disks::Disks;

/// Slices, so that they run beside other scenarios and a failure is near its seed.
const SLICES: u64 = 8;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let slices = (0..SLICES).map(|first| Scenario {
        name: format!("disks/F2 F5 F7 generated disks, slice {}", first + 1),
        work: Work::Disks(Disks { first, count: 238, many: 6125 }),
        tag: None,
    });
    slices.collect()
}
