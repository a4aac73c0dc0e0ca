//! External programs: run one, keep its output for the error text.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::namespace::{self, Role};
use crate::spent;

/// Runs a command to its end and returns its standard output; a failure carries the command and the last lines it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = spent::output(command, false).with_context(|| format!("starting {shown}"))?;
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

/// As [`shell`], with mounts that vanish at its end; `system_dirs TREE` mounts what a chroot into a tree needs.
///
/// # Errors
/// Outside of the lab's own namespace (`crate::namespace`): there the host would see the mounts.
pub fn shell_with_mounts(script: &str, args: &[&Path]) -> Result<String> {
    if namespace::role() != Role::Inside {
        bail!("a script with mounts runs only inside of the lab's own namespace");
    }
    let before = if script.contains("system_dirs ") { SYSTEM_DIRS } else { "" };
    // All is private there already; asking for it again fails in a chroot, whose `/` is no mount point.
    run(Command::new("unshare")
        .args(["--mount", "--propagation", "unchanged"])
        .args(["bash", "-euo", "pipefail", "-c", &format!("{before}{script}"), "lab"])
        .args(args))
}

// Nothing of the host's: nodes of its own, and what the kernel shows only to be read. Whatever goes wrong in a chroot then can
// neither empty the host's /dev nor turn one of its knobs.
const SYSTEM_DIRS: &str = r#"
    system_dirs() {
        mount -t proc -o nosuid,nodev,noexec proc "$1/proc"; mount -o remount,bind,ro,nosuid,nodev,noexec "$1/proc"
        mount -t sysfs -o nosuid,nodev,noexec sysfs "$1/sys"; mount -o remount,bind,ro,nosuid,nodev,noexec "$1/sys"
        mount -t tmpfs -o mode=755,nosuid tmpfs "$1/dev"; mkdir "$1/dev/pts" "$1/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$1/dev/pts"; ln -s pts/ptmx "$1/dev/ptmx"
        local node
        for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$1/dev/${node%:*}" c 1 ${node#*:}; done
        mknod -m 666 "$1/dev/tty" c 5 0
        ln -s /proc/self/fd "$1/dev/fd"
        for node in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${node%:*} "$1/dev/${node#*:}"; done
    }
"#;

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
