//! The boot on one screen: the stages in order, shared by both personalities.

mod area;
mod crypt;
mod ordinary;
mod writable;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::attempt::Avoid;
use crate::config::explain::without_password;
use crate::config::{Config, IsoScan, Selector, Source};
use crate::discover::{self, Candidate};
use crate::env::Env;
use crate::error::{Code, Disposition, Stop};
use crate::exec::Executor;
use crate::facts::{Content, Device, ImageFile, Inner, MediumFacts, Origin};
use crate::handover::{Considered, Report};
use crate::kmsg::NOTICE;
use crate::plan::{Points, acquire, assemble, prepare, ram};
use crate::probe::{block, content};
use crate::watch::{PATIENCE, Watch};
use crate::{format, layout};

/// How long a medium that matches, but is not the one the loader came from, waits for a better one.
const GRACE_OTHER: Duration = Duration::from_secs(10);
/// How long before the deadline what matches is used anyway: a worse medium, or one beside a device that does not answer.
const LAST_CHANCE: Duration = Duration::from_secs(2);
/// How long a whole disk waits for the partitions that its table lists.
const GRACE_PARTITIONS: Duration = Duration::from_secs(2);
/// How long a boot goes on looking after the only match turned out unusable.
const GRACE_REJECTED: Duration = Duration::from_secs(5);
/// How much longer a boot waits while udev is still at work, and how often it looks.
const GRACE_UDEV: Duration = Duration::from_secs(60);
const UDEV_STEP: Duration = Duration::from_secs(1);
/// Silence after which all that is plugged in has been seen, where no identity says which medium is meant.
const SILENCE: Duration = Duration::from_millis(100);

/// What a boot works with.
pub struct Boot<'a> {
    /// The machine.
    pub env: &'a Env,
    /// What was asked for.
    pub config: &'a Config,
    /// Where the root is attached.
    pub sysroot: &'a Path,
    /// Does the steps.
    pub exec: Executor<'a>,
    /// Sees the devices.
    pub watch: Watch,
    /// Grows with the boot.
    pub report: Report,
    pub(crate) points: Points,
    rejected: BTreeMap<String, Rejection>,
    last_rejection: Option<Instant>,
    /// Devices that had not answered when the last decision was made.
    silent: Vec<String>,
    /// Why changes go to RAM whatever was asked for: an earlier attempt has hung there.
    area_hangs: Option<String>,
    /// Why a Windows may sleep on an NTFS that was looked at, by node.
    windows: BTreeMap<PathBuf, Option<String>>,
}

/// A candidate that turned out unusable, and how it looked then: a device that changes gets another try.
struct Rejection {
    device: Option<Device>,
    stop: Stop,
}

/// A medium whose images are within reach.
struct Acquired {
    medium: MediumFacts,
    content: Option<Content>,
    inner: Option<Inner>,
    copy: Option<ram::Copy>,
}

impl<'a> Boot<'a> {
    /// A boot that has not begun.
    pub fn new(env: &'a Env, config: &'a Config, sysroot: &'a Path, exec: Executor<'a>, report: Report) -> Self {
        let mut watch = Watch::new(env);
        watch.watchdog = exec.watchdog.clone();
        Self {
            env,
            config,
            sysroot,
            exec,
            watch,
            report,
            points: Points::new(config.dialect),
            rejected: BTreeMap::new(),
            last_rejection: None,
            silent: Vec::new(),
            area_hangs: None,
            windows: BTreeMap::new(),
        }
    }

    /// The same, keeping away from where an earlier attempt has hung.
    #[must_use]
    pub fn avoiding(mut self, avoid: Avoid) -> Self {
        self.watch.avoid(avoid.devices);
        self.area_hangs = avoid.area;
        self
    }

