//! The process that must go on. It opens no device, starts no thread, and waits for nothing without a limit.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::fault;
use super::message::{Avoid, Hang, Message};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::kmsg;
use crate::mountinfo::{self, Mount};
use crate::silence::Silence;

/// How long an attempt that has said its last word may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(2);
/// How long an attempt may say nothing at all, not even that it goes on.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);
/// What is said while it says nothing.
const SILENT: &str = "the attempt to boot says nothing";
/// Between two looks at how long a wait lasts.
const SLICE: Duration = Duration::from_secs(1);
/// How long the mounts of an attempt that hangs may take to be taken away.
const CLEAN_LIMIT: Duration = Duration::from_secs(5);
/// Attempts that hang before the boot stops.
const ATTEMPTS: usize = 4;
/// How often systemd is asked for more time while an attempt says that it goes on, and for how much.
const EXTEND: Duration = Duration::from_secs(5);
const EXTENSION: Duration = Duration::from_secs(120);
/// Bytes of a message: far above the longest list of devices.
const LONGEST: usize = 1 << 20;

/// Starts attempts of one kind.
#[derive(Debug)]
pub struct Supervisor<'a> {
    env: &'a Env,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Where the root is attached.
    sysroot: PathBuf,
    /// What was mounted before the first attempt.
    before: Vec<Mount>,
}

/// The name of a process that may stay. systemd ends no process at its switch of root whose name begins like this
/// (<https://systemd.io/ROOT_STORAGE_DAEMONS/>).
const KEPT: &str = "@rdlive";

/// Where attempts mount something, beside the sysroot: at what ends without a slash, or below.
const OURS: [&str; 6] =
    ["run/initramfs/", "run/rdlive/", "run/overlay", "run/rootfsbase", "run/overlayfs-backing", "run/overlayfs-r"];

/// Why there is no root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason.
    pub stop: Stop,
    /// The attempt has written its report; after a hang or a fault nobody has.
    pub reported: bool,
}

/// How one attempt ended.
enum Ended {
    Said(Message),
    /// Without its last word.
    Died(Option<ExitStatus>),
}

impl<'a> Supervisor<'a> {
    /// For attempts that are called with `arguments`: `attempt`, the personality, and what is given to that.
    #[must_use]
    pub fn new(env: &'a Env, sysroot: &Path, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        // The program itself, whatever its name leads to by now.
        Self::of(env, sysroot, Path::new("/proc/self/exe"), arguments)
    }

    /// As [`Supervisor::new`] with another program.
    fn of(
        env: &'a Env,
        sysroot: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let (program, sysroot) = (program.to_owned(), sysroot.to_owned());
        Self {
            env,
            program,
            arguments: arguments.into_iter().map(Into::into).collect(),
            sysroot,
            before: mountinfo::all(env),
        }
    }

    /// Attempts to build the root until an attempt ends without hanging; [`Message::Built`] or [`Message::Declined`].
    ///
    /// # Errors
    /// Why there is no root. What the attempts have mounted is gone then.
    pub fn run(&self) -> Result<Message, Trouble> {
        let mut avoid = Avoid::default();
        for left in (0..ATTEMPTS).rev() {
            let hang = match self.attempt(&avoid) {
                Ok(Ended::Said(Message::Stopped(stop))) => return Err(Trouble { stop, reported: true }),
                Ok(Ended::Said(Message::Hangs(hang))) => hang,
                Ok(Ended::Said(Message::Fault { place, what })) => return Err(self.failed(fault::stop(&place, &what))),
                Ok(Ended::Said(message)) => return Ok(message),
                Ok(Ended::Died(status)) => return Err(self.failed(died(status))),
                Err(error) => {
                    let cause = format!("starting an attempt to boot: {error}");
                    return Err(self.failed(Stop::new(Code::Environment, cause)));
                }
            };
            match avoid.after(&hang).filter(|_| left > 0) {
                Some(next) => {
                    self.clean();
                    kmsg::fall_back(self.env, &format!("{}, beginning anew without it", hang.stop()));
                    avoid = next;
                }
                None => return Err(self.failed(hang.stop())),
            }
        }
        // The last attempt returns.
        Err(self.failed(Hang::default().stop()))
    }

