//! Runs scenarios side by side and counts.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::boot::Boot;
use crate::fixture::CannotMake;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::scenarios::{Scenario, Work};
use crate::tier::{Tier, tier};
use crate::{machine, remove};

/// One scenario on one machine.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What is done.
    pub scenario: &'a Scenario,
    /// Who does it.
    pub machine: Machine,
    /// It runs in user-mode Linux as well: QEMU shows whether the cheap machine tells the truth.
    pub second_look: bool,
}

/// One line of the result.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The scenario.
    pub name: String,
    /// What carried it out.
    pub machine: Machine,
    /// Whether user-mode Linux did, too.
    pub second_look: bool,
    /// Which part of the lab it belongs to.
    pub tier: Tier,
    /// `passed`, `failed` or `skipped`.
    pub result: Status,
    /// Host seconds.
    pub seconds: f64,
    /// Processor seconds of its machines.
    pub processor: f64,
    /// Why it failed or was skipped; or, if it passed when run again, why it failed the first time.
    pub why: Vec<String>,
    /// A second try, with the machine to itself, may show an accident. Never for what a power cut has lost.
    #[serde(skip)]
    again: bool,
}

#[cfg(test)]
impl Verdict {
    /// One with nothing else to say.
    pub fn plain(name: &str, machine: Machine, second_look: bool, result: Status) -> Self {
        let (name, tier) = (name.to_owned(), Tier::Logic);
        Self { name, machine, second_look, tier, result, seconds: 0.0, processor: 0.0, why: Vec::new(), again: false }
    }
}

impl Verdict {
    /// It failed beside others, and passed alone.
    pub fn only_alone(&self) -> bool {
        self.result == Status::Passed && !self.why.is_empty()
    }

    /// By what its time is remembered.
    fn key(&self) -> String {
        time_key(&self.name, self.machine)
    }

    /// The scenario, and the machine where that is not the usual one.
    pub fn title(&self) -> String {
        if self.second_look { format!("{} [again in QEMU]", self.name) } else { self.name.clone() }
    }
}

/// What the times of earlier runs are known by: the machines differ by a factor of ten.
fn time_key(name: &str, machine: Machine) -> String {
    format!("{name} {}", if machine == Machine::Uml { "uml" } else { "qemu" })
}

/// The longest first, as the last runs had it, so that the last minutes are not spent waiting for one machine. What has never run
/// may take any time.
pub fn order(jobs: &mut [Job<'_>], last: impl Fn(&str) -> Option<f64>) {
    jobs.sort_by(|one, two| {
        let seconds = |job: &Job<'_>| last(&time_key(&job.scenario.name, job.machine)).unwrap_or(f64::INFINITY);
        seconds(two).total_cmp(&seconds(one))
    });
}

/// So many failures may be accidents of a host that does too much at once. More of them are none.
const ACCIDENTS: usize = 4;

/// Machines of user-mode Linux for each of QEMU: one that waits costs nothing.
const LIGHT_FOR_ONE: usize = 3;

/// How many machines run side by side: QEMU's, and those of user-mode Linux, of which so many fit into memory.
fn workers(jobs: usize, fit: usize) -> (usize, usize) {
    let jobs = jobs.max(1);
    (jobs, (jobs * LIGHT_FOR_ONE).min(fit.max(1)))
}

/// Passed, failed, skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All expectations hold.
    Passed,
    /// One does not.
    Failed,
    /// It could not run here; the reason says why.
    Skipped,
}