    /// Builds the root, or undoes everything and says why not. The report is complete either way.
    ///
    /// # Errors
    /// Why the boot stopped.
    pub fn run(&mut self) -> Result<(), Stop> {
        let mark = self.exec.mark();
        let result = self.stages();
        if result.is_err() {
            self.exec.unwind(mark);
        }
        self.report.steps = std::mem::take(&mut self.exec.records);
        self.report.fallbacks.extend(std::mem::take(&mut self.exec.fallbacks));
        let rejected = self.rejected.iter();
        self.report
            .considered
            .extend(rejected.map(|(name, was)| Considered { device: name.clone(), verdict: was.stop.to_string() }));
        let silent = self.silent.iter();
        self.report
            .considered
            .extend(silent.map(|name| Considered { device: name.clone(), verdict: "does not answer".into() }));
        result
    }

    fn stages(&mut self) -> Result<(), Stop> {
        if self.config.covers_root() {
            return self.ordinary();
        }
        self.exec.run("prepare", &prepare::prepare(self.config, &self.points))?;
        let config = self.config;
        let acquired = match (&config.source, &config.iso_scan) {
            (Source::Device(_), None) => self.search(Self::try_devices)?,
            (Source::Device(selector), Some(scan)) => self.search(|boot| boot.try_iso_files(scan, selector))?,
            (Source::InitrdFile(file), _) => self.take_initrd_file(file)?,
            (Source::Aoe(node), _) => return Err(not_built(&format!("AoE node {node}"))),
            (Source::Url(url), _) => return Err(not_built(&format!("network source {}", without_password(url)))),
            (other, _) => return Err(malformed(other)),
        };
        self.report.moment("acquired");
        self.exec.watchdog.acquired(true);
        let Acquired { medium, content, inner, copy } = acquired;
        let copied = copy.is_some();
        let used = copy.map_or(content.clone(), |copy| content.clone().map(|content| copy.content(content)));
        let (used, inside) = self.copy_image(used, inner.clone())?;
        let (used, inside) = (used.as_ref(), inside.as_ref());
        let before = self.exec.mark();
        let mut area = self.area(Some(&medium))?;
        let (after, planned) = (self.exec.mark(), area.is_some());
        let form = self.form(&medium, used, inside, &mut area)?;
        if copied && !planned {
            self.settle(&medium, false)?;
        }
        let image = assemble::base(&self.points, used, inside).map(|base| base.path());
        let steps = assemble::assemble_on(config, &self.points, &medium, used, inside, self.sysroot, area.as_ref());
        let device = self.exec.node(crate::plan::Slot::Medium).map(|node| node.display().to_string());
        (self.report.device, self.report.medium) = (device, Some(medium.clone()));
        (self.report.content, self.report.inner) = (content, inner);
        let result = self.exec.run("assemble", &steps);
        let kept = self.write_mode(&form, image.as_deref(), area.as_ref());
        if !kept && planned {
            // What the area needed stays neither mounted nor open when changes go to RAM.
            self.exec.unwind_between(before, after);
        }
        result?;
        if copied {
            self.settle(&medium, kept)?;
        }
        self.report.moment("root");
        Ok(())
    }

    /// Asks `attempt` again with each change of devices, until it finds a medium or the time is over.
    fn search(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<Acquired>, Stop>,
    ) -> Result<Acquired, Stop> {
        let begin = self.watch.begin();
        let mut deadline = begin + self.config.deadline;
        let _looking = self.exec.watchdog.doing(match &self.config.iso_scan {
            Some(scan) => format!("looking for a file system that holds {}", scan.path.display()),
            None => format!("looking for the live medium {}", wanted(&self.config.source)),
        });
        loop {
            if let Some(acquired) = attempt(self)? {
                return Ok(acquired);
            }
            let until = self.look_again().min(deadline);
            // A device that chatters without end must not keep the deadline from being looked at.
            if self.watch.wait(until) && Instant::now() < deadline {
                continue;
            }
            if self.given_up() {
                return Err(self.not_found());
            }
            if Instant::now() >= deadline {
                // A slow machine whose udev still loads drivers has not had its time yet.
                if !self.udev_busy() || deadline >= begin + self.config.deadline + GRACE_UDEV {
                    return Err(self.not_found());
                }
                deadline += UDEV_STEP;
            }
        }
    }

