//! `rd.live.ram` in the course of a boot: look, decide, copy, and let the medium go.

use super::{Boot, Tone};
use crate::error::{Code, Stop};
use crate::facts::{Content, MediumFacts};
use crate::handover::RamRecord;
use crate::plan::ram::{self, Choice, RamCopy};
use crate::plan::{Presence, Wanted};

impl Boot<'_> {
    /// Copies the image to RAM if that was asked for and can be done. `None`: it is read from where it is.
    ///
    /// # Errors
    /// Why not, when the copy is required.
    pub(crate) fn copy_to_ram(
        &mut self,
        medium: &MediumFacts,
        content: Option<&Content>,
    ) -> Result<Option<RamCopy>, Stop> {
        // An earlier candidate may have come as far as this.
        (self.points.medium, self.report.ram) = (Presence::Needed, None);
        if !self.config.ram {
            return Ok(None);
        }
        match self.try_copy(medium, content) {
            Err(stop) if !self.config.ram_required && stop.code == Code::RamRefused => {
                let mut lines = stop.lines();
                lines.push("falling back to reading from the medium, which must stay in place".to_owned());
                lines.iter().for_each(|line| self.say(Tone::GivenUp, format!("rd.live.ram: {line}")));
                self.report.fallbacks.push(format!("rd.live.ram: {}, reading from the medium", stop.with_advice()));
                Ok(None)
            }
            result => result,
        }
    }

    fn try_copy(&mut self, medium: &MediumFacts, content: Option<&Content>) -> Result<Option<RamCopy>, Stop> {
        let copy = match ram::choose(&self.points, medium, content)? {
            Choice::Copy(copy) => copy,
            Choice::InRam => {
                self.say(Tone::Info, "rd.live.ram: the image is in RAM already");
                return Ok(None);
            }
        };
        let mut facts = self.world.ram(&copy.from).map_err(|error| {
            Stop::new(Code::RamCopy, format!("looking at {}: {error}", copy.from.display()))
                .advice("check the medium and its cable, or write it again")
        })?;
        ram::budget(self.config, &facts)?;
        facts.sha256 = self.world.sum(&self.points.live, &copy.from);
        if self.perform("acquire", &ram::copy(self.config, &copy, &facts))?.gave_up(Wanted::RamCopy) {
            return Ok(None);
        }
        self.report.moment("copied");
        self.report.ram = Some(RamRecord {
            path: copy.to.clone(),
            bytes: facts.bytes,
            data: facts.data,
            released: false,
            sha256: facts.sha256,
        });
        Ok(Some(copy))
    }

    /// Whether a medium whose image is in RAM stays until it is known where changes are kept.
    pub(crate) fn waits_for_area(&self, medium: &MediumFacts) -> bool {
        ram::may_keep(self.config) || self.keeps_on(medium)
    }

    /// The root is there, with changes in an area (`kept`) or not: says that the medium must stay for them, or lets it go.
    ///
    /// # Errors
    /// As [`Boot::release`].
    pub(crate) fn settle(&mut self, medium: &MediumFacts, kept: bool) -> Result<(), Stop> {
        let keeps = self.waits_for_area(medium);
        if !(keeps || self.updates) || self.points.medium != Presence::Needed {
            return Ok(());
        }
        if kept && keeps {
            let text = "the live image is in RAM, but changes are kept on the medium: the medium must stay in place";
            self.say(Tone::Told, text);
            self.report.write_mode.iter_mut().for_each(|mode| mode.notes.push(text.to_owned()));
            return Ok(());
        }
        self.release(medium)?;
        self.world.forget_links(&self.points.stale_links());
        Ok(())
    }

    /// Unmounts the medium whose image is in RAM. One that somebody holds stays, with a word about it.
    ///
    /// # Errors
    /// None that the plan does not turn into a fallback.
    pub(crate) fn release(&mut self, medium: &MediumFacts) -> Result<(), Stop> {
        let (steps, presence) = ram::release(&self.points, medium);
        if self.perform("acquire", &steps)?.gave_up(Wanted::Release) {
            return Ok(());
        }
        self.points.medium = presence;
        if let Some(ram) = &mut self.report.ram {
            ram.released = true;
        }
        self.say(Tone::Told, "the live image is in RAM, the medium may be taken away");
        Ok(())
    }
}
