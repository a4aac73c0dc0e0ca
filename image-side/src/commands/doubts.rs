//! What the agent says about the kernel arguments of the medium. It is the very program that goes onto the medium, so that the build
//! says what each boot would say.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::bootloader::kargs::Karg;

/// The part of `rdlive explain --json` that is read here (docs/explain.md).
#[derive(Debug, Deserialize)]
struct Explained {
    warnings: Vec<Doubt>,
}

/// What the agent has to say about one argument.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Doubt {
    /// The argument as it was written.
    pub karg: String,
    /// Why, for a person.
    pub message: String,
    /// How bad that is.
    #[serde(default)]
    pub level: Level,
}

/// How bad it is (docs/explain.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The boot cannot do what was asked, and stops.
    Error,
    /// The boot goes on.
    #[default]
    #[serde(other)]
    Warning,
}

/// What the agent has to say about a command line, one text for each argument. Nothing when the agent cannot run here, as one for
/// another processor.
pub fn of(agent: &Path, kargs: &[Karg], dialect: Option<&str>) -> Vec<String> {
    let dialect = dialect.map(|name| Karg::own(format!("rd.live.dialect={name}")));
    let line: Vec<String> = kargs.iter().chain(&dialect).map(Karg::to_kernel).collect();
    let doubts = asked(agent, &line.join(" ")).unwrap_or_default();
    doubts.into_iter().map(|doubt| format!("{}: {}", doubt.karg, doubt.message)).collect()
}

/// As [`of`], by level; `None` when the agent cannot run here.
pub fn asked(agent: &Path, line: &str) -> Option<Vec<Doubt>> {
    let mut command = Command::new(agent);
    command.args(["explain", "--json", "--cmdline", line]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    serde_json::from_slice::<Explained>(&output.stdout).ok().map(|explained| explained.warnings)
}
