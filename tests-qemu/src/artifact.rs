//! Our own programs, built by cargo from this workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use crate::{progress, spent, tool};

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

/// Cargo's target directory. cargo is always told, so that whatever else may set it does not.
pub fn target() -> PathBuf {
    target_of(|name| std::env::var_os(name))
}

fn target_of(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
    let set = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(variable);
    let dir = set.filter(|dir| !dir.is_empty()).map_or_else(|| workspace().join("target"), PathBuf::from);
    std::path::absolute(&dir).unwrap_or(dir)
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

/// How the builder is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// Like cargo's tests, with which it shares all crates: 130 s of processor time less, and with the checks of debug builds.
    Tested,
    /// As it is given away.
    Shipped,
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
    /// What a test has that starts none of them.
    #[cfg(test)]
    pub fn none() -> Self {
        let none = || Program { path: PathBuf::new(), hash: 0 };
        Self { agent: none(), builder: none(), guest: none(), module_hash: 0 }
    }

    /// Builds all of them; cargo's own output goes to the terminal.
    pub fn build(cache: &Cache, builder: Builder) -> Result<Self> {
        let target = target();
        let making = |what: &str, make: &dyn Fn() -> Result<()>| {
            cache.made().enter(what, || progress::making(cache.times(), what, make))
        };
        let building = |what: &str, args: &[&str]| making(what, &|| build(args));
        let kept = |name: &str, what: &str, folder: &str, make: &dyn Fn() -> Result<PathBuf>| {
            // The options that cargo gets stand here.
            let options = cache::hash(include_str!("artifact.rs"));
            let key = format!("{name} 1 {options:x} {}", sources(workspace(), folder)?);
            cache.file(name, what, &key, |path| fs::copy(make()?, path).map(drop).context("copying the program"))
        };
        let static_agent = kept("agent", "the agent", "agent", &|| agent(workspace(), &target))?;
        let static_guest = kept("guest", "the guests' program", "tests-qemu/guest", &|| {
            build(&["--profile", "tool", "--target", MUSL, "-p", "lab-guest", "--bin", "lab-guest"])?;
            Ok(target.join(MUSL).join("tool/lab-guest"))
        })?;
        let (profile, dir) = match builder {
            Builder::Tested => ("dev", "debug"),
            Builder::Shipped => ("tool", "tool"),
        };
        building("the builder", &["--profile", profile, "-p", "rdlive-image", "--bin", "rdlive-image"])?;
        let module = module_dir();
        Ok(Self {
            agent: program(static_agent)?,
            guest: program(static_guest)?,
            builder: program(target.join(dir).join("rdlive-image"))?,
            module_hash: if module.is_dir() { cache::content_hash(&module)? } else { 0 },
        })
    }
}

/// What decides the bytes of a static program, with the folder of its crate: they are the same in every clone, and a new one need not
/// compile them again.
fn sources(workspace: &Path, folder: &str) -> Result<String> {
    let mut parts = ["Cargo.toml", "Cargo.lock", ".cargo", "agent/sys"].map(|name| workspace.join(name)).to_vec();
    for entry in fs::read_dir(workspace.join(folder)).with_context(|| format!("reading {folder}"))? {
        let entry = entry?;
        if !NOT_COMPILED.iter().any(|name| entry.file_name() == *name) {
            parts.push(entry.path());
        }
    }
    // For its bindings. Nothing is linked.
    parts.push("/usr/include/libdevmapper.h".into());
    parts.extend(cargo_home().into_iter().flat_map(|home| ["config.toml", "config"].map(|name| home.join(name))));
    parts.sort();
    let mut hashes = Vec::new();
    for part in parts.iter().filter(|part| part.exists()) {
        hashes.push(format!("{:x}", cache::content_hash(part)?));
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    hashes.push(tool::run(Command::new(rustc).arg("-vV"))?);
    let ends = ["RUSTFLAGS", "_LINKER"];
    let decides = |name: &str| ends.iter().any(|end| name.ends_with(end)) || name.starts_with("CARGO_PROFILE_");
    let mut settings: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(decides))
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    settings.sort();
    Ok([hashes, settings].concat().join(" "))
}

/// Parts of a crate that are not in its program.
const NOT_COMPILED: &[&str] = &["fuzz", "tests"];

/// Builds the agent of a workspace as it is given away: none of the builder's folders is in it. Where it is then.
pub fn agent(workspace: &Path, target: &Path) -> Result<PathBuf> {
    agent_of(workspace, target, None)
}

