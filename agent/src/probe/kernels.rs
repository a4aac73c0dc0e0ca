//! Which kernels a root has modules for.

use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat};

use crate::env::Env;
use crate::facts::Kernels;
use crate::foreign::open_at;
use crate::format::lossless;

/// The kernel that runs and those that a root has modules for, where it has some and none for this one.
#[must_use]
pub fn other(env: &Env, root: &Path) -> Option<Kernels> {
    let running = env.text("proc/sys/kernel/osrelease")?;
    let root = openat(CWD, env.path(root), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // A link that is absolute is one of the new root.
    let open = |path: &Path, flags: OFlags| open_at(&root, path, flags, ResolveFlags::IN_ROOT);
    let mut modules = Vec::new();
    // Whether or not /lib is a link to usr/lib.
    for dir in ["usr/lib/modules", "lib/modules"].map(Path::new) {
        let entries = open(dir, OFlags::RDONLY | OFlags::DIRECTORY).and_then(Dir::new);
        for entry in entries.into_iter().flatten().flatten() {
            let release = lossless(entry.file_name().to_bytes());
            let has = |name: &&str| open(&dir.join(&release).join(name), OFlags::PATH).is_ok();
            if !release.starts_with('.') && ["modules.dep", "modules.dep.bin", "kernel"].iter().any(has) {
                modules.push(release);
            }
        }
    }
    modules.sort();
    modules.dedup();
    (!modules.is_empty() && !modules.contains(&running)).then_some(Kernels { running, modules })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn modules_of_other_kernels_alone_are_told() {
        for (dirs, expected) in [
            (&["usr/lib/modules/6.12.1/kernel"][..], Some(&["6.12.1"][..])),
            (&["lib/modules/6.12.1/kernel", "usr/lib/modules/6.1.0/kernel"], Some(&["6.1.0", "6.12.1"])),
            (&["usr/lib/modules/6.12.1/kernel", "lib/modules/7.0.0-live/kernel"], None),
            (&["usr/lib/modules/7.0.0-live/kernel", "usr/lib/modules/6.12.1/kernel"], None),
            // What is left behind by a package that is gone, or lies there for all kernels, are no modules.
            (&["usr/lib/modules/7.0.0-live", "usr/lib/modules/6.12.1/kernel"], Some(&["6.12.1"])),
            (&["usr/lib/modules/extramodules"], None),
            (&["→/opt/lib/modules/6.12.1/kernel"], Some(&["6.12.1"])),
            (&["usr/lib/modules"], None),
            (&["usr"], None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let env = Env::new(dir.path());
            fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
            fs::write(dir.path().join("proc/sys/kernel/osrelease"), "7.0.0-live\n").unwrap();
            for path in dirs {
                let root = dir.path().join("sysroot");
                fs::create_dir_all(root.join(path.trim_start_matches("→/"))).unwrap();
                if path.starts_with('→') {
                    std::os::unix::fs::symlink("/opt/lib", root.join("lib")).unwrap();
                }
            }
            let found = other(&env, Path::new("/sysroot"));
            let modules = found.as_ref().map(|found| found.modules.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(modules.as_deref(), expected, "{dirs:?}");
            assert!(found.is_none_or(|found| found.running == "7.0.0-live"));
        }
    }
}
