//! `cargo lab bench boot`: kernel start → real init running, from a CD, with a generic driver set.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::table::{markdown, median};
use crate::boot::Boot;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Machine, has_kvm};
use crate::medium::{Fs, Recipe, folder, iso_with};
use crate::mode::Mode;

const SUBJECTS: &[(&str, Mode)] = &[
    ("floor (fixed device, mounts only)", Mode::Floor),
    ("rdlive native, generic drivers", Mode::Native12),
    ("rdlive in dracut 059", Mode::Dracut059),
    ("dmsquash-live of dracut 059", Mode::DmsquashLive),
    ("kiwi-live", Mode::KiwiLive),
];

/// One measured initrd.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Size of the initrd in bytes.
    initrd: u64,
    /// Guest seconds from kernel start to the first line of the real init, counted in instructions: the smallest, and
    /// each run.
    icount: f64,
    icount_runs: Vec<f64>,
    /// The same with two processors as fast as the host goes: median, and each run.
    cpus2: f64,
    cpus2_runs: Vec<f64>,
    /// The agent's own time line in milliseconds, from its report; absent for the others.
    agent: Option<Value>,
}

/// Measures all subjects (or those with `filter` in their name); the rows with their setting as JSON.
pub fn run(lab: &Lab, filter: Option<&str>, instructions: bool, repeats: usize) -> Result<Value> {
    let mut rows = Vec::new();
    for (name, mode) in SUBJECTS {
        if filter.is_none_or(|text| name.contains(text)) {
            rows.push(measure(lab, name, *mode, instructions, repeats)?);
        }
    }
    println!("\n{}", markdown(&cells(&rows)));
    println!("{}; by instructions: least of {repeats}, otherwise median", setting(lab)?);
    for row in rows.iter().filter(|row| row.agent.is_some()) {
        println!("{}: {}", row.name, row.agent.as_ref().map(Value::to_string).unwrap_or_default());
    }
    Ok(serde_json::json!({"setting": setting(lab)?, "rows": rows}))
}

/// The same CD for all: a whole Debian 12 tree, an ext4 nested in a squashfs (all that its kiwi-live knows).
pub(super) fn medium() -> Recipe {
    let image = Recipe::Image { tree: Tree::Bookworm, fs: Fs::Ext4, marker: "bench", label: "" };
    iso_with("ISO", folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image)]))
}

fn measure(lab: &Lab, name: &'static str, mode: Mode, instructions: bool, repeats: usize) -> Result<Row> {
    let initrd = std::fs::metadata(mode.pair(lab)?.initrd)?.len();
    let mut icount_runs = Vec::new();
    let mut agent = None;
    for _ in 0..repeats {
        let (seconds, timeline) = once(lab, mode, Clock::Instructions, medium())?;
        lab.say(&format!("{name}: {seconds:.2} s by instructions"));
        if icount_runs.iter().all(|&earlier| seconds < earlier) {
            agent = timeline;
        }
        icount_runs.push(seconds);
    }
    let mut cpus2_runs = Vec::new();
    for _ in 0..if instructions { 0 } else { repeats } {
        let (seconds, _) = once(lab, mode, Clock::Host { cpus: 2 }, medium())?;
        lab.say(&format!("{name}: {seconds:.2} s with two processors"));
        cpus2_runs.push(seconds);
    }
    // While the guest waits for the disk its clock leaps to the next timer, the farther the busier the host: the
    // smallest time is the least disturbed one.
    let icount = icount_runs.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Row { name, initrd, icount, icount_runs, cpus2: median(&cpus2_runs), cpus2_runs, agent })
}

/// One boot; the real init's own clock is the result, taken before it does anything else.
pub fn once(lab: &Lab, mode: Mode, clock: Clock, medium: Recipe) -> Result<(f64, Option<Value>)> {
    let dir = lab.cache.scratch("bench")?;
    let boot = Boot::from(medium)
        .on(Bus::IdeCd)
        .mode(mode)
        .clock(clock)
        .plain()
        .kargs("quiet rd.live.overlay.overlayfs init=/usr/bin/lab-guest")
        .deadline(600);
    let outcome = boot.run(lab, Machine::Qemu, &dir, None)?;
    let Some(guest) = &outcome.guest else {
        bail!("{mode:?} did not boot; logs in {}", crate::lab::keep(&format!("bench {mode:?}"), &dir)?.display());
    };
    let uptime = guest.uptime.context("the guest had no /proc/uptime")?;
    crate::remove::tree(&dir)?;
    Ok((uptime, outcome.report.map(|report| timeline(&report))))
}

/// What of the report belongs beside a time.
fn timeline(report: &Value) -> Value {
    for key in ["timeline", "times", "stages", "steps"] {
        if let Some(found) = report.get(key) {
            return found.clone();
        }
    }
    Value::Null
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let floor = rows.iter().find(|row| row.name.starts_with("floor"));
    let native = rows.iter().find(|row| row.name.contains("native"));
    let ratio = |value: f64, to: Option<f64>| to.map_or("–".to_owned(), |to| format!("{:.2}", value / to));
    let mut table = vec![
        [
            "initrd",
            "MB",
            "s by instructions",
            "÷ floor",
            "native is × faster",
            "s, 2 CPUs",
            "÷ floor",
            "native is × faster",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in rows {
        table.push(vec![
            row.name.to_owned(),
            format!("{:.1}", row.initrd as f64 / 1e6),
            format!("{:.2}", row.icount),
            ratio(row.icount, floor.map(|f| f.icount)),
            ratio(row.icount, native.map(|n| n.icount)),
            format!("{:.2}", row.cpus2),
            ratio(row.cpus2, floor.map(|f| f.cpus2)),
            ratio(row.cpus2, native.map(|n| n.cpus2)),
        ]);
    }
    table
}

/// What the numbers depend on.
pub(super) fn setting(lab: &Lab) -> Result<String> {
    let host = host(lab, Tree::Bookworm)?;
    let clocks = "by instructions: -icount shift=2,sleep=off -smp 1, otherwise -smp 2";
    Ok(format!("{host}, IDE CD, ext4 in squashfs zstd; {clocks}"))
}

/// Day, machine, and the kernel of a tree.
pub(super) fn host(lab: &Lab, tree: Tree) -> Result<String> {
    let qemu = crate::tool::run(std::process::Command::new("qemu-system-x86_64").arg("--version"))?;
    let (kernel, _) = tree.kernel(lab)?;
    let date = crate::tool::run(std::process::Command::new("date").arg("+%F"))?;
    let accel = if has_kvm() { "KVM" } else { "TCG" };
    Ok(format!("{}, {} ({accel}), kernel {kernel}", date.trim(), qemu.lines().next().unwrap_or_default()))
}
