//! `cargo lab bench net`: an ISO over HTTP into RAM, ours beside livenet and kiwi-live, from the same server in one run.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::table::{markdown, median};
use super::{boot, memory, transfer};
use crate::boot::Boot;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::machine::{Bus, Clock, Machine, Nic};
use crate::medium::{Fs, Recipe, folder, iso_with};
use crate::mode::Mode;
use crate::net::{Net, Serve, Traffic};

/// What is measured.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    mode: Mode,
    from: From,
    kargs: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The measure for memory: the same ISO in a drive.
    Cd,
    Http,
}

/// Both originals take the network from dracut, which waits for it only where it is told to.
const SUBJECTS: &[Subject] = &[
    Subject { name: "rdlive native, from a CD", mode: Mode::Native, from: From::Cd, kargs: "" },
    Subject { name: "rdlive native", mode: Mode::Native, from: From::Http, kargs: "" },
    Subject { name: "rdlive in dracut 106", mode: Mode::Dracut106, from: From::Http, kargs: "" },
    Subject {
        name: "livenet of dracut 106",
        mode: Mode::Livenet106,
        from: From::Http,
        kargs: "ip=dhcp rd.neednet=1 rd.shell=0 rd.emergency=reboot",
    },
    Subject {
        name: "kiwi-live of KIWI 11",
        mode: Mode::KiwiLive11,
        from: From::Http,
        kargs: "ip=dhcp rd.neednet=1 rd.shell=0 rd.emergency=reboot",
    },
];
/// The one that the goals are about.
const NATIVE: &str = "rdlive native";

/// The same for all: a whole Debian 13 tree, an ext4 nested in a squashfs, which is all that older ones know.
pub(super) fn medium() -> Recipe {
    let image = Recipe::Image { tree: Tree::Trixie, fs: Fs::Ext4, marker: "bench", label: "" };
    iso_with("ISO", folder(Fs::Squashfs("zstd"), "", vec![("LiveOS/rootfs.img", image)]))
}

/// The ISO at its URL, and an address for who asks.
pub(super) fn net() -> Net {
    Net::new().nic(Nic::Virtio).serve(Serve::Http(vec![("/live.iso", medium())])).serve(Serve::Dhcp(vec![]))
}

impl Subject {
    /// One boot with so much memory. `image`: bytes of the ISO.
    pub(super) fn boot(&self, clock: Clock, mib: u32, image: u64) -> Boot {
        // Of kiwi-live's RAM disk the size has to be said, in KiB; without it has 2 GiB. Ours sees in it the most that it may take.
        let kargs = format!(
            "quiet rd.live.overlay.overlayfs rd.minmem=0 ramdisk_size={} init=/usr/bin/lab-guest {}",
            image.div_ceil(1024),
            self.kargs
        );
        let boot = match self.from {
            From::Cd => Boot::from(medium()).on(Bus::IdeCd).mode(self.mode),
            From::Http => {
                Boot::nothing().net(net()).mode(self.mode).root("root=live:http://10.9.0.1/live.iso rd.live.image")
            }
        };
        boot.clock(clock).memory(mib).plain().kargs(&kargs).deadline(600)
    }
}

/// One measured initrd.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Bytes of the initrd.
    initrd: u64,
    /// Guest seconds from kernel start to the first line of the real init, one processor: see [`Clock::Waiting`].
    counted: Vec<f64>,
    /// The same with two processors as fast as the host goes.
    cpus2: Vec<f64>,
    /// Bytes on the wire, to the machine and back, of the last boot.
    there: u64,
    back: u64,
    /// The least memory in MiB that it boots with.
    memory: Option<u32>,
    /// The agent's own time line by each clock, from its report.
    agent: [Option<Value>; 2],
}