    /// The next moment at which a decision may change although nothing happened.
    fn look_again(&self) -> Instant {
        let wait = if self.undecided() { SILENCE } else { Duration::from_secs(3600) };
        Instant::now() + wait
    }

    /// udev keeps this file while it has events to work on; the native personality has no udev.
    fn udev_busy(&self) -> bool {
        self.env.path("run/udev/queue").exists()
    }

    /// As [`Self::udev_busy`], for as long as anything comes of it: a device that does not answer keeps udev busy for minutes.
    fn udev_at_work(&self) -> bool {
        self.udev_busy() && self.watch.silence() < PATIENCE
    }

    /// Whether a candidate is held back, or a rejection waits for its grace to end.
    fn undecided(&self) -> bool {
        self.last_rejection.is_some() || !self.open_candidates().is_empty()
    }

    fn open_candidates(&self) -> Vec<Candidate> {
        let devices = self.watch.devices();
        let all = match (&self.config.source, &self.config.iso_scan) {
            (_, Some(scan)) => discover::hosts(scan, &devices),
            (Source::Device(selector), None) => discover::media(self.config, selector, &devices),
            _ => Vec::new(),
        };
        let unchanged =
            |name: &str| self.rejected.get(name).is_some_and(|was| was.device.as_ref() == self.watch.device(name));
        all.into_iter().filter(|candidate| !unchanged(&candidate.name)).collect()
    }

    fn given_up(&self) -> bool {
        // A file that is not on one file system says nothing about the next one to be plugged in.
        self.config.iso_scan.is_none() && self.last_rejection.is_some_and(|at| at.elapsed() >= GRACE_REJECTED)
    }

    /// Whether a candidate may be used now, or a better one may still come. Time counts from the candidate's own
    /// appearance: a stick that needs three seconds to show up has its partitions after three seconds too.
    fn ripe(&self, candidate: &Candidate) -> bool {
        let known = self.watch.known_for(&candidate.name);
        let identified = self.config.medium.is_some() && candidate.certain;
        let settled = identified || self.settled();
        let complete = !candidate.incomplete || known >= GRACE_PARTITIONS;
        // With a short `rd.retry=` a medium that is not the loader's must still get its turn.
        settled && complete && (candidate.certain || known >= GRACE_OTHER || self.last_chance())
    }

    /// Whether all that is plugged in has been seen, or there is no more time to wait for it.
    fn settled(&self) -> bool {
        (self.watch.quiet() && self.watch.silence() >= SILENCE) || self.last_chance()
    }

    /// Whether the deadline is so near that what is there must do.
    fn last_chance(&self) -> bool {
        let deadline = self.config.deadline;
        self.watch.begin().elapsed() + LAST_CHANCE.min(deadline / 2) >= deadline
    }

    /// Devices that had their time and have not answered.
    fn unanswered(&self) -> Vec<String> {
        self.watch.unanswered(if self.last_chance() { Duration::ZERO } else { PATIENCE })
    }

    /// Remembers which devices have no say in a decision that is made now.
    fn go_on_without_silent(&mut self) {
        let silent = self.unanswered();
        for name in silent.iter().filter(|name| !self.silent.contains(name)) {
            log::warn!("/dev/{name} does not answer, going on without it");
        }
        self.silent = silent;
    }

    /// What may hold anything, for it does not answer. What is in an optical drive is nobody's memory.
    fn silent_disk(&self) -> Option<String> {
        sleeping_place(&self.silent, &self.watch.silent_drivers())
    }

