//! Every boot the lab knows, by topic; a name starts with the cases it covers (kiwi T-, dracut B and D, builder B-).

mod buses;
mod dracut;
mod failures;
mod firmware;
mod init;
mod iso_scan;
mod kiwi;
mod late;
mod layouts;
mod modes;
mod ordinary;
mod originals;
mod overlay;
mod persist;
mod power;
mod promises;
mod ram;
mod shutdown;
mod snapshot;

use anyhow::Result;

use crate::boot::Boot;
use crate::lab::Lab;
use crate::powercut::Cuts;

/// A named test.
pub struct Scenario {
    /// Topic, case ids, what is shown.
    pub name: String,
    /// What is done.
    pub work: Work,
}

/// Of the scenarios that boot a dracut initrd several times, one for each kind of area is in every run.
const IN_EVERY_RUN: &[&str] = &[
    "snapshot/C3 a persistent store, twice, dracut 106",
    "snapshot/H1 a system on a persistent store ends clean, with dracut's program too, dracut 106",
    "persist/T-18 T-21 T-72 dracut 106",
    "encrypt/T-34 T-35 T-72 a partition, dracut 106",
    "ordinary/C22 rd.overlay=LABEL=, dracut 106",
    "overlay/C1 a directory by rd.live.overlay=LABEL=, dracut 106",
    "overlay/C17 C18 a partition made in free space, once, dracut 106",
];

/// Single boots that show in a further initrd what other scenarios show.
const WITH_ALL: &[&str] =
    &["snapshot/B5 nested image on a CD, dracut 059", "ram/B15 nested image below a snapshot, dracut 059"];

impl Scenario {
    /// Shows in a further initrd what another scenario shows: a minute or more each, and only with `--all` or by name.
    pub fn is_repetition(&self) -> bool {
        let Work::Boot(boot) = &self.work else { return false };
        let name = self.name.as_str();
        WITH_ALL.contains(&name) || boot.next.is_some() && boot.is_dracut() && !IN_EVERY_RUN.contains(&name)
    }
}

/// What a scenario does.
pub enum Work {
    /// Boots once and looks.
    Boot(Box<Boot>),
    /// Cuts the power at many moments; each loss is a reason for failure.
    Cuts(Box<Cuts>),
    /// Measures something that is promised; an error says by how much the promise is missed.
    Measure(fn(&Lab) -> Result<()>),
}

/// Shorthand for the lists in this directory.
fn scenario(name: impl Into<String>, boot: Boot) -> Scenario {
    Scenario { name: name.into(), work: Work::Boot(Box::new(boot)) }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    // Long ones first, so that the last minutes are not spent waiting for one machine.
    let lists = [
        firmware::all(),
        modes::all(),
        init::all(),
        power::all(),
        shutdown::all(),
        snapshot::all(),
        ram::all(),
        late::all(),
        persist::all(),
        ordinary::all(),
        overlay::all(),
        originals::all(),
        promises::all(),
        failures::all(),
        buses::all(),
        layouts::all(),
        iso_scan::all(),
        kiwi::all(),
        dracut::all(),
    ];
    lists.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Work;

    #[test]
    fn names_are_unique_and_every_scenario_expects_something() {
        let mut names = HashSet::new();
        for scenario in super::all() {
            if let Work::Boot(first) = &scenario.work {
                let boots = std::iter::successors(Some(&**first), |boot| boot.next.as_deref());
                let last = boots.last().unwrap();
                assert!(!last.checks.is_empty(), "{} expects nothing", scenario.name);
            }
            assert!(names.insert(scenario.name.clone()), "{} twice", scenario.name);
        }
        for name in super::IN_EVERY_RUN.iter().chain(super::WITH_ALL) {
            assert!(names.contains(*name), "{name} is no scenario");
        }
    }
}
