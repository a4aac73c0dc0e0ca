//! The lab works inside of a mount and a PID namespace of its own: what it mounts the host never sees, and what it starts
//! ends with it, however it ends.
//!
//! Three processes: the *outer* one makes the namespaces, starts the *init* and waits for it; the init is process 1 of the
//! PID namespace, mounts a `/proc` that shows it, starts the *lab* itself and reaps what nobody waits for. When the outer one
//! dies (Ctrl-C, `kill -9`), the kernel kills the init, and with the init all others; their mounts go with the last of
//! them, and the loop devices with the mounts. Which of the three a process is, its own name (`argv[0]`) says, because that
//! no child inherits.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use nix::sched::CloneFlags;
use rustix::mount::MountFlags;
use rustix::process::{Signal, WaitOptions};

/// Name of the init, in front of the outer process's number.
const INIT: &str = "lab-init:";
/// Name of the lab inside.
pub const INSIDE: &str = "lab-inside";

/// Which of the three this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// As the user started it.
    Outer,
    /// Process 1, made by the outer process with this number.
    Init(u32),
    /// Where the work is done.
    Inside,
}

/// Read from this process's own name.
pub fn role() -> Role {
    let name = std::env::args_os().next().unwrap_or_default();
    role_of(&name.to_string_lossy())
}

fn role_of(name: &str) -> Role {
    match name.strip_prefix(INIT).and_then(|number| number.parse().ok()) {
        Some(outer) => Role::Init(outer),
        None if name == INSIDE => Role::Inside,
        None => Role::Outer,
    }
}

/// Makes the namespaces, starts this program again in them with the same arguments, and waits for it.
///
/// # Errors
/// What this machine or container does not allow, and what to do about it.
pub fn start() -> Result<ExitCode> {
    rdlive_sys::mounts::own().map_err(|error| lacking("a mount namespace", error))?;
    nix::sched::unshare(CloneFlags::CLONE_NEWPID).map_err(|error| lacking("a PID namespace", error.into()))?;
    let mut child = again(&format!("{INIT}{}", std::process::id()))?;
    let status = child.wait().context("waiting for the lab")?;
    Ok(exit_code(status.code(), status.signal()))
}

/// What process 1 does: ends with the outer process, starts the lab, and reaps until that has ended.
///
/// # Errors
/// `/proc` cannot be mounted, or the program not be started.
pub fn init(outer: u32) -> Result<ExitCode> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("asking to end with the parent")?;
    // It may have died before that; this /proc is still the one that can see it.
    if parent()? != outer {
        bail!("the process that started this one is gone");
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None).map_err(|error| lacking("a /proc", error.into()))?;
    let lab = again(INSIDE)?.id();
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(lab) => {
                return Ok(exit_code(status.exit_status(), status.terminating_signal()));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the lab"),
        }
    }
}

/// This program under another name, in the same terminal and process group.
fn again(name: &str) -> Result<std::process::Child> {
    Command::new("/proc/self/exe")
        .arg0(name)
        .args(std::env::args_os().skip(1))
        .spawn()
        .context("starting the lab inside")
}

/// The parent's number as this `/proc` has it; `getppid` has none for a process outside of the namespace.
fn parent() -> Result<u32> {
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|number| number.trim().parse().ok()).context("no PPid in /proc/self/status")
}

/// As a shell has it: the code, or 128 and the signal.
fn exit_code(code: Option<i32>, signal: Option<i32>) -> ExitCode {
    let number = code.or(signal.map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}

fn lacking(what: &str, error: std::io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "this machine or container does not let the lab have {what} of its own ({error}); it needs CAP_SYS_ADMIN.\n\
         Try: docker run --privileged …, or a virtual machine."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_what_its_name_says() {
        for (name, role) in [
            ("target/debug/lab", Role::Outer),
            ("lab-inside", Role::Inside),
            ("lab-init:42", Role::Init(42)),
            ("lab-init:", Role::Outer),
            ("", Role::Outer),
        ] {
            assert_eq!(role_of(name), role, "{name:?}");
        }
    }
}
