//! Golden scenarios: what the agent was told and found, and the candidates and plan that follow. `UPDATE=1` rewrites.
//!
//! A scenario is a directory with `cmdline`, `facts.json` and `plan.expected`; see `docs/testing.md`.

use std::fs;
use std::path::{Path, PathBuf};

use rdlive::area::{Found, Identity, NamedSite, Obstacle, Site};
use rdlive::cmdline::Cmdline;
use rdlive::config::{self, Conf, Config, Source};
use rdlive::error::Stop;
use rdlive::facts::{Content, Device, Inner, MediumFacts, RamFacts};
use rdlive::format::Kind;
use rdlive::plan::act::Writes;
use rdlive::plan::crypt::{self, Inside};
use rdlive::plan::persist::{self, Area, Planner};
use rdlive::plan::ram::{self, Choice};
use rdlive::plan::step::{self, Step};
use rdlive::plan::{Points, acquire, assemble, named, ordinary, prepare};
use rdlive::source::discover;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    /// Text of `/etc/rdlive.conf`.
    #[serde(default)]
    conf: String,
    #[serde(default)]
    devices: Vec<Device>,
    /// What the chosen medium turned out to be; without it the scenario ends with the candidates.
    medium: Option<MediumFacts>,
    content: Option<Content>,
    inner: Option<Inner>,
    /// Image and memory, for `rd.live.ram`.
    #[serde(default)]
    ram: RamFacts,
    /// Where an automatic persistent area is or could be.
    site: Option<Site>,
    /// What is at the place that `rd.overlay=<device>` names.
    named: Option<NamedSite>,
    /// A named device that holds nothing.
    blank: Option<PathBuf>,
    /// Changes are kept on the medium itself.
    #[serde(default)]
    keeps_here: bool,
    /// The device of an ordinary root; without it somebody else has mounted it.
    root: Option<String>,
    /// The device that `rd.overlay.crypt` names.
    crypt: Option<Device>,
    /// What is inside an encrypted area.
    inside: Option<Kind>,
}

fn describe(stage: &str, steps: &[Step]) -> String {
    step::describe(stage, steps).map(|line| line + "\n").collect()
}

fn candidates(config: &Config, devices: &[Device]) -> String {
    let list = match (&config.source, &config.iso_scan) {
        (_, Some(scan)) => discover::hosts(scan, devices),
        (Source::Device(selector), None) => discover::media(config, selector, devices),
        _ => Vec::new(),
    };
    let mut text = String::new();
    for candidate in list {
        let more = if candidate.incomplete { ", partitions not seen yet" } else { "" };
        text += &format!("candidate {}: {}{more}\n", candidate.name, candidate.why);
    }
    if let Some(scan) = &config.iso_scan {
        for (device, why) in devices.iter().filter_map(|device| Some((device, discover::refusal(scan, device)?))) {
            text += &format!("left out  {}: {why}\n", device.name);
        }
    }
    text
}

fn plan(config: &Config, facts: &Facts) -> String {
    let Some(medium) = &facts.medium else { return String::new() };
    let mut points = Points::new(config.dialect);
    let mut steps = Vec::new();
    if let Some(scan) = &config.iso_scan {
        let host = discover::hosts(scan, &facts.devices).remove(0);
        let device = facts.devices.iter().find(|device| device.name == host.name).unwrap();
        steps.extend(acquire::host(&points, device).unwrap());
    }
    let access = acquire::medium_access(config, medium);
    steps.extend(match facts.keeps_here {
        true => acquire::medium_for_changes(access, &points, medium),
        false => acquire::medium(access, &points, medium),
    });
    let mut content = facts.content.clone();
    let mut copied_to_ram = false;
    let refused = match ram_copy(config, facts, medium, &mut points, &mut content) {
        Ok(copied) if !copied.is_empty() => {
            steps.extend(copied);
            copied_to_ram = true;
            String::new()
        }
        other => {
            steps.extend(acquire::container(&points, medium, content.as_ref()));
            other.err().unwrap_or_default()
        }
    };
    let (content, inner) = (content.as_ref(), facts.inner.as_ref());
    let (area, mut why) = area(config, &points, Some(medium), facts);
    if copied_to_ram && area.is_none() && ram::may_keep(config) {
        why += &describe("release", &release(&mut points, medium));
    }
    let sysroot = Path::new("/sysroot");
    let assembled = assemble::assemble_on(config, &points, medium, content, inner, sysroot, area.as_ref());
    let shown = area.as_ref().is_some_and(|area| area.readonly);
    assert!(!shown || step::most(&assembled) < Writes::Place, "{assembled:?}");
    refused
        + &describe("prepare", &prepare::prepare(config, &points))
        + &describe("acquire", &steps)
        + &why
        + &describe("assemble", &assembled)
}

/// What the boot does for `rd.live.ram`, up to the medium's release; the error is the refusal.
fn ram_copy(
    config: &Config,
    facts: &Facts,
    medium: &MediumFacts,
    points: &mut Points,
    content: &mut Option<Content>,
) -> Result<Vec<Step>, String> {
    if !config.ram {
        return Ok(Vec::new());
    }
    let refusal = |stop: Stop| format!("refused   {}\n", stop.lines().join(" | "));
    let Choice::Copy(copy) = ram::choose(points, medium, content.as_ref()).map_err(refusal)? else {
        return Ok(Vec::new());
    };
    ram::budget(config, &facts.ram).map_err(refusal)?;
    let mut steps = ram::copy(config, &copy, &facts.ram);
    steps.extend(ram::container(points, &copy));
    if !ram::may_keep(config) {
        steps.extend(release(points, medium));
    }
    *content = content.take().map(|content| copy.content(content));
    Ok(steps)
}

