//! Power cuts while an image is written to a disk, of a server. Each boot after a cut has the server again, and ends with the whole image on
//! the disk, or with the one that was there before anything was done.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::log::Log;
use super::points::{self, Landmarks, Phase, Point};
use super::{Choice, log, replay, sparse};
use crate::lab::Lab;
use crate::machine::{self, Bus, Clock, Drive, Hardware, Machine, Running, Trouble};
use crate::medium::Recipe;
use crate::mode::Mode;
use crate::net::{Net, Serve, Wire};
use crate::{cache, outcome, sources, tool};

/// Many times what a boot takes.
const DEADLINE: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
/// Of the notes at the end of a disk.
const NOTES: u64 = 8192;
/// The disks of so many failed points are kept.
const KEPT: usize = 3;
const URL: &str = "root=live:http://10.9.0.1/live.iso";

/// A machine that did not come to its end. User-mode Linux was seen to hang twice in some 250 boots that write to a disk what comes over its
/// network: its kernel never ended an `fdatasync`, at other bytes each time. So such a boot is done once more, and that is said.
#[derive(Clone, Copy, Debug)]
struct Hangs;

impl std::fmt::Display for Hangs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the boot takes more than {} s", DEADLINE.as_secs())
    }
}

impl std::error::Error for Hangs {}

/// Cuts of one deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// What the server has.
    pub image: Recipe,
    /// The disk before.
    pub disk: Recipe,
    /// Another one, which is nobody's business.
    pub other: Recipe,
    /// What only the recorded boot has.
    pub once: &'static str,
    /// How many points, unless the run says otherwise.
    pub count: usize,
    /// How many with `--all`.
    pub many: usize,
}

/// What a boot after a cut did, by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Fetched all of it.
    Anew,
    /// Fetched what was missing.
    WentOn,
    /// Wrote the first bytes.
    Completed,
    /// Had nothing to do.
    Booted,
}

impl Next {
    const ALL: [(Self, &'static str); 4] = [
        (Self::WentOn, "going on, "),
        (Self::Completed, "lacks its first bytes, completing it"),
        (Self::Booted, "no network is needed for it"),
        (Self::Anew, "fetching http://10.9.0.1/live.iso"),
    ];
}

impl Deployment {
    /// Makes what is needed, and the recording.
    pub fn prepare(&self, lab: &Lab, machine: Machine) -> Result<()> {
        Mode::NativeNet.start(lab, machine, String::new())?;
        self.recording(lab).map(drop)
    }

    /// Carries them out, or a `few` of them; each loss is one text. The second value is the processor time of the machines.
    pub fn run(&self, lab: &Lab, machine: Machine, few: Option<usize>, dir: &Path) -> Result<(Vec<String>, Duration)> {
        let Choice { seed, points, many } = lab.cuts;
        let count = few.or(points).unwrap_or(if many { self.many } else { self.count });
        let log = Log::read(&self.recording(lab)?)?;
        let size = fs::metadata(self.disk.file(lab)?)?.len();
        let landmarks = Landmarks {
            tables: std::iter::once(size - NOTES..size).collect(),
            superblocks: vec![0..MIB, size - MIB..size - NOTES],
            ..Landmarks::default()
        };
        let points = points::choose(&log, Phase::Creation, &landmarks, count, seed);
        let (spent, mut losses, mut seen) = (Cell::new(Duration::ZERO), Vec::new(), Vec::new());
        for (number, point) in points.iter().enumerate() {
            let own = dir.join(format!("point{number}"));
            fs::create_dir_all(&own)?;
            let mut result = self.one(lab, machine, &log, point, &own, &spent);
            if let Err(error) = &result
                && error.is::<Hangs>()
            {
                lab.say(&format!("     point {number}: {error}; once more"));
                result = self.one(lab, machine, &log, point, &own.join("again"), &spent);
            }
            match result {
                Ok(next) => {
                    seen.push(next);
                    crate::remove::tree(&own)?;
                }
                Err(error) => {
                    losses
                        .push(format!("seed {seed}, point {number}: {point}, {} in all: {error:#}", log.entries.len()));
                    if losses.len() <= KEPT {
                        replay::disk(&log, &self.disk.file(lab)?, point.after, point.cache, &own.join("cut.img"))?;
                    }
                }
            }
        }
        let times = |next: Next| seen.iter().filter(|one| **one == next).count();
        let said: Vec<_> = Next::ALL.iter().map(|(next, _)| format!("{:?} {}", next, times(*next))).collect();
        lab.say(&format!("     {} cuts, {} losses, seed {seed}: {}", points.len(), losses.len(), said.join(", ")));
        // Else the cuts are not where they should be.
        if points.len() >= 20 && losses.is_empty() {
            for (next, _) in Next::ALL {
                ensure!(times(next) > 0, "no boot after a cut was one of {next:?}: {}", said.join(", "));
            }
        }
        Ok((losses, spent.get()))
    }

