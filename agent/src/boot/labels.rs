//! The labels of the root: the last that is done to it, for a policy counts for all that is done after it is loaded.

use super::Boot;
use crate::error::Stop;
use crate::plan::{Points, Step, Wanted};

impl Boot<'_> {
    /// Gives the root its SELinux labels again, where the loading of a policy takes them. What goes wrong is said, and the boot goes on.
    ///
    /// # Errors
    /// None that the plan does not turn into a fallback.
    pub fn label(&mut self) -> Result<(), Stop> {
        // Changes that are kept lie elsewhere, on file systems that keep labels too.
        let (root, upper, lower) = (self.sysroot.to_owned(), self.points.upper.clone(), self.points.lower.clone());
        let Some(policies) = self.world.policies(&root, &upper, &lower) else { return Ok(()) };
        let step = Step::Labels { policies, root, upper, lower: [self.points.upper_readonly.clone(), lower] };
        self.perform("assemble", &[Step::either(vec![step], Vec::new(), Wanted::Labels)]).map(drop)
    }

    /// The same for a root that an earlier run has built; what is done goes into its report.
    ///
    /// # Errors
    /// As [`Boot::label`].
    pub fn label_later(&mut self) -> Result<(), Stop> {
        if self.config.covers_root() {
            self.points = Points::ordinary();
        }
        let result = self.label();
        self.report.steps.extend(self.world.take_records().0);
        result
    }
}
