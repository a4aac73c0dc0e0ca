//! Files that are copied over the root when it is there: `updates/` of the medium, before that is let go, and what `live.updates=` names,
//! which is fetched first of all.

use std::path::Path;

use super::{Boot, Tone};
use crate::config::explain::without_password;
use crate::error::{Code, Stop};
use crate::layout::UPDATES;
use crate::plan::{Done, Step, Wanted, remote};

impl Boot<'_> {
    /// Copies `updates/` over the root, if the medium has it. What goes wrong is said, and the boot goes on.
    ///
    /// # Errors
    /// None that the plan does not turn into a fallback.
    pub(super) fn apply_updates(&mut self) -> Result<(), Stop> {
        if !self.updates {
            return Ok(());
        }
        let done = self.over_root(Vec::new(), &self.points.live.join(UPDATES), Wanted::Updates)?;
        if let Some(done) = done {
            self.updated("updates/ of the medium", "updates", &done);
            self.report.updates = done.updated;
        }
        Ok(())
    }

    /// Fetches what `live.updates=` names. The network is let go: what the image needs of it is another matter.
    ///
    /// # Errors
    /// As [`Boot::apply_updates`].
    pub(super) fn fetch_updates(&mut self) -> Result<(), Stop> {
        let Some(url) = self.config.fetched_updates() else { return Ok(()) };
        let follow = self.provider();
        let steps = match remote::updates(self.config, &url, follow) {
            Ok(steps) => steps,
            Err(stop) => {
                self.fall_back(format!("{}: {}", Wanted::FetchedUpdates, stop.with_advice()));
                return Ok(());
            }
        };
        let fetching = self.watchdog().doing(format!("fetching {}", without_password(&url)));
        let steps = Step::either(steps, vec![remote::no_updates(follow)], Wanted::FetchedUpdates);
        let done = self.perform("acquire", &[steps])?;
        drop(fetching);
        self.fetched = !done.gave_up(Wanted::FetchedUpdates);
        Ok(())
    }

    /// Copies what was fetched over the root, and gives its room back.
    ///
    /// # Errors
    /// As [`Boot::apply_updates`].
    pub(super) fn apply_fetched(&mut self) -> Result<(), Stop> {
        if !std::mem::take(&mut self.fetched) {
            return Ok(());
        }
        let kind = match self.world.identify(Path::new(remote::UPDATES)) {
            Ok((found, _)) => found.map(|found| found.kind).filter(|kind| kind.driver().is_some()),
            Err(error) => {
                let stop = Stop::new(Code::Updates, format!("reading {}: {error}", remote::UPDATES));
                self.fall_back(format!("{}: {stop}", Wanted::FetchedUpdates));
                return Ok(());
            }
        };
        let show = remote::show_updates(kind);
        let done = self.over_root(show, Path::new(remote::UPDATES_TREE), Wanted::FetchedUpdates)?;
        done.iter().for_each(|done| self.updated("what live.updates= names", "live.updates", done));
        let shown = done.is_some_and(|done| !done.gave_up(Wanted::FetchedUpdates)) && kind.is_some();
        // What is not let go costs RAM and no boot.
        let forget = Step::either(remote::forget_updates(shown), Vec::new(), Wanted::FetchedUpdates);
        self.perform("assemble", &[forget]).map(drop)
    }

    /// Copies a directory over the root, when it is shown. `None`: the root takes nothing.
    fn over_root(&mut self, mut steps: Vec<Step>, from: &Path, what: Wanted) -> Result<Option<Done>, Stop> {
        let Some(mode) = self.report.write_mode.as_ref() else { return Ok(None) };
        if mode.persistence == "image" {
            self.fall_back(format!("{what}: the root is the image itself, which it would change"));
            return Ok(None);
        }
        let kept = mode.place.is_some() && !mode.readonly;
        steps.push(Step::Updates { from: from.to_owned(), to: self.sysroot.to_owned(), kept });
        Ok(Some(self.perform("assemble", &[Step::either(steps, Vec::new(), what)])?))
    }

    fn updated(&mut self, what: &str, below: &str, done: &Done) {
        if let Some(updated) = &done.updated {
            self.say(Tone::Notice, format!("{what} is over the root: {updated}"));
            let left_out: Vec<_> = updated.left_out.iter().map(|what| format!("{below}/{what}, left out")).collect();
            left_out.iter().for_each(|line| self.say(Tone::Warning, line));
        }
    }
}
