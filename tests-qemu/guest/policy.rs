//! What a real init does that knows SELinux: it loads the policy of its system.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

use rustix::fs::lgetxattr;
use rustix::mount::{MountFlags, mount};

const SELINUX: &str = "/sys/fs/selinux";

/// `lab.policy=/path` loads this policy, whether or not one is loaded.
pub fn loaded() {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for path in cmdline.split_whitespace().filter_map(|karg| karg.strip_prefix("lab.policy=")) {
        if let Err(error) = load(Path::new(path)) {
            println!("lab-guest: loading {path}: {error}");
        }
    }
}

fn load(path: &Path) -> Result<()> {
    let policy = fs::read(path)?;
    if !Path::new(SELINUX).join("load").exists() {
        mount("selinuxfs", SELINUX, "selinuxfs", MountFlags::empty(), None)?;
    }
    let written = File::options().write(true).open(Path::new(SELINUX).join("load"))?.write(&policy)?;
    if written == policy.len() { Ok(()) } else { Err(Error::from(ErrorKind::WriteZero)) }
}

/// The label of what is at a path.
pub fn label(path: &str) -> Option<String> {
    let mut label = vec![0; 4096];
    let length = lgetxattr(PathBuf::from(path), "security.selinux", &mut label[..]).ok()?;
    Some(String::from_utf8_lossy(&label[..length]).trim_end_matches('\0').to_owned())
}
