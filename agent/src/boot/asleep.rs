//! Whether a file system may be written to that is not ours, or its journal replayed: nobody else may still use it (attacks.md F3).

use std::path::Path;

use super::Boot;
use super::area::{host_refusal, is_ntfs};
use crate::area::{InUse, Obstacle, Site, Windows, course};
use crate::config::{Access, Persistence};
use crate::error::Stop;
use crate::facts::{Device, MediumFacts, Next, View};
use crate::plan::acquire;
use crate::probe::sleep::{self, Sleep};

/// Said of a journal.
const PENDING: &str = "is pending and was not replayed";

impl Boot<'_> {
    /// The file system of an ISO file is searched without replaying its journal, which cannot be made writable later.
    /// Where changes will be kept on it, and nothing forbids that, it is mounted again in the usual way.
    pub(super) fn host_for_changes(&mut self, device: &Device) -> Result<(), Stop> {
        let overlay = &self.config.overlay;
        let on_medium = matches!(overlay.persistence, Some(Persistence::OnMedium { .. }));
        if overlay.wish().is_none() && !on_medium && !self.names(device) {
            return Ok(());
        }
        self.usual_host(device).map(drop)
    }

    /// The file system of an ISO file is mounted in the usual way, where that may be written to; tells whether it is.
    fn usual_host(&mut self, device: &Device) -> Result<bool, Stop> {
        if self.config.overlay.readonly || self.area_hangs.is_some() {
            return Ok(false);
        }
        self.look_for_windows(device);
        if host_refusal(&self.host_site(device)).is_some() {
            return Ok(false);
        }
        match acquire::host_for_changes(&self.points, device, self.host_subvolume) {
            Some(steps) => Ok(self.perform("acquire", &steps)?.given_up.is_empty()),
            None => Ok(false),
        }
    }

    /// The journal that a session of ours has left on the file system of an ISO file is replayed, so that the file can be found: a
    /// power cut leaves half-written directories, which only the journal has as a whole (found by 5,000 cuts). Nothing is done with
    /// the journal of anybody else, nor where nothing may be written. Tells whether it was replayed.
    pub(super) fn replay_own(&mut self, device: &Device) -> Result<bool, Stop> {
        match self.world.is_left_by_us(device) && self.for_changes(|boot| boot.awake(&device.node)).is_ok() {
            true => self.usual_host(device),
            false => Ok(false),
        }
    }

    /// What could not be found or read on a file system may be in its journal alone, which was not replayed. Says so where it is, and
    /// what can be done; `medium`: by us, if it is the medium itself.
    pub(super) fn unreplayed(&self, device: &Device, medium: bool, mut stop: Stop) -> Stop {
        if !self.world.is_journal_pending(device) {
            return stop;
        }
        let ntfs = if is_ntfs(device) { " (Windows: chkdsk /f)" } else { "" };
        // Without a check by Windows nothing is written to an NTFS.
        let here = match medium && !is_ntfs(device) {
            true => "; or add rw rd.live.host.awake=1, if no system that sleeps uses it: this replays it",
            false => "",
        };
        let node = device.node.display();
        stop.cause = format!("{}; the journal of {node} {PENDING}", stop.cause);
        stop.advice = format!("start the system of {node} once and shut it down{ntfs}{here}; or {}", stop.advice);
        stop.found.push(format!("its journal {PENDING}"));
        stop
    }

    /// What can be said about the file system of an ISO file, whatever may lie on it.
    pub(super) fn host_site(&self, device: &Device) -> Site {
        let nothing = Path::new("");
        self.host_with(&device.node, &self.points.host, (nothing, nothing))
    }

    /// The file system of an ISO file, which is mounted `at`, with what lies at two paths.
    pub(super) fn host_with(&self, node: &Path, at: &Path, paths: (&Path, &Path)) -> Site {
        let devices = self.devices();
        let mut site = self.world.host(&self.sleep(&devices), node, at, paths);
        let silent = self.silent_disk().filter(|_| !self.config.overlay.awake);
        if let (Site::Host(host), Some(what)) = (&mut site, silent) {
            host.refusal.get_or_insert_with(|| InUse::Silent { what, node: node.to_owned() }.into());
        }
        site
    }

    /// What is known of systems that may sleep.
    pub(super) fn sleep<'s>(&'s self, devices: &'s [Device]) -> Sleep<'s> {
        let windows = self.windows.iter().find_map(|(_, why)| why.as_ref());
        Sleep { devices, windows, awake: self.config.overlay.awake }
    }

    /// Looks for a Windows that sleeps on a fixed disk, where that says something about `device`: it may know a file system that is
    /// not its own, and nothing there says so (attacks.md F3).
    pub(super) fn look_for_windows(&mut self, device: &Device) {
        if self.config.overlay.awake || !sleep::concerns_windows(device) {
            return;
        }
        for other in self.devices() {
            let known = other.node == device.node || self.windows.iter().any(|(node, _)| *node == other.node);
            if !is_ntfs(&other) || other.removable || known {
                continue;
            }
            let why = self.windows_on(&other);
            self.windows.push((other.node, why));
        }
    }

    /// Why a Windows may sleep on an NTFS that is not mounted.
    fn windows_on(&mut self, device: &Device) -> Option<Windows> {
        let node = device.node.display();
        let _looking = self.watchdog().doing(format!("looking for a hibernated Windows on {node}"));
        let mark = self.world.mark();
        let steps = acquire::windows(&self.points, device);
        let why = match steps.and_then(|steps| self.perform("acquire", &steps)) {
            Ok(_) => self.world.sleeping_windows(device, &self.points.look),
            Err(stop) => Some(Windows::Unseen { node: device.node.clone(), why: stop.cause }),
        };
        self.undo(mark);
        why
    }

    /// Looks whether the place for changes may be written to. To one that is only shown nothing is written.
    pub(super) fn for_changes(&mut self, look: impl FnOnce(&mut Self) -> Result<(), Obstacle>) -> Result<(), Obstacle> {
        if self.config.overlay.readonly { Ok(()) } else { look(self) }
    }

    /// Why somebody may still use a file system that is not ours; `at` is where it is mounted, if it is.
    pub(super) fn not_in_use(&mut self, device: &Device, at: Option<(&Path, &Path)>) -> Result<(), Obstacle> {
        self.look_for_windows(device);
        // What Windows has written down of its sleep is in a file.
        let looked = !self.config.overlay.awake && at.is_none() && is_ntfs(device);
        if let Some(why) = looked.then(|| self.windows_on(device)).flatten() {
            return Err(InUse::Windows(why).into());
        }
        let devices = self.devices();
        self.world.in_use(device, &self.sleep(&devices), at).map_or(Ok(()), Err)
    }

    /// Whether the journal of the medium may be replayed: nobody else may still use it.
    pub(super) fn journal_may_be_replayed(&mut self, medium: &MediumFacts) -> bool {
        match self.below(medium) {
            Some(device) => self.not_in_use(&device, None).is_ok(),
            None => true,
        }
    }

    /// How the medium is mounted: with `rw` it is written to only as any file system may be that may belong to another system too
    /// (attacks.md F3).
    pub(super) fn medium_access(&mut self, medium: &MediumFacts) -> Access {
        let asked = acquire::medium_access(self.config, medium);
        let Some(device) = self.below(medium).filter(|_| asked == Access::ReadWrite) else { return asked };
        match self.awake(&device.node).and_then(|()| self.not_in_use(&device, None)) {
            Ok(()) => asked,
            Err(why) => {
                let why = format!("the medium stays read-only, rw or not: {why}; {}", why.remedy());
                self.fall_back(why);
                Access::ReadOnly
            }
        }
    }

    /// Waits until all that is plugged in has been looked at, and says why nothing may be written to a device then.
    pub(super) fn awake(&mut self, node: &Path) -> Result<(), Obstacle> {
        if self.config.overlay.awake {
            return Ok(());
        }
        let deadline = self.config.deadline;
        let _looking = self.watchdog().doing("looking for systems that sleep");
        let asked = |boot: &mut Self, view: &View| {
            let next = course::awake(view, deadline, node);
            if matches!(next, Next::Known(_)) {
                boot.note_unheard(&view.unanswered(deadline));
            }
            next
        };
        Ok(self.until_known(asked)?)
    }
}
