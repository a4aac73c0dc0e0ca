//! One match: every step of a plan, done.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdlive_net::attach::Attached;
use rdlive_sys::loopdev::LoopDevice;

use super::driver::LoadModule;
use super::secret::Secret;
use super::unwind::{Undo, Undos};
use super::witness::Witness;
use super::words;
use crate::attempt::Watchdog;
use crate::clock;
use crate::config::Access;
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::{Seen, Updated};
use crate::handover::StepRecord;
use crate::kmsg::{self, Listener};
use crate::mapper::cipher::Cipher;
use crate::plan::step::only_show;
use crate::plan::{Done, GivenUp, Slot, Step, When};

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
    pub(super) sums: Vec<(PathBuf, String)>,
    /// The key of encrypted areas, where one was named and found.
    pub key: Option<Secret>,
    /// Keys of volumes that were made and are not open yet, by the name they will have.
    pub(super) keys: Vec<(String, Secret)>,
    /// What lies below opened volumes, by the name that they were to have.
    pub(super) volumes: Vec<(String, PathBuf)>,
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
    /// Where the image is mounted whose programs may be run.
    pub(super) programs: Option<PathBuf>,
    /// The network, while it is needed.
    pub(super) net: Option<Attached>,
    /// Is told what is being done.
    pub watchdog: Watchdog,
    /// Hears what the kernel says about it.
    listener: Listener,
}

impl<'a> Executor<'a> {
    /// An executor on a machine.
    pub fn new(env: &'a Env, load: LoadModule<'a>) -> Self {
        let (slots, undos, sums) = (HashMap::new(), Undos::default(), Vec::new());
        let (records, failed, done) = (Vec::new(), Vec::new(), Done::default());
        let (keys, volumes, watchdog) = (Vec::new(), Vec::new(), Watchdog::default());
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
            programs: None,
            net: None,
            watchdog,
            listener: Listener::new(env),
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

    /// Tells what was copied from `updates/`.
    pub(super) fn updated(&mut self, updated: Updated) {
        self.done.updated = Some(updated);
    }

    /// Tells which leased addresses stay.
    pub(super) fn leases(&mut self, leases: Vec<IpAddr>) {
        self.done.leases.extend(leases);
    }

    /// As [`Executor::note`], once.
    pub(super) fn note_once(&mut self, note: String) {
        if !self.done.notes.contains(&note) {
            self.done.notes.push(note);
        }
    }

    fn run(&mut self, stage: &str, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            if let Step::Branch { first, when, then } = step {
                self.branch(stage, first, *when, then)?;
                continue;
            }
            let at = clock::since_boot();
            let doing = self.watchdog.doing(step.to_string());
            self.listener.begin();
            let result = self.step(step).map_err(|stop| self.in_the_kernels_words(stop, step));
            drop(doing);
            let took = clock::since_boot().saturating_sub(at);
            self.record(stage, step, at, took, result.as_ref().err());
            result?;
        }
        Ok(())
    }

    /// Looks at something, and says in the kernel's words too why it cannot be read.
    ///
    /// # Errors
    /// As the look.
    pub fn looked<T>(&self, look: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        self.listener.begin();
        look().map_err(|stop| match stop.code {
            Code::MediumMount | Code::ImageDamaged => words::added(stop, &self.listener, &self.names()),
            _ => stop,
        })
    }

    fn in_the_kernels_words(&self, stop: Stop, step: &Step) -> Stop {
        let mut names = self.names();
        names.extend(words::driver(step).map(str::to_owned));
        if words::may_come_from_the_kernel(stop.code) { words::added(stop, &self.listener, &names) } else { stop }
    }

    /// How the kernel calls the devices that are used.
    fn names(&self) -> Vec<String> {
        self.slots.values().flat_map(|held| words::names(self.env, &held.node)).collect()
    }

    fn branch(&mut self, stage: &str, first: &[Step], when: When, then: &[Step]) -> Result<(), Stop> {
        let (mark, given_up) = (self.mark(), self.done.given_up.len());
        let Err(why) = self.run(stage, first) else { return Ok(()) };
        if !when.meets(&why) {
            return Err(why);
        }
        self.unwind(mark);
        match when {
            When::Any(what) => {
                kmsg::fall_back(self.env, &format!("{what}, falling back: {}", why.with_advice()));
                // What was given up on a way that led nowhere is not what is missing, unless it is the same: then its reason comes first.
                let on_the_way = self.done.given_up.split_off(given_up);
                self.done.given_up.extend(on_the_way.into_iter().filter(|given_up| given_up.what == what));
                self.done.given_up.push(GivenUp { what, why });
            }
            When::Found(found) => {
                // What is made anew must not be held through a device of the old.
                self.slots.remove(&Slot::Cow);
                log::info!("{found}: {why}");
                self.note(format!("{found}: {}", why.cause));
            }
        }
        self.run(stage, then)
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
            Step::Members { nodes } => {
                self.members(nodes);
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
            Step::LinkDevice { at, slot } => self.link_device(at, *slot),
            Step::Overlay { lower, upper, work, options, at } => self.overlay(lower, upper, work, options, at),
            Step::Branch { first, when, then } => self.branch("", first, *when, then),
            Step::Unpack { archive, at } => self.unpack(archive, at),
            Step::Updates { from, to, kept } => self.updates(from, to, *kept),
            Step::Labels { policies, root, upper, lower } => self.labels(policies, root, upper, lower),
            Step::Remount { at } => self.remount(at),
            Step::Unmount { at } => self.unmount(at),
            Step::Programs { at } => {
                self.programs = Some(at.clone());
                Ok(())
            }
            Step::Area(act) => self.area_act(act),
            Step::Volume(act) => self.volume_act(act),
            Step::Map(act) => self.map_act(act),
            Step::Ram(act) => self.ram_act(act),
            Step::Net(act) => self.net_act(act),
        }
    }

    /// A link to the device in a slot. A device that has the name already keeps it.
    fn link_device(&mut self, at: &Path, slot: Slot) -> Result<(), Stop> {
        let taken = self.env.path(at).symlink_metadata().is_ok_and(|facts| facts.file_type().is_block_device());
        let node = self.node(slot).map(Path::to_owned).filter(|_| !taken);
        node.map_or(Ok(()), |node| self.symlink(at, &node))
    }

    /// Frees the loop device in a slot.
    pub(super) fn free(&mut self, slot: Slot) {
        if self.slots.get(&slot).is_some_and(|held| held.device.is_some()) {
            self.slots.remove(&slot);
        }
    }
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
