//! Disks for a machine with a kernel of its own: ISO hybrids, hosts with FAT, encrypted areas, stores of snapshots.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::generate::{self, Disk, Must};
use super::media::GuestMedia;
use super::{Came, host, judge, sparse};
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Drive, Hardware, Machine, Trouble};
use crate::mode::Mode;
use crate::{outcome, spent};

const DEADLINE: Duration = Duration::from_secs(300);

/// Boots a slice, one disk after the other; the second value is the processor time.
pub fn slice(lab: &Lab, machine: Machine, first: u64, count: u64, dir: &Path) -> Result<(Came, Duration)> {
    let media = GuestMedia::of(lab)?;
    for mode in [Mode::NativeWrite, Mode::NativeCryptQuick] {
        mode.start(lab, machine, String::new())?;
    }
    let all = || -> Result<(Came, Duration)> {
        host::enter()?;
        let (mut came, mut spent) = (Came::default(), Duration::ZERO);
        for seed in first..first + count {
            let own = dir.join(format!("disk{}", seed - first));
            let done = one(lab, machine, seed, &media, &own, &mut spent);
            came.note(seed, done, &own);
        }
        Ok((came, spent + spent::of_this_thread()))
    };
    // What is mounted to be looked at is mounted in a thread of its own.
    std::thread::scope(|scope| scope.spawn(all).join()).map_err(|_| anyhow::anyhow!("a slice has panicked"))?
}

fn one(
    lab: &Lab,
    machine: Machine,
    seed: u64,
    media: &GuestMedia,
    dir: &Path,
    spent: &mut Duration,
) -> Result<(String, bool)> {
    fs::create_dir_all(dir)?;
    let (path, before) = (dir.join("medium"), dir.join("medium.before"));
    let disk = generate::for_guest(seed, media, &path)?;
    let said = || format!("{}, {:?}, {}, {:?}, {:?}", disk.kind, disk.holds, disk.kargs, disk.wish, disk.must);
    sparse::copy(&path, &before)?;
    let report = booted(lab, machine, &disk, &path, dir, spent).with_context(said)?;
    if report["outcome"] != "ok" {
        let code = &report["stop"];
        ensure!(disk.must == Must::Either, "{}: the boot ended: {code}", said());
        ensure!(sparse::changed(&before, &path, &[])?.is_empty(), "{}: {code}, and something was written", said());
        return Ok((disk.asked(), false));
    }
    judge::judge(&disk, &report, &before, &path, dir).with_context(said)?;
    Ok((disk.asked(), judge::keeps(&report)))
}

fn booted(lab: &Lab, machine: Machine, disk: &Disk, file: &Path, dir: &Path, spent: &mut Duration) -> Result<Value> {
    let mode = if disk.encrypted { Mode::NativeCryptQuick } else { Mode::NativeWrite };
    // As systemd ends a system: all is unmounted in order.
    let own = "quiet console=ttyS0 panic=-1 lab.report rd.live.report=/dev/ttyS1 lab.shutdown";
    let start = mode.start(lab, machine, format!("{} {own}", disk.kargs))?;
    let drive = Drive {
        file: file.to_owned(),
        bus: Bus::Disk,
        late: None,
        keep_writes: true,
        log: None,
        locked: false,
        trouble: Trouble::default(),
    };
    let clock = Clock::Host { cpus: 1 };
    let hardware = Hardware { start, drives: vec![drive], memory: 768, clock, net: None };
    let _slot = (machine == Machine::Qemu).then(|| lab.qemu.take());
    let mut running = hardware.power_on(machine, dir)?;
    while running.ended()?.is_none() {
        if let Some(report) = outcome::agent_report(running.result()).filter(outcome::is_failure) {
            running.kill();
            *spent += running.spent();
            return Ok(report);
        }
        ensure!(running.age() < DEADLINE, "the boot takes too long");
        running.pause();
    }
    *spent += running.spent();
    let guest = outcome::guest_result(running.result()).context("the real init never reported")?;
    match outcome::report_of(running.result(), Some(&guest)) {
        Some(report) => Ok(report),
        None => bail!("there is no report"),
    }
}
