//! Steps on real loop devices and mounts. Needs root, mksquashfs, mkfs.erofs, mke2fs, mkfs.xfs and mkfs.btrfs;
//! `cargo lab test` provides both.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdlive::area::{Found, Identity};
use rdlive::boot::Boot;
use rdlive::config::{Access, TmpfsSize, interpret_text};
use rdlive::env::Env;
use rdlive::error::Code;
use rdlive::exec::Executor;
use rdlive::facts::Seen;
use rdlive::format::Kind;
use rdlive::handover::Report;
use rdlive::plan::act::{AreaAct, MapAct};
use rdlive::plan::drivers;
use rdlive::plan::{GivenUp, Place, Slot, Step, Wanted};
use tempfile::TempDir;

mod direct;
mod labels;
mod updates;

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

    /// Lines of the mount table below this machine.
    fn mounts(&self) -> Vec<String> {
        let below = self.dir.path().to_str().unwrap();
        let table = fs::read_to_string("/proc/self/mounts").unwrap();
        table
            .lines()
            .filter(|line| line.split(' ').nth(1).is_some_and(|at| at.starts_with(below)))
            .map(Into::into)
            .collect()
    }

    /// Loop devices whose file is still below this machine after two seconds: the kernel frees a device with its last
    /// user, which may for a moment be a child that another test is just starting.
    fn loops(&self) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let loops = self.loops_now();
            if loops.is_empty() || begin.elapsed() > Duration::from_secs(2) {
                return loops;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn loops_now(&self) -> Vec<String> {
        let below = self.dir.path().to_str().unwrap();
        fs::read_dir("/sys/class/block")
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok())
            .filter(|file| file.starts_with(below))
            .collect()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.env.path(path)
    }
}

fn nothing_to_load(name: &str) -> Result<(), rdlive::exec::ModuleError> {
    Err(rdlive::exec::ModuleError::Absent(name.to_owned()))
}

