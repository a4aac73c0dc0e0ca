//! Mounts through the descriptor-based API (`fsopen(2)`, Linux 5.2): a mount is complete before it becomes visible,
//! and the kernel says in words why it refuses.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree,
    unmount,
};

use crate::patient;
use crate::plan::flags;
use crate::plan::step::NO_LINKS;

/// Bytes of kernel messages read from one context; a line is far shorter.
const MESSAGE_BYTES: usize = 1024;
/// Bytes that the kernel takes of the value of one option.
pub const VALUE_BYTES: usize = 255;
/// Kernel messages read from one context: the kernel keeps at most 8.
const MESSAGES: usize = 8;

/// A mount that failed, with the operation and the kernel's own words.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {}{}", meaning(*.errno), self.words())]
pub struct MountError {
    /// The system call and its argument.
    pub operation: String,
    /// Its error number.
    pub errno: Errno,
    /// What the kernel wrote into the file-system context.
    pub messages: Vec<String>,
}

impl MountError {
    /// Whether the driver says that the structure on the device is damaged. Everything else may be the machine, a cable,
    /// somebody who uses it, or a feature that only a newer kernel knows.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        is_damage(self.errno)
    }

    fn words(&self) -> String {
        if self.messages.is_empty() { String::new() } else { format!(" (kernel: {})", self.messages.join("; ")) }
    }
}

/// File systems have two error numbers for themselves: a structure that cannot be, and a wrong checksum.
pub(super) fn is_damage(errno: Errno) -> bool {
    matches!(errno, Errno::UCLEAN | Errno::BADMSG)
}

/// The text of an error number. musl has none for what a damaged file system gives.
fn meaning(errno: Errno) -> String {
    match errno {
        Errno::UCLEAN => "the file system is damaged (structure needs cleaning)".to_owned(),
        other => other.to_string(),
    }
}

/// A file system to be mounted.
#[derive(Debug)]
pub struct FileSystem<'a> {
    /// Driver name.
    pub fs: &'a str,
    /// What `/proc/mounts` shows as source; a block device for most.
    pub source: &'a str,
    /// Options, `key` or `key=value`.
    pub options: Vec<String>,
    /// Refuse writes to the file system and through the mount.
    pub read_only: bool,
    /// What it is there for, which says what the kernel obeys on it.
    pub purpose: Purpose,
}

/// What a mount is there for. Through an overlay the mount of the overlay decides, not those of its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The root of the real system.
    Root,
    /// `/dev`.
    Devices,
    /// What our own programs for the live system and for power-off are run from.
    Programs,
    /// All else: what anybody may have made (medium, host, image, area), our own RAM, the kernel's `/proc` and `/sys`. An old
    /// set-uid program stays in a layer when the system has a new one (attacks.md F8).
    Data,
}

/// Mounts on which something is obeyed: all others are `nosuid,nodev,noexec`. For whom, which mounts these are, what is not obeyed on
/// them, and why the rest is. The same table is in docs/decisions/0028-attacker-with-the-stick.md.
const EXCEPTIONS: [(Purpose, &str, MountFlags, &str); 3] = [
    (Purpose::Root, "the root", MountFlags::empty(), "it is the system"),
    (
        Purpose::Devices,
        "`/dev` (native)",
        MountFlags::NOSUID,
        "device nodes are what it is there for, and programs map the memory of some of them (SGX) to run it; it is the kernel's own \
         list",
    ),
    (
        Purpose::Programs,
        "`/run` (native), `/run/initramfs`",
        MountFlags::NOSUID.union(MountFlags::NODEV),
        "`/run/rdlive/rdlive` and the shutdown program are there; a `noexec` of somebody else is taken away at `/run/initramfs` \
         alone, with a mount of its own",
    ),
];

impl Purpose {
    /// What the kernel does not obey.
    fn ignored(self) -> MountFlags {
        let exception = EXCEPTIONS.iter().find(|(purpose, ..)| *purpose == self);
        exception.map_or(INERT, |(_, _, ignored, _)| *ignored)
    }

