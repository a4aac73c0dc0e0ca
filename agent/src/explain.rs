//! `rdlive explain`: what a command line means and what would be done, on any machine, touching nothing.

mod area;

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Config, Method, Persistence, Selector, Source};
use crate::error::Stop;
use crate::facts::{Content, Device, ImageFile, Inner, MediumFacts, Origin, RamFacts};
use crate::format::{self, Kind, Superblock, iso9660};
use crate::layout::{EXT3FS_IMG, ROOTFS_IMG};
use crate::plan::ram::{self, Choice};
use crate::plan::step::describe;
use crate::plan::{Points, Step, acquire, assemble, ordinary, prepare};
use crate::terminal;

/// How `rdlive explain` was called.
#[derive(Debug, Default)]
struct Call {
    cmdline: Option<String>,
    medium: Option<PathBuf>,
    json: bool,
}

/// Explains; the exit code is 1 when the command line has an error in it.
///
/// # Errors
/// Unreadable command line or medium.
pub fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let call = parse(arguments)?;
    let cmdline = match &call.cmdline {
        Some(text) => Cmdline::parse(text),
        None => Cmdline::load(Path::new("/"))?,
    };
    let conf = Conf::load(Path::new("/"))?;
    let (config, warnings) = config::interpret(&cmdline, &conf);
    let warnings = warnings.for_a_person();
    let plan = plan(&config, call.medium.as_deref())?;
    if call.json {
        let json = config::explain::explain_json(&config, &warnings, &plan);
        terminal::print_json(&json)?;
    } else {
        terminal::print(config::explain::explain_lines(&config, &warnings, &plan));
    }
    let broken = warnings.iter().any(|warning| warning.level == config::Level::Error);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse(arguments: &[String]) -> Result<Call, lexopt::Error> {
    let mut call = Call::default();
    let mut parser = lexopt::Parser::from_args(arguments.iter().map(OsString::from));
    while let Some(argument) = parser.next()? {
        match argument {
            Long("cmdline") => call.cmdline = Some(parser.value()?.string()?),
            Long("medium") => call.medium = Some(PathBuf::from(parser.value()?)),
            Long("json") => call.json = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(call)
}

/// The lines of the three plans. Without a medium, the plan for the usual one: an ISO with a container that is a root tree.
fn plan(config: &Config, medium: Option<&Path>) -> Result<Vec<String>, Box<dyn Error>> {
    if config.covers_root() {
        return Ok(ordinary_plan(config));
    }
    // Of the rest the warnings say why the boot stops.
    if !matches!(config.source, Source::Device(_) | Source::InitrdFile(_)) {
        return Ok(Vec::new());
    }
    let found = medium.map(|path| look(config, path)).transpose()?;
    Ok(plan_on(config, found)?)
}

/// The plan for a medium.
fn plan_on(config: &Config, found: Option<(MediumFacts, Option<Content>)>) -> Result<Vec<String>, Stop> {
    let mut points = Points::new(config.dialect);
    let mut lines = Vec::new();
    let (mut facts, content) = match found {
        Some((facts, content)) => {
            lines.extend(mismatch(config, &facts));
            (facts, content)
        }
        None => {
            lines.push("assuming an ISO whose container holds the root tree:".to_owned());
            (usual_medium(), usual_content(config))
        }
    };
    // A container is not mounted here, so what it holds is not known: a nested image would add one loop and one mount.
    let inner = matches!(content, Some(Content::Container(_))) || facts.is_container();
    let inner = inner.then_some(Inner::Tree);
    if config.overlay.method != Method::Overlayfs && inner.is_some() {
        lines.push(
            "a nested image would become a device-mapper root; assuming that the container is the root tree:"
                .to_owned(),
        );
    }
    let mut acquire = host(config, &points, &mut facts)?;
    acquire.extend(acquire::medium(acquire::medium_access(config, &facts), &points, &facts));
    let (copied, content) = ram_copy(config, &mut points, &facts, content)?;
    let in_ram = !copied.is_empty();
    if in_ram {
        lines.push("assuming an image of 1 GiB, and room for it:".to_owned());
    }
    match in_ram {
        true => acquire.extend(copied),
        false => acquire.extend(acquire::container(&points, &facts, content.as_ref())),
    }
    let area::Assumed { remark, acquire: reach, area, stops } = area::assumed(config, &points, Some(&facts));
    lines.extend(remark);
    acquire.extend(reach);
    if in_ram && area.is_none() && stops.is_none() && ram::may_keep(config) {
        acquire.extend(release(&mut points, &facts));
    }
    let (content, inner) = (content.as_ref(), inner.as_ref());
    let assemble = assemble::assemble_on(config, &points, &facts, content, inner, Path::new(SYSROOT), area.as_ref());
    lines.extend(describe("prepare", &prepare::prepare(config, &points)));
    lines.extend(describe("acquire", &acquire));
    lines.extend(end(&assemble, stops.as_ref()));
    Ok(lines)
}

const SYSROOT: &str = "/sysroot";

/// How it ends: with the root, or with why the boot stops.
fn end(assemble: &[Step], stops: Option<&Stop>) -> Vec<String> {
    match stops {
        Some(stop) => ["then the boot stops:".to_owned()].into_iter().chain(stop.lines()).collect(),
        None => describe("assemble", assemble).collect(),
    }
}

/// The file system that holds the ISO file, if there is one; then that file is the medium.
fn host(config: &Config, points: &Points, medium: &mut MediumFacts) -> Result<Vec<Step>, Stop> {
    let (Source::Device(_), Some(scan)) = (&config.source, &config.iso_scan) else { return Ok(Vec::new()) };
    medium.origin = Origin::File(points.host.join(&scan.path));
    let superblock = Some(Superblock::new(Kind::Ext4));
    let device = Device { node: "/dev/…".into(), superblock, ..Device::default() };
    let mut steps = acquire::host(points, &device)?;
    let keeps = matches!(config.overlay.persistence, Some(Persistence::Automatic(_) | Persistence::OnMedium { .. }));
    if keeps && !config.overlay.readonly {
        steps.extend(acquire::host_for_changes(points, &device).into_iter().flatten());
    }
    Ok(steps)
}

/// The plan over the root of a machine that is no live system, as an initrd made by dracut has mounted it.
fn ordinary_plan(config: &Config) -> Vec<String> {
    let points = Points::ordinary();
    let mut acquire = ordinary::taken(&points, Path::new(SYSROOT));
    let area::Assumed { remark, acquire: reach, area, stops } = area::assumed(config, &points, None);
    acquire.extend(reach);
    let assemble = ordinary::assemble(config, &points, Path::new(SYSROOT), area.as_ref());
    let assumed = format!("assuming that the root is mounted at {SYSROOT}:");
    let steps = describe("acquire", &acquire).chain(end(&assemble, stops.as_ref()));
    [assumed].into_iter().chain(remark).chain(steps).collect()
}

/// What a boot would say about this medium although the plan below is for it.
fn mismatch(config: &Config, facts: &MediumFacts) -> Option<String> {
    let (wanted, found, same) = match &config.source {
        Source::Device(Selector::Label(wanted)) => (wanted, &facts.label, facts.label.as_ref() == Some(wanted)),
        Source::Device(Selector::Uuid(wanted)) => {
            let same = facts.uuid.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
            (wanted, &facts.uuid, same)
        }
        _ => return None,
    };
    let found = found.as_deref().unwrap_or("none");
    (!same).then(|| format!("this medium would not be chosen: wanted is {wanted}, it has {found}"))
}

/// The steps of a copy to RAM up to the medium's release; none when there is nothing to copy.
fn ram_copy(
    config: &Config,
    points: &mut Points,
    medium: &MediumFacts,
    content: Option<Content>,
) -> Result<(Vec<Step>, Option<Content>), Stop> {
    if !config.ram {
        return Ok((Vec::new(), content));
    }
    let copy = match ram::choose(points, medium, content.as_ref()) {
        Ok(Choice::Copy(copy)) => copy,
        Err(stop) if config.ram_required => return Err(stop),
        // The boot goes on from the medium.
        Ok(Choice::InRam) | Err(_) => return Ok((Vec::new(), content)),
    };
    let facts = RamFacts { bytes: 1 << 30, data: 1 << 30, available: u64::MAX, huge_pages: true, sha256: None };
    let mut steps = ram::copy(config, &copy, &facts);
    steps.extend(ram::container(points, &copy));
    if !ram::may_keep(config) {
        steps.extend(release(points, medium));
    }
    Ok((steps, content.map(|content| copy.content(content))))
}

fn release(points: &mut Points, medium: &MediumFacts) -> Vec<Step> {
    let (steps, presence) = ram::release(points, medium);
    points.medium = presence;
    steps
}

fn usual_medium() -> MediumFacts {
    let origin = Origin::Device("/dev/…".into());
    MediumFacts { origin, kind: Kind::Iso9660, label: None, uuid: None, device: None }
}

fn usual_content(config: &Config) -> Option<Content> {
    let path = Path::new(&config.live_dir).join(&config.squashimg);
    Some(Content::Container(ImageFile { path, kind: Kind::Squashfs, compressor: None, dirty: false }))
}

/// Reads a medium without mounting it.
fn look(config: &Config, path: &Path) -> Result<(MediumFacts, Option<Content>), Box<dyn Error>> {
    let say = |error: &dyn std::fmt::Display| Box::<dyn Error>::from(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(|error| say(&error))?;
    let found =
        format::identify(&mut file).map_err(|error| say(&error))?.ok_or_else(|| say(&"no medium is known on it"))?;
    let is_node = path.starts_with("/dev");
    let origin = if is_node { Origin::Device(path.to_owned()) } else { Origin::File(path.to_owned()) };
    let facts = MediumFacts { origin, kind: found.kind, uuid: found.identity(), label: found.label, device: None };
    if facts.kind != Kind::Iso9660 {
        return Ok((facts.clone(), (!facts.is_container()).then(|| usual_content(config)).flatten()));
    }
    let mut volume = iso9660::Volume::open(&mut file).map_err(|error| say(&error))?;
    let dir = Path::new(&config.live_dir);
    for name in [config.squashimg.as_str(), ROOTFS_IMG, EXT3FS_IMG] {
        let inside = dir.join(name);
        let Some(extent) = volume.find(&format!("/{}", inside.display())).map_err(|error| say(&error))? else {
            continue;
        };
        let mut inside_file = Window { inner: volume.reader(), start: extent.offset, size: extent.size, at: 0 };
        let kind = format::identify(&mut inside_file).map_err(|error| say(&error))?;
        let Some(kind) = kind else { return Err(say(&format!("{} is no file system", inside.display()))) };
        let image = ImageFile { path: inside, kind: kind.kind, compressor: kind.compressor, dirty: kind.dirty };
        let container = matches!(image.kind, Kind::Squashfs | Kind::Erofs) && name == config.squashimg;
        return Ok((facts, Some(if container { Content::Container(image) } else { Content::Image(image) })));
    }
    Err(say(&format!("neither {} nor {} is on it", config.squashimg, ROOTFS_IMG)))
}

/// A part of a reader, as a reader of its own.
struct Window<'a, R> {
    inner: &'a mut R,
    start: u64,
    size: u64,
    at: u64,
}

impl<R: Read + Seek> Read for Window<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        self.inner.seek(SeekFrom::Start(self.start.saturating_add(self.at)))?;
        let length = self.inner.read(&mut buffer[..length])?;
        self.at += length as u64;
        Ok(length)
    }
}

