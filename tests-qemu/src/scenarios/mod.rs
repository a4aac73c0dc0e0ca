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
mod originals;
mod ram;
mod shutdown;

use crate::boot::Boot;

/// A named boot.
pub struct Scenario {
    /// Topic, case ids, what is shown.
    pub name: String,
    /// The boot.
    pub boot: Boot,
}

/// Shorthand for the lists in this directory.
fn scenario(name: impl Into<String>, boot: Boot) -> Scenario {
    Scenario { name: name.into(), boot }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    // Long ones first, so that the last minutes are not spent waiting for one machine.
    let lists = [
        firmware::all(),
        modes::all(),
        init::all(),
        shutdown::all(),
        ram::all(),
        late::all(),
        originals::all(),
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

    #[test]
    fn names_are_unique_and_every_scenario_expects_something() {
        let mut names = HashSet::new();
        for scenario in super::all() {
            assert!(!scenario.boot.checks.is_empty(), "{} expects nothing", scenario.name);
            assert!(names.insert(scenario.name.clone()), "{} twice", scenario.name);
        }
    }
}
