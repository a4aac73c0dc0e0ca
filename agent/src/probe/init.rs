//! The program that the real system starts with: whether the kernel can execute it, and why not.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;

use crate::error::{Code, Stop};
use crate::foreign::open_at;
use crate::format::elf;

/// Where the kernel itself looks for init, in its order (`init/main.c`).
const USUAL: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
/// Bytes of a program that are looked at first: the kernel itself reads 256 (`BINPRM_BUF_SIZE`).
const HEAD: u64 = 256;
/// How often a script's interpreter may be a script.
const SCRIPTS: usize = 4;

/// Why a file is no init program.
#[derive(Debug)]
enum Unfit {
    /// There is nothing of that name.
    Absent,
    /// A link whose target is not there.
    Dangling,
    /// A link that leads back to itself.
    Circle,
    /// What is there instead of a file.
    NoFile,
    /// Its permissions.
    Mode(u32),
    /// It has no bytes.
    Empty,
    /// Nothing that a kernel executes.
    NoProgram,
    /// For which machine it is.
    Machine(String),
    /// What it is executed with is not there.
    Interpreter(PathBuf),
    /// The image cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is not there"),
            Self::Dangling => f.write_str("is a link to something that is not there"),
            Self::Circle => f.write_str("is a link that leads back to itself"),
            Self::NoFile => f.write_str("is no file"),
            Self::Mode(mode) => write!(f, "may not be executed (its mode is {:04o})", mode & 0o7777),
            Self::Empty => f.write_str("is empty"),
            Self::NoProgram => f.write_str("is neither a program nor a script that begins with #!"),
            Self::Machine(name) => {
                write!(f, "is a program for {name}, and this machine is {}", std::env::consts::ARCH)
            }
            Self::Interpreter(path) => write!(f, "needs {}, which is not there", path.display()),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// The init program of a root: what `init=` names, or the first of the usual ones that can be executed, and in words what is wrong with
/// those before it.
///
/// # Errors
/// [`Code::ImageDamaged`] where one cannot be read, [`Code::InitMissing`] where none can be executed.
pub fn program(root: &Path, init: Option<&Path>) -> Result<(PathBuf, Vec<String>), Stop> {
    let wanted: Vec<PathBuf> = match init {
        Some(path) => vec![path.to_owned()],
        None => USUAL.iter().map(PathBuf::from).collect(),
    };
    let dir = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Stop::new(Code::SwitchRoot, format!("opening {}: {errno}", root.display())))?;
    let mut unfit: Vec<(&PathBuf, Unfit)> = Vec::new();
    for path in &wanted {
        match judge(&dir, path, SCRIPTS) {
            Ok(()) => return Ok((path.clone(), unfit.iter().map(|(path, why)| line(path, why)).collect())),
            Err(Unfit::Absent) => {}
            Err(why @ Unfit::Unreadable(_)) => {
                return Err(Stop::new(Code::ImageDamaged, format!("the live system's {}", line(path, &why)))
                    .advice("the image is damaged, or its medium cannot be read: write the medium again; see dmesg"));
            }
            Err(why) => unfit.push((path, why)),
        }
    }
    Err(none(&wanted, &unfit))
}

/// Whether nothing is there at all that could be init, and another program may still put it there.
#[must_use]
pub fn is_absent(stop: &Stop) -> bool {
    stop.code == Code::InitMissing && stop.found.is_empty()
}

fn line(path: &Path, why: &Unfit) -> String {
    format!("{} {why}", path.display())
}

fn none(wanted: &[PathBuf], unfit: &[(&PathBuf, Unfit)]) -> Stop {
    let names: Vec<_> = wanted.iter().map(|path| path.display().to_string()).collect();
    let cause = match unfit {
        [] => "the live system has no init program".to_owned(),
        [(path, why), ..] => format!("the live system's {}", line(path, why)),
    };
    let stop = Stop::new(Code::InitMissing, cause)
        .wanted(names.join(", "))
        .found(unfit.iter().map(|(path, why)| line(path, why)));
    match unfit.first() {
        Some((_, Unfit::Machine(_))) => stop.advice("use an image that was built for this machine"),
        Some((_, Unfit::Mode(_))) => {
            stop.advice("correct init=, or make it executable (chmod +x) and build the image again")
        }
        Some(_) => stop.advice("correct init=, or build the image again with all that its init needs"),
        None => stop,
    }
}

/// Whether the kernel can execute what is at a path of the new root, where absolute links are those of that root.
fn judge(root: &OwnedFd, path: &Path, scripts: usize) -> Result<(), Unfit> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let open = |flags: OFlags| open_at(root, relative, flags, ResolveFlags::IN_ROOT);
    // A pipe or a device is not opened.
    let looked = open(OFlags::PATH).and_then(|file| rustix::fs::fstat(&file)).map_err(|errno| match errno {
        Errno::NOENT if open(OFlags::PATH | OFlags::NOFOLLOW).is_ok() => Unfit::Dangling,
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Unfit::Absent,
        Errno::LOOP => Unfit::Circle,
        errno => Unfit::Unreadable(errno.into()),
    })?;
    if !rustix::fs::FileType::from_raw_mode(looked.st_mode).is_file() {
        return Err(Unfit::NoFile);
    }
    let mut file = File::from(open(OFlags::RDONLY).map_err(|errno| Unfit::Unreadable(errno.into()))?);
    let mode = file.metadata().map_err(Unfit::Unreadable)?.permissions().mode();
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head).map_err(Unfit::Unreadable)?;
    // Who may execute it is asked last: a file without a right that cannot be read either is damaged.
    if mode & 0o111 == 0 {
        return Err(Unfit::Mode(mode));
    }
    if head.is_empty() {
        return Err(Unfit::Empty);
    }
    let interpreter = match head.strip_prefix(b"#!") {
        Some(line) => script(line)?,
        None => loader(&mut file)?,
    };
    match interpreter.filter(|path| path.is_absolute()) {
        None => Ok(()),
        Some(_) if scripts == 0 => Err(Unfit::NoProgram),
        Some(path) => judge(root, &path, scripts - 1).map_err(|why| match why {
            Unfit::Absent | Unfit::Dangling | Unfit::Circle => Unfit::Interpreter(path),
            why => why,
        }),
    }
}

/// The interpreter in the first line of a script, behind `#!`.
fn script(line: &[u8]) -> Result<Option<PathBuf>, Unfit> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    let word = words.next().ok_or(Unfit::NoProgram)?;
    Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(word))))
}

/// The loader that a program names, if it does.
fn loader(file: &mut File) -> Result<Option<PathBuf>, Unfit> {
    let program = elf::program(file).map_err(|error| Unfit::Unreadable(io::Error::other(error)))?;
    let program = program.ok_or(Unfit::NoProgram)?;
    match program.is_native() {
        true => Ok(program.loader),
        false => Err(Unfit::Machine(program.processor())),
    }
}

#[cfg(test)]
mod tests;
