//! The steps that every boot has: drivers, loop devices, mounts, directories and links.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use rdlive_sys::loopdev::{self, LoopDevice, Setup};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::apply::Executor;
use super::mount::{self, FileSystem, Purpose};
use super::protected::Protected;
use super::sign::{self, Noted};
use super::unfinished;
use super::unwind::Undo;
use super::witness::Witness;
use crate::area::Found;
use crate::config::{Access, TmpfsSize};
use crate::error::{Code, Stop};
use crate::foreign;
use crate::format::{self, Compressor, torn};
use crate::plan::{Place, Slot};

/// What is in a file was made for sectors of this length, or can do with them.
const SECTOR: u32 = 512;

/// Whether one sector can be read of a device: some file systems take a file for direct I/O and then refuse each request, or those that are
/// no whole blocks of theirs. A read through the page cache would be a whole page.
fn reads(device: &LoopDevice) -> bool {
    let device = &device.device;
    let past_the_cache = |on: bool| {
        fcntl_getfl(device)
            .and_then(|flags| fcntl_setfl(device, if on { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT }))
    };
    let mut sectors = [0; 2 * SECTOR as usize];
    let aligned = sectors.as_ptr().align_offset(SECTOR as usize);
    let read = past_the_cache(true).is_ok()
        && sectors
            .get_mut(aligned..aligned + SECTOR as usize)
            .is_some_and(|sector| device.read_exact_at(sector, 0).is_ok());
    past_the_cache(false).is_ok() && read
}

