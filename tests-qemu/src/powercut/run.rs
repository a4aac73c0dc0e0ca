//! The points of one medium, one after the other: replay, boot, look.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Choice;
use super::judge::{self, Area, Emptied, Original};
use super::kill;
use super::log::Log;
use super::points::{self, Landmarks, Phase, Point};
use super::random::Random;
use super::recording::{self, Place, Setup};
use super::replay::{self, Cache};
use super::reset::{self, Old, around_the_mark};
use super::shown::apart;
use crate::lab::Lab;
use crate::machine::{Machine, Need, Running};
use crate::medium::{Fs, Recipe};
use crate::{cache, outcome, tool};

/// The file that the boot after the cut writes.
const AFTERWARDS: u32 = 1000;
const DEADLINE: Duration = Duration::from_secs(300);
/// The entries in which an ext4 is mounted and signed.
const FIRST: usize = 10;
/// The disks of so many failed points are kept.
const KEPT: usize = 3;

/// Cuts on one medium.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// The medium and its boot.
    pub setup: Setup,
    /// The image below the store of a snapshot.
    pub origin: Option<Recipe>,
    /// When it is cut.
    pub phase: Phase,
    /// How many points, unless the run says otherwise.
    pub count: usize,
    /// How many with `--all`.
    pub many: usize,
}

/// Who boots after the cuts, and what that has cost.
pub struct Run<'a> {
    /// The cache and the choice of places.
    pub lab: &'a Lab,
    /// Carries out the boots.
    pub machine: Machine,
    spent: Cell<Duration>,
}

impl Run<'_> {
    /// Notes what a machine that is off has cost.
    pub fn add(&self, running: &Running) {
        self.spent.set(self.spent.get() + running.spent());
    }
}

/// A recording and the disk that it began with.
struct Ground {
    log: Log,
    base: PathBuf,
}

impl Cuts {
    /// What a machine must have for the boots after the cuts.
    pub fn needs(&self) -> Vec<Need> {
        // QEMU records, or is killed, in any case; and that machine's bus is no matter for the disk that it leaves.
        self.setup.medium.driver().map(Need::FileSystem).into_iter().collect()
    }

    /// Makes medium, initrd and the first recording.
    pub fn prepare(&self, lab: &Lab, machine: Machine) -> Result<()> {
        let medium = self.setup.medium.file(lab)?;
        self.setup.mode.start(lab, machine, String::new())?;
        if let Some(origin) = &self.origin {
            origin.file(lab)?;
        }
        if self.phase == Phase::Killed {
            // That one is killed, whoever boots afterwards.
            return self.setup.mode.start(lab, Machine::Qemu, String::new()).map(drop);
        }
        self.first().recording(lab, lab.cuts.seed, &medium, "new").map(drop)
    }

    /// The first boot that is recorded.
    fn first(&self) -> Setup {
        let mut first = self.setup.clone();
        if self.is_used_first() {
            first.once = "";
        }
        first
    }

    /// No script makes the store of a snapshot that has changes: a boot does, before the one whose reset is cut.
    fn is_used_first(&self) -> bool {
        self.setup.place.is_store() && matches!(self.phase, Phase::Reset(_))
    }

    /// Carries them out, or a `few` of them; each loss is one text. Disks and logs of losses stay in `dir`.
    /// The second value is the processor time of the machines.
    pub fn run(&self, lab: &Lab, machine: Machine, few: Option<usize>, dir: &Path) -> Result<(Vec<String>, Duration)> {
        let Choice { seed, points, many } = lab.cuts;
        // Each costs as much as twenty others.
        let few = few.map(|few| if self.setup.is_encrypted() { 1 } else { few });
        let count = few.or(points).unwrap_or(if many { self.many } else { self.count });
        let medium = self.setup.medium.file(lab)?;
        let run = Run { lab, machine, spent: Cell::default() };
        let origin = self.origin.as_ref().map(|origin| origin.file(lab)).transpose()?;
        let original = apart(|| Original::look(&medium, self.setup.place, origin, dir))?;
        let (made, losses) = match self.phase {
            Phase::Killed => (count, kill::run(self, &run, &original, count, dir)?),
            _ => self.replayed(&run, &original, count, dir)?,
        };
        let of = if made < count { format!(" of {count}, there are no more places") } else { String::new() };
        lab.say(&format!("     {made} cuts{of}, {} losses, seed {seed}", losses.len()));
        Ok((losses, run.spent.get()))
    }

