//! `cargo lab fuzz`: every fuzz target of the agent for some seconds, on libFuzzer, which needs a nightly compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::{artifact, remove};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What libFuzzer needs of the compiler, as `cargo fuzz` sets it, with AddressSanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address";

/// Runs all of them, or those with one of the texts in their name, each for so many seconds. They begin with the inputs of
/// `agent/fuzz/corpus`. What is found is kept below `target/fuzz`, and what crashes too; `keep` puts into that corpus what reaches code that
/// nothing there reaches, as the smallest inputs that do.
///
/// # Errors
/// They do not compile, or one of them finds something.
pub fn run(filter: &[String], seconds: u64, keep: bool) -> Result<ExitCode> {
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        println!("no nightly compiler here, so nothing was fuzzed: rustup toolchain install nightly");
        return Ok(ExitCode::SUCCESS);
    }
    let source = artifact::workspace().join("agent/fuzz");
    let out = artifact::target().join("fuzz");
    let mut targets = names(&source.join("fuzz_targets"))?;
    targets.retain(|name| filter.is_empty() || filter.iter().any(|text| name.contains(text)));
    ensure!(!targets.is_empty(), "no target has {filter:?} in its name");
    println!("compiling {} targets (some minutes the first time)", targets.len());
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "build", "--quiet", "--release", "--target", TARGET, "--target-dir"]).arg(&out);
    cargo.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS").current_dir(&source);
    ensure!(cargo.status().context("starting cargo +nightly")?.success(), "the targets do not compile");
    let mut failed = Vec::new();
    for name in &targets {
        let (corpus, found) = (out.join("corpus").join(name), out.join("found").join(name));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        let program = out.join(TARGET).join("release").join(name);
        let known = source.join("corpus").join(name);
        fs::create_dir_all(&known)?;
        let said = fuzz(&program, &[&corpus, &known], &found, seconds)?;
        let last =
            said.lines().rev().find(|line| line.contains("exec/s") || line.starts_with("Done ")).unwrap_or_default();
        println!("{name:10} {last}");
        if !said.lines().any(|line| line.starts_with("Done ")) {
            failed.push(format!("{name}: {}; its input is in {}", tail(&said), found.display()));
        } else if keep {
            minimise(&program, &known, &corpus, &out.join("minimised"))?;
        }
    }
    failed.iter().for_each(|text| println!("FAIL {text}"));
    println!("{} passed, {} failed", targets.len() - failed.len(), failed.len());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// libFuzzer puts what it finds into the first directory, and reads all.
fn fuzz(program: &Path, corpora: &[&Path], found: &Path, seconds: u64) -> Result<String> {
    let output = Command::new(program)
        .args(corpora)
        .arg(format!("-max_total_time={seconds}"))
        .arg("-rss_limit_mb=2048")
        // An input that takes longer is a fault like a crash.
        .arg("-timeout=2")
        .arg(format!("-artifact_prefix={}/", found.display()))
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Replaces a corpus by the smallest inputs of it and of what was found that reach the same code, however often they go there: those that
/// differ only in how often are ten times as many.
fn minimise(program: &Path, known: &Path, corpus: &Path, fresh: &Path) -> Result<()> {
    remove::tree(fresh)?;
    fs::create_dir_all(fresh)?;
    let output = Command::new(program)
        .args(["-merge=1", "-use_counters=0"])
        .args([fresh, known, corpus])
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    ensure!(output.status.success(), "minimising {}: {}", known.display(), String::from_utf8_lossy(&output.stderr));
    remove::tree(known)?;
    fs::create_dir_all(known)?;
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(fresh)? {
        let entry = entry?;
        bytes += fs::copy(entry.path(), known.join(entry.file_name()))?;
        count += 1;
    }
    println!("{:10} kept {count} inputs, {bytes} bytes", "");
    Ok(())
}

/// The line that says what happened.
fn tail(said: &str) -> &str {
    said.lines().find(|line| line.contains("panicked") || line.contains("ERROR")).unwrap_or("it ended early")
}