impl Executor<'_> {
    /// Tells the kernel of the devices of a btrfs. Of one that it does not take, the mount says what is missing.
    pub(super) fn members(&self, nodes: &[PathBuf]) {
        let control = self.env.path("dev/btrfs-control");
        for node in nodes {
            if let Err(error) = rdlive_sys::btrfs::scan(&control, &self.env.path(node)) {
                log::warn!("telling the kernel of {}: {error}", node.display());
            }
        }
    }

    pub(super) fn loop_device(
        &mut self,
        file: &Path,
        access: Access,
        direct_io: bool,
        into: Slot,
        found: Option<Found>,
    ) -> Result<(), Stop> {
        let path = self.env.path(file);
        let fail = |operation: &str, error: io::Error| {
            Stop::new(Code::LoopSetup, format!("{operation} {}: {error}", file.display()))
                .advice("see docs/troubleshooting.md; is the medium readable to its end?")
        };
        let witness = match access {
            Access::ReadOnly => None,
            Access::ReadWrite => {
                let opened = foreign::open_for_writing(self.env, file).map_err(|error| fail("opening", error))?;
                Some(Witness::of_file(self.env, opened, file, found)?)
            }
        };
        let opened = match &witness {
            Some(witness) => witness.file(),
            None => &File::open(&path).map_err(|error| fail("opening", error))?,
        };
        if access == Access::ReadWrite {
            sign::noted(self.env, file).iter().for_each(Noted::note);
            if found.is_some() {
                unfinished::forget_replacing(self.env, file);
            }
        }
        // With direct I/O the kernel would take over the sectors of the disk below, which may be too long for what is in the file.
        let read_only = access == Access::ReadOnly;
        let setup = Setup { read_only, direct_io, autoclear: true, sector: SECTOR, ..Setup::default() };
        let attach = |setup| loopdev::attach(&self.env.path("dev"), opened, &path.to_string_lossy(), setup);
        let direct = direct_io.then(|| attach(setup).ok().filter(reads)).flatten();
        let device = direct.map_or_else(|| attach(Setup { direct_io: false, ..setup }), Ok);
        let device = device.map_err(|error| fail("attaching a loop device to", error))?;
        let node = self.env.path(format!("dev/loop{}", device.number));
        self.hold(into, node, Some(device));
        Ok(())
    }

    pub(super) fn mount(
        &mut self,
        what: &Place,
        fs: &str,
        access: Access,
        options: &[String],
        at: &Path,
    ) -> Result<(), Stop> {
        let (source, code) = match what {
            Place::Slot(slot) => {
                let code = match slot {
                    Slot::Medium | Slot::Host | Slot::Root | Slot::Looked => Code::MediumMount,
                    Slot::Cow => Code::AreaDamaged,
                    _ => Code::ImageMount,
                };
                let node = self.node(*slot).map(|node| node.to_string_lossy().into_owned());
                let missing = if code == Code::AreaDamaged { Code::AreaUnavailable } else { code };
                (node.ok_or_else(|| Stop::new(missing, format!("no device is known as {slot}")))?, code)
            }
            Place::Named(name) => (name.clone(), Code::MediumMount),
        };
        // A journal is replayed by a mount for reading, too. The witness lives until the mount itself holds the device.
        let _witness = match what {
            Place::Slot(slot) => Some(self.witness(*slot).map_err(|stop| match code {
                Code::AreaDamaged => stop,
                code => Stop { code, ..stop },
            })?),
            Place::Named(_) => None,
        };
        let target = self.env.path(at);
        make_dir(&target)?;
        let read_only = access == Access::ReadOnly;
        // A device-mapper root is mounted where the real system starts.
        let purpose = if *what == Place::Slot(Slot::Live) { Purpose::Root } else { Purpose::Data };
        let mut options = options.to_vec();
        options.extend(sign::option(fs, &source, &options).map(str::to_owned));
        let what = FileSystem { fs, source: &source, options, read_only, purpose };
        let untouched = read_only && what.options.iter().any(|option| option == "noload");
        let _protected = untouched.then(|| Protected::new(Path::new(&source))).flatten();
        let attached = attach_named(&what, &target).or_else(|error| match by_copy(&what, &error) {
            Some(options) => {
                log::warn!("{error}: a power cut has torn the superblock, reading the file system by its copy");
                mount::attach(&FileSystem { options, ..what }, &target)
            }
            None => Err(error),
        });
        attached.map_err(|error| {
            let code = if code == Code::AreaDamaged && !error.is_damage() { Code::AreaUnavailable } else { code };
            let unreadable = (code == Code::ImageMount).then(|| unreadable(Path::new(&source))).flatten();
            unreadable.map_or_else(|| refused(code, &error), |compressor| undone(&error, compressor))
        })?;
        self.undo(Undo::Unmount(target));
        Ok(())
    }

    pub(super) fn tmpfs(&mut self, size: TmpfsSize, options: &[String], at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        make_dir(&target)?;
        let mut options = options.to_vec();
        options.insert(0, format!("size={size}"));
        options.push("mode=0755".to_owned());
        let what = FileSystem { fs: "tmpfs", source: "tmpfs", options, read_only: false, purpose: Purpose::Data };
        mount::attach(&what, &target).map_err(|error| {
            Stop::new(Code::WriteArea, error.to_string()).advice("check rd.live.overlay.size and rd.overlay=tmpfs:…")
        })?;
        self.undo(Undo::Unmount(target));
        Ok(())
    }

    pub(super) fn release(&mut self, slot: Slot, at: Option<&Path>) -> Result<(), Stop> {
        if let Some(at) = at {
            let target = self.env.path(at);
            mount::release_patiently(&target).map_err(|error| Stop::new(Code::RamCopy, error.to_string()))?;
            self.undone(&target);
        }
        // Closing a loop device frees it; a device that is still plugged in keeps its name.
        self.free(slot);
        Ok(())
    }

    pub(super) fn bind(&mut self, from: &Path, at: &Path) -> Result<(), Stop> {
        let target = self.env.path(at);
        make_dir(&target)?;
        mount::bind(&self.env.path(from), &target).map_err(|error| Stop::new(Code::ImageMount, error.to_string()))?;
        self.undo(Undo::Unmount(target));
        Ok(())
    }

    pub(super) fn move_mount(&mut self, from: &Path, at: &Path) -> Result<(), Stop> {
        let (from, target) = (self.env.path(from), self.env.path(at));
        make_dir(&target)?;
        // A mount inside of a shared one, as systemd makes all of them, cannot be moved in one piece.
        let ignored = mount::ignored(&from);
        mount::bind(&from, &target)
            .and_then(|()| mount::detach(&from))
            .map_err(|error| Stop::new(Code::ImageMount, error.to_string()))?;
        self.undo(Undo::MoveBack { from: target.clone(), to: from, ignored });
        // `rw` on the command line mounted it for writing. Nothing writes below an overlay; this says so to the kernel.
        if let Err(error) = mount::make_inert(&target).and_then(|()| mount::forbid_writes(&target)) {
            log::warn!("{error}, ignoring");
        }
        Ok(())
    }

    /// Makes a directory; it may lie on a file system that is not ours.
    pub(super) fn directory(&self, path: &Path) -> Result<(), Stop> {
        foreign::directory(self.env, path)?;
        make_dir(&self.env.path(path))
    }

    pub(super) fn symlink(&mut self, at: &Path, to: &Path) -> Result<(), Stop> {
        let link = self.env.path(at);
        if fs::read_link(&link).is_ok_and(|target| target == to) {
            return Ok(());
        }
        if let Some(parent) = link.parent() {
            make_dir(parent)?;
        }
        match fs::remove_file(&link) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A directory of that name is somebody's mount point or data: better no link than a lost directory.
            Err(error) => {
                log::warn!("link {}: {error}, ignoring", link.display());
                return Ok(());
            }
        }
        symlink(to, &link).map_err(|error| environment("making the link", &link, &error))?;
        self.undo(Undo::Unlink(link));
        Ok(())
    }
}

