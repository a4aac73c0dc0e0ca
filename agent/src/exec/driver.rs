//! Drivers: whether one is there, and a wait for it that ends. Where none comes, its name and what to do about it are said.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::env::Env;
use crate::error::{Code, Stop};

/// How long a module that makes no progress may take. The kernel waits at the end of each until every device that is just being looked
/// at has answered; the module itself is at work by then (attacks.md F1).
pub const MODULE_LIMIT: Duration = Duration::from_secs(30);
/// How often is looked for a driver that somebody else is loading.
const PAUSE: Duration = Duration::from_millis(5);
/// Drivers that show by a line in `/proc/misc` that they are at work, built in or not, and by that name below `/dev`.
const CONTROLS: [(&str, &str, &str); 2] =
    [("loop", "loop-control", "dev/loop-control"), ("dm_mod", "device-mapper", "dev/mapper/control")];

/// Why a kernel module is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Nobody has it.
    #[error("module {0} is not in this initrd")]
    Absent(String),
    /// Its parameters are no text that the kernel takes.
    #[error("{0}: bad parameters")]
    Parameters(String),
    /// Name, file, and what the kernel says.
    #[error("module {0} ({1}): {2}")]
    Refused(String, String, io::Error),
    /// Name, and what is the matter with the dictionary that the file needs.
    #[error("module {0} needs /{dictionary}, which {1}", dictionary = crate::layout::MODULE_DICTIONARY)]
    Dictionary(String, &'static str),
    /// There is no modprobe.
    #[error("modprobe: {0}")]
    NoModprobe(io::Error),
    /// The words of modprobe.
    #[error("{0}")]
    Modprobe(String),
    /// It is not there yet; for how many seconds.
    #[error("loading {0} has not ended for {1} s: it waits for a device, or for another module")]
    Silent(String, u64),
}

/// Loads a kernel module by name with all it needs.
pub type LoadModule<'a> = &'a (dyn Fn(&str) -> Result<(), ModuleError> + Sync);

impl ModuleError {
    /// What can be done about it.
    pub(crate) fn remedy(&self, module: &str) -> String {
        let forbidden = match self {
            Self::Refused(_, _, error) => {
                error.kind() == io::ErrorKind::PermissionDenied
                    || error.raw_os_error() == Some(Errno::KEYREJECTED.raw_os_error())
            }
            Self::Modprobe(words) => words.contains("not permitted") || words.contains("Key was rejected"),
            _ => false,
        };
        match self {
            _ if forbidden => {
                format!(
                    "remove {module} from module_blacklist=; a kernel that is locked down takes only modules signed for it"
                )
            }
            Self::Dictionary(..) => {
                "make the initrd anew (rdlive-image), or write the medium again: the dictionary and the modules are of one initrd"
                    .to_owned()
            }
            Self::Silent(..) => "unplug what does not answer and boot again; dmesg has the driver's words".to_owned(),
            Self::Refused(..) => "make the initrd anew, with the modules of the kernel that is running".to_owned(),
            _ => format!("add {module} to the initrd (--add-module {module}, or dracut --add-drivers {module})"),
        }
    }
}

impl super::Executor<'_> {
    /// Sees that a driver is there, and waits for it as long as it is being loaded, whoever does that.
    pub(super) fn driver(&self, module: &str, filesystem: Option<&str>, option: &str) -> Result<(), Stop> {
        self.driver_within(MODULE_LIMIT, module, filesystem, option)
    }

    fn driver_within(&self, limit: Duration, module: &str, filesystem: Option<&str>, option: &str) -> Result<(), Stop> {
        if self.is_there(module, filesystem) == Some(true) {
            return Ok(());
        }
        let begun = Instant::now();
        let loaded = (self.load)(module);
        let there = loop {
            // Before and after: it may have become ready, or have begun, between two looks.
            let coming = self.is_coming(module);
            match self.is_there(module, filesystem) {
                Some(false) if (coming || self.is_coming(module)) && begun.elapsed() < limit => thread::sleep(PAUSE),
                there => break there,
            }
        };
        // What shows itself nowhere is there if its loader says so.
        if there.unwrap_or(loaded.is_ok()) {
            return Ok(());
        }
        let line = match &loaded {
            Ok(()) if !self.is_coming(module) => forbidden(self.env, module, ""),
            Err(ModuleError::Modprobe(words)) => forbidden(self.env, module, words),
            _ => None,
        };
        let (why, advice) = match loaded {
            _ if line.is_some() => line.unwrap_or_default(),
            Err(error) => (error.to_string(), error.remedy(module)),
            Ok(()) if self.is_coming(module) => {
                let error = ModuleError::Silent(module.to_owned(), limit.as_secs());
                (error.to_string(), error.remedy(module))
            }
            Ok(()) => ("it loads, but provides nothing".to_owned(), "see dmesg for the driver's words".to_owned()),
        };
        Err(Stop::new(Code::DriverMissing, format!("kernel module {module} is not available: {why}"))
            .wanted(format!("module {module} or {option}=y in the kernel"))
            .advice(advice))
    }

    /// Whether a driver is at work; `None` when nothing shows that.
    fn is_there(&self, module: &str, filesystem: Option<&str>) -> Option<bool> {
        if self.is_coming(module) {
            return Some(false);
        }
        if let Some(name) = filesystem {
            let table = self.env.text("proc/filesystems").unwrap_or_default();
            return Some(table.lines().any(|line| line.split_whitespace().next_back() == Some(name)));
        }
        if let Some((_, name, node)) = CONTROLS.iter().find(|(known, ..)| *known == module) {
            return Some(match self.env.text("proc/misc") {
                Some(table) => table.lines().any(|line| line.split_whitespace().next_back() == Some(name)),
                None => self.env.path(node).exists(),
            });
        }
        self.env.path("sys/module").join(module).exists().then_some(true)
    }

    /// Whether a module is being loaded: it is known, and has not said that it is ready (`/sys/module`).
    fn is_coming(&self, module: &str) -> bool {
        self.env.text(format!("sys/module/{module}/initstate")).is_some_and(|state| state == "coming")
    }
}

