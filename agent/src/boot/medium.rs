//! One candidate: its layers are looked at one after the other, and it is taken, or given back with the reason.

use std::path::Path;

use super::{Acquired, Boot, Mark, Tone, World};
use crate::config::explain::without_password;
use crate::config::root::FORMS;
use crate::config::{Config, Selector, Source};
use crate::error::{Code, Disposition, Stop};
use crate::facts::{Content, Device, ImageFile, MediumFacts, Next, Origin, Subvolume, View};
use crate::format::{self, Kind};
use crate::handover::Considered;
use crate::plan::{acquire, ram};
use crate::source::discover::{By, Candidate};
use crate::source::search::{Search, is_elsewhere};

impl Boot<'_> {
    /// The medium that is asked for, with its images within reach.
    pub(super) fn take(&mut self) -> Result<Acquired, Stop> {
        let source = &self.config.source;
        match source {
            Source::Device(selector) => self.search(Some(selector)),
            Source::IsoVolume => self.search(None),
            Source::InitrdFile(file) => self.take_initrd_file(file),
            Source::Url(url) => self.take_url(url),
            Source::Aoe(node) => self.take_aoe(node.as_deref()),
            Source::NotLive(root) => Err(malformed(root.as_deref().unwrap_or_default()).wanted(FORMS)),
            // What is accepted is in the reason.
            Source::Malformed { value, why } => Err(malformed(&format!("{value} ({why})"))),
        }
    }

    /// Asks the search again with each change of devices, until there is a medium or the time is over.
    fn search(&mut self, selector: Option<&Selector>) -> Result<Acquired, Stop> {
        let mut search = Search::new(self.config);
        let _looking = self.watchdog().doing(match &self.config.iso_scan {
            Some(scan) => format!("looking for a file system that holds {}", scan.path.display()),
            None => format!("looking for the live medium {}", selector.map_or_else(String::new, ToString::to_string)),
        });
        let result = loop {
            let next = |boot: &mut Self, view: &View| {
                // Any disk may hold the ISO file, so who waits for it is told which do not answer.
                if boot.config.iso_scan.is_some() && view.is_settled(boot.config.deadline) {
                    boot.go_on_without_silent(view);
                }
                let next = search.next(view);
                if matches!(next, Next::Known(_)) {
                    boot.note_unheard(&view.unanswered(boot.config.deadline));
                }
                next
            };
            let known = self.until_known(next);
            self.world.hear_key(false);
            let candidate = match known {
                Ok(candidate) => candidate,
                Err(stop) => break Err(self.not_seen(stop)),
            };
            let mark = self.mark();
            // Giving a medium back may take as long as reading it.
            let _reading = self.watchdog().doing(format!("reading /dev/{}", candidate.name));
            let rejected = match self.tried(selector, &candidate) {
                Ok(acquired) => {
                    self.chosen(&candidate, search.open(&self.world.view()));
                    break Ok(acquired);
                }
                Err(stop) => {
                    let stop = self.scattered(&candidate.name, stop);
                    self.reject(&mut search, &candidate, mark, stop)
                }
            };
            if let Err(stop) = rejected {
                break Err(stop);
            }
        };
        let rejected = search.rejected().iter();
        self.report
            .considered
            .extend(rejected.map(|was| Considered { device: was.name.clone(), verdict: was.stop.to_string() }));
        result
    }

    /// Adds to why there is no medium what a loader or the firmware shows as a drive, and Linux does not.
    fn not_seen(&self, stop: Stop) -> Stop {
        match stop.code {
            Code::MediumNotFound | Code::IsoFileNotFound => self.world.loaded().explain(stop, &self.devices()),
            _ => stop,
        }
    }

    /// Looks into a candidate.
    fn tried(&mut self, selector: Option<&Selector>, candidate: &Candidate) -> Result<Acquired, Stop> {
        let view = self.world.view();
        let gone = || Stop::new(Code::MediumMount, format!("/dev/{} is gone", candidate.name));
        let device = view.device(&candidate.name).ok_or_else(gone)?;
        self.go_on_without_silent(&view);
        self.gather(device)?;
        let device = &device.for_reading();
        let facts = match &self.config.iso_scan {
            Some(scan) => {
                let facts = self.iso_file_on(scan, selector, device)?;
                self.say_raid(device);
                facts
            }
            None => {
                let subvolume = self.look_for_mark(device, candidate.by)?;
                self.say_raid(device);
                self.report.moment("medium");
                let chosen = format!("medium: {}, {}", device.summary(), candidate.confirmed());
                match candidate.certain || candidate.by == By::Mark {
                    true => self.say(Tone::Notice, chosen),
                    false => self.say(Tone::Warning, format!("{chosen}, using it because no other has come")),
                }
                MediumFacts { subvolume, ..medium_facts(device)? }
            }
        };
        self.acquire(facts)
    }

    /// Says what there is to say about a medium beside the record of a RAID, once the medium was found there.
    fn say_raid(&mut self, device: &Device) {
        if device.beside_raid.is_some() {
            let node = device.node.display();
            let line = format!(
                "{node} has the record of a RAID beside its file system, and is only read: if that is left over, mdadm --zero-superblock {node} or wipefs takes it away"
            );
            self.say(Tone::Warning, line);
        }
    }

    /// Notes what became of a candidate, and of those that were not tried.
    fn chosen(&mut self, candidate: &Candidate, open: Vec<Candidate>) {
        let why = match &self.config.iso_scan {
            Some(scan) => format!("holds {}", scan.path.display()),
            None => candidate.confirmed(),
        };
        let mut others = open;
        others.retain(|other| other.name != candidate.name && other.by == By::Name && self.config.iso_scan.is_none());
        self.say_rivals(candidate, &others);
        let others = others.into_iter().map(|other| (other.name, format!("not chosen: {}", other.why)));
        let all = [(candidate.name.clone(), format!("chosen: {why}"))].into_iter().chain(others);
        self.report.considered.extend(all.map(|(device, verdict)| Considered { device, verdict }));
    }

    fn take_initrd_file(&mut self, file: &Path) -> Result<Acquired, Stop> {
        if !self.world.is_file(file).is_ok_and(|is| is) {
            return Err(Stop::new(Code::InitrdFileMissing, format!("{} is not in the initrd", file.display()))
                .advice("append it to the initrd as a cpio archive, or use iso-scan/filename= for a file on a disk"));
        }
        let facts = file_facts(self.world, file, Origin::Initrd(file.to_owned()))?;
        self.acquire(facts)
    }

    /// Brings a medium's images into reach, looking at each layer before the next is planned.
    pub(super) fn acquire(&mut self, mut medium: MediumFacts) -> Result<Acquired, Stop> {
        // The journal of a system that sleeps is not replayed; why nothing is kept is said when the place is looked at.
        let writes = self.keeps_on(&medium) && !self.config.overlay.readonly;
        let keeps = writes && self.awake(Path::new("")).is_ok() && self.journal_may_be_replayed(&medium);
        let access = self.medium_access(&medium);
        let content = self.content_of(&mut medium, access, keeps)?;
        if let Some(Content::Container(file) | Content::Image(file)) = &content {
            decompressor(self.config, file)?;
        }
        self.is_all_there(&medium, content.as_ref())?;
        self.updates = self.config.updates && content.is_some() && self.world.has_updates(&self.points.live);
        let copy = self.copy_to_ram(&medium, content.as_ref())?;
        let steps = match &copy {
            Some(copy) => ram::container(&self.points, copy),
            None => acquire::container(&self.points, &medium, content.as_ref()),
        };
        self.perform("acquire", &steps)?;
        let inner = match steps.is_empty() {
            true => None,
            false => Some(self.world.inner(self.config, &self.points.container)?),
        };
        self.has_init(content.as_ref(), inner.as_ref())?;
        if copy.is_some() && !self.waits_for_area(&medium) && !self.updates {
            self.release(&medium)?;
        }
        Ok(Acquired { medium, content, inner, copy })
    }

    /// Whether all is there that the boot needs of a volume that says it is longer than its place.
    fn is_all_there(&mut self, medium: &MediumFacts, content: Option<&Content>) -> Result<(), Stop> {
        let Some(missing) = medium.missing else { return Ok(()) };
        let (what, advice) = match &medium.origin {
            Origin::Device(node) => (node, "the copy to this medium was cut short: write it again"),
            Origin::HostFile { file, .. } | Origin::Initrd(file) | Origin::Fetched(file) => (file, AGAIN),
        };
        let what = what.display().to_string();
        match content {
            Some(Content::Container(image) | Content::Image(image))
                if self.world.has_end(&self.points.live.join(&image.path)) =>
            {
                let (missing, image) = (crate::facts::human(missing), image.path.display());
                let line = format!("{what} is {missing} shorter than its volume says; {image} is all there, going on");
                self.say(Tone::Warning, line);
                Ok(())
            }
            _ => Err(cut_short(&what, missing, advice)),
        }
    }

    /// Gives a candidate back and remembers why, or ends the boot if the reason is not the candidate's. What was told of it is not told of
    /// the next.
    fn reject(&mut self, search: &mut Search<'_>, candidate: &Candidate, mark: Mark, stop: Stop) -> Result<(), Stop> {
        self.undo(mark.done);
        if stop.code.disposition() == Disposition::Stop {
            return Err(stop);
        }
        drop(self.world.done_before_failing());
        self.notes.clear();
        self.report.fallbacks.truncate(mark.fallbacks);
        self.report.ram = None;
        // An ISO file is on one disk of many.
        let tone = if is_elsewhere(&stop) { Tone::Info } else { Tone::GivenUp };
        let (said, view) = (format!("{}: {stop}", candidate.name), self.world.view());
        search.reject(&view, candidate, stop);
        let waits = search.waits_on(&view);
        let none = search.open(&view).is_empty();
        self.say(tone, if none { said } else { format!("{said}, trying the next") });
        let key = if waits && self.world.hear_key(true) { "; a key ends the wait" } else { "" };
        if let Some(left) = search.wait_to_tell(&view) {
            self.say(Tone::Told, format!("waiting up to {} s for another medium{key}", left.as_secs()));
        }
        Ok(())
    }
}

