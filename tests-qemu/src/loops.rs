//! Loop devices over the lab's own files that a run has left. `mount -o loop` gives devices that the kernel frees with the
//! mount, and the mounts end with the run; this is for what a kernel or a tool did otherwise.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::fs::OFlags;

/// A device number and the file behind it.
type Attached = (String, PathBuf);

/// So many loop devices may be in use at once, where nobody makes nodes for more.
const NODES: u32 = 32;

/// Whether this machine or container has loop devices: media are mounted through them, and cargo's tests take them for disks.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn usable(dev: &Path) -> Result<()> {
    const OTHERWISE: &str = "docker run --privileged -v /dev:/dev …, or a virtual machine";
    let control = dev.join("loop-control");
    File::options().read(true).write(true).open(&control).map_err(|error| {
        anyhow::anyhow!(
            "no loop devices: {}: {error}\nTry: modprobe loop; where this is a container or a chroot, {OTHERWISE}",
            control.display()
        )
    })?;
    // The kernel makes nodes for those that are needed later, but only in its own /dev.
    let missing = (0..NODES).find(|number| !dev.join(format!("loop{number}")).exists());
    match missing {
        Some(number) if !is_the_kernels(dev) => bail!(
            "{0}/loop{number} is missing in this container's own /dev.\n\
             Try: for n in $(seq 0 {1}); do [ -e {0}/loop$n ] || mknod -m 660 {0}/loop$n b 7 $n; done\n\
             or: {OTHERWISE}",
            dev.display(),
            NODES - 1
        ),
        _ => Ok(()),
    }
}

fn is_the_kernels(dev: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of_dev = |line: &str| {
        let mut words = line.split(' ').skip(1);
        (words.next() == dev.to_str()).then(|| words.next() == Some("devtmpfs"))
    };
    // The last mount is on top.
    mounts.lines().rev().find_map(of_dev).unwrap_or(false)
}

/// Frees devices whose file's path begins with one of `own` and lies below none of the directories of `live` runs; says how
/// many.
pub fn free(own: &[PathBuf], live: &[PathBuf]) -> usize {
    let left = left(attached(Path::new("/sys/block")), own, live);
    let freed = left.iter().filter(|(name, file)| {
        // An open device keeps its file; it may have become another's before that.
        let device = File::open(Path::new("/dev").join(name));
        let same = || backing(&Path::new("/sys/block").join(name)).as_ref() == Some(file);
        device.is_ok_and(|device| same() && rdlive_sys::loopdev::detach(&device).is_ok())
    });
    freed.count()
}

/// What was said to the kernel about a loop device stays when it has no file any more, and is true of the next file too: partitions, and
/// that it refuses writes. What a killed run has left of that is taken back.
pub fn renew() {
    let sys = Path::new("/sys/block");
    unused(sys).iter().for_each(|(name, partitions)| renew_one(sys, Path::new("/dev"), name, partitions));
}

/// Somebody else may have taken it since: who claims it keeps others from giving it a file, and then it is looked at once more.
fn renew_one(sys: &Path, dev: &Path, name: &str, partitions: &[u32]) {
    let claim = OFlags::EXCL.bits().cast_signed();
    let Ok(device) = File::options().read(true).custom_flags(claim).open(dev.join(name)) else { return };
    if backing(&sys.join(name)).is_some() {
        return;
    }
    for number in partitions {
        let _ = rdlive_sys::blkpg::delete_partition(&device, *number);
    }
    let _ = rdlive_sys::blkro::set_read_only(&device, false);
}

/// Loop devices without a file, each with the numbers of its partitions.
fn unused(sys: &Path) -> Vec<(String, Vec<u32>)> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries(sys).filter_map(|entry| entry.file_name().into_string().ok());
    let unused = names.filter(|name| name.starts_with("loop") && backing(&sys.join(name)).is_none());
    unused
        .map(|name| {
            let numbers = entries(&sys.join(&name))
                .filter_map(|part| fs::read_to_string(part.path().join("partition")).ok()?.trim().parse().ok());
            (name.clone(), numbers.collect())
        })
        .collect()
}

fn attached(sys: &Path) -> Vec<Attached> {
    let names = fs::read_dir(sys).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with("loop"));
    names.filter_map(|name| Some((name.clone(), backing(&sys.join(&name))?))).collect()
}

