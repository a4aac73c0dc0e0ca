//! An image written to a disk (docs/decisions/0035-deployment.md): what is there is looked at again first, and the image's first bytes are
//! written last.

mod old;
mod output;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rdlive_fetch::Output;
use rdlive_fetch::policy::Validator;
use rdlive_fetch::sniff::Packing;
use rdlive_fetch::transfer::{Offered, Place, Refusal, Unpack};
use rdlive_sys::blkpg;
use sha2::{Digest, Sha256};

use super::apply::Executor;
use super::blank::PROOF_LIMIT;
use super::fetch::MIB;
use super::witness::Witness;
use crate::env::Env;
use crate::error::{Code, ELSEWHERE, Stop};
use crate::facts::Seen;
use crate::kmsg;
use crate::plan::act::Onto;
use crate::probe::block;
use crate::probe::deploying::{self, Deploying, HEAD, Known, Notes, Old, ROOM, Whose};
use crate::probe::empty::{self, Extent};
use output::DiskFile;

impl Executor<'_> {
    /// Completes an image that lacks its first bytes.
    pub(super) fn close_image(&mut self, seen: &Seen) -> Result<(), Stop> {
        let site = Site::of(self.env, seen)?;
        match deploying::known(site.file(), site.size).map_err(|error| site.failed(&error))? {
            Some(Known { whose, how_far: Deploying::Closing(head) }) => {
                let file = site.file().try_clone().map(Arc::new);
                let finished = file.and_then(|file| Notes::of(file, site.size, whose, 0).finish(&head));
                finished.map_err(|error| site.failed(&error))?;
            }
            _ => return Err(site.unusable("has changed since it was looked at; nothing was written")),
        }
        self.note(format!("completed the image on {}", seen.node.display()));
        site.end();
        Ok(())
    }
}

/// A disk that nobody else uses, as it was when the plan was made.
pub(super) struct Site<'a> {
    env: &'a Env,
    witness: Witness,
    seen: &'a Seen,
    size: u64,
}

impl<'a> Site<'a> {
    fn of(env: &'a Env, seen: &'a Seen) -> Result<Self, Stop> {
        let unusable = |stop: Stop| match stop.advice == ELSEWHERE {
            true => Stop::new(Code::TargetUnusable, stop.cause),
            false => Stop { code: Code::TargetUnusable, ..stop },
        };
        let witness = Witness::of_unused(env, seen).map_err(unusable)?;
        let size = block::size(witness.file());
        let size = size
            .map_err(|error| Stop::new(Code::TargetUnusable, format!("{}: its size: {error}", seen.node.display())))?;
        Ok(Self { env, witness, seen, size })
    }

    fn file(&self) -> &File {
        self.witness.file()
    }

    fn unusable(&self, why: &str) -> Stop {
        Stop::new(Code::TargetUnusable, format!("{} {why}", self.seen.node.display()))
    }

    fn failed(&self, error: &io::Error) -> Stop {
        self.unusable(&format!("cannot be written to or read: {error}")).advice("see dmesg; name another disk")
    }

    /// Lets go of it, and shows its new partitions. A partition and a drive that has none refuse that.
    fn end(self) {
        let node = self.env.path(&self.seen.node);
        drop(self.witness);
        if let Ok(file) = File::open(node) {
            let _ = blkpg::read_again(&file);
        }
    }
}

/// What happens to what was there.
enum Before {
    /// An attempt of ours, of which so many bytes are there; nothing has to be done.
    Begun { whose: Whose, done: u64 },
    /// Nothing.
    Nothing,
    /// It is given away.
    Given(Old),
}

/// A disk as the place of an image.
pub(super) struct OntoDisk<'a> {
    site: Site<'a>,
    before: Before,
    /// For the disk's mark: without credentials.
    url: String,
    /// The name that the disk has wherever it is, if there is one.
    disk: &'a str,
}

impl<'a> OntoDisk<'a> {
    /// Proves that an image may be written there. Nothing is written before the server has shown one.
    ///
    /// # Errors
    /// [`Code::TargetHolds`], [`Code::TargetUnusable`].
    pub fn prove(env: &'a Env, onto: &'a Onto, url: String) -> Result<Self, Stop> {
        let site = Site::of(env, &onto.device)?;
        let known = deploying::known(site.file(), site.size).map_err(|error| site.failed(&error))?;
        let (whose, how_far) = known.map(|known| (known.whose, known.how_far)).unzip();
        let before = match (how_far, onto.given) {
            (Some(Deploying::Writing { done }), _) => Before::Begun { whose: whose.unwrap_or_default(), done },
            // A cut came while that became zeros: it is done once more, as a whole.
            (Some(Deploying::Clearing(head)), _) | (Some(Deploying::Closing(head)), true) => {
                Before::Given(old::beginning_with(head, site.file(), site.size))
            }
            (_, true) => Before::Given(old::on(site.file(), site.size).map_err(|error| site.failed(&error))?),
            (_, false) => {
                empty::proof_from(site.file(), 0, site.size, Extent::Samples, PROOF_LIMIT).map_err(|doubt| {
                    let node = onto.device.node.display();
                    let name = Some(onto.disk.as_str()).filter(|name| !name.is_empty()).unwrap_or(ANY_NAME);
                    Stop::new(Code::TargetHolds, format!("{node} is not empty: {doubt}"))
                        .wanted("an empty disk, or one with an earlier image")
                        .found(at_end(&site))
                        .advice(format!("if nothing on it is needed: rd.kiwi.live.system.wipe={name}"))
                })?;
                Before::Nothing
            }
        };
        // A disk can be moved to another port, and another one be there.
        let disk = if onto.disk.starts_with("/dev/disk/by-path/") { "" } else { &onto.disk };
        Ok(Self { site, before, url, disk })
    }

