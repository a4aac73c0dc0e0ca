//! A machine below a temporary directory, with the real devices and kernel tables; sticks and disks are loop devices.

mod tree;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rdlive::boot::Boot;
use rdlive::config::interpret_text;
use rdlive::env::Env;
use rdlive::error::Stop;
use rdlive::exec::Executor;
use rdlive::format::partition::{self, Table};
use rdlive::handover::{Report, WriteMode};
use rdlive::probe::uevent::Socket;
use rdlive_sys::blkpg;
use rdlive_sys::loopdev::{self, Setup};
use tempfile::TempDir;

const EBUSY: i32 = 16;

/// Tests run side by side on one kernel: labels tell them apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Machine {
    pub dir: TempDir,
    pub env: Env,
    pub name: String,
}

impl Machine {
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "loop tests mount and need root: run `cargo lab test` as root");
        let dir = tempfile::tempdir().unwrap();
        for name in ["dev", "proc"] {
            symlink(Path::new("/").join(name), dir.path().join(name)).unwrap();
        }
        // Of the block devices only its own are shown, by and by ([`tree::Own`]).
        for folder in ["sys", "sys/class", "sys/class/block"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for folder in ["sys", "sys/class"] {
            for entry in fs::read_dir(Path::new("/").join(folder)).unwrap() {
                let (path, name) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().file_name());
                let _ = symlink(path, dir.path().join(folder).join(name));
            }
        }
        let name = format!("m{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let machine = Self { env: Env::new(dir.path()), dir, name };
        machine.link_usr();
        machine
    }

    /// What it sees of block devices is what there is now.
    pub fn show(&self) {
        tree::show(self.dir.path());
    }

    pub fn link_usr(&self) {
        symlink("/usr", self.path("usr")).unwrap();
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.env.path(path)
    }

    pub fn label(&self) -> String {
        format!("L{}", self.name).to_uppercase()
    }

    /// What is on a medium: a container that holds a root tree.
    fn content(&self) -> PathBuf {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("usr")).unwrap();
        fs::write(tree.join("usr/mark"), "from the image").unwrap();
        let top = self.path("iso-tree");
        fs::create_dir_all(top.join("LiveOS")).unwrap();
        let container = top.join("LiveOS/squashfs.img");
        if !container.exists() {
            run("mksquashfs", &[&tree, &container, Path::new("-quiet"), Path::new("-no-progress")]);
        }
        top
    }

    /// A hybrid ISO.
    pub fn iso(&self, layout: &str, label: &str) -> PathBuf {
        let top = self.content();
        let (iso, esp) = (self.path(&format!("{label}.iso")), self.path("esp"));
        fs::write(&esp, vec![0; 1 << 20]).unwrap();
        let mut words = vec!["-as", "mkisofs", "-quiet", "-V", label, "-R", "-partition_offset", "16"];
        if layout == "gpt" {
            words.push("-appended_part_as_gpt");
        }
        let mut arguments: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
        arguments.extend(["-append_partition", "2", "0xef"].map(PathBuf::from));
        arguments.extend([esp, "-o".into(), iso.clone(), top]);
        run("xorriso", &arguments.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        iso
    }

    /// A medium in a file, as an ISO is, but in a file system that every test kernel has.
    pub fn medium(&self, label: &str) -> PathBuf {
        let top = self.content();
        let path = self.path(&format!("{label}.ext4"));
        File::create(&path).unwrap().set_len(4 << 20).unwrap();
        // Blocks of 4096 bytes: what disks with such sectors can hold.
        let words = ["-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-L", label, "-d"].map(PathBuf::from);
        let mut arguments = words.to_vec();
        arguments.extend([top, path.clone()]);
        run("mke2fs", &arguments.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        path
    }

    /// A boot of the kiwi dialect that must succeed.
    pub fn boot(&self, cmdline: &str) -> Booted {
        self.try_boot(cmdline).unwrap_or_else(|stop| panic!("{cmdline}: {:?}", stop.lines()))
    }

    pub fn try_boot(&self, cmdline: &str) -> Result<Booted, Stop> {
        let (result, report) = self.boot_anyway(cmdline);
        result?;
        Ok(Booted { root: self.dir.path().to_owned(), sysroot: self.path("sysroot"), report })
    }

    fn world(&self) -> tree::Own<'_> {
        let exec = Executor::new(&self.env, &nothing_to_load);
        let mut world = tree::Own::new(rdlive::machine::Machine::new(&self.env, exec), self.dir.path());
        world.machine.watch.listen(Socket::open().unwrap(), None);
        world
    }

    /// A boot and its report, whether or not it has built a root.
    pub fn boot_anyway(&self, cmdline: &str) -> (Result<(), Stop>, Report) {
        let (config, _) = interpret_text(cmdline);
        let sysroot = PathBuf::from("/sysroot");
        let mut world = self.world();
        let mut boot = Boot::new(&mut world, &config, &sysroot, Report::new("dracut", &config, &[]));
        (boot.run(), boot.report)
    }
}

