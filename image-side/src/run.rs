//! Runs one external program: quiet when it works, its own words when it fails.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::interrupt::{self, Tracked};

/// Longest part of a failed program's output that we repeat, in lines.
const TAIL: usize = 12;

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// When it cannot start, fails (the end of its output is in the text) or we are interrupted.
pub fn run(command: &mut Command) -> Result<String> {
    run_watched(command, |_| {})
}

/// Like [`run`], and hands every line (or carriage-return-separated piece) of standard output to `watch` as it appears.
///
/// # Errors
/// As [`run`].
pub fn run_watched(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<String> {
    interrupt::check()?;
    let name = program(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let tracked = Tracked::new(child.id());
    let mut stderr = child.stderr.take().context("taking standard error")?;
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        text
    });
    let stdout = child.stdout.take().context("taking standard output")?;
    let output = read_pieces(stdout, &mut watch);
    let status = child.wait().with_context(|| format!("waiting for {name}"))?;
    drop(tracked);
    let errors = errors.join().unwrap_or_default();
    interrupt::check()?;
    let output = output.with_context(|| format!("reading the output of {name}"))?;
    if status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&errors);
    bail!("{name} failed ({status}):\n{}", tail(&output, &errors));
}

fn program(command: &Command) -> String {
    let path = std::path::Path::new(command.get_program());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read_pieces(mut from: impl Read, watch: &mut impl FnMut(&str)) -> std::io::Result<String> {
    let mut all = Vec::new();
    let mut start = 0;
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
        while let Some(end) = all[start..].iter().position(|b| matches!(b, b'\r' | b'\n')) {
            watch(&String::from_utf8_lossy(&all[start..start + end]));
            start += end + 1;
        }
    }
    watch(&String::from_utf8_lossy(&all[start..]));
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// The last lines of what the program said, errors preferred; progress bars left out.
fn tail(output: &str, errors: &str) -> String {
    let text = if errors.trim().is_empty() { output } else { errors };
    let lines: Vec<&str> =
        text.split(['\r', '\n']).map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('[')).collect();
    let from = lines.len().saturating_sub(TAIL);
    lines[from..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_repeats_what_the_program_said() {
        let text = run(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err().to_string();
        assert!(text.contains("sh failed"), "{text}");
        assert!(text.contains("no such thing"), "{text}");
    }

    #[test]
    fn pieces_arrive_one_by_one() {
        let mut seen = Vec::new();
        run_watched(Command::new("printf").arg("one\\rtwo\\nthree"), |piece| seen.push(piece.to_owned())).unwrap();
        assert_eq!(seen, ["one", "two", "three"]);
    }
}
