//! Cuts that are no replay: QEMU is killed while its guest writes. What the other cuts show depends on the log being true;
//! these do not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::judge::Original;
use super::random::Random;
use super::recording::{FILES, announced};
use super::run::{Cuts, Run};
use super::sparse;
use crate::machine::Machine;

const DEADLINE: Duration = Duration::from_secs(300);
/// The longest wait between an announcement and the kill.
const WAIT_MS: u64 = 120;

/// Kills `count` machines, each a while after a seeded announcement.
pub fn run(cuts: &Cuts, run: &Run<'_>, original: &Original, count: usize, dir: &Path) -> Result<Vec<String>> {
    let seed = run.lab.cuts.seed;
    let mut random = Random::new(seed, "kill");
    let mut losses = Vec::new();
    for number in 0..count {
        let own = dir.join(format!("kill{number}"));
        fs::create_dir_all(&own)?;
        let disk = own.join("medium");
        sparse::copy(&original.path, &disk)?;
        let after = random.below(u64::from(FILES)) as u32;
        let wait = Duration::from_millis(random.below(WAIT_MS));
        let looked = killed(cuts, run, &disk, after, wait, &own)
            .and_then(|promised| cuts.next_boot(run, original, &disk, promised, &own.join("2")));
        match looked {
            Ok(()) => crate::remove::tree(&own)?,
            Err(error) => losses.push(format!("seed {seed}, killed {wait:?} after file {after}: {error:#}")),
        }
    }
    Ok(losses)
}

/// The last file that was announced before the kill.
fn killed(cuts: &Cuts, run: &Run<'_>, disk: &Path, after: u32, wait: Duration, dir: &Path) -> Result<u32> {
    let _slot = run.lab.qemu.take();
    let mut running =
        cuts.setup.hardware(run.lab, Machine::Qemu, disk, None, (1, FILES))?.power_on(Machine::Qemu, dir)?;
    while announced(running.result()).is_none_or(|number| number < after) {
        ensure!(running.ended()?.is_none() && running.age() < DEADLINE, "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(3));
    }
    std::thread::sleep(wait);
    running.kill();
    run.add(&running);
    fs::create_dir_all(dir.join("2"))?;
    Ok(announced(running.result()).unwrap_or(0))
}
