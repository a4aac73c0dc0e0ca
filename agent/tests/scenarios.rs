//! Golden scenarios: what the agent was asked for and told, and the candidates and the course of the boot that follow. `UPDATE=1`
//! rewrites.
//!
//! A scenario is a directory with `cmdline`, `facts.json` and `plan.expected`; see `docs/testing.md`.

use std::fs;
use std::path::{Path, PathBuf};

use rdlive::boot::{Boot, Told};
use rdlive::cmdline::Cmdline;
use rdlive::config::{self, Conf, Config, Source};
use rdlive::facts::Device;
use rdlive::handover::{Facts, Report};
use rdlive::source::discover;

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

/// The boot in a world of facts.
fn course(config: &Config, facts: Facts) -> String {
    let mut world = Told::assumed(facts);
    let report = Report::new("dracut", config, &[]);
    let mut boot = Boot::new(&mut world, config, Path::new("/sysroot"), report);
    let result = boot.run();
    let mode = boot.report.write_mode;
    let mut text: String = world.lines().iter().map(|line| format!("{line}\n")).collect();
    let kept = mode.as_ref().filter(|mode| mode.place.is_some());
    if let (Some(mode), Some(place)) = (kept, kept.and_then(|mode| mode.place.as_ref())) {
        let encrypted = if mode.encrypted { ", encrypted" } else { "" };
        let shown = if mode.readonly { ", only shown" } else { "" };
        text += &format!("kept      {} {place}{encrypted}{shown}\n", mode.persistence);
    }
    if let Err(stop) = result {
        text += &format!("stops     {}\n", stop.lines().join(" | "));
    }
    text
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
    if let (false, Source::NotLive(_) | Source::Malformed { .. }) = (config.covers_root(), &config.source) {
        return text + "no live root\n";
    }
    text + &candidates(&config, &facts.devices) + &course(&config, facts)
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
