//! Packages of Debian 13 in a layer over its tree, so that one tree serves all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::tool;

/// What these packages bring, as a layer with this name in the cache.
///
/// # Errors
/// No network to fetch them.
pub fn over_debian(lab: &Lab, name: &str, packages: &str) -> Result<PathBuf> {
    let (script, tree) = (script(None), Tree::Trixie);
    let key = format!("{name} 2 {packages} {} {script}", tree.identity(lab)?);
    lab.cache.tree(name, &format!("{name} over the tree"), &key, |dir| {
        tool::shell_with_mounts(&script, &[&tree.ensure(lab)?, dir, packages.as_ref()])
            .map(drop)
            .with_context(|| format!("installing {packages} over Debian's tree"))
    })
}

/// What follows in the tree when the packages are there.
pub struct Then {
    /// A directory of the tree that is removed before.
    pub removes: &'static str,
    /// Commands of `sh -e`.
    pub commands: &'static str,
    /// What their arguments from `$1` on are called outside of the tree.
    pub args: &'static [&'static str],
}

/// As [`over_debian`], into a directory, with what follows and its arguments. What is said goes to a file, and its end into the error.
///
/// # Errors
/// No network to fetch them, or a command fails.
pub fn over_debian_then(lab: &Lab, dir: &Path, packages: &str, (then, given): (&Then, &[&str])) -> Result<()> {
    let log = lab.cache.scratch("log")?.join("log");
    let tree = Tree::Trixie.ensure(lab)?;
    let mut args: Vec<&Path> = vec![&tree, dir, packages.as_ref()];
    args.extend(given.iter().map(Path::new));
    args.push(&log);
    tool::shell_with_mounts(&script(Some(then)), &args)
        .map(drop)
        .with_context(|| tool::tail(&fs::read_to_string(&log).unwrap_or_default(), 20))
}

/// Makes a layer `$2` over the tree `$1` of the packages `$3`, and of what follows, whose arguments are the next; the last one is a log.
/// A layer's key holds it.
pub fn script(then: Option<&Then>) -> String {
    let mut parts = [String::new(), String::new(), String::new(), " >&2".to_owned()];
    if let Some(Then { removes, commands, args }) = then {
        let named = (4..).zip(*args).map(|(number, name)| format!(" {name}=${number}")).collect::<String>();
        let log = 4 + args.len();
        let given = args.iter().map(|name| format!(" \"${name}\"")).collect();
        parts = [format!("{named}; exec > \"${log}\" 2>&1"), format!(" {removes}{commands}"), given, String::new()];
    }
    let [takes, then, args, said] = parts;
    // Nothing is started while it is installed. The tree has no lists of packages, so that the layer need not hide any.
    format!(
        r#"
    tree=$1 out=$2 packages=$3{takes}; mkdir -p "$out"
    work=$(mktemp -d); mount -t tmpfs tmpfs "$work"; mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$work/root"
    system_dirs "$work/root"
    cp -L /etc/resolv.conf "$work/root/etc/resolv.conf" || true
    printf '#!/bin/sh\nexit 101\n' > "$work/root/usr/sbin/policy-rc.d"; chmod 755 "$work/root/usr/sbin/policy-rc.d"
    export DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C
    chroot "$work/root" sh -ec '
        apt-get -q update; apt-get -y -q --no-install-recommends install $0; apt-get clean
        rm -rf --one-file-system /var/lib/apt/lists/* /usr/sbin/policy-rc.d{then}' "$packages"{args} < /dev/null{said}
    cp -a "$work/upper/." "$out"
    umount -R "$work/root"; umount "$work"; rmdir "$work""#
    )
}
