//! The servers: packages of Debian 13 in a layer over its tree, which the host never installs.
//!
//! On the host, Debian's nginx would be a service that starts with every boot; and every host would have another version.

use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;

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
    let lock = lab.cache.lock("servers");
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let lower = Tree::Trixie.ensure(lab)?;
    let upper = lab.cache.root().join("trees/servers");
    let stamp_file = upper.with_extension("stamp");
    let stamp = format!("servers 1 {PACKAGES} {}", Tree::Trixie.stamp(lab));
    if !fs::read_to_string(&stamp_file).is_ok_and(|text| text == stamp) {
        lab.say("installing servers over the tree (once)");
        let _ = fs::remove_file(&stamp_file);
        tool::shell_with_mounts(INSTALL, &[&lower, &upper, PACKAGES.as_ref()])
            .with_context(|| format!("installing {PACKAGES} over Debian's tree"))?;
        fs::write(&stamp_file, stamp)?;
    }
    Ok(Layers { upper, lower })
}

// Nothing is started while it is installed. The tree has no lists of packages, so that the layer need not hide any.
const INSTALL: &str = r#"
    tree=$1 out=$2 packages=$3; rm -rf --one-file-system "$out"; mkdir -p "$out"
    work=$(mktemp -d "$out.XXXXXX"); mount -t tmpfs tmpfs "$work"; mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$work/root"
    for m in proc dev sys; do mount --rbind /$m "$work/root/$m"; done
    cp -L /etc/resolv.conf "$work/root/etc/resolv.conf" || true
    printf '#!/bin/sh\nexit 101\n' > "$work/root/usr/sbin/policy-rc.d"; chmod 755 "$work/root/usr/sbin/policy-rc.d"
    export DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C
    chroot "$work/root" sh -ec '
        apt-get -q update; apt-get -y -q --no-install-recommends install $0; apt-get clean
        rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d' "$packages" < /dev/null >&2
    cp -a "$work/upper/." "$out"
    umount -R "$work/root"; umount "$work"; rmdir "$work""#;
