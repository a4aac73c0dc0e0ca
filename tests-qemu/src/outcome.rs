//! What a boot came to: what the guest said through the result channel, and the console for a person.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::machine::Names;
use crate::net::Traffic;
use crate::tool;

/// How the machine's time ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It powered itself off (or rebooted, which ends the machine too).
    Off,
    /// Its kernel panicked.
    Crash,
    /// The agent reported a failure; the lab pulled the plug.
    Failure,
    /// Time ran out.
    Deadline,
}

/// One finished boot.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Host time from power-on.
    pub took: Duration,
    /// Processor time on the host.
    pub spent: Duration,
    /// In the boot before, what took how long.
    pub before: Option<Times>,
    /// What the system calls the media.
    pub names: Names,
    /// Everything the first serial port showed.
    pub console: String,
    /// What the real init sent; `None` when it never ran.
    pub guest: Option<Guest>,
    /// The agent's report: the one it sent itself, else the one the real init found in /run.
    pub report: Option<Value>,
    /// The media, in the order of the scenario.
    pub media: Vec<Pair>,
    /// What could be fetched by HTTP, by its path, and where it is on the host.
    pub served: Vec<(String, PathBuf)>,
    /// What has gone over its first cable.
    pub traffic: Option<Traffic>,
    /// What became of a dolly server.
    pub dolly: String,
    /// What the DHCP server logged.
    pub dhcp: String,
    /// The agent that booted, as a program of the host.
    pub agent: PathBuf,
    /// The kernel's command line, as far as the scenario gave it.
    pub cmdline: String,
}

/// Seconds by the guest's own clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the kernel's start to the agent's.
    pub to_agent: f64,
    /// From there to the real init.
    pub to_init: f64,
}

impl Outcome {
    /// When who began.
    pub fn times(&self) -> Option<Times> {
        let moments = self.report.as_ref()?["timeline"].as_array()?;
        let agent = moments.iter().find(|moment| moment["event"] == "agent")?["at_ms"].as_f64()? / 1e3;
        Some(Times { to_agent: agent, to_init: self.guest.as_ref()?.uptime? - agent })
    }
}

/// A medium's bytes before and after a boot; the same file when the boot's writes were dropped.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Before power-on.
    pub before: PathBuf,
    /// After power-off.
    pub after: PathBuf,
}

impl Pair {
    /// A medium as its recipe makes it, copied to `dir` when it may be written.
    pub fn fresh(made: PathBuf, dir: &Path, index: usize, writable: bool) -> Result<Self> {
        if !writable {
            return Ok(Self { before: made.clone(), after: made });
        }
        let after = dir.join(format!("medium{index}"));
        tool::copy_sparse(&made, &after)?;
        Ok(Self { before: made, after })
    }

    /// A medium that an earlier boot left; what it was then is kept beside it.
    pub fn left(after: &Path, dir: &Path, index: usize) -> Result<Self> {
        let before = dir.join(format!("medium{index}.before"));
        tool::copy_sparse(after, &before)?;
        Ok(Self { before, after: after.to_owned() })
    }
}

/// The booted system, as lab-guest saw it.
#[derive(Debug, Deserialize)]
pub struct Guest {
    /// Seconds since the kernel started.
    pub uptime: Option<f64>,
    /// argv of the real init.
    pub args: Vec<String>,
    /// /proc/mounts in order.
    pub mounts: Vec<Mount>,
    /// Known paths of both histories and what they resolve to.
    pub links: std::collections::BTreeMap<String, Option<String>>,
    /// The same paths as symbolic links: what is written in them.
    pub targets: std::collections::BTreeMap<String, Option<String>>,
    /// Permission bits of what the known paths lead to.
    pub modes: std::collections::BTreeMap<String, Option<u32>>,
    /// Files that were read; what is there and cannot be read is a word in parentheses.
    pub files: std::collections::BTreeMap<String, Option<String>>,
    /// Could a file be made in `/`?
    pub root_writable: bool,
    /// Seconds that a copy to RAM took, by the words in the kernel's log.
    pub copied_in: Option<f64>,
    /// What `lab.copy=` came to.
    pub plain_copy: Option<PlainCopy>,
    /// What `lab.net` came to.
    pub network: Option<Network>,
    /// The text of /run/rdlive/report.json.
    pub report: Option<String>,
    /// What it calls the media.
    #[serde(skip)]
    pub names: Names,
}

/// A copy of a file to a tmpfs, in blocks of 1 MiB.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct PlainCopy {
    /// Size of the file.
    pub bytes: u64,
    /// Time it took.
    pub seconds: f64,
}

/// What the real init found out about its network.
#[derive(Debug, Deserialize)]
pub struct Network {
    /// In the order of their names.
    pub cards: Vec<Lease>,
    /// The file that it was to fetch.
    pub fetched: Option<Fetched>,
    /// What did not work.
    pub errors: Vec<String>,
}

/// A card and what a DHCP server has given it.
#[derive(Debug, Deserialize)]
pub struct Lease {
    /// The kernel's name for it.
    pub name: String,
    /// Address in hardware.
    pub mac: String,
    /// Address and length of the network's part.
    pub address: Option<String>,
    /// The way out.
    pub router: Option<String>,
    /// How long that took.
    pub seconds: f64,
}

/// A file that was fetched.
#[derive(Debug, Deserialize)]
pub struct Fetched {
    /// From where.
    pub url: String,
    /// Its length.
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
    /// How long that took.
    pub seconds: f64,
}

/// One line of /proc/mounts.
#[derive(Debug, Deserialize)]
pub struct Mount {
    /// First column.
    pub source: String,
    /// Mount point.
    pub target: String,
    /// Type.
    pub fstype: String,
    /// Options, comma separated.
    pub options: String,
}

impl Guest {
    /// The topmost mount at exactly this path.
    pub fn mount(&self, target: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.target == target)
    }

    /// The mount that a path (or the link at it) leads to.
    pub fn mount_behind(&self, path: &str) -> Option<&Mount> {
        let real = self.links.get(path).and_then(Option::as_deref).unwrap_or(path);
        self.mount(real)
    }
}

/// Finds the last line with a prefix in the channel's text and parses what follows.
fn last(text: &str, prefix: &str) -> Option<Value> {
    let lines = text.lines().rev();
    lines.filter_map(|line| line.trim().strip_prefix(prefix)).find_map(|json| serde_json::from_str(json).ok())
}

/// The agent's own line, sent on success and on failure.
pub fn agent_report(text: &str) -> Option<Value> {
    last(text, "RDLIVE-REPORT ")
}

/// The real init's line.
pub fn guest_result(text: &str) -> Option<Guest> {
    last(text, "LAB-RESULT ").and_then(|value| serde_json::from_value(value).ok())
}

/// Did the agent stop?
pub fn is_failure(report: &Value) -> bool {
    report["outcome"] == "failed"
}

/// Joins both sources of the report.
pub fn report_of(text: &str, guest: Option<&Guest>) -> Option<Value> {
    let left = guest.and_then(|guest| guest.report.as_deref());
    agent_report(text).or_else(|| serde_json::from_str(left?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_lines_survive_noise_and_carriage_returns() {
        let text = "noise\r\nRDLIVE-REPORT {\"outcome\":\"ok\"}\r\nRDLIVE-REPORT {\"outcome\":\"failed\"}\r\nLAB-RESULT broken\r\n";
        let report = agent_report(text).unwrap();
        assert!(is_failure(&report), "{report}");
        assert!(guest_result(text).is_none());
    }
}
