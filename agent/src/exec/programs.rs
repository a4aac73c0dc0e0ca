//! Programs that make and check file systems: the initrd's own, or the image's where it has none, which run apart from the rest of the
//! machine (decision 0031).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_remount};
use rustix::process::{chdir, chroot};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

use super::tool::{self, Ended, Invocation, ToolError};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::foreign;
use crate::format::elf;
use crate::plan::programs::Program;

/// Where programs are looked for, in this order.
const PATH: [&str; 4] = ["usr/sbin", "sbin", "usr/bin", "bin"];
/// Files of `/dev` that every program expects, and their numbers: character devices of the memory driver.
const DEVICES: [(&str, u32); 4] = [("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)];
/// The major number of that driver.
const MEMORY: u32 = 1;
/// What a program of the image keeps: some mkfs set the length of a block of their device, or empty its cache, and a file of the image need
/// not be root's.
const KEPT: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::DAC_OVERRIDE);

/// A program that was found.
#[derive(Debug)]
pub(super) struct Tool {
    /// Where it is, seen from where it runs.
    pub path: PathBuf,
    /// The mounted tree of the image, if that has it.
    image: Option<PathBuf>,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.image.is_some() { " of the image" } else { "" };
        write!(f, "{}{whose}", self.path.display())
    }
}

impl Tool {
    /// Runs it on a device, which is its last argument, and waits for its end as [`tool::run`] does.
    pub fn run(&self, arguments: &[&str], device: &Path, limit: Duration) -> Result<Ended, ToolError> {
        log::info!("running {self} on {}", device.display());
        let inside = self.image.as_ref().map(|tree| Inside { tree, device });
        let name = match inside {
            Some(inside) => inside.name(),
            None => device.to_owned(),
        };
        let name = name.to_string_lossy();
        let arguments = [arguments, &[&name]].concat();
        tool::run(&Invocation { arguments: &arguments, inside, ..Invocation::of(&self.path) }, limit)
    }

    /// How a successful end is judged where nothing but that will do.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn successful(&self, ended: Ended) -> Result<(), ToolError> {
        match ended.status.success() {
            true => Ok(()),
            false => Err(ToolError::Failed { program: self.to_string(), status: ended.status, words: ended.words }),
        }
    }
}

/// Whether the initrd has a program.
pub fn is_in_initrd(env: &Env, program: &Program) -> bool {
    of_initrd(env, program).is_some()
}

fn of_initrd(env: &Env, program: &Program) -> Option<PathBuf> {
    candidates(program).map(|path| env.path(path)).find(|path| path.is_file())
}

/// Where it may be, below a root.
fn candidates(program: &Program) -> impl Iterator<Item = PathBuf> {
    program.names.iter().flat_map(|name| PATH.iter().map(move |dir| Path::new(dir).join(name)))
}

/// The first name of a program that is there: in the initrd, else in the image whose tree is mounted at `image`.
///
/// # Errors
/// [`Code::ToolMissing`] with the names, the packages that have them, and why what the image has does not run.
pub(super) fn find(env: &Env, image: Option<&Path>, program: &Program) -> Result<Tool, Stop> {
    if let Some(path) = of_initrd(env, program) {
        return Ok(Tool { path, image: None });
    }
    let (names, package) = (program.names.join(" or "), program.package);
    let missing = |cause: String, remedy: String| {
        Err(Stop::new(Code::ToolMissing, cause).wanted(format!("a program of {package}")).advice(remedy))
    };
    let rebuild =
        format!("build the initrd from a system that has {package} (rdlive-image initrd --persistence, or dracut)");
    let Some(image) = image else { return missing(format!("{names} is not in the initrd"), rebuild) };
    let tree = env.path(image);
    if !tree.is_dir() {
        return missing(format!("{names} is not in the initrd, and the image is not mounted yet"), rebuild);
    }
    let mut why = None;
    for path in candidates(program) {
        match runs(&tree, &path) {
            Ok(true) => return Ok(Tool { path: Path::new("/").join(path), image: Some(tree) }),
            Ok(false) => {}
            Err(unusable) => drop(why.get_or_insert_with(|| format!("/{} of the image {unusable}", path.display()))),
        }
    }
    match why {
        Some(why) => missing(format!("{names} is not in the initrd, and {why}"), rebuild),
        None => missing(
            format!("{names} is neither in the initrd nor in the image"),
            format!("install {package} into the image, or {rebuild}"),
        ),
    }
}

