//! A world of facts: a boot decides in it as on a machine, and what it would do is told. `rdlive explain` and the golden scenarios are
//! such worlds.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::world::{KeyPlace, Tone, World};
use crate::area::{Found, HostSite, Obstacle, Site, Windows};
use crate::attempt::Watchdog;
use crate::config::Config;
use crate::error::{Code, Stop};
use crate::facts::{
    Content, Deployed, Device, Inner, Kernels, Loaded, MediumFacts, Moment, Pending, Provider, RamFacts, Taker, View,
};
use crate::format::Superblock;
use crate::handover::{Facts, Look, StepRecord, Which};
use crate::layout;
use crate::plan::act::{AreaAct, MapAct, VolumeAct};
use crate::plan::programs::Program;
use crate::plan::step::{self, describe};
use crate::plan::{Done, GivenUp, Presence, Slot, Step, When};
use crate::probe::sleep::Sleep;

/// Whether a look is of a kind, and what was seen then.
macro_rules! seen {
    ($kind:ident) => {
        |look| match look {
            Look::$kind(seen) => Some(seen.clone()),
            _ => None,
        }
    };
}

/// A world of facts.
#[derive(Debug, Default)]
pub struct Told {
    facts: Facts,
    unread: RefCell<Vec<Look>>,
    happened: bool,
    watchdog: Watchdog,
    now: Moment,
    slots: Vec<(Slot, PathBuf, u64)>,
    /// The store of a snapshot that was made, and its bytes.
    store: Option<(PathBuf, u64)>,
    steps: usize,
    done: Done,
    lines: Vec<String>,
}

impl Told {
    /// A world in which all that is not told is as it usually is. What would be done is told with what comes instead where a step fails.
    #[must_use]
    pub fn assumed(facts: Facts) -> Self {
        Self { unread: RefCell::new(facts.looks.clone()), facts, ..Self::default() }
    }

    /// The world of a boot that has happened: each step is told that it did.
    #[must_use]
    pub fn happened(facts: Facts) -> Self {
        Self { happened: true, ..Self::assumed(facts) }
    }

    /// Why nothing is kept in it, as [`Boot::avoiding_area`](super::Boot::avoiding_area) has it.
    #[must_use]
    pub fn area_hangs(&self) -> Option<String> {
        self.facts.area_hangs.clone()
    }

    /// What was done and said.
    #[must_use]
    pub fn lines(self) -> Vec<String> {
        self.lines
    }

    /// The next answer of a kind; the last one holds for all later questions.
    fn answer<T>(&self, is: impl Fn(&Look) -> Option<T>) -> Option<T> {
        let mut unread = self.unread.borrow_mut();
        let mut of_kind = (0..unread.len()).filter(|at| unread.get(*at).is_some_and(|look| is(look).is_some()));
        let (first, more) = (of_kind.next()?, of_kind.next().is_some());
        let found = unread.get(first).and_then(is);
        if more {
            unread.remove(first);
        }
        found
    }

    /// The same of a look that may fail.
    fn tried<T>(&self, which: Which, is: impl Fn(&Look) -> Option<T>) -> Option<io::Result<T>> {
        self.answer(|look| is(look).map(Ok).or_else(|| look.error(which).map(Err)))
    }

    fn device(&self, node: &Path) -> Option<&Device> {
        self.facts.devices.iter().find(|device| device.node == node)
    }

    fn run(&mut self, stage: &str, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            match step {
                Step::Branch { first, when, then } => {
                    let mark = self.slots.len();
                    let Err(why) = self.run(stage, first) else { continue };
                    if !when.meets(&why) {
                        return Err(why);
                    }
                    if let When::Any(what) = *when {
                        self.slots.truncate(mark);
                        self.say(Tone::GivenUp, &format!("{what}, falling back: {}", why.with_advice()));
                        self.done.given_up.push(GivenUp { what, why });
                    }
                    self.run(stage, then)?;
                }
                _ => self.step(stage, step)?,
            }
        }
        Ok(())
    }

    fn step(&mut self, stage: &str, step: &Step) -> Result<(), Stop> {
        let failed = self.facts.failed.iter().find(|failed| failed.0 == self.steps).map(|failed| failed.1.clone());
        self.steps += 1;
        if self.happened {
            let failed = failed.as_ref().map(|stop| format!(" failed: {stop}")).unwrap_or_default();
            self.lines.push(format!("{stage:<10}{step}{failed}"));
        }
        match failed {
            Some(stop) => Err(stop),
            None => {
                if let Step::Map(MapAct::Store { file, size, .. }) = step {
                    self.store = Some((file.clone(), *size));
                }
                self.slots.extend(self.held(step));
                Ok(())
            }
        }
    }

    /// What a step puts into a slot.
    fn held(&self, step: &Step) -> Option<(Slot, PathBuf, u64)> {
        let mapped = |name: &str| Path::new("/dev/mapper").join(name);
        let (slot, node) = match step {
            Step::Device { device, into } => {
                return Some((*into, device.node.clone(), self.device(&device.node).map_or(0, |device| device.size)));
            }
            Step::Loop { file, into, .. } => {
                let store = self.store.as_ref().filter(|store| store.0 == *file);
                return Some((*into, file.clone(), store.map_or(0, |store| store.1)));
            }
            Step::Area(AreaAct::Window { disk, into, .. }) => (*into, disk.node.clone()),
            Step::Volume(VolumeAct::Open { what, crypt }) => (*what, mapped(&crypt.map)),
            Step::Map(MapAct::Make(map)) => (map.into, mapped(&map.name)),
            _ => return None,
        };
        Some((slot, node, 0))
    }
}

