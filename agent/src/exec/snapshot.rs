//! The steps of a device-mapper root: stores, devices, and their names.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use super::apply::Executor;
use super::area::{mark, mark_of, verdict};
use super::blank;
use super::sign::Noted;
use super::unfinished::Room;
use super::unwind::Undo;
use super::witness::Witness;
use crate::area::Identity;
use crate::error::{Code, Stop};
use crate::facts::human;
use crate::format::{self, Superblock};
use crate::mapper::target::{CHUNK, Number, THIN_ID};
use crate::mapper::{self, MapperError, Target};
use crate::plan::Slot;
use crate::plan::act::{Map, MapAct, Mapping, Replace};

/// Header and first list of changes of a store, whatever its chunks are (dracut-live spec 1.4).
const CLEARED: usize = 64 << 10;
/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// First bytes of a store that has been used.
const MAGIC: &[u8] = b"SnAp";
/// The first sector of a store without changes, to its first zeros: valid, version 1, sectors of a chunk.
const EMPTY: &[u8] = &[b'S', b'n', b'A', b'p', 1, 0, 0, 0, 1, 0, 0, 0, CHUNK as u8];
/// The same of one that is being cleared: to every kernel it is not valid, so nobody uses what is left of its lists.
const CLEARING: &[u8] = &[
    b'S',
    b'n',
    b'A',
    b'p',
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    CHUNK as u8,
    0,
    0,
    0,
    b'r',
    b'd',
    b'l',
    b'i',
    b'v',
    b'e',
    b' ',
    b'r',
    b'e',
    b's',
    b'e',
    b't',
];

