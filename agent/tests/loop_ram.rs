//! `rd.live.ram` on real file systems and loop devices. Needs root, mksquashfs and mke2fs; `cargo lab test` provides them.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rdlive::boot::Boot;
use rdlive::config::{TmpfsSize, interpret_text};
use rdlive::env::Env;
use rdlive::error::{Code, Stop};
use rdlive::exec::Executor;
use rdlive::exec::copy::{CopyError, copy};
use rdlive::handover::Report;
use rdlive::plan::act::RamAct;
use rdlive::plan::{GivenUp, Step, Wanted};
use rdlive_sys::loopdev::{self, LoopDevice, Setup};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A machine below a temporary directory, with the real devices and kernel tables.
struct Machine {
    dir: TempDir,
    env: Env,
}

impl Machine {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "loop tests mount and need root: run `cargo lab test` as root");
        let dir = tempfile::tempdir().unwrap();
        for name in ["dev", "proc", "sys"] {
            std::os::unix::fs::symlink(Path::new("/").join(name), dir.path().join(name)).unwrap();
        }
        let env = Env::new(dir.path());
        Self { dir, env }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.env.path(path)
    }

    /// Mount points below this machine, without its own prefix.
    fn mounts(&self) -> Vec<String> {
        let below = self.dir.path().to_str().unwrap();
        let table = fs::read_to_string("/proc/self/mounts").unwrap();
        let points = table.lines().filter_map(|line| line.split(' ').nth(1)?.strip_prefix(below));
        points.map(Into::into).collect()
    }

    /// Backing files of loop devices that lie below this machine, without its prefix.
    fn loops(&self) -> Vec<String> {
        let below = self.dir.path().to_str().unwrap();
        let devices = fs::read_dir("/sys/class/block").unwrap();
        devices
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok())
            .filter_map(|file| Some(file.trim_end().strip_prefix(below)?.to_owned()))
            .collect()
    }

    /// The kernel frees loop devices a moment after their last user has gone.
    fn loops_settle_to(&self, expected: &[&str]) {
        for _ in 0..100 {
            if self.loops() == expected {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(self.loops(), expected);
    }
}

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let output =
        Command::new(program).args(arguments).current_dir(dir).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn nothing_to_load(name: &str) -> Result<(), rdlive::exec::ModuleError> {
    Err(rdlive::exec::ModuleError::Absent(name.to_owned()))
}

/// Bytes that no file system compresses or leaves out.
fn noise(bytes: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..bytes / 8).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// A container of 4 MiB and a bit with a root tree.
fn container(machine: &Machine) {
    fs::create_dir_all(machine.path("tree/usr")).unwrap();
    fs::create_dir_all(machine.path("iso/LiveOS")).unwrap();
    fs::write(machine.path("tree/usr/mark"), "from the image").unwrap();
    fs::write(machine.path("tree/usr/noise"), noise(4 * MIB)).unwrap();
    run("mksquashfs", &["tree", "iso/LiveOS/squashfs.img", "-quiet", "-no-progress"], machine.dir.path());
}

/// An image as a device of this machine; the kernel frees the loop device with its last user.
struct Disc(LoopDevice);

impl Disc {
    fn attach(file: &Path) -> Self {
        Self::attach_as(file, Setup { read_only: true, ..Setup::default() })
    }

    fn attach_as(file: &Path, setup: Setup) -> Self {
        let backing = File::options().read(true).write(!setup.read_only).open(file).unwrap();
        let setup = Setup { autoclear: true, ..setup };
        Self(loopdev::attach(Path::new("/dev"), &backing, file.to_str().unwrap(), setup).unwrap())
    }

    fn node(&self) -> PathBuf {
        format!("/dev/loop{}", self.0.number).into()
    }
}

/// A medium with that container. ext4, because the kernel of the machine that runs the tests may have no driver for
/// ISO 9660; the boots of the lab are from real ISOs.
fn medium(machine: &Machine) {
    container(machine);
    filesystem(machine, "live.iso", "RAMTEST", 16, "iso");
}

/// An ext4 image with the files of a directory.
fn filesystem(machine: &Machine, image: &str, label: &str, mib: u64, from: &str) {
    File::create(machine.path(image)).unwrap().set_len(mib * MIB).unwrap();
    run("mke2fs", &["-q", "-t", "ext4", "-L", label, "-d", from, image], machine.dir.path());
}

/// A boot that has built a root: the machine, which undoes it, and the report.
struct Started<'a> {
    exec: Executor<'a>,
    report: Report,
}

