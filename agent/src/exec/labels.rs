//! SELinux labels: of what is put into the root, and of the root itself when the policy of the image is loaded. Enforcing is never switched
//! on or off here: that is the business of the kernel's `enforcing=` and of the real system.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, lsetxattr};

use super::apply::Executor;
use super::mount::{self, FileSystem, Purpose};
use crate::error::{Code, Stop};
use crate::foreign;
use crate::probe::labels::{ATTRIBUTE, SELINUX, is_loaded, label};

/// Bytes of a policy: the largest ones that distributions have are 10 MB, and the kernel wants it in one piece.
const POLICY_LIMIT: u64 = 64 << 20;

/// Gives something new in a directory the label of what it stands in for, or else that of the directory.
pub(super) fn like(dir: &OwnedFd, old: &CStr, new: &CStr) {
    let dir = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    let name = |name: &CStr| dir.join(OsStr::from_bytes(name.to_bytes()));
    if let Some(label) = label(&name(old)).or_else(|| label(&name(c"."))) {
        // Where nobody can set it, nobody reads it.
        let _ = lsetxattr(name(new), ATTRIBUTE, &label, XattrFlags::empty());
    }
}

impl Executor<'_> {
    /// Loads the policy of the root's system, if none is loaded, and labels all in the upper directory again.
    pub(super) fn labels(&self, policies: &Path, root: &Path, upper: &Path, lower: &[PathBuf]) -> Result<(), Stop> {
        let at = |path: &Path| self.env.path(path);
        let mut named = policies.to_owned();
        let mut result = if is_loaded(self.env) { Ok(()) } else { self.load_policy(&at(root), &mut named) };
        if result.is_ok() {
            named = root.to_owned();
            let lower: Vec<_> = lower.iter().map(|path| at(path)).collect();
            result = give(&Layers { root: &at(root), upper: &at(upper), lower: &lower }, Path::new(""), &[]);
        }
        result.map_err(|error| Stop::new(Code::Labels, format!("{}: {error}", named.display())))
    }

    /// Loads the newest policy that the kernel reads of those in a directory of the root, `file`, which becomes the path of that policy: the
    /// real system takes the same.
    fn load_policy(&self, root: &Path, file: &mut PathBuf) -> io::Result<()> {
        let kernels = self.env.path(SELINUX);
        let mounted = !kernels.join("load").exists();
        if mounted {
            let (fs, options) = ("selinuxfs", Vec::new());
            let what = FileSystem { fs, source: fs, options, read_only: false, purpose: Purpose::Data };
            mount::attach(&what, &kernels).map_err(io::Error::other)?;
        }
        let highest = self.env.text(Path::new(SELINUX).join("policyvers")).and_then(|text| text.parse().ok());
        let loaded =
            newest(root, file, highest.unwrap_or_default()).and_then(|policy| load(&kernels.join("load"), &policy));
        // The real system mounts it where it wants it; programs of an initrd that see it look for settings which only the root has.
        if mounted {
            let _ = mount::detach(&kernels);
        }
        loaded
    }
}

/// Of the policies in a directory of the root the newest that a kernel reads, which says `highest`: the one that the real system takes.
fn newest(root: &Path, file: &mut PathBuf, highest: u32) -> io::Result<Vec<u8>> {
    for version in (1..=readable(highest)).rev() {
        let path = file.join(format!("policy.{version}"));
        match foreign::read_inside(root, &path, POLICY_LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => {
                *file = path;
                return read.map(|policy| as_the_kernels(policy, highest));
            }
        }
    }
    Err(io::Error::other("there is no policy that this kernel reads"))
}

/// The newest version that a kernel reads if it is told that it is the kernel's own. Versions 33 and 34 have one form; what the newer one
/// allows in it, extended permissions below a condition, the older kernel reads too. Debian 13 has policies of version 34, and a kernel for
/// 33; its real system writes them anew with libsepol.
fn readable(highest: u32) -> u32 {
    if highest == 33 { 34 } else { highest }
}

/// States the kernel's own version in a policy that is newer and [`readable`]: behind the magic number, a length and a word of eight bytes.
fn as_the_kernels(mut policy: Vec<u8>, highest: u32) -> Vec<u8> {
    if let Some(version) = policy.get_mut(16..20)
        && version == readable(highest).to_le_bytes()
    {
        version.copy_from_slice(&highest.to_le_bytes());
    }
    policy
}

/// The kernel takes a policy in one piece.
fn load(kernels: &Path, policy: &[u8]) -> io::Result<()> {
    let written = File::options().write(true).open(kernels)?.write(policy)?;
    if written == policy.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The root and its layers, as paths of this machine.
struct Layers<'a> {
    root: &'a Path,
    upper: &'a Path,
    lower: &'a [PathBuf],
}

/// Gives what is at a path of the upper directory, and all below, the labels that they ought to have: of what is there in a lower layer, or
/// else `above`, that of the directory. The first error is told when all is done.
fn give(layers: &Layers<'_>, path: &Path, above: &[u8]) -> io::Result<()> {
    let upper = layers.upper.join(path);
    let kind = fs::symlink_metadata(&upper)?.file_type();
    // How an overlay remembers that something was deleted.
    if kind.is_char_device() {
        return Ok(());
    }
    let own = layers.lower.iter().find_map(|lower| label(&lower.join(path)));
    let own = own.as_deref().unwrap_or(above);
    // Through the overlay, which has a label in mind for each, too.
    let mut result = lsetxattr(layers.root.join(path), ATTRIBUTE, own, XattrFlags::empty()).map_err(io::Error::from);
    if kind.is_dir() {
        for entry in fs::read_dir(upper)? {
            let below = give(layers, &path.join(entry?.file_name()), own);
            result = result.and(below);
        }
    }
    result
}