    fn attributes(self) -> MountAttrFlags {
        let pairs = [
            (MountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
            (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
            (MountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        ];
        pairs.into_iter().filter(|(flag, _)| self.ignored().contains(*flag)).map(|(_, attribute)| attribute).collect()
    }
}

/// The field of access times: `MOUNT_ATTR__ATIME` without `nodiratime`, which is a bit of its own.
const ATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOATIME.union(MountAttrFlags::MOUNT_ATTR_STRICTATIME);

/// What one of [`flags::is_of_the_mount`] is for the kernel; nothing for an option of the driver. Access times that are updated relatively
/// are the kernel's default, a zero.
fn attribute(option: &str) -> MountAttrFlags {
    match option {
        "noatime" => MountAttrFlags::MOUNT_ATTR_NOATIME,
        "strictatime" => MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        "nodiratime" => MountAttrFlags::MOUNT_ATTR_NODIRATIME,
        "nodev" => MountAttrFlags::MOUNT_ATTR_NODEV,
        "nosuid" => MountAttrFlags::MOUNT_ATTR_NOSUID,
        _ => MountAttrFlags::empty(),
    }
}

/// `MOUNT_ATTR_NOSYMFOLLOW` of the kernel's `linux/mount.h`.
const NOSYMFOLLOW: MountAttrFlags = MountAttrFlags::from_bits_retain(0x0020_0000);

/// What is not obeyed where nothing is.
const INERT: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts a file system at a directory.
///
/// # Errors
/// The call that failed, its errno and the kernel's messages.
pub fn attach(what: &FileSystem<'_>, at: &Path) -> Result<(), MountError> {
    let detached = detached(what)?;
    move_mount(detached.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| plain(format!("attaching {} at {}", what.fs, at.display()), errno))
}

fn detached(what: &FileSystem<'_>) -> Result<OwnedFd, MountError> {
    let context = fsopen(what.fs, FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|errno| plain(format!("opening file system type {}", what.fs), errno))?;
    let context = File::from(context);
    let fail = |operation: String, errno| MountError { operation, errno, messages: messages(&context) };
    fsconfig_set_string(context.as_fd(), "source", what.source)
        .map_err(|errno| fail(format!("{}: source {}", what.fs, what.source), errno))?;
    if what.read_only {
        fsconfig_set_flag(context.as_fd(), "ro").map_err(|errno| fail(format!("{}: ro", what.fs), errno))?;
    }
    let for_the_driver = |option: &&String| *option != NO_LINKS && !flags::is_of_the_mount(option);
    for option in what.options.iter().filter(for_the_driver) {
        match option.split_once('=') {
            Some((key, value)) if value.len() > VALUE_BYTES => {
                let (fs, length) = (what.fs, value.len());
                let operation = format!("{fs}: option {key} has {length} bytes, the kernel takes {VALUE_BYTES}");
                return Err(plain(operation, Errno::NAMETOOLONG));
            }
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value),
            None => fsconfig_set_flag(context.as_fd(), option.as_str()),
        }
        .map_err(|errno| fail(format!("{}: option {option}", what.fs), errno))?;
    }
    fsconfig_create(context.as_fd())
        .map_err(|errno| fail(format!("mounting {} as {}", what.source, what.fs), errno))?;
    let mut attributes = what.purpose.attributes();
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, what.read_only);
    for asked in what.options.iter().map(|option| attribute(option)) {
        // Of the words about access times the last one counts.
        if asked.intersects(ATIME) {
            attributes.remove(ATIME);
        }
        attributes |= asked;
    }
    let mount = |attributes| fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes);
    let mounted = match what.options.iter().any(|option| option == NO_LINKS) {
        // Linux 5.14. An older one follows links.
        true => mount(attributes | NOSYMFOLLOW).or_else(|errno| match errno {
            Errno::INVAL => mount(attributes),
            errno => Err(errno),
        }),
        false => mount(attributes),
    };
    mounted.map_err(|errno| fail(format!("mounting {}", what.fs), errno))
}