/// The line of modprobe.d that has a command run in place of a module, or of one that this one needs (`words` of modprobe name it), and what
/// to do about it: that is how a hardened system forbids a module (modprobe.d(5)). The native loader takes no such line.
fn forbidden(env: &Env, module: &str, words: &str) -> Option<(String, String)> {
    let normal = |name: &str| name.replace('-', "_");
    let needed = words.split("for module ").nth(1).and_then(|rest| rest.split([':', ' ', '\n']).next());
    let modules = [Some(module), needed].into_iter().flatten().map(normal).collect::<Vec<_>>();
    let dirs = ["etc", "run", "usr/local/lib", "usr/lib", "lib"].map(|dir| format!("/{dir}/modprobe.d"));
    dirs.iter().find_map(|dir| {
        let entries = fs::read_dir(env.path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(".conf"));
        names.sort();
        names.iter().find_map(|name| {
            let text = env.text(format!("{}/{name}", dir.trim_start_matches('/')))?.replace("\\\n", " ");
            let line = text.lines().map(str::trim).find(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some("install") && words.next().is_some_and(|name| modules.contains(&normal(name)))
            })?;
            let advice = format!(
                "take that line out of {dir}/{name} of the system from which the initrd is made, and make it anew"
            );
            Some((format!("{dir}/{name} in the initrd says: {line}"), advice))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::exec::Executor;

    const SHORT: Duration = Duration::from_millis(50);

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn said(stop: &Stop) -> String {
        stop.lines().join("; ")
    }

    /// Each kind of driver, while somebody else is still loading it: the step waits, and goes on as soon as it is there.
    #[test]
    fn a_driver_that_comes_late_is_waited_for_table() {
        for (module, filesystem, shown, text) in [
            ("loop", None, "proc/misc", "  1 psaux\n237 loop-control\n"),
            ("dm_mod", None, "proc/misc", "236 device-mapper\n"),
            ("dm_snapshot", None, "sys/module/dm_snapshot/refcnt", "0\n"),
            ("erofs", Some("erofs"), "proc/filesystems", "nodev\ttmpfs\n\terofs\n"),
            ("isofs", Some("iso9660"), "proc/filesystems", "\tiso9660\n"),
            ("overlay", Some("overlay"), "proc/filesystems", "nodev\toverlay\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            write(root, "proc/misc", "  1 psaux\n");
            write(root, "proc/filesystems", "nodev\ttmpfs\n");
            write(root, &format!("sys/module/{module}/initstate"), "coming\n");
            // It is being loaded already, so the loader has nothing to do.
            let (env, load) = (Env::new(root), |_: &str| Ok(()));
            let begun = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(40));
                    write(root, shown, text);
                    write(root, &format!("sys/module/{module}/initstate"), "live\n");
                });
                Executor::new(&env, &load).driver(module, filesystem, "CONFIG_X").unwrap();
            });
            assert!(begun.elapsed() >= Duration::from_millis(40), "{module}");
        }
    }

    #[test]
    fn a_driver_that_is_there_costs_nothing_built_in_or_not() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "proc/misc", "237 loop-control\n");
        write(dir.path(), "proc/filesystems", "\text4\n");
        write(dir.path(), "sys/module/ext4/initstate", "live\n");
        write(dir.path(), "sys/module/dm_crypt/version", "");
        let (env, asked) = (Env::new(dir.path()), AtomicUsize::new(0));
        let load = |_: &str| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let exec = Executor::new(&env, &load);
        for (module, filesystem) in [("loop", None), ("ext4", Some("ext4")), ("dm_crypt", None)] {
            exec.driver(module, filesystem, "CONFIG_X").unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        // Where nothing shows a driver, its loader's word counts.
        exec.driver("dm_thin_pool", None, "CONFIG_X").unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_driver_that_never_comes_is_named_with_what_to_do_table() {
        let refused = |errno: Errno| ModuleError::Refused("loop".into(), "/l/loop.ko".into(), errno.into());
        type Answer<'a> = &'a (dyn Fn() -> Result<(), ModuleError> + Sync);
        let rows: [(Answer<'_>, &str, &str, &str); 9] = [
            (&|| Err(ModuleError::Absent("loop".into())), "live", "not in this initrd", "--add-module loop"),
            (&|| Err(refused(Errno::PERM)), "live", "not permitted", "module_blacklist="),
            (&|| Err(refused(Errno::KEYREJECTED)), "live", "/l/loop.ko", "signed"),
            (&|| Err(refused(Errno::NOEXEC)), "live", "/l/loop.ko", "make the initrd anew"),
            (
                &|| Err(ModuleError::Dictionary("loop".into(), "is damaged")),
                "live",
                "/usr/lib/rdlive/modules.dict, which is damaged",
                "make the initrd anew",
            ),
            (
                &|| Err(ModuleError::Modprobe("FATAL: Module loop not found".into())),
                "live",
                "FATAL",
                "--add-module loop",
            ),
            (&|| Err(ModuleError::Silent("loop".into(), 30)), "live", "has not ended for 30 s", "does not answer"),
            (&|| Ok(()), "live", "provides nothing", "dmesg"),
            (&|| Ok(()), "coming", "has not ended", "does not answer"),
        ];
        for (answer, state, cause, advice) in rows {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "proc/misc", "  1 psaux\n");
            write(dir.path(), "sys/module/loop/initstate", state);
            let (env, load) = (Env::new(dir.path()), |_: &str| answer());
            let exec = Executor::new(&env, &load);
            let stop = exec.driver_within(SHORT, "loop", None, "CONFIG_BLK_DEV_LOOP").unwrap_err();
            assert_eq!(stop.code, Code::DriverMissing);
            let text = said(&stop).to_lowercase();
            for words in ["kernel module loop is not available", cause, advice, "config_blk_dev_loop=y"] {
                assert!(text.contains(&words.to_lowercase()), "{words} is not in {text}");
            }
        }
    }

    /// The words are those of kmod 30.
    #[test]
    fn what_modprobe_d_forbids_is_named_with_its_line() {
        let ran = |command: &str, module: &str| {
            Err(ModuleError::Modprobe(format!(
                "modprobe: ERROR: ../libkmod/libkmod-module.c:1047 command_do() Error running install command '{command}' for module {module}: retcode 1\nmodprobe: ERROR: could not insert '{module}': Invalid argument"
            )))
        };
        type Answer<'a> = &'a (dyn Fn() -> Result<(), ModuleError> + Sync);
        let rows: [(&str, &str, Answer<'_>, &str); 5] = [
            (
                "etc/modprobe.d/hard.conf",
                "install loop /bin/false",
                &|| ran("/bin/false", "loop"),
                "install loop /bin/false",
            ),
            ("usr/lib/modprobe.d/a.conf", "# c\ninstall  loop \\\n /bin/true", &|| Ok(()), "install  loop   /bin/true"),
            ("run/modprobe.d/a.conf", "install dm-bufio false", &|| ran("false", "dm_bufio"), "install dm-bufio false"),
            ("etc/modprobe.d/hard.txt", "install loop /bin/false", &|| ran("/bin/false", "loop"), ""),
            ("etc/modprobe.d/hard.conf", "blacklist loop\ninstall loop2 x", &|| Ok(()), ""),
        ];
        for (file, text, answer, line) in rows {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "proc/misc", "  1 psaux\n");
            write(dir.path(), file, text);
            let (env, load) = (Env::new(dir.path()), |_: &str| answer());
            let exec = Executor::new(&env, &load);
            let text = said(&exec.driver_within(SHORT, "loop", None, "CONFIG_BLK_DEV_LOOP").unwrap_err());
            let named = text.contains(&format!("not available: /{file} in the initrd says: {line}"));
            assert_eq!(named && text.contains("take that line out"), !line.is_empty(), "{file}: {text}");
        }
    }
}