/// Measures all subjects, or those with `only` in their name; `memory` and `transfer` are parts of their own.
pub fn run(lab: &Lab, only: Option<&str>, instructions: bool, repeats: usize) -> Result<Value> {
    let image = std::fs::metadata(medium().file(lab)?)?.len();
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    let mut rows = Vec::new();
    if only.is_none_or(|text| text != "transfer") {
        let all = only.is_none_or(|text| text == "memory");
        let subjects: Vec<&Subject> = SUBJECTS.iter().filter(|subject| all || wanted(subject.name)).collect();
        rows = subjects.iter().map(|subject| row(lab, subject)).collect::<Result<Vec<Row>>>()?;
        let rounds = if only == Some("memory") { 0 } else { repeats };
        for round in 1..=rounds {
            for (row, subject) in rows.iter_mut().zip(&subjects) {
                measure(lab, row, subject, instructions, image)?;
            }
            lab.say(&format!("round {round} of {rounds} done"));
        }
        for (row, subject) in rows.iter_mut().zip(&subjects).filter(|_| all) {
            row.memory = Some(memory::least(lab, subject, image)?);
        }
        println!("\n{}", markdown(&cells(&rows)));
        println!("{}; medians of {repeats}; the ISO has {:.1} MB", setting(lab)?, image as f64 / 1e6);
        for row in &rows {
            for (clock, line) in ["by instructions", "two CPUs"].iter().zip(&row.agent) {
                line.iter().for_each(|line| println!("{}, {clock}: {line}", row.name));
            }
        }
    }
    let rates = match only.is_none_or(|text| text == "transfer") {
        true => Some(transfer::run(lab, repeats.max(transfer::RUNS))?),
        false => None,
    };
    Ok(serde_json::json!({"setting": setting(lab)?, "image": image, "rows": rows, "transfer": rates}))
}

fn setting(lab: &Lab) -> Result<String> {
    let clocks = "by instructions and waits: -icount shift=2,sleep=on -smp 1, otherwise -smp 2";
    Ok(format!("{}, virtio-net, nginx, ext4 in squashfs zstd; {clocks}", boot::host(lab, Tree::Trixie)?))
}

fn row(lab: &Lab, subject: &Subject) -> Result<Row> {
    let initrd = std::fs::metadata(subject.mode.pair(lab)?.initrd)?.len();
    let (counted, cpus2) = (Vec::new(), Vec::new());
    Ok(Row { name: subject.name, initrd, counted, cpus2, there: 0, back: 0, memory: None, agent: [None, None] })
}

/// One boot by each clock.
fn measure(lab: &Lab, row: &mut Row, subject: &Subject, instructions: bool, image: u64) -> Result<()> {
    let clocks = [Some(Clock::Waiting), (!instructions).then_some(Clock::Host { cpus: 2 })];
    for clock in clocks.into_iter().flatten() {
        let dir = lab.cache.scratch("bench")?;
        let outcome = subject.boot(clock, MEMORY, image).run(lab, Machine::Qemu, &dir, None)?;
        let Some(guest) = &outcome.guest else {
            let kept = crate::lab::keep(&format!("bench net {}", subject.name), &dir)?;
            bail!("{} did not boot ({:?}); logs in {}", subject.name, outcome.end, kept.display());
        };
        let uptime = guest.uptime.context("the guest had no /proc/uptime")?;
        crate::remove::tree(&dir)?;
        lab.say(&format!("{}: {uptime:.2} s, {clock:?}; {:.1} s of the host", row.name, outcome.took.as_secs_f64()));
        if let Some(Traffic { there, back }) = outcome.traffic {
            (row.there, row.back) = (there, back);
        }
        let agent = outcome.report.as_ref().and_then(|report| report.get("timeline")).cloned();
        match clock {
            Clock::Instructions | Clock::Waiting => {
                row.agent[0] = agent;
                row.counted.push(uptime);
            }
            Clock::Host { .. } | Clock::Lost => {
                row.agent[1] = agent;
                row.cpus2.push(uptime);
            }
        }
    }
    Ok(())
}

/// MiB that each has room in.
const MEMORY: u32 = 3072;

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let native = rows.iter().find(|row| row.name == NATIVE);
    let ratio = |value: &[f64], to: Option<&Vec<f64>>| {
        to.filter(|_| !value.is_empty()).map_or("–".to_owned(), |to| format!("{:.2}", median(value) / median(to)))
    };
    let seconds = |values: &[f64]| if values.is_empty() { "–".to_owned() } else { format!("{:.2}", median(values)) };
    let heading = [
        "boots",
        "initrd, MB",
        "s by instructions and waits",
        "÷ native",
        "s, 2 CPUs",
        "÷ native",
        "to the machine, MB",
        "back, MB",
        "least memory, MiB",
    ];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for row in rows {
        table.push(vec![
            row.name.to_owned(),
            format!("{:.1}", row.initrd as f64 / 1e6),
            seconds(&row.counted),
            ratio(&row.counted, native.map(|native| &native.counted)),
            seconds(&row.cpus2),
            ratio(&row.cpus2, native.map(|native| &native.cpus2)),
            format!("{:.1}", row.there as f64 / 1e6),
            format!("{:.1}", row.back as f64 / 1e6),
            row.memory.map_or("–".to_owned(), |mib| mib.to_string()),
        ]);
    }
    table
}