    fn failed(&self, stop: Stop) -> Trouble {
        self.clean();
        Trouble { stop, reported: false }
    }

    fn attempt(&self, avoid: &Avoid) -> io::Result<Ended> {
        let mut words = self.arguments.clone();
        // After the personality, before what is given to that.
        words.insert(2.min(words.len()), crate::json::line(avoid)?.into());
        let mut child = Command::new(&self.program)
            .arg0(KEPT)
            .args(words)
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        listen(self.env, &mut child, pipe)
    }

    /// Takes away what attempts have mounted, newest first, in a process that may hang as well.
    fn clean(&self) {
        let mut new = mountinfo::all(self.env);
        new.retain(|mount| !self.before.contains(mount) && self.is_ours(&mount.at));
        if new.is_empty() {
            return;
        }
        let paths = new.iter().rev().map(|mount| mount.at.as_os_str());
        let child =
            Command::new("/proc/self/exe").arg0("rdlive").arg("detach").args(paths).stdin(Stdio::null()).spawn();
        let mut silence = Silence::new("taking away what the attempt has mounted");
        let ended = child.and_then(|mut child| {
            let ended = ends(&child, CLEAN_LIMIT, || silence.tell(self.env))?;
            if ended {
                child.wait()?;
            }
            Ok(ended)
        });
        if !ended.is_ok_and(|ended| ended) {
            log::warn!("what the attempt has mounted could not be taken away, ignoring");
        }
    }
}

impl Supervisor<'_> {
    /// Whether an attempt may have mounted something here; others mount in the meantime, too.
    fn is_ours(&self, at: &Path) -> bool {
        let Ok(at) = at.strip_prefix(self.env.root()) else { return false };
        let sysroot = self.sysroot.strip_prefix("/").unwrap_or(&self.sysroot);
        at.starts_with(sysroot)
            || OURS.iter().any(|ours| at.starts_with(ours) && (!ours.ends_with('/') || at != Path::new(ours)))
    }
}

/// Takes mounts away (`rdlive detach`).
pub fn detach(paths: &[String]) {
    for path in paths {
        if let Err(errno) = unmount(Path::new(path), UnmountFlags::DETACH) {
            log::debug!("unmounting {path}: {errno}");
        }
    }
}