impl<R> Seek for Window<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::terminal::tests::with_each_text;

    #[test]
    fn a_medium_that_would_not_be_chosen_is_named() {
        let facts = MediumFacts { label: Some("LIVE".into()), uuid: Some("2026-aB".into()), ..usual_medium() };
        for (cmdline, expected) in [
            ("root=live:CDLABEL=LIVE", None),
            ("root=live:CDLABEL=live", Some("wanted is live, it has LIVE")),
            ("root=live:UUID=2026-Ab", None),
            ("root=live:UUID=2026-cc", Some("wanted is 2026-cc, it has 2026-aB")),
            ("root=live:/dev/sr0", None),
        ] {
            let expected = expected.map(|words| format!("this medium would not be chosen: {words}"));
            assert_eq!(mismatch(&interpret_text(cmdline).0, &facts), expected, "{cmdline}");
        }
    }

    #[test]
    fn f12_no_text_of_a_command_line_or_medium_makes_lines_of_its_own() {
        let read = |value| serde_json::from_value::<Config>(value).ok();
        for (cmdline, texts) in [
            (
                "root=live:CDLABEL=LIVE rd.overlay=LABEL=P:/d rootflags=a,b iso-scan/filename=/a.iso init=/x rd.liv.image",
                10,
            ),
            (
                "root=live:LABEL=x rd.live.ram rd.live.dir=d rd.live.squashimg=s rd.driver.pre=m rd.live.report=/dev/ttyS1",
                6,
            ),
            ("root=live:http://u:p@h/x.iso ip=dhcp proxy=p rd.live.overlay.persistent rd.live.cowfile.path=c", 6),
            ("root=LABEL=x rd.overlay.crypt=LABEL=c rd.live.encrypt.keyfile=/k:LABEL=y", 6),
        ] {
            let (config, warnings) = interpret_text(cmdline);
            let shown = |config: &Config| {
                config::explain::explain_lines(
                    config,
                    &warnings,
                    &plan(config, None).unwrap_or_else(|why| vec![why.to_string()]),
                )
            };
            let checked = with_each_text(&serde_json::to_value(&config).unwrap(), read, shown);
            assert!(checked >= texts, "{cmdline}: {checked}");
        }
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE rd.live.ram");
        let sample = serde_json::json!([
            { "origin": { "device": "/dev/sr0" }, "kind": "iso9660", "label": "x", "uuid": "y" },
            { "container": { "path": "LiveOS/squashfs.img", "kind": "squashfs" } },
        ]);
        let shown = |found: &(MediumFacts, Option<Content>)| plan_on(&config, Some(found.clone())).unwrap();
        assert_eq!(with_each_text(&sample, |value| serde_json::from_value(value).ok(), shown), 4);
    }

    /// What the boot does, and nothing else (redesign.md §1).
    #[test]
    fn the_plan_ends_where_the_boot_does_and_begins_where_it_does() {
        let plan = |cmdline: &str| plan(&interpret_text(cmdline).0, None).unwrap().join("\n");
        let network = "root=live:http://h/x.iso rd.live.overlay.persistent";
        assert_eq!(plan(network), "", "the boot stops before it looks for a medium");
        let file = plan("root=live:CDLABEL=x rd.live.overlay.persistent iso-scan/filename=/a.iso");
        let at = |words: &str| file.find(words).unwrap_or_else(|| panic!("{words} is not in\n{file}"));
        let mounted = at("mount host ext4 (ro) [noload] at /run/initramfs/isoscan");
        assert!(mounted < at("loop /run/initramfs/isoscan/a.iso (ro, direct) as medium"), "{file}");
        assert!(mounted < at("remount /run/initramfs/isoscan"), "{file}");
        let beside = plan("root=live:CDLABEL=x rd.overlay=:auto iso-scan/filename=/a.iso");
        assert!(beside.contains("either unmount /run/initramfs/isoscan"), "{beside}");
        for (kargs, code) in [
            (
                "root=live:CDLABEL=x rd.live.overlay.persistent=required rd.overlay=none",
                "RDL-050: the command line leaves",
            ),
            ("root=live:CDLABEL=x rd.live.overlay.persistent=required rd.live.overlay.cowfs=vfat", "RDL-050: rd.live"),
            ("root=LABEL=x rd.overlay rd.live.overlay.persistent=required", "RDL-050: the root is no live medium"),
        ] {
            let text = plan(kargs);
            assert!(text.contains(&format!("then the boot stops:\n{code}")), "{kargs}:\n{text}");
            assert!(!text.contains("assemble"), "{kargs}:\n{text}");
        }
    }

    #[test]
    fn without_a_medium_the_plan_is_for_the_usual_one() {
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE");
        let text = plan(&config, None).unwrap().join("\n");
        assert!(text.starts_with("assuming") && text.contains("mount container squashfs"), "{text}");
        assert!(text.contains("a nested image would become a device-mapper root"), "{text}");
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE rd.overlay");
        assert!(!plan(&config, None).unwrap().join("\n").contains("device-mapper"));
        let (config, _) = interpret_text("root=/dev/sda1");
        assert_eq!(plan(&config, None).unwrap(), Vec::<String>::new());
    }
}