    fn replayed(&self, run: &Run<'_>, original: &Original, count: usize, dir: &Path) -> Result<(usize, Vec<String>)> {
        let seed = run.lab.cuts.seed;
        let ground = self.ground(run.lab, original, dir)?;
        let landmarks = self.landmarks(&ground, original, dir)?;
        let points = points::choose(&ground.log, self.phase, &landmarks, count, seed);
        ensure!(!points.is_empty(), "the recording has no such phase");
        let mut losses = Vec::new();
        for (number, point) in points.iter().enumerate() {
            let own = dir.join(format!("point{number}"));
            fs::create_dir_all(&own)?;
            match self.one(run, &ground, original, point, &own) {
                Ok(()) => crate::remove::tree(&own)?,
                Err(error) => {
                    let total = ground.log.entries.len();
                    losses.push(format!("seed {seed}, point {number}: {point}, {total} in all: {error:#}"));
                    if losses.len() <= KEPT {
                        let kept = own.join("cut.img");
                        replay::disk(&ground.log, &ground.base, point.after, point.cache, &kept)?;
                    }
                }
            }
        }
        Ok((points.len(), losses))
    }

    /// The first boot on a new medium; or the first boot after a cut in that one; or the boot that empties what the first has kept.
    fn ground(&self, lab: &Lab, original: &Original, dir: &Path) -> Result<Ground> {
        let (seed, medium) = (lab.cuts.seed, &original.path);
        let recorded = self.first().recording(lab, seed, medium, "new")?;
        let first = Ground { log: Log::read(&recorded)?, base: medium.to_owned() };
        // Both are in the key of what is recorded next: the disk that it begins with is made of them.
        let recorded = cache::identity(&recorded)?;
        let base = dir.join("medium.cut");
        let of = match self.phase {
            Phase::SecondCreation => {
                let landmarks = self.landmarks(&first, original, dir)?;
                let cut = points::unfinished(&first.log, &landmarks, &mut Random::new(seed, "first cut"));
                replay::disk(&first.log, medium, cut.after, cut.cache, &base)?;
                format!("cut {cut} of {recorded}")
            }
            Phase::Reset(old) if self.is_used_first() => {
                replay::disk(&first.log, medium, first.log.entries.len(), Cache::Kept, &base)?;
                if old == Old::Other {
                    let start = original.partition(0)?.start.to_string();
                    tool::shell_with_mounts(reset::OTHERS, &[&base, start.as_ref()])?;
                }
                format!("used {old:?} {recorded}")
            }
            _ => return Ok(first),
        };
        let log = Log::read(&self.setup.recording(lab, seed, &base, &of)?)?;
        Ok(Ground { log, base })
    }

    /// Tables (or the directory of a cow file) and superblocks, found by looking at the disk that the recording ended with.
    fn landmarks(&self, ground: &Ground, original: &Original, dir: &Path) -> Result<Landmarks> {
        let place = self.setup.place;
        let last = dir.join("medium.last");
        let end = || replay::disk(&ground.log, &ground.base, ground.log.entries.len(), Cache::Kept, &last);
        if place.is_store() {
            end()?;
            let within = original.partition(usize::from(place == Place::StoreDevice))?;
            let tables = vec![reset::header(&last, &within)?];
            fs::remove_file(last)?;
            return Ok(Landmarks { tables, first: FIRST, ..Landmarks::default() });
        }
        if matches!(self.phase, Phase::Reset(_)) {
            return Ok(Landmarks { turns: around_the_mark(&ground.log)?, ..Landmarks::default() });
        }
        if place == Place::File {
            return Ok(Landmarks { tables: judge::root_directory(original)?, first: FIRST, ..Landmarks::default() });
        }
        end()?;
        let area = match place {
            Place::Unused | Place::Given => original.partition(judge::THIRD)?,
            _ => original.added(&last).context("looking at the end of the recording")?,
        };
        let tables = judge::tables(&last)?;
        fs::remove_file(last)?;
        let places: &[u64] = match self.setup.is_encrypted() {
            // Both headers, and the file system inside.
            true => &[0, 16 << 10, 16 << 20],
            // The first 4 KiB for ext4 and XFS, 64 KiB into the area for btrfs.
            false => &[0, 64 << 10],
        };
        let superblocks = places.iter().map(|at| area.start + at..area.start + at + 4096).collect();
        Ok(Landmarks { tables, superblocks, ..Landmarks::default() })
    }