    fn one(
        &self,
        lab: &Lab,
        machine: Machine,
        log: &Log,
        point: &Point,
        dir: &Path,
        spent: &Cell<Duration>,
    ) -> Result<Next> {
        let (disk, other) = (dir.join("disk"), dir.join("other"));
        fs::create_dir_all(dir)?;
        replay::disk(log, &self.disk.file(lab)?, point.after, point.cache, &disk)?;
        sparse::copy(&self.other.file(lab)?, &other)?;
        let mut booted = self.boot(lab, machine, [&disk, &other], None, dir)?;
        spent.set(spent.get() + booted.spent());
        let channel = booted.result();
        let guest = outcome::guest_result(channel);
        let report = outcome::report_of(channel, guest.as_ref()).context("there is no report")?;
        fs::write(dir.join("report.json"), report.to_string())?;
        ensure!(report["outcome"] == "ok" && guest.is_some(), "the boot after the cut stops: {}", report["stop"]);
        let words = booted.console().to_owned();
        let next = Next::ALL.iter().find(|(_, text)| words.contains(text)).context("it says nothing of the image")?.0;
        let at = |path: PathBuf| path.display().to_string();
        sparse::same_outside(&self.other.file(lab)?, &other, &[]).context("the other disk")?;
        let image = self.image.file(lab)?;
        let length = fs::metadata(&image)?.len().to_string();
        let begins_as = |with: &Path, length: &str| {
            tool::shell("cmp -n \"$3\" \"$1\" \"$2\"", &[&disk, with, Path::new(length)]).map(drop)
        };
        let Err(why) = begins_as(&image, &length) else {
            return is_marked(&disk, next).map(|()| next);
        };
        // Nothing was done before the cut that anybody would see, and who had asked for it does not ask any more.
        let size = fs::metadata(&disk)?.len().saturating_sub(MIB).to_string();
        ensure!(next == Next::Booted, "{next:?}, and the image is not there: {why:#}");
        ensure!(!self.once.is_empty(), "{}: nothing was there before: {why:#}", at(disk.clone()));
        begins_as(&self.disk.file(lab)?, &size).context("neither the old image is there nor the new one")?;
        Ok(next)
    }

    /// A boot, to its end.
    fn boot(
        &self,
        lab: &Lab,
        machine: Machine,
        disks: [&Path; 2],
        log: Option<PathBuf>,
        dir: &Path,
    ) -> Result<Running> {
        let once = if log.is_some() { self.once } else { "" };
        let mut log = log;
        let drives = disks.map(|file| Drive {
            file: file.to_owned(),
            bus: Bus::Disk,
            late: None,
            keep_writes: true,
            log: log.take(),
            locked: false,
            trouble: Trouble::default(),
        });
        let names = machine::names(machine, &drives);
        let line = format!(
            "{URL} console=ttyS0 panic=-1 no_timer_check lab.report rd.live.report=/dev/ttyS1 rd.minmem=64 rd.retry=30 \
             rd.kiwi.live.system=/dev/{{0}} lab.shutdown {once}"
        );
        let start = Mode::NativeNet.start(lab, machine, names.fill(&line))?;
        let net = Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Http(vec![("/live.iso", self.image.clone())]));
        let wire = Wire::lay(&net, lab, machine, dir)?;
        let hardware = Hardware {
            start,
            drives: drives.into(),
            memory: 768,
            clock: Clock::Host { cpus: 1 },
            net: Some(wire.plug()),
        };
        let _slot = (machine == Machine::Qemu).then(|| lab.qemu.take());
        let mut running = hardware.power_on(machine, dir)?;
        while running.ended()?.is_none() {
            let failed = outcome::agent_report(running.result()).filter(outcome::is_failure);
            if let Some(report) = failed {
                running.kill();
                anyhow::bail!("the boot stops: {}", report["stop"]);
            }
            if running.age() > DEADLINE {
                running.kill();
                return Err(Hangs.into());
            }
            running.pause();
        }
        Ok(running)
    }

    /// The log of a deployment.
    fn recording(&self, lab: &Lab) -> Result<PathBuf> {
        let initrd = Mode::NativeNet.pair(lab)?.initrd;
        let key = format!(
            "deployment {:x} {:x} {} {} {} {} {:x}",
            cache::hash(include_str!("deployment.rs")),
            sources::recordings(),
            self.once,
            cache::identity(&self.image.file(lab)?)?,
            cache::identity(&self.disk.file(lab)?)?,
            cache::identity(&initrd)?,
            lab.built.guest.hash
        );
        lab.cache.file("power", "recording of a deployment", &key, |path| {
            let dir = lab.cache.fast_scratch("power")?;
            match self.record(lab, path, &dir) {
                Ok(()) => crate::remove::tree(&dir),
                Err(error) => {
                    Err(error.context(format!("logs: {}", crate::lab::keep("power recording", &dir)?.display())))
                }
            }
        })
    }

    fn record(&self, lab: &Lab, path: &Path, dir: &Path) -> Result<()> {
        let (disk, other, log) = (dir.join("disk"), dir.join("other"), dir.join("log"));
        sparse::copy(&self.disk.file(lab)?, &disk)?;
        sparse::copy(&self.other.file(lab)?, &other)?;
        File::create(&log)?;
        let mut booted = self.boot(lab, Machine::Qemu, [&disk, &other], Some(log.clone()), dir)?;
        ensure!(outcome::guest_result(booted.result()).is_some(), "the recorded boot did not end in the system");
        log::with_marks(&log, &[], path)
    }
}

/// Whether the disk's last MiB has nothing but the mark of the image. A cut just before the mark leaves none, and a boot that has nothing to
/// do writes nothing.
fn is_marked(disk: &Path, next: Next) -> Result<()> {
    let (size, mut last) = (fs::metadata(disk)?.len(), vec![0; MIB as usize]);
    File::open(disk)?.read_exact_at(&mut last, size - MIB)?;
    if next != Next::Booted {
        ensure!(last.starts_with(b"rdlive deploying"), "there is no mark at the end of the disk");
        ensure!(sparse::is_zero(&last[4096..]), "there is more than the mark at the end of the disk");
    }
    Ok(())
}
