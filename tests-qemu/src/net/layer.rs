//! The servers: packages of Debian 13 in a layer over its tree, which the host never installs.
//!
//! On the host, Debian's nginx would be a service that starts with every boot; and every host would have another version.

use std::path::PathBuf;

use anyhow::Result;

use crate::guest::Tree;
use crate::lab::Lab;
use crate::packages;

/// One package for each kind of server, ethtool, and the client that ours is measured beside. `ip` is in the tree.
const PACKAGES: &str = "curl dnsmasq-base ethtool nfs-ganesha nfs-ganesha-vfs nginx-light rpcbind vblade vsftpd";

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
    let upper = packages::over_debian(lab, "servers", PACKAGES)?;
    Ok(Layers { upper, lower: Tree::Trixie.ensure(lab)? })
}