fn release(points: &mut Points, medium: &MediumFacts) -> Vec<Step> {
    let (steps, presence) = ram::release(points, medium);
    points.medium = presence;
    steps
}

/// The area and what is said about it.
fn area(config: &Config, points: &Points, medium: Option<&MediumFacts>, facts: &Facts) -> (Option<Area>, String) {
    let overlay = &config.overlay;
    let mut before = String::new();
    let image = medium.map(Identity::of);
    let planner = image.as_ref().and_then(|image| Planner::of(overlay, points, image));
    let planned = match (planner, &facts.site, &facts.named, &facts.blank) {
        _ if overlay.crypt.is_some() => encrypted_device(config, points, facts, &mut before),
        (Some(planner), Some(site), ..) => match planner.opening(site) {
            None => planner.automatic(site),
            Some(Err(why)) => Err(why),
            Some(Ok(opening)) => {
                assert!(!overlay.readonly || step::most(&opening.steps) < Writes::Place, "{:?}", opening.steps);
                before = describe("open", &opening.steps);
                let inside = Inside { node: "/dev/mapper/lukscow".into(), size: 1 << 30, kind: facts.inside };
                planner.area_inside(opening, &inside)
            }
        },
        (None, _, Some(named), _) => {
            named::area(overlay, points, &NamedSite { image: medium.map(Identity::of), ..named.clone() })
        }
        (None, _, None, Some(node)) => {
            named::format(overlay, &Device { node: node.clone(), ..Device::default() }, points).and_then(|made| {
                before = describe("acquire", &made.steps);
                let path = medium.map_or(ordinary::path(None), |medium| {
                    persist::named_path(&config.live_dir, &Identity::of(medium))
                });
                let (at, found) = (points.named.clone(), Found::Absent);
                let site = NamedSite {
                    node: made.node,
                    kind: made.kind,
                    at,
                    path,
                    found,
                    stranger: false,
                    shared: None,
                    image: medium.map(Identity::of),
                };
                named::area(overlay, points, &site)
            })
        }
        _ => return (None, String::new()),
    };
    match planned {
        Ok(area) => {
            // What is only shown stays as it is.
            assert!(!area.readonly || step::most(&area.steps) < Writes::Place, "{:?}", area.steps);
            let notes: String = area.notes.iter().map(|note| format!("note      {note}\n")).collect();
            let encrypted = if area.encrypted { ", encrypted" } else { "" };
            let text = format!("{before}area      {} {}{encrypted}\n{notes}", area.persistence, area.place);
            (Some(area), text)
        }
        Err(why) => (None, format!("{before}no area   {}\n", Stop::from(why).with_advice())),
    }
}

/// The area on the device that `rd.overlay.crypt` names.
fn encrypted_device(config: &Config, points: &Points, facts: &Facts, before: &mut String) -> Result<Area, Obstacle> {
    let overlay = &config.overlay;
    let (Some(wish), Some(device)) = (&overlay.crypt, &facts.crypt) else { panic!("facts.json lacks crypt") };
    let opening = crypt::device(wish, overlay, device)?;
    *before = describe("open", &opening.steps);
    crypt::device_area(overlay, points, opening, facts.inside)
}

/// An overlay over the root of a machine that is no live system.
fn ordinary(config: &Config, facts: &Facts) -> String {
    let (points, sysroot) = (Points::ordinary(), Path::new("/sysroot"));
    let asleep =
        facts.devices.iter().any(|device| matches!(&device.superblock, Some(s) if s.kind == Kind::Hibernation));
    let root = facts.root.as_ref().map(|name| facts.devices.iter().find(|device| device.name == *name).unwrap());
    let acquire = match root {
        None => ordinary::taken(&points, sysroot),
        Some(device) => match ordinary::mounted(config, &points, device, asleep) {
            Ok(steps) => steps,
            Err(stop) => return format!("no root   {}\n", stop.cause),
        },
    };
    let (area, why) = area(config, &points, None, facts);
    let assemble = ordinary::assemble(config, &points, sysroot, area.as_ref());
    let shown = area.as_ref().is_some_and(|area| area.readonly);
    assert!(!shown || step::most(&assemble) < Writes::Place, "{assemble:?}");
    describe("acquire", &acquire) + &why + &describe("assemble", &assemble)
}

fn outcome(dir: &Path) -> String {
    let read =
        |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", dir.display()));
    let facts: Facts = serde_json::from_str(&read("facts.json")).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let (config, warnings) = config::interpret(&Cmdline::parse(read("cmdline").trim()), &Conf::parse(&facts.conf));
    let mut text = format!("{:?}, {}\n", config.dialect, config.dialect_reason).to_lowercase();
    for warning in &warnings.for_a_person() {
        text += &format!("warning   {} [{}]\n", warning.karg, warning.id);
    }
    if config.covers_root() {
        return text + &ordinary(&config, &facts);
    }
    if let Source::NotLive(_) | Source::Malformed { .. } = config.source {
        return text + "no live root\n";
    }
    text + &candidates(&config, &facts.devices) + &plan(&config, &facts)
}

#[test]
fn scenarios() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut dirs: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    assert!(dirs.len() >= 10, "only {} scenarios in {}", dirs.len(), root.display());
    let mut wrong = Vec::new();
    for dir in dirs {
        let (actual, file) = (outcome(&dir), dir.join("plan.expected"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &actual).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if actual != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- actual\n{actual}", dir.display()));
        }
    }
    assert!(wrong.is_empty(), "{} scenarios differ (UPDATE=1 rewrites):\n{}", wrong.len(), wrong.join("\n"));
}
