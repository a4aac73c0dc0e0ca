//! `updates/` of the medium in the course of a boot: copied when the root is there, before the medium is let go.

use super::{Boot, Tone};
use crate::error::Stop;
use crate::layout::UPDATES;
use crate::plan::{Step, Wanted};

impl Boot<'_> {
    /// Copies `updates/` over the root, if the medium has it. What goes wrong is said, and the boot goes on.
    ///
    /// # Errors
    /// None that the plan does not turn into a fallback.
    pub(super) fn apply_updates(&mut self) -> Result<(), Stop> {
        let mode = self.report.write_mode.as_ref().filter(|_| self.updates);
        let Some(mode) = mode else { return Ok(()) };
        if mode.persistence == "image" {
            self.fall_back(format!("{}: the root is the image itself, which it would change", Wanted::Updates));
            return Ok(());
        }
        let kept = mode.place.is_some() && !mode.readonly;
        let step = Step::Updates { from: self.points.live.join(UPDATES), to: self.sysroot.to_owned(), kept };
        let done = self.perform("assemble", &[Step::either(vec![step], Vec::new(), Wanted::Updates)])?;
        if let Some(updated) = &done.updated {
            self.say(Tone::Notice, format!("updates/ of the medium is over the root: {updated}"));
            let left_out: Vec<_> = updated.left_out.iter().map(|what| format!("updates/{what}, left out")).collect();
            left_out.iter().for_each(|line| self.say(Tone::Warning, line));
        }
        self.report.updates = done.updated;
        Ok(())
    }
}