    fn try_devices(&mut self) -> Result<Option<Acquired>, Stop> {
        for candidate in self.open_candidates() {
            if !self.ripe(&candidate) {
                // A better one may come before a worse one is used.
                return Ok(None);
            }
            let Some(device) = self.watch.device(&candidate.name).cloned() else { continue };
            self.go_on_without_silent();
            self.report.moment("medium");
            let chosen = format!("medium: {}, {}", device.summary(), candidate.why);
            if candidate.certain {
                log::info!(target: NOTICE, "{chosen}");
            } else {
                log::warn!("{chosen}, using it because no other has come");
            }
            let mark = self.exec.mark();
            let _reading = self.exec.watchdog.doing(format!("reading {}", device.node.display()));
            match medium_facts(&device).and_then(|facts| self.acquire(facts)) {
                Ok(acquired) => {
                    self.consider("chosen", &candidate);
                    let others = self.open_candidates().into_iter().filter(|other| other.name != candidate.name);
                    others.for_each(|other| self.consider("not chosen", &other));
                    return Ok(Some(acquired));
                }
                Err(stop) => self.reject(candidate.name, mark, stop)?,
            }
        }
        Ok(None)
    }

    /// Notes what became of a candidate.
    fn consider(&mut self, verdict: &str, candidate: &Candidate) {
        let verdict = format!("{verdict}: {}", candidate.why);
        self.report.considered.push(Considered { device: candidate.name.clone(), verdict });
    }

    fn try_iso_files(&mut self, scan: &IsoScan, selector: &Selector) -> Result<Option<Acquired>, Stop> {
        if !self.settled() {
            return Ok(None);
        }
        self.go_on_without_silent();
        for candidate in self.open_candidates() {
            let Some(device) = self.watch.device(&candidate.name).cloned() else { continue };
            let mark = self.exec.mark();
            let _reading = self.exec.watchdog.doing(format!("reading {}", device.node.display()));
            match self.iso_file_on(scan, selector, &device).and_then(|facts| self.acquire(facts)) {
                Ok(acquired) => {
                    let verdict = format!("chosen: holds {}", scan.path.display());
                    self.report.considered.push(Considered { device: candidate.name, verdict });
                    return Ok(Some(acquired));
                }
                Err(stop) => self.reject(candidate.name, mark, stop)?,
            }
        }
        Ok(None)
    }

