//! One match: every step of a plan, done.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdlive_sys::loopdev::{self, LoopDevice, Setup};

use super::driver::LoadModule;
use super::mount::{self, FileSystem, Purpose};
use super::protected::Protected;
use super::secret::Secret;
use super::sign::{self, Noted};
use super::unfinished;
use super::unwind::{Undo, Undos};
use super::witness::Witness;
use crate::area::Found;
use crate::attempt::Watchdog;
use crate::clock;
use crate::config::{Access, TmpfsSize};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::Seen;
use crate::foreign;
use crate::format::torn;
use crate::handover::StepRecord;
use crate::kmsg;
use crate::mapper::cipher::Cipher;
use crate::plan::step::only_show;
use crate::plan::{Done, GivenUp, Place, Slot, Step, Wanted};

/// A device in a slot. A loop device is held open until something is mounted from it.
#[derive(Debug)]
struct Held {
    node: PathBuf,
    device: Option<LoopDevice>,
    /// What it was when the plan was made, as far as that is known.
    seen: Seen,
}

/// Does steps, remembers devices by role, records what it did and how to undo it.
pub struct Executor<'a> {
    pub(super) env: &'a Env,
    pub(super) load: LoadModule<'a>,
    slots: HashMap<Slot, Held>,
    undos: Undos,
    pub(super) sums: HashMap<PathBuf, String>,
    /// The key of encrypted areas, where one was named and found.
    pub key: Option<Secret>,
    /// Keys of volumes that were made and are not open yet, by the name they will have.
    pub(super) keys: HashMap<String, Secret>,
    /// What lies below opened volumes, by the name that they were to have.
    pub(super) volumes: HashMap<String, PathBuf>,
    /// What the area is encrypted with, as the kernel says.
    pub cipher: Option<Cipher>,
    /// Everything done so far.
    pub records: Vec<StepRecord>,
    /// Those that failed, by their place in the records, and why.
    pub failed: Vec<(usize, Stop)>,
    /// What has come of the steps that are being done.
    done: Done,
    /// The area was repaired, and what it shows may be what is left of it.
    pub(super) repaired: bool,
    /// Is told what is being done.
    pub watchdog: Watchdog,
}

impl<'a> Executor<'a> {
    /// An executor on a machine.
    pub fn new(env: &'a Env, load: LoadModule<'a>) -> Self {
        let (slots, undos, sums) = (HashMap::new(), Undos::default(), HashMap::new());
        let (records, failed, done) = (Vec::new(), Vec::new(), Done::default());
        let (keys, volumes, watchdog) = (HashMap::new(), HashMap::new(), Watchdog::default());
        Self {
            env,
            load,
            slots,
            undos,
            sums,
            key: None,
            keys,
            volumes,
            cipher: None,
            records,
            failed,
            done,
            repaired: false,
            watchdog,
        }
    }

    /// The same, seen by a watchdog.
    #[must_use]
    pub fn watched(self, watchdog: &Watchdog) -> Self {
        Self { watchdog: watchdog.clone(), ..self }
    }

    /// The node of the device in a slot.
    pub fn node(&self, slot: Slot) -> Option<&Path> {
        self.slots.get(&slot).map(|held| held.node.as_path())
    }

    /// Whether a node is a loop device that a step has made.
    pub fn has_looped(&self, node: &Path) -> bool {
        self.slots.values().any(|held| held.device.is_some() && held.node == node)
    }

    /// A mark to unwind to.
    pub fn mark(&self) -> usize {
        self.undos.mark()
    }

    /// Undoes everything since a mark, newest first.
    pub fn unwind(&mut self, mark: usize) {
        self.unwind_between(mark, self.mark());
    }

    /// Undoes what was done between two marks, newest first; what was done since then stays.
    pub fn unwind_between(&mut self, mark: usize, end: usize) {
        for undo in self.undos.take(mark, end) {
            if let Undo::Forget(slot) = undo {
                self.slots.remove(&slot);
            } else if let Err(failure) = undo.apply() {
                log::warn!("undo: {failure}, ignoring");
            }
        }
    }

