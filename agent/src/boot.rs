//! The boot on one screen: the stages in order, shared by both personalities.

mod area;
mod asleep;
mod content;
mod crypt;
mod host;
mod labels;
mod medium;
mod named;
mod ordinary;
mod programs;
mod ram;
mod remote;
mod rivals;
mod several;
mod target;
mod told;
mod updates;
mod world;
mod writable;

pub use told::Told;
pub use world::{KeyPlace, Tone, World};

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::area::Windows;
use crate::attempt::Watchdog;
use crate::config::{Config, Share, Source};
use crate::env::Env;
use crate::error::Stop;
use crate::facts::{Content, Device, Inner, MediumFacts, Moment, Next, Subvolume, View, sleeping_place};
use crate::handover::{Considered, Facts, NATIVE, Report};
use crate::layout;
use crate::mountinfo::{self, Mount};
use crate::plan::persist::Area;
use crate::plan::ram::RamCopy;
use crate::plan::snapshot::{self, Form};
use crate::plan::{Done, Points, Step, assemble, drivers, prepare};
use crate::probe::init::is_absent;

/// What a boot works with.
pub struct Boot<'a> {
    pub(crate) world: &'a mut dyn World,
    /// What was asked for.
    pub config: &'a Config,
    /// Where the root is attached.
    pub sysroot: &'a Path,
    /// Grows with the boot.
    pub report: Report,
    pub(crate) points: Points,
    /// Devices that had not answered when the last decision was made.
    silent: Vec<String>,
    /// All that have not answered when any decision was made.
    unheard: Vec<String>,
    /// Why changes go to RAM whatever was asked for: an earlier attempt has hung there.
    area_hangs: Option<String>,
    /// The medium that is taken has `updates/`, and it is wanted.
    updates: bool,
    /// A source has brought the network up.
    networked: bool,
    /// Why a Windows may sleep on an NTFS that was looked at, by node.
    windows: Vec<(PathBuf, Option<Windows>)>,
    /// From where the file system of the ISO file is mounted.
    host_subvolume: Subvolume,
    /// What happened to the place for changes so far, for a person.
    notes: Vec<String>,
    /// Modules that steps have waited for.
    drivers: BTreeSet<String>,
    /// The root can be the snapshot of an image, so a store can hold its changes.
    takes_store: bool,
    /// What `live.updates=` names was fetched.
    fetched: bool,
    /// Leased addresses that the live system has to ask more time for.
    leases: Vec<IpAddr>,
}

/// How far a boot was.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// What can be undone.
    done: usize,
    /// What was given up.
    fallbacks: usize,
}

/// A medium whose images are within reach.
struct Acquired {
    medium: MediumFacts,
    content: Option<Content>,
    inner: Option<Inner>,
    copy: Option<RamCopy>,
}

impl<'a> Boot<'a> {
    /// A boot that has not begun.
    pub fn new(world: &'a mut dyn World, config: &'a Config, sysroot: &'a Path, report: Report) -> Self {
        Self {
            world,
            config,
            sysroot,
            report,
            points: Points::new(config.dialect),
            silent: Vec::new(),
            unheard: Vec::new(),
            area_hangs: None,
            updates: false,
            networked: false,
            windows: Vec::new(),
            host_subvolume: Subvolume::Default,
            notes: Vec::new(),
            drivers: BTreeSet::new(),
            takes_store: false,
            fetched: false,
            leases: Vec::new(),
        }
    }

    /// The same, keeping no changes if an earlier attempt has hung where they were to be kept; `why` says so.
    #[must_use]
    pub fn avoiding_area(mut self, why: Option<String>) -> Self {
        self.area_hangs = why;
        self
    }

