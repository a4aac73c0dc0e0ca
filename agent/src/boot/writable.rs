//! The part of a boot that decides what becomes writable, and says so.

use std::path::Path;

use super::{Boot, Tone};
use crate::config::Method;
use crate::error::{Code, Stop};
use crate::facts::{Content, ImageFile, Inner, MediumFacts, human};
use crate::handover::{NO_METHOD, Store, WriteMode};
use crate::plan::assemble;
use crate::plan::persist::Area;
use crate::plan::snapshot::{self, FSIMG_DIR, Form, LIVE, POOL};
use crate::plan::{Done, GivenUp, Slot, Wanted, ram};

impl Boot<'_> {
    /// `rd.writable.fsimg`: the image becomes a copy in RAM, if it fits; then a later step writes to that.
    pub(super) fn copy_image(
        &mut self,
        content: Option<Content>,
        inner: Option<Inner>,
    ) -> Result<(Option<Content>, Option<Inner>), Stop> {
        let base = assemble::base(&self.points, content.as_ref(), inner.as_ref());
        let Some(base) = base.filter(|base| self.config.overlay.fsimg && base.is_writable() && !base.is_in_ram())
        else {
            return Ok((content, inner));
        };
        let from = base.at.join(&base.file.path);
        let fits = self
            .world
            .ram(&from)
            .map_err(|error| format!("looking at {}: {error}", from.display()))
            .and_then(|facts| ram::budget(self.config, &facts).map(|()| facts).map_err(|stop| stop.with_advice()));
        let facts = match fits {
            Ok(facts) => facts,
            Err(why) => {
                self.fall_back(format!("rd.writable.fsimg: {why}"));
                return Ok((content, inner));
            }
        };
        let (steps, to) = snapshot::fsimg(&base, &facts);
        let file = ImageFile { path: to.clone(), ..base.file.clone() };
        if self.perform("acquire", &steps)?.gave_up(Wanted::Fsimg) {
            return Ok((content, inner));
        }
        self.report.moment("copied");
        Ok((Some(Content::Image(file)), None))
    }

    /// Decides what the root becomes; says why when it is not what was asked for.
    ///
    /// # Errors
    /// A store was required that an overlay cannot use.
    pub(super) fn form(
        &mut self,
        medium: &MediumFacts,
        content: Option<&Content>,
        inner: Option<&Inner>,
        area: &mut Option<Area>,
    ) -> Result<Form, Stop> {
        let form = snapshot::form(self.config, medium, content, inner, area.as_ref());
        if form.method == Method::Overlayfs && self.config.ignores_rootflags() {
            self.say(Tone::Info, "rootflags= are for the file system of an image, not for an overlay, ignoring");
        }
        let Some(why) = &form.why else { return Ok(form) };
        match area.as_ref().filter(|area| area.store && form.method == Method::Overlayfs) {
            Some(area) if area.required => {
                return Err(Stop::new(Code::AreaUnavailable, format!("{}: {why}", area.place))
                    .wanted("a place for the changes of an overlay: a directory, or an image of ext4, xfs or btrfs")
                    .advice("remove =required to boot with changes in RAM"));
            }
            Some(_) => {
                *area = None;
                self.keep_nothing(Stop::new(Code::AreaUnavailable, why.to_string()));
            }
            None => self.fall_back(why.to_string()),
        }
        Ok(form)
    }

    pub(super) fn fall_back(&mut self, text: String) {
        self.say(Tone::GivenUp, &text);
        self.report.fallbacks.push(text);
    }

    /// Says that changes go to RAM, why, and what to do.
    pub(super) fn keep_nothing(&mut self, why: Stop) {
        let line = format!("{}, falling back to RAM: {}", Wanted::Changes, why.with_advice());
        self.say(Tone::GivenUp, line);
        self.report.fallbacks.push(GivenUp { what: Wanted::Changes, why }.to_string());
    }

    /// What the report says about writing, once the root is there. `area` is the one that was planned, `done` what came of the plan.
    /// Tells whether changes are kept there.
    pub(super) fn write_mode(&mut self, form: &Form, base: Option<&Path>, area: Option<&Area>, done: &Done) -> bool {
        let kept = area.filter(|_| !done.gave_up(Wanted::Changes));
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(area.iter().flat_map(|area| area.notes.clone()));
        // Without it, device-mapper has failed, and an overlay is there instead.
        let mapped = self.world.node(Slot::Live).is_some();
        let method = match form.method {
            // A persistent store takes the changes itself.
            Method::Snapshot { .. } if self.world.node(Slot::Pool).is_some() => "thin",
            Method::Snapshot { .. } if mapped => "snapshot",
            Method::Direct if mapped => "linear",
            _ => "overlayfs",
        };
        let mut mode = WriteMode {
            method: method.into(),
            persistence: kept.map_or("temporary", |area| area.persistence).into(),
            size: self.config.overlay.size.to_string(),
            place: kept.map(|area| area.place.clone()),
            readonly: kept.is_some_and(|area| area.readonly),
            store: None,
            encrypted: kept.is_some_and(|area| area.encrypted),
            cipher: kept.and_then(|_| self.world.cipher()),
            notes,
        };
        match (method, base) {
            ("linear", Some(image)) => {
                mode.size = self.world.bytes(Slot::Live).to_string();
                if !image.starts_with(FSIMG_DIR) && !image.starts_with(ram::RAM_DIR) {
                    mode.persistence = "image".into();
                    mode.place = Some(image.display().to_string());
                }
            }
            ("snapshot", _) => self.store_of(LIVE, &mut mode),
            ("thin", _) => self.store_of(POOL, &mut mode),
            _ => {}
        }
        self.report.write_mode = Some(mode);
        kept.is_some()
    }

    /// The same of a boot that has failed: what was made for it all the same.
    pub(super) fn no_write_mode(&mut self) {
        let notes = std::mem::take(&mut self.notes);
        self.report.write_mode = Some(WriteMode {
            method: NO_METHOD.into(),
            persistence: "temporary".into(),
            size: self.config.overlay.size.to_string(),
            place: None,
            readonly: false,
            store: None,
            encrypted: false,
            cipher: None,
            notes,
        });
    }

    /// How much fits into the store, so that nobody is surprised when it does not.
    fn store_of(&mut self, device: &str, mode: &mut WriteMode) {
        let slot = if self.world.node(Slot::Store).is_some() { Slot::Store } else { Slot::Cow };
        let store =
            Store { device: device.into(), origin: self.world.bytes(Slot::Image), size: self.world.bytes(slot) };
        mode.size = store.size.to_string();
        let line = format!(
            "changes go to a store of {}; when it is full, writes fail: `rdlive report` tells how full it is",
            human(store.size)
        );
        // A world of facts may know no size.
        if store.size > 0 {
            self.say(Tone::Notice, line);
        }
        if let Some(ram) = self.world.memory().filter(|ram| slot == Slot::Store && *ram < store.size) {
            let (size, ram) = (human(store.size), human(ram));
            let note = format!("the store may grow to {size} and the machine has {ram} of RAM: memory may end first");
            self.say(Tone::Warning, format!("{note}, ignoring; see rd.live.overlay.size"));
            mode.notes.push(note);
        }
        mode.store = Some(store);
    }
}
