//! How long things took the last time: scenarios by their names, artefacts by what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::rundir;

/// New numbers are on the disk after this long, should the run end early.
const EVERY: Duration = Duration::from_secs(5);

/// Seconds by name, kept in a JSON file.
#[derive(Debug)]
pub struct Times {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: BTreeMap<String, f64>,
    new: BTreeMap<String, f64>,
    saved: Instant,
}

impl Times {
    /// Those of earlier runs; none if the file is not there or damaged.
    pub fn open(path: &Path) -> Self {
        let state = State { known: read(path), new: BTreeMap::new(), saved: Instant::now() };
        Self { path: path.to_owned(), state: Mutex::new(state) }
    }

    /// Seconds that it took last.
    pub fn last(&self, name: &str) -> Option<f64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.new.get(name).or_else(|| state.known.get(name)).copied()
    }

    /// It took this long now.
    pub fn note(&self, name: &str, seconds: f64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.new.insert(name.to_owned(), seconds);
        if state.saved.elapsed() >= EVERY {
            state.saved = Instant::now();
            let _ = self.write(&state);
        }
    }

    /// Writes what is new; other runs' numbers stay.
    pub fn save(&self) -> Result<()> {
        self.write(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, state: &State) -> Result<()> {
        if state.new.is_empty() {
            return Ok(());
        }
        let mut all = read(&self.path);
        all.extend(state.new.iter().map(|(name, seconds)| (name.clone(), *seconds)));
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let partial = dir.join(format!(".times.{:x}", rundir::nanoseconds()));
        fs::write(&partial, serde_json::to_string_pretty(&all)?)?;
        fs::rename(&partial, &self.path).with_context(|| format!("writing {}", self.path.display()))
    }
}

impl Drop for Times {
    fn drop(&mut self) {
        let _ = self.save();
    }
}

fn read(path: &Path) -> BTreeMap<String, f64> {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_keep_each_others_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("times.json");
        let (one, other) = (Times::open(&path), Times::open(&path));
        one.note("a", 1.5);
        other.note("b", 2.0);
        assert_eq!((one.last("a"), one.last("b")), (Some(1.5), None));
        drop(one);
        drop(other);
        let both = Times::open(&path);
        assert_eq!((both.last("a"), both.last("b")), (Some(1.5), Some(2.0)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the file is left");
        fs::write(&path, "{").unwrap();
        assert_eq!(Times::open(&path).last("a"), None);
    }
}