    /// Builds the root, or undoes everything and says why not. The report is complete either way.
    ///
    /// # Errors
    /// Why the boot stopped.
    pub fn run(&mut self) -> Result<(), Stop> {
        let mark = self.world.mark();
        let result = self.stages().and_then(|()| self.starts());
        // Of an initrd of dracut much is still to be done, which calls for it when it is.
        let result = result.and_then(|()| if self.report.mode == NATIVE { self.label() } else { Ok(()) });
        if result.is_err() {
            self.undo(mark);
            // What was made on the way to a place for changes is there all the same.
            let done = self.world.done_before_failing();
            self.book(&done);
            if self.report.write_mode.is_none() && !self.notes.is_empty() {
                self.no_write_mode();
            }
        }
        let (steps, facts) = self.world.take_records();
        let (mut silent, area_hangs) = (std::mem::take(&mut self.unheard), self.area_hangs.clone());
        // What answered in the end had its say in what was decided then.
        silent.retain(|name| !facts.devices.iter().any(|device| device.name == *name));
        let facts = Facts { silent, area_hangs, ..facts };
        (self.report.steps, self.report.facts) = (steps, serde_json::to_value(facts).ok());
        let silent = self.silent.iter();
        self.report
            .considered
            .extend(silent.map(|name| Considered { device: name.clone(), verdict: "does not answer".into() }));
        result
    }

    fn stages(&mut self) -> Result<(), Stop> {
        if self.config.covers_root() {
            return self.ordinary();
        }
        self.perform("prepare", &prepare::prepare(self.config, &self.points))?;
        let config = self.config;
        self.fetch_updates()?;
        if let Source::Url(text) = &config.source
            && Share::is_one(text)
            && let Some((share, tree)) = self.tree_on_share(text)?
        {
            self.over_tree(&share, tree)?;
            return self.apply_fetched();
        }
        let Acquired { medium, content, inner, copy } = self.take()?;
        self.report.moment("acquired");
        self.watchdog().acquired(true);
        let copied = copy.is_some();
        let used = copy.map_or(content.clone(), |copy| content.clone().map(|content| copy.content(content)));
        let (used, inside) = self.copy_image(used, inner.clone())?;
        let (used, inside) = (used.as_ref(), inside.as_ref());
        self.takes_store = snapshot::takes_store(config, used, inside);
        let lent = self.lend_programs(used, inside);
        let before = self.world.mark();
        let mut area = self.area(Some(&medium))?;
        let (after, planned) = (self.world.mark(), area.is_some());
        let form = self.form(&medium, used, inside, &mut area)?;
        if !planned {
            self.world.unwind(lent.0, lent.1);
        }
        if copied && !planned && !self.updates {
            self.settle(&medium, false)?;
        }
        let image = assemble::base(&self.points, used, inside).map(|base| base.path());
        let steps = assemble::assemble_on(config, &self.points, &medium, used, inside, self.sysroot, area.as_ref());
        let device = self.world.node(crate::plan::Slot::Medium).map(|node| node.display().to_string());
        (self.report.device, self.report.medium) = (device, Some(medium.clone()));
        (self.report.content, self.report.inner) = (content, inner);
        let kept = self.assemble(&steps, &form, image.as_deref(), area.as_ref())?;
        if !kept && planned {
            // What the area needed stays neither mounted nor open when changes go to RAM.
            self.world.unwind(before, after);
        }
        self.apply_updates()?;
        if planned {
            self.world.unwind(lent.0, lent.1);
        }
        if copied {
            self.settle(&medium, kept)?;
        }
        self.apply_fetched()?;
        self.report.moment("root");
        self.unneeded_network()
    }

    /// Looks at the system that was built: whether it can be started, and with this kernel. The root of an initrd of dracut may get its
    /// init program later, as with ostree, or its `/usr`.
    fn starts(&mut self) -> Result<(), Stop> {
        if let Some(other) = self.world.other_kernel(self.sysroot) {
            self.say(Tone::Everywhere, other.to_string());
            self.report.other_kernel = Some(other);
        }
        self.network_goes_on();
        match self.world.init(self.sysroot, self.config.init.path.as_deref(), self.points.medium) {
            Ok(passed_over) => {
                passed_over.into_iter().for_each(|why| self.say(Tone::GivenUp, format!("{why}, taking the next")))
            }
            Err(stop) if self.report.mode != NATIVE && is_absent(&stop) => {}
            Err(stop) => return Err(stop),
        }
        Ok(())
    }

    /// Does the steps of a stage. What is given up goes into the report, what is told about a place for changes to it later.
    ///
    /// # Errors
    /// As [`World::perform`].
    pub(crate) fn perform(&mut self, stage: &str, steps: &[Step]) -> Result<Done, Stop> {
        self.perform_or_show(stage, steps, false)
    }