impl World for Told {
    fn view(&self) -> View {
        let given_up = |name: &String| Pending { name: name.clone(), since: Moment::ZERO, given_up: true };
        let mut view = View {
            now: self.now,
            devices: self.facts.devices.clone(),
            known: self.facts.devices.iter().map(|device| (device.name.clone(), Moment::ZERO)).collect(),
            pending: self.facts.silent.iter().map(given_up).collect(),
            ..View::default()
        };
        view.drivers.silent.clone_from(&self.facts.silent_drivers);
        view
    }

    fn wait(&mut self, until: Moment) -> bool {
        self.now = self.now.max(until);
        false
    }

    fn perform(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop> {
        if shows {
            step::only_show(steps)?;
        }
        if !self.happened {
            self.lines.extend(describe(stage, steps));
        }
        self.run(stage, steps)?;
        Ok(self.done_before_failing())
    }

    fn done_before_failing(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    fn take_records(&mut self) -> (Vec<StepRecord>, Facts) {
        (Vec::new(), self.facts.clone())
    }

    fn mark(&self) -> usize {
        self.slots.len()
    }

    fn unwind(&mut self, from: usize, to: usize) {
        let to = to.min(self.slots.len());
        self.slots.drain(from.min(to)..to);
    }

    fn node(&self, slot: Slot) -> Option<PathBuf> {
        self.slots.iter().rev().find(|held| held.0 == slot).map(|held| held.1.clone())
    }

    fn bytes(&self, slot: Slot) -> u64 {
        let told = self.answer(seen!(Bytes));
        told.unwrap_or_else(|| self.slots.iter().rev().find(|held| held.0 == slot).map_or(0, |held| held.2))
    }

    fn is_looped(&self, _node: &Path) -> bool {
        false
    }

    fn forget_links(&mut self, _links: &[PathBuf]) {}

    fn take_key(&mut self, _place: KeyPlace<'_>) -> io::Result<()> {
        let key = self.tried(Which::Key, |look| matches!(look, Look::Key).then_some(()));
        key.unwrap_or(Ok(()))
    }

    fn forget_key(&mut self) {}

    fn cipher(&self) -> Option<String> {
        None
    }

    fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    fn say(&mut self, tone: Tone, line: &str) {
        let mark = match tone {
            Tone::Info => return,
            Tone::Notice | Tone::Told => "says",
            Tone::Warning | Tone::GivenUp | Tone::Everywhere => "warns",
        };
        self.lines.push(format!("{mark:<10}{line}"));
    }

    fn spelled(&self, at: &Path, path: &Path) -> PathBuf {
        at.join(path)
    }

    fn is_file(&self, _path: &Path) -> io::Result<bool> {
        let told = self.tried(Which::File, seen!(File));
        told.unwrap_or(Ok(true))
    }

    fn file_in(&self, _at: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
        let told = self.tried(Which::File, seen!(Place));
        // Nobody assumes that another device bears the mark of the medium.
        let assumed = (!path.starts_with(Path::new("/").join(layout::MARKS))).then(|| path.to_owned());
        told.unwrap_or(Ok(assumed))
    }

    fn has_end(&self, _path: &Path) -> bool {
        self.answer(seen!(End)).unwrap_or(true)
    }

    fn identify(&self, path: &Path) -> io::Result<(Option<Superblock>, u64)> {
        let told = self.tried(Which::Held, |look| match look {
            Look::Held(superblock, size) => Some((superblock.clone(), *size)),
            _ => None,
        });
        let device = || self.device(path).map(|device| Ok((device.superblock.clone(), device.size)));
        told.or_else(device).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
    }

    fn content(&self, _config: &Config, at: &Path) -> Result<Content, Stop> {
        let told = self.answer(|look| match look {
            Look::Content(content) => Some(Ok(content.clone())),
            Look::NoContent(stop) => Some(Err(stop.clone())),
            _ => None,
        });
        told.unwrap_or_else(|| Err(Stop::new(Code::ContainerMissing, format!("nothing is known of {}", at.display()))))
    }

    fn has_updates(&self, _at: &Path) -> bool {
        self.answer(seen!(Updates)).unwrap_or_default()
    }

    fn inner(&self, _config: &Config, _at: &Path) -> Result<Inner, Stop> {
        let told = self.answer(|look| match look {
            Look::Inner(inner) => Some(Ok(inner.clone())),
            Look::NoInner(stop) => Some(Err(stop.clone())),
            _ => None,
        });
        told.unwrap_or(Ok(Inner::Tree))
    }

    fn ram(&self, _image: &Path) -> io::Result<RamFacts> {
        let told = self.tried(Which::Ram, seen!(Ram));
        told.unwrap_or_else(|| Ok(RamFacts::default()))
    }

    fn sum(&self, _medium: &Path, _file: &Path) -> Option<String> {
        self.answer(seen!(Sum)).flatten()
    }

    fn free(&self, _at: &Path, _path: &Path) -> u64 {
        self.answer(seen!(Free)).unwrap_or(u64::MAX)
    }

    fn lacks(&self, _program: &Program) -> bool {
        self.answer(seen!(Lacks)).unwrap_or_default()
    }

    fn memory(&self) -> Option<u64> {
        self.answer(seen!(Memory)).flatten()
    }

    fn provider(&self) -> Option<Provider> {
        self.answer(seen!(Provider)).flatten()
    }

    fn source_at(&self, _at: &Path) -> Option<String> {
        self.answer(seen!(Mounted)).flatten()
    }

    fn disk(&self, _medium: &MediumFacts, node: &Path, _beside: bool) -> Site {
        let told = self.answer(seen!(Site));
        told.unwrap_or_else(|| Site::Nowhere(Obstacle::Unseen(node.to_owned())))
    }

    fn host(&self, _sleep: &Sleep<'_>, node: &Path, _at: &Path, _paths: (&Path, &Path)) -> Site {
        let told = self.answer(seen!(Site));
        let kind = self.device(node).and_then(|device| device.superblock.as_ref()).map(|found| found.kind);
        told.unwrap_or_else(|| match kind {
            Some(kind) => Site::Host(HostSite::empty(node, kind)),
            None => Site::Nowhere(Obstacle::UnknownHost(node.to_owned())),
        })
    }

    fn found(&self, _at: &Path, _path: &Path) -> Found {
        self.answer(seen!(Found)).unwrap_or_default()
    }

    fn is_stranger(&self, _at: &Path, _path: &Path) -> bool {
        self.answer(seen!(Stranger)).unwrap_or_default()
    }

    fn is_begun(&self, _device: &Device) -> bool {
        self.answer(seen!(Begun)).unwrap_or_default()
    }

    fn deployed(&self, device: &Device) -> Option<Deployed> {
        self.answer(|look| match look {
            Look::Deployed(node, seen) if *node == device.node => Some(seen.clone()),
            _ => None,
        })
    }

    fn in_use(&self, _device: &Device, _sleep: &Sleep<'_>, _at: Option<(&Path, &Path)>) -> Option<Obstacle> {
        self.answer(seen!(InUse)).flatten()
    }

    fn sleeping_windows(&self, _device: &Device, _at: &Path) -> Option<Windows> {
        self.answer(seen!(Windows)).flatten()
    }

    fn is_left_by_us(&self, _device: &Device) -> bool {
        self.answer(seen!(LeftByUs)).unwrap_or_default()
    }

    fn is_journal_pending(&self, _device: &Device) -> bool {
        self.answer(seen!(JournalPending)).unwrap_or_default()
    }

    fn init(&self, _root: &Path, _init: Option<&Path>, _medium: Presence) -> Result<Vec<String>, Stop> {
        self.answer(seen!(NoInit)).map_or(Ok(Vec::new()), Err)
    }

    fn loaded(&self) -> Loaded {
        self.answer(seen!(Loaded)).unwrap_or_default()
    }

    fn other_kernel(&self, _root: &Path) -> Option<Kernels> {
        self.answer(seen!(OtherKernel))
    }

    fn takers(&self, _root: &Path) -> Vec<Taker> {
        self.answer(seen!(Takers)).unwrap_or_default()
    }

    fn policies(&self, _root: &Path, _upper: &Path, _lower: &Path) -> Option<PathBuf> {
        self.answer(seen!(Policies))
    }
}