/// As [`agent`], with another place for the sources of dependencies.
pub fn agent_of(workspace: &Path, target: &Path, home: Option<&Path>) -> Result<PathBuf> {
    let cargo_home = home.map_or_else(cargo_home, |home| Ok(home.to_owned()))?;
    let cargo = || {
        let mut cargo = cargo();
        cargo.env("CARGO_HOME", &cargo_home).current_dir(workspace);
        cargo
    };
    run(cargo().args(["fetch", "--quiet", "--locked"]))?;
    let mut prefixes = vec![(target.to_owned(), "target"), (workspace.to_owned(), ".")];
    // Each registry has a folder with its own name.
    let registries = fs::read_dir(cargo_home.join("registry/src")).into_iter().flatten().flatten();
    prefixes.extend(registries.map(|registry| (registry.path(), "registry")));
    let flags: Vec<String> =
        prefixes.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    // Lists of several sources are joined: the flags of .cargo/config.toml stay.
    let flags = format!("target.{MUSL}.rustflags={}", serde_json::to_string(&flags)?);
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--release", "--locked", "--target", MUSL, "-p", "rdlive", "--bin", "rdlive"]);
    cargo.arg("--config").arg(flags).arg("--target-dir").arg(target);
    run(&mut cargo)?;
    Ok(target.join(MUSL).join("release/rdlive"))
}

/// Builds the program that fetches as the agent does, with the agent's options.
pub fn fetcher() -> Result<PathBuf> {
    build(&["--release", "--locked", "--target", MUSL, "-p", "rdlive-fetch", "--example", "fetch"])?;
    Ok(target().join(MUSL).join("release/examples/fetch"))
}

/// Where cargo keeps the sources of dependencies.
pub fn cargo_home() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}

/// Builds what is given to users, and says where it is.
pub fn release() -> Result<()> {
    let agent = agent(workspace(), &target())?;
    build(&["--profile", "tool", "-p", "rdlive-image", "--bin", "rdlive-image"])?;
    let shown = |path: &Path| path.strip_prefix(workspace()).unwrap_or(path).display().to_string();
    println!("agent    {}", shown(&agent));
    println!("builder  {}", shown(&target().join("tool/rdlive-image")));
    Ok(())
}

/// The dracut module in the workspace.
pub fn module_dir() -> PathBuf {
    workspace().join("dracut-module/50rdlive")
}

fn program(path: PathBuf) -> Result<Program> {
    let hash = cache::content_hash(&path)?;
    Ok(Program { path, hash })
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn build(args: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--quiet"]).args(args).arg("--target-dir").arg(target()).current_dir(workspace()))
}

fn run(cargo: &mut Command) -> Result<()> {
    let status = spent::output(cargo, true).context("starting cargo")?.status;
    if !status.success() {
        bail!("{cargo:?} failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_one_place_from_everywhere() {
        let here = std::env::current_dir().unwrap();
        for (name, set, expected) in [
            ("CARGO_TARGET_DIR", Some("/x/y"), "/x/y".into()),
            ("CARGO_BUILD_TARGET_DIR", Some("/x/y"), "/x/y".into()),
            ("CARGO_TARGET_DIR", Some("x"), here.join("x")),
            ("CARGO_TARGET_DIR", Some(""), workspace().join("target")),
            ("OTHER", Some("/x"), workspace().join("target")),
        ] {
            assert_eq!(target_of(|asked| set.filter(|_| asked == name).map(Into::into)), expected, "{name}");
        }
    }

    #[test]
    fn what_is_compiled_decides_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let all = [
            "Cargo.toml",
            "Cargo.lock",
            ".cargo/config.toml",
            "agent/src/a/b.rs",
            "agent/build.rs",
            "agent/sys/src/lib.rs",
        ];
        all.iter().for_each(|name| write(name, "one"));
        let of = || sources(dir.path(), "agent").unwrap();
        let first = of();
        for name in all {
            write(name, "two");
            assert_ne!(of(), first, "{name}");
            write(name, "one");
            assert_eq!(of(), first, "{name}");
        }
        for name in ["agent/fuzz/corpus/x", "agent/tests/x.rs", "docs/x.md"] {
            write(name, "one");
            assert_eq!(of(), first, "{name}");
        }
        write("agent/src/new.rs", "");
        assert_ne!(of(), first);
    }
}