    /// Mounts a file system and looks for the ISO file on it.
    fn iso_file_on(&mut self, scan: &IsoScan, selector: &Selector, device: &Device) -> Result<MediumFacts, Stop> {
        self.exec.run("acquire", &acquire::host(&self.points, device)?)?;
        let file = self.points.host.join(&scan.path);
        if !self.env.path(&file).is_file() {
            self.replay_own(device)?;
        }
        if !self.env.path(&file).is_file() {
            let cause = format!("{} does not hold {}", device.node.display(), scan.path.display());
            return Err(Stop::new(Code::IsoFileNotFound, cause));
        }
        self.report.moment("medium");
        log::info!(target: NOTICE, "medium: {} on {}", scan.path.display(), device.summary());
        let facts = file_facts(self.env, &file)?;
        let label_differs = matches!(selector, Selector::Label(label) if facts.label.as_ref() != Some(label));
        let uuid_differs = matches!(selector, Selector::Uuid(uuid)
            if !facts.uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(uuid)));
        if label_differs || uuid_differs {
            let cause = format!("{} on {} is another ISO", scan.path.display(), device.node.display());
            return Err(Stop::new(Code::MediumMount, cause)
                .found([format!("label {}, UUID {}", or_none(facts.label.as_ref()), or_none(facts.uuid.as_ref()))])
                .wanted(selector.to_string())
                .advice("correct root=live:CDLABEL= or iso-scan/filename="));
        }
        self.host_for_changes(device)?;
        Ok(facts)
    }

    fn take_initrd_file(&mut self, file: &Path) -> Result<Acquired, Stop> {
        if !self.env.path(file).is_file() {
            return Err(Stop::new(Code::InitrdFileMissing, format!("{} is not in the initrd", file.display()))
                .advice("append it to the initrd as a cpio archive, or use iso-scan/filename= for a file on a disk"));
        }
        let facts = file_facts(self.env, file)?;
        self.acquire(facts)
    }

    /// Brings a medium's images into reach, looking at each layer before the next is planned.
    fn acquire(&mut self, medium: MediumFacts) -> Result<Acquired, Stop> {
        // The journal of a system that sleeps is not replayed; why nothing is kept is said when the place is looked at.
        let writes = self.keeps_on(&medium) && !self.config.overlay.readonly;
        let keeps = writes && self.awake(Path::new("")).is_ok() && self.journal_may_be_replayed(&medium);
        let access = self.medium_access(&medium);
        let steps = match keeps {
            true => acquire::medium_for_changes(access, &self.points, &medium),
            false => acquire::medium(access, &self.points, &medium),
        };
        self.exec.run("acquire", &steps)?;
        let content = match medium.is_container() {
            true => None,
            false => Some(content::medium(self.env, self.config, &self.points.live)?),
        };
        if let Some(Content::Container(file) | Content::Image(file)) = &content {
            decompressor(self.config, file)?;
        }
        let copy = self.copy_to_ram(&medium, content.as_ref())?;
        let steps = match &copy {
            Some(copy) => ram::container(&self.points, copy),
            None => acquire::container(&self.points, &medium, content.as_ref()),
        };
        self.exec.run("acquire", &steps)?;
        let inner = match steps.is_empty() {
            true => None,
            false => Some(content::container(self.env, self.config, &self.points.container)?),
        };
        if copy.is_some() && !self.waits_for_area(&medium) {
            self.release(&medium)?;
        }
        Ok(Acquired { medium, content, inner, copy })
    }

    /// Gives a candidate back and remembers why, or ends the boot if the reason is not the candidate's.
    fn reject(&mut self, name: String, mark: usize, stop: Stop) -> Result<(), Stop> {
        self.exec.unwind(mark);
        if stop.code.disposition() == Disposition::Stop {
            return Err(stop);
        }
        let level = if stop.code == Code::IsoFileNotFound { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "{name}: {stop}, trying the next");
        if stop.code != Code::IsoFileNotFound {
            self.last_rejection = Some(Instant::now());
        }
        let device = self.watch.device(&name).cloned();
        self.rejected.insert(name, Rejection { device, stop });
        Ok(())
    }

    /// The error for "nothing found": the most telling rejection if there was one, else what is plugged in.
    fn not_found(&self) -> Stop {
        let telling = self.rejected.values().map(|was| &was.stop).find(|stop| stop.code != Code::IsoFileNotFound);
        if let Some(stop) = telling {
            return stop.clone();
        }
        let devices = self.watch.devices();
        let seconds = self.config.deadline.as_secs();
        let silent = self.unanswered().into_iter().map(|name| format!("/dev/{name}: does not answer"));
        match (&self.config.source, &self.config.iso_scan) {
            (_, Some(scan)) => {
                let found = devices.iter().map(|device| {
                    let why = discover::refusal(scan, device).unwrap_or_else(|| "searched, file not there".into());
                    format!("{}: {why}", device.summary())
                });
                let found = found.chain(silent);
                Stop::new(Code::IsoFileNotFound, format!("no file system holds the ISO file after {seconds} s"))
                    .wanted(format!("file {}", scan.path.display()))
                    .found(found)
                    .advice("check iso-scan/filename= (path from the root of its file system) and the disk's cable")
            }
            (source, None) => Stop::new(Code::MediumNotFound, format!("no live medium after {seconds} s"))
                .wanted(wanted(source))
                .found(devices.iter().filter(|device| device.size > 0).map(Device::summary).chain(silent))
                .advice("plug the medium in and retry, or correct root=live:… (labels are case-sensitive)"),
        }
    }
}

