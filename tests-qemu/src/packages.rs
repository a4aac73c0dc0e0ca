//! Packages of Debian 13 in a layer over its tree, so that one tree serves all.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::tool;

/// What these packages bring, as a layer with this name in the cache.
///
/// # Errors
/// No network to fetch them.
pub fn over_debian(lab: &Lab, name: &str, packages: &str) -> Result<PathBuf> {
    let key = format!("{name} 2 {packages} {} {INSTALL}", Tree::Trixie.identity(lab)?);
    lab.cache.tree(name, &format!("{name} over the tree"), &key, |dir| {
        tool::shell_with_mounts(INSTALL, &[&Tree::Trixie.ensure(lab)?, dir, packages.as_ref()])
            .map(drop)
            .with_context(|| format!("installing {packages} over Debian's tree"))
    })
}

// Nothing is started while it is installed. The tree has no lists of packages, so that the layer need not hide any.
const INSTALL: &str = r#"
    tree=$1 out=$2 packages=$3; mkdir -p "$out"
    work=$(mktemp -d); mount -t tmpfs tmpfs "$work"; mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$work/root"
    system_dirs "$work/root"
    cp -L /etc/resolv.conf "$work/root/etc/resolv.conf" || true
    printf '#!/bin/sh\nexit 101\n' > "$work/root/usr/sbin/policy-rc.d"; chmod 755 "$work/root/usr/sbin/policy-rc.d"
    export DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C
    chroot "$work/root" sh -ec '
        apt-get -q update; apt-get -y -q --no-install-recommends install $0; apt-get clean
        rm -rf --one-file-system /var/lib/apt/lists/* /usr/sbin/policy-rc.d' "$packages" < /dev/null >&2
    cp -a "$work/upper/." "$out"
    umount -R "$work/root"; umount "$work"; rmdir "$work""#;
