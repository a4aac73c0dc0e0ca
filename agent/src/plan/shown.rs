//! An area that is only shown (`rd.overlay.readonly`): the same steps, and none of them writes. What it lies on may refuse
//! writes, may belong to a system that sleeps, or may be in an order that only its owner should repair.

use super::step::Step;
use crate::config::Access;

/// The steps that bring an area into reach, without those that write and with the rest for reading. A journal is not
/// replayed (see [`super::persist::mount`]).
pub(super) fn only(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().filter_map(one).collect()
}

fn one(step: Step) -> Option<Step> {
    let access = Access::ReadOnly;
    Some(match step {
        Step::Remount { .. } | Step::CheckFs { .. } => return None,
        Step::Loop { file, direct, into, .. } => Step::Loop { file, access, direct, into },
        Step::Window { disk, start, size, into, .. } => Step::Window { disk, start, size, access, into },
        Step::Unlock { what, mut crypt } => {
            crypt.access = access;
            Step::Unlock { what, crypt }
        }
        Step::Recover { attempt, from, with, because } => {
            Step::Recover { attempt: only(attempt), from, with: only(with), because }
        }
        other => other,
    })
}
