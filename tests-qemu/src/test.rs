//! `cargo lab test`: cargo's tests and the scenarios, counted together.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};

use crate::artifact::{self, Builder};
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{self, Machine, Wanted};
use crate::powercut::Choice;
use crate::runner::{self, Job, Pace, Status, Verdict};
use crate::scenarios::{self, Scenario, Work};
use crate::slots::Slots;
use crate::spent::{self, Account};
use crate::tier::{self, Costs, Tier};
use crate::{loops, suite, tool};

/// Which scenarios.
pub struct Chosen {
    /// Those with one of these texts in their name, and no cargo tests; without any, everything.
    pub filter: Vec<String>,
    /// Repetitions too.
    pub all: bool,
    /// On which machines.
    pub wanted: Wanted,
}

impl Chosen {
    /// The scenarios, and how many repetitions were left out.
    ///
    /// # Errors
    /// A filter that is in no name: a typing error must not look like success.
    fn scenarios(&self) -> Result<(Vec<Scenario>, usize)> {
        let mut chosen = scenarios::all();
        for text in &self.filter {
            if !chosen.iter().any(|scenario| scenario.name.contains(text)) {
                bail!("no scenario has {text:?} in its name; cargo lab test --list shows all");
            }
        }
        if !self.filter.is_empty() {
            chosen.retain(|scenario| self.filter.iter().any(|text| scenario.name.contains(text)));
        }
        let all = chosen.len();
        // A whole topic is asked for as a whole run is; anything else in a filter names what is wanted.
        let named = |scenario: &Scenario| {
            self.filter
                .iter()
                .any(|text| scenario.name.contains(text) && !(text.ends_with('/') && scenario.name.starts_with(text)))
        };
        if !self.all {
            chosen.retain(|scenario| !scenario.is_repetition() || named(scenario));
        }
        let left_out = all - chosen.len();
        Ok((chosen, left_out))
    }

    /// Each scenario on its machine; in a run without a filter, an eighth of the logic in QEMU as well. Initrds of dracut have rows
    /// of their own there.
    fn jobs<'a>(&self, scenarios: &'a [Scenario], uml: bool, commit: &str) -> Vec<Job<'a>> {
        let machine = |scenario: &Scenario| machine::pick(&scenario.needs(), self.wanted, uml);
        let logic = |scenario: &&Scenario| {
            machine(scenario) == Some(Machine::Uml)
                && machine::pick(&scenario.needs(), Wanted::Only(Machine::Qemu), uml).is_some()
                && !matches!(scenario.work, Work::Measure(_) | Work::Disks(_))
                && !scenario.is_dracut()
        };
        let again = match self.wanted == Wanted::Cheapest && self.filter.is_empty() {
            true => {
                let names: Vec<&str> = scenarios.iter().filter(logic).map(|scenario| scenario.name.as_str()).collect();
                tier::eighth(&names, commit)
            }
            false => HashSet::new(),
        };
        let mut jobs = Vec::new();
        for scenario in scenarios {
            let Some(machine) = machine(scenario) else { continue };
            jobs.push(Job { scenario, machine, second_look: false });
            if again.contains(scenario.name.as_str()) {
                jobs.push(Job { scenario, machine: Machine::Qemu, second_look: true });
            }
        }
        jobs
    }
}