/// Why a program of the image cannot be run.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is no program")]
    NoProgram,
    #[error("is for another processor ({0})")]
    Foreign(String),
    #[error("needs {0}, which the image does not have")]
    NoLoader(String),
}

/// Whether a tree has a program at a path that can be started on this machine.
fn runs(tree: &Path, path: &Path) -> Result<bool, Unusable> {
    let unreadable = |error: io::Error| Unusable::Unreadable(error.to_string());
    let mut file = match foreign::open_inside(tree, path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unreadable(error)),
    };
    let program = elf::program(&mut file).map_err(|error| Unusable::Unreadable(error.to_string()))?;
    let program = program.ok_or(Unusable::NoProgram)?;
    if !program.is_native() {
        return Err(Unusable::Foreign(program.processor()));
    }
    match program.loader {
        Some(loader) if foreign::open_inside(tree, &loader).is_err() => {
            Err(Unusable::NoLoader(loader.display().to_string()))
        }
        _ => Ok(true),
    }
}

/// Where a program of the image runs: in its tree, with one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside<'a> {
    tree: &'a Path,
    device: &'a Path,
}

impl Inside<'_> {
    /// The device as the program sees it.
    fn name(&self) -> PathBuf {
        Path::new("/dev").join(self.device.file_name().unwrap_or_default())
    }

    /// Starts a program. A thread of its own gives up what the program is not to have, for what a thread starts has no more than it.
    pub fn spawn(self, command: &mut Command) -> io::Result<Child> {
        let start = || {
            self.enter()?;
            command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").spawn()
        };
        let started = std::thread::scope(|scope| scope.spawn(start).join());
        started.unwrap_or_else(|_| Err(io::Error::other("its thread has ended")))
    }

    /// Leaves the calling thread with the image, read-only, as its root, a `/dev` that has the device and nothing else of this machine, a
    /// `/proc` that is only read, no network, and no way to get other devices.
    fn enter(self) -> io::Result<()> {
        let failed = |what: &'static str| {
            move |errno: Errno| io::Error::new(io::Error::from(errno).kind(), format!("{what}: {errno}"))
        };
        let number = fs::metadata(self.device)?.rdev();
        rdlive_sys::mounts::own()?;
        // A kernel may have no such namespaces; natively there is no network yet anyway.
        let _ = rdlive_sys::apart::without_network();
        let image = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(self.tree, image, c"").map_err(failed("letting programs of the image run"))?;
        chroot(self.tree).and_then(|()| chdir("/")).map_err(failed("entering the image"))?;
        let inert = MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("tmpfs", "/dev", "tmpfs", inert, c"mode=0755,nr_inodes=16,size=64k").map_err(failed("its /dev"))?;
        let node = |name: &Path, kind, mode: u32, number| {
            mknodat(CWD, name, kind, Mode::from_raw_mode(mode), number).map_err(failed("its device"))
        };
        node(&self.name(), FileType::BlockDevice, 0o600, number)?;
        for (name, minor) in DEVICES {
            let number = rustix::fs::makedev(MEMORY, minor);
            node(&Path::new("/dev").join(name), FileType::CharacterDevice, 0o666, number)?;
        }
        let read_only = inert | MountFlags::NODEV | MountFlags::RDONLY;
        mount("proc", "/proc", "proc", read_only, None).map_err(failed("its /proc"))?;
        // Those that this kernel does not know cannot be taken.
        let taken =
            (0..u64::BITS).filter_map(|bit| CapabilitySet::from_bits(1 << bit)).filter(|one| !KEPT.contains(*one));
        taken.for_each(|one| _ = remove_capability_from_bounding_set(one));
        set_no_new_privs(true).map_err(failed("its rights"))
    }
}
