//! Numbers of docs/specification.md that can be checked on any machine: sizes. Times belong to `cargo lab bench`, which
//! measures ours and the originals in one run; a timed test would only tell how busy the machine is.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Scenario, Work};
use crate::artifact;
use crate::guest::Tree;
use crate::lab::Lab;
use crate::mode::Mode;
use crate::tool;

/// Bytes of the native initramfs with the generic driver set, cards of networks among it (docs/decisions/0033-network-in-the-agent.md).
const INITRAMFS: u64 = 14_000_000;
/// The same without the network (docs/decisions/0036-modules-by-columns.md).
const WITHOUT_NETWORK: u64 = 10_500_000;
/// Bytes of the agent, with network and TLS (docs/decisions/0033-network-in-the-agent.md).
const AGENT: u64 = 3_200_000;

/// All of them.
pub fn all() -> Vec<Scenario> {
    let promise =
        |name: &str, measure| Scenario { name: format!("promise/{name}"), work: Work::Measure(measure), tag: None };
    vec![
        promise("native generic initramfs is at most 14 MB", initramfs),
        promise("native generic initramfs without the network is at most 10.5 MB", without_network),
        promise("agent is at most 3.2 MB", agent),
        promise("no folder of the builder is in the agent", folders),
        promise("two builds of the agent in different folders are equal", equal).with_all(),
        promise("what README says to type makes an ISO", readme).with_all(),
    ]
}

fn initramfs(lab: &Lab) -> Result<()> {
    at_most(std::fs::metadata(Mode::Native.pair(lab)?.initrd)?.len(), INITRAMFS)
}

fn without_network(lab: &Lab) -> Result<()> {
    let dir = lab.cache.scratch("no-network")?;
    let (tree, initrd) = (Mode::Native.tree().ensure(lab)?, dir.join("initrd"));
    let mut builder = Command::new(&lab.built.builder.path);
    builder.args(["initrd", "--profile", "generic", "--no-network", "--root"]).arg(tree);
    tool::run(builder.arg("--output").arg(&initrd).arg("--agent").arg(&lab.built.agent.path))?;
    let bytes = std::fs::metadata(&initrd)?.len();
    crate::remove::tree(&dir)?;
    at_most(bytes, WITHOUT_NETWORK)
}

fn agent(lab: &Lab) -> Result<()> {
    at_most(std::fs::metadata(&lab.built.agent.path)?.len(), AGENT)
}

/// Panic texts name source files.
fn folders(lab: &Lab) -> Result<()> {
    let program = std::fs::read(&lab.built.agent.path)?;
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.parent().is_some());
    let folders =
        [Some(artifact::workspace().to_owned()), Some(artifact::cargo_home()?), Some(artifact::target()), home];
    for folder in folders.into_iter().flatten() {
        let text = [folder.as_os_str().as_encoded_bytes(), b"/"].concat();
        if program.windows(text.len()).any(|part| part == text) {
            bail!("{} is in it", folder.display());
        }
    }
    // It may have been built in another clone.
    for (place, before) in [(&b"/agent/src/"[..], b'.'), (b"/agent/media/src/", b'.'), (b"/registry/src/", b'.')] {
        let at = program.windows(place.len() + 1).position(|part| part[0] != before && part[1..] == *place);
        if let Some(at) = at {
            bail!(
                "a folder of the builder is in it: {}",
                String::from_utf8_lossy(&program[at.saturating_sub(40)..at + place.len()])
            );
        }
    }
    // The names of the files themselves are: a person who reports a fault is asked for them.
    let place = b"agent/src/";
    if !program.windows(place.len()).any(|part| part == place) {
        bail!("it names no source file, so this looks at nothing");
    }
    Ok(())
}

/// The same commit somewhere else, with dependencies somewhere else.
fn equal(lab: &Lab) -> Result<()> {
    let dir = artifact::target().join("lab/elsewhere");
    if dir.exists() {
        crate::remove::tree(&dir)?;
    }
    let (workspace, home) = (dir.join("a workspace"), dir.join("cargo home"));
    std::fs::create_dir_all(&home)?;
    let script = r#"git clone -q "$1" "$2"; cp "$1/Cargo.lock" "$2"; for part in registry config.toml config; do
        [ ! -e "$3/$part" ] || cp -a "$3/$part" "$4"; done"#;
    let own_home = artifact::cargo_home()?;
    tool::shell(script, &[artifact::workspace(), &workspace, &own_home, &home])?;
    let there = artifact::agent_of(&workspace, &dir.join("target"), Some(&home))?;
    let committed = tool::shell(
        r#"cd "$1"; git status --porcelain -- agent Cargo.toml Cargo.lock .cargo"#,
        &[artifact::workspace()],
    )?;
    if !committed.trim().is_empty() {
        // What is not committed is not in the clone.
        bail!("commit first: {committed}");
    }
    if std::fs::read(&lab.built.agent.path)? != std::fs::read(&there)? {
        bail!("{} and {} differ", lab.built.agent.path.display(), there.display());
    }
    crate::remove::tree(&dir)
}

/// "Use it", line by line in a clone, as a new user types it. In the place of debootstrap, which takes minutes, is one that looks at its
/// arguments and copies what the real one has made.
fn readme(lab: &Lab) -> Result<()> {
    let page = include_str!("../../../README.md");
    let used = page.split("## Use it").nth(1).unwrap_or_default();
    let blocks: Vec<&str> = used.split("```").skip(1).step_by(2).take(2).collect();
    let dir = lab.cache.scratch("readme")?;
    let script = r#"
        git clone -q "$1" "$2/clone"; cp "$1/Cargo.lock" "$2/clone"; mkdir "$2/bin"
        printf '%s
' '#!/bin/sh'             'test "$*" = "--variant=minbase --include=linux-image-amd64,systemd-sysv trixie TREE" || exit 9'             "cp -a "$3" TREE" > "$2/bin/debootstrap"
        chmod +x "$2/bin/debootstrap"
        unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
        cd "$2/clone"; printf '%s' "$4" > ../typed
        PATH="$2/bin:$PATH" bash -e ../typed
        xorriso -indev live.iso -pvd_info 2>&1 | grep "Volume Id *: MY_LIVE" >/dev/null"#;
    let tree = Tree::Trixie.base(&lab.cache, lab.mirror.as_deref())?;
    tool::shell_with_mounts(script, &[artifact::workspace(), &dir, &tree, blocks.concat().as_ref()])?;
    crate::remove::tree(&dir)
}

fn at_most(bytes: u64, limit: u64) -> Result<()> {
    if bytes > limit {
        bail!("{bytes} bytes, promised are at most {limit}");
    }
    Ok(())
}