impl Executor<'_> {
    pub(super) fn map_act(&mut self, act: &MapAct) -> Result<(), Stop> {
        match act {
            MapAct::Make(map) => self.map(map),
            MapAct::Store { file, size, exact } => self.store(file, *size, *exact),
            MapAct::NewStore { file, size, image } => self.new_store(file, *size, image.as_ref()),
            MapAct::Identity { store, image, accept, write } => self.store_identity(store, image, *accept, *write),
            MapAct::SameOrigin { seen, image } => self.same_origin(*seen, *image),
            MapAct::Clear { what } => self.clear_store(*what),
        }
    }

    fn store(&mut self, file: &Path, size: u64, exact: bool) -> Result<(), Stop> {
        let path = self.env.path(file);
        let failed =
            |error: io::Error| Stop::new(Code::WriteArea, format!("making the store {}: {error}", file.display()));
        let store = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        let room = rustix::fs::fstatvfs(&store).map_err(|errno| failed(errno.into()))?;
        // A store that is larger than what holds it would be lost when that is full; this one only refuses changes.
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let size = if exact { size } else { size.min(free) };
        store.set_len(size & !0xfff).map_err(failed)
    }

    fn new_store(&mut self, file: &Path, size: u64, image: Option<&Identity>) -> Result<(), Stop> {
        let failed =
            |error: io::Error| Stop::new(Code::AreaFormat, format!("making the store {}: {error}", file.display()));
        let (_, note, noted) = blank::begin(self.env, file, size & !0xfff, Replace::Nothing, Room::Holes)?;
        // On a FAT the note is the sign of a session of ours as long as anything is made in a directory, and what is noted then is it.
        let marked = image.map_or(Ok(()), |image| mark(&mark_of(&self.env.path(file)), image));
        if let Err(error) = marked {
            note.give_up(|| noted.iter().for_each(Noted::note));
            return Err(failed(error));
        }
        noted.iter().for_each(Noted::note);
        note.remove().map_err(failed)?;
        note.settle();
        self.note(format!("made the store {} of {}", file.display(), human(size)));
        Ok(())
    }

    /// A store is emptied, and nothing else.
    fn clear_store(&mut self, what: Slot) -> Result<(), Stop> {
        let failed = |code: Code, cause: String| Stop::new(code, format!("clearing the store {what}: {cause}"));
        let witness = self.witness(what)?;
        let clear = || -> io::Result<bool> {
            witness.alone(|device| {
                let head = head(device)?;
                let is_store = head.starts_with(MAGIC) || is_zero(&head);
                if is_store {
                    empty(device)?;
                }
                Ok(is_store)
            })
        };
        match clear() {
            Ok(true) => {
                self.made_anew(what);
                self.note("reset: the store's changes are forgotten");
                Ok(())
            }
            Ok(false) => Err(failed(Code::AreaDamaged, "it is no store of a snapshot, left as it is".to_owned())),
            Err(error) => Err(failed(verdict(&error), error.to_string())),
        }
    }

    /// A store that is kept is made what the kernel expects of one; see [`settled`].
    fn settle_store(&mut self, what: Slot) -> Result<(), Stop> {
        let settled = self.witness(what)?.alone(settled);
        self.made_anew(what);
        let note = settled.map_err(|error| Stop::new(Code::AreaUnavailable, format!("the store {what}: {error}")))?;
        note.iter().for_each(|note| self.note(*note));
        Ok(())
    }

    /// Compares the superblock that is seen through a store with the image's own. A store that has changes has the
    /// superblock among them, for a mount writes it.
    fn same_origin(&self, seen: Slot, image: Slot) -> Result<(), Stop> {
        // What cannot be read is not known to be damaged.
        let failed = |slot: Slot, cause: String| {
            Stop::new(Code::AreaUnavailable, format!("looking at {slot}, the image with its changes: {cause}"))
        };
        let look = |slot: Slot| -> Result<Option<Superblock>, Stop> {
            let node = self.node(slot).ok_or_else(|| failed(slot, "no such device".to_owned()))?;
            let mut device = File::open(node).map_err(|error| failed(slot, error.to_string()))?;
            format::identify(&mut device).map_err(|error| failed(slot, error.to_string()))
        };
        let (shows, has) = (look(seen)?, look(image)?);
        let origin =
            |found: &Option<Superblock>| found.as_ref().map(|found| (found.kind, found.uuid.clone(), found.size));
        if origin(&shows) == origin(&has) {
            return Ok(());
        }
        let text = |found: &Option<Superblock>| {
            found.as_ref().map_or("nothing that is known".to_owned(), |found| {
                let size = found.size.map_or(String::new(), |size| format!(" of {}", human(size)));
                format!("{}{size} ({})", found.kind.name(), found.uuid.as_deref().unwrap_or("-"))
            })
        };
        let cause =
            format!("the store was made for another image: it shows {}, this image is {}", text(&shows), text(&has));
        Err(Stop::new(Code::AreaOther, cause)
            .advice("boot the image it was made for, or begin the store anew with rd.live.overlay.reset"))
    }

    fn map(&mut self, map: &Map) -> Result<(), Stop> {
        let read_only = map.access == crate::config::Access::ReadOnly;
        if let (Mapping::Snapshot { store: Slot::Cow, .. }, false) = (map.from, read_only) {
            self.settle_store(Slot::Cow)?;
        }
        // The kernel is given their numbers, and keeps them itself once the device is made.
        let mut witnesses = Vec::new();
        let (target, sectors) = self.target(map, &mut witnesses)?;
        let made = mapper::create(&map.name, sectors, &target, read_only).map_err(refused)?;
        self.undo(Undo::Unmap(map.name.clone()));
        if made.unconfirmed {
            log::warn!("{}: udev did not answer, naming it without udev", map.name);
        }
        let node = self.env.path(mapper::DIR).join(&map.name);
        if fs::metadata(&node).is_err() {
            let named = fs::remove_file(&node).or_else(absent).and_then(|()| symlink(numbered(made.minor), &node));
            named.map_err(|error| Stop::new(Code::DeviceMapper, format!("naming {}: {error}", node.display())))?;
            self.undo(Undo::Unlink(node.clone()));
        }
        if matches!(map.from, Mapping::ThinPool { .. }) {
            mapper::message(&map.name, &format!("create_thin {THIN_ID}")).map_err(refused)?;
        }
        self.hold(map.into, node, None);
        Ok(())
    }

    /// The table of a device, and how long it is.
    fn target(&self, map: &Map, witnesses: &mut Vec<Witness>) -> Result<(Target, u64), Stop> {
        let mut device = |slot: Slot| {
            let witness = self.witness(slot)?;
            let number = number(map, slot, &witness);
            witnesses.push(witness);
            number
        };
        Ok(match map.from {
            Mapping::Linear(slot) => (Target::Linear(device(slot)?), self.length(map, slot)?),
            Mapping::Snapshot { origin, store, overflow } => {
                let target = Target::Snapshot { origin: device(origin)?, store: device(store)?, overflow };
                (target, self.length(map, origin)?)
            }
            Mapping::ThinPool { metadata, data } => {
                (Target::ThinPool { metadata: device(metadata)?, data: device(data)? }, self.length(map, data)?)
            }
            Mapping::Thin { pool, origin } => {
                let target = Target::Thin { pool: device(pool)?, id: THIN_ID, origin: device(origin)? };
                (target, self.length(map, pool)?.max(self.length(map, origin)?))
            }
        })
    }

    fn length(&self, map: &Map, slot: Slot) -> Result<u64, Stop> {
        self.sectors(slot)
            .ok_or_else(|| Stop::new(Code::DeviceMapper, format!("{}: the length of {slot} is not known", map.name)))
    }

    /// How long the device in a slot is, in sectors of 512 bytes.
    pub fn sectors(&self, slot: Slot) -> Option<u64> {
        let meta = fs::metadata(self.node(slot)?).ok()?;
        let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        self.env.text(format!("sys/dev/block/{major}:{minor}/size"))?.parse().ok()
    }
}

