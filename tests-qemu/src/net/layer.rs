//! The servers: packages of Debian 13 in a layer over its tree, which the host never installs.
//!
//! On the host, Debian's nginx would be a service that starts with every boot; and every host would have another version.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::tool;

/// One package for each kind of server, and ethtool. `ip` is in the tree.
const PACKAGES: &str = "dnsmasq-base ethtool nginx-light";

/// What lies one over the other in the servers' root: upper first, as overlayfs lists them.
pub struct Layers {
    /// What the packages have brought.
    pub upper: PathBuf,
    /// The tree that they were installed in.
    pub lower: PathBuf,
}

/// Installs the packages, unless that was done.
///
/// # Errors
/// No network to fetch them.
pub fn layers(lab: &Lab) -> Result<Layers> {
    let key = format!("servers 2 {PACKAGES} {} {INSTALL}", Tree::Trixie.identity(lab)?);
    let upper = lab.cache.tree("servers", "servers over the tree", &key, |dir| {
        tool::shell_with_mounts(INSTALL, &[&Tree::Trixie.ensure(lab)?, dir, PACKAGES.as_ref()])
            .map(drop)
            .with_context(|| format!("installing {PACKAGES} over Debian's tree"))
    })?;
    Ok(Layers { upper, lower: Tree::Trixie.ensure(lab)? })
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
