//! Takes the layers apart: mounts, device-mapper devices and loop devices, in as many rounds as there are layers.
//!
//! No list of what was built is needed, and none would hold: programs have mounted more since. What depends on what is
//! left to the kernel, which refuses what is still used; a round that changes nothing is tried again a few times.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount_move, mount_remount, unmount};

use super::emergency;
use super::mounts;
use crate::env::Env;
use crate::mapper;
use crate::mountinfo::{self, Mount};
use crate::patient::bounded;

/// Rounds in all; a stack of a live root has five layers.
const ROUNDS: u32 = 60;
/// Rounds without any change before the rest is left as it is.
const IDLE_ROUNDS: u32 = 10;
/// Pause after a round without change: the kernel frees loop devices a moment after their last user.
const PAUSE: Duration = Duration::from_millis(100);

/// What may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    below: PathBuf,
    whole_machine: bool,
}

impl Scope {
    /// Where the old root is.
    fn old_root(&self) -> PathBuf {
        self.below.join("oldroot")
    }

    /// A directory for what is moved out of the old root.
    fn aside(&self) -> PathBuf {
        self.below.join("aside")
    }

    /// The whole machine, but for what the kernel itself shows in `/proc`, `/sys`, `/dev` and `/run`.
    pub fn machine() -> Self {
        Self { below: "/".into(), whole_machine: true }
    }

    /// Mounts at or below a directory, and loop devices whose files are there.
    pub fn below(dir: &Path) -> Self {
        Self { below: dir.to_owned(), whole_machine: false }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TornDown {
    /// In the order in which it went.
    pub gone: Vec<String>,
    /// What is still there.
    pub left: Vec<String>,
}

/// A teardown.
#[derive(Debug)]
pub struct Teardown<'a> {
    env: &'a Env,
    scope: Scope,
    limit: Duration,
    stuck: Vec<PathBuf>,
    outcome: TornDown,
}

/// What is there at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    mounts: Vec<Mount>,
    mapped: Vec<String>,
    loops: Vec<String>,
}

impl Picture {
    fn is_empty(&self) -> bool {
        self.mounts.is_empty() && self.mapped.is_empty() && self.loops.is_empty()
    }
}

impl<'a> Teardown<'a> {
    /// A teardown that gives each operation `limit` without anything being written.
    pub fn new(env: &'a Env, scope: Scope, limit: Duration) -> Self {
        Self { env, scope, limit, stuck: Vec::new(), outcome: TornDown::default() }
    }

    /// Does it, in bounded time unless the limit is zero. What cannot be unmounted is made read-only, so that at least
    /// its data is safe.
    pub fn run(mut self) -> TornDown {
        self.sync();
        self.set_aside();
        let mut before = self.picture();
        let mut idle = 0;
        for _ in 0..ROUNDS {
            if before.is_empty() || idle > IDLE_ROUNDS {
                break;
            }
            self.round(&before);
            let after = self.picture();
            idle = if after == before { idle + 1 } else { 0 };
            before = after;
            if idle > 0 {
                thread::sleep(PAUSE);
            }
        }
        self.give_up(&before);
        self.sync();
        self.outcome
    }

    /// Moves what is mounted in the old root out of it. The medium is mounted somewhere in there, and cannot go before the
    /// root that is made from it; the root cannot go before what is mounted in it.
    fn set_aside(&self) {
        for (number, at) in mounts::children(&mountinfo::all(self.env), &self.scope.old_root()).iter().enumerate() {
            let to = self.scope.aside().join(number.to_string());
            let moved = fs::create_dir_all(&to).is_ok() && mount_move(at, &to).is_ok();
            // One that stays, such as a single file, can be unmounted where it is.
            log::debug!("shutdown: {} {}", at.display(), if moved { "set aside" } else { "stays" });
        }
    }

    fn picture(&self) -> Picture {
        // The newest first: a device is made from older ones.
        let mapped = if self.scope.whole_machine { self.block_devices("dm-", "dm/name") } else { Vec::new() };
        let loops = self.block_devices("loop", "loop/backing_file");
        Picture {
            mounts: mounts::doomed(&mountinfo::all(self.env), &self.scope.below),
            mapped: mapped.into_iter().rev().map(|(_, name)| name).collect(),
            loops: loops
                .into_iter()
                .filter(|(_, file)| Path::new(file).starts_with(&self.scope.below))
                .map(|(device, _)| device)
                .collect(),
        }
    }

