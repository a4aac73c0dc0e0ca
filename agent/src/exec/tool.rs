//! Programs that are run: with a limit, their words kept.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use zeroize::Zeroizing;

use super::programs::Inside;
use crate::attempt::{NO_PROGRESS, Stillness, answered, sleep_of};

/// Bytes of a program's output that are shown.
const WORDS: usize = 2000;
/// Bytes of it that are held at least, twice as many at most.
const OUTPUT: usize = 64 << 10;
/// How long a program that is asked to stop may take for that.
const TERM_LIMIT: Duration = Duration::from_secs(5);
/// How long a program may take to end that was killed: one that waits for a broken disk does not.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long the output of a program that has ended is waited for: its own children may still hold it open.
const OUTPUT_LIMIT: Duration = Duration::from_secs(5);

/// What a program left.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of its output, on one line.
    pub words: String,
    /// It met a place that cannot be read or written, or had too little memory: what else it says is no verdict. No program has an exit code for that.
    pub unreadable: bool,
}

/// What has become of a program that did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It could not be started.
    #[error("starting {0}: {1}")]
    Start(String, io::Error),
    /// Nobody knows how it ended.
    #[error("waiting for {0}: {1}")]
    Wait(String, io::Error),
    /// Its device does not answer; its name, and whether it could be stopped.
    #[error("{0} waits for a device that has not answered for {limit} s {end}", limit = NO_PROGRESS.as_secs(), end = end(*.1))]
    Silent(String, bool),
    /// It waits, and for no device; its name, and whether it could be stopped.
    #[error("{0} has done nothing for {limit} s {end}", limit = NO_PROGRESS.as_secs(), end = end(*.1))]
    Idle(String, bool),
    /// It took longer than it may; its name, how long that is, and whether it could be stopped.
    #[error("{0} did not end within {limit} s {end}", limit = .1.as_secs(), end = end(*.2))]
    Late(String, Duration, bool),
    /// It ended with an error.
    #[error("{program} ended with {status}: {words}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        words: String,
    },
}

fn end(stopped: bool) -> &'static str {
    if stopped { "and was stopped" } else { "and cannot be stopped: its device hangs" }
}

/// How the C libraries and libext2fs put that, in the language that is set for it.
const UNREADABLE: [&[u8]; 5] =
    [b"Input/output error", b"I/O error", b"short read", b"Cannot allocate memory", b"Memory allocation failed"];

/// How a program is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invocation<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// What it reads; at most what a pipe holds.
    pub input: Option<&'a [u8]>,
    /// Additions to its environment.
    pub variables: &'a [(&'a str, &'a str)],
    /// Where a program of the image runs. It never waits for anything but its device.
    pub inside: Option<Inside<'a>>,
}

impl<'a> Invocation<'a> {
    /// A program without arguments and input.
    pub fn of(program: &'a Path) -> Self {
        Self { program, arguments: &[], input: None, variables: &[], inside: None }
    }
}

/// What a program left, its output apart from its words. The output may be a secret.
#[derive(Debug)]
pub(super) struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its whole output.
    pub out: Zeroizing<Vec<u8>>,
    /// What it wrote to its error stream.
    err: Zeroizing<Vec<u8>>,
}

impl Output {
    /// The end of its error stream, on one line.
    pub fn errors(&self) -> String {
        one_line(&self.err)
    }
}

fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(WORDS)..]).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a program and waits for its end, at most for `limit`; then it is killed.
///
/// # Errors
/// It could not be started, took too long, or did nothing.
pub(super) fn run(call: &Invocation<'_>, limit: Duration) -> Result<Ended, ToolError> {
    let call = Invocation { variables: &[("LC_ALL", "C")], ..*call };
    let Output { status, out, err } = self::call(&call, limit)?;
    let words = [one_line(&out), one_line(&err)].join(" ");
    let says = |text: &[u8]| [&out, &err].iter().any(|said| said.windows(text.len()).any(|part| part == text));
    Ok(Ended { status, words: words.trim().to_owned(), unreadable: UNREADABLE.into_iter().any(says) })
}

