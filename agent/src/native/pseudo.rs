//! The kernel's own file systems, as early as the very first line of PID 1.

use std::path::Path;

use crate::env::Env;
use crate::exec::mount::{self, FileSystem, Purpose};

/// Type, mount point, options, and what it is there for.
const MOUNTS: [(&str, &str, &[&str], Purpose); 4] = [
    ("devtmpfs", "dev", &["mode=0755"], Purpose::Devices),
    ("proc", "proc", &[], Purpose::Data),
    ("sysfs", "sys", &[], Purpose::Data),
    // The size matches what systemd gives /run; the write area is a tmpfs of its own.
    ("tmpfs", "run", &["mode=0755", "size=20%"], Purpose::Programs),
];

/// Mounts `/dev`, `/proc`, `/sys` and `/run`; returns what failed. One that is mounted already is left as it is.
pub fn mount_all(env: &Env) -> Vec<String> {
    let mut failed = Vec::new();
    for (fs, at, options, purpose) in MOUNTS {
        let target = env.path(at);
        if is_mount_point(env, &target) {
            continue;
        }
        if let Err(error) = std::fs::create_dir_all(&target) {
            failed.push(format!("making {}: {error}", target.display()));
            continue;
        }
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let what = FileSystem { fs, source: fs, options, read_only: false, purpose };
        failed.extend(mount::attach(&what, &target).err().map(|error| error.to_string()));
    }
    failed
}

/// Where the kernel is told how often to ask drives whether their medium has changed, in milliseconds.
const POLL: &str = "sys/module/block/parameters/events_dfl_poll_msecs";
/// What udev sets; without it a disc that is put in later is never announced.
const POLL_MS: &str = "2000";

/// Lets the kernel watch drives for a medium that comes later, unless somebody has chosen an interval already.
pub fn poll_media(env: &Env) {
    if env.text(POLL).as_deref() == Some("0")
        && let Err(error) = std::fs::write(env.path(POLL), POLL_MS)
    {
        log::warn!("{POLL}: {error}, a disc that is put in later is not seen");
    }
}

/// A mount point is on another device than its parent.
fn is_mount_point(env: &Env, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    device(path).is_some_and(|own| Some(own) != device(env.root()))
}

/// Logs what failed, once there is a log.
pub fn report(failed: &[String]) {
    for failure in failed {
        log::warn!("{failure}, ignoring");
    }
}