/// Refuses an image whose compression the kernel was built without: the mount would only say "invalid argument".
fn decompressor(config: &Config, file: &ImageFile) -> Result<(), Stop> {
    let Some(compressor) = file.compressor else { return Ok(()) };
    let option = compressor.config_option(file.kind);
    let Some(option) = option.filter(|option| config.kernel_lacks.iter().any(|lacks| lacks == option)) else {
        return Ok(());
    };
    let cause =
        format!("{} is compressed with {}, which this kernel cannot read", file.path.display(), compressor.name());
    Err(Stop::new(Code::DriverMissing, cause)
        .wanted(format!("a kernel with {option}"))
        .advice("build the image with --compression zstd or xz, or use another kernel"))
}

fn malformed(what: &str) -> Stop {
    Stop::new(Code::RootMalformed, format!("root= is no live root: {}", without_password(what)))
}

pub(super) fn medium_facts(device: &Device) -> Result<MediumFacts, Stop> {
    let node = device.node.display();
    let Some(found) = &device.superblock else {
        let why = device.unreadable.clone().unwrap_or_else(|| "no file system is known on it".to_owned());
        return Err(Stop::new(Code::MediumMount, format!("{node}: {why}")));
    };
    if found.kind.driver().is_none() {
        let stop = Stop::new(Code::MediumMount, format!("{node} holds {}, no live medium", found.kind.name()));
        return Err(match found.kind {
            Kind::Raid => stop.advice(format!(
                "name the whole RAID; a record that is left over, mdadm --zero-superblock {node} takes away"
            )),
            _ => stop,
        });
    }
    let missing = format::truncated(found, device.size);
    if let Some(missing) = missing.filter(|_| !may_be_padding(found.kind)) {
        return Err(cut_short(
            &device.node.display().to_string(),
            missing,
            "the copy to this medium was cut short: write it again",
        ));
    }
    Ok(MediumFacts {
        origin: Origin::Device(device.node.clone()),
        kind: found.kind,
        label: found.label.clone(),
        uuid: found.identity(),
        device: Some(device.seen()),
        looped: device.needs_loop(),
        missing,
        subvolume: Subvolume::Default,
    })
}