fn started<'a>(machine: &'a Machine, config: &rdlive::config::Config) -> Result<Started<'a>, Stop> {
    let exec = Executor::new(&machine.env, &nothing_to_load);
    let mut real = rdlive::machine::Machine::new(&machine.env, exec);
    real.watch.listen(rdlive::probe::uevent::Socket::open().unwrap(), None);
    let mut boot = Boot::new(&mut real, config, Path::new("/sysroot"), Report::new("dracut", config, &[]));
    boot.run()?;
    let report = boot.report;
    Ok(Started { exec: real.exec, report })
}

#[test]
fn loop_b15_identical_copy_used_and_medium_released_in_both_dialects() {
    for dialect in ["dmsquash", "kiwi"] {
        let machine = Machine::new();
        medium(&machine);
        let disc = Disc::attach(&machine.path("live.iso"));
        let line = format!("root=live:{} rd.live.dialect={dialect} rd.live.ram rd.minmem=1", disc.node().display());
        let (config, _) = interpret_text(&line);
        let mut boot = started(&machine, &config).unwrap_or_else(|stop| panic!("{dialect}: {:?}", stop.lines()));

        let original = fs::read(machine.path("iso/LiveOS/squashfs.img")).unwrap();
        let link = fs::read_link(machine.path("run/initramfs/squashed.img")).unwrap();
        assert!(fs::read(machine.env.path(&link)).unwrap() == original, "{dialect}: the copy differs");
        assert_eq!(fs::read_to_string(machine.path("sysroot/usr/mark")).unwrap(), "from the image", "{dialect}");
        assert!(machine.loops().contains(&"/run/initramfs/ram/squashed.img".to_owned()), "{:?}", machine.loops());
        let mounts = machine.mounts();
        let live = ["/run/initramfs/live", "/run/overlay/live"];
        assert!(!mounts.iter().any(|at| live.contains(&at.as_str())), "{dialect}: {mounts:?}");
        for path in live {
            assert!(fs::symlink_metadata(machine.path(path)).map_or(true, |meta| meta.is_dir()), "{dialect}: {path}");
        }
        let opened = fs::OpenOptions::new().read(true).custom_flags_exclusive().open(disc.node());
        assert!(opened.is_ok(), "{dialect}: somebody holds the medium: {opened:?}");
        drop(opened);
        let ram = boot.report.ram.clone().unwrap();
        assert_eq!((ram.bytes, ram.released), (original.len() as u64, true), "{dialect}");
        assert!(boot.report.fallbacks.is_empty(), "{dialect}: {:?}", boot.report.fallbacks);

        boot.exec.unwind(0);
        drop(boot);
        assert_eq!(machine.mounts(), Vec::<String>::new(), "{dialect}");
        drop(disc);
        machine.loops_settle_to(&[]);
    }
}

/// The medium stays only for an area that is really used; what becomes of it is said.
#[test]
fn loop_persistence_asked_for_and_not_possible_releases_the_medium() {
    const STAYS: &str = "the medium must stay in place";
    for (what, cow, read_only, expected) in [
        ("a stick that refuses writes", None, true, Err("RDL-050")),
        ("a cow file with a broken file system", Some("broken"), false, Err("RDL-052")),
        ("a cow file that is none", Some("text"), false, Err("RDL-050")),
        ("a new cow file", None, false, Ok("file")),
    ] {
        let machine = Machine::new();
        std::os::unix::fs::symlink("/usr", machine.path("usr")).unwrap();
        medium(&machine);
        fs::create_dir(machine.path("host")).unwrap();
        fs::rename(machine.path("live.iso"), machine.path("host/live.iso")).unwrap();
        match cow {
            Some("broken") => {
                filesystem(&machine, "host/live_system.cow", "", 32, "tree/usr");
                let file = File::options().write(true).open(machine.path("host/live_system.cow")).unwrap();
                file.write_all_at(&vec![b'x'; 30 << 20], 4096).unwrap();
            }
            Some(text) => fs::write(machine.path("host/live_system.cow"), text).unwrap(),
            None => {}
        }
        filesystem(&machine, "host.img", "HOST", 128, "host");
        let disc = Disc::attach_as(&machine.path("host.img"), Setup { read_only, ..Setup::default() });
        let line = format!(
            "root=live:CDLABEL=RAMTEST iso-scan/filename={}:/live.iso rd.live.overlay.persistent rd.live.dialect=kiwi \
             rd.live.cowfile.mbsize=32 rd.live.ram rd.minmem=1",
            disc.node().display()
        );
        let (config, _) = interpret_text(&line);
        let mut boot = started(&machine, &config).unwrap_or_else(|stop| panic!("{what}: {:?}", stop.lines()));
        let (mounts, mode) = (machine.mounts(), boot.report.write_mode.clone().unwrap());
        let held = mounts.iter().any(|at| at.contains("isoscan") || at.ends_with("/live"));
        let fallbacks = boot.report.fallbacks.join(" ");
        assert_eq!(mode.persistence, expected.unwrap_or("temporary"), "{what}: {fallbacks}");
        assert_eq!(boot.report.ram.as_ref().unwrap().released, expected.is_err(), "{what}: {fallbacks}");
        assert_eq!(held, expected.is_ok(), "{what}: {mounts:?}");
        assert_eq!(mode.notes.iter().any(|note| note.contains(STAYS)), expected.is_ok(), "{what}: {:?}", mode.notes);
        assert!(expected.is_ok() || fallbacks.contains(expected.unwrap_err()), "{what}: {fallbacks}");
        let leads = |path: &str| machine.env.path(machine.path(path).read_link().unwrap_or_default()).is_dir();
        for link in ["run/initramfs/livedev", "run/overlay/isodev", "run/initramfs/live", "run/initramfs/isoscandev"] {
            let there = machine.path(link).is_symlink();
            // The host of this machine has no udev, which makes the device's links by UUID.
            assert!(!there || expected.is_ok() || leads(link) || link.ends_with("scandev"), "{what}: {link}");
        }
        boot.exec.unwind(0);
        drop(boot);
        drop(disc);
        machine.loops_settle_to(&[]);
    }
}