/// Runs what was chosen; the last line counts.
pub fn run(
    mirror: Option<String>,
    cuts: Choice,
    which: &Chosen,
    list: bool,
    json: Option<&Path>,
    jobs: usize,
) -> Result<ExitCode> {
    let (chosen, left_out) = which.scenarios()?;
    let commit = commit();
    let with_suite = which.all && which.filter.is_empty() && which.wanted != Wanted::Only(Machine::Uml);
    if list {
        listed(&which.jobs(&chosen, true, &commit))?;
        if with_suite {
            suite::names().iter().for_each(|name| println!("qemu  {name}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    loops::usable(Path::new("/dev"))?;
    // One scenario rarely needs the older one.
    let trees: &[Tree] = if which.filter.is_empty() { &[Tree::Trixie, Tree::Bookworm] } else { &[Tree::Trixie] };
    let builder = if which.all { Builder::Shipped } else { Builder::Tested };
    let mut lab = Lab::open(mirror, trees, builder)?;
    lab.cuts = cuts;
    let lacks = if which.wanted == Wanted::Only(Machine::Qemu) { None } else { machine::missing(&lab) };
    if let Some(said) = lacking(which.wanted, lacks.as_deref())? {
        lab.say(&said);
    }
    let mut list = which.jobs(&chosen, lacks.is_none(), &commit);
    runner::order(&mut list, |key| lab.times.last(key));
    if list.is_empty() {
        bail!(NOWHERE);
    }
    let second: Vec<&str> = list.iter().filter(|job| job.second_look).map(|job| job.scenario.name.as_str()).collect();
    if !second.is_empty() {
        lab.say(&format!(
            "{} scenarios of user-mode Linux run in QEMU as well, by name and commit {commit}:",
            second.len()
        ));
        second.iter().for_each(|name| lab.say(&format!("     {name}")));
    }
    lab.qemu = Slots::new(jobs);
    let lab = &lab;
    let pace = Pace::default();
    let tests = Account::default();
    let (counts, verdicts) = std::thread::scope(|scope| {
        let counts = if which.filter.is_empty() {
            // cargo often waits for one program: meanwhile trees, initrds and media are made.
            scope.spawn(|| runner::prepare(lab, &list, &pace));
            let counts = cargo_tests(lab, &tests);
            pace.tested.store(true, Ordering::Relaxed);
            counts
        } else {
            Ok((Counts::default(), Vec::new()))
        };
        let verdicts = runner::run(lab, &list, jobs);
        pace.done.store(true, Ordering::Relaxed);
        (counts, verdicts)
    });
    let (mut counts, mut failed_tests) = counts?;
    if with_suite {
        let judged = suite::judge(lab, &[])?;
        counts.passed += judged.passed;
        counts.failed += judged.failed.len();
        failed_tests.extend(judged.failed);
    }
    if let Some(path) = json {
        runner::write_json(path, &verdicts)?;
    }
    let costs = Costs {
        tests: tests.entries().iter().map(|(_, spent)| *spent).sum(),
        made: lab.cache.made().entries(),
        all: machine::processor_time(std::process::id()),
    };
    println!("\n{}", tier::summary(&verdicts, &costs));
    for verdict in verdicts.iter().filter(|verdict| verdict.only_alone()) {
        println!("failed beside others and passed alone: {}: {}", verdict.title(), verdict.why.join("; "));
    }
    let differ = differences(&verdicts);
    if !differ.is_empty() {
        println!("== user-mode Linux and QEMU disagree ==");
        differ.iter().for_each(|text| println!("{text}"));
    }
    for verdict in &verdicts {
        match verdict.result {
            Status::Passed => counts.passed += 1,
            Status::Failed => counts.failed += 1,
            Status::Skipped => counts.skipped += 1,
        }
    }
    counts.skipped += left_out;
    if left_out > 0 {
        println!("{left_out} scenarios that show the same in a further initrd were left out: cargo lab test --all");
    }
    let failed = runner::failed(&verdicts, &failed_tests);
    if !failed.is_empty() {
        println!("== failed ==");
        failed.iter().for_each(|text| println!("{text}"));
    }
    println!("{}", runner::summary(counts.passed, counts.failed, counts.skipped));
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said where user-mode Linux does not run.
///
/// # Errors
/// Nothing else was to run.
fn lacking(wanted: Wanted, lacks: Option<&str>) -> Result<Option<String>> {
    let why = lacks.map(|why| why.replace('\n', " / "));
    match (wanted, why) {
        (Wanted::Only(Machine::Qemu), _) | (_, None) => Ok(None),
        (Wanted::Cheapest, Some(why)) => Ok(Some(format!("no user-mode Linux here, QEMU does its part: {why}"))),
        (Wanted::Only(Machine::Uml), Some(why)) => {
            bail!("no user-mode Linux here: {why}\nTry: cargo lab test without --machine uml, QEMU does its part then")
        }
    }
}

const NOWHERE: &str =
    "none of these scenarios runs on that machine; cargo lab test --list with the same filter shows why";

/// Prints the list. Whether user-mode Linux works here takes a boot to find out; it is taken for granted.
fn listed(jobs: &[Job<'_>]) -> Result<()> {
    if jobs.is_empty() {
        bail!(NOWHERE);
    }
    let mut out = std::io::stdout().lock();
    for job in jobs {
        // A reader that has seen enough is no failure.
        if writeln!(out, "{}", line(job)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A scenario in the list: its machine, and why that is not the cheap one.
fn line(job: &Job<'_>) -> String {
    let name = &job.scenario.name;
    let why: Vec<String> = job.scenario.needs().iter().map(ToString::to_string).collect();
    match (job.machine, job.second_look) {
        (_, true) => format!("qemu  {name}  (second look)"),
        (Machine::Uml, false) => format!("uml   {name}"),
        (Machine::Qemu, false) if why.is_empty() => format!("qemu  {name}"),
        (Machine::Qemu, false) => {
            let mut why = why;
            why.dedup();
            format!("qemu  {name}  ({})", why.join(", "))
        }
    }
}

/// The commit that is tested; it decides which scenarios QEMU looks at again.
fn commit() -> String {
    // In a container the clone is often somebody else's, which git refuses to look at otherwise.
    let head = tool::shell("git -c safe.directory='*' -C \"$1\" rev-parse HEAD", &[artifact::workspace()]);
    head.map_or_else(|_| "no commit".to_owned(), |text| text.trim().to_owned())
}

/// Scenarios that end otherwise on the other machine: the cheap one lies, or hides something. What could not run on one of them ended in
/// no way there.
fn differences(verdicts: &[Verdict]) -> Vec<String> {
    let second = verdicts.iter().filter(|verdict| verdict.second_look);
    second
        .filter_map(|qemu| {
            let uml = verdicts.iter().find(|other| !other.second_look && other.name == qemu.name)?;
            let ran = uml.result != Status::Skipped && qemu.result != Status::Skipped;
            // Three cuts in QEMU say nothing about the others that user-mode Linux has looked at.
            let fewer = uml.tier == Tier::Cuts && uml.result == Status::Failed;
            (ran && !fewer && uml.result != qemu.result)
                .then(|| format!("{}: user-mode Linux {:?}, QEMU {:?}", qemu.name, uml.result, qemu.result))
        })
        .collect()
}

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// `cargo test --workspace`; its output goes through to the terminal. How many tests ended how, and what failed.
fn cargo_tests(lab: &Lab, account: &Account) -> Result<(Counts, Vec<String>)> {
    lab.say("cargo test --workspace");
    // The tests mount things. A namespace that another thread's script makes meanwhile is a copy of the lab's, and would keep a
    // loop device of theirs busy after they have unmounted it: so they have a namespace of their own.
    let mut cargo = Command::new("unshare");
    cargo
        .args(["--mount", "--propagation", "unchanged"])
        .arg(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--workspace", "--no-fail-fast"])
        // What they leave when they are killed, the next run finds there.
        .env("TMPDIR", lab.cache.temporary())
        .current_dir(artifact::workspace());
    let output = account.enter("cargo's tests", || spent::output(&mut cargo, true)).context("starting cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    failures(&text).for_each(|line| println!("{line}"));
    let (mut counts, mut failed) = (count(&text), failed_tests(&text));
    if !output.status.success() && counts.failed == 0 {
        let why = "cargo test failed without a failed test: the build is broken";
        lab.say(why);
        counts.failed = 1;
        failed.push(why.to_owned());
    }
    Ok((counts, failed))
}

/// Each failed test's name with the beginning of what it has printed, one a line.
fn failed_tests(text: &str) -> Vec<String> {
    let mut failed: Vec<Vec<&str>> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            failed.push(vec![name]);
            inside = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            inside = false;
        } else if let (true, Some(test)) = (inside && !line.trim().is_empty(), failed.last_mut()) {
            test.push(line.trim());
        }
    }
    failed.into_iter().map(|lines| format!("cargo test {}", lines.join(" / "))).collect()
}

/// What cargo says about failed tests: their names, and all that they have printed.
fn failures(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        inside = !line.starts_with("test result: ") && (inside || *line == "failures:");
        inside || line.ends_with("... FAILED") || line.contains("FAILED.")
    })
}

/// Adds up the `test result:` lines; ignored tests count as skipped.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |word: &str| {
            let before = line.split(word).next().unwrap_or_default().trim_end();
            before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        counts.passed += number("passed");
        counts.failed += number("failed;");
        counts.skipped += number("ignored");
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Need;

    fn chosen(filter: &[&str], all: bool, wanted: Wanted) -> Chosen {
        Chosen { filter: filter.iter().map(|text| (*text).to_owned()).collect(), all, wanted }
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        let rows: &[(&[&str], bool)] =
            &[(&[], true), (&["layout/"], true), (&["layuot/"], false), (&["layout/", "x:x"], false)];
        for (filter, good) in rows {
            assert_eq!(chosen(filter, false, Wanted::Cheapest).scenarios().is_ok(), *good, "{filter:?}");
        }
    }

    #[test]
    fn repetitions_run_with_all_or_by_name() {
        let repetitions = |filter: &[&str], all| {
            let (scenarios, left_out) = chosen(filter, all, Wanted::Cheapest).scenarios().unwrap();
            (scenarios.iter().filter(|scenario| scenario.is_repetition()).count(), left_out)
        };
        let (every, none) = repetitions(&["persist/"], true);
        assert!(every > 0 && none == 0);
        assert_eq!(repetitions(&["persist/"], false), (0, every));
        assert_eq!(repetitions(&["persist/", "persist/T-18 T-21 T-72 dracut 059"], false), (1, every - 1));
    }

    #[test]
    fn each_scenario_has_one_machine_and_an_eighth_has_two() {
        let every = chosen(&[], true, Wanted::Cheapest);
        let (scenarios, left_out) = every.scenarios().unwrap();
        assert_eq!(left_out, 0);
        let jobs = every.jobs(&scenarios, true, "0123");
        let first = jobs.iter().filter(|job| !job.second_look);
        assert_eq!(first.count(), scenarios.len());
        let light = jobs.iter().filter(|job| job.machine == Machine::Uml).count();
        let counted = |scenario: &&Scenario| scenario.needs().contains(&Need::CountedMemory);
        let real = scenarios.len() - scenarios.iter().filter(counted).count();
        assert!(real < scenarios.len());
        let logic = |job: &&Job<'_>| {
            job.machine == Machine::Uml
                && !job.scenario.is_dracut()
                && matches!(job.scenario.work, Work::Boot(_) | Work::Cuts(_) | Work::Deployment(_))
        };
        let logic = jobs.iter().filter(logic).count();
        let second = jobs.iter().filter(|job| job.second_look).count();
        assert!((logic / 8 - 1..=logic / 8 + 1).contains(&second), "{second} of {logic}");
        for (wanted, uml, expected) in [
            (Wanted::Only(Machine::Qemu), true, real),
            (Wanted::Only(Machine::Uml), true, light),
            (Wanted::Only(Machine::Uml), false, 0),
            (Wanted::Cheapest, false, real),
        ] {
            assert_eq!(chosen(&[], true, wanted).jobs(&scenarios, uml, "0123").len(), expected, "{wanted:?} {uml}");
        }
        let few = chosen(&["layout/"], true, Wanted::Cheapest);
        assert!(few.jobs(&few.scenarios().unwrap().0, true, "0123").iter().all(|job| !job.second_look));
    }

    #[test]
    fn where_user_mode_linux_is_missing_qemu_takes_its_part_or_nothing_runs() {
        let why = Some("it neither works\nnor stops");
        for (wanted, lacks, said) in [
            (Wanted::Cheapest, None, Ok(None)),
            (Wanted::Cheapest, why, Ok(Some("QEMU does its part: it neither works / nor stops"))),
            (Wanted::Only(Machine::Qemu), why, Ok(None)),
            (Wanted::Only(Machine::Uml), None, Ok(None)),
            (Wanted::Only(Machine::Uml), why, Err("without --machine uml")),
        ] {
            match (lacking(wanted, lacks), said) {
                (Ok(None), Ok(None)) => {}
                (Ok(Some(line)), Ok(Some(words))) => assert!(line.contains(words), "{line}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, _) => panic!("{wanted:?} {lacks:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_list_with_nothing_in_it_is_an_error() {
        for (filter, wanted, good) in [
            ("bus/", Wanted::Cheapest, true),
            ("bus/", Wanted::Only(Machine::Uml), false),
            ("layout/", Wanted::Only(Machine::Uml), true),
        ] {
            let few = chosen(&[filter], true, wanted);
            let (scenarios, _) = few.scenarios().unwrap();
            assert_eq!(listed(&few.jobs(&scenarios, true, "0123")).is_ok(), good, "{filter} {wanted:?}");
        }
    }

    #[test]
    fn both_machines_must_end_in_the_same_way() {
        use Status::{Failed, Passed, Skipped};
        for (uml, qemu, differs) in [
            (Passed, Passed, false),
            (Passed, Failed, true),
            (Failed, Passed, true),
            (Failed, Failed, false),
            (Passed, Skipped, false),
            (Skipped, Failed, false),
        ] {
            let verdicts = [
                Verdict::plain("a", Machine::Uml, false, uml),
                Verdict::plain("b", Machine::Uml, false, Failed),
                Verdict::plain("a", Machine::Qemu, true, qemu),
            ];
            assert_eq!(differences(&verdicts).len(), usize::from(differs), "{uml:?} {qemu:?}");
            let mut cuts = verdicts;
            cuts.iter_mut().filter(|verdict| !verdict.second_look).for_each(|verdict| verdict.tier = Tier::Cuts);
            let differs = differs && uml != Failed;
            assert_eq!(differences(&cuts).len(), usize::from(differs), "cuts, {uml:?} {qemu:?}");
        }
    }

    #[test]
    fn what_failed_tests_say_is_shown() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nwhy it failed\n\n\
                    failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed;\n\nrunning 1 test\ntest c ... ok\n";
        let shown: Vec<&str> = failures(text).filter(|line| !line.is_empty()).collect();
        let expected = [
            "test b ... FAILED",
            "failures:",
            "---- b stdout ----",
            "why it failed",
            "failures:",
            "    b",
            "test result: FAILED. 1 passed; 1 failed;",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn failed_tests_are_named_with_what_they_said() {
        let text = "test a ... ok\ntest m::b ... FAILED\ntest c ... FAILED\n\nfailures:\n\n---- m::b stdout ----\n\n\
                    thread 'm::b' panicked at src/m.rs:1:2:\n  left: 1\n\n---- c stdout ----\nError: full\n\n\nfailures:\n    c\n    \
                    m::b\n\ntest result: FAILED. 1 passed; 2 failed;\n";
        let expected =
            ["cargo test m::b / thread 'm::b' panicked at src/m.rs:1:2: / left: 1", "cargo test c / Error: full"];
        assert_eq!(failed_tests(text), expected);
        assert!(failed_tests("test a ... ok\ntest result: ok. 1 passed; 0 failed;\n").is_empty());
    }

    #[test]
    fn result_lines_are_added_up() {
        let text = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        assert_eq!(count(text), Counts { passed: 5, failed: 4, skipped: 1 });
    }
}
