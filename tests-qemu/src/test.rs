//! `cargo lab test`: cargo's tests and the scenarios, counted together.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::artifact;
use crate::lab::Lab;
use crate::powercut::Choice;
use crate::runner::{self, Status};
use crate::scenarios;

/// Which scenarios.
pub struct Chosen {
    /// Those with one of these texts in their name, and no cargo tests; without any, everything.
    pub filter: Vec<String>,
    /// Repetitions too.
    pub all: bool,
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
    let filter = &which.filter;
    let mut chosen = scenarios::all();
    if !filter.is_empty() {
        chosen.retain(|scenario| filter.iter().any(|text| scenario.name.contains(text)));
    }
    let all = chosen.len();
    if filter.is_empty() && !which.all {
        chosen.retain(|scenario| !scenario.is_repetition());
    }
    let left_out = all - chosen.len();
    if list {
        for scenario in &chosen {
            println!("{}", scenario.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut lab = Lab::open(mirror)?;
    lab.cuts = cuts;
    let mut counts = if filter.is_empty() { cargo_tests(&lab)? } else { Counts::default() };
    let verdicts = runner::run(&lab, chosen, jobs);
    if let Some(path) = json {
        runner::write_json(path, &verdicts)?;
    }
    for verdict in verdicts {
        if verdict.only_alone() {
            println!("failed beside others and passed alone: {}: {}", verdict.name, verdict.why.join("; "));
        }
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
    println!("{}", runner::summary(counts.passed, counts.failed, counts.skipped));
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// `cargo test --workspace`; its output goes through to the terminal.
fn cargo_tests(lab: &Lab) -> Result<Counts> {
    lab.say("cargo test --workspace");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(artifact::workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in
        text.lines().filter(|line| line.contains("FAILED") || line.contains("panicked") || line.starts_with("    "))
    {
        println!("{line}");
    }
    let mut counts = count(&text);
    if !output.status.success() && counts.failed == 0 {
        lab.say("cargo test failed without a failed test: the build is broken");
        counts.failed = 1;
    }
    Ok(counts)
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

    #[test]
    fn result_lines_are_added_up() {
        let text = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        assert_eq!(count(text), Counts { passed: 5, failed: 4, skipped: 1 });
    }
}
