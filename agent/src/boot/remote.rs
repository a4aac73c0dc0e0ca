//! An image on a server.

use std::path::Path;

use super::medium::file_facts;
use super::world::Tone;
use super::{Acquired, Boot};
use crate::config::explain::without_password;
use crate::error::Stop;
use crate::facts::Origin;
use crate::handover::DRACUT;
use crate::plan::provider::{self, Way};
use crate::plan::remote;

impl Boot<'_> {
    /// Fetches what a URL names, and takes it as the medium, whatever it is.
    pub(super) fn take_url(&mut self, url: &str) -> Result<Acquired, Stop> {
        let shown = without_password(url);
        // In an initrd of dracut other programs may have the interfaces.
        let provider = if self.report.mode == DRACUT { self.world.provider() } else { None };
        let follow = match provider::choose(self.config, provider) {
            Way::Own => None,
            Way::Follow(provider) => Some(provider),
            Way::Instead { of, word } => {
                let line = format!("network: {of} cannot read {word}, so rdlive's own client brings it up");
                self.world.say(Tone::Told, &line);
                None
            }
        };
        let steps = remote::fetch(self.config, url, follow)?;
        let fetching = self.watchdog().doing(format!("fetching {shown}"));
        self.perform("acquire", &steps)?;
        drop(fetching);
        self.report.moment("medium");
        let file = Path::new(remote::FETCHED);
        let facts = file_facts(self.world, file, Origin::Fetched(file.to_owned()))?;
        self.acquire(facts)
    }
}
