//! The machine itself as the world of a boot: what is asked is looked at, what is to be done is done.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use crate::area::{Found, Obstacle, Site, Windows};
use crate::attempt::{Avoided, Watchdog};
use crate::boot::{KeyPlace, Tone, World};
use crate::config::{Conf, Config};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::exec::Executor;
use crate::exec::programs::is_in_initrd;
use crate::exec::secret::Secret;
use crate::facts::{
    Content, Deployed, Device, Inner, Kernels, Loaded, MediumFacts, Moment, Provider, RamFacts, Taker, View,
};
use crate::foreign;
use crate::format::Superblock;
use crate::handover::{Facts, Look, StepRecord, Which};
use crate::kmsg::{self, NOTICE};
use crate::layout::UPDATES;
use crate::mountinfo;
use crate::plan::programs::Program;
use crate::plan::{Done, Presence, Slot, Step};
use crate::probe::sleep::{self, Sleep};
use crate::probe::{self, block, content, init, kernels, labels, loader, site, sums, takers};
use crate::watch::Watch;

/// The machine that boots.
pub struct Machine<'a> {
    env: &'a Env,
    /// Does the steps.
    pub exec: Executor<'a>,
    /// Sees the devices.
    pub watch: Watch,
    /// What was told until now.
    facts: RefCell<Facts>,
    /// From which mark on devices change by what is done to them, if steps have been done that bring a medium into reach.
    acquired: Option<usize>,
}

impl<'a> Machine<'a> {
    /// A machine of which nothing is known yet.
    pub fn new(env: &'a Env, exec: Executor<'a>) -> Self {
        let mut watch = Watch::new(env);
        watch.watchdog = exec.watchdog.clone();
        Self { env, exec, watch, facts: RefCell::default(), acquired: None }
    }

    /// The same, keeping away from disks that have hung an earlier attempt.
    #[must_use]
    pub fn avoiding(mut self, devices: Vec<Avoided>) -> Self {
        self.watch.avoid(devices);
        self
    }

    /// The same, finding out which devices these paths lead to.
    #[must_use]
    pub fn asking(mut self, paths: Vec<PathBuf>) -> Self {
        self.watch.ask(paths);
        self
    }

    /// Notes what was seen.
    fn saw(&self, look: Look) {
        self.facts.borrow_mut().looks.push(look);
    }

    /// The same, and hands it on.
    fn noted<T: Clone>(&self, seen: T, look: impl FnOnce(T) -> Look) -> T {
        self.saw(look(seen.clone()));
        seen
    }

    /// Notes the devices that a decision is made from. What is done to one is no fact about it, and what is made of one is none.
    fn saw_devices(&self, view: &View) {
        let mut facts = self.facts.borrow_mut();
        if self.acquired.is_none() {
            facts.devices.clear();
        }
        let real = |device: &&Device| !self.is_looped(&device.node);
        for device in view.devices.iter().filter(real) {
            match facts.devices.iter_mut().find(|known| known.name == device.name) {
                // A drive that was empty has got something.
                Some(known) if known.size == 0 => known.clone_from(device),
                None if self.acquired.is_none() || !device.name.starts_with("dm-") => {
                    facts.devices.push(device.clone())
                }
                _ => {}
            }
        }
        facts.silent_drivers.clone_from(&view.drivers.silent);
    }