/// The option with which a driver gives names as UTF-8, in which paths of the command line are, and for which it needs no module of its
/// own (`Documentation/filesystems/{vfat,isofs,ntfs3}.rst`). Without it the kernel's own default counts, which may know no such letters.
fn names_option(fs: &str) -> Option<&'static str> {
    match fs {
        "vfat" => Some("utf8=1"),
        "iso9660" => Some("utf8"),
        "exfat" | "ntfs3" => Some("iocharset=utf8"),
        _ => None,
    }
}

/// Mounts with names as UTF-8, or as the driver has them where it does not know the option.
fn attach_named(what: &FileSystem<'_>, target: &Path) -> Result<(), mount::MountError> {
    let Some(option) = names_option(what.fs) else { return mount::attach(what, target) };
    let options = what.options.iter().cloned().chain([option.to_owned()]).collect();
    mount::attach(&FileSystem { options, ..*what }, target).or_else(|error| match error.errno {
        Errno::INVAL => mount::attach(what, target),
        _ => Err(error),
    })
}

/// A mount that failed, and what can be done about that.
fn refused(code: Code, error: &mount::MountError) -> Stop {
    let advice = match error.errno {
        Errno::IO | Errno::UCLEAN | Errno::BADMSG | Errno::NODATA => {
            "check the medium (read errors, truncated copy) and dmesg"
        }
        _ => {
            "read the kernel's words, here or in dmesg: for a feature that it does not know use a newer kernel, or build the image with \
             an older set of features; otherwise write the medium again"
        }
    };
    Stop::new(code, error.to_string()).advice(advice)
}

/// A container that is compressed as no kernel of this program's time reads it.
fn undone(error: &mount::MountError, compressor: Compressor) -> Stop {
    Stop::new(
        Code::DriverMissing,
        format!("{error}: it is compressed with {compressor}, which no kernel is known to read"),
    )
    .wanted("an image compressed with gzip, lzo, lz4, xz or zstd")
    .advice("build the image again with --compression zstd or xz")
}

/// How the container on a device is compressed, if that is nothing that kernels read.
fn unreadable(source: &Path) -> Option<Compressor> {
    let found = format::identify(&mut File::open(source).ok()?).ok()??;
    let unknown =
        |compressor: &Compressor| *compressor != Compressor::None && compressor.config_option(found.kind).is_none();
    found.compressor.filter(unknown)
}

/// The options that read an ext by the copy of its superblock, when a power cut has torn that and it may not be written to. The
/// kernel knows the place in units of 1024 bytes (`Documentation/admin-guide/ext4.rst`, `sb=`).
fn by_copy(what: &FileSystem<'_>, error: &mount::MountError) -> Option<Vec<String>> {
    let untouched = what.read_only && what.options.iter().any(|option| option == "noload");
    let mut file = File::open(what.source).ok().filter(|_| untouched && error.is_damage())?;
    let copy = torn::copy_of_ext(&mut file).ok().flatten()?;
    let mut options = what.options.clone();
    options.push(format!("sb={}", copy / 1024));
    Some(options)
}

pub(super) fn make_dir(path: &Path) -> Result<(), Stop> {
    fs::create_dir_all(path).map_err(|error| environment("making the directory", path, &error))
}

pub(super) fn environment(operation: &str, path: &Path, error: &io::Error) -> Stop {
    Stop::new(Code::Environment, format!("{operation} {}: {error}", path.display()))
}