/// As [`run`], with all that can be said about a program.
///
/// # Errors
/// As [`run`].
pub(super) fn call(call: &Invocation<'_>, limit: Duration) -> Result<Output, ToolError> {
    let shown = call.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(call.program);
    command
        .args(call.arguments)
        .envs(call.variables.iter().copied())
        .stdin(if call.input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = match call.inside {
        Some(inside) => inside.spawn(&mut command),
        None => command.spawn(),
    };
    let mut child = started.map_err(|error| ToolError::Start(shown.clone(), error))?;
    // Both pipes are drained while it runs: a full one would stop it.
    let readers = [child.stdout.take().map(Drain::new), child.stderr.take().map(Drain::new)];
    if let (Some(input), Some(mut pipe)) = (call.input, child.stdin.take()) {
        // A program that has ended already says itself why it did not read.
        let _ = pipe.write_all(input);
    }
    let waits = if call.inside.is_some() { Waits::ForDevices } else { Waits::ForAnything };
    let ended =
        patiently(&mut child, limit, waits, NO_PROGRESS).map_err(|error| ToolError::Wait(shown.clone(), error))?;
    if ended != Waited::Ended {
        // Asked first: e2fsck stops between two writes then. It may have ended in between.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        if !wait(&mut child, TERM_LIMIT).unwrap_or(false) {
            let _ = child.kill();
        }
        let stopped = wait(&mut child, KILL_LIMIT).unwrap_or(false);
        if stopped {
            let _ = child.wait();
        } else {
            // It waits in the kernel for a device, and so would we. Whoever collects it does so when it has ended.
            std::thread::spawn(move || child.wait());
        }
        return Err(match ended {
            Waited::Silent => ToolError::Silent(shown, stopped),
            Waited::Idle => ToolError::Idle(shown, stopped),
            Waited::Ended | Waited::Late => ToolError::Late(shown, limit, stopped),
        });
    }
    let status = child.wait().map_err(|error| ToolError::Wait(shown, error))?;
    let [out, err] = readers.map(|reader| reader.map(Drain::content).unwrap_or_default());
    Ok(Output { status, out, err })
}

/// How a wait for a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Ended,
    /// Its time is over.
    Late,
    /// It waits for a device, and that has not answered for long.
    Silent,
    /// It waits for something else.
    Idle,
}

/// What a program may wait for as long as its time is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    ForAnything,
    ForDevices,
}

/// As [`wait`], and sees whether the child goes on; `still` is how long it may not.
fn patiently(child: &mut Child, limit: Duration, waits: Waits, still: Duration) -> io::Result<Waited> {
    let (end, task) = (Instant::now() + limit, PathBuf::from(format!("/proc/{}", child.id())));
    let (mut stillness, devices) = (Stillness::default(), Path::new("/sys/class/block"));
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if wait(child, left.min(LOOK))? {
            return Ok(Waited::Ended);
        }
        if left <= LOOK {
            return Ok(Waited::Late);
        }
        let sleep = sleep_of(&task).filter(|sleep| sleep.uninterruptible || waits == Waits::ForDevices);
        if stillness.of(sleep, answered(devices), Instant::now()) >= still {
            return Ok(if sleep.is_some_and(|sleep| sleep.uninterruptible) { Waited::Silent } else { Waited::Idle });
        }
    }
}

/// How often is looked whether a program goes on.
const LOOK: Duration = Duration::from_secs(1);

/// Whether the child ends within the limit.
fn wait(child: &mut Child, limit: Duration) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Adds what a program said; of one that says more than anybody reads the last is kept, and that it could not read. A program of an image
/// must not fill the memory.
fn keep(kept: &mut Vec<u8>, said: &[u8]) {
    kept.extend_from_slice(said);
    if kept.len() <= 2 * OUTPUT {
        return;
    }
    let cut = kept.len() - OUTPUT;
    let found = UNREADABLE.into_iter().find(|text| kept[..cut].windows(text.len()).any(|part| part == *text));
    kept.drain(..cut);
    if let Some(text) = found {
        kept.splice(..text.len(), text.iter().copied());
    }
}