    /// Does the steps of a stage in order; the first failure ends it. What is told about a place for changes before a failure comes with
    /// the steps that are done next: it was done.
    ///
    /// # Errors
    /// The failed step as a [`Stop`]; what was done before it stays until [`Executor::unwind`]. What has come of those before it:
    /// [`Executor::done_before_failing`].
    pub fn perform(&mut self, stage: &str, steps: &[Step]) -> Result<Done, Stop> {
        self.done.given_up.clear();
        self.run(stage, steps)?;
        Ok(std::mem::take(&mut self.done))
    }

    /// As [`Executor::perform`], of steps that only show what is kept. Where one of them may change it, none is done.
    ///
    /// # Errors
    /// As [`Executor::perform`]; [`Code::Fault`] for a plan that is wrong.
    pub fn show(&mut self, stage: &str, steps: &[Step]) -> Result<Done, Stop> {
        only_show(steps)?;
        self.perform(stage, steps)
    }

    /// What has come of steps of which one has failed.
    pub fn done_before_failing(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    /// Tells what happened to a place for changes.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.done.notes.push(note.into());
    }

    /// As [`Executor::note`], once.
    pub(super) fn note_once(&mut self, note: String) {
        if !self.done.notes.contains(&note) {
            self.done.notes.push(note);
        }
    }