/// What this program says when it is called with these arguments, in a process that is left behind when the time is over.
///
/// # Errors
/// It could not be started. What it has said until then is no error.
pub fn answer(arguments: &[&str], limit: Duration) -> io::Result<String> {
    let until = Instant::now() + limit;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(KEPT).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
    let mut heard = Vec::new();
    while hear(&mut pipe, &mut heard)? && heard.len() < LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            polled => {
                polled?;
            }
        }
    }
    // One that has said all and stays has its reasons, too.
    if ends(&child, Duration::from_millis(100), || {}).unwrap_or(false) {
        // Only collects it.
        let _ = child.wait();
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// Hears an attempt until its last word, or its end.
fn listen(env: &Env, child: &mut Child, mut pipe: ChildStdout) -> io::Result<Ended> {
    fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut heard = Vec::new();
    let (mut open, mut stays) = (true, false);
    let mut last = Instant::now();
    let (mut extended, mut silence) = (last, Silence::new(SILENT));
    loop {
        let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
        if open {
            fds.push(PollFd::new(&pipe, PollFlags::IN));
        }
        let now = Instant::now();
        let left = SILENCE_LIMIT.saturating_sub(now.duration_since(last)).min(silence.left(now));
        let count = match poll(&mut fds, Some(&Timespec::try_from(left).map_err(io::Error::other)?)) {
            Err(rustix::io::Errno::INTR) => continue,
            count => count?,
        };
        let dead = !fds[0].revents().is_empty();
        if count == 0 && last.elapsed() >= SILENCE_LIMIT {
            // Not even its watchdog runs.
            let _ = child.kill();
            let seconds = SILENCE_LIMIT.as_secs();
            return Ok(Ended::Said(Message::Hangs(Hang { what: "booting".to_owned(), seconds, ..Hang::default() })));
        }
        open = open && hear(&mut pipe, &mut heard)?;
        while let Some(message) = next(&mut heard) {
            last = Instant::now();
            silence = Silence::new(SILENT);
            match message {
                Message::Alive if last.duration_since(extended) < EXTEND => {}
                Message::Alive => {
                    extend();
                    extended = last;
                }
                Message::Stays => stays = true,
                message => {
                    if stays {
                        log::debug!("the attempt stays until every device that it looks at has answered");
                    } else {
                        end(env, child, &message);
                    }
                    return Ok(Ended::Said(message));
                }
            }
        }
        // After what was heard: a message has begun another silence.
        silence.tell(env);
        if dead {
            return Ok(Ended::Died(child.wait().ok()));
        }
        if heard.len() > LONGEST {
            let _ = child.kill();
            return Ok(Ended::Died(None));
        }
    }
}

/// Reads what is there; false at the end.
fn hear(pipe: &mut ChildStdout, heard: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 4096];
    loop {
        match pipe.read(&mut part) {
            Ok(0) => return Ok(false),
            Ok(length) => heard.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if heard.len() > LONGEST {
            return Ok(true);
        }
    }
}

/// Takes one message out of what was heard. What is none is somebody else's output, and logged.
fn next(heard: &mut Vec<u8>) -> Option<Message> {
    loop {
        let end = heard.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = heard.drain(..=end).collect();
        match crate::json::read(&line) {
            Ok(message) => return Some(message),
            Err(_) => log::debug!("{}", String::from_utf8_lossy(&line)),
        }
    }
}

/// An attempt that has said its last word goes, with all that it holds. One with a thread that waits for a device cannot, and is
/// left behind.
fn end(env: &Env, child: &mut Child, message: &Message) {
    if !matches!(message, Message::Built { .. } | Message::Declined | Message::Stopped(_)) {
        let _ = child.kill();
    }
    let mut silence = Silence::new("ending the attempt");
    if ends(child, END_LIMIT, || silence.tell(env)).unwrap_or(false) {
        // Only collects it.
        let _ = child.wait();
    } else {
        let _ = child.kill();
        log::warn!("the attempt has ended, but a device does not answer it: it is left behind");
    }
}

/// Whether a child ends, with all its threads, within the limit. `tell` is called now and then.
fn ends(child: &Child, limit: Duration, mut tell: impl FnMut()) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let slice = Timespec::try_from(left.min(SLICE)).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&slice)) {
            Err(rustix::io::Errno::INTR) => {}
            count if count? > 0 => return Ok(true),
            _ if left.is_zero() => return Ok(false),
            _ => tell(),
        }
    }
}

fn died(status: Option<ExitStatus>) -> Stop {
    let how = status.map_or_else(|| "in an unknown way".to_owned(), |status| format!("with {status}"));
    Stop::new(Code::Fault, format!("the attempt to boot ended without a word, {how}"))
}

/// Asks systemd for more time, where it has set a limit (sd_notify(3)). It counts from the moment it is asked.
fn extend() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let words = format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros());
    let sent = address(&socket.to_string_lossy())
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), &address).map(drop));
    if let Err(error) = sent {
        log::debug!("asking systemd for more time: {error}");
    }
}

/// A path, or with `@` an abstract name.
fn address(socket: &str) -> io::Result<SocketAddr> {
    match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(test)]
mod tests;
