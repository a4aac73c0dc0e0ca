//! The part of a boot that covers the root of a machine that is no live system (`rd.overlay` without a live `root=`).

use std::path::PathBuf;

use super::{Boot, Tone};
use crate::config::{Method, Selector, Share, Source};
use crate::error::{Code, Stop};
use crate::facts::{Device, Next};
use crate::format::Kind;
use crate::plan::snapshot::Form;
use crate::plan::{Points, Step, ordinary};
use crate::source::search;

impl Boot<'_> {
    /// Lays the overlay over the root: where it has been mounted by the initrd's own means, or mounted here.
    pub(super) fn ordinary(&mut self) -> Result<(), Stop> {
        self.points = Points::ordinary();
        match self.world.source_at(self.sysroot) {
            Some(source) => {
                self.say(Tone::Notice, format!("root: {source}, below an overlay"));
                self.report.device = Some(source);
                let steps = ordinary::taken(&self.points, self.sysroot);
                self.perform("acquire", &steps)?;
            }
            None => self.mount_root()?,
        }
        self.cover()
    }

    /// Lays the overlay over a directory on an NFS server.
    pub(super) fn over_tree(&mut self, share: &Share, tree: PathBuf) -> Result<(), Stop> {
        self.points = Points::ordinary();
        self.bind_root(share, tree)?;
        self.cover()
    }

    fn bind_root(&mut self, share: &Share, tree: PathBuf) -> Result<(), Stop> {
        self.say(Tone::Notice, format!("root: {share}, below an overlay"));
        self.report.device = Some(share.to_string());
        self.perform("acquire", &[Step::Bind { from: tree, at: self.points.lower.clone() }]).map(drop)
    }

    /// The overlay over the root that is mounted as its lower directory.
    fn cover(&mut self) -> Result<(), Stop> {
        self.report.moment("acquired");
        let before = self.world.mark();
        let area = self.area(None)?;
        let after = self.world.mark();
        let steps = ordinary::assemble(self.config, &self.points, self.sysroot, area.as_ref());
        let form = Form { method: Method::Overlayfs, why: None };
        if !self.assemble(&steps, &form, None, area.as_ref())? && area.is_some() {
            self.world.unwind(before, after);
        }
        self.report.moment("root");
        Ok(())
    }

    fn mount_root(&mut self) -> Result<(), Stop> {
        let root = match &self.config.source {
            Source::NotLive(root) => root.clone().unwrap_or_default(),
            _ => String::new(),
        };
        if Share::is_one(&root) {
            let missing =
                || Stop::new(Code::FetchFailed, format!("root={root} is a file")).advice("write root=live:nfs:…");
            let (share, tree) = self.tree_on_share(&root)?.ok_or_else(missing)?;
            return self.bind_root(&share, tree);
        }
        let selector = Selector::parse(&root).ok_or_else(|| {
            Stop::new(Code::RootMalformed, format!("root={root} names no block device, and nobody has mounted a root"))
                .wanted("root=LABEL=, UUID=, PARTUUID=, PARTLABEL= or /dev/…, or root=live:… for a live system")
                .advice("correct root= in the boot menu, or use an initrd made by dracut, which knows more kinds")
        })?;
        let device = self.wait_for_root(&selector)?;
        self.say(Tone::Notice, format!("root: {}, below an overlay", device.summary()));
        self.report.device = Some(device.node.display().to_string());
        self.report.moment("medium");
        self.gather(&device)?;
        let asleep = self.asleep();
        if let Some(why) = &asleep {
            self.say(Tone::Warning, format!("{why}, replaying no journal"));
        }
        let steps = ordinary::mounted(self.config, &self.points, &device, asleep.is_some())?;
        self.perform("acquire", &steps).map(drop).map_err(|stop| self.scattered(&device.name, stop))
    }

    /// Why a hibernated system may own the root: it lies on a device, or on one that does not tell.
    fn asleep(&self) -> Option<String> {
        let devices = self.devices();
        let asleep = |device: &Device| device.superblock.as_ref().is_some_and(|found| found.kind == Kind::Hibernation);
        let found = devices.into_iter().find(asleep);
        let known = found.map(|device| format!("{} holds a hibernated system", device.node.display()));
        known.or_else(|| Some(format!("{} does not answer and may hold a hibernated system", self.silent_disk()?)))
    }

    /// The root's device, for which an ordinary boot waits as long.
    fn wait_for_root(&mut self, selector: &Selector) -> Result<Device, Stop> {
        let deadline = self.config.deadline;
        let _looking = self.watchdog().doing(format!("looking for the root {selector}"));
        self.until_known(|boot, view| {
            let next = search::root(view, deadline, selector);
            match next {
                Next::Known(Ok(_)) => boot.go_on_without_silent(view),
                Next::Known(Err(_)) => boot.note_unheard(&view.unanswered(deadline)),
                Next::Wait(_) => {}
            }
            next
        })
    }
}
