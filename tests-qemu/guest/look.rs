//! What the booted system looks like, as one JSON value.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use crate::net;

/// Paths of both histories that a booted system may have; each is resolved and reported.
const LINKS: &[&str] = &[
    "/run/initramfs/live",
    "/dev/ram0",
    "/run/initramfs/livedev",
    "/run/initramfs/isoscan",
    "/run/initramfs/isoscandev",
    "/run/initramfs/squashfs",
    "/run/rootfsbase",
    "/run/overlayfs",
    "/run/overlayfs-backing",
    "/run/overlayfs-r",
    "/run/initramfs/overlayfs",
    "/run/initramfs/overlay",
    "/run/ovlwork",
    "/run/overlay",
    "/run/overlay/isodev",
    "/run/overlay/live",
    "/run/overlay/squashfs_container",
    "/run/overlay/rootfsbase",
    "/run/overlay/overlayfs",
    "/run/overlay/overlayfs/rw",
    "/run/overlay/overlayfs/work",
    "/run/rdlive/report.json",
    "/run/initramfs/shutdown",
    "/run/initramfs/overlayfs.passwd",
    "/run/initramfs/squashed.img",
    "/run/initramfs/rootfs.img",
    "/run/initramfs/fsimg/rootfs.img",
    "/run/rdlive/rdlive",
    "/dev/live-base",
    "/dev/mapper/live-rw",
    "/dev/mapper/live-ro",
    "/dev/mapper/live-base",
];

/// Files that are always reported; `lab.read=/a,/b` adds more.
const FILES: &[&str] = &[
    "/etc/lab-marker",
    "/etc/os-release",
    "/run/initramfs/live/lab-marker",
    "/run/overlay/live/lab-marker",
    "/proc/1/comm",
    "/proc/sys/kernel/osrelease",
];

/// Seconds since the kernel started; `None` without /proc.
pub fn uptime() -> Option<f64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Whether this word is on the command line.
pub fn asked(word: &str) -> bool {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    cmdline.split_whitespace().any(|karg| karg == word)
}

/// What follows this prefix on the command line.
fn asked_for(prefix: &str) -> Option<String> {
    let cmdline = fs::read_to_string("/proc/cmdline").ok()?;
    cmdline.split_whitespace().find_map(|karg| Some(karg.strip_prefix(prefix)?.to_owned()))
}

/// Seconds between the words that begin and end a copy to RAM in the kernel's log; ours and the original's are the same.
fn copying() -> Option<f64> {
    let options =
        OpenOptions::new().read(true).custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).ok()?).open("/dev/kmsg");
    let mut log = options.ok()?;
    let (mut begin, mut record) = (None, [0; 8192]);
    // One record a read, until there is none.
    while let Ok(length) = log.read(&mut record) {
        let text = String::from_utf8_lossy(&record[..length]);
        let Some(seconds) = text.split(',').nth(2).and_then(|micros| micros.parse::<f64>().ok()) else { continue };
        if text.contains("Copying live image to RAM") {
            begin = Some(seconds);
        } else if text.contains("Done copying live image to RAM") {
            return begin.map(|begin| (seconds - begin) / 1e6);
        }
    }
    None
}

/// A copy as `cp` makes it, in large blocks, from a cold cache to a new tmpfs.
fn plain_copy(from: &Path) -> std::io::Result<Value> {
    let dir = Path::new("/run/lab-copy");
    fs::create_dir_all(dir)?;
    mount("tmpfs", dir, "tmpfs", MountFlags::empty(), Some(c"size=90%"))?;
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let (mut source, mut copy) = (File::open(from)?, File::create(dir.join("copy"))?);
    let mut block = vec![0; 1 << 20];
    let (begin, mut bytes) = (Instant::now(), 0);
    loop {
        let length = source.read(&mut block)?;
        if length == 0 {
            return Ok(json!({"bytes": bytes, "seconds": begin.elapsed().as_secs_f64()}));
        }
        copy.write_all(&block[..length])?;
        bytes += length;
    }
}

/// `lab.keep=/a,/b`: files to be found again after the next boot.
pub fn write_what_was_asked() {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let lists = cmdline.split_whitespace().filter_map(|karg| karg.strip_prefix("lab.keep="));
    for path in lists.flat_map(|list| list.split(',')) {
        if let Err(error) = fs::write(path, "kept\n") {
            eprintln!("lab-guest: writing {path}: {error}");
        }
    }
    rustix::fs::sync();
}

/// Everything a scenario may ask about. `uptime` was taken first, before this work.
pub fn at_this_system(uptime: Option<f64>) -> Value {
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    json!({
        "uptime": uptime,
        "args": std::env::args().collect::<Vec<_>>(),
        "cmdline": cmdline.trim(),
        "mounts": mounts(),
        "links": links(|path| fs::canonicalize(path).ok()),
        "targets": links(|path| fs::read_link(path).ok()),
        "modes": modes(),
        "files": files(&cmdline),
        "root_writable": root_writable(),
        "copied_in": copying(),
        "plain_copy": asked_for("lab.copy=").and_then(|path| plain_copy(Path::new(&path)).ok()),
        "report": fs::read_to_string("/run/rdlive/report.json").ok(),
        "network": net::asked(),
    })
}

/// /proc/mounts as objects, octal escapes undone.
fn mounts() -> Vec<Value> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    text.lines()
        .map(|line| {
            let field: Vec<String> = line.split(' ').map(unescape).collect();
            let at = |index: usize| field.get(index).cloned().unwrap_or_default();
            json!({"source": at(0), "target": at(1), "fstype": at(2), "options": at(3)})
        })
        .collect()
}

fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

fn links(look: impl Fn(&str) -> Option<PathBuf>) -> BTreeMap<&'static str, Option<String>> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    LINKS.iter().map(|&path| (path, look(path).map(text))).collect()
}

/// Permission bits of what the paths lead to.
fn modes() -> BTreeMap<&'static str, Option<u32>> {
    let mode = |path: &str| Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777);
    LINKS.iter().map(|&path| (path, mode(path))).collect()
}

/// Texts of files, and labels of what is named behind `label:`; a word for what is there and no file, such as a directory or a link that leads nowhere.
fn files(cmdline: &str) -> BTreeMap<String, Option<String>> {
    let asked = cmdline.split_whitespace().filter_map(|karg| karg.strip_prefix("lab.read="));
    let asked = asked.flat_map(|list| list.split(','));
    FILES
        .iter()
        .copied()
        .chain(asked)
        .map(|path| {
            if let Some(labelled) = path.strip_prefix("label:") {
                return (path.to_owned(), crate::policy::label(labelled));
            }
            let text = fs::symlink_metadata(path).ok().map(|there| match fs::read(path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(_) => format!("({:?})", there.file_type()),
            });
            (path.to_owned(), text)
        })
        .collect()
}

fn root_writable() -> bool {
    let path = Path::new("/lab-write-test");
    fs::write(path, "x").is_ok() && fs::remove_file(path).is_ok()
}