/// `O_EXCL` on a block device fails while it is mounted.
trait Exclusive {
    fn custom_flags_exclusive(&mut self) -> &mut Self;
}

impl Exclusive for fs::OpenOptions {
    fn custom_flags_exclusive(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.custom_flags(i32::try_from(rustix::fs::OFlags::EXCL.bits()).unwrap())
    }
}

#[test]
fn loop_d3_iso_scan_frees_loop_and_host() {
    let machine = Machine::new();
    medium(&machine);
    fs::create_dir(machine.path("host")).unwrap();
    fs::rename(machine.path("live.iso"), machine.path("host/live.iso")).unwrap();
    filesystem(&machine, "host.img", "HOST", 64, "host");
    let disc = Disc::attach(&machine.path("host.img"));
    let line = format!(
        "root=live:CDLABEL=RAMTEST iso-scan/filename={}:/live.iso rd.overlay rd.live.ram rd.minmem=1",
        disc.node().display()
    );
    let (config, _) = interpret_text(&line);
    let mut boot = started(&machine, &config).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
    assert_eq!(fs::read_to_string(machine.path("sysroot/usr/mark")).unwrap(), "from the image");
    let mounts = machine.mounts();
    assert!(!mounts.iter().any(|at| at.contains("isoscan") || at.ends_with("/live")), "{mounts:?}");
    assert!(!machine.path("run/initramfs/livedev").exists(), "a link to a freed loop device");
    boot.exec.unwind(0);
    drop(boot);
    drop(disc);
    machine.loops_settle_to(&[]);
}

#[test]
fn loop_b16_refusal_goes_on_from_the_medium_or_stops_if_required() {
    let machine = Machine::new();
    medium(&machine);
    let disc = Disc::attach(&machine.path("live.iso"));
    let line = |ram: &str| format!("root=live:{} rd.overlay {ram} rd.minmem=100000000", disc.node().display());
    let (config, _) = interpret_text(&line("rd.live.ram"));
    let mut boot = started(&machine, &config).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
    assert!(machine.mounts().contains(&"/run/initramfs/live".to_owned()), "reads from the medium");
    let said = boot.report.fallbacks.join("\n");
    assert!(said.contains("RDL-028") && said.contains("100000000 MiB"), "{said}");
    assert!(boot.report.ram.is_none());
    boot.exec.unwind(0);
    drop(boot);

    let (config, _) = interpret_text(&line("rd.live.ram=required"));
    let stop = started(&machine, &config).err().unwrap();
    assert_eq!(stop.code, Code::RamRefused);
    assert_eq!(machine.mounts(), Vec::<String>::new());
}

#[test]
fn loop_a_whole_disk_is_copied_up_to_its_superblocks_size() {
    let machine = Machine::new();
    container(&machine);
    let disk = machine.path("disk.img");
    fs::copy(machine.path("iso/LiveOS/squashfs.img"), &disk).unwrap();
    let image = fs::metadata(&disk).unwrap().len();
    fs::OpenOptions::new().write(true).open(&disk).unwrap().set_len(64 * MIB).unwrap();
    let disc = Disc::attach(&disk);
    let (config, _) = interpret_text(&format!("root=live:{} rd.live.ram rd.minmem=1", disc.node().display()));
    let mut boot = started(&machine, &config).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
    assert_eq!(fs::read_to_string(machine.path("sysroot/usr/mark")).unwrap(), "from the image");
    let copied = fs::metadata(machine.path("run/initramfs/ram/squashed.img")).unwrap().len();
    assert!(copied <= image, "{copied} of {image}");
    boot.exec.unwind(0);
}