fn plain(operation: String, errno: Errno) -> MountError {
    MountError { operation, errno, messages: Vec::new() }
}

/// The kernel's messages, newest last, without the level letter that starts each.
fn messages(mut context: &File) -> Vec<String> {
    let mut lines = Vec::new();
    let mut buffer = [0; MESSAGE_BYTES];
    // Each read returns one message; ENODATA ends the list.
    while let Ok(length @ 1..) = context.read(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        lines.push(line.trim_start_matches(['e', 'w', 'i']).trim().to_owned());
        if lines.len() == MESSAGES {
            break;
        }
    }
    lines
}

/// Shows a directory at a second place.
///
/// # Errors
/// The call that failed and its errno.
pub fn bind(from: &Path, at: &Path) -> Result<(), MountError> {
    let tree = open_tree(CWD, from, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(|errno| plain(format!("opening the tree {}", from.display()), errno))?;
    move_mount(tree.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| plain(format!("attaching {} at {}", from.display(), at.display()), errno))
}

/// Unmounts what nobody uses.
///
/// # Errors
/// The errno of `umount2(2)`: `EBUSY` when somebody does.
fn release(at: &Path) -> Result<(), MountError> {
    unmount(at, UnmountFlags::NOFOLLOW).map_err(|errno| plain(format!("unmounting {}", at.display()), errno))
}

/// Makes a mount that somebody else has made a layer: nothing on it is obeyed or written through it.
///
/// # Errors
/// The errno of `mount(2)`.
pub fn make_inert(at: &Path) -> Result<(), MountError> {
    mount_remount(at, MountFlags::BIND | MountFlags::RDONLY | INERT, c"")
        .map_err(|errno| plain(format!("taking the rights of {}", at.display()), errno))
}

/// What is not obeyed on a mount, for [`give_back`].
#[must_use]
pub fn ignored(at: &Path) -> MountFlags {
    let flags = rustix::fs::statvfs(at).map_or(StatVfsMountFlags::empty(), |facts| facts.f_flag);
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
    ];
    pairs.into_iter().filter(|(shown, _)| flags.contains(*shown)).map(|(_, flag)| flag).collect()
}

/// Takes [`make_inert`] back: on the mount nothing but `ignored` is ignored.
///
/// # Errors
/// The errno of `mount(2)`.
pub fn give_back(at: &Path, ignored: MountFlags) -> Result<(), MountError> {
    mount_remount(at, MountFlags::BIND | ignored, c"")
        .map_err(|errno| plain(format!("giving {} its rights back", at.display()), errno))
}

/// Gives a directory a mount of its own, on which programs run though they do not around it.
///
/// # Errors
/// The errno of `mount(2)`.
pub fn let_programs_run(dir: &Path) -> Result<(), MountError> {
    bind(dir, dir)?;
    mount_remount(dir, MountFlags::BIND | Purpose::Programs.ignored(), c"")
        .map_err(|errno| plain(format!("letting programs run in {}", dir.display()), errno))
}

/// Allows writing to a file system that is mounted read-only, and through this mount, on which nothing is obeyed.
///
/// # Errors
/// The errno of `mount(2)`.
pub fn allow_writes(at: &Path) -> Result<(), MountError> {
    mount_remount(at, INERT, options_of(at))
        .map_err(|errno| plain(format!("remounting {} for writing", at.display()), errno))
}

/// Takes [`allow_writes`] back.
///
/// # Errors
/// The errno of `mount(2)`: `EBUSY` while a file is open for writing.
pub fn forbid_writes(at: &Path) -> Result<(), MountError> {
    mount_remount(at, MountFlags::RDONLY | INERT, options_of(at))
        .map_err(|errno| plain(format!("remounting {} read-only", at.display()), errno))
}

