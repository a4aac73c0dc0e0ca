//! What the agent says about the kernel arguments of the medium. It is the very program that goes onto the medium, so that the build
//! says what each boot would say.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::bootloader::kargs::Karg;

/// The part of `rdlive explain --json` that is read here (docs/explain.md).
#[derive(Debug, Deserialize)]
struct Explained {
    warnings: Vec<Warning>,
}

#[derive(Debug, Deserialize)]
struct Warning {
    karg: String,
    message: String,
}

/// What the agent has to say about a command line, one text for each argument. Nothing when the agent cannot run here, as one for
/// another processor.
pub fn of(agent: &Path, kargs: &[Karg], dialect: Option<&str>) -> Vec<String> {
    let dialect = dialect.map(|name| Karg::own(format!("rd.live.dialect={name}")));
    let line: Vec<String> = kargs.iter().chain(&dialect).map(Karg::to_kernel).collect();
    let mut command = Command::new(agent);
    command.args(["explain", "--json", "--cmdline", &line.join(" ")]).stdin(Stdio::null()).stderr(Stdio::null());
    let explained = command.output().ok().and_then(|output| serde_json::from_slice::<Explained>(&output.stdout).ok());
    let warnings = explained.map(|explained| explained.warnings).unwrap_or_default();
    warnings.into_iter().map(|warning| format!("{}: {}", warning.karg, warning.message)).collect()
}
