//! The overlay: its layers, and how the kernel is told of them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{XattrFlags, lsetxattr};

use super::apply::Executor;
use super::basics::{environment, make_dir};
use super::mount::{self, FileSystem, Purpose};
use super::unwind::Undo;
use crate::area::{WORK, upper_attribute};
use crate::error::{Code, Stop};
use crate::foreign;
use crate::layout;

impl Executor<'_> {
    pub(super) fn overlay(
        &mut self,
        lower: &[PathBuf],
        upper: &Path,
        work: &Path,
        options: &[String],
        at: &Path,
    ) -> Result<(), Stop> {
        let is_new = is_empty(&self.env.path(upper));
        self.directory(upper)?;
        self.directory(work)?;
        // All but the last are kept changes; that one is the image's, where there may be a link of ours.
        for kept in lower.iter().rev().skip(1) {
            foreign::directory(self.env, kept)?;
        }
        let named = (upper, work);
        let (upper, work) = (self.env.path(upper), self.env.path(work));
        if let Some(top) = lower.first().filter(|_| is_new) {
            as_below(&self.env.path(top), &upper)?;
        }
        // Each takes its share of the one value, with a colon behind it.
        let room = mount::VALUE_BYTES / lower.len().max(1) - 1;
        let lowers: Vec<_> =
            lower.iter().map(|path| self.layer(&self.env.path(path), room)).collect::<Result<_, _>>()?;
        let mut all = vec![
            format!("lowerdir={}", lowers.join(":")),
            format!("upperdir={}", self.layer(&upper, mount::VALUE_BYTES)?),
            format!("workdir={}", self.layer(&work, mount::VALUE_BYTES)?),
        ];
        all.extend(options.iter().cloned());
        let what = FileSystem {
            fs: "overlay",
            source: layout::ROOT_SOURCE,
            options: all,
            read_only: false,
            purpose: Purpose::Root,
        };
        let target = self.env.path(at);
        make_dir(&target)?;
        mount::attach(&what, &target).map_err(|error| {
            Stop::new(Code::OverlayMount, error.to_string())
                .advice("check rootflags=; the overlay needs an upper directory on tmpfs, ext4, xfs or btrfs")
        })?;
        self.undo(Undo::Unmount(target));
        self.say_whose(named.0, named.1);
        Ok(())
    }

    /// Writes down whose work directory it is, so that a reset empties no other directory beside it. What cannot be written down is asked of
    /// the directory itself then.
    fn say_whose(&self, upper: &Path, work: &Path) {
        let attribute = upper.file_name().and_then(upper_attribute);
        if let Some(attribute) = attribute.filter(|_| work.file_name().is_some_and(|name| name == WORK)) {
            let _ = lsetxattr(self.env.path(work), attribute, b"", XattrFlags::empty());
        }
    }

    /// How the overlay is told of a layer, in at most `room` bytes. Colons and backslashes have a meaning there, older
    /// kernels take no commas, and how to write them differs between kernels. A link with a plain name works everywhere.
    fn layer(&mut self, path: &Path, room: usize) -> Result<String, Stop> {
        let text = path.to_string_lossy();
        if text.len() <= room && !text.contains([':', '\\', ',', char::REPLACEMENT_CHARACTER]) {
            return Ok(text.into_owned());
        }
        let links = self.env.path(layout::LAYERS);
        make_dir(&links)?;
        let failed = |error: io::Error| environment("naming the layer", path, &error);
        let named = |number: &u32| fs::symlink_metadata(links.join(number.to_string())).is_ok();
        let free = (0..).find(|number| !named(number)).unwrap_or_default();
        let link = links.join(free.to_string());
        symlink(path, &link).map_err(failed)?;
        let name = link.to_string_lossy().into_owned();
        self.undo(Undo::Unlink(link));
        Ok(name)
    }
}

/// Whether nothing is in a directory, or there is none.
fn is_empty(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The merged root shows the upper directory's mode, owner and attributes, so a new one must be given those of the image's root: a security
/// module goes by the label of `/`. One that holds changes keeps what the system has made of it since.
fn as_below(from: &Path, to: &Path) -> Result<(), Stop> {
    let meta = fs::metadata(from).map_err(|error| environment("reading", from, &error))?;
    for name in attributes(from).iter().filter(|name| is_shown(name)) {
        // What this file system or kernel has not, the root has not.
        if let Err(error) = copy_attribute(from, to, name) {
            log::info!("giving the root {name} of the image's: {error}, ignoring");
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))
        .and_then(|()| chown(to, Some(meta.uid()), Some(meta.gid())))
        .map_err(|error| environment("setting the mode of", to, &error))?;
    let times = fs::FileTimes::new().set_modified(meta.modified().unwrap_or(UNIX_EPOCH));
    let _ = fs::File::open(to).and_then(|dir| dir.set_times(times));
    Ok(())
}

/// Whether an attribute of the image's root is one of the merged root: labels and capabilities, access lists, and what users put there. Those
/// of an overlay are its own.
fn is_shown(name: &str) -> bool {
    let classes = ["security.", "system.posix_acl_", "user."];
    classes.iter().any(|class| name.starts_with(class)) && !name.starts_with("user.overlay.")
}

/// The names of the extended attributes of a directory.
fn attributes(dir: &Path) -> Vec<String> {
    let mut names = vec![0; MAX_ATTRIBUTES];
    let length = rustix::fs::listxattr(dir, &mut names[..]).unwrap_or_default();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| std::str::from_utf8(name).ok()).map(str::to_owned).collect()
}

fn copy_attribute(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let mut value = vec![0; MAX_ATTRIBUTES];
    let length = rustix::fs::getxattr(from, name, &mut value[..])?;
    Ok(rustix::fs::setxattr(to, name, &value[..length], XattrFlags::empty())?)
}

/// Bytes that a value, and all names together, can have (Linux: `XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX_ATTRIBUTES: usize = 64 << 10;