#[test]
fn loop_no_room_for_the_copy_is_undone_and_reported() {
    let machine = Machine::new();
    fs::write(machine.path("image"), noise(4 * MIB)).unwrap();
    let steps = || {
        vec![
            Step::Tmpfs { size: TmpfsSize::Bytes(2 * MIB), options: vec![], at: "/run/initramfs/ram".into() },
            Step::Ram(RamAct::Copy {
                from: "/image".into(),
                to: "/run/initramfs/ram/squashed.img".into(),
                bytes: 4 * MIB,
                digest: true,
            }),
        ]
    };
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let either = Step::either(steps(), vec![], Wanted::RamCopy);
    let done = exec.perform("acquire", &[either]).unwrap();
    let [GivenUp { what: Wanted::RamCopy, why }] = done.given_up.as_slice() else { panic!("{done:?}") };
    assert!(why.cause.contains("at byte 2097152"), "{why:?}");
    assert_eq!(machine.mounts(), Vec::<String>::new(), "the memory is given back");
    let stop = exec.perform("acquire", &steps()).unwrap_err();
    assert_eq!(stop.code, Code::RamCopy);
    exec.unwind(0);
}

/// What the program of coreutils says.
fn sha256sum(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn loop_the_sum_of_the_medium_is_compared_while_copying() {
    for (kargs, good) in [("rd.live.ram", true), ("rd.live.ram", false), ("rd.live.ram=required", false)] {
        let machine = Machine::new();
        container(&machine);
        let image = machine.path("iso/LiveOS/squashfs.img");
        let sum = if good { sha256sum(&image) } else { "0".repeat(64) };
        let list = format!("{sum}  squashfs.img\n");
        fs::write(machine.path("iso/LiveOS/squashfs.img.sha256"), list).unwrap();
        filesystem(&machine, "live.iso", "RAMTEST", 16, "iso");
        let disc = Disc::attach(&machine.path("live.iso"));
        let (config, _) =
            interpret_text(&format!("root=live:{} {kargs} rd.minmem=1 rd.retry=2", disc.node().display()));
        match started(&machine, &config) {
            Ok(mut boot) => {
                let found = boot.report.ram.as_ref().and_then(|ram| ram.sha256.clone());
                assert!(good && found == Some(sum), "{kargs} {found:?}");
                boot.exec.unwind(0);
            }
            Err(stop) => {
                let text = stop.lines().join("\n");
                assert!(!good && stop.code == Code::RamDigest, "{kargs} {text}");
                assert!(text.contains(&sum) && text.contains(&sha256sum(&image)), "both sums are named: {text}");
                assert_eq!(machine.mounts(), Vec::<String>::new(), "{kargs}");
            }
        }
    }
}

#[test]
fn copy_keeps_holes_and_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let source = File::create(&from).unwrap();
    source.set_len(48 * MIB + 17).unwrap();
    // Across windows and chunks, not aligned to anything, and at the very end.
    let noise = noise(9 * MIB);
    source.write_all_at(&noise, 4 * MIB + 3).unwrap();
    source.write_all_at(&noise[..5], 48 * MIB + 12).unwrap();
    let digest = copy(&from, &to, 48 * MIB + 17, true, &mut |_| {}).unwrap();
    let expected = sha256sum(&from);
    assert_eq!(digest.as_deref(), Some(&expected[..]), "holes count as zeros");
    assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap(), "the copy differs");
    let (original, copied) = (fs::metadata(&from).unwrap().blocks(), fs::metadata(&to).unwrap().blocks());
    assert!(copied * 512 <= original * 512 + 64 * 1024, "{copied} blocks for {original}: holes were filled");
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o444);
}

#[test]
fn copy_says_where_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, noise(3 * MIB)).unwrap();
    let short = copy(&from, &to, 5 * MIB, false, &mut |_| {}).unwrap_err();
    let at = 3 * MIB;
    assert!(
        matches!(short, CopyError::Short { offset, expected, .. } if (offset, expected) == (at, 5 * MIB)),
        "{short}"
    );
    let absent = copy(&dir.path().join("absent"), &to, 1, false, &mut |_| {}).unwrap_err();
    assert!(matches!(&absent, CopyError::Open(path, _) if path.ends_with("absent")), "{absent}");
    fs::write(&to, "in the way").unwrap();
    let existing = copy(&from, &to, 1, false, &mut |_| {}).unwrap_err();
    assert!(matches!(existing, CopyError::Create(..)), "{existing}");
    assert_eq!(fs::read_to_string(&to).unwrap(), "in the way", "never overwrites");
}
