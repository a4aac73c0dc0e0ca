//! The parts of the lab, from cheap to dear, and what a run spent on each (docs/testing.md has the table).

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use crate::machine::Machine;
use crate::runner::{Job, Verdict};
use crate::scenarios::Work;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// User-mode Linux: the logic.
    Logic,
    /// Power cuts, with the recordings in QEMU.
    Cuts,
    /// Generated disks.
    Disks,
    /// QEMU: buses, drives, firmware, the kernels of distributions.
    Hardware,
    /// Initrds made by dracut.
    Dracut,
    /// The eighth of the logic that QEMU looks at again.
    SecondLook,
}

impl Tier {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [Self::Logic, Self::Cuts, Self::Disks, Self::Hardware, Self::Dracut, Self::SecondLook];

    /// For the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logic => "user-mode Linux",
            Self::Cuts => "power cuts",
            Self::Disks => "generated disks",
            Self::Hardware => "QEMU",
            Self::Dracut => "dracut",
            Self::SecondLook => "again in QEMU",
        }
    }
}

/// Where a job belongs.
pub fn tier(job: &Job<'_>) -> Tier {
    if job.second_look {
        return Tier::SecondLook;
    }
    match &job.scenario.work {
        Work::Cuts(_) | Work::Deployment(_) => Tier::Cuts,
        Work::Disks(_) => Tier::Disks,
        Work::Boot(_) if job.scenario.is_dracut() => Tier::Dracut,
        _ if job.machine == Machine::Uml => Tier::Logic,
        _ => Tier::Hardware,
    }
}

/// Every eighth of these scenarios, others at each commit: after some commits QEMU has looked at all of them. They are counted in the
/// order of their hashes, so that neighbours, which are alike, are rarely taken together, and none is taken more often than others.
pub fn eighth<'a>(names: &[&'a str], commit: &str) -> HashSet<&'a str> {
    let mut names = names.to_vec();
    names.sort_by_key(|name| (fnv(name), *name));
    let turn = usize::try_from(fnv(commit) % 8).unwrap_or_default();
    names.into_iter().skip(turn).step_by(8).collect()
}

/// FNV-1a: the same on every machine and with every compiler.
fn fnv(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// What a run has cost beside its machines.
#[derive(Debug, Default)]
pub struct Costs {
    /// cargo's tests, with their compilation.
    pub tests: Duration,
    /// Our programs, trees, initrds, media, recordings by what they are, the dearest first.
    pub made: Vec<(String, Duration)>,
    /// All processor time of the run, machines too.
    pub all: Duration,
}

/// How many of the dearest things are named.
const NAMED: usize = 10;

/// A table: how many scenarios each tier had, and what their machines cost; then the rest of the run; then the dearest
/// scenarios, and what was dearest to make.
pub fn summary(verdicts: &[Verdict], costs: &Costs) -> String {
    let mut text = String::from("tier               scenarios  CPU s\n");
    let mut row = |name: &str, count: Option<usize>, spent: f64| {
        let count = count.map(|count| count.to_string()).unwrap_or_default();
        text.push_str(&format!("{name:18} {count:>9} {spent:6.0}\n"));
    };
    for tier in Tier::ALL {
        let of_it = verdicts.iter().filter(|verdict| verdict.tier == tier);
        let (count, spent) = of_it.fold((0, 0.0), |(count, spent), one| (count + 1, spent + one.processor));
        if count > 0 {
            row(tier.name(), Some(count), spent);
        }
    }
    let machines: f64 = verdicts.iter().map(|verdict| verdict.processor).sum();
    let tests = costs.tests.as_secs_f64();
    let made = costs.made.iter().map(|(_, spent)| spent).sum::<Duration>().as_secs_f64();
    if tests > 0.0 {
        row("cargo's tests", None, tests);
    }
    row("things made", (!costs.made.is_empty()).then_some(costs.made.len()), made);
    // Looks at media, and the lab itself.
    row("the rest", None, (costs.all.as_secs_f64() - machines - tests - made).max(0.0));
    let mut dearest: Vec<&Verdict> = verdicts.iter().collect();
    dearest.sort_by(|one, two| two.processor.total_cmp(&one.processor));
    text.push_str("the dearest:\n");
    for verdict in dearest.iter().take(NAMED) {
        text.push_str(&format!("{:6.1} CPU s  {}\n", verdict.processor, verdict.title()));
    }
    for (index, (what, spent)) in costs.made.iter().take(NAMED).enumerate() {
        if index == 0 {
            text.push_str("the dearest to make:\n");
        }
        text.push_str(&format!("{:6.1} CPU s  {what}\n", spent.as_secs_f64()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_commits_see_every_scenario_and_each_sees_some() {
        // Published vector of FNV-1a.
        assert_eq!(fnv("foobar"), 0x8594_4171_f739_67e8);
        let names: Vec<String> = (0..403).map(|number| format!("topic/case {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let commits: Vec<String> = (0..200).map(|number| format!("{number:040x}")).collect();
        let mut seen = HashSet::new();
        for commit in &commits {
            let eighth = eighth(&names, commit);
            assert!((50..=51).contains(&eighth.len()), "{} of 403", eighth.len());
            seen.extend(eighth);
        }
        assert_eq!(seen.len(), names.len(), "some are never seen");
        // Names of one topic are not taken in a row.
        let one = eighth(&names, &commits[0]);
        assert!(names.windows(3).all(|three| three.iter().any(|name| !one.contains(name))));
    }

    #[test]
    fn the_summary_counts_each_tier_and_names_the_dearest() {
        use crate::runner::Status::Passed;
        let verdict = |name: &str, tier, processor| {
            let mut verdict = Verdict::plain(name, Machine::Uml, tier == Tier::SecondLook, Passed);
            (verdict.tier, verdict.processor) = (tier, processor);
            verdict
        };
        let mut verdicts: Vec<Verdict> =
            (0..12).map(|number| verdict(&format!("topic/{number}"), Tier::Logic, f64::from(number))).collect();
        verdicts.push(verdict("power/x", Tier::Cuts, 40.0));
        verdicts.push(verdict("topic/3", Tier::SecondLook, 5.5));
        let second = Duration::from_secs;
        let costs = Costs { tests: second(100), made: vec![("an ISO".to_owned(), second(30))], all: second(300) };
        let text = summary(&verdicts, &costs);
        let lines: Vec<&str> = text.lines().collect();
        // 300 less 66 and 40 and 5.5 of machines, 100 of tests and 30 of things made.
        let table = [
            "tier               scenarios  CPU s",
            "user-mode Linux           12     66",
            "power cuts                 1     40",
            "again in QEMU              1      6",
            "cargo's tests                   100",
            "things made                1     30",
            "the rest                         58",
            "the dearest:",
            "  40.0 CPU s  power/x",
            "  11.0 CPU s  topic/11",
        ];
        assert_eq!(lines[..table.len()], table);
        assert_eq!(lines.iter().filter(|line| line.contains(" CPU s  ")).count(), NAMED + 1, "{text}");
        assert!(lines.contains(&"   5.5 CPU s  topic/3 [again in QEMU]"), "{text}");
        assert!(text.ends_with("the dearest to make:\n  30.0 CPU s  an ISO\n"), "{text}");
    }
}
