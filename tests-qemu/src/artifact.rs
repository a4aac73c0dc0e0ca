//! Our own programs, built by cargo from this workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::cache;

/// What agent and guest program are built for: static, for an initrd has no C library.
pub const MUSL: &str = "x86_64-unknown-linux-musl";

/// Root of the workspace this lab was built from.
pub fn workspace() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        own.parent().unwrap_or(own).to_owned()
    })
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => workspace().join("target"),
    }
}

/// The programs a run needs, built, with the hash that keys what is made with them.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The agent, static.
    pub agent: Program,
    /// `rdlive-image`.
    pub builder: Program,
    /// `lab-guest`, static.
    pub guest: Program,
    /// Hash of `dracut-module/50rdlive`.
    pub module_hash: u64,
}

/// One built program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Hash of its bytes.
    pub hash: u64,
}

impl Artifacts {
    /// Builds all of them; cargo's own output goes to the terminal.
    pub fn build() -> Result<Self> {
        let target = target();
        let static_bin = |profile: &str, name: &str| target.join(MUSL).join(profile).join(name);
        cargo(&["--release", "--target", MUSL, "-p", "rdlive", "--bin", "rdlive"])?;
        cargo(&["--profile", "tool", "--target", MUSL, "-p", "lab-guest", "--bin", "lab-guest"])?;
        cargo(&["--profile", "tool", "-p", "rdlive-image", "--bin", "rdlive-image"])?;
        let module = module_dir();
        Ok(Self {
            agent: program(static_bin("release", "rdlive"))?,
            guest: program(static_bin("tool", "lab-guest"))?,
            builder: program(target.join("tool/rdlive-image"))?,
            module_hash: if module.is_dir() { cache::content_hash(&module)? } else { 0 },
        })
    }
}

/// The dracut module in the workspace.
pub fn module_dir() -> PathBuf {
    workspace().join("dracut-module/50rdlive")
}

fn program(path: PathBuf) -> Result<Program> {
    let hash = cache::content_hash(&path)?;
    Ok(Program { path, hash })
}

fn cargo(args: &[&str]) -> Result<()> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .arg("build")
        .arg("--quiet")
        .args(args)
        .current_dir(workspace())
        .stdin(Stdio::null())
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("cargo build {} failed", args.join(" "));
    }
    Ok(())
}
