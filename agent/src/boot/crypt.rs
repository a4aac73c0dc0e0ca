//! Encrypted areas: the key file is fetched, the volume opened and looked into.

use std::io;
use std::path::Path;

use super::area::is_btrfs;
use super::{Boot, KeyPlace, Tone};
use crate::area::Obstacle;
use crate::config::{KeyFile, OverlayCrypt, Selector};
use crate::error::{Code, Stop};
use crate::facts::{Device, Subvolume};
use crate::plan::crypt::{self, Inside, Opening};
use crate::plan::persist::Area;
use crate::plan::{Slot, acquire};

impl Boot<'_> {
    /// The area on the device that `rd.overlay.crypt` names.
    pub(super) fn encrypted_device(&mut self, wish: &OverlayCrypt) -> Result<Area, Obstacle> {
        let (device, opening, inside) = self.opened_device(wish)?;
        if !opening.is_new() {
            self.not_in_use_inside(&device, &inside.node)?;
        }
        crypt::device_area(&self.config.overlay, &self.points, opening, inside.kind)
    }

    /// What a passphrase opens may be the file system of another system, and that may sleep (attacks.md F3).
    fn not_in_use_inside(&mut self, volume: &Device, node: &Path) -> Result<(), Obstacle> {
        let unreadable = |error: io::Error| Obstacle::Unreadable { node: node.to_owned(), why: error.to_string() };
        let (superblock, size) = self.world.identify(node).map_err(unreadable)?;
        let inside = Device { node: node.to_owned(), size, superblock, ..volume.clone() };
        // A record of a mirror lies behind the volume, and is not seen from inside.
        self.for_changes(|boot| boot.not_in_use(volume, None).and_then(|()| boot.not_in_use(&inside, None)))
    }

    /// Waits for the device that `rd.overlay.crypt` names and opens it into [`Slot::Cow`], encrypting it first if it is
    /// empty; also returns that device, and what is inside.
    fn opened_device(&mut self, wish: &OverlayCrypt) -> Result<(Device, Opening, Inside), Obstacle> {
        let device = self.wait_for(&wish.device, false)?.ok_or_else(|| Obstacle::not_there(&wish.device))?;
        self.for_changes(|boot| boot.awake(&device.node))?;
        let opening = crypt::device(wish, &self.config.overlay, &device)?;
        if let Err(why) = self.fetch_key(true) {
            self.say(Tone::Warning, format!("{why}, asking for a passphrase"));
        }
        let inside = self.opened(&opening)?;
        Ok((device, opening, inside))
    }

    /// Opens a volume and looks what is inside.
    pub(super) fn opened(&mut self, opening: &Opening) -> Result<Inside, Stop> {
        self.perform_or_show("acquire", &opening.steps, self.config.overlay.readonly)?;
        let failed = |cause: String| Stop::new(Code::AreaUnavailable, cause);
        let node = self.world.node(Slot::Cow);
        let node = node.ok_or_else(|| failed(format!("{} is not open", opening.place)))?;
        let found = self.world.identify(&node);
        let (found, size) = found.map_err(|error| failed(format!("reading {}: {error}", opening.place)))?;
        Ok(Inside { node, size, kind: found.map(|found| found.kind) })
    }

    /// Reads the key file, if one is named and a key is `needed`.
    pub(super) fn fetch_key(&mut self, needed: bool) -> Result<(), Obstacle> {
        let Some(file) = self.config.overlay.unlock.key_file.as_ref().filter(|_| needed) else { return Ok(()) };
        let taken = match file {
            KeyFile::Initrd(path) => self.world.take_key(KeyPlace::Initrd(path)).map_err(unreadable),
            KeyFile::On { device, path } => self.key_on(device, path),
        };
        taken.map_err(|why| Obstacle::Key { file: file.to_string(), why: Box::new(why) })
    }

    fn key_on(&mut self, selector: &Selector, path: &Path) -> Result<(), Obstacle> {
        let device = self.wait_for(selector, false)?.ok_or_else(|| Obstacle::not_there(selector))?;
        self.gather(&device)?;
        let mark = self.world.mark();
        let mut taken = self.key_of(&device, path, Subvolume::Default);
        self.undo(mark);
        if matches!(&taken, Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound) && is_btrfs(&device) {
            taken = self.key_of(&device, path, Subvolume::Top);
            self.undo(mark);
        }
        taken?.map_err(unreadable).map_err(|why| self.unreplayed(&device, false, why.into()).into())
    }

    fn key_of(&mut self, device: &Device, path: &Path, subvolume: Subvolume) -> Result<io::Result<()>, Obstacle> {
        let steps = acquire::key(&self.points, device, subvolume)?;
        self.perform("acquire", &steps)?;
        Ok(self.world.take_key(KeyPlace::Mounted(&self.points.key, path)))
    }
}

/// A key; its name is said by who asks for it.
fn unreadable(error: io::Error) -> Obstacle {
    Stop::new(Code::AreaUnavailable, error.to_string()).into()
}
