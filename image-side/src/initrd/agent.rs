//! Where the agent's binary is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The given binary, else one beside our own executable, in cargo's musl directory, or installed.
///
/// # Errors
/// When none exists; the text lists the places.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        bail!("--agent {}: no such file", path.display());
    }
    let own = env::current_exe().context("finding our own executable")?;
    let places = places(own.parent().unwrap_or(Path::new("/")));
    match places.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "the agent's binary is in none of {}; build it (cargo build --release -p rdlive --target \
             x86_64-unknown-linux-musl) or name it with --agent",
            places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn places(beside: &Path) -> [PathBuf; 3] {
    [
        beside.join("rdlive"),
        beside.join("../x86_64-unknown-linux-musl/release/rdlive"),
        PathBuf::from("/usr/lib/rdlive/rdlive"),
    ]
}
