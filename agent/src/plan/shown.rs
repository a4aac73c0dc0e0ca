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
        Step::Remount { .. } | Step::Sign { .. } | Step::CheckFs { .. } => return None,
        Step::Repair { .. } | Step::Mend { .. } => return None,
        // No plan for showing has these. If one comes to have them, what they would have made is missing, and nothing worse.
        Step::Format { .. }
        | Step::LuksFormat { .. }
        | Step::MarkVolume { .. }
        | Step::AddPartition { .. }
        | Step::Mark { .. }
        | Step::SetAside { .. }
        | Step::Sweep { .. }
        | Step::ClearStore { .. } => return None,
        Step::Loop { file, direct, into, .. } => Step::Loop { file, access, direct, into, found: None },
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::error::Code;
    use crate::facts::Seen;
    use crate::plan::step::{Slot, Target};

    #[test]
    fn nothing_that_writes_is_left() {
        let at = PathBuf::from("/run/area");
        let format = || Step::Format {
            target: Target::Device { device: Seen { node: "/dev/sdb".into(), ..Seen::default() } },
            fs: "ext4".to_owned(),
            label: None,
        };
        let writing = vec![
            Step::Remount { at: at.clone() },
            format(),
            Step::MarkVolume { map: "m".to_owned(), mark: "x".to_owned() },
            Step::SetAside { upper: at.join("rw"), work: at.join("work") },
            Step::Sweep { dir: at.clone() },
            Step::ClearStore { what: Slot::Cow },
        ];
        assert_eq!(only(writing), Vec::new());
        let open = |access| Step::Loop { file: at.join("x.cow"), access, direct: false, into: Slot::Cow, found: None };
        let recover = |access, with| Step::Recover {
            attempt: vec![open(access)],
            from: Code::AreaDamaged,
            with,
            because: String::new(),
        };
        let shown = only(vec![recover(Access::ReadWrite, vec![format()])]);
        assert_eq!(shown, vec![recover(Access::ReadOnly, Vec::new())]);
    }
}
