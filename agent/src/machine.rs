//! The machine itself as the world of a boot: what is asked is looked at, what is to be done is done.

use std::io;
use std::path::{Path, PathBuf};

use crate::area::{Found, InUse, Site, Windows};
use crate::attempt::{Avoided, Watchdog};
use crate::boot::{KeyPlace, Tone, World};
use crate::config::Config;
use crate::env::Env;
use crate::error::Stop;
use crate::exec::Executor;
use crate::exec::secret::Secret;
use crate::facts::{Content, Device, Inner, MediumFacts, Moment, RamFacts, View};
use crate::foreign;
use crate::format::Superblock;
use crate::handover::StepRecord;
use crate::kmsg::{self, NOTICE};
use crate::mountinfo;
use crate::plan::{Done, Slot, Step};
use crate::probe::sleep::{self, Sleep};
use crate::probe::{self, block, content, site, sums};
use crate::watch::Watch;

/// The machine that boots.
pub struct Machine<'a> {
    env: &'a Env,
    /// Does the steps.
    pub exec: Executor<'a>,
    /// Sees the devices.
    pub watch: Watch,
}

impl<'a> Machine<'a> {
    /// A machine of which nothing is known yet.
    pub fn new(env: &'a Env, exec: Executor<'a>) -> Self {
        let mut watch = Watch::new(env);
        watch.watchdog = exec.watchdog.clone();
        Self { env, exec, watch }
    }

    /// The same, keeping away from disks that have hung an earlier attempt.
    #[must_use]
    pub fn avoiding(mut self, devices: Vec<Avoided>) -> Self {
        self.watch.avoid(devices);
        self
    }

    /// The path of a node as the list of devices has it.
    fn without_root(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.env.root()).map_or_else(|_| path.to_owned(), |path| Path::new("/").join(path))
    }
}

impl World for Machine<'_> {
    fn view(&self) -> View {
        self.watch.view()
    }

    fn wait(&mut self, until: Moment) -> bool {
        self.watch.wait(until)
    }

    fn perform(&mut self, stage: &str, steps: &[Step], shows: bool) -> Result<Done, Stop> {
        if shows { self.exec.show(stage, steps) } else { self.exec.perform(stage, steps) }
    }

    fn done_before_failing(&mut self) -> Done {
        self.exec.done_before_failing()
    }

    fn take_records(&mut self) -> Vec<StepRecord> {
        std::mem::take(&mut self.exec.records)
    }

    fn mark(&self) -> usize {
        self.exec.mark()
    }

    fn unwind(&mut self, from: usize, to: usize) {
        self.exec.unwind_between(from, to);
    }

    fn node(&self, slot: Slot) -> Option<PathBuf> {
        self.exec.node(slot).map(|node| self.without_root(node))
    }

    fn bytes(&self, slot: Slot) -> u64 {
        self.exec.sectors(slot).unwrap_or(0).saturating_mul(512)
    }

    fn is_looped(&self, node: &Path) -> bool {
        self.exec.has_looped(&self.env.path(node))
    }

    fn forget_links(&mut self, links: &[PathBuf]) {
        links.iter().for_each(|link| self.exec.remove_link(link));
    }

    fn take_key(&mut self, place: KeyPlace<'_>) -> io::Result<()> {
        self.exec.key = Some(match place {
            KeyPlace::Initrd(path) => Secret::of_file(&self.env.path(path))?,
            KeyPlace::Mounted(at, path) => foreign::open(&self.env.path(at), path).and_then(Secret::read)?,
        });
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
        }
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.env.path(path).metadata().map(|facts| facts.is_file())
    }

    fn identify(&self, path: &Path) -> io::Result<(Option<Superblock>, u64)> {
        block::identify(self.env, path)
    }

    fn content(&self, config: &Config, at: &Path) -> Result<Content, Stop> {
        content::medium(self.env, config, at)
    }

    fn inner(&self, config: &Config, at: &Path) -> Result<Inner, Stop> {
        content::container(self.env, config, at)
    }

    fn ram(&self, image: &Path) -> io::Result<RamFacts> {
        probe::ram::facts(self.env, image)
    }

    fn sum(&self, medium: &Path, file: &Path) -> Option<String> {
        sums::sha256(&self.env.path(medium), &self.env.path(file))
    }

    fn memory(&self) -> Option<u64> {
        let text = self.env.text("proc/meminfo")?;
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
        kib.parse::<u64>().ok()?.checked_mul(1024)
    }

    fn source_at(&self, at: &Path) -> Option<String> {
        mountinfo::at(&mountinfo::all(self.env), &self.env.path(at)).map(|mount| mount.source.clone())
    }

    fn disk(&self, medium: &MediumFacts, node: &Path, beside: bool) -> Site {
        site::disk(self.env, &self.watch.view().devices, medium, node, beside)
    }

    fn host(&self, sleep: &Sleep<'_>, node: &Path, at: &Path, paths: (&Path, &Path)) -> Site {
        site::host(self.env, sleep, node, at, paths)
    }

    fn found(&self, at: &Path, path: &Path) -> Found {
        site::at_named_path(self.env, at, path)
    }

    fn is_stranger(&self, at: &Path, path: &Path) -> bool {
        site::is_stranger(self.env, at, path)
    }

    fn is_begun(&self, device: &Device) -> bool {
        site::is_begun(self.env, device)
    }

    fn in_use(&self, device: &Device, sleep: &Sleep<'_>, at: Option<&Path>) -> Option<InUse> {
        sleep::in_use(self.env, device, sleep, at, false)
    }

    fn sleeping_windows(&self, device: &Device, at: &Path) -> Option<Windows> {
        sleep::sleeping_windows(self.env, device, at)
    }

    fn is_left_by_us(&self, device: &Device) -> bool {
        sleep::is_left_by_us(self.env, device)
    }
}
