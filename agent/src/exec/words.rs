//! What the kernel says about a step that has failed, beside the number of its error.

use std::path::Path;

use crate::env::Env;
use crate::error::{Code, Stop};
use crate::kmsg::Listener;
use crate::plan::Step;
use crate::plan::act::MapAct;

/// Adds what was heard to the cause, in parentheses.
pub(super) fn added(stop: Stop, listener: &Listener, names: &[String]) -> Stop {
    let Some(words) = listener.words(names) else { return stop };
    // Some of a driver's words are in the error of a mount already.
    let said = stop.cause.strip_suffix(')').filter(|said| said.contains(" (kernel: "));
    let cause = said.map_or_else(|| format!("{} (kernel: {words})", stop.cause), |said| format!("{said}; {words})"));
    Stop { cause, ..stop }
}

/// Whether the kernel may have caused it: not what a person has typed, or what is somebody else's.
pub(super) fn may_come_from_the_kernel(code: Code) -> bool {
    !matches!(
        code,
        Code::AreaOther | Code::AreaLocked | Code::ToolMissing | Code::Fault | Code::RamRefused | Code::RamDigest
    )
}

/// How the driver that a step uses begins its lines.
pub(super) fn driver(step: &Step) -> Option<&str> {
    match step {
        Step::Mount { fs, .. } => Some(match fs.as_str() {
            "iso9660" => "isofs",
            "vfat" => "FAT-fs",
            fs => fs,
        }),
        Step::Loop { .. } => Some("loop"),
        Step::Overlay { .. } => Some("overlayfs"),
        Step::Driver { module, .. } => Some(module),
        Step::Map(MapAct::Make(_)) => Some("device-mapper"),
        Step::Labels { .. } => Some("SELinux"),
        _ => None,
    }
}

/// The kernel's name of a device, and that of the disk that it is a part of.
pub(super) fn names(env: &Env, node: &Path) -> Vec<String> {
    // Nodes of device-mapper are links.
    let node = node.canonicalize().unwrap_or_else(|_| node.to_owned());
    let Some(name) = node.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let mut names = vec![name.to_owned()];
    let dir = env.path("sys/class/block").join(name).canonicalize().ok().filter(|dir| dir.join("partition").exists());
    let disk = dir.as_deref().and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
    names.extend(disk.map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    #[test]
    fn the_kernels_words_of_that_moment_are_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        fs::create_dir(dir.path().join("dev")).unwrap();
        let log = env.path("dev/kmsg");
        fs::write(&log, "3,1,1,-;ISOFS: of an earlier moment\n").unwrap();
        let listener = Listener::new(&env);
        let say = |line: &str| OpenOptions::new().append(true).open(&log).unwrap().write_all(line.as_bytes()).unwrap();
        let stop = |cause: &str| Stop::new(Code::MediumMount, cause);
        let names = ["loop0".to_owned(), "isofs".to_owned()];
        assert_eq!(added(stop("why"), &listener, &names).cause, "why");
        say("4,2,2,-;ISOFS: unsupported sector size\n");
        assert_eq!(added(stop("why"), &listener, &names).cause, "why (kernel: ISOFS: unsupported sector size)");
        assert_eq!(added(stop("why"), &listener, &names).cause, "why", "it is told once");
        say("12,3,3,-;rdlive: loop0: of ours\n");
        assert_eq!(added(stop("why"), &listener, &names).cause, "why");
        say("3,4,4,-;loop0: bad\n");
        assert_eq!(added(stop("why (kernel: one)"), &listener, &names).cause, "why (kernel: one; loop0: bad)");
    }

    #[test]
    fn what_a_person_has_typed_is_not_the_kernels_fault() {
        assert!(!may_come_from_the_kernel(Code::AreaLocked) && may_come_from_the_kernel(Code::AreaDamaged));
    }
}
