//! How fast our transfer is beside curl: the same file, server and place, in turn.

use anyhow::{Context, Result};
use serde::Serialize;

use super::net::{medium, net};
use super::table::{markdown, median};
use crate::artifact;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::net::{SERVER, Wire};

/// So often each is run at least: each takes less than a second.
pub const RUNS: usize = 15;

/// Seconds of each run.
#[derive(Debug, Default, Serialize)]
pub struct Rates {
    bytes: u64,
    /// As the agent fetches: up to four connections.
    ours: Vec<f64>,
    /// With one, as curl has it.
    one: Vec<f64>,
    curl: Vec<f64>,
}

/// Fetches the ISO into a tmpfs beside its server, over the loopback interface of the servers' namespace: no cable is in the way, so that
/// it is the programs that are measured.
pub fn run(lab: &Lab, runs: usize) -> Result<Rates> {
    let dir = lab.cache.scratch("bench")?;
    let program = dir.join("net/fetch");
    let wire = Wire::lay(&net(), lab, Machine::Uml, &dir)?;
    std::fs::copy(artifact::fetcher()?, &program).context("copying our program")?;
    let (program, url) = (program.display().to_string(), format!("http://{SERVER}/live.iso"));
    let bytes = std::fs::metadata(medium().file(lab)?)?.len();
    let mut rates = Rates { bytes, ..Rates::default() };
    // Both programs say how long the transfer itself took: what it costs to start them in the servers' root is nobody's.
    let timed = |words: &[&str]| -> Result<f64> {
        let said = wire.ask(words, "")?;
        wire.ask(&["rm", TO], "")?;
        let seconds = said.split_whitespace().next().and_then(|word| word.parse().ok());
        seconds.with_context(|| format!("{words:?} does not say how long it took: {said}"))
    };
    let sum = |words: &[&str]| -> Result<String> {
        wire.ask(words, "")?;
        wire.ask(&["sha256sum", TO], "")
    };
    // What is measured is the same work.
    let (ours, curl) = (sum(&[&program, &url, TO])?, sum(&["curl", "-sSf", "-o", TO, &url])?);
    anyhow::ensure!(ours == curl, "ours and curl have fetched different bytes");
    for _ in 0..runs {
        rates.ours.push(timed(&[&program, &url, TO])?);
        rates.curl.push(timed(&["curl", "-sSf", "-w", "%{time_total}", "-o", TO, &url])?);
        rates.one.push(timed(&[&program, &url, TO, "1"])?);
    }
    drop(wire);
    crate::remove::tree(&dir)?;
    println!("\n{}", markdown(&rates.cells()));
    println!("{:.1} MB, medians of {runs}, in turn", bytes as f64 / 1e6);
    Ok(rates)
}

/// A tmpfs.
const TO: &str = "/tmp/fetched";

impl Rates {
    fn cells(&self) -> Vec<Vec<String>> {
        let rate = |seconds: &[f64]| self.bytes as f64 / 1e6 / median(seconds);
        let heading = ["fetches", "MB/s", "÷ curl"].map(str::to_owned).to_vec();
        let rows = [("rdlive", &self.ours), ("rdlive, one connection", &self.one), ("curl", &self.curl)];
        let rows = rows.map(|(name, seconds)| {
            let ratio = median(&self.curl) / median(seconds);
            vec![name.to_owned(), format!("{:.0}", rate(seconds)), format!("{ratio:.2}")]
        });
        std::iter::once(heading).chain(rows).collect()
    }
}