/// Whether what is missing at the end of a file system may hold nothing: images are padded, some tools count more than they write, and the
/// image of a larger stick was written to a smaller one. The kernel mounts these all the same (field.md B).
fn may_be_padding(kind: Kind) -> bool {
    matches!(kind, Kind::Iso9660 | Kind::Udf | Kind::Vfat | Kind::Exfat | Kind::Ntfs)
}

fn cut_short(what: &str, missing: u64, advice: &str) -> Stop {
    let missing = crate::facts::human(missing);
    Stop::new(Code::ImageDamaged, format!("{what} is truncated: {missing} are missing at its end")).advice(advice)
}

pub(super) fn file_facts(world: &dyn World, file: &Path, origin: Origin) -> Result<MediumFacts, Stop> {
    let damaged = |cause: String| Stop::new(Code::ImageDamaged, cause).advice(AGAIN);
    let shown = file.display();
    let (found, size) = world.identify(file).map_err(|error| damaged(format!("reading {shown}: {error}")))?;
    let Some(found) = found.filter(|found| found.kind.driver().is_some()) else {
        return Err(damaged(format!("{shown} is no image that is known")));
    };
    let missing = format::truncated(&found, size);
    if let Some(missing) = missing.filter(|_| !may_be_padding(found.kind)) {
        return Err(cut_short(&shown.to_string(), missing, AGAIN));
    }
    let (kind, uuid) = (found.kind, found.identity());
    let (label, subvolume) = (found.label, Subvolume::Default);
    Ok(MediumFacts { origin, kind, uuid, label, device: None, looped: false, missing, subvolume })
}