/// What a driver wants to hear again when it mounts anew: ntfs3 takes no other character set than before for that.
fn options_of(at: &Path) -> &'static CStr {
    let is_ntfs = rustix::fs::statfs(at).is_ok_and(|facts| facts.f_type as u64 == NTFS3);
    if is_ntfs { c"iocharset=utf8" } else { c"" }
}

/// `f_type` of ntfs3 in statfs(2): `ntfs`.
const NTFS3: u64 = 0x7366_746e;

/// How long a mount that is given back may stay busy: programs that were just started still hold files of it, and the
/// kernel frees a loop device a moment after its last user.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// As [`forbid_writes`], with time for those who just used it.
///
/// # Errors
/// The errno of `mount(2)`: `EBUSY` if a file stays open for writing.
pub fn forbid_writes_patiently(at: &Path) -> Result<(), MountError> {
    patiently(|| forbid_writes(at))
}

/// Takes a mount away for good: afterwards its device can be mounted in another way.
///
/// # Errors
/// The errno of `umount2(2)`: `EBUSY` if it stays in use.
pub fn release_patiently(at: &Path) -> Result<(), MountError> {
    patiently(|| release(at))
}

/// Waits, as long as for a busy mount, until nothing is mounted from a device in any namespace. Before that, mounting it again gives
/// the same file system with its old options.
pub fn forgotten(node: &Path) {
    let claim = || rustix::fs::open(node, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty());
    let claimed = patiently(|| claim().map(drop).map_err(|errno| plain(format!("claiming {}", node.display()), errno)));
    if let Err(error) = claimed {
        log::debug!("{error}: it is mounted elsewhere");
    }
}

fn patiently(attempt: impl Fn() -> Result<(), MountError>) -> Result<(), MountError> {
    patient::patiently(BUSY_LIMIT, Duration::from_millis(2), |error: &MountError| error.errno == Errno::BUSY, attempt)
}

/// Takes a mount away at once; it disappears for good when its last user does.
///
/// # Errors
/// The errno of `umount2(2)`.
pub fn detach(at: &Path) -> Result<(), MountError> {
    unmount(at, UnmountFlags::DETACH).map_err(|errno| plain(format!("unmounting {}", at.display()), errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exceptions_are_those_of_the_decision() {
        let page = include_str!("../../../docs/decisions/0028-attacker-with-the-stick.md");
        let mut rows = page.lines().skip_while(|line| *line != "| mount | refused | why the rest is obeyed |").skip(2);
        for (purpose, mounts, ignored, why) in EXCEPTIONS {
            let flags = [(MountFlags::NOSUID, "nosuid"), (MountFlags::NODEV, "nodev"), (MountFlags::NOEXEC, "noexec")];
            let refused: Vec<_> =
                flags.into_iter().filter(|(flag, _)| ignored.contains(*flag)).map(|(_, word)| word).collect();
            let refused = if refused.is_empty() { "nothing".to_owned() } else { format!("`{}`", refused.join(",")) };
            assert_eq!(rows.next(), Some(format!("| {mounts} | {refused} | {why} |").as_str()), "{purpose:?}");
        }
        assert_eq!(rows.next(), Some(""), "a row of the page has no exception");
        assert_eq!(Purpose::Data.ignored(), INERT);
    }

    #[test]
    fn what_is_in_use_is_not_damaged() {
        let error = |errno| MountError { operation: String::new(), errno, messages: Vec::new() };
        for errno in [Errno::BUSY, Errno::NODEV, Errno::INVAL, Errno::IO, Errno::NOMEM] {
            assert!(!error(errno).is_damage(), "{errno}");
        }
        assert!(error(Errno::UCLEAN).is_damage() && error(Errno::BADMSG).is_damage());
    }

    #[test]
    fn a_damaged_file_system_is_called_so_with_every_libc() {
        let error =
            MountError { operation: "mounting x".into(), errno: Errno::UCLEAN, messages: vec!["bad inode".into()] };
        let expected = "mounting x: the file system is damaged (structure needs cleaning) (kernel: bad inode)";
        assert_eq!(error.to_string(), expected);
    }
}