/// The first of the devices, or else what lies behind one of the drivers, that may hold a system which sleeps.
fn sleeping_place(devices: &[String], drivers: &[String]) -> Option<String> {
    let device = devices.iter().find(|name| !name.starts_with("sr")).map(|name| format!("/dev/{name}"));
    device.or_else(|| drivers.first().map(|name| format!("what the driver {name} looks for")))
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

fn medium_facts(device: &Device) -> Result<MediumFacts, Stop> {
    let node = device.node.display();
    let Some(found) = &device.superblock else {
        let why = device.unreadable.clone().unwrap_or_else(|| "no file system is known on it".to_owned());
        return Err(Stop::new(Code::MediumMount, format!("{node}: {why}")));
    };
    if found.kind.driver().is_none() {
        return Err(Stop::new(Code::MediumMount, format!("{node} holds {}, no live medium", found.kind.name())));
    }
    if let Some(missing) = format::truncated(found, device.size) {
        let missing = crate::facts::human(missing);
        return Err(Stop::new(Code::ImageDamaged, format!("{node} is truncated: {missing} are missing at its end"))
            .advice("the copy to this medium was cut short: write it again"));
    }
    Ok(MediumFacts {
        origin: Origin::Device(device.node.clone()),
        kind: found.kind,
        label: found.label.clone(),
        uuid: found.identity(),
        device: Some(device.seen()),
    })
}

fn file_facts(env: &Env, file: &Path) -> Result<MediumFacts, Stop> {
    let damaged = |cause: String| {
        Stop::new(Code::ImageDamaged, cause).advice("the file is damaged or incomplete: copy or download it again")
    };
    let shown = file.display();
    let (found, size) = block::identify(env, file).map_err(|error| damaged(format!("reading {shown}: {error}")))?;
    let Some(found) = found.filter(|found| found.kind.driver().is_some()) else {
        return Err(damaged(format!("{shown} is no image that is known")));
    };
    if let Some(missing) = format::truncated(&found, size) {
        return Err(damaged(format!("{shown} is truncated: {} are missing", crate::facts::human(missing))));
    }
    Ok(MediumFacts {
        origin: Origin::File(PathBuf::from(file)),
        kind: found.kind,
        uuid: found.identity(),
        label: found.label,
        device: None,
    })
}

fn or_none(text: Option<&String>) -> &str {
    text.map_or("none", String::as_str)
}

/// What `root=` asks for, for a person.
fn wanted(source: &Source) -> String {
    match source {
        Source::Device(selector) => selector.to_string(),
        Source::InitrdFile(file) => format!("file {} in the initrd", file.display()),
        Source::Aoe(node) => format!("AoE node {node}"),
        Source::Url(url) => without_password(url),
        Source::NotLive(root) => root.clone().unwrap_or_default(),
        Source::Malformed { value, why } => format!("{value} ({why})"),
    }
}

fn not_built(what: &str) -> Stop {
    Stop::new(Code::SourceNotBuilt, format!("{what} is not supported by rdlive {}", env!("CARGO_PKG_VERSION")))
        .advice("boot from a local medium, or with the initrd of dracut's livenet or kiwi-live")
}

fn malformed(source: &Source) -> Stop {
    Stop::new(Code::RootMalformed, format!("root= is no live root: {}", wanted(source)))
        .wanted("root=live:CDLABEL=…, LABEL=, UUID=, PARTUUID=, PARTLABEL=, /dev/…, /file.iso or a URL".to_owned())
        .advice("correct root= in the boot menu")
}

/// Whether an earlier run has already built the root.
pub fn already_done(env: &Env, sysroot: &Path) -> bool {
    let mounts = env.text("proc/self/mountinfo").unwrap_or_default();
    let ours = |line: &str| [layout::ROOT_SOURCE, layout::ROOT_DEVICE].iter().any(|source| line.contains(source));
    let mounted = mounts.lines().any(|line| ours(line) && line.split(' ').nth(4) == sysroot.to_str());
    mounted && Report::load(env).is_some_and(|report| report.outcome == crate::handover::Outcome::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::format::{Compressor, DECOMPRESSION_OPTIONS, Kind};

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