    /// What was read before stays in memory, so a root whose medium was pulled out looks whole until its programs are loaded. The kernel
    /// takes the node away with the device, although a file system of it is still mounted.
    fn is_there(&self) -> Result<(), Stop> {
        for slot in [Slot::Root, Slot::Host, Slot::Medium] {
            match self.exec.node(slot) {
                Some(node) if matches!(node.try_exists(), Ok(false)) => {
                    let node = self.without_root(node);
                    let cause = format!("{} is gone: it was pulled out, or it broke", node.display());
                    return Err(
                        Stop::new(Code::ImageDamaged, cause).advice("plug it in again, and boot again; see dmesg")
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The path of a node as the list of devices has it.
    fn without_root(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.env.root()).map_or_else(|_| path.to_owned(), |path| Path::new("/").join(path))
    }
}

impl World for Machine<'_> {
    fn view(&self) -> View {
        let view = self.watch.view();
        self.saw_devices(&view);
        view
    }

    fn wait(&mut self, until: Moment) -> bool {
        self.watch.wait(until)
    }

    fn hear_key(&mut self, on: bool) -> bool {
        self.watch.hear_key(on)
    }

    fn perform(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop> {
        if stage == "acquire" {
            self.acquired.get_or_insert(self.exec.mark());
        }
        if shows { self.exec.show(stage, steps) } else { self.exec.perform(stage, steps) }
    }

    fn done_before_failing(&mut self) -> Done {
        self.exec.done_before_failing()
    }

    fn take_records(&mut self) -> (Vec<StepRecord>, Facts) {
        let failed = std::mem::take(&mut self.exec.failed);
        let conf = Conf::text(self.env.root()).unwrap_or_default();
        (std::mem::take(&mut self.exec.records), Facts { failed, conf, ..self.facts.take() })
    }

    fn mark(&self) -> usize {
        self.exec.mark()
    }

    fn unwind(&mut self, from: usize, to: usize) {
        self.exec.unwind_between(from, to);
        // The medium is given back.
        self.acquired = self.acquired.filter(|mark| *mark < from);
    }

    fn node(&self, slot: Slot) -> Option<PathBuf> {
        self.exec.node(slot).map(|node| self.without_root(node))
    }

    fn bytes(&self, slot: Slot) -> u64 {
        self.noted(self.exec.sectors(slot).unwrap_or(0).saturating_mul(512), Look::Bytes)
    }

    fn is_looped(&self, node: &Path) -> bool {
        self.exec.has_looped(&self.env.path(node))
    }

    fn forget_links(&mut self, links: &[PathBuf]) {
        links.iter().for_each(|link| self.exec.remove_link(link));
    }

    fn take_key(&mut self, place: KeyPlace<'_>) -> io::Result<()> {
        let key = match place {
            KeyPlace::Initrd(path) => Secret::of_file(&self.env.path(path)),
            KeyPlace::Mounted(at, path) => foreign::open(&self.env.path(at), path).and_then(Secret::read),
        };
        self.saw(Look::of(Which::Key, &key, |_| Look::Key));
        self.exec.key = Some(key?);
        Ok(())
    }

    fn forget_key(&mut self) {
        self.exec.key = None;
    }

    fn cipher(&self) -> Option<String> {
        self.exec.cipher.as_ref().map(ToString::to_string)
    }

    fn watchdog(&self) -> &Watchdog {
        &self.exec.watchdog
    }

    fn say(&mut self, tone: Tone, line: &str) {
        match tone {
            Tone::Info => log::info!("{line}"),
            Tone::Notice => log::info!(target: NOTICE, "{line}"),
            Tone::Warning => log::warn!("{line}"),
            Tone::Told => kmsg::tell(self.env, line),
            Tone::GivenUp => kmsg::fall_back(self.env, line),
            Tone::Everywhere => kmsg::everywhere(self.env, line),
        }
    }

    fn spelled(&self, at: &Path, path: &Path) -> PathBuf {
        at.join(content::spelled(&self.env.path(at), path))
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        let is = self.env.path(path).metadata().map(|facts| facts.is_file());
        self.saw(Look::of(Which::File, &is, |is| Look::File(*is)));
        is
    }

    fn file_in(&self, at: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
        let file = foreign::file_in(&self.env.path(at), path);
        self.saw(Look::of(Which::File, &file, |file| Look::Place(file.clone())));
        file
    }

    fn has_end(&self, path: &Path) -> bool {
        self.noted(content::has_end(&self.env.path(path)), Look::End)
    }

    fn identify(&self, path: &Path) -> io::Result<(Option<Superblock>, u64)> {
        let held = block::identify(self.env, path);
        self.saw(Look::of(Which::Held, &held, |(superblock, size)| Look::Held(superblock.clone(), *size)));
        held
    }

    fn content(&self, config: &Config, at: &Path) -> Result<Content, Stop> {
        let content = self.exec.looked(|| content::medium(self.env, config, at));
        self.saw(match &content {
            Ok(content) => Look::Content(content.clone()),
            Err(stop) => Look::NoContent(stop.clone()),
        });
        content
    }

    fn has_updates(&self, at: &Path) -> bool {
        let there = foreign::entry(&self.env.path(at), Path::new(UPDATES)) != foreign::Entry::Absent;
        self.noted(there, Look::Updates)
    }

    fn inner(&self, config: &Config, at: &Path) -> Result<Inner, Stop> {
        let inner = self.exec.looked(|| content::container(self.env, config, at));
        self.saw(match &inner {
            Ok(inner) => Look::Inner(inner.clone()),
            Err(stop) => Look::NoInner(stop.clone()),
        });
        inner
    }

    fn ram(&self, image: &Path) -> io::Result<RamFacts> {
        let facts = probe::ram::facts(self.env, image);
        self.saw(Look::of(Which::Ram, &facts, |facts| Look::Ram(facts.clone())));
        facts
    }

    fn sum(&self, medium: &Path, file: &Path) -> Option<String> {
        self.noted(sums::sha256(&self.env.path(medium), &self.env.path(file)), Look::Sum)
    }

    fn free(&self, at: &Path, path: &Path) -> u64 {
        self.noted(site::free(self.env, at, &[path]), Look::Free)
    }

    fn lacks(&self, program: &Program) -> bool {
        self.noted(!is_in_initrd(self.env, program), Look::Lacks)
    }

    fn memory(&self) -> Option<u64> {
        let text = self.env.text("proc/meminfo");
        let line = text.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        self.noted(kib.and_then(|kib| kib.checked_mul(1024)), Look::Memory)
    }

    fn provider(&self) -> Option<Provider> {
        self.noted(Provider::of(self.env), Look::Provider)
    }

    fn source_at(&self, at: &Path) -> Option<String> {
        self.noted(
            mountinfo::at(&mountinfo::all(self.env), &self.env.path(at)).map(|mount| mount.source.clone()),
            Look::Mounted,
        )
    }

    fn disk(&self, medium: &MediumFacts, node: &Path, beside: bool) -> Site {
        self.noted(site::disk(self.env, &self.watch.view().devices, medium, node, beside), Look::Site)
    }

    fn host(&self, sleep: &Sleep<'_>, node: &Path, at: &Path, paths: (&Path, &Path)) -> Site {
        self.noted(site::host(self.env, sleep, node, at, paths), Look::Site)
    }

    fn found(&self, at: &Path, path: &Path) -> Found {
        self.noted(site::at_named_path(self.env, at, path), Look::Found)
    }

    fn is_stranger(&self, at: &Path, path: &Path) -> bool {
        self.noted(site::is_stranger(self.env, at, path), Look::Stranger)
    }

    fn is_begun(&self, device: &Device) -> bool {
        self.noted(site::is_begun(self.env, device), Look::Begun)
    }

    fn deployed(&self, device: &Device) -> Option<Deployed> {
        let seen = site::deployed(self.env, device)?;
        Some(self.noted(seen, |seen| Look::Deployed(device.node.clone(), seen)))
    }

    fn in_use(&self, device: &Device, sleep: &Sleep<'_>, at: Option<(&Path, &Path)>) -> Option<Obstacle> {
        let begun = at.is_some_and(|(at, path)| site::is_begun_at(self.env, device, at, &[path]));
        let at = at.map(|(at, _)| at);
        self.noted(sleep::in_use(self.env, device, sleep, at, begun).map(Obstacle::InUse), Look::InUse)
    }

    fn sleeping_windows(&self, device: &Device, at: &Path) -> Option<Windows> {
        self.noted(sleep::sleeping_windows(self.env, device, at), Look::Windows)
    }

    fn is_left_by_us(&self, device: &Device) -> bool {
        self.noted(sleep::is_left_by_us(self.env, device), Look::LeftByUs)
    }

    fn is_journal_pending(&self, device: &Device) -> bool {
        self.noted(sleep::is_journal_pending(self.env, device), Look::JournalPending)
    }

    fn init(&self, root: &Path, init: Option<&Path>, medium: Presence) -> Result<Vec<String>, Stop> {
        let there = if medium == Presence::Needed { self.is_there() } else { Ok(()) };
        let found = there.and_then(|()| self.exec.looked(|| init::program(&self.env.path(root), init)));
        if let Err(stop) = &found {
            self.saw(Look::NoInit(stop.clone()));
        }
        found.map(|(_, passed_over)| passed_over)
    }

    fn loaded(&self) -> Loaded {
        self.noted(self.exec.with_firmware(|| loader::loaded(self.env)), Look::Loaded)
    }

    fn other_kernel(&self, root: &Path) -> Option<Kernels> {
        let found = kernels::other(self.env, root);
        found.iter().for_each(|found| self.saw(Look::OtherKernel(found.clone())));
        found
    }

    fn takers(&self, root: &Path) -> Vec<Taker> {
        let found = takers::enabled(self.env, root);
        self.saw(Look::Takers(found.clone()));
        found
    }

    fn policies(&self, root: &Path, upper: &Path, lower: &Path) -> Option<PathBuf> {
        let found = labels::policies(self.env, root, upper, lower);
        found.iter().for_each(|found| self.saw(Look::Policies(found.clone())));
        found
    }
}
