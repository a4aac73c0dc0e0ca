//! Programs of the initrd that make and check file systems: found, run with a limit, their words kept.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::env::Env;
use crate::error::{Code, Stop};

/// Where programs are looked for, in this order.
const PATH: [&str; 4] = ["usr/sbin", "sbin", "usr/bin", "bin"];
/// Bytes of a program's output that are kept.
const WORDS: usize = 2000;

/// What a program left.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of its output, on one line.
    pub words: String,
}

/// The first of `names` that is there.
///
/// # Errors
/// [`Code::ToolMissing`] with the names and the packages that have them.
pub(super) fn find(env: &Env, names: &[&str], package: &str) -> Result<PathBuf, Stop> {
    let found = names.iter().flat_map(|name| PATH.iter().map(move |dir| env.path(dir).join(name)));
    found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let cause = format!("{} is not in the initrd", names.join(" or "));
        Stop::new(Code::ToolMissing, cause).wanted(format!("a program of {package}")).advice(format!(
            "build the initrd from a system that has {package} (rdlive-image initrd --persistence, or dracut)"
        ))
    })
}

/// Runs a program and waits for its end, at most for `limit`; then it is killed.
///
/// # Errors
/// Text for a person: it could not be started, or took too long.
pub(super) fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<Ended, String> {
    let shown = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("starting {shown}: {error}"))?;
    // Both pipes are drained while it runs: a full one would stop it.
    let readers = [
        child.stdout.take().map(|pipe| std::thread::spawn(move || text(pipe))),
        child.stderr.take().map(|pipe| std::thread::spawn(move || text(pipe))),
    ];
    let ended = wait(&mut child, limit).map_err(|error| format!("waiting for {shown}: {error}"))?;
    if !ended {
        // It may have ended in between; either way the wait below collects it.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("waiting for {shown}: {error}"))?;
    if !ended {
        return Err(format!("{shown} did not end within {} s and was stopped", limit.as_secs()));
    }
    let words = readers.into_iter().flatten().filter_map(|reader| reader.join().ok()).collect::<Vec<_>>().join(" ");
    Ok(Ended { status, words: words.split_whitespace().collect::<Vec<_>>().join(" ") })
}

/// Whether the child ends within the limit.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn text(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What could be read is worth more than the reason why the rest could not.
    let _ = pipe.read_to_end(&mut bytes);
    let start = bytes.len().saturating_sub(WORDS);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_status_and_limit() {
        let sh = Path::new("/bin/sh");
        let ended = run(sh, &["-c", "echo out; echo err >&2; exit 3"], Duration::from_secs(10)).unwrap();
        assert_eq!((ended.status.code(), ended.words.as_str()), (Some(3), "out err"));
        let begin = Instant::now();
        let error = run(sh, &["-c", "exec sleep 20"], Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("did not end") && begin.elapsed() < Duration::from_secs(10), "{error}");
        assert!(run(Path::new("/no/such"), &[], Duration::from_secs(1)).unwrap_err().contains("such"));
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        let stop = find(&env, &["mkfs.ext4", "mke2fs"], "e2fsprogs").unwrap_err();
        assert_eq!(stop.code, Code::ToolMissing);
        assert!(stop.cause.contains("mkfs.ext4 or mke2fs") && stop.advice.contains("e2fsprogs"), "{stop:?}");
        std::fs::create_dir_all(env.path("sbin")).unwrap();
        std::fs::write(env.path("sbin/mke2fs"), "").unwrap();
        assert_eq!(find(&env, &["mkfs.ext4", "mke2fs"], "e2fsprogs").unwrap(), env.path("sbin/mke2fs"));
    }
}
