//! The overlay: its layers, and how the kernel is told of them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, lsetxattr};

use super::apply::Executor;
use super::basics::{environment, make_dir};
use super::mount::{self, FileSystem, Purpose};
use super::unwind::Undo;
use crate::area::{UPPER, WORK};
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
        self.directory(upper)?;
        self.directory(work)?;
        self.say_whose(upper, work);
        // All but the last are kept changes; that one is the image's, where there may be a link of ours.
        for kept in lower.iter().rev().skip(1) {
            foreign::directory(self.env, kept)?;
        }
        let (upper, work) = (self.env.path(upper), self.env.path(work));
        if let Some(top) = lower.first() {
            same_owner_and_mode(&self.env.path(top), &upper)?;
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
        Ok(())
    }

    /// Writes down whose work directory it is, so that a reset empties no other directory beside it. What cannot be written down is asked of
    /// the directory itself then.
    fn say_whose(&self, upper: &Path, work: &Path) {
        if let Some(name) = upper.file_name().filter(|_| work.file_name().is_some_and(|name| name == WORK)) {
            let _ = lsetxattr(self.env.path(work), UPPER, name.as_encoded_bytes(), XattrFlags::empty());
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

/// The merged root shows the upper directory's mode and owner, so it must be given those of the image's root.
fn same_owner_and_mode(from: &Path, to: &Path) -> Result<(), Stop> {
    let meta = fs::metadata(from).map_err(|error| environment("reading", from, &error))?;
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))
        .and_then(|()| chown(to, Some(meta.uid()), Some(meta.gid())))
        .map_err(|error| environment("setting the mode of", to, &error))
}
