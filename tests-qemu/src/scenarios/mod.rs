//! Every boot the lab knows, by topic; a name starts with the cases it covers (kiwi T-, dracut B and D, builder B-).

mod buses;
mod cards;
mod confined;
mod deploy;
mod disks;
mod dracut;
mod drivers;
mod explain;
mod failures;
mod field;
mod firmware;
mod init;
mod iso_scan;
mod kept_net;
mod kiwi;
mod labels;
mod late;
mod layouts;
mod machine;
mod modes;
mod netboot;
mod network;
mod ordinary;
mod originals;
mod overlay;
mod persist;
mod power;
mod promises;
mod pxe;
mod ram;
mod servers;
mod shutdown;
mod silent;
mod snapshot;
mod variants;
mod words;

use anyhow::Result;

use crate::boot::Boot;
use crate::disks::Disks;
use crate::lab::Lab;
use crate::machine::Need;
use crate::mode::Mode;
use crate::powercut::{Cuts, Deployment};

/// A named test.
pub struct Scenario {
    /// Topic, case ids, what is shown.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// When it is done.
    pub tag: Option<Tag>,
}

/// When a scenario runs that is dear, or shows what others show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// In every run, for all others of its kind: the chains of boots in a dracut initrd otherwise run with `--all`.
    EveryRun,
    /// Only with `--all` or by name.
    WithAll,
}

impl Scenario {
    /// This one runs in every run, for all others of its kind; of several initrds, that of dracut 106.
    fn in_every_run(self, mode: Mode) -> Self {
        Self { tag: if mode == Mode::Dracut106 { Some(Tag::EveryRun) } else { self.tag }, ..self }
    }

    /// This one runs with `--all` or by name.
    fn with_all(self) -> Self {
        Self { tag: Some(Tag::WithAll), ..self }
    }

    /// Is dracut's initrd booted?
    pub fn is_dracut(&self) -> bool {
        matches!(&self.work, Work::Boot(boot) if boot.is_dracut())
    }

    /// Shows what another scenario shows, mostly in a further initrd: a minute or more each, and only with `--all` or by name.
    pub fn is_repetition(&self) -> bool {
        match (self.tag, &self.work) {
            (Some(tag), _) => tag == Tag::WithAll,
            (None, Work::Boot(boot)) => boot.next.is_some() && boot.is_dracut(),
            (None, _) => false,
        }
    }

    /// What it needs of a machine.
    pub fn needs(&self) -> Vec<Need> {
        match &self.work {
            Work::Boot(boot) => boot.all_needs(),
            Work::Cuts(cuts) => cuts.needs(),
            Work::Deployment(_) => Vec::new(),
            // No machine at all: it waits for none either.
            Work::Measure(_) | Work::Disks(_) => Vec::new(),
        }
    }
}

/// What a scenario does.
pub enum Work {
    /// Boots once and looks.
    Boot(Box<Boot>),
    /// Cuts the power at many moments; each loss is a reason for failure.
    Cuts(Box<Cuts>),
    /// The same of an image that is written to a disk.
    Deployment(Box<Deployment>),
    /// Boots many generated disks with the agent itself, on loop devices; each property that does not hold is a reason for failure.
    Disks(Disks),
    /// Measures something that is promised; an error says by how much the promise is missed.
    Measure(fn(&Lab) -> Result<()>),
}

/// Shorthand for the lists in this directory.
fn scenario(name: impl Into<String>, boot: Boot) -> Scenario {
    Scenario { name: name.into(), work: Work::Boot(Box::new(boot)), tag: None }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    // Long ones first, so that the last minutes are not spent waiting for one machine; before them those that wait themselves, while
    // there is other work.
    let lists = [
        silent::all(),
        late::all(),
        firmware::all(),
        pxe::all(),
        deploy::all(),
        modes::all(),
        init::all(),
        machine::all(),
        confined::all(),
        power::all(),
        disks::all(),
        shutdown::all(),
        snapshot::all(),
        ram::all(),
        persist::all(),
        ordinary::all(),
        overlay::all(),
        originals::all(),
        promises::all(),
        failures::all(),
        field::all(),
        drivers::all(),
        buses::all(),
        layouts::all(),
        iso_scan::all(),
        kiwi::all(),
        labels::all(),
        explain::all(),
        variants::all(),
        words::all(),
        network::all(),
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
    }
}