fn backing(device: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(device.join("loop/backing_file")).ok()?;
    let path = text.trim_end_matches('\n');
    Some(PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(path)))
}

fn left(attached: Vec<Attached>, own: &[PathBuf], live: &[PathBuf]) -> Vec<Attached> {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_owned();
    attached
        .into_iter()
        .filter(|(_, file)| own.iter().any(|start| bytes(file).starts_with(&bytes(start))))
        .filter(|(_, file)| !live.iter().any(|dir| file.starts_with(dir)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_loop_devices_is_told_what_to_do() {
        let dev = tempfile::tempdir().unwrap();
        let said = || usable(dev.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said().contains("modprobe loop"), "{}", said());
        fs::write(dev.path().join("loop-control"), "").unwrap();
        for number in 0..NODES - 1 {
            fs::write(dev.path().join(format!("loop{number}")), "").unwrap();
        }
        // What it says to type makes what is missing.
        let text = said();
        let line = text.lines().find_map(|line| line.strip_prefix("Try: ")).unwrap();
        let typed = format!("mknod() {{ : > \"$3\"; }}; {line}");
        assert!(std::process::Command::new("sh").args(["-c", &typed]).status().unwrap().success(), "{typed}");
        assert_eq!(said(), "");
    }

    #[test]
    fn loop_devices_without_a_file_are_unused_whatever_partitions_they_have() {
        let sys = tempfile::tempdir().unwrap();
        for (part, number) in
            [("loop0/loop0p1", "1\n"), ("loop0/loop0p17", "17\n"), ("loop1/loop1p1", "1\n"), ("sda/sda1", "1\n")]
        {
            fs::create_dir_all(sys.path().join(part)).unwrap();
            fs::write(sys.path().join(part).join("partition"), number).unwrap();
        }
        fs::create_dir_all(sys.path().join("loop1/loop")).unwrap();
        fs::write(sys.path().join("loop1/loop/backing_file"), "/home/x.img\n").unwrap();
        fs::create_dir_all(sys.path().join("loop0/queue")).unwrap();
        fs::create_dir_all(sys.path().join("loop2")).unwrap();
        let mut unused = unused(sys.path());
        unused.sort();
        unused.iter_mut().for_each(|(_, numbers)| numbers.sort_unstable());
        assert_eq!(unused, [("loop0".to_owned(), vec![1, 17]), ("loop2".to_owned(), Vec::new())]);
    }

    /// Needs root.
    #[test]
    fn loop_a_device_that_was_taken_meanwhile_stays_as_it_is() {
        use rdlive_sys::loopdev::{Setup, attach};
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 << 20).unwrap();
        let (sys, dev) = (Path::new("/sys/block"), Path::new("/dev"));
        let taken = attach(dev, &file, "taken", Setup { autoclear: true, ..Setup::default() }).unwrap();
        rdlive_sys::blkpg::add_partition(&taken.device, 1, 1 << 20, 1 << 20).unwrap();
        let name = format!("loop{}", taken.number);
        let there = || sys.join(&name).join(format!("{name}p1")).exists();
        // As it was listed before somebody took it.
        renew_one(sys, dev, &name, &[1]);
        assert!(there());
        rdlive_sys::blkpg::delete_partition(&taken.device, 1).unwrap();
        assert!(!there());
    }

    #[test]
    fn only_files_of_dead_runs_are_freed() {
        let sys = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("loop0", "/c/tmp/dead/x.img\n"),
            ("loop1", "/c/tmp/live/x.img\n"),
            ("loop2", "/home/x.img\n"),
            ("loop3", "/c/tmp/dead/y.img (deleted)\n"),
            ("loop4", "/c/tmpx/dead/z.img"),
            ("loop6", "/shm/lab.dead/x"),
            ("sda", "/c/tmp/dead/z.img"),
        ] {
            fs::create_dir_all(sys.path().join(name).join("loop")).unwrap();
            fs::write(sys.path().join(name).join("loop/backing_file"), text).unwrap();
        }
        fs::create_dir(sys.path().join("loop5")).unwrap();
        let own = ["/c/tmp/".into(), "/shm/lab.".into()];
        let left = left(attached(sys.path()), &own, &["/c/tmp/live".into()]);
        let mut names: Vec<String> = left.into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["loop0", "loop3", "loop6"]);
    }
}