    fn run(&mut self, stage: &str, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            match step {
                Step::Either { first, otherwise, because } => {
                    self.either(stage, first, otherwise, *because)?;
                    continue;
                }
                Step::Recover { attempt, from, with, because } => {
                    self.recover(stage, attempt, *from, with, because)?;
                    continue;
                }
                _ => {}
            }
            let at = clock::since_boot();
            let doing = self.watchdog.doing(step.to_string());
            let result = self.step(step);
            drop(doing);
            let took = clock::since_boot().saturating_sub(at);
            self.record(stage, step, at, took, result.as_ref().err());
            result?;
        }
        Ok(())
    }

    fn either(&mut self, stage: &str, first: &[Step], otherwise: &[Step], what: Wanted) -> Result<(), Stop> {
        let (mark, given_up) = (self.mark(), self.done.given_up.len());
        let Err(why) = self.run(stage, first) else { return Ok(()) };
        self.unwind(mark);
        kmsg::fall_back(self.env, &format!("{what}, falling back: {}", why.with_advice()));
        // What was given up on a way that led nowhere is not what is missing, unless it is the same: then its reason comes first.
        let on_the_way = self.done.given_up.split_off(given_up);
        self.done.given_up.extend(on_the_way.into_iter().filter(|given_up| given_up.what == what));
        self.done.given_up.push(GivenUp { what, why });
        self.run(stage, otherwise)
    }

    fn recover(&mut self, stage: &str, attempt: &[Step], from: Code, with: &[Step], because: &str) -> Result<(), Stop> {
        let mark = self.mark();
        match self.run(stage, attempt) {
            Err(stop) if stop.code == from => {
                self.unwind(mark);
                // What is made anew must not be held through a device of the old.
                self.slots.remove(&Slot::Cow);
                log::info!("{because}: {stop}");
                self.note(format!("{because}: {}", stop.cause));
                self.run(stage, with)
            }
            result => result,
        }
    }

    /// Remembers a device by its role; a loop device lives as long as it is held or mounted.
    pub(super) fn hold(&mut self, into: Slot, node: PathBuf, device: Option<LoopDevice>) {
        self.hold_seen(into, node, device, Seen::default());
    }

    fn hold_seen(&mut self, into: Slot, node: PathBuf, device: Option<LoopDevice>, seen: Seen) {
        self.slots.insert(into, Held { node, device, seen });
        self.undos.push(Undo::Forget(into));
    }

    /// The device in a slot that is about to be written to: still the one that was seen (attacks.md F5).
    pub(super) fn witness(&self, slot: Slot) -> Result<Witness, Stop> {
        let held = self.slots.get(&slot);
        let held = held.ok_or_else(|| Stop::new(Code::AreaUnavailable, format!("no device is known as {slot}")))?;
        Witness::of(self.env, held.node.clone(), &held.seen, Access::ReadOnly)
    }

    /// What is in a slot was repaired or emptied by a step of ours, and need not hold any more what was found on it.
    pub(super) fn made_anew(&mut self, slot: Slot) {
        if let Some(held) = self.slots.get_mut(&slot) {
            held.seen = std::mem::take(&mut held.seen).made_anew();
        }
    }

    /// Remembers how to undo something.
    pub(super) fn undo(&mut self, undo: Undo) {
        self.undos.push(undo);
    }

    /// Removes a link that was made and leads nowhere any more.
    pub fn remove_link(&mut self, at: &Path) {
        let link = self.env.path(at);
        if link.is_symlink() && fs::remove_file(&link).is_ok() {
            log::info!("removed the link {}", at.display());
            self.undos.forget(&Undo::Unlink(link));
        }
    }

    /// A mount is gone: nothing to undo any more.
    pub(super) fn undone(&mut self, at: &Path) {
        self.undos.forget(&Undo::Unmount(at.to_owned()));
    }

    fn record(&mut self, stage: &str, step: &Step, at: Duration, took: Duration, error: Option<&Stop>) {
        let (at_ms, took_ms) = (clock::milliseconds(at), clock::milliseconds(took));
        match error {
            None => log::info!("{stage}: {step} [{took_ms:.1} ms]"),
            Some(error) => log::info!("{stage}: {step} failed: {error}"),
        }
        self.failed.extend(error.map(|error| (self.records.len(), error.clone())));
        let (code, error) = error.map(|error| (error.code, error.cause.clone())).unzip();
        self.records.push(StepRecord { stage: stage.to_owned(), step: step.to_string(), at_ms, took_ms, error, code });
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Driver { module, filesystem, option } => self.driver(module, filesystem.as_deref(), option),
            Step::Device { device, into } => {
                let node = self.env.path(&device.node);
                if *into == Slot::Cow {
                    forget_cached(&node);
                }
                self.hold_seen(*into, node, None, device.clone());
                Ok(())
            }
            Step::Loop { file, access, direct, into, found } => self.loop_device(file, *access, *direct, *into, *found),
            Step::Mount { what, fs, access, options, at } => self.mount(what, fs, *access, options, at),
            Step::Tmpfs { size, options, at } => self.tmpfs(*size, options, at),
            Step::Release { slot, at } => self.release(*slot, at.as_deref()),
            Step::Bind { from, at } => self.bind(from, at),
            Step::Move { from, at } => self.move_mount(from, at),
            Step::MakeDir { path } => self.directory(path),
            Step::Symlink { at, to } => self.symlink(at, to),
            Step::LinkDevice { at, slot } => {
                let node = self.node(*slot).map(Path::to_owned);
                node.map_or(Ok(()), |node| self.symlink(at, &node))
            }
            Step::Overlay { lower, upper, work, options, at } => self.overlay(lower, upper, work, options, at),
            Step::Either { first, otherwise, because } => self.either("", first, otherwise, *because),
            Step::Recover { attempt, from, with, because } => self.recover("", attempt, *from, with, because),
            Step::Remount { at } => self.remount(at),
            Step::Unmount { at } => self.unmount(at),
            Step::Area(act) => self.area_act(act),
            Step::Volume(act) => self.volume_act(act),
            Step::Map(act) => self.map_act(act),
            Step::Ram(act) => self.ram_act(act),
        }
    }

    fn driver(&self, module: &str, filesystem: Option<&str>, option: &str) -> Result<(), Stop> {
        if filesystem.is_some_and(|name| self.has_filesystem(name)) {
            return Ok(());
        }
        let loaded = (self.load)(module);
        let present = match filesystem {
            Some(name) => self.has_filesystem(name),
            // Only file systems have a list to look into; for the rest the loader's word counts.
            None => loaded.is_ok() || self.env.path("sys/module").join(module).exists(),
        };
        if present {
            return Ok(());
        }
        let why = loaded.err().map_or("it loads, but provides nothing".to_owned(), |error| error.to_string());
        Err(Stop::new(Code::DriverMissing, format!("kernel module {module} is not available: {why}"))
            .wanted(format!("module {module} or {option}=y in the kernel"))
            .advice(format!("add {module} to the initrd (--add-module {module}, or dracut --add-drivers {module})")))
    }

    fn has_filesystem(&self, name: &str) -> bool {
        let table = self.env.text("proc/filesystems").unwrap_or_default();
        table.lines().any(|line| line.split_whitespace().next_back() == Some(name))
    }

    fn loop_device(
        &mut self,
        file: &Path,
        access: Access,
        direct_io: bool,
        into: Slot,
        found: Option<Found>,
    ) -> Result<(), Stop> {
        self.loop_driver();
        let path = self.env.path(file);
        let fail = |operation: &str, error: io::Error| {
            Stop::new(Code::LoopSetup, format!("{operation} {}: {error}", file.display()))
                .advice("see docs/troubleshooting.md; is the medium readable to its end?")
        };
        let witness = match access {
            Access::ReadOnly => None,
            Access::ReadWrite => {
                let opened = foreign::open_for_writing(self.env, file).map_err(|error| fail("opening", error))?;
                Some(Witness::of_file(self.env, opened, file, found)?)
            }
        };
        let opened = match &witness {
            Some(witness) => witness.file(),
            None => &File::open(&path).map_err(|error| fail("opening", error))?,
        };
        if access == Access::ReadWrite {
            sign::noted(self.env, file).iter().for_each(Noted::note);
            if found.is_some() {
                unfinished::forget_replacing(self.env, file);
            }
        }
        let setup = Setup { read_only: access == Access::ReadOnly, direct_io, autoclear: true, ..Setup::default() };
        let device = loopdev::attach(&self.env.path("dev"), opened, &path.to_string_lossy(), setup)
            .map_err(|error| fail("attaching a loop device to", error))?;
        let node = self.env.path(format!("dev/loop{}", device.number));
        self.hold(into, node, Some(device));
        Ok(())
    }

    fn mount(&mut self, what: &Place, fs: &str, access: Access, options: &[String], at: &Path) -> Result<(), Stop> {
        let (source, code) = match what {
            Place::Slot(slot) => {
                let code = match slot {
                    Slot::Medium | Slot::Host | Slot::Root | Slot::Looked => Code::MediumMount,
                    Slot::Cow => Code::AreaDamaged,
                    _ => Code::ImageMount,
                };
                let node = self.node(*slot).map(|node| node.to_string_lossy().into_owned());
                let missing = if code == Code::AreaDamaged { Code::AreaUnavailable } else { code };
                (node.ok_or_else(|| Stop::new(missing, format!("no device is known as {slot}")))?, code)
            }
            Place::Named(name) => (name.clone(), Code::MediumMount),
        };
        // A journal is replayed by a mount for reading, too. The witness lives until the mount itself holds the device.
        let _witness = match what {
            Place::Slot(slot) => Some(self.witness(*slot).map_err(|stop| match code {
                Code::AreaDamaged => stop,
                code => Stop { code, ..stop },
            })?),
            Place::Named(_) => None,
        };
        let target = self.env.path(at);
        make_dir(&target)?;
        let read_only = access == Access::ReadOnly;
        // A device-mapper root is mounted where the real system starts.
        let purpose = if *what == Place::Slot(Slot::Live) { Purpose::Root } else { Purpose::Data };
        let mut options = options.to_vec();
        options.extend(sign::option(fs, &source, &options).map(str::to_owned));
        let what = FileSystem { fs, source: &source, options, read_only, purpose };
        let untouched = read_only && what.options.iter().any(|option| option == "noload");
        let _protected = untouched.then(|| Protected::new(Path::new(&source))).flatten();
        let attached = mount::attach(&what, &target).or_else(|error| match by_copy(&what, &error) {
            Some(options) => {
                log::warn!("{error}: a power cut has torn the superblock, reading the file system by its copy");
                mount::attach(&FileSystem { options, ..what }, &target)
            }
            None => Err(error),
        });
        attached.map_err(|error| {
            let code = if code == Code::AreaDamaged && !error.is_damage() { Code::AreaUnavailable } else { code };
            Stop::new(code, error.to_string()).advice("check the medium (read errors, truncated copy) and dmesg")
        })?;
        self.undos.push(Undo::Unmount(target));
        Ok(())
    }

    fn tmpfs(&mut self, size: TmpfsSize, options: &[String], at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        make_dir(&target)?;
        let mut options = options.to_vec();
        options.insert(0, format!("size={size}"));
        options.push("mode=0755".to_owned());
        let what = FileSystem { fs: "tmpfs", source: "rdlive", options, read_only: false, purpose: Purpose::Data };
        mount::attach(&what, &target).map_err(|error| {
            Stop::new(Code::WriteArea, error.to_string()).advice("check rd.live.overlay.size and rd.overlay=tmpfs:…")
        })?;
        self.undos.push(Undo::Unmount(target));
        Ok(())
    }

    fn release(&mut self, slot: Slot, at: Option<&Path>) -> Result<(), Stop> {
        if let Some(at) = at {
            let target = self.env.path(at);
            mount::release_patiently(&target).map_err(|error| Stop::new(Code::RamCopy, error.to_string()))?;
            self.undos.forget(&Undo::Unmount(target));
        }
        // Closing a loop device frees it; a device that is still plugged in keeps its name.
        if self.slots.get(&slot).is_some_and(|held| held.device.is_some()) {
            self.slots.remove(&slot);
        }
        Ok(())
    }

    fn bind(&mut self, from: &Path, at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        make_dir(&target)?;
        mount::bind(&self.env.path(from), &target).map_err(|error| Stop::new(Code::ImageMount, error.to_string()))?;
        self.undos.push(Undo::Unmount(target));
        Ok(())
    }

    fn move_mount(&mut self, from: &Path, at: &Path) -> Result<(), Stop> {
        let (from, target) = (self.env.path(from), self.env.path(at));
        make_dir(&target)?;
        // A mount inside of a shared one, as systemd makes all of them, cannot be moved in one piece.
        let ignored = mount::ignored(&from);
        mount::bind(&from, &target)
            .and_then(|()| mount::detach(&from))
            .map_err(|error| Stop::new(Code::ImageMount, error.to_string()))?;
        self.undos.push(Undo::MoveBack { from: target.clone(), to: from, ignored });
        // `rw` on the command line mounted it for writing. Nothing writes below an overlay; this says so to the kernel.
        if let Err(error) = mount::make_inert(&target).and_then(|()| mount::forbid_writes(&target)) {
            log::warn!("{error}, ignoring");
        }
        Ok(())
    }

    /// Makes a directory; it may lie on a file system that is not ours.
    pub(super) fn directory(&self, path: &Path) -> Result<(), Stop> {
        foreign::directory(self.env, path)?;
        make_dir(&self.env.path(path))
    }

    fn symlink(&mut self, at: &Path, to: &Path) -> Result<(), Stop> {
        let link = self.env.path(at);
        if fs::read_link(&link).is_ok_and(|target| target == to) {
            return Ok(());
        }
        if let Some(parent) = link.parent() {
            make_dir(parent)?;
        }
        match fs::remove_file(&link) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A directory of that name is somebody's mount point or data: better no link than a lost directory.
            Err(error) => {
                log::warn!("link {}: {error}, ignoring", link.display());
                return Ok(());
            }
        }
        symlink(to, &link).map_err(|error| environment("making the link", &link, &error))?;
        self.undos.push(Undo::Unlink(link));
        Ok(())
    }
}

