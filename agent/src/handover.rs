//! What a boot leaves behind for programs: the report in `/run/rdlive/report.json` (schema in `docs/handover.md`).

mod facts;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Dialect, Warning};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::facts::{Content, Inner, Kernels, MediumFacts, Updated};
use crate::layout;
use crate::patient::Apart;
use crate::terminal;

pub use facts::{Facts, Look, Which};

/// The mode of a native initramfs.
pub const NATIVE: &str = "native";
/// [`Report::mode`] of an initrd of dracut.
pub const DRACUT: &str = "dracut";
/// The method of a root that was not built.
pub const NO_METHOD: &str = "none";

/// What became of a step, for the report and the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// `prepare`, `acquire` or `assemble`.
    pub stage: String,
    /// The step as it prints itself.
    pub step: String,
    /// When it began: milliseconds since the kernel started.
    pub at_ms: f64,
    /// How long it took, milliseconds.
    pub took_ms: f64,
    /// Why it failed; absent for success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The number of that reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Version of the report's keys; they are only ever added to.
pub const SCHEMA: u32 = 1;
/// Starts the line that is written to `rd.live.report=`, so that a reader finds it between other output.
pub const LINE_PREFIX: &str = "RDLIVE-REPORT ";

/// How long a serial line may take for the report: at 9600 bit/s for 10 kB.
const SEND_LIMIT: Duration = Duration::from_secs(12);

/// How the boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The root is at the sysroot.
    Ok,
    /// `root=` is not live: nothing was done.
    Declined,
    /// The boot stopped; see `stop`.
    Failed,
}

impl Outcome {
    /// The word of the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Declined => "declined",
            Self::Failed => "failed",
        }
    }
}

/// A warning about the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningRecord {
    /// Stable id.
    pub id: String,
    /// The argument as written.
    pub karg: String,
    /// What is wrong and what happened.
    pub message: String,
}

impl From<&Warning> for WarningRecord {
    fn from(warning: &Warning) -> Self {
        Self { id: warning.id.to_owned(), karg: warning.karg.clone(), message: warning.message.clone() }
    }
}

/// A device that was considered, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Kernel name.
    pub device: String,
    /// Why it was chosen or not.
    pub verdict: String,
}

/// How the root became writable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteMode {
    /// `overlayfs`, `snapshot`, `thin` or `linear`.
    pub method: String,
    /// `temporary`, `partition`, `file`, `named`, or `image`: the image itself is written.
    pub persistence: String,
    /// Size limit of a temporary write area, as given to the kernel; of a device-mapper root, bytes of its store.
    pub size: String,
    /// Device or file that keeps the changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is kept is shown, but nothing new is kept.
    #[serde(default)]
    pub readonly: bool,
    /// The store of a snapshot or thin device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
    /// What is written to the place is encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// The cipher and the bits of its key, as the kernel has them, where it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// What happened to the persistent area: made, repaired, emptied, taken over.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where a snapshot keeps what differs from its origin. It can run full while the system works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Name of the device in `/dev/mapper` that tells how full it is.
    pub device: String,
    /// Bytes of the origin.
    pub origin: u64,
    /// Bytes of the store.
    pub size: u64,
}

/// The image's copy in RAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RamRecord {
    /// The copy.
    pub path: std::path::PathBuf,
    /// Its size, holes included.
    pub bytes: u64,
    /// RAM that it takes.
    pub data: u64,
    /// The medium was unmounted and may be taken away.
    pub released: bool,
    /// The SHA-256 that the medium states and the copy has; absent where the medium states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A moment of the boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// `agent`, `config`, `medium`, `copied`, `acquired`, `root`.
    pub event: String,
    /// Milliseconds since the kernel started.
    pub at_ms: f64,
}

/// Everything a boot says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the agent.
    pub version: String,
    /// `native` or `dracut`.
    pub mode: String,
    /// How the boot ended.
    pub outcome: Outcome,
    /// `kiwi` or `dmsquash`.
    pub dialect: String,
    /// Why this dialect.
    pub dialect_reason: String,
    /// The medium that was used.
    #[serde(default)]
    pub medium: Option<MediumFacts>,
    /// Device node of the medium.
    #[serde(default)]
    pub device: Option<String>,
    /// What the medium offered.
    #[serde(default)]
    pub content: Option<Content>,
    /// What the container offered.
    #[serde(default)]
    pub inner: Option<Inner>,
    /// How the root became writable.
    #[serde(default)]
    pub write_mode: Option<WriteMode>,
    /// The image's copy in RAM, if it was made.
    #[serde(default)]
    pub ram: Option<RamRecord>,
    /// What was copied from `updates/` of the medium, if it has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updated>,
    /// The kernel that runs and those that the root has modules for, if it is none of them.
    #[serde(default)]
    pub other_kernel: Option<Kernels>,
    /// Warnings about the command line.
    pub warnings: Vec<WarningRecord>,
    /// Fallbacks that were taken, and why.
    pub fallbacks: Vec<String>,
    /// Devices that were considered.
    pub considered: Vec<Considered>,
    /// Every step with its time.
    pub steps: Vec<StepRecord>,
    /// The boot's moments.
    pub timeline: Vec<Moment>,
    /// Why the boot stopped.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// What the boot decided on: [`Facts`], for `rdlive explain --facts`; only in the file. A value, so that the code that writes and reads
    /// reports does not exist once more for all that facts are made of (100 kB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<serde_json::Value>,
}

