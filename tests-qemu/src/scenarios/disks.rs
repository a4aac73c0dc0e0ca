//! Generated disks: spec/attacks.md F2, F3, F5 and F7, as a property.

use super::{Scenario, Work};
use crate::disks::{By, Disks};

/// Slices, so that they run beside other scenarios and a failure is near its seed.
const SLICES: u64 = 8;
/// Those of machines.
const MACHINES: u64 = 2;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let slice = |name: String, disks| Scenario { name: format!("disks/{name}"), work: Work::Disks(disks), tag: None };
    let agent = |first| {
        let disks = Disks { by: By::Agent, first, count: 238, many: 6125 };
        slice(format!("F2 F5 F7 generated disks, slice {}", first + 1), disks)
    };
    let machine = |first| {
        let disks = Disks { by: By::Machine, first, count: 50, many: 500 };
        slice(format!("F2 F3 F7 generated disks for a machine, slice {}", first + 1), disks)
    };
    (0..SLICES).map(agent).chain((0..MACHINES).map(machine)).collect()
}