/// Reads a pipe on a thread of its own.
struct Drain {
    bytes: Arc<Mutex<Zeroizing<Vec<u8>>>>,
    end: Receiver<()>,
}

impl Drain {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        // Room enough for a secret without growing, which would leave copies behind.
        let bytes = Arc::new(Mutex::new(Zeroizing::new(Vec::with_capacity(4 * WORDS))));
        let (shared, (ended, end)) = (Arc::clone(&bytes), channel::<()>());
        std::thread::spawn(move || {
            let mut part = Zeroizing::new([0; 512]);
            loop {
                match pipe.read(part.as_mut_slice()) {
                    Ok(length @ 1..) => {
                        keep(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), &part[..length]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // What could be read is worth more than the reason why the rest could not.
                    _ => break,
                }
            }
            drop(ended);
        });
        Self { bytes, end }
    }

    /// What has come until its end, or for as long as is waited for that.
    fn content(self) -> Zeroizing<Vec<u8>> {
        // Nothing is ever sent: the end of the pipe closes the channel.
        let _ = self.end.recv_timeout(OUTPUT_LIMIT);
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_stops_talking_fills_no_memory() {
        for (first, unreadable) in [("short read", true), ("all is well", false)] {
            let mut kept = Vec::new();
            keep(&mut kept, first.as_bytes());
            for number in 0..100_000 {
                keep(&mut kept, format!("line {number}\n").as_bytes());
                assert!(kept.len() <= 2 * OUTPUT + 512);
            }
            assert!(kept.ends_with(b"line 99999\n"));
            let said = UNREADABLE.into_iter().any(|text| kept.windows(text.len()).any(|part| part == text));
            assert_eq!(said, unreadable, "{first}");
        }
    }

    #[test]
    fn words_status_and_limit() {
        let sh =
            |arguments: &[&str], limit| run(&Invocation { arguments, ..Invocation::of(Path::new("/bin/sh")) }, limit);
        let ended = sh(&["-c", "echo out; echo err >&2; exit 3"], Duration::from_secs(10)).unwrap();
        assert_eq!((ended.status.code(), ended.words.as_str()), (Some(3), "out err"));
        let begin = Instant::now();
        let error = sh(&["-c", "exec sleep 20"], Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end") && begin.elapsed() < Duration::from_secs(10), "{error}");
        for (said, unreadable) in [("Error reading block 7 (Input/output error).", true), ("bad magic number", false)] {
            let ended = sh(&["-c", &format!("echo '{said}'; yes | head -c 100000; exit 4")], Duration::from_secs(10));
            assert_eq!(ended.unwrap().unreadable, unreadable, "{said}");
        }
        // It is asked to stop before it has to.
        let dir = tempfile::tempdir().unwrap();
        let script =
            format!("trap 'echo clean > {}; exit' TERM; while :; do sleep 0.1; done", dir.path().join("end").display());
        sh(&["-c", &script], Duration::from_millis(300)).unwrap_err();
        assert_eq!(std::fs::read_to_string(dir.path().join("end")).unwrap(), "clean\n");
        // A child of it goes on and holds its output open.
        let begin = Instant::now();
        let ended = sh(&["-c", "echo said; sleep 30 & exit 4"], Duration::from_secs(20)).unwrap();
        assert_eq!((ended.status.code(), ended.words.as_str()), (Some(4), "said"));
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
        let none = run(&Invocation::of(Path::new("/no/such")), Duration::from_secs(1));
        assert!(none.unwrap_err().to_string().contains("such"));
    }

    #[test]
    fn one_that_waits_for_no_device_does_nothing() {
        let waited = |waits| {
            let mut child = Command::new("sleep").arg("20").spawn().unwrap();
            let waited = patiently(&mut child, Duration::from_secs(4), waits, Duration::from_secs(2)).unwrap();
            child.kill().and_then(|()| child.wait()).unwrap();
            waited
        };
        assert_eq!(waited(Waits::ForDevices), Waited::Idle);
        assert_eq!(waited(Waits::ForAnything), Waited::Late);
    }
}
