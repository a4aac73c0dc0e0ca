//! Where the agent's binary is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::elf::{Linkage, linkage};

/// Why a program is refused as agent.
const DYNAMIC: &str = "is dynamically linked, and the initramfs has no libraries; build it for a musl target";

/// The given binary, else one beside our own executable, in cargo's musl directory, or installed.
///
/// # Errors
/// When none exists; the text lists the places.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        ensure!(path.is_file(), "--agent {}: no such file", path.display());
        ensure!(linkage(path) != Linkage::Dynamic, "--agent {}: {DYNAMIC}", path.display());
        return Ok(path.to_owned());
    }
    let own = env::current_exe().context("finding our own executable")?;
    let places = places(own.parent().unwrap_or(Path::new("/")));
    // A plain cargo build leaves a program of the same name beside us that needs the C library: not that one.
    match places.iter().find(|path| path.is_file() && linkage(path) == Linkage::Static) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "no static agent in any of {}; build it (cargo build --release -p rdlive --target \
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
