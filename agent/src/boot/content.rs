//! What a medium offers: from where on it, and whether that can be the one.

use std::path::Path;

use super::Boot;
use crate::area::Found;
use crate::config::Access;
use crate::error::{Code, Stop};
use crate::facts::{Content, Device, Inner, MediumFacts, Origin, Subvolume};
use crate::format::Kind;
use crate::handover::NATIVE;
use crate::layout;
use crate::plan::{Presence, acquire};
use crate::source::discover::{self, By};

impl Boot<'_> {
    /// From where on a device its files are taken. Where the loader's medium is known, a device of another name has its mark, or no mark at
    /// all if its label is like the wanted one: files that somebody has copied without those that are hidden.
    pub(super) fn look_for_mark(&mut self, device: &Device, by: By) -> Result<Subvolume, Stop> {
        let Some(id) = self.config.medium_id.as_ref().filter(|_| by != By::Name) else {
            return Ok(Subvolume::Default);
        };
        let file = discover::mark(id);
        // Whatever is wrong with it, nothing says that it is the medium.
        let not_it = |why: String| Stop::new(Code::MediumNotFound, format!("{} {why}", device.node.display()));
        let kind = device.superblock.as_ref().map(|found| found.kind);
        let roots = [Subvolume::Default, Subvolume::Top];
        for subvolume in &roots[..if kind == Some(Kind::Btrfs) { 2 } else { 1 }] {
            let before = self.world.mark();
            let mounted = acquire::mark(&self.points, device, *subvolume);
            let mounted = mounted.and_then(|steps| self.perform("acquire", &steps));
            let look = &self.points.look;
            let is_marked = mounted.is_ok() && self.world.file_in(look, Path::new(&file)).is_ok_and(|is| is.is_some());
            let others = mounted.map(|_| self.world.found(look, Path::new(layout::MARKS)) != Found::Absent);
            self.undo(before);
            match (by, others) {
                (By::Mark, _) if is_marked => return Ok(*subvolume),
                (By::Likeness, Ok(true)) => {
                    return Err(not_it(format!("holds files of another build, by its /{}", layout::MARKS)));
                }
                _ => {}
            }
        }
        match by {
            By::Mark => Err(not_it(format!("does not hold {file}"))),
            By::Name | By::Likeness => Ok(Subvolume::Default),
        }
    }

    /// Mounts the medium. GRUB reads a btrfs from its top, and what is mounted by default may be the system that is installed there.
    pub(super) fn content_of(
        &mut self,
        medium: &mut MediumFacts,
        access: Access,
        keeps: bool,
    ) -> Result<Option<Content>, Stop> {
        let before = self.world.mark();
        let content = self.mount_medium(medium, access, keeps);
        let is_better = match &content {
            Ok(content) => *content == Some(Content::Tree),
            Err(stop) => stop.code == Code::ContainerMissing,
        };
        if medium.kind != Kind::Btrfs || medium.subvolume == Subvolume::Top || !is_better {
            return content;
        }
        self.undo(before);
        medium.subvolume = Subvolume::Top;
        let top = self.mount_medium(medium, access, keeps);
        match (top, content) {
            (Ok(top), content) if top != Some(Content::Tree) || content.is_err() => Ok(top),
            (_, Err(stop)) => Err(stop),
            (_, Ok(_)) => {
                self.undo(before);
                medium.subvolume = Subvolume::Default;
                self.mount_medium(medium, access, keeps)
            }
        }
    }

    /// Refuses a root tree that has no init program, before anything is made for its changes: another medium may be the right one. An
    /// init that is named may be among the changes, and an initrd of dracut may put one there.
    pub(super) fn has_init(&mut self, content: Option<&Content>, inner: Option<&Inner>) -> Result<(), Stop> {
        let tree = match (content, inner) {
            (Some(Content::Tree), _) => &self.points.live,
            (_, Some(Inner::Tree)) => &self.points.container,
            _ => return Ok(()),
        };
        match self.report.mode == NATIVE && self.config.init.path.is_none() {
            true => self.world.init(tree, None, Presence::Needed).map(drop),
            false => Ok(()),
        }
    }

    /// Mounts the medium, and looks what it offers where it is not itself the container.
    fn mount_medium(&mut self, medium: &MediumFacts, access: Access, keeps: bool) -> Result<Option<Content>, Stop> {
        let steps = match keeps {
            true => acquire::medium_for_changes(access, &self.points, medium),
            false => acquire::medium(access, &self.points, medium),
        };
        let done = self.perform("acquire", &steps)?;
        let replayed = (keeps && done.given_up.is_empty()) || access == Access::ReadWrite;
        if medium.is_container() {
            return Ok(None);
        }
        let content = self.world.content(self.config, &self.points.live);
        content.map(Some).map_err(|stop| self.unreplayed_medium(medium, replayed, stop))
    }

    /// As [`Boot::unreplayed`], of the file system of the medium itself.
    fn unreplayed_medium(&self, medium: &MediumFacts, replayed: bool, stop: Stop) -> Stop {
        let own = match medium.origin {
            Origin::Device(_) => self.below(medium).filter(|_| !replayed),
            Origin::HostFile { .. } | Origin::Initrd(_) | Origin::Fetched(_) => None,
        };
        own.map_or(stop.clone(), |device| self.unreplayed(&device, true, stop))
    }
}