fn number(map: &Map, slot: Slot, device: &Witness) -> Result<Number, Stop> {
    let failed = |cause: String| Stop::new(Code::DeviceMapper, format!("{}: {slot}: {cause}", map.name));
    let meta = device.file().metadata().map_err(|error| failed(error.to_string()))?;
    if !meta.file_type().is_block_device() {
        return Err(failed(format!("{} is no block device", device.node().display())));
    }
    Ok(Number { major: rustix::fs::major(meta.rdev()), minor: rustix::fs::minor(meta.rdev()) })
}

fn head(device: &File) -> io::Result<[u8; SECTOR]> {
    let mut head = [0; SECTOR];
    device.read_exact_at(&mut head, 0)?;
    Ok(head)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Forgets the changes of a store: after a power cut all of them are there, or none and the store can be used. The lists are more than a
/// disk writes as a whole, and a store with a part of them shows a mixture; so one sector says that they are void before they go.
fn empty(device: &File) -> io::Result<()> {
    begin(device, CLEARING)?;
    device.write_all_at(&vec![0; CLEARED - SECTOR], SECTOR as u64)?;
    device.sync_all()?;
    begin(device, EMPTY)
}

/// Writes the first sector of a store.
fn begin(device: &File, text: &[u8]) -> io::Result<()> {
    let mut sector = [0; SECTOR];
    sector[..text.len()].copy_from_slice(text);
    device.write_all_at(&sector, 0)?;
    device.sync_all()
}

/// Goes on where a power cut has ended [`empty`], and gives new stores their header: the kernel writes it at the same time as the
/// first changes, and a store with these and without a header would be nobody's, and so be refused for ever. What to tell.
fn settled(device: &File) -> io::Result<Option<&'static str>> {
    let head = head(device)?;
    if is_zero(&head) {
        begin(device, EMPTY)?;
    } else if head.starts_with(CLEARING) {
        empty(device)?;
        return Ok(Some("reset: a power cut had ended it, the store's changes are forgotten now"));
    }
    Ok(None)
}

fn numbered(minor: u32) -> String {
    format!("../dm-{minor}")
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn refused(error: MapperError) -> Stop {
    Stop::new(Code::DeviceMapper, error.to_string()).advice("dmesg has the kernel's reason; rd.overlay does without")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of 128 KiB with changes everywhere.
    fn used() -> Vec<u8> {
        let mut bytes = vec![7; 128 << 10];
        bytes[..SECTOR].fill(0);
        bytes[..EMPTY.len()].copy_from_slice(EMPTY);
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn bytes(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; 128 << 10];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn is_empty(file: &File) -> bool {
        let bytes = bytes(file);
        bytes.starts_with(EMPTY) && is_zero(&bytes[EMPTY.len()..CLEARED]) && bytes[CLEARED..] == used()[CLEARED..]
    }

    #[test]
    fn c10_a_reset_that_was_cut_short_is_finished_by_the_next_boot() {
        let store = file(&used());
        assert_eq!(settled(&store).unwrap(), None);
        assert_eq!(bytes(&store), used(), "one with changes is left as it is");
        empty(&store).unwrap();
        assert!(is_empty(&store));
        assert_eq!(settled(&store).unwrap(), None);
        // Any sector of the lists may be gone or not.
        for torn in [0, 1, 5, 100] {
            let mut cut = used();
            cut[..CLEARING.len()].copy_from_slice(CLEARING);
            for sector in cut[SECTOR..CLEARED].chunks_mut(SECTOR).skip(torn).step_by(torn + 1) {
                sector.fill(0);
            }
            let store = file(&cut);
            assert!(settled(&store).unwrap().is_some(), "{torn}");
            assert!(is_empty(&store), "{torn}");
        }
    }

    #[test]
    fn c3_a_store_of_zeros_gets_a_header_and_one_that_ran_full_stays() {
        let store = file(&vec![0; 128 << 10]);
        assert_eq!(settled(&store).unwrap(), None);
        let now = bytes(&store);
        assert!(now.starts_with(EMPTY) && is_zero(&now[EMPTY.len()..]));
        let mut full = used();
        full[4] = 0;
        let store = file(&full);
        assert_eq!(settled(&store).unwrap(), None);
        assert_eq!(bytes(&store), full);
    }
}
