//! An image written to a disk (docs/decisions/0035-deployment.md): what is there is looked at again first, and the image's first bytes are
//! written last.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rdlive_fetch::Output;
use rdlive_fetch::sniff::Packing;
use rdlive_fetch::transfer::{Offered, Place, Refusal, Unpack};
use rdlive_sys::blkpg;

use super::apply::Executor;
use super::blank::PROOF_LIMIT;
use super::fetch::MIB;
use super::witness::Witness;
use crate::env::Env;
use crate::error::{Code, ELSEWHERE, Stop};
use crate::facts::Seen;
use crate::format::partition;
use crate::kmsg;
use crate::plan::act::Onto;
use crate::probe::block;
use crate::probe::deploying::{self, Deploying, HEAD, Old, ROOM};
use crate::probe::empty::{self, Extent};

/// So many bytes are written before the disk has to have them: what a slow disk is behind must fit into the memory of a small machine.
const STRIDE: u64 = 32 * MIB;
/// Wiped at both ends of what lies behind the old image: as much as of a place that is formatted.
const WIPED: u64 = 3 * MIB;

impl Executor<'_> {
    /// Completes an image that lacks its first bytes.
    pub(super) fn close_image(&mut self, seen: &Seen) -> Result<(), Stop> {
        let site = Site::of(self.env, seen)?;
        match deploying::known(site.file(), site.size).map_err(|error| site.failed(&error))? {
            Some(Deploying::Closing(head)) => {
                deploying::finish(site.file(), site.size, &head).map_err(|error| site.failed(&error))?;
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
    /// An attempt of ours; nothing has to be done.
    Begun,
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
    opened: bool,
}

impl<'a> OntoDisk<'a> {
    /// Proves that an image may be written there. Nothing is written before the server has shown one.
    ///
    /// # Errors
    /// [`Code::TargetHolds`], [`Code::TargetUnusable`].
    pub fn prove(env: &'a Env, onto: &'a Onto, url: String) -> Result<Self, Stop> {
        let site = Site::of(env, &onto.device)?;
        let known = deploying::known(site.file(), site.size).map_err(|error| site.failed(&error))?;
        let before = match (known, onto.given) {
            (Some(Deploying::Writing), _) => Before::Begun,
            (_, true) => Before::Given(old(&site).map_err(|error| site.failed(&error))?),
            (_, false) => {
                empty::proof_from(site.file(), 0, site.size, Extent::Samples, PROOF_LIMIT).map_err(|doubt| {
                    let node = onto.device.node.display();
                    Stop::new(Code::TargetHolds, format!("{node} is not empty: {doubt}"))
                        .wanted("an empty disk, or one with an earlier image")
                        .advice("if nothing on it is needed: rd.kiwi.live.system.wipe=/dev/disk/by-id/…")
                })?;
                Before::Nothing
            }
        };
        Ok(Self { site, before, url, opened: false })
    }

    /// The image is there as a whole.
    pub fn done(self) {
        self.site.end();
    }

    fn begin(&mut self) -> io::Result<()> {
        let (file, size) = (self.site.file(), self.site.size);
        match std::mem::replace(&mut self.before, Before::Begun) {
            Before::Begun => Ok(()),
            Before::Nothing => deploying::begin(file, size, &self.url, None),
            Before::Given(old) => deploying::begin(file, size, &self.url, Some(&old)),
        }
    }
}

/// What is on a disk that is given away. Behind an image of ours may be an area: its ends become zeros, so that no change of before is found.
fn old(site: &Site<'_>) -> io::Result<Old> {
    let (mut file, size) = (site.file(), site.size);
    let mut head = vec![0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    let table = partition::table(&mut file, size).ok().flatten();
    let entries = table.map(|table| table.partitions).unwrap_or_default();
    let both = entries
        .iter()
        .filter(|entry| entry.start >= HEAD as u64 && entry.start + entry.size <= size - ROOM)
        .flat_map(|entry| {
            let length = WIPED.min(entry.size);
            [(entry.start, length), (entry.start + entry.size - length, length)]
        });
    Ok(Old { head, places: both.collect() })
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
        let size = offered.length.map_or_else(String::new, |bytes| format!(" ({} MiB)", bytes.div_ceil(MIB)));
        let node = self.site.seen.node.display();
        kmsg::tell(
            self.site.env,
            &format!("fetching {}{size} onto {node} ({} MiB)", offered.url, self.site.size / MIB),
        );
        self.begin()?;
        self.opened = true;
        let file = Arc::new(self.site.file().try_clone()?);
        let url = self.url.clone();
        Ok(Box::new(DiskFile { file, size: self.site.size, url, head: vec![0; HEAD], has, unsynced: 0 }))
    }

    fn unpack(&mut self, packing: Packing) -> Option<Box<dyn Unpack>> {
        rdlive_fetch::unpacker(packing).ok()
    }
}

/// The image on the disk, without its first bytes until all is there.
struct DiskFile {
    file: Arc<File>,
    size: u64,
    url: String,
    head: Vec<u8>,
    has: u64,
    unsynced: u64,
}

impl Output for DiskFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.has {
            let small = TooSmall { needs: end, has: self.has, grows: true };
            return Err(io::Error::new(io::ErrorKind::StorageFull, small));
        }
        let kept = usize::try_from(offset).map_or(0, |offset| HEAD.saturating_sub(offset)).min(bytes.len());
        let (first, rest) = bytes.split_at(kept);
        if !first.is_empty() {
            let at = offset as usize;
            self.head[at..at + kept].copy_from_slice(first);
        }
        self.file.write_all_at(rest, offset + kept as u64)?;
        self.unsynced += rest.len() as u64;
        if self.unsynced >= STRIDE {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        deploying::close(self.file.as_ref(), self.size, &self.url, &self.head)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rdlive_sys::loopdev::{self, LoopDevice, Setup};

    use super::*;
    use crate::format::{Kind, Superblock};

    fn disk(size: u64) -> (File, LoopDevice, Seen) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        let setup = Setup { autoclear: true, ..Setup::default() };
        let device = loopdev::attach(Path::new("/dev"), &file, "target", setup).unwrap();
        let seen = block::device(&Env::default(), &format!("loop{}", device.number)).unwrap().seen();
        (file, device, seen)
    }

    fn offered(length: Option<u64>) -> Offered {
        let image = Superblock::new(Kind::Iso9660);
        Offered { url: "http://h/x".into(), length, packed: None, image: Some(image), restart: 0 }
    }

    fn bytes_of(file: &File, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Needs root.
    #[test]
    fn loop_t55_an_image_is_written_with_its_beginning_last() {
        let env = Env::default();
        let (_file, device, seen) = disk(16 << 20);
        let image: Vec<u8> = (0..5_000_001_usize).map(|at| (at * 7 + at / 512) as u8).collect();
        let onto = Onto { device: seen, given: false };
        let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
        let mut output = place.open(&offered(Some(image.len() as u64))).unwrap();
        for (number, piece) in image.chunks(70_000).enumerate() {
            output.write_at(number as u64 * 70_000, piece).unwrap();
        }
        device.device.sync_all().unwrap();
        assert!(bytes_of(&device.device, 0, HEAD).iter().all(|byte| *byte == 0), "the beginning is there already");
        // A power cut here: the next boot knows it, and begins anew.
        drop((output, place));
        let mut place = OntoDisk::prove(&env, &onto, "http://h/x".into()).unwrap();
        assert!(matches!(place.before, Before::Begun));
        let mut output = place.open(&offered(None)).unwrap();
        output.write_at(0, &image[..100]).unwrap();
        output.write_at(100, &image[100..]).unwrap();
        output.finish().unwrap();
        drop(output);
        place.done();
        rdlive_sys::blkflush::flush(&device.device).unwrap();
        assert!(bytes_of(&device.device, 0, image.len()) == image);
        assert!(bytes_of(&device.device, (16 << 20) - ROOM, ROOM as usize).iter().all(|byte| *byte == 0));
    }

    /// Needs root.
    #[test]
    fn loop_t57_what_nobody_gave_away_stays_and_what_is_given_away_goes() {
        let env = Env::default();
        let (_file, device, seen) = disk(16 << 20);
        device.device.write_all_at(b"somebody's", 9 << 20).unwrap();
        device.device.write_all_at(b"beginning", 4096).unwrap();
        device.device.sync_all().unwrap();
        let refused = OntoDisk::prove(&env, &Onto { device: seen.clone(), given: false }, String::new()).err().unwrap();
        assert_eq!(refused.code, Code::TargetHolds);
        assert!(refused.advice.contains("rd.kiwi.live.system.wipe="), "{}", refused.advice);
        let given = Onto { device: seen.clone(), given: true };
        let mut place = OntoDisk::prove(&env, &given, String::new()).unwrap();
        // Before a server has shown an image, nothing is lost; nor by one that does not fit.
        let small = place.open(&offered(Some(16 << 20))).err().unwrap();
        assert_eq!(small.to_string(), "the image has 16 MiB, and the disk holds 15 MiB");
        assert_eq!(bytes_of(&device.device, 4096, 9), b"beginning");
        let mut output = place.open(&offered(None)).unwrap();
        rdlive_sys::blkflush::flush(&device.device).unwrap();
        assert!(bytes_of(&device.device, 0, HEAD).iter().all(|byte| *byte == 0));
        let full = output.write_at((15 << 20) - 3, b"four").unwrap_err();
        assert!(full.to_string().contains("more than 15 MiB"), "{full}");
        // Somebody uses it.
        let busy = OntoDisk::prove(&env, &given, String::new()).err().unwrap();
        assert!(busy.code == Code::TargetUnusable && busy.cause.contains("in use"), "{:?}", busy.lines());
        assert!(busy.advice.contains("rd.kiwi.live.system="), "{}", busy.advice);
    }
}
