//! The part of a boot that lets programs of the image make and check the place for changes (decision 0031).

use super::{Boot, Tone};
use crate::config::Method;
use crate::facts::{Content, Inner};
use crate::plan::programs;

impl Boot<'_> {
    /// Whether a place for changes is asked for.
    pub(super) fn keeps_changes(&self) -> bool {
        let overlay = &self.config.overlay;
        overlay.method != Method::Direct && (overlay.persistence.is_some() || overlay.crypt.is_some())
    }

    /// Brings the image into reach where changes are to be kept and the initrd does not have a program that this may need. What was done
    /// for it lies between the two marks.
    pub(super) fn lend_programs(&mut self, content: Option<&Content>, inner: Option<&Inner>) -> (usize, usize) {
        let before = self.world.mark();
        let wanted = if self.keeps_changes() && self.area_hangs.is_none() {
            programs::wanted(&self.config.overlay)
        } else {
            Vec::new()
        };
        if wanted.iter().any(|program| self.world.lacks(program)) {
            let steps = programs::of_image(&self.config.overlay, &self.points, content, inner);
            if let Err(stop) = self.perform("acquire", &steps) {
                // The root will not be built from it either, and say why.
                self.undo(before);
                self.say(Tone::Warning, format!("no programs of the image: {stop}, ignoring"));
            }
        }
        (before, self.world.mark())
    }
}
