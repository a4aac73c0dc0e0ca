//! The property that nothing is destroyed, on disks from seeds: every byte outside of what the boot was asked to make is the same
//! afterwards, and where there is room, or emptiness, the area is made. Both are seen from outside, and the tables are read by others
//! (`sfdisk`, the `gpt` crate).

mod generate;
mod guest;
mod host;
mod judge;
mod media;
mod sparse;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::generate::Disk;
use self::host::Plugged;
use self::media::Media;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::{namespace, spent};

/// Disks of a slice that are booted side by side: each waits for what might still be plugged in.
const AT_ONCE: usize = 8;
/// Seconds that a boot waits; and on a machine that has no time for it.
const PATIENCE: [u32; 2] = [1, 30];
/// How long a boot may take.
const LIMIT: Duration = Duration::from_secs(100);
/// So many failures of a slice are told.
const TOLD: usize = 6;

/// Who boots the disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The agent itself, on loop devices of the host.
    Agent,
    /// A machine with a kernel of its own, for what the host cannot mount.
    Machine,
}

/// A slice of seeds.
#[derive(Clone, Copy, Debug)]
pub struct Disks {
    /// Who boots them.
    pub by: By,
    /// The first one, beside the seed of the run.
    pub first: u64,
    /// How many in each run.
    pub count: u64,
    /// How many with `--all`.
    pub many: u64,
}

/// What a process of its own does for a slice.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    first: u64,
    count: u64,
    media: Media,
    agent: PathBuf,
    dir: PathBuf,
}

/// What came of a slice.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Came {
    /// Of each kind, how many kept changes, and how many there were.
    kinds: BTreeMap<String, (u64, u64)>,
    failures: Vec<String>,
}

impl Came {
    /// Notes what came of one; the disk of a failure stays, if few have failed.
    fn note(&mut self, seed: u64, done: Result<(String, bool)>, dir: &Path) {
        match done {
            Ok((kind, made)) => {
                let (kept, all) = self.kinds.entry(kind).or_default();
                (*kept, *all) = (*kept + u64::from(made), *all + 1);
            }
            Err(error) => self.failures.push(format!("disk {seed}: {error:#}")),
        }
        if self.failures.len() > TOLD
            || self.failures.last().is_none_or(|last| !last.starts_with(&format!("disk {seed}:")))
        {
            let _ = crate::remove::tree(dir);
        }
    }
}

impl Disks {
    /// Boots all of them; each text is a property that does not hold. The second value is the processor time.
    pub fn run(&self, lab: &Lab, machine: Machine, dir: &Path) -> Result<(Vec<String>, Duration)> {
        let count = lab.cuts.points.map_or(if lab.cuts.many { self.many } else { self.count }, |points| points as u64);
        let first = lab.cuts.seed.wrapping_mul(1 << 32).wrapping_add(self.first * self.many);
        let (Came { kinds, failures }, spent) = match self.by {
            By::Agent => {
                let media = Media::of(lab)?;
                let begin = spent::of_this_thread();
                let order = Order { first, count, media, agent: lab.built.agent.path.clone(), dir: dir.to_owned() };
                (carried_out(&order)?, spent::of_this_thread() - begin)
            }
            By::Machine => guest::slice(lab, machine, first, count, dir)?,
        };
        let kept: u64 = kinds.values().map(|(kept, _)| kept).sum();
        lab.say(&format!("     {count} disks from {first} on, {kept} with an area, {} failures", failures.len()));
        let kinds: Vec<String> = kinds.iter().map(|(kind, (kept, all))| format!("{kind} {kept} of {all}")).collect();
        lab.say(&format!("     {}", kinds.join(", ")));
        ensure!(kept * 10 >= count, "only {kept} of {count} disks got an area: the generator shows nothing");
        let more = failures.len().saturating_sub(TOLD);
        let mut told: Vec<String> = failures.into_iter().take(TOLD).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        Ok((told, spent))
    }
}

/// In a process of its own, which has mounts of its own, and whose processor time the kernel counts to the end: that of a program
/// which takes less than a tick is lost to whoever asks for it alone.
fn carried_out(order: &Order) -> Result<Came> {
    let mut command = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut command, namespace::INSIDE);
    command.arg("disks").arg(serde_json::to_string(order)?);
    let output = spent::output(&mut command, true).context("starting the process of a slice")?;
    ensure!(output.status.success(), "the process of a slice failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("what the process of a slice says")
}

/// What that process does.
///
/// # Errors
/// Whatever is no property of a disk.
pub fn slice(order: &str) -> Result<ExitCode> {
    let order: Order = serde_json::from_str(order)?;
    host::enter()?;
    let (next, came) = (AtomicU64::new(0), Mutex::new(Came::default()));
    // Before any of them mounts something: what is mounted already would be there twice, and stay in use.
    let begin = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // mkfs.btrfs looks at all that is mounted, and fails when another machine unmounts it meanwhile.
                let apart = host::apart();
                begin.wait();
                apart.unwrap_or_else(|error| panic!("{error:#}"));
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= order.count {
                        break;
                    }
                    let (seed, own) = (order.first + nth, order.dir.join(format!("disk{nth}")));
                    let done = one(seed, &order, &own);
                    came.lock().unwrap_or_else(PoisonError::into_inner).note(seed, done, &own);
                }
            });
        }
    });
    println!("{}", serde_json::to_string(&came.into_inner().unwrap_or_else(PoisonError::into_inner))?);
    Ok(ExitCode::SUCCESS)
}

/// One disk; what it was asked, and whether changes were kept.
fn one(seed: u64, order: &Order, dir: &Path) -> Result<(String, bool)> {
    fs::create_dir_all(dir)?;
    let (path, before) = (dir.join("medium"), dir.join("medium.before"));
    let disk = generate::disk(seed, &order.media, &path)?;
    let said = || format!("{}, {:?}, {}, {:?}, {:?}", disk.kind, disk.holds, disk.kargs, disk.wish, disk.must);
    sparse::copy(&path, &before)?;
    let report = booted(&disk, &order.agent, dir, &path, &before).with_context(said)?;
    judge::judge(&disk, &report, &before, &path, dir).with_context(said)?;
    Ok((disk.asked(), judge::keeps(&report)))
}

/// Boots it; the report, when all is unmounted.
fn booted(disk: &Disk, agent: &Path, dir: &Path, path: &Path, before: &Path) -> Result<Value> {
    let plugged = Plugged::new(dir, path, disk.sector, &disk.shown)?;
    for (nth, patience) in PATIENCE.into_iter().enumerate() {
        plugged.boot(agent, &format!("{} rd.retry={patience}", disk.kargs), LIMIT)?;
        let report = judge::report(dir)?;
        // A host with too much to do: medium or disk had not been looked at when the time was over.
        let told = report["fallbacks"].to_string();
        let early =
            report["outcome"] != "ok" || ["does not answer", "is not there"].iter().any(|text| told.contains(text));
        if early && nth + 1 < PATIENCE.len() {
            plugged.unmount()?;
            ensure!(sparse::changed(before, path, &[])?.is_empty(), "nothing was found, and something was written");
            continue;
        }
        let said = fs::read_to_string(dir.join("out")).unwrap_or_default();
        ensure!(report["outcome"] == "ok", "the boot ended: {}{said}", report["stop"]);
        plugged.out()?;
        return Ok(report);
    }
    anyhow::bail!("no boot")
}
