//! Which programs of a root take the network over when it starts (network.md 4.8).

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat, readlinkat};

use crate::env::Env;
use crate::facts::Taker;
use crate::foreign::open_at;

/// Where systemd has its units; an administrator's own come first.
const UNITS: [&str; 3] = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
/// What a directory ends in whose units something asks for.
const ASKING: [&str; 2] = [".wants", ".requires"];
/// Where OpenRC and System V have links to what they start.
const RUN_LEVELS: [&str; 2] = ["etc/runlevels", "etc"];

/// Those that are enabled in a root and not masked on the command line.
#[must_use]
pub fn enabled(env: &Env, root: &Path) -> Vec<Taker> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = openat(CWD, env.path(root), directory, Mode::empty()) else { return Vec::new() };
    let cmdline = env.text("proc/cmdline").unwrap_or_default();
    let tree = Tree(root);
    let (asked, first) = (tree.asked(), tree.is_first_boot());
    let is_enabled = |taker: &Taker| {
        let unit = format!("{}.service", taker.service());
        let masked = cmdline.split_whitespace().any(|word| word.strip_prefix("systemd.mask=") == Some(&unit));
        let is = |name: &String| {
            *name == unit
                || name.trim_start_matches(['S', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) == taker.service()
        };
        // At the first boot of all systemd enables what presets say, and those are not looked into.
        let waits = || first && UNITS.iter().skip(1).any(|units| tree.has(&Path::new(units).join(&unit)));
        !masked && !tree.is_masked(&unit) && (asked.iter().any(is) || waits())
    };
    Taker::ALL.into_iter().filter(is_enabled).collect()
}

/// The new root. A link that is absolute is one in it.
struct Tree(rustix::fd::OwnedFd);

impl Tree {
    /// The names in all directories of what is to be started.
    fn asked(&self) -> Vec<String> {
        let mut names = Vec::new();
        for units in UNITS {
            let asking =
                self.names(Path::new(units)).into_iter().filter(|name| ASKING.iter().any(|end| name.ends_with(end)));
            names.extend(asking.flat_map(|name| self.names(&Path::new(units).join(name))));
        }
        for levels in RUN_LEVELS {
            let levels = Path::new(levels);
            let of_sysv = |name: &String| name.starts_with("rc") && name.ends_with(".d") && name.len() == 5;
            let is_level = |name: &String| levels == Path::new("etc/runlevels") || of_sysv(name);
            let found = self.names(levels).into_iter().filter(is_level);
            names.extend(found.flat_map(|name| self.names(&levels.join(name))));
        }
        names
    }

    fn names(&self, path: &Path) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let entries = open_at(&self.0, path, flags, ResolveFlags::IN_ROOT).and_then(Dir::new);
        let names =
            entries.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "." && name != "..").collect()
    }

    fn has(&self, path: &Path) -> bool {
        open_at(&self.0, path, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::IN_ROOT).is_ok()
    }

    fn is_masked(&self, unit: &str) -> bool {
        let target = readlinkat(&self.0, Path::new("etc/systemd/system").join(unit).as_path(), Vec::new());
        target.is_ok_and(|target| target.to_bytes() == b"/dev/null")
    }

    /// Without a machine-id of its own (machine-id(5)).
    fn is_first_boot(&self) -> bool {
        let file = open_at(&self.0, Path::new("etc/machine-id"), OFlags::RDONLY, ResolveFlags::IN_ROOT);
        let Ok(file) = file else { return true };
        std::io::read_to_string(fs::File::from(file)).is_ok_and(|text| text.trim_end() == "uninitialized")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_started_takes_the_network_over() {
        use Taker::{Ifupdown, NetworkManager, Networkd};
        const UNIT: &str = "etc/systemd/system/multi-user.target.wants/NetworkManager.service";
        for (links, cmdline, machine_id, expected) in [
            (&[][..], "", "0123", &[][..]),
            (&["usr/lib/systemd/system/systemd-networkd.service"], "", "0123", &[]),
            (&["usr/lib/systemd/system/systemd-networkd.service"], "", "uninitialized\n", &[Networkd]),
            // An empty file is no first boot.
            (&["usr/lib/systemd/system/systemd-networkd.service"], "", "", &[]),
            (&[UNIT], "quiet", "0123", &[NetworkManager]),
            (&[UNIT], "quiet systemd.mask=NetworkManager.service", "0123", &[]),
            (&[UNIT, "etc/systemd/system/NetworkManager.service"], "", "0123", &[]),
            (&["usr/lib/systemd/system/basic.target.wants/systemd-networkd.service"], "", "0123", &[Networkd]),
            (&["etc/rc3.d/S01networking"], "", "0123", &[Ifupdown]),
            (&["etc/rc3.d/K01networking"], "", "0123", &[]),
            (&["etc/rcS/networking"], "", "0123", &[]),
            (&["etc/runlevels/default/NetworkManager"], "", "0123", &[NetworkManager]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("sysroot");
            fs::create_dir_all(dir.path().join("proc")).unwrap();
            fs::write(dir.path().join("proc/cmdline"), cmdline).unwrap();
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::write(root.join("etc/machine-id"), machine_id).unwrap();
            for link in links {
                fs::create_dir_all(root.join(link).parent().unwrap()).unwrap();
                symlink("/dev/null", root.join(link)).unwrap();
            }
            let found = enabled(&Env::new(dir.path()), Path::new("/sysroot"));
            assert_eq!(found, expected, "{links:?} {cmdline:?} {machine_id:?}");
        }
    }
}
