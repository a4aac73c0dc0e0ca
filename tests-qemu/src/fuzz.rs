//! `cargo lab fuzz`: every fuzz target of the agent for some seconds, on libFuzzer, which needs a nightly compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::artifact;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What libFuzzer needs of the compiler, as `cargo fuzz` sets it, with AddressSanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address";

/// Runs all of them, or those with one of the texts in their name, each for so many seconds. Inputs that were found are kept below
/// `target/fuzz`, and what crashes too.
///
/// # Errors
/// They do not compile, or one of them finds something.
pub fn run(filter: &[String], seconds: u64) -> Result<ExitCode> {
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
        let said = fuzz(&program, &corpus, &found, seconds)?;
        let last =
            said.lines().rev().find(|line| line.contains("exec/s") || line.starts_with("Done ")).unwrap_or_default();
        println!("{name:10} {last}");
        if !said.lines().any(|line| line.starts_with("Done ")) {
            failed.push(format!("{name}: {}; its input is in {}", tail(&said), found.display()));
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

fn fuzz(program: &Path, corpus: &Path, found: &Path, seconds: u64) -> Result<String> {
    let output = Command::new(program)
        .arg(corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg("-rss_limit_mb=2048")
        // An input that takes longer is a fault like a crash.
        .arg("-timeout=2")
        .arg(format!("-artifact_prefix={}/", found.display()))
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The line that says what happened.
fn tail(said: &str) -> &str {
    said.lines().find(|line| line.contains("panicked") || line.contains("ERROR")).unwrap_or("it ended early")
}