    /// As [`Boot::perform`]; of steps that only show what is kept none may write.
    fn perform_or_show(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop> {
        let mut known = self.drivers.clone();
        let done = self.world.perform(stage, &drivers::stated(steps, &mut known), shows)?;
        self.drivers = known;
        self.book(&done);
        Ok(done)
    }

    /// Builds the root, and puts into the report what it can be written to, whether or not it came to that: an area may have been made.
    /// Tells whether changes are kept in it.
    fn assemble(
        &mut self,
        steps: &[Step],
        form: &Form,
        base: Option<&Path>,
        area: Option<&Area>,
    ) -> Result<bool, Stop> {
        let result = self.perform_or_show("assemble", steps, area.is_some_and(|area| area.readonly));
        let done = match &result {
            Ok(done) => done.clone(),
            Err(_) => self.world.done_before_failing(),
        };
        if let Err(stop) = result {
            self.book(&done);
            self.no_write_mode();
            return Err(stop);
        }
        let kept = self.write_mode(form, base, area, &done);
        if let Some(area) = area.filter(|_| kept) {
            let line = match (area.readonly, area.persistence) {
                (true, _) => format!("changes on {} are shown, new ones are lost at power-off", area.place),
                (false, "temporary") => format!("changes go to {} and are lost at power-off", area.place),
                (false, _) => format!("changes are kept on {}", area.place),
            };
            self.say(Tone::Notice, line);
        }
        Ok(kept)
    }

    fn book(&mut self, done: &Done) {
        self.report.fallbacks.extend(done.given_up.iter().map(ToString::to_string));
        self.notes.extend_from_slice(&done.notes);
        self.leases.extend_from_slice(&done.leases);
    }

    fn watchdog(&self) -> &Watchdog {
        self.world.watchdog()
    }

    fn say(&mut self, tone: Tone, line: impl AsRef<str>) {
        self.world.say(tone, line.as_ref());
    }

    /// Undoes all that was done since a mark.
    fn undo(&mut self, from: usize) {
        let to = self.world.mark();
        self.world.unwind(from, to);
    }

    /// The devices that were seen until now.
    fn devices(&self) -> Vec<Device> {
        self.world.view().devices
    }

    /// Asks again with each change of devices, until there is an answer.
    fn until_known<T>(&mut self, mut ask: impl FnMut(&mut Self, &View) -> Next<T>) -> T {
        loop {
            // What has come while steps were done.
            self.world.wait(Moment::ZERO);
            let view = self.world.view();
            match ask(self, &view) {
                Next::Wait(until) => drop(self.world.wait(until)),
                Next::Known(answer) => return answer,
            }
        }
    }

    /// Remembers which devices have no say in a decision that is made now.
    fn go_on_without_silent(&mut self, view: &View) {
        let silent = view.unanswered(self.config.deadline);
        self.note_unheard(&silent);
        let before = std::mem::replace(&mut self.silent, silent.clone());
        for name in silent.iter().filter(|name| !before.contains(name)) {
            self.say(Tone::Warning, format!("/dev/{name} does not answer, going on without it"));
        }
    }

    /// Notes which devices have not answered.
    fn note_unheard(&mut self, silent: &[String]) {
        let new: Vec<_> = silent.iter().filter(|name| !self.unheard.contains(name)).cloned().collect();
        self.unheard.extend(new);
    }

    /// What may hold anything, for it does not answer.
    fn silent_disk(&self) -> Option<String> {
        sleeping_place(&self.silent, &self.world.view().drivers.silent)
    }

    /// How far the boot is, to go back to.
    fn mark(&self) -> Mark {
        Mark { done: self.world.mark(), fallbacks: self.report.fallbacks.len() }
    }
}

/// Whether an earlier run has already built the root.
pub fn already_done(env: &Env, sysroot: &Path) -> bool {
    let ours = |mount: &Mount| [layout::ROOT_SOURCE, layout::ROOT_DEVICE].contains(&&*mount.source);
    let mounted = mountinfo::all(env).iter().any(|mount| mount.at == sysroot && ours(mount));
    mounted && Report::load(env).is_some_and(|report| report.outcome == crate::handover::Outcome::Ok)
}