impl Report {
    /// An empty report for a configuration.
    pub fn new(mode: &str, config: &Config, warnings: &[Warning]) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: mode.to_owned(),
            outcome: Outcome::Failed,
            dialect: match config.dialect {
                Dialect::Kiwi => "kiwi".to_owned(),
                Dialect::Dmsquash => "dmsquash".to_owned(),
            },
            dialect_reason: config.dialect_reason.clone(),
            medium: None,
            device: None,
            content: None,
            inner: None,
            write_mode: None,
            ram: None,
            updates: None,
            other_kernel: None,
            warnings: warnings.iter().map(Into::into).collect(),
            fallbacks: Vec::new(),
            considered: Vec::new(),
            steps: Vec::new(),
            timeline: Vec::new(),
            stop: None,
            facts: None,
        }
    }

    /// Notes a moment.
    pub fn moment(&mut self, event: &str) {
        let at_ms = crate::clock::milliseconds(crate::clock::since_boot());
        self.timeline.push(Moment { event: event.to_owned(), at_ms });
    }

    /// The report for a person: outcome, medium, write mode, warnings, and every step with its time.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "rdlive {} ({}, {} dialect: {}): {}",
            self.version,
            self.mode,
            self.dialect,
            self.dialect_reason,
            self.outcome.name()
        )];
        if let Some(medium) = &self.medium {
            let label = medium.label.as_deref().unwrap_or("-");
            let device = self.device.as_deref().unwrap_or("-");
            lines.push(format!("medium    {device} {} label {label}", medium.kind.name()));
        }
        if let Some(mode) = &self.write_mode {
            let place = mode.place.as_ref().map_or(format!("size {}", mode.size), |place| format!("on {place}"));
            let readonly = if mode.readonly { ", new changes in RAM" } else { "" };
            if mode.method != NO_METHOD {
                lines.push(format!("writes    {} {}, {place}{readonly}", mode.method, mode.persistence));
            }
            if let Some(store) = &mode.store {
                let (size, origin) = (crate::facts::human(store.size), crate::facts::human(store.origin));
                lines.push(format!("store     {size} for changes to {origin}"));
            }
            lines.extend(mode.notes.iter().map(|note| format!("area      {note}")));
        }
        if let Some(ram) = &self.ram {
            let medium = if ram.released { "medium released" } else { "medium in use" };
            lines.push(format!("in RAM    {} {}, {medium}", ram.path.display(), crate::facts::human(ram.data)));
        }
        if let Some(updates) = &self.updates {
            lines.push(format!("updates   {updates}"));
            lines.extend(updates.left_out.iter().map(|what| format!("updates   left out: {what}")));
        }
        lines.extend(self.other_kernel.iter().map(|other| format!("kernel    {other}")));
        lines.extend(self.warnings.iter().map(|warning| format!("warning   {}: {}", warning.karg, warning.message)));
        lines.extend(self.fallbacks.iter().map(|fallback| format!("fallback  {fallback}")));
        lines.extend(self.considered.iter().map(|device| format!("device    {}: {}", device.device, device.verdict)));
        for step in &self.steps {
            let result = step.error.as_ref().map_or(String::new(), |error| format!(" FAILED: {error}"));
            lines
                .push(format!("{:>9.1} ms {:>7.1} ms  {} {}{result}", step.at_ms, step.took_ms, step.stage, step.step));
        }
        lines.extend(self.timeline.iter().map(|moment| format!("{:>9.1} ms  {}", moment.at_ms, moment.event)));
        lines.extend(self.stop.iter().flat_map(Stop::lines));
        lines
    }

    /// The report of an earlier run on this machine, if there is one.
    pub fn load(env: &Env) -> Option<Self> {
        crate::json::read(env.text(layout::REPORT)?.as_bytes()).ok()
    }

    /// Writes the report to `/run`, as a whole or not at all.
    ///
    /// # Errors
    /// The error of making, writing or renaming the file.
    pub fn save(&self, env: &Env) -> io::Result<()> {
        let path = env.path(layout::REPORT);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let temporary = path.with_extension("json.new");
        fs::write(&temporary, crate::json::lines(self)?)?;
        fs::rename(&temporary, &path)
    }

    /// Writes the report as one line to a character device named by `rd.live.report=`. Only a character device: the
    /// agent never makes or overwrites a file or disk because a name on the command line was wrong.
    ///
    /// # Errors
    /// The error of opening or writing, or "not a character device".
    pub fn send(&self, env: &Env, device: &Path) -> io::Result<()> {
        use std::os::unix::fs::FileTypeExt;
        let path = env.path(device);
        if !fs::metadata(&path)?.file_type().is_char_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a character device"));
        }
        let short = Self { facts: None, ..self.clone() };
        let line = format!("{LINE_PREFIX}{}\n", crate::json::line(&short)?);
        // The kernel's own waits for a line have no limit.
        let sent = Apart::begin(move || write_line(&path, line.as_bytes()))?;
        sent.within(SEND_LIMIT).unwrap_or_else(|_| {
            let cause = format!("it has not accepted the report within {} s", SEND_LIMIT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, cause))
        })
    }
}

fn write_line(path: &Path, line: &[u8]) -> io::Result<()> {
    let terminal = terminal::open(path, false)?;
    terminal::write_within(&terminal, line, SEND_LIMIT)?;
    // A line discipline still holds what was written; a reboot must not cut it off.
    match rustix::termios::tcdrain(&terminal) {
        Ok(()) | Err(rustix::io::Errno::NOTTY | rustix::io::Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
