//! `cargo lab bench write`: what persistence, snapshots and the copy to RAM cost, ours beside the originals in one run.
//!
//! Persistence is kiwi-live's, from the same disk; snapshots and the copy to RAM are dmsquash-live's, from the same CD.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::boot::{medium, setting};
use super::table::{markdown, median};
use crate::boot::Boot;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Machine};
use crate::medium::{Over, Recipe};
use crate::mode::Mode;
use crate::outcome::{Guest, Outcome, PlainCopy};

/// MiB of room behind the ISO, where the area goes.
const ROOM: u64 = 512;

/// One measured case.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    ours: Vec<f64>,
    original: Vec<f64>,
    unit: &'static str,
}

/// Measures everything (or `disk`, or `CD`) under one clock, `repeats` times; the rows as JSON.
pub fn run(lab: &Lab, only: Option<&str>, clock: Clock, repeats: usize) -> Result<Value> {
    let mut rows = Rows::default();
    for round in 1..=repeats {
        for (ours, disks, discs) in
            [(true, Mode::NativeWrite12, Mode::NativeWrite12), (false, Mode::KiwiLive, Mode::DmsquashLive)]
        {
            if only.is_none_or(|text| text == "disk") {
                disk(lab, &mut rows, ours, disks, clock)?;
            }
            if only.is_none_or(|text| text == "CD") {
                disc(lab, &mut rows, ours, discs, clock)?;
            }
        }
        lab.say(&format!("round {round} of {repeats} done"));
    }
    let pick = if clock == Clock::Instructions { least } else { median };
    println!("\n{}", markdown(&rows.cells(pick)));
    let how = if clock == Clock::Instructions { "least, by instructions" } else { "median, two processors" };
    println!("{}; {how}, of {repeats}", setting(lab)?);
    Ok(serde_json::to_value(&rows.rows)?)
}

/// The least disturbed one, for times and for what is computed from them alike: rates do not vary under this clock.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// The plain copy in a system that ours has booted: the measure for both.
    plain: Option<PlainCopy>,
}

impl Rows {
    fn add(&mut self, name: &'static str, unit: &'static str, ours: bool, value: f64) {
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, ours: Vec::new(), original: Vec::new(), unit });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        if ours { row.ours.push(value) } else { row.original.push(value) }
    }

    fn cells(&self, pick: fn(&[f64]) -> f64) -> Vec<Vec<String>> {
        let heading = ["", "rdlive", "original", "original ÷ rdlive", "unit"].map(str::to_owned).to_vec();
        let rows = self.rows.iter().map(|row| {
            let (ours, original) = (pick(&row.ours), pick(&row.original));
            let ratio = format!("{:.2}", original / ours);
            vec![row.name.to_owned(), format!("{ours:.2}"), format!("{original:.2}"), ratio, row.unit.to_owned()]
        });
        std::iter::once(heading).chain(rows).collect()
    }
}

/// A hybrid ISO on a disk: without persistence, the boot that makes the partition, the one that finds it.
fn disk(lab: &Lab, rows: &mut Rows, ours: bool, mode: Mode, clock: Clock) -> Result<()> {
    let args = ["--volume-id=CDROM", "--nested=ext4"].map(str::to_owned).to_vec();
    let stick = Recipe::Grown(Box::new(Recipe::Built { tree: Tree::Bookworm, over: Over::default(), args }), ROOM);
    let boot = |kargs: &str| {
        plain(Boot::from(stick.clone()).on(Bus::Virtio).mode(mode).clock(clock))
            .root("root=live:CDLABEL=CDROM rd.live.image")
            .kargs(kargs)
            .writable()
    };
    let persistent = boot("rd.live.overlay.persistent rd.live.overlay.cowfs=ext4");
    let scratch = Scratch::new(lab)?;
    let mut after = None;
    for (name, boot) in [
        ("disk, changes in RAM", &boot("")),
        ("disk, first boot with persistence", &persistent),
        ("disk, second boot with persistence", &persistent.again()),
    ] {
        let second = name.contains("second");
        let outcome = scratch.once(lab, boot, if second { after.as_ref() } else { None })?;
        let guest = guest(&outcome)?;
        let kept = guest.mounts.iter().any(|mount| mount.target == "/run/overlay/overlayfs" && mount.fstype == "ext4");
        let asked = !name.contains("RAM");
        if kept != asked {
            bail!("{mode:?}, {name}: the area is mounted: {kept}; {:?}", outcome.report);
        }
        rows.add(name, "s", ours, guest.uptime.context("no uptime")?);
        after = Some(outcome);
    }
    Ok(())
}

/// A CD with a nested image: the device-mapper snapshot, the copy to RAM, and a plain copy of the same file.
fn disc(lab: &Lab, rows: &mut Rows, ours: bool, mode: Mode, clock: Clock) -> Result<()> {
    let boot =
        |kargs: &str| plain(Boot::from(medium()).on(Bus::IdeCd).mode(mode).clock(clock)).memory(3072).kargs(kargs);
    let image = "/run/initramfs/live/LiveOS/squashfs.img";
    let snapshot = boot(&format!("lab.copy={image}")).root("root=live:CDLABEL=ISO rd.live.image");
    let scratch = Scratch::new(lab)?;
    let outcome = scratch.once(lab, &snapshot, None)?;
    let found = guest(&outcome)?;
    rows.add("CD, default write mode (snapshot)", "s", ours, found.uptime.context("no uptime")?);
    if ours {
        rows.plain = found.plain_copy;
    }
    let plain = rows.plain.context("no plain copy was made")?;
    let speed = |seconds: f64| plain.bytes as f64 / 1e6 / seconds;
    let copied = scratch.once(lab, &boot("rd.live.ram rd.live.overlay.overlayfs"), None)?;
    let found = guest(&copied)?;
    rows.add("CD, copied to RAM", "s", ours, found.uptime.context("no uptime")?);
    let seconds = found.copied_in.context("the kernel's log has no copy")?;
    rows.add("speed of that copy", "MB/s", ours, speed(seconds));
    rows.add("that speed ÷ speed of a plain copy", "", ours, plain.seconds / seconds);
    Ok(())
}

fn plain(boot: Boot) -> Boot {
    boot.plain().kargs("quiet init=/usr/bin/lab-guest").deadline(900)
}

/// Logs and media of some boots, until they are over.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(lab: &Lab) -> Result<Self> {
        lab.cache.scratch("bench").map(Self)
    }

    fn once(&self, lab: &Lab, boot: &Boot, before: Option<&Outcome>) -> Result<Outcome> {
        let number = std::fs::read_dir(&self.0)?.count();
        boot.run(lab, Machine::Qemu, &self.0.join(number.to_string()), before)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = crate::remove::tree(&self.0);
    }
}

fn guest(outcome: &Outcome) -> Result<&Guest> {
    outcome
        .guest
        .as_ref()
        .with_context(|| format!("no boot: {:?}\n{}", outcome.end, crate::tool::tail(&outcome.console, 15)))
}
