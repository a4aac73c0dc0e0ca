//! What every part of a run shares: the cache, our programs, the settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};

use crate::artifact::{self, Artifacts, Builder};
use crate::cache::{self, Cache};
use crate::guest::Tree;
use crate::lock::Lock;
use crate::powercut::Choice;
use crate::slots::Slots;
use crate::times::Times;
use crate::{progress, remove, tool};

/// One run of the lab.
pub struct Lab {
    /// Trees, initrds, media, and directories for work in progress.
    pub cache: Cache,
    /// Agent, builder, guest program.
    pub built: Artifacts,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// Where the power is cut.
    pub cuts: Choice,
    /// Machines of QEMU that may run at once.
    pub qemu: Slots,
    /// How long scenarios and artefacts took the last time.
    pub times: Arc<Times>,
}

impl Lab {
    /// Opens the cache, builds our programs; makes `trees` meanwhile, for the linker keeps one processor busy.
    pub fn open(mirror: Option<String>, trees: &[Tree], builder: Builder) -> Result<Self> {
        progress::begin();
        let cache = Cache::open(&cache::place())?;
        let times = Arc::clone(cache.times());
        let built = std::thread::scope(|scope| {
            // Whoever needs one that could not be made says why.
            scope.spawn(|| trees.iter().for_each(|tree| drop(tree.base(&cache, mirror.as_deref()))));
            Artifacts::build(&cache, builder)
        })?;
        Ok(Self { cache, built, mirror, cuts: Choice::default(), qemu: Slots::new(1), times })
    }

    /// One with a cache of its own and no programs.
    #[cfg(test)]
    pub fn for_tests(cache: &Path) -> Self {
        let cache = Cache::open(cache).unwrap();
        let times = Arc::clone(cache.times());
        let built = Artifacts::none();
        Self { cache, built, mirror: None, cuts: Choice::default(), qemu: Slots::new(1), times }
    }

    /// A line of progress, with the seconds since the start.
    pub fn say(&self, text: &str) {
        progress::say(text);
    }

    /// What the last failure of this name left is gone: call it before the next try.
    pub fn forget_failure(&self, name: &str) -> Result<()> {
        remove::tree(&failed(name))
    }
}

/// Moves the logs of a failure to where they stay: `target/lab/failed` in the work tree.
pub fn keep(name: &str, dir: &Path) -> Result<PathBuf> {
    let kept = failed(name);
    remove::tree(&kept)?;
    fs::create_dir_all(kept.parent().unwrap_or(&kept))?;
    // They may be in memory.
    if fs::rename(dir, &kept).is_err() {
        tool::run(Command::new("cp").args(["-a", "--sparse=always", "--"]).args([dir, &kept]))
            .with_context(|| format!("keeping {}", dir.display()))?;
        remove::tree(dir)?;
    }
    Ok(kept)
}

fn failed(name: &str) -> PathBuf {
    let flat = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    failures().join(flat)
}

/// Where this run's failures are: in the work tree, wherever cargo compiles to. Another lab in the same clone has a place of its own.
fn failures() -> &'static Path {
    static PLACE: OnceLock<(PathBuf, Option<Lock>)> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let dir = artifact::workspace().join("target/lab");
        match own(&dir) {
            Ok((place, lock)) => {
                if place != dir.join(FAILED) {
                    progress::say(&format!(
                        "another lab runs in this clone: logs of failures are in {}",
                        place.display()
                    ));
                }
                (place, Some(lock))
            }
            // Rather in each other's way than nowhere.
            Err(_) => (dir.join(FAILED), None),
        }
    });
    &place.0
}

/// Logs of failures.
const FAILED: &str = "failed";

/// A place that no live lab has, and the lock that keeps it.
fn own(dir: &Path) -> Result<(PathBuf, Lock)> {
    fs::create_dir_all(dir)?;
    let names = std::iter::once(FAILED.to_owned()).chain((2..100).map(|number| format!("{FAILED}-{number}")));
    for name in names {
        if let Some(lock) = Lock::now(&dir.join(format!("{name}.lock")))? {
            return Ok((dir.join(name), lock));
        }
    }
    bail!("no place for failures in {}", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lab_in_a_clone_has_a_place_of_its_own_for_failures() {
        let dir = tempfile::tempdir().unwrap();
        let name = |place: &(PathBuf, Lock)| place.0.file_name().unwrap().to_string_lossy().into_owned();
        let (first, second) = (own(dir.path()).unwrap(), own(dir.path()).unwrap());
        assert_eq!([name(&first), name(&second)], ["failed", "failed-2"]);
        drop(first);
        assert_eq!(name(&own(dir.path()).unwrap()), "failed");
    }

    #[test]
    fn failures_are_kept_in_the_work_tree_wherever_cargo_compiles_to() {
        assert!(failed("a/b c").starts_with(artifact::workspace().join("target/lab")));
    }
}