    fn one(&self, run: &Run<'_>, ground: &Ground, original: &Original, point: &Point, dir: &Path) -> Result<()> {
        let disk = dir.join("medium");
        replay::disk(&ground.log, &ground.base, point.after, point.cache, &disk)?;
        let promised = points::promised(&ground.log, point.after).unwrap_or(0);
        self.next_boot(run, original, &disk, promised, dir)
    }

    /// Boots a disk after its cut and looks at all that was promised. `original` is what it was at the very first.
    pub fn next_boot(&self, run: &Run<'_>, original: &Original, disk: &Path, promised: u32, dir: &Path) -> Result<()> {
        let report = self.boot(run, disk, dir)?;
        apart(|| self.look(&report, original, disk, promised, dir))
    }

    /// Its driver keeps no journal: a cut while a file is made on an NTFS leaves what only a check of Windows mends, and the boot says so.
    fn needs_check(&self, report: &Value) -> bool {
        let said = format!("{}{}", report["fallbacks"], report["stop"]);
        self.setup.host() == Some(Fs::Ntfs) && said.contains("chkdsk")
    }

    fn look(&self, report: &Value, original: &Original, disk: &Path, promised: u32, dir: &Path) -> Result<()> {
        let (mode, place) = (&report["write_mode"], self.setup.place);
        let refused = report["fallbacks"].to_string();
        let host = self.setup.host();
        let unknown = matches!(host, Some(Fs::Vfat | Fs::Exfat)) && refused.contains("rd.live.host.awake=1");
        let ntfs = self.needs_check(report);
        // A host that its driver marks before anything of ours is there looks as if another system had been cut, or slept, on it.
        if matches!(place, Place::File | Place::StoreFile) && promised == 0 && (unknown || ntfs) {
            let kept = mode["persistence"].as_str().is_some_and(|kind| kind != "temporary");
            ensure!(!kept, "refused, and kept all the same: {mode}");
            return judge::left_alone(original, disk, ntfs, dir);
        }
        if let Phase::Reset(old) = self.phase {
            let (seen, late) = (reset::seen(report, place, old)?, reset::late(report));
            return judge::emptied(original, disk, &Emptied { place, old, seen, late, afterwards: AFTERWARDS, dir });
        }
        let fallbacks = report["fallbacks"].as_array().map_or(0, Vec::len);
        ensure!(
            mode["persistence"] == place.name() && fallbacks == 0,
            "the boot after the cut has no area: {mode}, {}",
            report["fallbacks"]
        );
        let files: Vec<u32> = (1..=promised).chain([AFTERWARDS]).collect();
        let encrypted = self.setup.is_encrypted();
        ensure!(mode["encrypted"] == encrypted, "the area after the cut is encrypted: {}", mode["encrypted"]);
        let area = Area { files: &files, encrypted, named: matches!(place, Place::Named | Place::Given), dir };
        match place {
            Place::Partition | Place::Named => judge::partition(original, disk, &area),
            Place::Unused | Place::Given => judge::existing(original, disk, &area),
            Place::File => judge::file(original, disk, &area, host == Some(Fs::Ntfs)),
            Place::StoreFile | Place::StoreDevice => judge::snapshot(original, disk, place, &area),
            Place::Directory => bail!("a directory is only emptied"),
        }
    }

    /// The boot after the cut; the report of the agent.
    fn boot(&self, run: &Run<'_>, disk: &Path, dir: &Path) -> Result<Value> {
        let Run { lab, machine, .. } = *run;
        let hardware = self.setup.hardware(lab, machine, disk, None, (AFTERWARDS, AFTERWARDS))?;
        let _slot = (machine == Machine::Qemu).then(|| lab.qemu.take());
        let mut running = hardware.power_on(machine, dir)?;
        while running.ended()?.is_none() {
            let failed = outcome::agent_report(running.result()).filter(outcome::is_failure);
            if let Some(report) = failed {
                ensure!(self.needs_check(&report), "the boot after the cut stops: {}", report["stop"]);
                return Ok(report);
            }
            ensure!(running.age() < DEADLINE, "the boot after the cut takes too long");
            running.pause();
        }
        run.add(&running);
        let channel = running.result();
        ensure!(recording::announced(channel) == Some(AFTERWARDS), "the boot after the cut could not write its file");
        let guest = outcome::guest_result(channel).context("the real init never reported")?;
        fs::write(dir.join("report.json"), guest.report.as_deref().unwrap_or_default())?;
        outcome::report_of(channel, Some(&guest)).context("there is no report")
    }
}