    /// Block devices by kind, with the text of one of their files in sysfs.
    fn block_devices(&self, prefix: &str, file: &str) -> Vec<(String, String)> {
        let Ok(entries) = fs::read_dir(self.env.path("sys/block")) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<_> = names
            .filter(|name| name.starts_with(prefix))
            .filter_map(|name| {
                let text = self.env.text(Path::new("sys/block").join(&name).join(file))?;
                Some((name, text))
            })
            .collect();
        found.sort();
        found
    }

    fn round(&mut self, picture: &Picture) {
        for mount in &picture.mounts {
            self.unmount(&mount.at);
        }
        for name in &picture.mapped {
            self.unmap(name);
        }
        for name in &picture.loops {
            self.detach(name);
        }
    }

    fn unmount(&mut self, at: &Path) {
        let (target, what) = (at.to_owned(), format!("mount {}", at.display()));
        match self.attempt(at, &what, move || unmount(&target, UnmountFlags::NOFOLLOW)) {
            Some(Ok(())) => self.gone(what),
            Some(Err(errno)) => log::debug!("shutdown: unmounting {}: {errno}", at.display()),
            None => {}
        }
    }

    fn unmap(&mut self, name: &str) {
        let (target, what) = (name.to_owned(), format!("device-mapper {name}"));
        match self.attempt(&mapper_place(name), &what, move || mapper::remove(&target)) {
            Some(Ok(())) => self.gone(what),
            Some(Err(error)) => log::debug!("shutdown: {error}"),
            None => {}
        }
    }

    fn detach(&mut self, name: &str) {
        let node = self.env.path("dev").join(name);
        let target = node.clone();
        // Still mounted: the kernel would only note the wish, and free the device later.
        let detached = self.attempt(&node, name, move || {
            OpenOptions::new().read(true).open(target).is_ok_and(|device| rdlive_sys::loopdev::detach(&device).is_ok())
        });
        if detached == Some(true) {
            log::debug!("shutdown: {name} detached");
        }
    }

    /// Does something that may hang; never again what did.
    fn attempt<T: Send + 'static>(
        &mut self,
        place: &Path,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.stuck.iter().any(|stuck| stuck == place) {
            return None;
        }
        let done = bounded(self.env, self.limit, what, work);
        if done.is_none() {
            log::warn!("shutdown: {what} hangs, leaving it");
            self.stuck.push(place.to_owned());
        }
        done
    }

    fn gone(&mut self, what: String) {
        log::debug!("shutdown: {what} gone");
        self.outcome.gone.push(what);
    }

    fn give_up(&mut self, picture: &Picture) {
        if self.scope.whole_machine && !picture.is_empty() {
            emergency::read_only(self.env);
        }
        for mount in &picture.mounts {
            if !self.stuck.contains(&mount.at) {
                let target = mount.at.clone();
                let what = format!("making {} read-only", mount.at.display());
                let result =
                    bounded(self.env, self.limit, &what, move || mount_remount(&target, MountFlags::RDONLY, ""));
                let word = if matches!(result, Some(Ok(()))) { "read-only" } else { "writable" };
                log::debug!("shutdown: {} stays, {word}", mount.at.display());
            }
            self.outcome.left.push(format!("{} ({})", mount.at.display(), mount.fs));
        }
        self.outcome.left.extend(picture.mapped.iter().map(|name| format!("device-mapper {name}")));
        self.outcome.left.extend(picture.loops.iter().cloned());
    }

    fn sync(&self) {
        if bounded(self.env, self.limit, "writing what is in memory", rustix::fs::sync).is_none() {
            log::warn!("shutdown: writing what is in memory hangs, going on");
        }
    }
}

/// What stands for a device-mapper device among the places that hang.
fn mapper_place(name: &str) -> PathBuf {
    Path::new(mapper::DIR).join(name)
}
