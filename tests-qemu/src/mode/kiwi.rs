//! kiwi-live of KIWI 11, which fetches images by HTTP, for dracut of Debian 13.
//!
//! No released Debian has it: Debian 12 has KIWI 9, whose live module knows AoE only. Its package comes from the Debian mirror; nothing of it
//! is in this repository.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::guest::Tree;
use crate::lab::Lab;
use crate::mirror;
use crate::packages::{self, Then};

/// The package as Debian sid has it.
const PACKAGE: &str = "pool/main/k/kiwi/kiwi-dracut-live_11.1.6-1_amd64.deb";
/// What the package is.
pub const SHA256: &str = "7d1c935f92056ee770d22d0bc0fe24f730ce3e43adcdaa86a03cb5adab13bf94";
/// What it asks for, and curl.
const PACKAGES: &str = "ca-certificates curl dialog dmsetup dracut-network e2fsprogs fdisk parted xfsprogs xorriso";

/// Only its modules of dracut: its programs would want libraries of sid.
const UNPACK: Then = Then {
    removes: "",
    commands: r#"
        curl -sSfL -o /tmp/kiwi.deb "$1"; echo "$2  /tmp/kiwi.deb" | sha256sum -c
        dpkg-deb -x /tmp/kiwi.deb /tmp/kiwi; cp -a /tmp/kiwi/usr/lib/dracut/modules.d/. /usr/lib/dracut/modules.d
        rm -rf --one-file-system /tmp/kiwi /tmp/kiwi.deb"#,
    args: &["url", "sum"],
};

/// A layer over Debian's tree with the module.
///
/// # Errors
/// No network to fetch it.
pub fn layer(lab: &Lab) -> Result<PathBuf> {
    let script = packages::script(Some(&UNPACK));
    let key = format!("kiwi 1 {SHA256} {PACKAGES} {} {script}", Tree::Trixie.identity(lab)?);
    lab.cache.tree("kiwi", "kiwi-live of KIWI 11 over the tree", &key, |dir| {
        let url = format!("{}/{PACKAGE}", mirror::debian(lab.mirror.as_deref())?);
        let made = packages::over_debian_then(lab, dir, PACKAGES, (&UNPACK, &[&url, SHA256]));
        made.context("laying kiwi-live over Debian's tree")
    })
}
