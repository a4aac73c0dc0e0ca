//! External programs: run one, keep its output for the error text.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command to its end and returns its standard output; a failure carries the command and the last lines it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {shown}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    bail!("{shown} failed ({}):\n{}", output.status, tail(&said, 25));
}

/// Runs a shell script with positional arguments; for steps that need a private mount namespace or a pipe.
pub fn shell(script: &str, args: &[&Path]) -> Result<String> {
    run(Command::new("bash").args(["-euo", "pipefail", "-c", script, "lab"]).args(args))
}

/// As [`shell`], with mounts that vanish at its end.
pub fn shell_with_mounts(script: &str, args: &[&Path]) -> Result<String> {
    run(Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(["bash", "-euo", "pipefail", "-c", script, "lab"])
        .args(args))
}

/// Copies a large file, holes kept.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto", "--"]).args([from, to])).map(drop)
}

/// The last `count` lines of a text.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Is the program in PATH (or in a directory for administrators)?
pub fn exists(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin", "/usr/local/sbin"]).any(|dir| Path::new(dir).join(program).is_file())
}

/// A command as one would type it, shortened.
fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    if text.len() > 600 {
        let cut = (0..=600).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}