/// What helps a file that is not what it was.
const AGAIN: &str = "the file is damaged or incomplete: copy or download it again";

pub(super) fn or_none(text: Option<&String>) -> &str {
    text.map_or("none", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::format::{Compressor, DECOMPRESSION_OPTIONS};

    #[test]
    fn a_missing_decompressor_is_named_before_the_mount() {
        let (mut config, _) = interpret_text("root=live:LABEL=x");
        let file = |kind, compressor| ImageFile { path: "x".into(), kind, compressor, dirty: false };
        config.kernel_lacks = vec!["CONFIG_SQUASHFS_LZO".into(), "CONFIG_EROFS_FS_ZIP_ZSTD".into()];
        for (kind, compressor, lacks) in [
            (Kind::Squashfs, Some(Compressor::Lzo), Some("CONFIG_SQUASHFS_LZO")),
            (Kind::Squashfs, Some(Compressor::Zstd), None),
            (Kind::Erofs, Some(Compressor::Zstd), Some("CONFIG_EROFS_FS_ZIP_ZSTD")),
            (Kind::Erofs, None, None),
        ] {
            let result = decompressor(&config, &file(kind, compressor));
            let wanted = result.err().map(|stop| stop.wanted);
            assert_eq!(wanted, lacks.map(|option| format!("a kernel with {option}")), "{kind:?} {compressor:?}");
            if let Some(option) = lacks {
                assert!(DECOMPRESSION_OPTIONS.contains(&option), "the builder looks for {option}");
            }
        }
    }
}
