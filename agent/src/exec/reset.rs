//! Emptying a persistent area (`rd.live.overlay.reset`).
//!
//! What was kept is renamed aside, which is on the disk before anything else happens: a cut leaves all of it or nothing,
//! never a part. Deleting it takes its time. This boot begins with it, and any later one that finds something goes on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::apply::Executor;
use super::area;
use super::delete::{Deletion, HeldUp};
use crate::env::Env;
use crate::error::Stop;
use crate::foreign;
use crate::format::lossless;
use crate::probe::unfinished::{ASIDE, set_aside};
use crate::random;

/// Somebody who boots does not wait longer for what only gives room back.
const LIMIT: Duration = Duration::from_secs(30);
/// Without so many bytes free, an overlay cannot even be mounted for writing.
const NEEDED: u64 = 4 << 20;
/// So many names of removed entries are told; an upper layer may have thousands.
const TOLD: usize = 16;

impl Executor<'_> {
    /// Takes the changes out of an area. The work directory goes first, without which an upper layer is still whole; the
    /// renaming of the upper layer is the commit.
    pub(super) fn set_aside(&mut self, upper: &Path, work: &Path) -> Result<(), Stop> {
        // The directories themselves may be links, which are renamed; what they lie in may not.
        for dir in [work, upper].into_iter().filter_map(Path::parent) {
            foreign::directory(self.env, dir)?;
        }
        let mut notes = Vec::new();
        for dir in [work, upper] {
            let failed = |error: io::Error| {
                Stop::new(area::verdict(&error), format!("setting {} aside: {error}", dir.display()))
                    .advice("nothing was removed; see dmesg, and lsattr for an attribute that forbids it")
            };
            if let Some(aside) = aside(self.env, dir).map_err(failed)? {
                notes.push(removed(dir, &aside));
            }
        }
        if !notes.is_empty() {
            durable(&self.env.path(upper)).map_err(|error| {
                Stop::new(area::verdict(&error), format!("emptying {}: {error}", upper.display())).advice("see dmesg")
            })?;
        }
        for note in notes {
            log::info!("{note}");
            self.note(note);
        }
        Ok(())
    }

    /// Deletes what a reset has set aside in a directory, in this boot or an earlier one. Failing only costs room.
    pub(super) fn sweep(&mut self, dir: &Path) {
        if foreign::directory(self.env, dir).is_err() {
            return;
        }
        let top = self.env.path(dir);
        let doomed = set_aside(&top);
        if doomed.is_empty() {
            return;
        }
        let held = self.watchdog.telling("deleting what a reset removed", || {
            loop {
                let mut deletion = Deletion::until(Instant::now() + LIMIT);
                doomed.iter().for_each(|path| deletion.delete(path));
                if deletion.held != Some(HeldUp::Late) || free(&top) >= NEEDED {
                    break deletion.held;
                }
            }
        });
        let why = match held {
            None => return log::info!("deleted what a reset removed from {}", dir.display()),
            Some(HeldUp::Late) => format!("it takes longer than {} s", LIMIT.as_secs()),
            Some(HeldUp::Refused(why)) => why,
        };
        let note =
            format!("reset: what was removed from {} is not deleted yet: {why}; the next boot goes on", dir.display());
        log::warn!("{note}");
        self.note(note);
    }
}

/// Renames a directory; its new path, or `None` if there was nothing.
fn aside(env: &Env, dir: &Path) -> io::Result<Option<PathBuf>> {
    let path = env.path(dir);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts?,
    };
    let aside = path.with_file_name(format!("{ASIDE}{}", random::uuid_v4(env)?));
    fs::rename(&path, &aside)?;
    Ok(Some(aside))
}

/// Everything on the file system around a path is on the disk.
fn durable(path: &Path) -> io::Result<()> {
    let top = File::open(path.parent().unwrap_or(Path::new("/")))?;
    Ok(rustix::fs::syncfs(&top)?)
}

/// What a reset has removed from a directory, by number and some names.
fn removed(dir: &Path, aside: &Path) -> String {
    let dir = dir.display();
    if aside.is_symlink() {
        return format!("reset: removed the link {dir}");
    }
    let Ok(entries) = fs::read_dir(aside) else { return format!("reset: removed {dir}, which could not be read") };
    let mut names: Vec<_> = entries.flatten().map(|entry| lossless(entry.file_name().as_encoded_bytes())).collect();
    names.sort();
    let more = match names.len().checked_sub(TOLD).filter(|more| *more > 0) {
        Some(more) => format!(" and {more} more"),
        None => String::new(),
    };
    let told: Vec<_> = names.iter().take(TOLD).map(String::as_str).collect();
    format!("reset: removed {} entries of {dir}: {}{more}", names.len(), told.join(" "))
}

/// Bytes that are free on the file system of a directory.
fn free(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |facts| facts.f_bavail.saturating_mul(facts.f_frsize))
}