fn run(program: &str, arguments: &[&Path]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A root tree with a file of known content.
fn tree(machine: &Machine) -> PathBuf {
    let tree = machine.path("tree");
    fs::create_dir_all(tree.join("usr")).unwrap();
    fs::write(tree.join("usr/mark"), "from the image").unwrap();
    tree
}

/// An image of the tree in a file system, made by that file system's own tool.
fn image(machine: &Machine, fs_name: &str) -> PathBuf {
    let (tree, image) = (tree(machine), machine.path(&format!("{fs_name}.img")));
    match fs_name {
        "squashfs" => run("mksquashfs", &[&tree, &image, Path::new("-quiet"), Path::new("-no-progress")]),
        "erofs" => run("mkfs.erofs", &[&image, &tree]),
        "ext4" => {
            fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
            run("mke2fs", &[Path::new("-q"), Path::new("-t"), Path::new("ext4"), Path::new("-d"), &tree, &image]);
        }
        "btrfs" => {
            fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
            run("mkfs.btrfs", &[Path::new("-q"), Path::new("--rootdir"), &tree, &image]);
        }
        other => panic!("no recipe for {other}"),
    }
    image
}

fn loop_step(file: &str) -> Step {
    Step::Loop { file: file.into(), access: Access::ReadOnly, direct: false, into: Slot::Image, found: None }
}

fn mount_step(fs: &str, options: &[&str], at: &str) -> Step {
    Step::Mount {
        what: Place::Slot(Slot::Image),
        fs: fs.into(),
        access: Access::ReadOnly,
        options: options.iter().map(|&o| o.into()).collect(),
        at: at.into(),
    }
}

fn overlay_steps() -> Vec<Step> {
    vec![
        Step::Tmpfs { size: TmpfsSize::Bytes(8 << 20), options: vec![], at: "/run/area".into() },
        Step::Overlay {
            lower: vec!["/run/lower".into()],
            upper: "/run/area/upper".into(),
            work: "/run/area/work".into(),
            options: vec![],
            at: "/sysroot".into(),
        },
    ]
}

#[test]
fn loop_overlay_on_each_image_and_back() {
    for fs_name in ["squashfs", "erofs", "ext4", "btrfs"] {
        let machine = Machine::new();
        image(&machine, fs_name);
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let options: &[&str] = if fs_name == "ext4" { &["noload"] } else { &[] };
        let mut steps = vec![loop_step(&format!("/{fs_name}.img")), mount_step(fs_name, options, "/run/lower")];
        steps.extend(overlay_steps());
        exec.perform("assemble", &steps).unwrap_or_else(|stop| panic!("{fs_name}: {:?}", stop.lines()));

        let mark = machine.path("sysroot/usr/mark");
        assert_eq!(fs::read_to_string(&mark).unwrap(), "from the image", "{fs_name}");
        fs::write(&mark, "changed").unwrap();
        assert_eq!(fs::read_to_string(machine.path("run/lower/usr/mark")).unwrap(), "from the image", "{fs_name}");
        let root = machine.mounts().into_iter().find(|line| line.contains("/sysroot ")).unwrap();
        assert!(root.starts_with("LiveOS_rootfs ") && root.contains(" overlay "), "{fs_name}: {root}");
        assert_eq!(exec.records.len(), steps.len(), "{fs_name}: every step is in the report");

        // A rejected medium can be unplugged while the boot goes on looking.
        exec.unwind(0);
        assert_eq!(machine.mounts(), Vec::<String>::new(), "{fs_name}: mounts after unwind");
        assert_eq!(machine.loops(), Vec::<String>::new(), "{fs_name}: loop devices after unwind");
        assert_eq!(exec.node(Slot::Image), None, "{fs_name}");
    }
}

#[test]
fn loop_overlay_of_directories_with_any_name() {
    let long = "n".repeat(250);
    for name in ["a:b", "a\\b", "a,b", "a\\:b,c", "a b=c", long.as_str()] {
        let machine = Machine::new();
        image(&machine, "squashfs");
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let (lower, area) = (Path::new("/run").join(name), Path::new("/run/area").join(name));
        let steps = [
            loop_step("/squashfs.img"),
            mount_step("squashfs", &[], lower.to_str().unwrap()),
            Step::Tmpfs { size: TmpfsSize::Bytes(8 << 20), options: vec![], at: "/run/area".into() },
            Step::MakeDir { path: area.join("shown") },
            Step::Overlay {
                lower: vec![area.join("shown"), lower],
                upper: area.join("upper"),
                work: area.join("work"),
                options: vec![],
                at: "/sysroot".into(),
            },
        ];
        exec.perform("assemble", &steps[..4]).unwrap();
        fs::write(machine.path("run/area").join(name).join("shown/kept"), "kept").unwrap();
        exec.perform("assemble", &steps[4..]).unwrap_or_else(|stop| panic!("{name}: {:?}", stop.lines()));
        fs::write(machine.path("sysroot/new"), name).unwrap();
        for (file, text) in [("sysroot/usr/mark", "from the image"), ("sysroot/kept", "kept")] {
            assert_eq!(fs::read_to_string(machine.path(file)).unwrap(), text, "{name}: {file}");
        }
        let upper = machine.path("run/area").join(name).join("upper/new");
        assert_eq!(fs::read_to_string(upper).unwrap(), name, "the change is not where it belongs");
        exec.unwind(0);
        assert_eq!(machine.mounts(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn loop_options_that_the_kernel_would_cut_are_refused() {
    let machine = Machine::new();
    image(&machine, "squashfs");
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let option = format!("errors={}", "x".repeat(300));
    exec.perform("acquire", &[loop_step("/squashfs.img")]).unwrap();
    let stop = exec.perform("acquire", &[mount_step("squashfs", &[&option], "/run/lower")]).unwrap_err();
    assert!(stop.cause.contains("option errors has 300 bytes, the kernel takes 255"), "{}", stop.cause);
}

#[test]
fn loop_devices_are_read_only_and_foreign_journals_stay_as_they_are() {
    let machine = Machine::new();
    let image = image(&machine, "ext4");
    // Ask for a journal replay: the flag that a power cut leaves behind.
    run("debugfs", &[Path::new("-w"), Path::new("-R"), Path::new("feature needs_recovery"), &image]);
    let before = fs::read(&image).unwrap();
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    exec.perform("acquire", &[loop_step("/ext4.img"), mount_step("ext4", &["noload"], "/run/lower")]).unwrap();
    let node = exec.node(Slot::Image).unwrap().to_owned();
    let refused =
        fs::OpenOptions::new().write(true).open(&node).and_then(|mut file| std::io::Write::write_all(&mut file, &[1]));
    assert!(refused.is_err(), "{} takes writes", node.display());
    exec.unwind(0);
    drop(exec);
    assert!(fs::read(&image).unwrap() == before, "a read-only mount has written to the image");
}

/// A power cut has left one of the two sectors of the superblock old. Nobody may be told that this host holds nothing, and nothing is
/// written to it before changes are to be kept there. Found by 5,000 cuts.
#[test]
fn loop_a_torn_superblock_hides_no_host() {
    let machine = Machine::new();
    let image = image(&machine, "ext4");
    let whole = fs::read(&image).unwrap();
    let mut torn = whole.clone();
    // The time of the last mount, in the first sector; the checksum is in the second.
    torn[1024 + 0x2c] ^= 0xff;
    fs::write(&image, &torn).unwrap();
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let slot = loop_step("/ext4.img");
    exec.perform("acquire", &[slot, mount_step("ext4", &["noload"], "/run/lower")]).unwrap();
    assert_eq!(fs::read_to_string(machine.path("run/lower/usr/mark")).unwrap(), "from the image");
    exec.unwind(0);
    drop(exec);
    assert!(fs::read(&image).unwrap() == torn, "a read-only mount has written to the image");

    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let writable = Step::Loop {
        file: "/ext4.img".into(),
        access: Access::ReadWrite,
        direct: false,
        into: Slot::Image,
        found: None,
    };
    let usual = |access| Step::Mount {
        what: Place::Slot(Slot::Image),
        fs: "ext4".into(),
        access,
        options: vec![],
        at: "/run/lower".into(),
    };
    // Without the noload a torn one is no file system that may be mounted, not even for reading.
    let steps = [writable, Step::Area(AreaAct::Mend { what: Slot::Image }), usual(Access::ReadOnly)];
    let done = exec.perform("acquire", &steps).unwrap();
    assert!(done.notes.iter().any(|note| note.contains("a power cut had torn the superblock")), "{done:?}");
    exec.unwind(0);
    drop(exec);
    let mended = fs::read(&image).unwrap();
    assert!(
        mended[..1024 + 0x3fc] == torn[..1024 + 0x3fc] && mended[2048..] == torn[2048..],
        "more than a checksum was written"
    );
    run("e2fsck", &[Path::new("-fn"), &image]);
}

/// What was looked at when the plan was made, and is something else when the step comes, is left as it is (attacks.md F5).
#[test]
fn loop_a_file_that_has_changed_is_not_written() {
    let machine = Machine::new();
    image(&machine, "ext4");
    fs::File::create(machine.path("zeros.img")).unwrap().set_len(8 << 20).unwrap();
    let mut noise = vec![0; 8 << 20];
    noise[5 << 20..].fill(1);
    fs::write(machine.path("noise.img"), noise).unwrap();
    let open = |file: &str, found, access| {
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let step = Step::Loop { file: file.into(), access, direct: false, into: Slot::Cow, found: Some(found) };
        exec.perform("acquire", &[step]).map(drop).map_err(|stop| stop.lines().join("; "))
    };
    let (ext4, luks, nothing) = (Found::File(Some(Kind::Ext4)), Found::File(Some(Kind::Luks)), Found::File(None));
    for (file, found, words) in [
        ("/ext4.img", ext4, None),
        ("/ext4.img", luks, Some("when it was looked at it holds crypto_LUKS, and now it holds ext4")),
        ("/ext4.img", Found::Zeros, Some("it is empty, and now it holds ext4")),
        ("/zeros.img", Found::Zeros, None),
        ("/zeros.img", ext4, Some("and now it holds nothing that is known")),
        ("/noise.img", Found::Zeros, Some("it is empty, and now it holds nothing that is known")),
        ("/noise.img", nothing, None),
    ] {
        let got = open(file, found, Access::ReadWrite);
        match (words, &got) {
            (None, Ok(())) => {}
            (Some(words), Err(error)) if error.contains(words) && error.contains("nothing was written") => {}
            other => panic!("{file} as {found:?}: {other:?}"),
        }
    }
    // Nothing can be lost through a device that refuses writes.
    open("/ext4.img", luks, Access::ReadOnly).unwrap();
}

/// A mount that is gone here may live on in another namespace for a moment, as udev's workers have them. Mounted again by then,
/// the kernel gives the same file system with its old options, and btrfs refuses writes for as long as it lives.
#[test]
fn loop_a_host_is_mounted_again_when_nobody_has_it_any_more() {
    let machine = Machine::new();
    image(&machine, "btrfs");
    fs::create_dir_all(machine.path("run/host")).unwrap();
    let loop_step = Step::Loop {
        file: "/btrfs.img".into(),
        access: Access::ReadWrite,
        direct: false,
        into: Slot::Image,
        found: None,
    };
    let mount = |options: &[&str]| mount_step("btrfs", options, "/run/host");
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    exec.perform("acquire", &[loop_step, mount(&["rescue=nologreplay"])]).unwrap();
    let mut other =
        Command::new("unshare").args(["--mount", "--propagation", "unchanged", "sleep", "0.7"]).spawn().unwrap();
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    while namespace(other.id()) == namespace(std::process::id()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let at: PathBuf = "/run/host".into();
    let again = [Step::Unmount { at: at.clone() }, mount(&[]), Step::Remount { at }];
    exec.perform("acquire", &again).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
    fs::write(machine.path("run/host/new"), "written").unwrap();
    other.wait().unwrap();
    exec.unwind(0);
    assert_eq!(machine.mounts(), Vec::<String>::new());
}

#[test]
fn steps_that_only_show_are_not_done_when_one_may_write() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    let mut exec = Executor::new(&env, &nothing_to_load);
    let make = |name: &str| Step::MakeDir { path: Path::new("/run").join(name) };
    let writes: Step = AreaAct::MakeDir { path: "/run/area/rw".into() }.into();
    let first = vec![make("b"), writes];
    let stop = exec.show("assemble", &[make("a"), Step::either(first, vec![], Wanted::Changes)]);
    assert_eq!(stop.unwrap_err().code, Code::Fault);
    assert!(!dir.path().join("run").exists(), "nothing of it is done");
    exec.show("assemble", &[make("a")]).unwrap();
    assert!(dir.path().join("run/a").is_dir());
}

/// attacks.md F8: a link on an area of ours leads nowhere; those of the root work all the same.
#[test]
fn loop_f8_no_link_on_an_area_of_ours_is_followed() {
    let machine = Machine::new();
    std::os::unix::fs::symlink("usr", tree(&machine).join("link")).unwrap();
    image(&machine, "ext4");
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let mut steps = vec![loop_step("/ext4.img"), mount_step("ext4", &["noload", "nosymfollow"], "/run/lower")];
    steps.extend(overlay_steps());
    exec.perform("assemble", &steps).unwrap_or_else(|stop| panic!("{:?}", stop.lines()));
    let opened = |path: &str| fs::read_dir(machine.path(path)).map(drop).map_err(|error| error.raw_os_error());
    assert_eq!(opened("run/lower/usr"), Ok(()));
    assert_eq!(opened("run/lower/link"), Err(Some(rustix::io::Errno::LOOP.raw_os_error())));
    assert_eq!(opened("sysroot/link"), Ok(()));
    exec.unwind(0);
    assert_eq!(machine.mounts(), Vec::<String>::new());
}

/// attacks.md F8: the kernel obeys the root and nothing else that is mounted for it.
#[test]
fn loop_f8_only_the_root_gives_rights() {
    use std::os::unix::fs::PermissionsExt;
    for fs_name in ["squashfs", "ext4"] {
        let machine = Machine::new();
        let program = tree(&machine).join("usr/id");
        fs::copy("/usr/bin/id", &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        run("mknod", &[&machine.path("tree/usr/zero"), Path::new("c"), Path::new("1"), Path::new("5")]);
        fs::set_permissions(machine.path("tree/usr/zero"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        image(&machine, fs_name);
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let options: &[&str] = if fs_name == "ext4" { &["noload"] } else { &[] };
        let mut steps = vec![loop_step(&format!("/{fs_name}.img")), mount_step(fs_name, options, "/run/lower")];
        steps.extend(overlay_steps());
        exec.perform("assemble", &steps).unwrap_or_else(|stop| panic!("{fs_name}: {:?}", stop.lines()));
        for line in machine.mounts() {
            let inert = line.contains("nosuid,nodev,noexec");
            assert_eq!(inert, !line.contains("/sysroot "), "{fs_name}: {line}");
        }
        let as_nobody = |path: &str, arguments: &[&str]| {
            let output = Command::new("setpriv")
                .args(["--reuid=65534", "--clear-groups"])
                .args(["--"])
                .arg(machine.path(path))
                .args(arguments)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
        };
        assert_eq!(as_nobody("sysroot/usr/id", &["-u"]), "0", "{fs_name}: the root's own set-uid program works");
        assert_eq!(as_nobody("run/lower/usr/id", &["-u"]), "", "{fs_name}: below it nothing runs");
        assert!(fs::File::open(machine.path("sysroot/usr/zero")).is_ok(), "{fs_name}: nodes of the root work");
        assert!(fs::File::open(machine.path("run/lower/usr/zero")).is_err(), "{fs_name}");
        exec.unwind(0);
    }
}

/// A program that has just ended holds its files a moment longer; a loop device is freed a moment after its last user.
#[test]
fn loop_a_medium_is_released_when_its_last_user_goes_soon_and_stays_when_none_goes() {
    for (held, released) in [(Duration::from_millis(300), true), (Duration::from_secs(20), false)] {
        let machine = Machine::new();
        image(&machine, "squashfs");
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        exec.perform("acquire", &[loop_step("/squashfs.img"), mount_step("squashfs", &[], "/run/lower")]).unwrap();
        let user = fs::File::open(machine.path("run/lower/usr/mark")).unwrap();
        let (gone, wait) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let _ = wait.recv_timeout(held);
            drop(user);
        });
        let release = Step::Release { slot: Slot::Image, at: Some("/run/lower".into()) };
        let begin = Instant::now();
        let done = exec.perform("acquire", &[release]);
        assert_eq!(done.is_ok(), released, "{held:?}: {:?}", done.err().map(|stop| stop.lines()));
        assert!(begin.elapsed() < Duration::from_secs(10), "{held:?}: waited for {:?}", begin.elapsed());
        assert_eq!(machine.mounts().is_empty(), released, "{held:?}");
        drop(gone);
        holder.join().unwrap();
        exec.unwind(0);
    }
}

#[test]
fn loop_mount_errors_carry_the_object_and_the_kernels_words() {
    let machine = Machine::new();
    fs::write(machine.path("garbage.img"), vec![7; 1 << 16]).unwrap();
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    exec.perform("acquire", &[loop_step("/garbage.img")]).unwrap();
    let stop = exec.perform("acquire", &[mount_step("squashfs", &[], "/run/lower")]).unwrap_err();
    assert_eq!(stop.code, Code::ImageMount);
    assert!(stop.cause.contains("squashfs") && stop.cause.contains("loop"), "{}", stop.cause);
    let stop = exec.perform("acquire", &[mount_step("squashfs", &["no-such-option"], "/run/lower")]).unwrap_err();
    assert!(stop.cause.contains("no-such-option") && stop.cause.contains("kernel:"), "{}", stop.cause);
    let stop = exec.perform("acquire", &[loop_step("/absent.img")]).unwrap_err();
    assert!(stop.code == Code::LoopSetup && stop.cause.contains("/absent.img"), "{}", stop.cause);
}

#[test]
fn loop_missing_driver_names_module_and_option() {
    let machine = Machine::new();
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let driver =
        Step::Driver { module: "nofs".into(), filesystem: Some("nofs".into()), option: "CONFIG_NOFS_FS".into() };
    let stop = exec.perform("acquire", &[driver]).unwrap_err();
    assert_eq!(stop.code, Code::DriverMissing);
    assert!(stop.lines().join(" ").contains("nofs") && stop.wanted.contains("CONFIG_NOFS_FS"), "{:?}", stop.lines());
}

#[test]
fn loop_either_undoes_the_first_and_reports_the_fallback() {
    let machine = Machine::new();
    image(&machine, "squashfs");
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let first = vec![
        Step::Tmpfs { size: TmpfsSize::Bytes(1 << 20), options: vec![], at: "/run/first".into() },
        loop_step("/absent.img"),
    ];
    let otherwise = vec![Step::Tmpfs { size: TmpfsSize::Bytes(1 << 20), options: vec![], at: "/run/second".into() }];
    let done = exec.perform("assemble", &[Step::either(first, otherwise, Wanted::Mapped)]).unwrap();
    let mounts = machine.mounts().join("\n");
    assert!(mounts.contains("/run/second ") && !mounts.contains("/run/first "), "{mounts}");
    let [GivenUp { what: Wanted::Mapped, why }] = done.given_up.as_slice() else { panic!("{done:?}") };
    assert!(why.code == Code::LoopSetup && why.cause.contains("absent.img"), "{why:?}");
    let failed = exec.records.iter().find(|record| record.error.is_some()).unwrap();
    assert_eq!(failed.code, Some(Code::LoopSetup), "{failed:?}");
    exec.unwind(0);
}

/// The driver is loaded beside the search, and a medium that is there at once may be faster (twin/rd.live.medium in the lab). Without it
/// the step before says so, and nothing is said of the medium.
#[test]
fn a_loop_device_waits_for_its_driver() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("image"), "x").unwrap();
    let (env, loaded) = (Env::new(dir.path()), std::sync::Mutex::new(Vec::new()));
    let load = |name: &str| {
        loaded.lock().unwrap().push(name.to_owned());
        nothing_to_load(name)
    };
    let mut exec = Executor::new(&env, &load);
    let (file, access, into) = ("/image".into(), Access::ReadOnly, Slot::Image);
    let step = Step::Loop { file, access, direct: false, into, found: None };
    let steps = drivers::stated(&[step], &mut BTreeSet::new());
    let stop = exec.perform("acquire", &steps).unwrap_err();
    assert_eq!((stop.code, loaded.into_inner().unwrap()), (Code::DriverMissing, vec!["loop".to_owned()]));
    assert!(stop.cause.contains("module loop") && stop.advice.contains("--add-module loop"), "{stop:?}");
}

#[test]
fn loop_whole_boot_from_an_image_in_the_initrd() {
    let machine = Machine::new();
    image(&machine, "squashfs");
    for dialect in ["kiwi", "dmsquash"] {
        let (config, _) = interpret_text(&format!("root=live:/squashfs.img rd.live.dialect={dialect}"));
        let sysroot = PathBuf::from("/sysroot");
        let mut real = rdlive::machine::Machine::new(&machine.env, Executor::new(&machine.env, &nothing_to_load));
        let mut boot = Boot::new(&mut real, &config, &sysroot, Report::new("dracut", &config, &[]));
        boot.run().unwrap_or_else(|stop| panic!("{dialect}: {:?}", stop.lines()));
        assert_eq!(fs::read_to_string(machine.path("sysroot/usr/mark")).unwrap(), "from the image", "{dialect}");
        for link in ["run/rootfsbase", "run/overlay/rootfsbase"] {
            let link = fs::read_link(machine.path(link)).map_or(machine.path(link), |to| machine.env.path(to));
            assert!(link.join("usr/mark").exists(), "{dialect}: {}", link.display());
        }
        real.exec.unwind(0);
        drop(real);
        assert_eq!(machine.mounts(), Vec::<String>::new(), "{dialect}");
    }
}

#[test]
fn loop_failed_boot_leaves_nothing_behind() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("tree/home")).unwrap();
    let (tree, image) = (machine.path("tree"), machine.path("empty.img"));
    run("mksquashfs", &[&tree, &image, Path::new("-quiet"), Path::new("-no-progress")]);
    let (config, _) = interpret_text("root=live:/empty.img rd.live.dialect=kiwi");
    let sysroot = PathBuf::from("/sysroot");
    let mut real = rdlive::machine::Machine::new(&machine.env, Executor::new(&machine.env, &nothing_to_load));
    let stop = Boot::new(&mut real, &config, &sysroot, Report::new("dracut", &config, &[])).run().unwrap_err();
    assert_eq!(stop.code, Code::RootMissing);
    assert!(stop.found.iter().any(|line| line.contains("home")), "shows what is there: {:?}", stop.found);
    drop(real);
    assert_eq!((machine.mounts(), machine.loops()), (vec![], vec![]));
}

/// What is seen through a store, and the image, are files here.
#[test]
fn loop_c3_a_store_of_another_image_is_told_before_anything_is_repaired() {
    let machine = Machine::new();
    let ids = ["11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-aaaaaaaaaaaa"];
    for (name, id, size) in [("a", ids[0], 8), ("same", ids[0], 8), ("larger", ids[0], 12), ("other", ids[1], 8)] {
        fs::File::create(machine.path(name)).unwrap().set_len(size << 20).unwrap();
        let words = ["-q", "-t", "ext4", "-U", id].map(Path::new);
        run("mke2fs", &[&words[..], &[&machine.path(name)]].concat());
    }
    // Changes do not make it another one.
    let changed = ["-L", "changed"].map(Path::new);
    run("tune2fs", &[&changed[..], &[&machine.path("same")]].concat());
    fs::write(machine.path("zeros"), vec![0; 8 << 20]).unwrap();
    for (seen, expected) in [
        ("same", None),
        ("larger", Some(Code::AreaOther)),
        ("other", Some(Code::AreaOther)),
        ("zeros", Some(Code::AreaOther)),
    ] {
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        let steps = [
            Step::Device { device: Seen::named("/a"), into: Slot::Image },
            Step::Device { device: Seen::named(Path::new("/").join(seen)), into: Slot::Live },
            Step::Map(MapAct::SameOrigin { seen: Slot::Live, image: Slot::Image }),
        ];
        let refused = exec.perform("assemble", &steps).err();
        assert_eq!(refused.as_ref().map(|stop| stop.code), expected, "{seen}: {refused:?}");
        assert!(refused.is_none_or(|stop| stop.cause.contains(ids[0])), "{seen}");
    }
}

#[test]
fn loop_c3_a_store_has_its_mark_beside_it() {
    let machine = Machine::new();
    let image = |name: &str| Identity { volume_id: Some(name.into()), image_uuid: None, agent: "0".into() };
    let ask = |name: &str, accept: bool, write: bool| {
        let step = Step::Map(MapAct::Identity { store: "/dir/x.cow".into(), image: image(name), accept, write });
        let mut exec = Executor::new(&machine.env, &nothing_to_load);
        exec.perform("assemble", &[step]).map(drop).map_err(|stop| stop.code)
    };
    let mark = machine.path("dir/x.cow.rdlive-identity");
    fs::create_dir(machine.path("dir")).unwrap();
    // dracut's own has none, and gets none.
    assert_eq!(ask("A", false, false), Ok(()));
    assert!(!mark.exists());
    assert_eq!(ask("A", false, true), Ok(()));
    let marked = fs::read(&mark).unwrap();
    assert_eq!(ask("A", false, false), Ok(()));
    assert_eq!(ask("B", false, true), Err(Code::AreaOther));
    assert_eq!(fs::read(&mark).unwrap(), marked);
    assert_eq!(ask("B", true, true), Ok(()));
    assert_eq!((ask("A", false, false), ask("B", false, false)), (Err(Code::AreaOther), Ok(())));
}

/// A file that somebody has is no place for a new store; what an attempt of ours has left that was cut short is begun anew, whatever is in it.
#[test]
fn loop_sd29_a_new_store_is_zeros_with_holes_and_replaces_nothing() {
    use std::os::unix::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/proc", dir.path().join("proc")).unwrap();
    let env = Env::new(dir.path());
    fs::create_dir(dir.path().join("dir")).unwrap();
    let (file, size) = (dir.path().join("dir/store"), 8 << 20);
    let image = Some(Identity { volume_id: Some("A".into()), image_uuid: None, agent: "0".into() });
    let step = Step::Map(MapAct::NewStore { file: "/dir/store".into(), size, image });
    let make = || Executor::new(&env, &nothing_to_load).perform("assemble", std::slice::from_ref(&step));
    let names = || fs::read_dir(dir.path().join("dir")).unwrap().count();

    fs::write(&file, "a letter").unwrap();
    assert_eq!(make().unwrap_err().code, Code::AreaFormat);
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), names()), ("a letter", 1));

    // The first sectors are zeros, as of every file that was begun.
    let mut cut = vec![0; size as usize];
    cut[4096..].fill(7);
    fs::write(&file, &cut).unwrap();
    fs::write(dir.path().join("dir/store.rdlive-new-11111111-2222-4333-8444-555555555555"), "").unwrap();
    let done = make().unwrap();
    assert!(done.notes[0].contains("made the store /dir/store of 8 MiB"), "{:?}", done.notes);
    assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
    let facts = file.metadata().unwrap();
    assert_eq!((facts.len(), facts.blocks(), names()), (size, 0, 2));
    assert!(fs::read_to_string(dir.path().join("dir/store.rdlive-identity")).unwrap().contains("\"A\""));
    // It is complete now.
    assert_eq!(make().unwrap_err().code, Code::AreaFormat);
}

