//! Runs scenarios side by side and counts.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::boot::Boot;
use crate::fixture::CannotMake;
use crate::lab::Lab;
use crate::outcome::Outcome;
use crate::scenarios::{Scenario, Work};

/// One line of the result.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The scenario.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub result: Status,
    /// Host seconds.
    pub seconds: f64,
    /// Why it failed or was skipped; or, if it passed when run again, why it failed the first time.
    pub why: Vec<String>,
    /// A second try, with the machine to itself, may show an accident. Never for what a power cut has lost.
    #[serde(skip)]
    again: bool,
}

impl Verdict {
    /// It failed beside others, and passed alone.
    pub fn only_alone(&self) -> bool {
        self.result == Status::Passed && !self.why.is_empty()
    }
}

/// So many failures may be accidents of a host that does too much at once. More of them are none.
const ACCIDENTS: usize = 4;

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

/// Runs all of them on `jobs` threads. What fails beside others is run once more, alone.
pub fn run(lab: &Lab, scenarios: Vec<Scenario>, jobs: usize) -> Vec<Verdict> {
    let mut judged = side_by_side(lab, scenarios, jobs);
    if jobs > 1 {
        look_again(&mut judged, |scenario| {
            lab.say(&format!("again, alone: {}", scenario.name));
            let verdict = judge(lab, scenario);
            tell(lab, &verdict);
            verdict
        });
    }
    judged.into_iter().map(|(verdict, _)| verdict).collect()
}

/// Asks for a second verdict on failures, if they are few.
fn look_again<S>(judged: &mut [(Verdict, S)], judge: impl Fn(&S) -> Verdict) {
    let failed = judged.iter().filter(|(verdict, _)| verdict.result == Status::Failed).count();
    for (verdict, scenario) in judged.iter_mut().filter(|(verdict, _)| verdict.again && failed <= ACCIDENTS) {
        verdict.result = judge(scenario).result;
    }
}

fn side_by_side(lab: &Lab, scenarios: Vec<Scenario>, jobs: usize) -> Vec<(Verdict, Scenario)> {
    let queue = Mutex::new(VecDeque::from(scenarios));
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(scenario) = pop(&queue) {
                    let verdict = judge(lab, &scenario);
                    tell(lab, &verdict);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((verdict, scenario));
                }
            });
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn pop(queue: &Mutex<VecDeque<Scenario>>) -> Option<Scenario> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn tell(lab: &Lab, verdict: &Verdict) {
    let word = match verdict.result {
        Status::Passed => "ok  ",
        Status::Failed => "FAIL",
        Status::Skipped => "skip",
    };
    lab.say(&format!("{word} {} ({:.1} s)", verdict.name, verdict.seconds));
    lab.times.note(&verdict.name, verdict.seconds);
    for why in &verdict.why {
        lab.say(&format!("       {why}"));
    }
}

fn judge(lab: &Lab, scenario: &Scenario) -> Verdict {
    let started = Instant::now();
    let verdict = |result, seconds: Duration, why, again| Verdict {
        name: scenario.name.clone(),
        result,
        seconds: seconds.as_secs_f64(),
        why,
        again,
    };
    let dir = match lab.forget_failure(&scenario.name).and_then(|()| lab.cache.fast_scratch("boot")) {
        Ok(dir) => dir,
        Err(error) => {
            return verdict(Status::Failed, started.elapsed(), vec![format!("{error:#}")], false);
        }
    };
    let done = match &scenario.work {
        Work::Boot(boot) => chain(lab, boot, &dir),
        Work::Cuts(cuts) => cuts.run(lab, &dir).map(|losses| (losses, started.elapsed())),
        Work::Measure(measure) => measure(lab).map(|()| (Vec::new(), started.elapsed())),
    };
    let cuts = matches!(scenario.work, Work::Cuts(_));
    let (why, seconds, again) = match done {
        Ok((why, seconds)) => (why, seconds, !cuts),
        Err(error) if error.downcast_ref::<CannotMake>().is_some() => {
            return verdict(Status::Skipped, started.elapsed(), vec![format!("{error:#}")], false);
        }
        Err(error) => (vec![format!("{error:#}")], started.elapsed(), true),
    };
    let result = if why.is_empty() { Status::Passed } else { Status::Failed };
    let why = if result == Status::Failed { keep(lab, &scenario.name, &dir, why) } else { why };
    let _ = crate::remove::tree(&dir);
    verdict(result, seconds, why, again && result == Status::Failed)
}

/// One boot after the other until one fails; the logs of the second are in `2`, and so on.
fn chain(lab: &Lab, first: &Boot, dir: &Path) -> Result<(Vec<String>, Duration)> {
    let boots = std::iter::successors(Some(first), |boot| boot.next.as_deref());
    let (mut before, mut took) = (None, Duration::ZERO);
    for (index, boot) in boots.enumerate() {
        let dir = if index == 0 { dir.to_owned() } else { dir.join((index + 1).to_string()) };
        let outcome = boot.run(lab, &dir, before.as_ref())?;
        took += outcome.took;
        let why = failures(boot, &outcome, &dir);
        if !why.is_empty() {
            let nth = if first.next.is_some() { format!("boot {}: ", index + 1) } else { String::new() };
            return Ok((why.into_iter().map(|text| nth.clone() + &text).collect(), took));
        }
        before = Some(outcome);
    }
    Ok((Vec::new(), took))
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
fn keep(lab: &Lab, name: &str, dir: &Path, mut why: Vec<String>) -> Vec<String> {
    // Copies of media are as large as the media; what they were made from is in the cache.
    remove_media(dir);
    if let Ok(kept) = lab.keep(name, dir) {
        why.push(format!("logs: {}", kept.display()));
    }
    why
}

fn remove_media(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_media(&entry.path());
        } else if entry.file_name().to_string_lossy().starts_with("medium") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

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
        Verdict { name: "x".to_owned(), result, seconds: 1.0, why, again }
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
