//! An image on a server.

use std::path::Path;

use super::medium::file_facts;
use super::{Acquired, Boot};
use crate::config::explain::without_password;
use crate::error::Stop;
use crate::facts::Origin;
use crate::handover::DRACUT;
use crate::plan::remote;

impl Boot<'_> {
    /// Fetches what a URL names, and takes it as the medium, whatever it is.
    pub(super) fn take_url(&mut self, url: &str) -> Result<Acquired, Stop> {
        let shown = without_password(url);
        // In an initrd of dracut other programs have the interfaces.
        if self.report.mode == DRACUT {
            return Err(remote::not_built(&format!("{shown} in an initrd of dracut")).advice(
                "use a native initramfs (rdlive-image build --mode native), or an initrd of dracut's livenet",
            ));
        }
        let steps = remote::fetch(self.config, url)?;
        let fetching = self.watchdog().doing(format!("fetching {shown}"));
        self.perform("acquire", &steps)?;
        drop(fetching);
        self.report.moment("medium");
        let file = Path::new(remote::FETCHED);
        let facts = file_facts(self.world, file, Origin::Fetched(file.to_owned()))?;
        self.acquire(facts)
    }
}