/// field.md A: a file that can be read, but not past the page cache, is the medium's all the same.
#[test]
fn loop_s1_direct_reads_are_given_up_where_the_first_one_fails() {
    if !Path::new("/dev/fuse").exists() {
        println!("skipped: no /dev/fuse");
        return;
    }
    let machine = Machine::new();
    let content = fs::read(image(&machine, "ext4")).unwrap();
    let _host = direct::Refusing::serve(&machine.path("host"), content);
    // Past the page cache nothing of it can be read by sectors, and it does not say so.
    let file =
        rustix::fs::open(machine.path("host/image"), rustix::fs::OFlags::DIRECT, rustix::fs::Mode::empty()).unwrap();
    let mut sectors = [0_u8; 2048];
    let aligned = sectors.as_ptr().align_offset(512);
    assert!(rustix::io::pread(&file, &mut sectors[aligned..aligned + 512], 0).is_err());
    let mut exec = Executor::new(&machine.env, &nothing_to_load);
    let step = Step::Loop {
        file: "/host/image".into(),
        access: Access::ReadOnly,
        direct: true,
        into: Slot::Image,
        found: None,
    };
    // Its blocks have 1024 bytes.
    exec.perform("acquire", &[step, mount_step("ext4", &["noload"], "/run/lower")]).unwrap();
    assert_eq!(fs::read_to_string(machine.path("run/lower/usr/mark")).unwrap(), "from the image");
    let node = exec.node(Slot::Image).unwrap().to_owned();
    let name = node.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(fs::read_to_string(format!("/sys/block/{name}/loop/dio")).unwrap().trim(), "0");
    exec.unwind(0);
}