/// Runs all of them, `jobs` of QEMU's machines side by side and three times as many of user-mode Linux, in the order given.
/// What fails beside others is run once more, alone.
pub fn run(lab: &Lab, list: &[Job<'_>], jobs: usize) -> Vec<Verdict> {
    let mut judged = side_by_side(lab, list, workers(jobs, machine::light_machines_that_fit()));
    look_again(&mut judged, |job| {
        lab.say(&format!("again, alone: {}", job.scenario.name));
        let verdict = judge(lab, job, ALONE);
        tell(lab, &verdict);
        verdict
    });
    judged.into_iter().map(|(verdict, _)| verdict).collect()
}

/// Asks for a second verdict on failures, if they are few.
fn look_again<S>(judged: &mut [(Verdict, S)], judge: impl Fn(&S) -> Verdict) {
    let failed = judged.iter().filter(|(verdict, _)| verdict.result == Status::Failed).count();
    for (verdict, scenario) in judged.iter_mut().filter(|(verdict, _)| verdict.again && failed <= ACCIDENTS) {
        verdict.result = judge(scenario).result;
    }
}

/// How far a run is, for [`prepare`].
#[derive(Debug, Default)]
pub struct Pace {
    /// cargo's tests are over.
    pub tested: AtomicBool,
    /// Scenarios, too.
    pub done: AtomicBool,
}

/// Makes what the jobs need, in their order, until all is there or the run is done. What cannot be made fails with its scenario.
pub fn prepare(lab: &Lab, list: &[Job<'_>], pace: &Pace) {
    for job in list {
        if pace.done.load(Ordering::Relaxed) {
            return;
        }
        // Programs that this thread starts inherit its place in the queue for a processor. Some of cargo's tests look at the
        // clock; afterwards the scenarios wait for what is missing.
        let nice = if pace.tested.load(Ordering::Relaxed) { 0 } else { BEHIND };
        let _ = rustix::process::setpriority_process(None, nice);
        let _ = match &job.scenario.work {
            Work::Boot(boot) => boot.prepare(lab, job.machine),
            Work::Cuts(cuts) => cuts.prepare(lab, job.machine),
            Work::Deployment(cuts) => cuts.prepare(lab, job.machine),
            Work::Measure(_) | Work::Disks(_) => Ok(()),
        };
    }
}

/// A nice value beside which one of 0 gets nine tenths of a processor.
const BEHIND: i32 = 10;

fn side_by_side<'a>(lab: &Lab, list: &[Job<'a>], (heavy, light): (usize, usize)) -> Vec<(Verdict, Job<'a>)> {
    let verdicts = Mutex::new(Vec::new());
    let queue = |machine| {
        let wanted = list.iter().copied().filter(|job| job.machine == machine);
        Mutex::new(wanted.collect::<VecDeque<_>>())
    };
    let (qemu, uml) = (queue(Machine::Qemu), queue(Machine::Uml));
    let work = |queue| {
        let mut done = 0;
        while let Some(job) = pop(queue) {
            let verdict = judge(lab, &job, "");
            tell(lab, &verdict);
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((verdict, job));
            done += 1;
        }
        done
    };
    let one_more = AtomicBool::new(false);
    std::thread::scope(|scope| {
        (0..heavy).for_each(|_| drop(scope.spawn(|| work(&qemu))));
        for _ in 0..light {
            scope.spawn(|| {
                // A machine of QEMU keeps a processor busy for two thirds of its time. Once the light ones are done that is seen.
                if work(&uml) > 0 && !one_more.swap(true, Ordering::Relaxed) {
                    lab.qemu.add();
                    work(&qemu);
                }
            });
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn pop<'a>(queue: &Mutex<VecDeque<Job<'a>>>) -> Option<Job<'a>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn tell(lab: &Lab, verdict: &Verdict) {
    let word = match verdict.result {
        Status::Passed => "ok  ",
        Status::Failed => "FAIL",
        Status::Skipped => "skip",
    };
    let seconds = format!("{:.1} s, {:.1} CPU s", verdict.seconds, verdict.processor);
    lab.say(&format!("{word} {} ({seconds})", verdict.title()));
    lab.times.note(&verdict.key(), verdict.seconds);
    for why in &verdict.why {
        lab.say(&format!("       {why}"));
    }
}

/// What was done, and what it took.
struct Done {
    why: Vec<String>,
    seconds: Duration,
    processor: Duration,
}

/// Behind the name of a second try's logs: those of the first stay, for it may have been no accident.
const ALONE: &str = " alone";

fn judge(lab: &Lab, job: &Job<'_>, logs: &str) -> Verdict {
    let Job { scenario, machine, second_look } = *job;
    let started = Instant::now();
    let mut verdict = Verdict {
        name: scenario.name.clone(),
        machine,
        second_look,
        tier: tier(job),
        result: Status::Failed,
        seconds: 0.0,
        processor: 0.0,
        why: Vec::new(),
        again: false,
    };
    let logs = verdict.title() + logs;
    let dir = match lab.forget_failure(&logs).and_then(|()| lab.cache.fast_scratch("boot")) {
        Ok(dir) => dir,
        Err(error) => {
            verdict.why.push(format!("{error:#}"));
            return verdict;
        }
    };
    let done = match &scenario.work {
        // Nobody has a place while media are made or waited for.
        Work::Boot(boot) => boot.prepare(lab, machine).and_then(|()| {
            let _slot = (machine == Machine::Qemu).then(|| lab.qemu.take());
            chain(lab, boot, machine, &dir)
        }),
        Work::Cuts(cuts) => {
            let few = second_look.then_some(CUTS_OF_A_SECOND_LOOK);
            cuts.run(lab, machine, few, &dir).map(|(why, processor)| Done {
                why,
                seconds: started.elapsed(),
                processor,
            })
        }
        Work::Deployment(cuts) => {
            let few = second_look.then_some(CUTS_OF_A_SECOND_LOOK);
            cuts.run(lab, machine, few, &dir).map(|(why, processor)| Done {
                why,
                seconds: started.elapsed(),
                processor,
            })
        }
        Work::Disks(disks) => {
            disks.run(lab, machine, &dir).map(|(why, processor)| Done { why, seconds: started.elapsed(), processor })
        }
        Work::Measure(measure) => {
            measure(lab).map(|()| Done { why: Vec::new(), seconds: started.elapsed(), processor: Duration::ZERO })
        }
    };
    verdict.seconds = started.elapsed().as_secs_f64();
    match done {
        Ok(done) => {
            (verdict.seconds, verdict.processor) = (done.seconds.as_secs_f64(), done.processor.as_secs_f64());
            verdict.again =
                !matches!(scenario.work, Work::Cuts(_) | Work::Deployment(_) | Work::Disks(_)) && !done.why.is_empty();
            verdict.result = if done.why.is_empty() { Status::Passed } else { Status::Failed };
            verdict.why = done.why;
        }
        Err(error) => {
            let skipped = error.downcast_ref::<CannotMake>().is_some();
            verdict.again = !skipped;
            verdict.result = if skipped { Status::Skipped } else { Status::Failed };
            verdict.why.push(format!("{error:#}"));
        }
    }
    if verdict.result == Status::Failed {
        verdict.why = keep(&logs, &dir, verdict.why);
    }
    let _ = remove::tree(&dir);
    verdict
}

/// Where power is cut in a second look: it asks whether both machines agree, not for all places.
const CUTS_OF_A_SECOND_LOOK: usize = 3;

/// One boot after the other until one fails; the logs of the second are in `2`, and so on.
fn chain(lab: &Lab, first: &Boot, machine: Machine, dir: &Path) -> Result<Done> {
    let boots = std::iter::successors(Some(first), |boot| boot.next.as_deref());
    let mut done = Done { why: Vec::new(), seconds: Duration::ZERO, processor: Duration::ZERO };
    let mut before = None;
    for (index, boot) in boots.enumerate() {
        let dir = if index == 0 { dir.to_owned() } else { dir.join((index + 1).to_string()) };
        let outcome = boot.run(lab, machine, &dir, before.as_ref())?;
        done.seconds += outcome.took;
        done.processor += outcome.spent;
        let why = failures(boot, &outcome, &dir);
        if !why.is_empty() {
            let nth = if first.next.is_some() { format!("boot {}: ", index + 1) } else { String::new() };
            done.why = why.into_iter().map(|text| nth.clone() + &text).collect();
            return Ok(done);
        }
        before = Some(outcome);
    }
    Ok(done)
}

fn failures(boot: &Boot, outcome: &Outcome, dir: &Path) -> Vec<String> {
    let checks = boot.checks.iter();
    let why: Vec<String> = checks
        .filter_map(|check| check.ask(outcome).err().map(|found| format!("expected: {}; {found}", check.what)))
        .collect();
    if let (false, Some(report)) = (why.is_empty(), &outcome.report) {
        let _ = fs::write(dir.join("report.json"), format!("{report:#}"));
        let _ = fs::write(dir.join("plan.txt"), plan(report));
    }
    why
}

/// The steps of the plan that were taken, one a line.
fn plan(report: &serde_json::Value) -> String {
    let steps = report["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().map(|step| format!("{step}\n")).collect()
}

/// Moves the logs of a failure to where they stay, and says where.
fn keep(name: &str, dir: &Path, mut why: Vec<String>) -> Vec<String> {
    // Copies of media are as large as the media; what they were made from is in the cache.
    if let Err(error) = remove::files(dir, "medium") {
        why.push(format!("{error:#}"));
    }
    if let Ok(kept) = crate::lab::keep(name, dir) {
        why.push(format!("logs: {}", kept.display()));
    }
    why
}

/// What failed, with the beginning of its reasons: it stands at the end of a long output, of which often only the end is read.
pub fn failed(verdicts: &[Verdict], tests: &[String]) -> Vec<String> {
    let scenarios = verdicts.iter().filter(|verdict| verdict.result == Status::Failed);
    let scenarios = scenarios.map(|verdict| format!("{}: {}", verdict.title(), verdict.why.join("; ")));
    let short = |text: String| {
        let line = text.replace('\n', " / ");
        match line.char_indices().nth(REMINDED) {
            Some((end, _)) => format!("{} …", &line[..end]),
            None => line,
        }
    };
    tests.iter().cloned().chain(scenarios).map(short).collect()
}

/// So many characters of a reason are said again.
const REMINDED: usize = 500;

/// The last line of every run: `N passed, N failed`, and `, N skipped` if any.
pub fn summary(passed: usize, failed: usize, skipped: usize) -> String {
    let mut line = format!("{passed} passed, {failed} failed");
    if skipped > 0 {
        line.push_str(&format!(", {skipped} skipped"));
    }
    line
}

/// Writes verdicts as JSON.
pub fn write_json(path: &Path, verdicts: &[Verdict]) -> Result<()> {
    fs::write(path, serde_json::to_string_pretty(verdicts)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(result: Status, again: bool) -> Verdict {
        let why = if result == Status::Failed { vec!["why".to_owned()] } else { Vec::new() };
        Verdict { seconds: 1.0, processor: 1.0, why, again, ..Verdict::plain("x", Machine::Qemu, false, result) }
    }

    #[test]
    fn three_light_machines_for_each_of_qemu_as_far_as_memory_goes() {
        for (jobs, fit, expected) in [(2, 24, (2, 6)), (1, 24, (1, 3)), (0, 24, (1, 3)), (4, 5, (4, 5)), (2, 0, (2, 1))]
        {
            assert_eq!(workers(jobs, fit), expected, "{jobs} {fit}");
        }
    }

    #[test]
    fn what_failed_is_said_again_at_the_end() {
        let verdicts = [
            Verdict { name: "topic/a".into(), ..verdict(Status::Failed, true) },
            Verdict { name: "topic/b".into(), why: vec!["accident".into()], ..verdict(Status::Passed, true) },
            Verdict {
                name: "topic/c".into(),
                second_look: true,
                why: vec!["ä".repeat(600)],
                ..verdict(Status::Failed, false)
            },
            Verdict {
                name: "topic/d".into(),
                why: vec!["x\ny".into(), "logs: z".into()],
                ..verdict(Status::Failed, false)
            },
        ];
        let said = failed(&verdicts, &["cargo test t".to_owned()]);
        assert_eq!(said[..2], ["cargo test t", "topic/a: why"]);
        assert!(said[2].starts_with("topic/c [again in QEMU]: ää") && said[2].ends_with("ä …"), "{}", said[2]);
        assert_eq!(said[2].chars().count(), REMINDED + 2);
        assert_eq!(said[3], "topic/d: x / y; logs: z");
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn few_failures_are_looked_at_again_and_losses_never() {
        use Status::{Failed, Passed};
        for (failures, again, second, expected, only_alone) in [
            (1, true, Passed, Passed, true),
            (ACCIDENTS, true, Passed, Passed, true),
            (1, true, Failed, Failed, false),
            (1, false, Passed, Failed, false),
            (ACCIDENTS + 1, true, Passed, Failed, false),
        ] {
            let mut judged: Vec<_> = (0..failures).map(|_| (verdict(Failed, again), ())).collect();
            judged.push((verdict(Passed, false), ()));
            look_again(&mut judged, |()| verdict(second, true));
            for (verdict, ()) in &judged[..failures] {
                assert_eq!((verdict.result, verdict.only_alone()), (expected, only_alone), "{failures} {again}");
            }
            assert!(!judged[failures].0.only_alone(), "what passed at once is not suspicious");
        }
    }
}