/// The options that read an ext by the copy of its superblock, when a power cut has torn that and it may not be written to. The
/// kernel knows the place in units of 1024 bytes (`Documentation/admin-guide/ext4.rst`, `sb=`).
fn by_copy(what: &FileSystem<'_>, error: &mount::MountError) -> Option<Vec<String>> {
    let untouched = what.read_only && what.options.iter().any(|option| option == "noload");
    let mut file = File::open(what.source).ok().filter(|_| untouched && error.is_damage())?;
    let copy = torn::copy_of_ext(&mut file).ok().flatten()?;
    let mut options = what.options.clone();
    options.push(format!("sb={}", copy / 1024));
    Some(options)
}

/// A partition has a cache of its own, apart from its disk's. File systems and LUKS volumes are made through the disk; what
/// somebody has read of the partition before, as udev does, stays in the partition's cache for as long as anybody holds it
/// open, and would be mounted instead of what was made.
fn forget_cached(node: &Path) {
    if let Err(error) = File::open(node).and_then(|device| rdlive_sys::blkflush::flush(&device)) {
        // Nothing may be stale at all; what cannot be opened cannot be mounted either, which is said there.
        log::debug!("forgetting what is cached of {}: {error}", node.display());
    }
}

pub(super) fn make_dir(path: &Path) -> Result<(), Stop> {
    fs::create_dir_all(path).map_err(|error| environment("making the directory", path, &error))
}

pub(super) fn environment(operation: &str, path: &Path, error: &io::Error) -> Stop {
    Stop::new(Code::Environment, format!("{operation} {}: {error}", path.display()))
}
