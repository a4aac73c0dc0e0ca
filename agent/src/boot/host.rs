//! The ISO file on a file system of this machine.

use std::io;
use std::path::PathBuf;

use super::area::{is_btrfs, is_ntfs};
use super::medium::{file_facts, or_none};
use super::{Boot, Tone};
use crate::config::{IsoScan, Selector};
use crate::error::{CHECK_IT, Code, Stop, is_damage};
use crate::facts::{Device, MediumFacts, Origin, Subvolume};
use crate::format::Kind;
use crate::plan::acquire;

impl Boot<'_> {
    /// Mounts a file system and looks for the ISO file on it.
    pub(super) fn iso_file_on(
        &mut self,
        scan: &IsoScan,
        selector: Option<&Selector>,
        device: &Device,
    ) -> Result<MediumFacts, Stop> {
        self.host_subvolume = Subvolume::Default;
        self.perform("acquire", &acquire::host(&self.points, device)?)?;
        let (mut found, mut replayed) = (self.iso_file(scan), false);
        if !matches!(found, Ok(Some(_))) {
            replayed = self.replay_own(device)?;
            found = self.iso_file(scan);
        }
        if matches!(found, Ok(None)) && is_btrfs(device) {
            self.perform("acquire", &acquire::host_top(&self.points, Kind::Btrfs))?;
            self.host_subvolume = Subvolume::Top;
            found = self.iso_file(scan);
        }
        let unreadable =
            |error: &io::Error| is_damage(error) || (is_ntfs(device) && error.kind() == io::ErrorKind::InvalidInput);
        let unreplayed = |boot: &Self, stop| if replayed { stop } else { boot.unreplayed(device, false, stop) };
        let (file, path) = match found {
            Ok(Some(found)) => found,
            Err(error) if unreadable(&error) => {
                let cause = format!("looking for {} on {}: {error}", scan.path.display(), device.node.display());
                return Err(unreplayed(self, Stop::new(Code::MediumMount, cause).advice(CHECK_IT)));
            }
            _ => {
                let cause = format!("{} does not hold {}", device.node.display(), scan.path.display());
                return Err(unreplayed(self, Stop::new(Code::IsoFileNotFound, cause)));
            }
        };
        self.report.moment("medium");
        self.say(Tone::Notice, format!("medium: {} on {}", path.display(), device.summary()));
        let origin = Origin::HostFile { host: Some(device.node.clone()), file: file.clone() };
        let facts = file_facts(self.world, &file, origin).map_err(|stop| unreplayed(self, stop))?;
        let is_it = |selector: &Selector| match selector {
            Selector::Label(label) => facts.label.as_ref() == Some(label),
            Selector::Uuid(uuid) => facts.uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(uuid)),
            _ => true,
        };
        if let Some(selector) = selector
            && !selector.readings().into_iter().any(is_it)
        {
            let cause = format!("{} on {} is another ISO", path.display(), device.node.display());
            return Err(Stop::new(Code::MediumMount, cause)
                .found([format!("label {}, UUID {}", or_none(facts.label.as_ref()), or_none(facts.uuid.as_ref()))])
                .wanted(selector.to_string())
                .advice("correct root=live:CDLABEL= or iso-scan/filename="));
        }
        self.host_for_changes(device)?;
        Ok(facts)
    }

    /// The ISO file on the mounted file system, links followed inside of it, and the name that it was found by: it is looked for as it
    /// was written, then as GRUB may have meant it.
    fn iso_file(&self, scan: &IsoScan) -> io::Result<Option<(PathBuf, PathBuf)>> {
        let mut error = None;
        for path in [&scan.path].into_iter().chain(&scan.readings) {
            let spelled = self.world.spelled(&self.points.host, path);
            match self.world.file_in(&self.points.host, spelled.strip_prefix(&self.points.host).unwrap_or(&spelled)) {
                Ok(Some(file)) => return Ok(Some((self.points.host.join(file), path.clone()))),
                Ok(None) => {}
                Err(failed) => error = error.or(Some(failed)),
            }
        }
        error.map_or(Ok(None), Err)
    }
}