pub fn nothing_to_load(name: &str) -> Result<(), rdlive::exec::ModuleError> {
    Err(rdlive::exec::ModuleError::Absent(name.to_owned()))
}

pub fn run(program: &str, arguments: &[&Path]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output =
        output.unwrap_or_else(|e| panic!("{program}: {e} (cargo lab install brings the programs of the tests)"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The kernel closes a loop device a moment after its last user; what lies below is busy until then.
pub fn eventually(attempt: impl Fn() -> bool) -> bool {
    (0..60).any(|_| {
        let done = attempt();
        if !done {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        done
    })
}

pub fn kernel_has(fs_name: &str) -> bool {
    let table = || fs::read_to_string("/proc/filesystems").unwrap();
    table().split_whitespace().any(|name| name == fs_name)
        || Command::new("modprobe").args(["-q", fs_name]).status().is_ok_and(|status| status.success())
}

/// A root that was built; unmounted when dropped, like a machine that is shut down.
#[derive(Debug)]
pub struct Booted {
    root: PathBuf,
    pub sysroot: PathBuf,
    pub report: Report,
}

impl Booted {
    pub fn mode(&self) -> &WriteMode {
        self.report.write_mode.as_ref().unwrap()
    }

    /// Where the persistent area is mounted.
    pub fn area(&self) -> PathBuf {
        self.root.join("run/overlay/overlayfs")
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let below = self.root.to_str().unwrap();
        let table = fs::read_to_string("/proc/self/mounts").unwrap();
        let points: Vec<_> = table.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        for point in points.iter().rev().filter(|point| point.starts_with(below)) {
            let done = eventually(|| Command::new("umount").arg(point).output().unwrap().status.success());
            assert!(done || std::thread::panicking(), "umount {point}");
        }
    }
}

/// A loop device over a file of the machine.
pub struct Disk {
    pub path: PathBuf,
    pub node: String,
    pub label: String,
    scratch: PathBuf,
}

impl Disk {
    pub fn attach(machine: &Machine, path: PathBuf, label: &str) -> Self {
        Self::with_sectors(machine, path, label, 512)
    }

    /// Its sectors are as long as said, in bytes.
    pub fn with_sectors(machine: &Machine, path: PathBuf, label: &str, sector: u32) -> Self {
        let backing = File::options().read(true).write(true).open(&path).unwrap();
        let setup = Setup { sector, ..Setup::default() };
        // Not held open: the cache of the whole device, which nobody else drops, would show what its partitions had before. Should
        // the test be killed, the lab's next run frees it.
        let device = loopdev::attach(Path::new("/dev"), &backing, path.to_str().unwrap(), setup).unwrap();
        let node = format!("/dev/loop{}", device.number);
        let disk = Self { path, node, label: label.to_owned(), scratch: machine.path("scratch") };
        // The kernel keeps the partitions of a loop device over its file: a test that was killed has left some.
        disk.forget_partitions();
        disk
    }

    pub fn formatted(machine: &Machine, fs_name: &str, size: u64) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::labelled(machine, fs_name, size, &format!("D{}{number}", std::process::id()))
    }

    pub fn labelled(machine: &Machine, fs_name: &str, size: u64, label: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = machine.path(&format!("disk-{label}-{number}"));
        File::create(&path).unwrap().set_len(size).unwrap();
        let flag = if matches!(fs_name, "vfat") { "-n" } else { "-L" };
        run(&format!("mkfs.{fs_name}"), &[Path::new(flag), Path::new(label), &path]);
        Self::attach(machine, path, label)
    }

    fn forget_partitions(&self) {
        let file = File::open(&self.node).unwrap();
        for number in 1..16 {
            eventually(|| match blkpg::delete_partition(&file, number) {
                Ok(()) => true,
                Err(error) => error.raw_os_error() != Some(EBUSY),
            });
        }
    }

    /// Replaces all of it; nothing may be mounted.
    pub fn write(&self, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.node).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_all().unwrap();
    }

    /// Looks at the file system from outside.
    pub fn inside(&self, look: impl FnOnce(&Path)) {
        fs::create_dir_all(&self.scratch).unwrap();
        let mount = || Command::new("mount").arg(&self.node).arg(&self.scratch).output().unwrap();
        assert!(eventually(|| mount().status.success()), "{:?}", mount());
        look(&self.scratch);
        assert!(eventually(|| Command::new("umount").arg(&self.scratch).output().unwrap().status.success()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.forget_partitions();
        // The flag would stay on the device for its next file.
        let _ = Command::new("blockdev").args(["--setrw", &self.node]).status();
        let _ = File::open(&self.node).and_then(|device| loopdev::detach(&device));
    }
}

/// A stick with a hybrid ISO and room behind it.
pub struct Stick {
    pub label: String,
    disk: Disk,
}

impl Stick {
    pub fn new(machine: &Machine, layout: &str, size: u64) -> Self {
        let label = machine.label();
        let path = machine.iso(layout, &label);
        File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        let stick = Self { disk: Disk::attach(machine, path, &label), label };
        stick.rescan();
        stick
    }

    /// A disk with one partition, which holds a medium that is no ISO.
    pub fn plain(machine: &Machine, label: &str, size: u64) -> Self {
        Self::plain_with_sectors(machine, label, size, 512)
    }

    /// The same on a disk with sectors of so many bytes.
    pub fn plain_with_sectors(machine: &Machine, label: &str, size: u64, sector: u32) -> Self {
        Self::plain_of(machine, label, size, sector, "gpt")
    }

    /// The same with another kind of table.
    pub fn plain_of(machine: &Machine, label: &str, size: u64, sector: u32, table: &str) -> Self {
        let medium = fs::read(machine.medium(label)).unwrap();
        let path = machine.path("plain");
        File::create(&path).unwrap().set_len(size).unwrap();
        let script = machine.path("script");
        fs::write(
            &script,
            format!("label: {table}\nstart={}, size={}\n", (1 << 20) / sector, medium.len() / sector as usize),
        )
        .unwrap();
        let disk = Disk::with_sectors(machine, path, label, sector);
        let mut status = Command::new("sfdisk");
        status.args(["-q", "--no-reread", "--no-tell-kernel", &disk.node]);
        assert!(status.stdin(File::open(script).unwrap()).status().unwrap().success());
        File::options().write(true).open(&disk.node).unwrap().write_all_at(&medium, 1 << 20).unwrap();
        let stick = Self { disk, label: label.to_owned() };
        stick.rescan();
        stick
    }

    /// Writes bytes anywhere on the disk.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        let disk = File::options().write(true).open(&self.disk.node).unwrap();
        disk.write_all_at(bytes, at).and_then(|()| disk.sync_all()).unwrap();
    }

    /// A boot from it. The ISO itself is not mounted, for not every test kernel can; scenarios in QEMU boot it.
    pub fn boot(&self, machine: &Machine, more: &str) -> Result<Booted, Stop> {
        let (config, _) = interpret_text(&format!("root=live:CDLABEL={} {more}", self.label));
        let mut world = machine.world();
        let mut boot = Boot::new(&mut world, &config, Path::new("/sysroot"), Report::new("dracut", &config, &[]));
        boot.run()?;
        let report = boot.report;
        Ok(Booted { root: machine.dir.path().to_owned(), sysroot: machine.path("sysroot"), report })
    }

    pub fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        File::open(&self.disk.node).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    pub fn all(&self) -> Vec<u8> {
        let file = File::open(&self.disk.node).unwrap();
        let length = fs::metadata(&self.disk.path).unwrap().len();
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    pub fn write(&self, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.disk.node).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_all().unwrap();
    }

    pub fn table(&self) -> Table {
        let mut file = File::open(&self.disk.node).unwrap();
        let size = fs::metadata(&self.disk.path).unwrap().len();
        partition::table(&mut file, size).unwrap().unwrap()
    }

    /// The last partition as others see it: sfdisk's name of its type, blkid's type and label of its file system. sgdisk
    /// judges a GPT.
    pub fn last_by_others(&self) -> [String; 3] {
        let node = Path::new(&self.disk.node);
        let json: serde_json::Value = serde_json::from_str(&run("sfdisk", &["--json".as_ref(), node])).unwrap();
        let table = &json["partitiontable"];
        if table["label"] == "gpt" {
            let verdict = run("sgdisk", &["-v".as_ref(), node]);
            assert!(verdict.contains("No problems found"), "{verdict}");
        }
        let last = table["partitions"].as_array().and_then(|list| list.last()).unwrap();
        let sector = table["sectorsize"].as_u64().unwrap();
        let bytes = |key: &str| (last[key].as_u64().unwrap() * sector).to_string();
        let area = ["-p", "-O", &bytes("start"), "-S", &bytes("size"), "-o", "value", "-s"].map(PathBuf::from);
        let blkid = |tag: &str| {
            let words: Vec<&Path> = area.iter().map(PathBuf::as_path).chain([tag.as_ref(), node]).collect();
            run("blkid", &words)
        };
        let types = run("sfdisk", &["--list", "--output", "type", &self.disk.node].map(Path::new));
        [types.lines().last().unwrap().trim().to_owned(), blkid("TYPE"), blkid("LABEL")]
    }

    /// What plugging it in again does; not every test kernel reads partition tables itself.
    pub fn rescan(&self) {
        self.disk.forget_partitions();
        let file = File::open(&self.disk.node).unwrap();
        for entry in self.table().partitions {
            blkpg::add_partition(&file, entry.number, entry.start, entry.size).unwrap();
        }
    }

    pub fn node(&self) -> PathBuf {
        PathBuf::from(&self.disk.node)
    }

    pub fn set_read_only(&self) {
        run("blockdev", &[Path::new("--setro"), Path::new(&self.disk.node)]);
    }
}