    /// The image is there as a whole.
    pub fn done(self) {
        self.site.end();
    }

    /// What has come is not what was wanted: no later boot goes on with it.
    pub fn distrust(&self) {
        if matches!(self.before, Before::Begun { .. }) {
            let begun = self.notes(None).and_then(|mut notes| notes.begin(None));
            begun.unwrap_or_else(|error| log::warn!("{}", self.site.failed(&error)));
        }
    }

    fn notes(&self, file: Option<[u8; 32]>) -> io::Result<Notes<Arc<File>>> {
        let (disk, size) = (Arc::new(self.site.file().try_clone()?), self.site.size);
        let number = deploying::number(&disk, size)?;
        Ok(Notes::of(disk, size, self.whose(file), number))
    }

    fn whose(&self, file: Option<[u8; 32]>) -> Whose {
        let sum: [u8; 32] = Sha256::digest(self.disk).into();
        let disk = sum.first_chunk().copied().filter(|_| !self.disk.is_empty());
        Whose { url: self.url.clone(), file, disk }
    }

    /// Begins, or goes on; returns how many bytes of the file are there.
    fn begin(&mut self, offered: &Offered) -> io::Result<(Notes<Arc<File>>, u64)> {
        let file = sum(offered, &self.url);
        let (mut notes, whose) = (self.notes(file)?, self.whose(file));
        let before = std::mem::replace(&mut self.before, Before::Begun { whose: whose.clone(), done: 0 });
        let done = match &before {
            // The last byte comes anew, so that there is something to ask for.
            Before::Begun { whose: begun, done } if whose.goes_on_with(begun) => {
                (*done).min(offered.length.unwrap_or(0).saturating_sub(1))
            }
            _ => 0,
        };
        match before {
            Before::Begun { .. } if done > HEAD as u64 => return Ok((notes, done)),
            Before::Begun { .. } | Before::Nothing => notes.begin(None)?,
            Before::Given(old) => notes.begin(Some(&old))?,
        }
        Ok((notes, 0))
    }
}

/// Where no name is known that stays.
const ANY_NAME: &str = "/dev/disk/by-id/…";

/// A sum of all by which the rest of a file is known to be of the same one; `None` where the server says too little, or what is counted
/// here is not what it counts.
fn sum(offered: &Offered, url: &str) -> Option<[u8; 32]> {
    let version = match (&offered.digest, &offered.validator) {
        (Some(digest), _) => format!("{digest:02x?}"),
        (None, Validator::None) => return None,
        (None, validator) => validator.to_string(),
    };
    let length = offered.written()?;
    // A line end is in none of them.
    Some(Sha256::digest(format!("{url}\n{length}\n{version}")).into())
}

/// What lies at the end of a disk that begins with nothing known.
fn at_end(site: &Site<'_>) -> Vec<String> {
    let is_copy = |sector: u64| {
        let mut magic = [0; 8];
        let read = site.file().read_exact_at(&mut magic, site.size.saturating_sub(sector));
        read.is_ok() && magic == *b"EFI PART"
    };
    [512, 4096].into_iter().any(is_copy).then(|| "the copy of a GPT at its end".to_owned()).into_iter().collect()
}

/// It is too small.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the image has {}{} MiB, and the disk holds {} MiB", if *.grows { "more than " } else { "" }, needs / MIB, has / MIB)]
pub(super) struct TooSmall {
    needs: u64,
    has: u64,
    grows: bool,
}

impl Place for OntoDisk<'_> {
    fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal> {
        // What belongs to us at the end is free again when the image is there.
        let has = self.site.size.saturating_sub(ROOM);
        if let Some(needs) = offered.written().filter(|needs| *needs > has) {
            return Err(Box::new(TooSmall { needs, has, grows: false }));
        }
        let in_place = match self.before {
            Before::Begun { .. } => ", from its beginning",
            Before::Given(_) => ", in place of what is there",
            Before::Nothing => "",
        };
        let (notes, done) = self.begin(offered)?;
        let node = self.site.seen.node.display();
        let onto = format!("onto {node} ({} MiB)", self.site.size / MIB);
        let all = offered.length.unwrap_or_default().div_ceil(MIB);
        let line = match (done, offered.length) {
            (0, length) => {
                let size = length.map_or_else(String::new, |_| format!(" ({all} MiB)"));
                format!("fetching {}{size} {onto}{in_place}", offered.url)
            }
            (done, _) => {
                format!("fetching {} {onto}: going on, {} of {all} MiB are there", offered.url, done / MIB)
            }
        };
        kmsg::tell(self.site.env, &line);
        let file = Arc::new(self.site.file().try_clone()?);
        Ok(Box::new(DiskFile::new(file, notes, has, done)))
    }

    fn unpack(&mut self, packing: Packing) -> Option<Box<dyn Unpack>> {
        rdlive_fetch::unpacker(packing).ok()
    }
}
